"""An argument for the activity, passed by keyword.

## What
Reports a keyword that the called API does not have and that was meant for the activity, workflow or handler behind it:
the name of one of its parameters, or any other name that is no option. It covers activity calls, child workflows,
`continue_as_new`, `Client.start_workflow` and `execute_workflow`, signals, queries, updates, and the stubs of the
legacy SDK. A misspelt or misplaced option belongs to `unknown-or-misplaced-option`.

## Why
The keywords of these calls are options of the call. What the activity gets is passed by position, or in `args`.
Anything else raises `TypeError`; inside a workflow that fails the workflow task, which is retried for ever.

## Invalid
```python
from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def charge(order: str, amount: int) -> None: ...


@activity.defn
async def notify(order: str) -> None: ...


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity(notify, order=order, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity(notify, start_to_close_timeout=timeout, order=order)  # expect
        await workflow.execute_activity(
            charge,
            amount=3, order=order,  # expect
            start_to_close_timeout=timeout,
        )
        await workflow.execute_activity(charge, order, amount=3, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("refund", customer=order, start_to_close_timeout=timeout)  # expect
```

```python
from temporalio import workflow
from temporalio.client import Client


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, amount: int = 1) -> None: ...

    @workflow.signal
    async def cancel(self, reason: str) -> None: ...


async def bill(client: Client, order: str) -> None:
    handle = await client.start_workflow(Billing.run, order=order, id=order, task_queue="billing")  # expect
    await handle.signal(Billing.cancel, reason="refused")  # expect
```

```python
# file: shop/activities.py
from datetime import timedelta

from temporal.activity_method import activity_method


class Greetings:
    @activity_method(task_queue="greetings", start_to_close_timeout=timedelta(minutes=1))
    async def compose(self, greeting: str, name: str) -> str: ...


# file: shop/workflows.py
from temporal.workflow import Workflow, workflow_method

from shop.activities import Greetings


class Greeter:
    @workflow_method(task_queue="greetings")
    async def greet(self, name: str) -> str: ...


class GreeterWorkflow(Greeter):
    def __init__(self) -> None:
        self.greetings: Greetings = Workflow.new_activity_stub(Greetings)

    async def greet(self, name: str) -> str:
        return await self.greetings.compose("Hello", name=name)  # expect
```

## Fixed
```python
from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def charge(order: str, amount: int) -> None: ...


@activity.defn
async def notify(order: str) -> None: ...


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity(notify, order, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity(notify, start_to_close_timeout=timeout, args=[order])  # expect
        await workflow.execute_activity(
            charge,
            args=[order, 3],  # expect
            start_to_close_timeout=timeout,
        )
        await workflow.execute_activity(charge, args=[order, 3], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("refund", customer=order, start_to_close_timeout=timeout)  # expect
```

```python
from temporalio import workflow
from temporalio.client import Client


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, amount: int = 1) -> None: ...

    @workflow.signal
    async def cancel(self, reason: str) -> None: ...


async def bill(client: Client, order: str) -> None:
    handle = await client.start_workflow(Billing.run, order, id=order, task_queue="billing")  # expect
    await handle.signal(Billing.cancel, "refused")  # expect
```

```python
# file: shop/activities.py
from datetime import timedelta

from temporal.activity_method import activity_method


class Greetings:
    @activity_method(task_queue="greetings", start_to_close_timeout=timedelta(minutes=1))
    async def compose(self, greeting: str, name: str) -> str: ...


# file: shop/workflows.py
from temporal.workflow import Workflow, workflow_method

from shop.activities import Greetings


class Greeter:
    @workflow_method(task_queue="greetings")
    async def greet(self, name: str) -> str: ...


class GreeterWorkflow(Greeter):
    def __init__(self) -> None:
        self.greetings: Greetings = Workflow.new_activity_stub(Greetings)

    async def greet(self, name: str) -> str:
        return await self.greetings.compose("Hello", name)  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow


@activity.defn
async def charge(order: str, amount: int) -> None: ...


class Recorder:
    async def execute_activity(self, name: str, **values: Any) -> None: ...


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, options: dict[str, Any]) -> None:
        recorder = Recorder()
        timeout = timedelta(minutes=1)
        await workflow.execute_activity(charge, args=[order, 3], start_to_close_timeout=timeout)
        await workflow.execute_activity("refund", arg=order, start_to_close_timeout=timeout)
        await workflow.execute_activity("refund", order, **options)
        await recorder.execute_activity("charge", order=order)


async def outside_of_temporal() -> None:
    await charge(order="A-1", amount=3)
```

## Fix safety
Safe: the call fails as it stands. Where the receiving function is known and the call gives it all it needs, the
keywords become a positional argument or `args=[...]` in the order of its parameters. A comment between the changed
arguments makes the fix unsafe. A call through a function of the project is not changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint.project import SdkCall, tolerates
from temporal_lint.rule import Finding, Fix, Severity, rule
from temporal_lint.values import Bound

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

_RECEIVERS = {
    "activity": "the activity",
    "stub": "the method behind the stub",
    "child": "the workflow",
    "start": "the workflow",
    "continue": "the workflow",
    "signal": "the signal handler",
    "query": "the query handler",
    "update": "the update handler",
}


@rule("TMP103", Severity.ERROR, fix="safe")
def activity_argument_by_keyword(call: SdkCall) -> Iterator[Finding]:
    """Report a call once for all payloads that it gives by keyword."""
    names = _meant_as_payload(call)
    if not names or tolerates(call.module, call.node, "TypeError"):
        return
    written = [each for name, each in call.written.items() if name in names]
    order = _in_order(call, names) if not call.via and len(written) == len(names) else None
    yield Finding(
        call.module,
        written[0] if written else call.node,
        _message(call, list(names)),
        _advice(call, order),
        fix=partial(_fix, call, order) if order is not None else None,
    )


def _meant_as_payload(call: SdkCall) -> dict[str, Bound]:
    """The keywords that the caller meant for the receiving function."""
    if call.family == "stub":
        return call.keywords
    if call.family not in _RECEIVERS or call.configured:
        return {}
    inner = call.inner.keywords if call.inner is not None else {}
    # what the wrapper itself names is reported in its body
    return {each.name: each.bound for each in call.strays if not each.is_option and each.name not in inner}


def _message(call: SdkCall, names: Sequence[str]) -> str:
    listed = " and ".join(f"`{name}`" for name in names)
    verb = "is" if len(names) == 1 else "are"
    function = call.function
    if function is not None and {*names} <= {each.name for each in function.bound_parameters}:
        what = f"{listed} {verb} {'a parameter' if len(names) == 1 else 'parameters'} of `{function.qualname}`"
    else:
        what = f"{listed} {verb} given by keyword"
    if call.stub is not None:
        refusal = "its stub takes nothing by keyword: Python raises TypeError"
    else:
        taker = f"`{call.via[0].name}` hands that on to `{call.name}`, which" if call.via else f"`{call.name}`"
        refusal = f"{taker} takes only options by keyword: the SDK raises TypeError"
    return f"{what}, but {refusal}{' and the workflow task is retried for ever' if _in_workflow(call) else ''}."


def _in_workflow(call: SdkCall) -> bool:
    return call.family in ("activity", "child", "continue", "stub")


def _advice(call: SdkCall, order: Sequence[ast.expr] | None) -> str:
    by_position = f"Pass what {_RECEIVERS[call.family]} takes by position"
    if call.family == "stub" or (order is not None and len(order) == 1):
        return f"{by_position}."
    return f"{by_position}, or `args=[...]` in the order of its parameters where it takes more than one."


def _in_order(call: SdkCall, names: dict[str, Bound]) -> list[ast.expr] | None:
    """All payloads in the order of the receiving parameters; None where they do not fill them from the left."""
    function = call.function
    if function is None or call.open_positional or call.open_keywords or {"arg", "args"} & call.keywords.keys():
        return None
    if any(each.kind not in ("positional", "positional-only") for each in function.bound_parameters):
        return None
    first = call.positional if call.family == "stub" else call.payloads or ()
    slots = function.bound_parameters
    given: list[ast.expr] = [each.expression for each in first]
    for slot in slots[len(given) :]:
        if slot.name in names and len(given) == slots.index(slot):
            given.append(names[slot.name].expression)
        elif slot.default is None:
            return None
    return given if len(given) == len(first) + len(names) else None


def _fix(call: SdkCall, order: list[ast.expr], editor: Editor) -> Fix | None:
    keywords = [each for each in call.node.keywords if each.value in order]
    payloads = [each for each in call.node.args if each in order]
    texts = ", ".join(editor.text(each) for each in order)
    follows = call.node.keywords[: len(keywords)] == keywords
    by_position = follows and (call.family == "stub" or len(order) == 1)
    replaced = editor.replace_arguments(call.node, [*payloads, *keywords], texts if by_position else f"args=[{texts}]")
    return editor.fix("safe", "Pass the arguments as the SDK takes them", *replaced)
