"""What a replay changes is put back: globals, attributes, contents of containers."""

from __future__ import annotations

import random
import sys
from collections import Counter, deque
from types import ModuleType
from typing import Any

import pytest

from pytest_temporal_guard.preserve import preserved

SOURCE = """
from collections import Counter, deque

NUMBER = 1
NESTED = {"a": [1, 2], "b": {"c": {3}}}
QUEUE = deque([1, 2], maxlen=5)
SEEN = Counter(a=1)
BYTES = bytearray(b"ab")


class State:
    level = 1
    names = ["x"]

    def __init__(self):
        self.calls = []
        self.last = None


STATE = State()


class Workflow:
    pass
"""


@pytest.fixture
def module(tmp_path) -> Any:
    made = ModuleType("preserve_me")
    made.__file__ = str(tmp_path / "preserve_me.py")
    sys.modules[made.__name__] = made
    exec(SOURCE, made.__dict__)
    yield made
    del sys.modules[made.__name__]


def test_everything_is_put_back(module: Any) -> None:
    """Bindings, contents at several depths, attributes of classes and instances, the state of `random`."""
    nested, inner, state, number = module.NESTED, module.NESTED["a"], module.STATE, random.Random(1)
    random.seed(1)
    with preserved(module.Workflow):
        module.NUMBER += 1
        inner.append(3)
        module.NESTED["b"]["c"].add(4)
        module.NESTED = {}
        module.QUEUE.append(3)
        module.SEEN.update("ab")
        module.BYTES.extend(b"c")
        module.State.level = 2
        module.State.more = 3
        module.State.names.clear()
        state.calls.append(1)
        state.last = "x"
        module.NEW = 1
        random.random()
    assert module.NUMBER == 1
    assert module.NESTED is nested
    assert nested["a"] is inner
    assert nested == {"a": [1, 2], "b": {"c": {3}}}
    assert deque([1, 2]) == module.QUEUE
    assert Counter(a=1) == module.SEEN
    assert module.BYTES == b"ab"
    assert (module.State.level, module.State.names) == (1, ["x"])
    assert not hasattr(module.State, "more")
    assert vars(state) == {"calls": [], "last": None}
    assert not hasattr(module, "NEW")
    assert random.random() == number.random()


def test_also_after_an_error_and_for_others(module: Any) -> None:
    """Objects that are handed over are put back too: an interceptor of the worker."""
    other = module.State()
    with pytest.raises(RuntimeError), preserved(module.Workflow, [other]):
        other.calls.append(1)
        raise RuntimeError
    assert other.calls == []
