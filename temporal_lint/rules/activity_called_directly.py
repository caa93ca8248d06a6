"""Workflow code calls an activity as a plain function.

## What
Reports a call of an `@activity.defn` function or method in workflow code: a method of a workflow class, or a function
that one reaches through calls. Tests and activities may call each other's functions.

## Why
A direct call runs the body inside the workflow task: no retry, no timeout, no heartbeat, nothing in the history. It
runs again on every replay, its I/O breaks determinism or is refused by the sandbox, and a body that takes longer than
two seconds trips the deadlock detector.

## Invalid
```python
# file: activities.py
from temporalio import activity


@activity.defn
async def charge(order_id: str) -> str:
    return order_id
# file: helpers.py
from activities import charge


async def settle(order_id: str) -> str:
    return await charge(order_id)  # expect
# file: workflows.py
from temporalio import workflow

from activities import charge
from helpers import settle


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        await charge(order_id)  # expect
        return await settle(order_id)
```

## Valid
```python
from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def charge(order_id: str) -> str:
    return order_id


@activity.defn
async def charge_twice(order_id: str) -> str:
    await charge(order_id)
    return await charge(order_id)


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        return await workflow.execute_activity(charge, order_id, start_to_close_timeout=timedelta(minutes=1))
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.facts import Call, Function
from temporal_lint.project import Project, Step, links
from temporal_lint.rule import Finding, Severity, rule


@rule("TMP116", Severity.ERROR)
def activity_called_directly(call: Call, project: Project) -> Iterator[Finding]:
    """Report the call, with the calls that lead from the workflow to it."""
    caller = call.function
    if caller is None or caller not in project.workflow_code or call.module.is_test:
        return
    callee = project.resolver.resolve(call.node.func, call.scope)
    activity = project.activity_of.get(callee) if isinstance(callee, Function) else None
    if activity is None or activity.legacy:
        return
    chain = project.workflow_code[caller]
    root = chain[0].caller if chain else caller
    if root in project.activity_code or not all(_is_call(step, project) for step in chain):
        return
    name = activity.function.name
    yield Finding(
        call.module,
        call.node,
        f"`{name}` is an activity, but this call runs it inside the workflow task: "
        "no retry, no timeout, nothing in the history, and it runs again on every replay.",
        f"Write `await workflow.execute_activity({name}, ..., start_to_close_timeout=...)`.",
        chain=links(chain, caller, call.node),
    )


def _is_call(step: Step, project: Project) -> bool:
    """Whether the callee is called there: not handed on as a value, nor one of several that may stand in."""
    return project.resolver.resolve(step.call.node.func, step.call.scope) is step.callee
