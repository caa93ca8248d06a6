"""Findings as JSON, in Ruff's shape: what reads Ruff's output reads this."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from temporal_lint.report import Result, sentence, shown_chain
from temporal_lint.rule import Diagnostic
from temporal_lint.source import Source


def write(result: Result, shown: Iterable[Diagnostic]) -> str:
    """A list of objects; rows and columns from 1, `filename` absolute, the paths of `chain` from
    the root. `suppressed` is there only where it is so."""
    return json.dumps([_object(one, result) for one in shown], indent=2, ensure_ascii=False) + "\n"


def _object(one: Diagnostic, result: Result) -> dict[str, Any]:
    document: dict[str, Any] = {
        "code": one.code,
        "name": one.name,
        "severity": one.severity.value,
        "message": sentence(one),
        "filename": one.path,
        "location": {"row": one.row, "column": one.column},
        "end_location": {"row": one.end_row, "column": one.end_column},
        "url": None,
        "chain": shown_chain(one, result.root),
        "fix": _fix(one, result.sources[one.path]) if one.fix else None,
    }
    if one.suppressed is not None:
        document["suppressed"] = one.suppressed
    return document


def _fix(one: Diagnostic, source: Source) -> dict[str, Any] | None:
    if one.fix is None:
        return None
    edits = [
        {"location": _place(source, edit.start), "end_location": _place(source, edit.end), "content": edit.content}
        for edit in one.fix.edits
    ]
    return {"applicability": one.fix.applicability, "message": one.fix.message, "edits": edits}


def _place(source: Source, offset: int) -> dict[str, int]:
    row, column = source.position(offset)
    return {"row": row, "column": column}
