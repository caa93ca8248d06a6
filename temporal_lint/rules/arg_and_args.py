"""One argument by position and more in args.

## What
Reports a call that gives an argument by position or as `arg`, and an `args` that is certain to hold something.

## Why
The SDK takes one or the other and raises `ValueError`. In a workflow that fails the workflow task, which is retried
for ever. An empty `args` is accepted, so the mistake may show only for some inputs.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow

MORE = (1, 2)


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, amounts: list[int]) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", order, args=[3], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", order, args=MORE, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", order, args=[3, *amounts], start_to_close_timeout=timeout)  # expect
        await workflow.execute_child_workflow("Refund", arg=order, args=[3])  # expect
```

## Valid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, amounts: list[int]) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", order, args=[], start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", order, args=amounts, start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", order, args=[*amounts], start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", args=[order, 3], start_to_close_timeout=timeout)
```
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from temporal_lint.project import SdkCall, tolerates
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.values import UNKNOWN, Bound


@rule("TMP105", Severity.ERROR)
def arg_and_args(call: SdkCall) -> Iterator[Finding]:
    """Report a call that fills both."""
    signature = call.signature
    if signature is None or call.configured or not {"arg", "args"} <= {*signature.keywords}:
        return
    if not _has_both(call) or len(call.positional) > (signature.positional_limit or 0):
        return
    if (call.inner is not None and _has_both(call.inner)) or tolerates(call.module, call.node, "ValueError"):
        return
    written = call.written.get("args") if not call.via else None
    yield Finding(
        call.module,
        written if written is not None else call.node,
        f"`{call.name}` gets one argument by itself and more in `args`: the SDK raises ValueError.",
        "Put all arguments into `args`, in order.",
    )


def _has_both(call: SdkCall) -> bool:
    args = call.option("args")
    return args is not None and call.option("arg") is not None and _holds_something(args, call)


def _holds_something(bound: Bound, call: SdkCall) -> bool:
    value = call.project.values.constant(bound.expression, bound.scope)
    if value is not UNKNOWN:
        return bool(value)
    display = call.project.followed(bound).expression
    if isinstance(display, (ast.List, ast.Tuple, ast.Set)):
        return any(not isinstance(each, ast.Starred) for each in display.elts)
    return isinstance(display, ast.Dict) and any(key is not None for key in display.keys)
