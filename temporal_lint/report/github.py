"""Findings as workflow commands of GitHub Actions, which shows them beside the changed lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from temporal_lint.report import sentence, shown_path
from temporal_lint.rule import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def write(shown: Iterable[Diagnostic], base: Path) -> str:
    """One command a finding; paths from `base`, the checkout."""
    return "".join(f"{_command(one, base)}\n" for one in shown)


def _command(one: Diagnostic, base: Path) -> str:
    path = shown_path(one.path, base)
    values = {"title": f"{one.code} {one.name}", "file": path, "line": one.row, "endLine": one.end_row}
    if one.row == one.end_row:
        values |= {"col": one.column, "endColumn": one.end_column}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in values.items())
    return f"::{_COMMANDS[one.severity]} {properties}::{_data(f'{path}:{one.row}:{one.column}: {sentence(one)}')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
