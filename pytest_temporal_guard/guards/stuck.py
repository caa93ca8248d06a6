"""A test that waits for a workflow which will never go on fails at once, with the reason.

## What it asserts
While a test waits for a workflow (`result`, an update, a query), the workflow makes progress. It makes none when

- its task fails `stuck_after` times in a row: a plain exception, a value that cannot be encoded, a payload that is too
  large, a missing timeout, a deadlock, a workflow that the worker does not know;
- it waits for an activity that the worker does not know, or whose result cannot be encoded, and that is tried for
  ever;
- it waits for a child workflow for which that is so.

The wait then raises `StuckWorkflowError`, whose message says what fails, at which line, and what to change.

## Why
The server tries a failed workflow task again for as long as it takes, so that a bug can be mended while the workflow
waits. In a test nobody mends it: the test hangs until a timeout that knows no reason, and the reason is in a log. In
production the workflow stands still, and nobody is told.

## What to change
What the message says. Where a test means to let the task fail, give it the marker `temporal_guard(stuck="off")`, or a
higher `stuck_after`.

## Limits
Only waits are ended: a test that lets a workflow fail and looks at something else is left alone, as is one whose
workflow recovers before the last failure in question. On the servers of tests a task that fails is tried again at once,
and then after ten seconds: `stuck_after` above 2 takes that long. Activities whose attempts or time are bounded, and
workflows with a timer open, are left alone, since they end by themselves. With the level `warn` the test goes on
waiting, and is warned of once it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import COUNT, LEVEL, Limits, Setting, count, level

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting("stuck", level, LEVEL, "fail", "What becomes of a test that waits for a workflow which makes no progress."),
    Setting(
        "stuck_after", count, COUNT, 2,
        "Failures of a workflow task in a row after which the workflow makes no progress.",
    ),
)  # fmt: skip


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Tell what the test did not hear of, or did not let through."""
    stuck = run.observed.stuck
    if stuck is not None and not run.observed.stuck_told:
        first, _, rest = stuck.partition("\n")
        *contributors, advice = [each.strip().removeprefix("- ") for each in rest.splitlines()] or [""]
        yield Breach(first.removeprefix(f"{run.title}: "), advice, tuple(contributors))
