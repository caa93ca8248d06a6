"""The section "temporal guard" at the end of the terminal's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_temporal_guard.reports.figures import nearest_first, totals
from pytest_temporal_guard.wording import bytes_text, counted, span_text

if TYPE_CHECKING:
    from pytest_temporal_guard.reports import Reports

MOST_ROWS = 10
MOST_WARNINGS = 20
_HEADINGS = ("test", "workflow", "events", "bytes", "payload", "act.", "time", "outcome")
_LEFT = ("test", "workflow", "outcome")
_GAP = 2
_NARROWEST = 8
_OUTCOMES = {"continued as new": "continued", "terminated": "ended"}


def summarise(terminal: pytest.TerminalReporter, reports: Reports) -> None:
    """Print the largest runs, their totals, what guards warn of, and the files written."""
    terminal.write_sep("=", "temporal guard")
    runs = list(reports.runs.values())
    if runs:
        _table(terminal, nearest_first(runs)[:MOST_ROWS], len(runs))
        terminal.write_line(_totals_line(runs))
        _warnings(terminal, runs)
    for trouble in reports.troubles:
        terminal.write_line(trouble, red=True)
    for file in reports.written:
        terminal.write_line(f"report: {file}")


def _table(terminal: pytest.TerminalReporter, runs: list[dict[str, Any]], of: int) -> None:
    if of > len(runs):
        terminal.write_line(f"The {len(runs)} of {of} runs that come nearest to a limit:")
    rows = [_cells(run) for run in runs]
    widths = _widths([_HEADINGS, *rows], terminal._tw.fullwidth)
    terminal.write_line(_line(_HEADINGS, widths), bold=True)
    for run, row in zip(runs, rows, strict=True):
        levels = {each["level"] for each in run["breaches"]}
        terminal.write_line(_line(row, widths), red="fail" in levels, yellow=levels == {"warn"})


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        run["test"].rpartition("::")[2] or run["test"],
        run["workflow"],
        f"{run['events']:,}",
        bytes_text(run["bytes"]),
        bytes_text(run["payloads"]["largest_bytes"]),
        f"{run['activities']['count']:,}",
        span_text(run["virtual_seconds"]),
        _OUTCOMES.get(run["outcome"], run["outcome"]) if run["has_history"] else "unknown",
    )


def _widths(rows: list[tuple[str, ...]], total: int) -> list[int]:
    """Columns as wide as their content; test and workflow share what the figures leave."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = total - 1 - sum(widths[2:]) - _GAP * (len(widths) - 1)
    test, workflow = widths[:2]
    if test + workflow > left:
        workflow = min(workflow, max(_NARROWEST, left - test, left // 2))
        test = min(test, max(_NARROWEST, left - workflow))
    return [test, workflow, *widths[2:]]


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = [
        _clipped(cell, width).ljust(width) if name in _LEFT else cell.rjust(width)
        for name, cell, width in zip(_HEADINGS, cells, widths, strict=True)
    ]
    return (" " * _GAP).join(aligned).rstrip()


def _clipped(text: str, width: int) -> str:
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= width else text[: width - 2] + ".."


def _totals_line(runs: list[dict[str, Any]]) -> str:
    sums = totals(runs)
    whose = f"{counted(sums['runs'], 'run')} in {counted(sums['tests'], 'test')}"
    parts = [
        counted(sums["breaches"], "breach", "breaches"),
        counted(sums["events"], "event"),
        bytes_text(sums["bytes"]),
        counted(sums["activities"], "activity", "activities"),
        f"{span_text(sums['virtual_seconds'])} virtual",
    ]
    return f"{whose}: {', '.join(parts)}"


def _warnings(terminal: pytest.TerminalReporter, runs: list[dict[str, Any]]) -> None:
    told = [
        f"warning: {run['test'].rpartition('::')[2]}: {run['workflow']}: {each['measured']} ({each['guard']})"
        for run in runs
        for each in run["breaches"]
        if each["level"] == "warn"
    ]
    for line in told[:MOST_WARNINGS]:
        terminal.write_line(line, yellow=True)
    if len(told) > MOST_WARNINGS:
        terminal.write_line(f"... and {len(told) - MOST_WARNINGS} more warnings", yellow=True)
