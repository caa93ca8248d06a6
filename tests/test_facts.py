"""What one module declares: scopes, bindings, functions, classes, calls, imports."""

from __future__ import annotations

import ast

import pytest
from support import project

from temporal_lint.facts import Module, absolute


def module(text: str) -> Module:
    return project(text).modules["app"]


def names(text: str, scope: str) -> dict[str, list[str]]:
    """The bindings of the named function or class (or "" for the module): name -> kinds."""
    facts = module(text)
    if not scope:
        return {name: [each.kind for each in found] for name, found in facts.scope.bindings.items()}
    holder = next(each for each in [*facts.functions, *facts.classes] if each.qualname == scope)
    return {name: [each.kind for each in found] for name, found in holder.scope.bindings.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a.b", {"a": ["import"]}),
        ("import a.b as c", {"c": ["import"]}),
        ("from a import b as c, d", {"c": ["import"], "d": ["import"]}),
        ("x = y = 1", {"x": ["assign"], "y": ["assign"]}),
        ("x: int", {"x": ["assign"]}),
        ("x, (y, *z) = f()", {"x": ["unpack"], "y": ["opaque"], "z": ["opaque"]}),
        ("x, y = 1, 2", {"x": ["assign"], "y": ["assign"]}),
        ("for x in y: pass", {"x": ["opaque"]}),
        ("with f() as x: pass", {"x": ["assign"]}),
        ("try: pass\nexcept E as x: pass", {"x": ["opaque"]}),
        ("x += 1", {"x": ["opaque"]}),
        ("(x := 1)", {"x": ["assign"]}),
        ("[(x := y) for y in z]", {"x": ["assign"]}),
        ("match a:\n    case {'k': x, **y}: pass", {"x": ["opaque"], "y": ["opaque"]}),
        ("def f(): pass\nclass C: pass", {"f": ["function"], "C": ["class"]}),
        ("del x", {"x": ["opaque"]}),
    ],
)
def test_module_bindings(text: str, expected: dict[str, list[str]]) -> None:
    assert names(text, "") == expected


def test_global_and_nonlocal_bind_where_they_say() -> None:
    text = "def f():\n    global g\n    g = 1\n    n = 0\n    def h():\n        nonlocal n\n        n = 2\n"
    assert names(text, "")["g"] == ["assign"]
    assert names(text, "f")["n"] == ["assign", "assign"]
    assert names(text, "f.h") == {}


def test_class_scope_is_hidden_from_methods() -> None:
    facts = module("x = 1\nclass C:\n    x = 2\n    def f(self):\n        return x\n")
    function = facts.functions[0]
    assert function.scope.holder("x") is facts.scope
    assert facts.classes[0].scope.holder("x") is facts.classes[0].scope


def test_methods_attributes_and_parameters() -> None:
    facts = module(
        "class C:\n"
        "    def __init__(self, a, /, b=1, *args, c: int, d=2, **rest):\n"
        "        self.a: int = a\n"
        "        self.b, self.c = b, c\n"
    )
    cls, function = facts.classes[0], facts.functions[0]
    assert set(cls.attributes) == {"a", "b", "c"}
    assert [(each.name, each.kind) for each in function.bound_parameters] == [
        ("a", "positional-only"),
        ("b", "positional"),
        ("args", "var-positional"),
        ("c", "keyword-only"),
        ("d", "keyword-only"),
        ("rest", "var-keyword"),
    ]
    assert function.label == "app.C.__init__"


def test_a_call_belongs_to_the_function_whose_body_runs_it() -> None:
    facts = module(
        "@deco()\ndef f(a=default()):\n    inner()\n    def g():\n        deep()\n    return lambda: late()\n"
    )
    where = {ast.unparse(each.node.func): each.function.qualname if each.function else "" for each in facts.calls}
    assert where == {"deco": "", "default": "", "inner": "f", "deep": "f.g", "late": "f"}


@pytest.mark.parametrize(
    ("module_name", "package", "name", "level", "expected"),
    [
        ("a.b.c", False, "x", 0, "x"),
        ("a.b.c", False, "x", 1, "a.b.x"),
        ("a.b.c", False, None, 2, "a"),
        ("a.b", True, "x", 1, "a.b.x"),
        ("a", False, "x", 1, "x"),
        ("a", False, "x", 2, None),
    ],
)
def test_relative_imports(module_name: str, package: bool, name: str | None, level: int, expected: str | None) -> None:
    assert absolute(module_name, package, name, level) == expected


def test_returns_and_yields_of_nested_functions_stay_apart() -> None:
    facts = module("def f():\n    def g():\n        yield 1\n        return 2\n    return 3\n")
    outer, inner = facts.functions
    assert (outer.yields, inner.yields) == (False, True)
    assert [ast.unparse(each) for each in outer.returned if each] == ["3"]
