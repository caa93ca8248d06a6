"""Findings for people: `full` with the source line, `concise` one line each, and the counts."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from temporal_lint.report import Result, shown_chain, shown_path
from temporal_lint.rule import Diagnostic, Rule, Severity

_TAB = 4
_ELLIPSIS = "..."
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.INFO: "1;36"}


@dataclass(frozen=True)
class Style:
    """How to print: with colours or not, columns available, and the directory that paths are shown from."""

    base: Path
    color: bool = False
    width: int = 120

    def paint(self, text: str, code: str) -> str:
        """`text` in an ANSI colour."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text


def full(shown: Iterable[Diagnostic], style: Style) -> Iterator[str]:
    """Each finding as a paragraph: place and rule, the line with carets, the message, the advice, the calls."""
    for one in shown:
        yield "\n".join(_paragraph(one, style)) + "\n"


def concise(shown: Iterable[Diagnostic], style: Style) -> Iterator[str]:
    """Each finding on one line."""
    for one in shown:
        yield f"{_place(one, style)} {style.paint(one.code, _COLORS[one.severity])}{_marks(one)} {one.message}"


def summary(result: Result) -> str:
    """One sentence of counts."""
    live = result.live
    if not live and not result.files:
        return "There is no Python file to check."
    if not live:
        return f"All checks passed: {_count(result.files, 'file')} checked."
    levels = Counter(one.severity for one in live)
    parts = [_count(levels[Severity.ERROR], "error"), _count(levels[Severity.WARNING], "warning")]
    if levels[Severity.INFO]:
        parts.append(_count(levels[Severity.INFO], "note"))
    fixable = any(_is_fixable(one) for one in live)
    files = len({one.path for one in live})
    tail = " (for [*], the json and sarif reports hold the fix)" if fixable else ""
    return f"Found {', '.join(parts[:-1])} and {parts[-1]} in {_count(files, 'file')}{tail}."


def statistics(shown: Iterable[Diagnostic]) -> Iterator[str]:
    """How often each rule was found, most frequent first."""
    counts = Counter((one.code, one.name) for one in shown)
    width = len(str(max(counts.values(), default=0)))
    for (code, name), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield f"{count:>{width}}  {code}  {name}"


def table(rules: Iterable[Rule]) -> Iterator[str]:
    """The rules: code, name, level, fix and title, in columns."""
    rows = [(rule.code, rule.name, rule.severity.value, rule.fix or "", rule.title) for rule in rules]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_fixable(one: Diagnostic) -> bool:
    return one.fix is not None and one.fix.applicability == "safe"


def _place(one: Diagnostic, style: Style) -> str:
    place = style.paint(f"{shown_path(one.path, style.base)}:{one.row}:{one.column}:", "1")
    return f"{place} {style.paint(one.severity.value, _COLORS[one.severity])}:"


def _marks(one: Diagnostic) -> str:
    return (" [*]" if _is_fixable(one) else "") + (" (suppressed)" if one.suppressed is not None else "")


def _paragraph(one: Diagnostic, style: Style) -> Iterator[str]:
    yield f"{_place(one, style)} {style.paint(f'{one.code} {one.name}', '1')}{_marks(one)}"
    gutter = len(str(one.row))
    bar = style.paint("|", "34")
    if one.lines:
        text, carets = excerpt(one, style.width - gutter - 3)
        yield f"{' ' * gutter} {bar}"
        yield f"{style.paint(str(one.row), '34')} {bar} {text}".rstrip()
        yield f"{' ' * gutter} {bar} {style.paint(carets, _COLORS[one.severity])}"
    margin = " " * (gutter + 1)
    yield f"{margin}{style.paint('=', '34')} {one.message}"
    if one.advice:
        yield f"{margin}{style.paint('help:', '1;32')} {one.advice}"
    if one.chain:
        yield f"{margin}{style.paint('calls:', '1')} {' -> '.join(shown_chain(one, style.base))}"
    if one.suppressed is not None:
        yield f"{margin}{style.paint('suppressed:', '1')} {one.suppressed or 'no reason given'}"


def excerpt(one: Diagnostic, width: int) -> tuple[str, str]:
    """The finding's first line and the carets below it, in at most `width` columns of a terminal.

    Tabs become spaces, wide characters count two columns, and a long line is cut around the finding.
    """
    line = one.lines[0]
    first = min(one.column - 1, len(line))
    last = one.end_column - 1 if one.end_row == one.row else len(line.rstrip())
    last = min(max(last, first + 1), max(len(line), first + 1))
    cells = [_cell(character) for character in line]
    start, stop = _window(cells, first, width)
    head, tail = _ELLIPSIS if start else "", _ELLIPSIS if stop < len(cells) else ""
    text = head + "".join(cell for cell, _ in cells[start:stop]) + tail
    before = len(head) + sum(columns for _, columns in cells[start:first])
    under = sum(columns for _, columns in cells[first : min(last, stop)])
    return text, " " * before + "^" * max(under, 1)


def _cell(character: str) -> tuple[str, int]:
    """What to print for a character, and the columns that takes."""
    if character == "\t":
        return " " * _TAB, _TAB
    if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        # Control characters of a source file must not reach the terminal.
        return "\N{REPLACEMENT CHARACTER}", 1
    if unicodedata.combining(character):
        return character, 0
    return character, 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _window(cells: list[tuple[str, int]], first: int, width: int) -> tuple[int, int]:
    """The part of a line to show, as indices: the whole where it fits, else from a little before the finding."""
    if sum(columns for _, columns in cells) <= width:
        return 0, len(cells)
    room = max(width - 2 * len(_ELLIPSIS), 20)
    start = first
    lead = min(room // 3, sum(columns for _, columns in cells[:first]))
    while start > 0 and lead >= cells[start - 1][1]:
        start -= 1
        lead -= cells[start][1]
    stop = start
    while stop < len(cells) and room >= cells[stop][1]:
        room -= cells[stop][1]
        stop += 1
    return start, stop
