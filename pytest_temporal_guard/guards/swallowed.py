"""No workflow catches and hides that it broke the rules of determinism.

## What it asserts
An error of the sandbox, or of nondeterminism, that was raised in a workflow reaches someone: the task or the workflow
fails with it, or an update is refused with it. It does not end in an `except` of the workflow's own.

## Why
The sandbox refuses the clock, random numbers, files and the network, since a replay cannot get the same from them. A
broad `except Exception` around such a call turns the refusal into the fallback value, and the test passes: what the
workflow was to do it never does. Without the sandbox the call goes through, and the replay fails in production.

## What to change
Make the call in an activity, or use what `temporalio.workflow` has for it (`now`, `random`, `uuid4`). Catch the errors
that you expect, and not `Exception`.

## Limits
What a library catches for itself is not told of, nor is what a module does while it is imported, nor what a query does:
a query is no part of what is replayed. Only errors that were raised are seen; without the sandbox there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import LEVEL, Limits, Setting, level

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting(
        "swallowed", level, LEVEL, "fail",
        "What becomes of a test whose workflow catches and hides an error of the sandbox or of nondeterminism.",
    ),
)  # fmt: skip


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Tell each error that was hidden once."""
    for message in dict.fromkeys(run.observed.swallowed):
        yield Breach(
            f"it catches an error of determinism and goes on: {message}",
            "Make the call in an activity, or use what `temporalio.workflow` has for it (`now`, `random`, `uuid4`); "
            "catch the errors that you expect, and not `Exception`.",
        )
