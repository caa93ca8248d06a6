"""What Python accepts and libcst does not is checked all the same, with Python's own places."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import temporal_lint
from temporal_lint import fallback, tree
from temporal_lint.source import Source, SourceError
from temporal_lint.spans import Spans
from tests.support import ROOT, project

PACKAGE = Path(temporal_lint.__file__).parent
# libcst gives the first without its parentheses, and a clause its `for`
OWN_PLACES = (ast.GeneratorExp, ast.comprehension)

REFUSED = """from temporalio import workflow

(x): int = 1


@workflow.defn
class Flow:
    @workflow.run
    async def run(self) -> None:
        "ä"; await workflow.execute_activity("a", f"{x}")
"""


def source(text: str) -> Source:
    return Source(ROOT / "app.py", text)


@pytest.mark.parametrize("name", ["fallback.py", "nesting.py", "rules/arg_and_args.py", "source.py"])
def test_places_are_those_of_libcst(name: str) -> None:
    read = Source.read(PACKAGE / name)
    lowered, spans, parsed = tree.parse(read), Spans(read), fallback.parse(read)
    assert parsed is not None and ast.dump(parsed.tree) == ast.dump(lowered)
    pairs = list(zip(ast.walk(lowered), ast.walk(parsed.tree), strict=True))
    unknown = {each for node, _ in pairs if isinstance(node, ast.JoinedStr) for each in ast.walk(node)}
    for mine, other in pairs:
        if mine in unknown or isinstance(mine, OWN_PLACES) or not hasattr(mine, "at"):
            continue
        assert parsed.spans[other.at] == spans.of(mine), ast.dump(mine)  # type: ignore[attr-defined]


def test_numbers_are_in_the_order_of_evaluation() -> None:
    parsed = fallback.parse(source("a = [b, c if d else e]\nf(g, h=i)\n"))
    assert parsed is not None
    names = sorted((each for each in ast.walk(parsed.tree) if isinstance(each, ast.Name)), key=lambda each: each.at)  # type: ignore[attr-defined]
    assert [each.id for each in names] == ["a", "b", "d", "c", "e", "f", "g", "i"]


def test_what_libcst_refuses_is_parsed() -> None:
    with pytest.raises(SourceError, match="libcst cannot parse this, though Python can"):
        tree.parse_with_origins(source(REFUSED))
    module = project(REFUSED).modules["app"]
    spans = Spans(module.source)
    assert not spans.exact
    texts = {type(each): REFUSED[slice(*spans.of(each))] for each in ast.walk(module.tree) if hasattr(each, "at")}
    assert texts[ast.Await] == 'await workflow.execute_activity("a", f"{x}")'
    assert texts[ast.AsyncFunctionDef] == "run"
    assert texts[ast.JoinedStr] == 'f"{x}"'
    (cls,) = module.classes
    assert REFUSED[slice(*spans.whole(cls.node))].startswith("@workflow.defn\nclass Flow")


def test_no_python_is_no_python() -> None:
    assert fallback.parse(source("x = (")) is None
    with pytest.raises(SourceError, match="Python cannot parse this"):
        tree.parse(source("x = ("))
