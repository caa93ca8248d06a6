"""Edits of arguments and imports, on real text: what comes out, and when there is no fix."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from temporal_lint import edits, tree
from temporal_lint.edits import Editor
from temporal_lint.rule import Edit, Fix
from temporal_lint.source import Source
from temporal_lint.spans import Spans


def editor(text: str) -> Editor:
    source = Source(Path("/project/app.py"), text)
    return Editor(tree.parse(source), source, Spans(source))


def call(edit: Editor, function: str = "f") -> ast.Call:
    calls = (node for node in ast.walk(edit.tree) if isinstance(node, ast.Call))
    return next(node for node in calls if isinstance(node.func, ast.Name) and node.func.id == function)


def argument(of: ast.Call, name: str) -> ast.expr | ast.keyword:
    """The argument of that keyword, or the positional one of that name."""
    keywords = [each for each in of.keywords if each.arg == name]
    return keywords[0] if keywords else next(a for a in of.args if isinstance(a, ast.Name) and a.id == name)


def fixed(edit: Editor, *changes: Edit) -> str:
    fix = edit.fix("safe", "Change it.", *changes)
    assert fix is not None
    return edits.apply(edit.source.text, fix.edits)


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ("f(a)", "a", "f()"),
        ("f(  a,  )", "a", "f()"),
        ("f(\n    a,\n)", "a", "f()"),
        ("f(a, b)", "a", "f(b)"),
        ("f(a, b)", "b", "f(a)"),
        ("f(a, b,)", "b", "f(a,)"),
        ("f(a, b, c)", "b", "f(a, c)"),
        ("f(a, b, c)", "a c", "f(b)"),
        ("f(a, b, c)", "b c", "f(a)"),
        ("f(a, k=(1, 2), c=3)", "k", "f(a, c=3)"),
        ("f(a,\n  b,\n  c)", "a", "f(b,\n  c)"),
        ("f(a,\n  b,\n  c)", "b", "f(a,\n  c)"),
        ("f(a,\n  b,\n  c)", "c", "f(a,\n  b)"),
        ("f(a, b,\n  c)", "b", "f(a,\n  c)"),
        ("f(\n    a,\n    k=g(\n        1,\n    ),\n    b=2,\n)", "k", "f(\n    a,\n    b=2,\n)"),
        ("f(\n    a,\n    b\n)", "b", "f(\n    a,\n)"),
        ("f(\n    a, b,\n    c,\n)", "b", "f(\n    a,\n    c,\n)"),
        ("f(\r\n\ta,\r\n\tb,\r\n)", "a", "f(\r\n\tb,\r\n)"),
        ("f(*x, b, **y)", "b", "f(*x, **y)"),
        ("f (a, b)", "a b", "f ()"),
    ],
)
def test_delete_arguments(before: str, names: str, after: str) -> None:
    edit = editor(before)
    target = call(edit)
    chosen = [argument(target, name) for name in names.split()]
    assert fixed(edit, *edit.delete_arguments(target, chosen)) == after
    if len(chosen) == 1:
        assert fixed(edit, edit.delete_argument(target, chosen[0])) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f()", "f(k=1)"),
        ("f(  # why\n)", "f(k=1  # why\n)"),
        ("f(a)", "f(a, k=1)"),
        ("f(a,)", "f(a, k=1)"),
        ("f((a), (b))", "f((a), (b), k=1)"),
        ("f(a,\n  b)", "f(a,\n  b,\n  k=1)"),
        ("f(\n    a,\n)", "f(\n    a,\n    k=1,\n)"),
        ("f(\n    a\n)", "f(\n    a,\n    k=1\n)"),
        ("f(\n    a,  # why\n)", "f(\n    a,  # why\n    k=1,\n)"),
        ("f(\n    a, b,\n)", "f(\n    a, b, k=1\n)"),
        ("f(\r\n\ta,\r\n)", "f(\r\n\ta,\r\n\tk=1,\r\n)"),
        ("f(**x)", "f(**x, k=1)"),
    ],
)
def test_append_argument(before: str, after: str) -> None:
    edit = editor(before)
    assert fixed(edit, edit.append_argument(call(edit), "k=1")) == after


def test_append_to_a_bare_generator_is_no_fix() -> None:
    edit = editor("f(x for x in y)")
    assert edit.fix("safe", "Change it.", edit.append_argument(call(edit), "k=1")) is None


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ("f(a, b, c)", "a b", "f(args=[1], c)"),
        ("f(a, x=1, b=2)", "x b", "f(a, args=[1])"),
        ("f(x=1, y=2, b=3)", "x b", "f(args=[1], y=2)"),
        ("f(\n    x=1,\n    y=2,\n    b=3,\n)", "x b", "f(\n    args=[1],\n    y=2,\n)"),
    ],
)
def test_replace_arguments(before: str, names: str, after: str) -> None:
    edit = editor(before)
    target = call(edit)
    changes = edit.replace_arguments(target, [argument(target, name) for name in names.split()], "args=[1]")
    assert edits.apply(before, changes) == after


USE = "x = 1\n"


@pytest.mark.parametrize(
    ("head", "expression", "result"),
    [
        ("from datetime import timedelta\n", "timedelta", None),
        ("from datetime import timedelta as td\n", "td", None),
        ("import datetime\n", "datetime.timedelta", None),
        ("import datetime as dt\n", "dt.timedelta", None),
        ("with unsafe():\n    from datetime import timedelta\n", "timedelta", None),
        ("", "timedelta", "from datetime import timedelta\n\n"),
        ("import a\nimport b\n", "timedelta", "import a\nimport b\nfrom datetime import timedelta\n"),
        ("import a; import b  # two\n", "timedelta", "import a; import b  # two\nfrom datetime import timedelta\n"),
        ('"""Page."""\n', "timedelta", '"""Page."""\n\nfrom datetime import timedelta\n'),
        (
            '"""Page."""\nfrom __future__ import annotations\n',
            "timedelta",
            '"""Page."""\nfrom __future__ import annotations\nfrom datetime import timedelta\n',
        ),
        (
            "from datetime import datetime\n",
            "timedelta",
            "from datetime import datetime\nfrom datetime import timedelta\n",
        ),
        (
            "import a\ntimedelta = a\nimport b\n",
            "datetime.timedelta",
            "import a\nimport datetime\ntimedelta = a\nimport b\n",
        ),
        (
            "from datetime import datetime\nfrom pandas import timedelta\n",
            "_timedelta",
            "from datetime import datetime\nfrom pandas import timedelta\n"
            "from datetime import timedelta as _timedelta\n",
        ),
        ("import a\r\n", "timedelta", "import a\r\nfrom datetime import timedelta\r\n"),
    ],
)
def test_import_name(head: str, expression: str, result: str | None) -> None:
    edit = editor(head + USE)
    name, changes = edit.import_name("datetime.timedelta")
    assert name == expression
    assert edits.apply(head + USE, changes) == (head if result is None else result) + USE


def test_a_name_that_a_function_binds_too_is_not_reused() -> None:
    edit = editor("from datetime import timedelta\ndef f(timedelta): pass\n")
    assert edit.import_name("datetime.timedelta")[0] == "datetime.timedelta"


def test_import_at_the_end_of_a_file_without_newline() -> None:
    edit = editor("import a")
    assert edits.apply("import a", edit.import_name("b")[1]) == "import a\nimport b"


def test_replace_and_insert_mind_parentheses() -> None:
    edit = editor("x = ((a) + b)\n")
    value = edit.tree.body[0].value  # type: ignore[attr-defined]
    assert edit.text(value) == "((a) + b)"
    assert edit.text(value.left) == "(a)"
    changed = fixed(edit, edit.replace(value.left, "c"), edit.insert_before(value, "-"), edit.insert_after(value, ".d"))
    assert changed == "x = -(c + b).d\n"


def test_a_lost_comment_makes_a_fix_unsafe() -> None:
    edit = editor('f(\n    a,  # why "#"\n    b,\n)\n')
    target = call(edit)
    lost = edit.fix("safe", "Change it.", edit.delete_argument(target, target.args[0]))
    kept = edit.fix("safe", "Change it.", edit.delete_argument(target, target.args[1]))
    assert lost is not None and lost.applicability == "unsafe"
    assert kept is not None and kept.applicability == "safe"


def test_a_hash_in_a_string_is_no_comment() -> None:
    edit = editor("f('# no', a)\n")
    target = call(edit)
    assert edit.fix("safe", "Change it.", edit.delete_argument(target, target.args[0])) == Fix(
        "safe", "Change it.", (Edit(2, 10, ""),)
    )


def test_no_fix_where_edits_overlap_or_break_or_do_nothing() -> None:
    edit = editor("x = a + b\n")
    value = edit.tree.body[0].value  # type: ignore[attr-defined]
    assert edit.fix("safe", "m", edit.replace(value, "c"), edit.replace(value.left, "d")) is None
    assert edit.fix("safe", "m", edit.replace(value, "(")) is None
    assert edit.fix("safe", "m", edit.replace(value, "a + b")) is None
    assert edit.fix("safe", "m") is None


def test_new_lines_follow_the_file() -> None:
    edit = editor("x = a\r\ny = b\r\n")
    fix = edit.fix("safe", "m", edit.insert_after(edit.tree.body[0], "\nz = c"))
    assert fix is not None
    assert edits.apply(edit.source.text, fix.edits) == "x = a\r\nz = c\r\ny = b\r\n"


def test_apply_keeps_the_order_of_insertions_at_one_place() -> None:
    assert edits.apply("ab", [Edit(1, 2, "B"), Edit(1, 1, "x"), Edit(1, 1, "y")]) == "axyB"
