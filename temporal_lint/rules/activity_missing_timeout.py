"""An activity call without a timeout.

## What
Reports a call of an activity, remote or local, that gives neither `start_to_close_timeout` nor
`schedule_to_close_timeout`; a value that is certain to be `None` counts as not given. A `**splat` counts as a timeout
unless all its keys are known.

A project function that sets a timeout itself clears its callers. One that hands on what it is given is reported at the
callers that give nothing. The decorator `@activity_method` of the legacy SDK needs a timeout as well, unless a stub of
the project brings `activity_options`.

## Why
The SDK raises `ValueError` inside the workflow, which fails the workflow task and not the workflow. The server retries
that task for ever: the workflow hangs, no failure reaches the caller, and the activity never runs.

## Invalid
```python
from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity("charge", order)  # expect
```

```python
from temporalio import workflow
from datetime import timedelta

OPTIONS = {"heartbeat_timeout": timedelta(seconds=10), "start_to_close_timeout": None}


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_local_activity(  # expect
            "check",
            order,
            start_to_close_timeout=None,
        )
        await workflow.start_activity("charge", order, **OPTIONS)  # expect
```

```python
# file: app/calls.py
from datetime import timedelta
from typing import Any

from temporalio import workflow


async def call(activity: Any, argument: Any, timeout: timedelta | None = None) -> Any:
    return await workflow.execute_activity(activity, argument, start_to_close_timeout=timeout)


async def charge(order: str, *, timeout: timedelta | None = None) -> None:
    await workflow.execute_activity("charge", order, start_to_close_timeout=timeout)


# file: app/billing.py
from datetime import timedelta

from temporalio import workflow

from app.calls import call, charge


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await call("charge", order)  # expect
        await charge(order)  # expect
        await call("charge", order, timedelta(minutes=1))
        await charge(order, timeout=timedelta(minutes=1))
```

## Fixed
```python
from temporalio import workflow
from datetime import timedelta


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity("charge", order, start_to_close_timeout=timedelta(seconds=60))  # expect
```

```python
from temporalio import workflow
from datetime import timedelta

OPTIONS = {"heartbeat_timeout": timedelta(seconds=10), "start_to_close_timeout": None}


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_local_activity(  # expect
            "check",
            order,
            start_to_close_timeout=timedelta(seconds=60),
        )
        await workflow.start_activity("charge", order, **OPTIONS)  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow

OPTIONS = {"start_to_close_timeout": timedelta(minutes=1)}


async def call(activity: Any, argument: Any, timeout: timedelta | None = None) -> Any:
    return await workflow.execute_activity(activity, argument, start_to_close_timeout=timeout or timedelta(minutes=1))


async def charge(order: str, timeout: timedelta | None = None) -> None:
    if timeout is not None:
        await workflow.execute_activity("charge", order, start_to_close_timeout=timeout)


async def forward(activity: Any, *args: Any, **options: Any) -> Any:
    options.setdefault("start_to_close_timeout", timedelta(minutes=1))
    return await workflow.execute_activity(activity, args=args, **options)


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, options: dict[str, Any]) -> None:
        await workflow.execute_activity("charge", order, schedule_to_close_timeout=timedelta(minutes=1))
        await workflow.execute_activity("charge", order, **OPTIONS)
        await workflow.execute_activity("charge", order, **options)
        await call("charge", order)
        await charge(order)
        await forward("charge", order)
```

## Options
`default-timeout-seconds`: the `start_to_close_timeout` that the fix writes.

## Fix safety
Unsafe: the fix writes a timeout of the configured length, and only you know how long the activity may take. A call
through a function of the project is not changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint.facts import Function, Module, dotted_name
from temporal_lint.project import Project, SdkCall, tolerates
from temporal_lint.rule import Finding, Fix, Severity, rule

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

_START = "start_to_close_timeout"
_TIMEOUTS = (_START, "schedule_to_close_timeout")
_NEITHER = f"neither `{_START}` nor `schedule_to_close_timeout`"
_ADVICE = "Pass `{}=timedelta(...)`, longer than the longest attempt that can still succeed."


@rule("TMP101", Severity.ERROR, fix="unsafe")
def activity_missing_timeout(module: Module, project: Project) -> Iterator[Finding]:
    """Report the activity calls of a module and its legacy activity declarations that have no timeout."""
    for call in project.sdk_calls(module):
        if call.family == "activity" and _is_missing(call):
            yield _finding(call)
    for written in module.calls:
        missing = [call for call in project.through_helper(written) if _is_missing(call)]
        if missing:
            yield _finding(missing[0])
    for function in module.functions:
        activity = project.activity_of.get(function)
        if activity is not None and activity.legacy and not _stubs_bring_options(project):
            yield from _declaration(function, project)


def _finding(call: SdkCall) -> Finding:
    what = f"`{call.name}` gets {_NEITHER}"
    if call.via:
        what = f"`{call.via[0].name}` hands its timeout on to `{call.name}`, and this call gives {_NEITHER}"
    spellings = [call.spelling(each) for each in _TIMEOUTS]
    option = next((each for each in spellings if each not in _TIMEOUTS), _START)
    return Finding(
        call.module,
        call.node,
        f"{what}: the SDK raises ValueError, the workflow task is retried for ever and the workflow hangs.",
        _ADVICE.format(option),
        fix=partial(_fix, call) if not call.via and not call.configured else None,
    )


def _is_missing(call: SdkCall) -> bool:
    """Whether a call has no timeout, and that is this caller's doing and not its wrapper's."""
    if tolerates(call.module, call.node, "ValueError"):
        return False
    if not all(call.is_absent(name) for name in _TIMEOUTS) or any(each.nearest in _TIMEOUTS for each in call.strays):
        return False
    outer = call
    while outer.inner is not None:
        wrapper, outer = outer.via[0], outer.inner
        if all(outer.is_absent(name) for name in _TIMEOUTS) or any(_tests(wrapper, name) for name in _handed_on(outer)):
            return False
    return True


def _handed_on(call: SdkCall) -> set[str]:
    """The names that a call gives as its timeouts."""
    bounds = (call.option(name) for name in _TIMEOUTS)
    return {each.expression.id for each in bounds if each is not None and isinstance(each.expression, ast.Name)}


def _tests(function: Function, name: str) -> bool:
    """Whether a condition in a function depends on a name: then the call may not happen without a timeout."""
    for statement in function.node.body:
        for node in ast.walk(statement):
            condition = node.subject if isinstance(node, ast.Match) else getattr(node, "test", None)
            if isinstance(node, (ast.BoolOp, ast.Compare)):
                condition = node
            if condition is not None and _names(condition, name):
                return True
    return False


def _names(expression: ast.expr, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(expression))


def _fix(call: SdkCall, editor: Editor) -> Fix | None:
    timedelta, edits = editor.import_name("datetime.timedelta")
    value = f"{timedelta}(seconds={call.project.settings.default_timeout_seconds})"
    written = call.written.get(_START)
    if written is not None:
        edit = editor.replace(written.value, value)
    elif _START in call.keywords:
        return None
    else:
        edit = editor.append_argument(call.node, f"{_START}={value}")
    return editor.fix("unsafe", f"Add a `{_START}`", edit, *edits)


# ---- the legacy SDK ----------------------------------------------------------------------------------------------


def _declaration(function: Function, project: Project) -> Iterator[Finding]:
    for decorator in function.node.decorator_list:
        if not isinstance(decorator, ast.Call) or not _is_named(decorator.func, "activity_method"):
            continue
        given = {each.arg: each.value for each in decorator.keywords}
        timeouts = [given[name] for name in _TIMEOUTS if name in given]
        if None in given or not all(project.values.is_none(each, function.outer) for each in timeouts):
            continue
        yield Finding(
            function.module,
            decorator,
            f"The activity `{function.name}` is declared with {_NEITHER}: the server refuses to schedule it, and the "
            "workflow's task is retried for ever.",
            _ADVICE.format(_START),
        )


def _stubs_bring_options(project: Project) -> bool:
    """Whether a stub of the project is made with options of its own, which may hold the timeouts."""
    return any(
        _is_named(call.node.func, "new_activity_stub")
        and (len(call.node.args) > 2 or any(each.arg in (None, "activity_options") for each in call.node.keywords))
        for module in project.modules.values()
        for call in module.calls
    )


def _is_named(function: ast.expr, name: str) -> bool:
    return (dotted_name(function) or "").rpartition(".")[2] == name
