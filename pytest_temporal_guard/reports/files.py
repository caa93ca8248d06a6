"""Report files: which form a name asks for, and the JSON one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Raised when a key changes its meaning or goes away; new keys leave it as it is.
FORMAT_VERSION = 1

Data = dict[str, Any]

_SPANS = ((1, "s"), (60, "min"), (3600, "h"), (86_400, "d"), (31_536_000, "y"))


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


def report(runs: list[Data], faults: list[str]) -> Data:
    """All that reports tell: `schema.json` describes it."""
    return {
        "version": FORMAT_VERSION,
        "generator": f"pytest_temporal_guard {_version()}",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "totals": totals(runs),
        "faults": faults,
        "runs": runs,
    }


def totals(runs: list[Data]) -> Data:
    """The sums over all runs."""
    breaches = [breach for run in runs for breach in run["breaches"]]
    return {
        "runs": len(runs),
        "tests": len({run["test"] for run in runs}),
        "workflows": len({run["workflow"] for run in runs}),
        "events": _sum(run["events"] for run in runs),
        "bytes": _sum(run["bytes"] for run in runs),
        "activities": _sum(run["activities"]["count"] for run in runs),
        "virtual_seconds": round(sum(run["virtual_seconds"] for run in runs), 6),
        "breaches": len(breaches),
        "warnings": sum(each["level"] == "warn" for each in breaches),
    }


def nearest_first(runs: Iterable[Data]) -> list[Data]:
    """Runs by how near they come to one of their limits, then by size."""
    return sorted(runs, key=lambda run: (-share(run), -run["bytes"], -run["events"]))


def share(run: Data) -> float:
    """The largest share of a limit that a run takes; 1 is all of it."""
    return max(float(each["share"]) for each in run["limits"].values())


def bytes_text(count: float) -> str:
    """A size for people, in powers of 1,024: 512 B, 1.5 KiB, 20 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def span_text(seconds: float) -> str:
    """A span for people, in two units at most: 12 ms, 3.2 s, 1 h 5 min, 30 d."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    larger = [each for each in _SPANS if each[0] <= seconds]
    whole, rest = divmod(int(seconds), larger[-1][0])
    below, name = _SPANS[len(larger) - 2]
    return f"{whole} {larger[-1][1]}" + (f" {rest // below} {name}" if rest // below else "")


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 run, 2 runs, 3 breaches."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _sum(numbers: Iterable[int]) -> int:
    return sum(numbers)


def _version() -> str:
    try:
        return version("temporal-lint")
    except PackageNotFoundError:
        return "unknown"
