"""What all reports tell of all runs: sums, and which runs come nearest to their limits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# Raised when a key changes its meaning or goes away; new keys leave it as it is.
FORMAT_VERSION = 1

Data = dict[str, Any]


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


def _sum(numbers: Iterable[int]) -> int:
    return sum(numbers)


def _version() -> str:
    try:
        return version("temporal-lint")
    except PackageNotFoundError:
        return "unknown"
