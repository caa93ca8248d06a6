"""Spans against CPython's own places, and on every kind of line end."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from temporal_lint import tree
from temporal_lint.source import Source, SourceError
from temporal_lint.spans import Spans

STDLIB = Path(sysconfig.get_path("stdlib"))
# CPython gives these a place of its own: the parentheses of a call, a trailing comma.
OWN_WAYS = (ast.GeneratorExp, ast.Tuple)
TEXT = '''"""Page."""
@decorated
async def workflow(
    a: int,  # why
    *args,
) -> None:
    x = ((a) + [b for b in (c)])  # ünï
    if x: y = "é" "ü"; f( a , k = (1, ) ) .g

class A ( B ):
\tpass
'''


def both(source: Source) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Lowered and CPython's nodes side by side, without the insides of f-strings (which have no places below 3.12)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ast.parse(source.text)
    waiting: list[tuple[ast.AST, ast.AST]] = [(tree.parse(source), expected)]
    while waiting:
        ours, theirs = waiting.pop()
        yield ours, theirs
        if type(ours).__name__ not in ("JoinedStr", "TemplateStr"):
            waiting += zip(ast.iter_child_nodes(ours), ast.iter_child_nodes(theirs), strict=True)


def offset(source: Source, line: int, column: int) -> int:
    text = source.line(line)
    return source.line_starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))


def check(source: Source) -> int:
    spans, checked = Spans(source), 0
    for ours, place in both(source):
        theirs: Any = place
        if not hasattr(theirs, "lineno") or isinstance(theirs, OWN_WAYS):
            continue
        start = offset(source, theirs.lineno, theirs.col_offset)
        end = offset(source, theirs.end_lineno, theirs.end_col_offset)
        if isinstance(ours, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            assert source.text[slice(*spans.name(ours))] == ours.name
            assert spans.whole(ours)[1] == end
            assert ours.decorator_list or spans.whole(ours)[0] == start
        else:
            assert spans.of(ours) == (start, end), (source.path, theirs.lineno, type(theirs).__name__)
        checked += 1
    return checked


def test_spans_are_cpythons_over_the_standard_library() -> None:
    files = sorted(path for path in STDLIB.glob("*/*.py") if "site-packages" not in path.parts)
    checked = 0
    for path in files[:: max(len(files) // 40, 1)]:
        try:
            source = Source.read(path)
            checked += check(source)
        except (SourceError, SyntaxError):
            continue
    assert checked > 10_000


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_spans_on_every_line_end(end: str) -> None:
    assert check(Source(Path("/project/app.py"), TEXT.replace("\n", end))) > 30


def test_mixed_line_ends_form_feeds_and_a_byte_order_mark() -> None:
    source = Source.decode(Path("/project/app.py"), b"\xef\xbb\xbfa = 1\r\n\x0c\nb = (2)\rif c:\n\x0c\td  \r\n\te")
    found = {
        node.id: source.text[slice(*Spans(source).of(node))]
        for node in ast.walk(tree.parse(source))
        if isinstance(node, ast.Name)
    }
    assert found == {name: name for name in "abcde"}


def test_parentheses_calls_and_comments() -> None:
    source = Source(Path("/project/app.py"), "x = ( ( a ) ) . f( ( g )(y for y in z) , (1, ) ) # é # b\n'# no'\n")
    module, spans = tree.parse(source), Spans(source)
    call = module.body[0].value  # type: ignore[attr-defined]

    def text(span: tuple[int, int]) -> str:
        return source.text[slice(*span)]

    assert text(spans.of(call.func.value)) == "a"
    assert text(spans.outer(call.func.value)) == "( ( a ) )"
    assert text(spans.func(call.args[0])) == "( g )"
    assert text(spans.of(call.args[0].args[0])) == "y for y in z"
    assert text(spans.of(call.args[1])) == "(1, )"
    assert [text(span) for span in spans.comments] == ["# é # b"]


def test_a_function_is_underlined_at_its_name_and_whole_with_its_decorators() -> None:
    source = Source(Path("/project/app.py"), TEXT)
    function, spans = tree.parse(source).body[1], Spans(source)
    assert source.text[slice(*spans.of(function))] == "workflow"
    assert source.text[slice(*spans.whole(function))].startswith("@decorated\nasync def")
    assert source.text[slice(*spans.outer(function))].endswith(" .g")
