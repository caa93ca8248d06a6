"""An activity call whose retries never end.

## What
Reports an activity call with no `schedule_to_close_timeout` and a retry policy without `maximum_attempts` (or with 0,
which means the same), the default policy included. The policy is followed through names, constants and splats; one
that cannot be followed is left alone.

## Why
Temporal retries a failing activity until it succeeds. Without a limit a bug or a bad input is tried again for ever:
the workflow looks alive, and nobody is told.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

PATIENT = RetryPolicy(maximum_interval=timedelta(minutes=1))


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        timeout = timedelta(minutes=5)
        await workflow.execute_activity("charge", order, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", order, start_to_close_timeout=timeout, retry_policy=PATIENT)  # expect
        await workflow.execute_activity(  # expect
            "charge", order, start_to_close_timeout=timeout, retry_policy=RetryPolicy(maximum_attempts=0)
        )
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

THREE = RetryPolicy(maximum_attempts=3)


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, options: Any) -> None:
        timeout = timedelta(minutes=5)
        await workflow.execute_activity("charge", order, start_to_close_timeout=timeout, retry_policy=THREE)
        await workflow.execute_activity("charge", order, schedule_to_close_timeout=timeout)
        await workflow.execute_activity("charge", order, start_to_close_timeout=timeout, **options)
        await workflow.execute_activity("charge", order, start_to_close_timeout=timeout, retry_policy=options.policy)
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.project import SdkCall
from temporal_lint.rule import Finding, Severity, rule


@rule("TMP112", Severity.INFO)
def unbounded_retries(call: SdkCall) -> Iterator[Finding]:
    """Report activity calls that nothing ends; what a wrapper does by itself is reported in the wrapper."""
    if call.family != "activity" or not _is_unbounded(call):
        return
    if call.via and any(_is_unbounded(each.inner) for each in call.project.wrappers(call.via[0])):
        return
    yield Finding(
        call.module,
        call.node,
        "Retries of this activity never end: neither `maximum_attempts` nor `schedule_to_close_timeout` is set, so an "
        "error that stays is tried again for ever.",
        "Give `retry_policy=RetryPolicy(maximum_attempts=...)` or a `schedule_to_close_timeout`.",
    )


def _is_unbounded(call: SdkCall) -> bool:
    if not call.is_absent("schedule_to_close_timeout"):
        return False
    if call.is_absent("retry_policy"):
        return True
    policy = call.option("retry_policy")
    made = call.project.made_by(policy) if policy is not None else None
    if made is None or made.api != "temporalio.common.RetryPolicy":
        return False
    attempts = made.option("maximum_attempts")
    if attempts is None:
        return not (made.open_keywords or made.open_positional)
    value = call.project.values.constant(attempts.expression, attempts.scope)
    return type(value) is int and value == 0
