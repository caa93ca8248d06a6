"""Report files: which form a name asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_temporal_guard.reports.figures import report

Data = dict[str, Any]


def write(file: Path, runs: list[Data], faults: list[str]) -> str | None:
    """Write a report in the form that the file's ending asks for; gives back one sentence if that is not possible."""
    try:
        if file.suffix.lower() == ".html":
            from pytest_temporal_guard.reports.html import page

            text = page(report(runs, faults))
        else:
            text = json.dumps(report(runs, faults), indent=1, ensure_ascii=False) + "\n"
        file.parent.mkdir(parents=True, exist_ok=True)
        # A lone surrogate in a workflow's id has no UTF-8; it must not cost the report.
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        return f"The report {file} cannot be written: {error.strerror or error}."
    return None
