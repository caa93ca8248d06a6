"""An option that the SDK's function does not take.

## What
Reports a keyword that a callable of the SDK refuses: a misspelt option (the nearest one is named), an option of
another callable (`heartbeat_timeout` on a local activity, `retry_policy` on `activity.defn`), or an unknown one. Every
function, method and constructor with a known signature is checked, keys of `**splats` included where they resolve.
Options that the release took which the project locks or pins (`sdk-version`) are left alone.

A keyword that is meant as an argument of the activity, workflow or handler is `activity-argument-by-keyword`.

## Why
Python raises `TypeError` at the call. In a workflow that fails the workflow task, which is retried for ever; on a
decorator or a worker the process does not start.

## Invalid
```python
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

OPTIONS = {"start_to_close": timedelta(minutes=5)}


@activity.defn(retry_policy=RetryPolicy(maximum_attempts=3))  # expect
async def charge(order: str) -> None: ...


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity(charge, order, start_to_close_timout=timedelta(minutes=5))  # expect
        await workflow.execute_activity(charge, order, **OPTIONS)  # expect
        await workflow.execute_local_activity(
            charge,
            order,
            start_to_close_timeout=timedelta(seconds=5),
            heartbeat_timeout=timedelta(seconds=2),  # expect
        )
        await workflow.execute_activity(
            charge,
            order,
            start_to_close_timeout=timedelta(minutes=5),
            retry_policy=RetryPolicy(max_attempts=3),  # expect
        )
```

```python
from temporalio.client import Client
from temporalio.worker import Worker


async def main() -> None:
    client = await Client.connect("localhost:7233", name_space="default")  # expect
    await client.start_workflow("Billing", "order-1", id="order-1", taskqueue="billing")  # expect
    async with Worker(client, task_queue="billing", workflow=[]):  # expect
        pass
```

## Valid
```python
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client


@activity.defn(name="charge")
async def charge(order: str) -> None: ...


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, options: Any) -> None:
        await workflow.execute_activity(charge, order, start_to_close_timeout=timedelta(minutes=5), summary="charge")
        await workflow.execute_activity(charge, order, **options)


def test_misspelt_option_is_refused() -> None:
    with pytest.raises(TypeError):
        activity.defn(nam="charge")


async def connect(options: dict[str, Any]) -> Client:
    try:
        return await Client.connect("localhost:7233", some_future_option=True)
    except TypeError:
        return await Client.connect("localhost:7233", **options)
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint import sdk
from temporal_lint.project import SdkCall, Stray, tolerates
from temporal_lint.rule import Finding, Severity, rule

_RETRY_POLICY = "temporalio.common.RetryPolicy"
_CALLER_SETS = "Options are set by the caller: pass it to `workflow.execute_activity` or `workflow.start_activity`."


@rule("TMP114", Severity.ERROR)
def unknown_or_misplaced_option(call: SdkCall) -> Iterator[Finding]:
    """Report keywords that Python refuses; behind a wrapper, only those that its caller wrote."""
    for stray in call.strays:
        if not stray.is_option or not call.is_own(stray.bound):
            continue
        if tolerates(call.module, call.node, "TypeError"):
            return
        keyword = call.written.get(stray.name)
        through = f", which `{call.via[0].name}` calls," if call.via else ""
        yield Finding(
            call.module,
            keyword if keyword is not None else call.node,
            f"`{_label(call.api)}`{through} takes no `{stray.name}`: Python raises TypeError at this call.",
            _advice(stray, call),
        )


def _advice(stray: Stray, call: SdkCall) -> str:
    name = stray.name
    if name == "heartbeat_timeout" and call.is_local:
        return (
            "A local activity runs inside the workflow task and does not heartbeat: drop the option, or make it a "
            f"normal activity with `{call.name.replace('_local', '')}`."
        )
    signature = call.signature
    past = sdk.history(f"{signature.dotted}:{name}") if signature is not None else None
    if past is not None and past.removed is not None:
        return f"The SDK took it until release {past.removed}: drop it."
    if call.api == "temporalio.activity.defn" and name in _keywords("temporalio.workflow.execute_activity"):
        return _CALLER_SETS
    if call.api != _RETRY_POLICY and name in _keywords(_RETRY_POLICY):
        return f"It belongs to the policy: `retry_policy=RetryPolicy({name}=...)`."
    if stray.nearest is not None and call.option(stray.nearest) is None:
        return f"Did you mean `{stray.nearest}`?"
    return f"Drop it; the options are {_listed(signature)}." if signature is not None else "Drop it."


def _label(api: str) -> str:
    """How people call it: `workflow.execute_activity`, `Client.connect`, `RetryPolicy`."""
    owner, _, name = api.rpartition(".")
    return name if name[:1].isupper() else f"{owner.rpartition('.')[2]}.{name}"


def _keywords(api: str) -> tuple[str, ...]:
    signature = sdk.signature(api)
    return signature.keywords if signature is not None else ()


def _listed(signature: sdk.Signature) -> str:
    """The options by name, as many as a line can bear."""
    only = [each.name for each in signature.parameters if each.kind == "kw"]
    names = [f"`{name}`" for name in only or signature.keywords]
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:6])} and {len(names) - 6} more"
