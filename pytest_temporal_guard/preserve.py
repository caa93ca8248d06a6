"""What a replay changes in the modules of a workflow is undone, so that no later test meets it."""

from __future__ import annotations

import random
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType, ModuleType
from typing import Any

_Undo = Callable[[], None]
_DEPTH = 3
# A table that large is data, and copying what it holds would cost more than the replay.
_LARGE = 10_000
_LIBRARIES = tuple(
    {sysconfig.get_path(each) for each in ("stdlib", "platstdlib", "purelib", "platlib")} - {None, ""}
)  # fmt: skip


@contextmanager
def preserved(cls: type, others: Iterable[object] = ()) -> Iterator[None]:
    """Undo changes to the globals of a class's module and of the project's modules that it uses, and to `others`.

    Bindings of globals, attributes of classes and of instances held by globals, and the contents of builtin containers
    are put back; so is the state of `random`. Objects of other kinds that were changed in place stay changed.
    """
    undo: list[_Undo] = []
    seen: set[int] = set()
    for module in _modules(cls):
        _keep_module(module, undo, seen)
    for other in others:
        _keep_object(other, undo, seen)
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
        for each in undo:
            each()


Bindings = list[tuple[ModuleType | type, dict[str, Any]]]


def bindings(cls: type) -> Bindings:
    """What the names of a class's module, of the project's modules that it uses, and of the classes that they define
    are bound to at this moment."""
    found: Bindings = []
    for module in _modules(cls):
        names = dict(vars(module))
        found.append((module, names))
        own = (each for each in names.values() if isinstance(each, type) and each.__module__ == module.__name__)
        found += [(each, dict(vars(each))) for each in own]
    return found


@contextmanager
def rebound(before: Bindings) -> Iterator[bool]:
    """Bind those names again as they were, for as long as the block lasts: what a test had patched when its workflow
    ran is undone when the workflow is replayed. Names that are new since then, and what containers hold, stay.

    Gives whether anything was bound otherwise."""
    changed: list[tuple[ModuleType | type, str, Any]] = []
    for owner, names in before:
        space = vars(owner)
        for name, value in names.items():
            if _is_state(name) and name in space and space[name] is not value:
                now = space[name]
                # a metaclass may refuse it
                with suppress(Exception):
                    setattr(owner, name, value)
                    changed.append((owner, name, now))
    try:
        yield bool(changed)
    finally:
        for owner, name, value in reversed(changed):
            setattr(owner, name, value)


def _modules(cls: type) -> list[ModuleType]:
    """The module of a class and the modules of the project that it reaches."""
    found: dict[str, ModuleType] = {}
    todo = [sys.modules.get(cls.__module__)]
    while todo:
        module = todo.pop()
        if module is None or module.__name__ in found or not _of_project(module):
            continue
        found[module.__name__] = module
        for value in list(vars(module).values()):
            if isinstance(value, ModuleType):
                todo.append(value)
            elif isinstance(value, (type, FunctionType)):
                todo.append(sys.modules.get(value.__module__ or ""))
    return list(found.values())


def _of_project(module: ModuleType) -> bool:
    if module.__name__.partition(".")[0] in ("temporalio", "pytest_temporal_guard", "_pytest", "pytest"):
        return False
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and "site-packages" not in path and not path.startswith(_LIBRARIES)


def _keep_module(module: ModuleType, undo: list[_Undo], seen: set[int]) -> None:
    space = vars(module)
    # a module that is imported meanwhile stays, for it stays in sys.modules too
    kept = {name: value for name, value in space.items() if _is_state(name) and not isinstance(value, ModuleType)}

    def restore() -> None:
        for name in [each for each in space if _is_state(each) and each not in kept]:
            if not isinstance(space[name], ModuleType):
                del space[name]
        for name, value in kept.items():
            if space.get(name, undo) is not value:
                space[name] = value

    undo.append(restore)
    for value in list(kept.values()):
        if isinstance(value, type):
            if value.__module__ == module.__name__:
                _keep_class(value, undo, seen)
        elif not _keep_contents(value, undo, seen) and not isinstance(value, FunctionType):
            home = sys.modules.get(type(value).__module__)
            if home is not None and _of_project(home):
                _keep_object(value, undo, seen)


def _is_state(name: str) -> bool:
    return not (name.startswith("__") and name.endswith("__")) and not name.startswith("@")


def _keep_class(cls: type, undo: list[_Undo], seen: set[int]) -> None:
    if id(cls) in seen:
        return
    seen.add(id(cls))
    kept = {name: value for name, value in vars(cls).items() if _is_state(name)}

    def restore() -> None:
        space = vars(cls)
        for name in [each for each in space if _is_state(each) and each not in kept]:
            delattr(cls, name)
        for name, value in kept.items():
            if space.get(name, undo) is not value:
                setattr(cls, name, value)

    undo.append(restore)
    for value in kept.values():
        _keep_contents(value, undo, seen)


def _keep_object(value: object, undo: list[_Undo], seen: set[int]) -> None:
    space = getattr(value, "__dict__", None)
    if type(space) is dict:
        _keep_contents(space, undo, seen)


def _keep_contents(value: object, undo: list[_Undo], seen: set[int], depth: int = _DEPTH) -> bool:
    """Note how to put back what a builtin container holds; false for what is none."""
    if not isinstance(value, (list, dict, set, deque, bytearray)):
        return False
    if id(value) in seen:
        return True
    seen.add(id(value))
    undo.append(_restorer(value))
    if depth > 1 and len(value) <= _LARGE and not isinstance(value, (set, bytearray)):
        for inner in value.values() if isinstance(value, dict) else value:
            _keep_contents(inner, undo, seen, depth - 1)
    return True


def _restorer(value: Any) -> _Undo:
    if isinstance(value, dict):
        items = dict(value)

        def restore() -> None:
            if len(items) != len(value) or any(
                here is not there or value[here] is not items[there] for here, there in zip(value, items, strict=True)
            ):
                value.clear()
                value.update(items)
    else:
        copy = list(value)

        def restore() -> None:
            # sets of the same elements have one order as long as nobody changes them
            if len(copy) != len(value) or any(here is not there for here, there in zip(value, copy, strict=True)):
                value.clear()
                (value.update if isinstance(value, set) else value.extend)(copy)

    return restore
