"""A run starts no more activities than one run should.

## What it asserts
One run schedules at most `max_activities` activities, and at most `max_pending_activities` of them pend at once. Each
link of a chain of runs that continue as new counts for itself.

## Why
Each activity adds three events and its arguments and result to the history, which ends at 51,200 events or 50 MiB;
every replay reads all of them. The server refuses a run's next activity when 2,000 pend, and its documentation advises
to stay at 500 or below. With the small data of a test a loop over all items passes; with production's it does not.

## What to change
Continue as new after a batch, start child workflows for parts of the work, or let one activity work on several items.
Bound what runs at once with a semaphore.

## Limits
Local activities are not counted: they are no activities for the server. A retry is no further activity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach, figure, largest
from pytest_temporal_guard.settings import COUNT, LEVEL, Limits, Setting, count, level

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting("activities", level, LEVEL, "fail", "What becomes of a test whose workflow starts too many activities."),
    Setting(
        "max_activities", count, COUNT, 1_000,
        "Activities that one run may schedule.",
    ),
    Setting(
        "max_pending_activities", count, COUNT, 500,
        "Activities of one run that may pend at once; the server advises 500 and refuses more than 2,000.",
    ),
)  # fmt: skip


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Count what was scheduled, and what was scheduled but not closed, event by event."""
    total, pending = limits["max_activities"], limits["max_pending_activities"]
    scheduled = Counter(each.type for each in run.activities)
    if scheduled.total() > total.value:
        yield Breach(
            f"it schedules {figure(scheduled.total())} activities.",
            "Continue as new after a batch, start child workflows for parts of the work, or let one activity work on "
            "several items.",
            _shares(scheduled),
            total,
        )
    most = _most_at_once(run)
    if most.total() > pending.value:
        yield Breach(
            f"{figure(most.total())} of its activities pend at once.",
            "Bound what runs at once (`asyncio.Semaphore`), start child workflows for parts of the work, or let one "
            "activity work on several items.",
            _shares(most),
            pending,
        )


def _most_at_once(run: Run) -> Counter[str]:
    """The activities by type at the moment when the most of them pend."""
    from pytest_temporal_guard.runs import ACTIVITY_ENDS, attributes_of

    types = {each.scheduled_event_id: each.type for each in run.activities}
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for event in run.events:
        if event.event_id in types:
            now[types[event.event_id]] += 1
            if now.total() > most.total():
                most = now.copy()
        elif event.event_type in ACTIVITY_ENDS:
            now[types.get(attributes_of(event).scheduled_event_id, "?")] -= 1
    return +most


def _shares(by_type: Counter[str]) -> tuple[str, ...]:
    return largest((number, f"{figure(number)} of `{name}`") for name, number in by_type.items())
