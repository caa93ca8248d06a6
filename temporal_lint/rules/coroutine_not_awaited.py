"""A coroutine of the Temporal API is made and dropped: it never runs.

## What
Reports a call of a coroutine function of the SDK (`workflow.execute_activity`, `workflow.start_child_workflow`,
`workflow.sleep`, `workflow.wait_condition`, `handle.signal`, `client.start_workflow` ...), or of the project's own
`async def` around one, that stands as a statement of its own, or whose coroutine gets a name that nothing reads again.

Silent: `workflow.start_activity` and `workflow.start_local_activity`. They are no coroutines: the activity is scheduled
by the call, and the handle that comes back is a task. Without an `await` its result and its failure are lost, and it
is cancelled when the workflow ends, but it does run.

## Why
Calling a coroutine function runs nothing. Without `await` the activity is not scheduled, the timer is not started and
the signal is not sent; the workflow goes on as if all had been done, and the history shows no trace.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> None:
        workflow.execute_activity("charge", order_id, start_to_close_timeout=timedelta(minutes=1))  # expect
        workflow.sleep(60)  # expect
```

```python
from temporalio import workflow


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, name: str) -> str:
        child = workflow.start_child_workflow("Child", name)  # expect
        return "started"
```

## Fixed
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> None:
        await workflow.execute_activity("charge", order_id, start_to_close_timeout=timedelta(minutes=1))  # expect
        await workflow.sleep(60)  # expect
```

## Valid
```python
import asyncio
from datetime import timedelta

from temporalio import workflow

SHORT = timedelta(minutes=1)


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> list[str]:
        workflow.start_activity("log", order_id, start_to_close_timeout=SHORT)
        charge = workflow.execute_activity("charge", order_id, start_to_close_timeout=SHORT)
        ship = asyncio.create_task(workflow.execute_activity("ship", order_id, start_to_close_timeout=SHORT))
        return await asyncio.gather(charge, ship)
```

## Fix safety
The fix puts `await` before a call that stands alone in an `async def`. It is safe in that the call does nothing today.
A coroutine with a name is left to its author: it may have been meant for `asyncio.gather`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint.project import SdkCall
from temporal_lint.rule import Finding, Fix, Severity, rule

if TYPE_CHECKING:
    from temporal_lint.edits import Editor


@rule("TMP113", Severity.ERROR, fix="safe")
def coroutine_not_awaited(call: SdkCall) -> Iterator[Finding]:
    """Report the call that makes the coroutine."""
    if not _makes_coroutine(call):
        return
    name = call.via[0].name if call.via else call.name
    parent = call.module.parents.get(call.node)
    if isinstance(parent, ast.Expr):
        function = call.call.function
        can_await = function is not None and function.is_async and call.call.scope is function.scope
        yield Finding(
            call.module,
            call.node,
            f"The coroutine of `{name}` is dropped without `await`: it never runs, and no error tells.",
            f"Write `await {name}(...)`, or start it with `asyncio.create_task` to await it later.",
            fix=partial(_await, call=call) if can_await else None,
        )
    elif isinstance(parent, (ast.Assign, ast.AnnAssign)) and (target := _unread_target(parent, call)):
        yield Finding(
            call.module,
            call.node,
            f"The coroutine of `{name}` is kept in `{target}`, which nothing reads: it never runs, and no error tells.",
            f"Await it: `{target} = await {name}(...)`.",
        )


def _makes_coroutine(call: SdkCall) -> bool:
    if call.via:
        wrapper = call.via[0]
        return wrapper.is_async and not wrapper.yields and not wrapper.node.decorator_list
    return not call.configured and call.signature is not None and call.signature.is_coroutine


def _unread_target(statement: ast.Assign | ast.AnnAssign, call: SdkCall) -> str | None:
    """The local name that the statement gives the coroutine, where nothing in the function reads that name."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    scope = call.call.scope
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or scope.kind != "function":
        return None
    name = targets[0].id
    if name in scope.outer_names:
        return None
    mentions = [each for each in ast.walk(scope.node) if isinstance(each, ast.Name) and each.id == name]
    return None if any(isinstance(each.ctx, ast.Load) for each in mentions) else name


def _await(editor: Editor, call: SdkCall) -> Fix | None:
    return editor.fix("safe", "Await the coroutine", editor.insert_before(call.node, "await "))
