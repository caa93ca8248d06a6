"""A number or text where a timedelta is needed.

## What
Reports a number or text, or a value whose type is certain to be one, for an option that is a length of time: timeouts
and intervals of activities, child workflows, clients, workers, schedules and retry policies. Zero is left alone where
the SDK takes it for "not given".

## Why
The SDK reads the fields of a `timedelta` or writes it into a protobuf duration: anything else raises `TypeError` or
`AttributeError`. For an activity that happens while the workflow's command is half built: the server refuses the
workflow task again and again, and the workflow hangs.

## Invalid
```python
from temporalio import workflow
from temporalio.common import RetryPolicy

SECONDS = 60


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, patience: float) -> None:
        policy = RetryPolicy(initial_interval=2)  # expect
        await workflow.execute_activity(
            "charge", retry_policy=policy, start_to_close_timeout=30  # expect
        )
        await workflow.execute_activity("charge", order, start_to_close_timeout=SECONDS)  # expect
        await workflow.execute_activity("charge", order, start_to_close_timeout=patience)  # expect
        await workflow.execute_activity("charge", order, start_to_close_timeout="30s")  # expect
```

## Fixed
```python
from temporalio import workflow
from temporalio.common import RetryPolicy
from datetime import timedelta

SECONDS = 60


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, patience: float) -> None:
        policy = RetryPolicy(initial_interval=timedelta(seconds=2))  # expect
        await workflow.execute_activity(
            "charge", retry_policy=policy, start_to_close_timeout=timedelta(seconds=30)  # expect
        )
        await workflow.execute_activity("charge", order, start_to_close_timeout=timedelta(seconds=SECONDS))  # expect
        await workflow.execute_activity("charge", order, start_to_close_timeout=timedelta(seconds=patience))  # expect
        await workflow.execute_activity("charge", order, start_to_close_timeout="30s")  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow

TIMEOUT = timedelta(minutes=1)


async def call(activity: Any, argument: Any, seconds: int) -> Any:
    return await workflow.execute_activity(activity, argument, start_to_close_timeout=timedelta(seconds=seconds))


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, patience: Any) -> None:
        await workflow.execute_activity("charge", order, start_to_close_timeout=TIMEOUT)
        await workflow.execute_activity("charge", order, start_to_close_timeout=patience)
        await workflow.execute_activity("charge", order, start_to_close_timeout=TIMEOUT, heartbeat_timeout=None)
        await workflow.sleep(5)
        await workflow.wait_condition(lambda: bool(order), timeout=5)
        await call("charge", order, 30)
```

## Fix safety
Unsafe: the fix takes the number for seconds. Text, names that hold another unit, and calls through a function of the
project are not changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint import sdk
from temporal_lint.project import SdkCall, tolerates
from temporal_lint.resolve import NONE, alternatives
from temporal_lint.rule import Finding, Fix, Severity, rule
from temporal_lint.values import UNKNOWN, Bound

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

_TYPES = frozenset(("int", "float", "bool", "str"))
_OTHER_UNIT = re.compile(r"(?:^|_)(ms|millis\w*|us|micros\w*|min|mins|minutes?|hours?|days?)(?:_|$)", re.IGNORECASE)


@rule("TMP108", Severity.ERROR, fix="unsafe")
def timeout_not_a_timedelta(call: SdkCall) -> Iterator[Finding]:
    """Report each length of time that is given as a number or text."""
    options = sdk.options(call.api)
    for name in sorted(options.durations) if options else ():
        bound = call.option(name)
        if bound is None or not call.is_own(bound):
            continue
        found = _wrong_type(name, bound, call)
        if (
            found is None
            or _is_wrong_inside(name, call)
            or tolerates(call.module, call.node, "TypeError", "AttributeError")
        ):
            continue
        in_workflow = call.family in ("activity", "child", "continue")
        yield Finding(
            call.module,
            call.place(bound),
            f"`{name}` is a value of type `{found}`, but `{call.name}` needs a `timedelta`: "
            f"{'the workflow task fails and is retried for ever' if in_workflow else 'the SDK raises an error'}.",
            f"Write `{call.spelling(name)}=timedelta(...)`, which names its unit.",
            fix=partial(_fix, bound.expression) if bound.here and not call.via and found in ("int", "float") else None,
        )


def _wrong_type(name: str, bound: Bound, call: SdkCall) -> str | None:
    """The name of the type, where the SDK is certain to refuse the value."""
    value = call.project.values.constant(bound.expression, bound.scope)
    if value is not UNKNOWN:
        kind = type(value).__name__
        refused = bool(value) or (call.family == "start" and name != "rpc_timeout")
        return kind if kind in _TYPES and refused else None
    found = call.project.infer(bound)
    parts = [each for each in alternatives(found) if each != NONE]
    names = [each.name.removeprefix("builtins.") if each is not None else "" for each in parts]
    return names[0] if names and all(each in _TYPES for each in names) else None


def _is_wrong_inside(name: str, call: SdkCall) -> bool:
    """Whether the wrapper's own call is reported already, by the type of its parameter."""
    inner = call.inner
    bound = inner.option(name) if inner is not None else None
    return inner is not None and bound is not None and _wrong_type(name, bound, inner) is not None


def _fix(expression: ast.expr, editor: Editor) -> Fix | None:
    if any(_OTHER_UNIT.search(word) for word in re.findall(r"\w+", editor.text(expression))):
        return None
    timedelta, edits = editor.import_name("datetime.timedelta")
    edit = editor.replace(expression, f"{timedelta}(seconds={editor.text(expression)})")
    return editor.fix("unsafe", "Make it a `timedelta` of seconds", edit, *edits)
