"""The history of a run is within what the server takes.

## What it asserts
Each run, and each link of a chain of runs that continue as new, stays below `max_history_events` events and
`max_history_bytes` bytes.

## Why
The server warns at 10,240 events or 10 MiB, and ends a run at 51,200 events or 50 MiB: the workflow is terminated, and
its work is lost. Long before that every replay of it takes longer, since a worker that has it no more in its cache
reads all of it again. A test with little data that comes near the limit passes it in production.

## What to change
Continue as new (`workflow.info().is_continue_as_new_suggested()`), or start child workflows for parts of the work.

## Limits
The defaults are those at which the server warns. The time-skipping server counts the same events as a real one; its
bytes run 5 to 10 % low. Events that only time skipping makes are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach, figure, largest
from pytest_temporal_guard.settings import COUNT, LEVEL, SIZE, Limits, Setting, count, level, size

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting("history", level, LEVEL, "fail", "What becomes of a test whose workflow's history is too long."),
    Setting(
        "max_history_events", count, COUNT, 10_240,
        "Events that the history of one run may have; the server warns at 10,240 and ends the run at 51,200.",
    ),
    Setting(
        "max_history_bytes", size, SIZE, 10 * 1024 * 1024,
        "Bytes that the history of one run may have; the server warns at 10 MiB and ends the run at 50 MiB.",
    ),
)  # fmt: skip
OF_HISTORY = True


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Compare events and bytes with their limits."""
    events, bytes_ = limits["max_history_events"], limits["max_history_bytes"]
    advice = "Continue as new before that, or move parts of the work to child workflows."
    if len(run.events) > events.value:
        yield Breach(
            f"its history has {figure(len(run.events))} events.",
            advice,
            _by_type(run, lambda event: 1, "events"),
            events,
        )
    if run.history_bytes > bytes_.value:
        yield Breach(
            f"its history has {figure(run.history_bytes)} bytes.",
            advice,
            _by_type(run, lambda event: event.ByteSize(), "bytes"),
            bytes_,
        )


def _by_type(run: Run, weight: object, unit: str) -> tuple[str, ...]:
    from pytest_temporal_guard.runs import type_name

    totals: Counter[str] = Counter()
    for event in run.events:
        totals[type_name(event)] += weight(event)  # type: ignore[operator]
    return largest((total, f"{figure(total)} {unit} of {name}") for name, total in totals.items())
