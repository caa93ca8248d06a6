"""No run ends while a handler of a signal or an update is still at work (TMPRL1102).

## What it asserts
When a workflow ends, or continues as new, all its handlers have ended, but for those whose `unfinished_policy` says
that they may be abandoned.

## Why
What the handler was doing is cut off in the middle: an activity that was to undo or to charge is never called. Who sent
an update gets an error instead of its result. The SDK says so in a warning that is lost among the others.

## What to change
`await workflow.wait_condition(workflow.all_handlers_finished)` before the workflow ends or continues as new; or
`unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON` for a handler that may be cut off.

## Limits
It is the SDK that tells, for SDKs that do; a workflow that fails is not told of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import LEVEL, Limits, Setting, level

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting(
        "handlers", level, LEVEL, "warn",
        "What becomes of a test whose workflow ends while handlers of signals or updates are at work.",
    ),
)  # fmt: skip


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Tell each of the SDK's warnings once."""
    for message in dict.fromkeys(run.observed.unfinished_handlers):
        yield Breach(
            f"it ends while handlers are at work{_which(message)} (TMPRL1102): what they were doing is cut off.",
            "Before it ends, `await workflow.wait_condition(workflow.all_handlers_finished)`; or give the handler "
            "`unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON`.",
        )


def _which(message: str) -> str:
    """The handlers that the SDK lists as JSON at the end of its warning: ": update `add` (id 1), signal `go`"."""
    kind = "signal" if "signals were unfinished" in message else "update"
    try:
        listed = json.loads(message[message.index(": [") + 2 :])
        return ": " + ", ".join(f"{kind} `{each['name']}`" for each in listed)
    except (ValueError, KeyError, TypeError):
        return ""
