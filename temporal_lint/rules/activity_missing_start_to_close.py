"""An activity call that bounds all attempts together, and no single one.

## What
Reports an activity call that gives `schedule_to_close_timeout` and no `start_to_close_timeout`. It stays silent where
the retry policy allows one attempt only: then both mean the same. Test modules are left alone.

## Why
`schedule_to_close_timeout` covers the wait for a worker, every attempt and every pause between them. Without
`start_to_close_timeout` the server gives one attempt all of that. When a worker dies or hangs in the first attempt,
nobody notices before the whole budget is gone, and no time is left for the retry that would have succeeded.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity("charge", order, schedule_to_close_timeout=timedelta(hours=2))  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

ONCE = RetryPolicy(maximum_attempts=1)


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, options: dict[str, Any]) -> None:
        budget = timedelta(hours=2)
        await workflow.execute_activity(
            "charge", order, schedule_to_close_timeout=budget, start_to_close_timeout=timedelta(minutes=5)
        )
        await workflow.execute_activity("charge", order, schedule_to_close_timeout=budget, retry_policy=ONCE)
        await workflow.execute_activity("charge", order, schedule_to_close_timeout=budget, **options)
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.project import SdkCall
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.values import UNKNOWN

_ATTEMPT = "start_to_close_timeout"
_BUDGET = "schedule_to_close_timeout"


@rule("TMP102", Severity.WARNING)
def activity_missing_start_to_close(call: SdkCall) -> Iterator[Finding]:
    """Report an activity call whose only bound is the budget of all attempts."""
    if call.family != "activity" or call.module.is_test or not _has_budget_only(call) or _is_tried_once(call):
        return
    if call.inner is not None and _has_budget_only(call.inner):
        return
    yield Finding(
        call.module,
        call.node,
        f"`{call.name}` gets `{_BUDGET}` and no `{_ATTEMPT}`: one attempt that hangs uses up the time of all retries.",
        f"Give each attempt a `{_ATTEMPT}` well below the budget.",
    )


def _has_budget_only(call: SdkCall) -> bool:
    budget = call.option(_BUDGET)
    if budget is None or not call.is_absent(_ATTEMPT) or any(each.nearest == _ATTEMPT for each in call.strays):
        return False
    value = call.project.values.constant(budget.expression, budget.scope)
    # no time at all is no budget either
    return value is UNKNOWN or bool(value)


def _is_tried_once(call: SdkCall) -> bool:
    """Whether the retry policy is certain to allow one attempt, or too unclear to deny it."""
    bound = call.option("retry_policy")
    if bound is None:
        return False
    policy = call.project.made_by(bound)
    if policy is None:
        return not call.is_absent("retry_policy")
    attempts = policy.option("maximum_attempts")
    if attempts is None:
        return policy.open_keywords
    value = call.project.values.constant(attempts.expression, attempts.scope)
    return value is UNKNOWN or value == 1
