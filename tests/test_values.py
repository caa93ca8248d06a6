"""Constants, texts with holes and the keys of splatted mappings."""

from __future__ import annotations

import ast
from datetime import timedelta
from typing import Any

import pytest
from support import project

from temporal_lint.sql import HOLE
from temporal_lint.values import UNKNOWN


def asked(files: dict[str, str] | str, what: str) -> Any:
    if isinstance(files, str):
        files = f"def ask(value): ...\n{files}"
    joined = project(files)
    call = next(each for each in joined.modules["app"].calls if ast.unparse(each.node.func) == "ask")
    return getattr(joined.values, what)(call.node.args[0], call.scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ask(1 + 2 * 3)", 7),
        ("ask('a' 'b' + 'c')", "abc"),
        ("ask('x' * 10)", "x" * 10),
        ("ask(bytes(3))", bytes(3)),
        ("ask([0] * 3)", [0, 0, 0]),
        ("ask({'a': [1, (2,)], **{'b': 2}})", {"a": [1, (2,)], "b": 2}),
        ("ask([1 for _ in range(4)])", [1] * 4),
        ("ask(-1)", -1),
        ("ask(None)", None),
        ("MIB = 2**20\nask(3 * MIB)", 3 * 2**20),
        ("from settings import LIMITS\nask(LIMITS['small'])", 5),
        ("import settings\nask(settings.Config.SIZE)", 9),
        ("from settings import Kind\nask(Kind.A.value)", "a"),
        ("from settings import Kind\nask(Kind.A)", UNKNOWN),
        ("from settings import TOUCHED\nask(TOUCHED)", UNKNOWN),
        ("from datetime import timedelta\nask(timedelta(minutes=1) * 2)", timedelta(minutes=2)),
        ("import datetime as d\nask(d.timedelta(seconds=30) + d.timedelta(hours=1))", timedelta(seconds=3630)),
        ("ask(f'{1}-{\"a\"}')", "1-a"),
        ("ask(f'{x}')", UNKNOWN),
        ("ask(unknown)", UNKNOWN),
        ("ask(2 ** 10000000)", UNKNOWN),
        ("ask('x' * 10**12)", UNKNOWN),
        ("ask(10 ** 10 ** 10)", UNKNOWN),
        ("ask(list(range(10**12)))", UNKNOWN),
        ("ask(1 / 0)", UNKNOWN),
        ("def f(n):\n    ask(n)", UNKNOWN),
        ("x = []\nx.append(1)\nask(x)", UNKNOWN),
    ],
)
def test_constants(text: str, expected: Any) -> None:
    settings = (
        "import enum\nLIMITS = {'small': 5}\nclass Config:\n    SIZE = LIMITS['small'] + 4\n"
        "class Kind(enum.Enum):\n    A = 'a'\nTOUCHED = {}\nTOUCHED['k'] = 1\n"
    )
    answer = asked({"settings.py": settings, "app.py": text}, "constant")
    assert answer is expected if expected is UNKNOWN else answer == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ask('INSERT %s (%(a)s) 100%%' % x)", f"INSERT {HOLE} ({HOLE}) 100%"),
        ("ask('a {} {{}} {b!r:>3}'.format(1))", f"a {HOLE} {{}} {HOLE}"),
        ("ask(f'a {x} b {T}')\nT = 'orders'", f"a {HOLE} b orders"),
        ("ask('a ' + x + ' b')", f"a {HOLE} b"),
        ("import textwrap\nask(textwrap.dedent('''a'''))", "a"),
        ("from sqlalchemy import text\nask(text('a'))", "a"),
        ("from psycopg import sql\nask(sql.SQL('a {}').format(x))", f"a {HOLE}"),
        ("ask(' '.join(['a', x]))", f"a {HOLE}"),
        ("def q():\n    return 'a'\nask(q())", "a"),
        ("ask(x)", None),
        ("ask(1)", None),
    ],
)
def test_texts(text: str, expected: str | None) -> None:
    assert asked(text, "text") == expected


@pytest.mark.parametrize(
    ("text", "known", "complete"),
    [
        ("ask({'a': 1, 'b': 2})", {"a", "b"}, True),
        ("ask(dict(a=1, **{'b': 2}))", {"a", "b"}, True),
        ("ask({'a': 1} | {'b': 2})", {"a", "b"}, True),
        ("O = {'a': 1}\nask(O)", {"a"}, True),
        ("O = {'a': 1}\nO['b'] = 2\nask(O)", {"a"}, False),
        ("O = {'a': 1}\nO.update(x)\nask(O)", {"a"}, False),
        ("O = {'a': 1}\ndef fill(o):\n    o['b'] = 2\nfill(O)\nask(O)", {"a"}, False),
        ("O = {'a': 1}\ndef fill(o):\n    more(o)\ndef more(p):\n    p.update(x)\nfill(O)\nask(O)", {"a"}, False),
        ("O = {'a': 1}\ndef look(o):\n    print(o['a'])\nlook(O)\nask(O)", {"a"}, True),
        ("O = {'a': 1}\nimport log\nlog.getLogger().info('x', O)\nask(O)", {"a"}, True),
        ("O = {'a': 1}\nunknown(O)\nask(O)", {"a"}, False),
        ("def o(x):\n    return {'a': x}\nask(o(1))", {"a"}, True),
        ("ask({'a': 1} if x else {'b': 2})", set(), False),
        ("ask({'a': 1} if x else {'a': 2})", {"a"}, True),
        ("from temporalio.workflow import ActivityConfig\nask(ActivityConfig(a=1))", {"a"}, True),
        ("ask({x: 1, 'a': 2})", {"a"}, False),
        ("ask(x)", set(), False),
    ],
)
def test_keys(text: str, known: set[str], complete: bool) -> None:
    found = asked(text, "keys")
    assert (set(found.entries), found.complete) == (known, complete)
