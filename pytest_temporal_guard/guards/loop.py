"""No async activity blocks the event loop.

## What it asserts
While an async activity runs, its event loop is never held for longer than `max_blocking` by the activity's own code:
by a `time.sleep`, a blocking client, a loop that only computes. The message shows the line at which it stood.

## Why
All async activities of a worker share one event loop with the worker itself. One that blocks it stops all others: their
heartbeats are not sent, so the server gives them up and runs them again; workflow tasks time out; a shutdown hangs.
With the fakes of a test everything is fast, and in production one slow answer stops the worker.

## What to change
Await (`asyncio.sleep`, an async client), or push the call into a thread (`await asyncio.to_thread(...)`), or make the
activity a plain `def`, which the worker runs in its executor.

## Limits
It is measured in real time, from a thread that asks the loop a hundred times a second, only while async activities run;
times are up to 10 ms too short. Time for which the whole process stood still does not count: the thread must get its
turn twice while the activity's code holds the loop. Blocking in a task that the activity has started is seen on Python
3.12 and newer only. That a workflow blocks its task is told by the guard `stuck`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach, largest
from pytest_temporal_guard.settings import LEVEL, SECONDS, Limits, Setting, level, seconds

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Block, Run

SETTINGS = (
    Setting("loop", level, LEVEL, "warn", "What becomes of a test whose async activity blocks the event loop."),
    Setting(
        "max_blocking", seconds, SECONDS, 0.1,
        "Seconds for which the code of an async activity may hold the event loop.",
    ),
)  # fmt: skip


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Tell the longest block of each type of activity."""
    limit = limits["max_blocking"]
    by_activity: dict[str, list[Block]] = {}
    for attempt in run.observed.attempts:
        by_activity.setdefault(attempt.activity, []).extend(
            each for each in attempt.blocks if each.seconds > limit.value
        )
    for activity, blocks in by_activity.items():
        if blocks:
            longest = max(blocks, key=lambda each: each.seconds)
            more = "" if len(blocks) == 1 else f", the longest of {len(blocks)} times"
            yield Breach(
                f"the async activity `{activity}` blocks the event loop for {longest.seconds:.2f} s{more}.",
                "Await instead (`asyncio.sleep`, an async client), call it in a thread (`asyncio.to_thread`), or make "
                "the activity a plain `def`.",
                largest((int(each.seconds * 1e6), _shown(each)) for each in blocks),
                limit,
            )


def _shown(block: Block) -> str:
    return f"{block.seconds:.2f} s at " + "\n      from ".join(block.stack.splitlines())
