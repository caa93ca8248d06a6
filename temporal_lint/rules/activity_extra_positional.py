"""More than one argument for the activity by position.

## What
Reports a second positional argument behind the activity, workflow or handler. It covers every call of the SDK that
takes one argument by position and several in `args`: activities, child workflows, `continue_as_new`, client starts,
signals, queries and updates.

## Why
These calls take at most one argument for the activity by position; all further ones are options, by keyword. A second
one raises `TypeError`, which in a workflow fails the workflow task: it is retried for ever, and the workflow hangs.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, amounts: list[int]) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", order, 3, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity(
            "charge",
            order,
            3,  # expect
            start_to_close_timeout=timeout,
        )
        await workflow.execute_child_workflow("Refund", order, 3, *amounts)  # expect
        workflow.continue_as_new(order, amounts)  # expect
```

```python
from datetime import timedelta
from typing import Any

from temporalio import workflow


async def call(activity: Any, *args: Any) -> Any:
    return await workflow.execute_activity(activity, *args, start_to_close_timeout=timedelta(minutes=1))


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await call("notify", order)
        await call("charge", order, 3)  # expect
```

## Fixed
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, amounts: list[int]) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", args=[order, 3], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity(
            "charge",
            args=[order, 3],  # expect
            start_to_close_timeout=timeout,
        )
        await workflow.execute_child_workflow("Refund", args=[order, 3, *amounts])  # expect
        workflow.continue_as_new(args=[order, amounts])  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow


async def call(activity: Any, *args: Any) -> Any:
    return await workflow.execute_activity(activity, args=args, start_to_close_timeout=timedelta(minutes=1))


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, rest: list[int]) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", args=[order, 3], start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", (order, 3), start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", *rest, start_to_close_timeout=timeout)
        await call("charge", order, 3)
```

## Fix safety
Safe: the call fails as it stands, and `args=[...]` holds the same values in the same order. A comment between the
arguments makes the fix unsafe. A call through a function of the project is not changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint.project import SdkCall, tolerates
from temporal_lint.rule import Finding, Fix, Severity, rule

if TYPE_CHECKING:
    from temporal_lint.edits import Editor


@rule("TMP104", Severity.ERROR, fix="safe")
def activity_extra_positional(call: SdkCall) -> Iterator[Finding]:
    """Report the first argument that finds no place."""
    signature = call.signature
    if signature is None or call.configured or not {"arg", "args"} <= {*signature.keywords}:
        return
    limit = signature.positional_limit
    if limit is None or len(call.positional) <= limit or _has_payload_by_keyword(call):
        return
    if call.inner is not None and len(call.inner.positional) > limit:
        return
    if tolerates(call.module, call.node, "TypeError"):
        return
    first = call.positional[limit]
    more = "or more " if call.open_positional else ""
    what = f"`{call.name}` is given {len(call.positional) - limit + 1} {more}arguments by position"
    if call.via:
        what = f"Through `{call.via[0].name}`, {what}"
    is_plain = not call.via and not call.open_keywords and not {"arg", "args"} & call.keywords.keys()
    yield Finding(
        call.module,
        call.place(first),
        f"{what} and takes one: Python raises TypeError at this call.",
        "Pass them as one list: `args=[...]`.",
        fix=partial(_fix, call, limit - 1) if is_plain else None,
    )


def _has_payload_by_keyword(call: SdkCall) -> bool:
    """Whether further payloads are given by keyword, so that `activity-argument-by-keyword` reports the whole call."""
    return any(not each.is_option for each in call.strays)


def _fix(call: SdkCall, first: int, editor: Editor) -> Fix | None:
    payloads = call.node.args[first:]
    text = f"args=[{', '.join(editor.text(each) for each in payloads)}]"
    return editor.fix("safe", "Pass the arguments in `args`", *editor.replace_arguments(call.node, payloads, text))
