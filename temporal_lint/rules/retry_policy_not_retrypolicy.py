'''A retry_policy that is no RetryPolicy.

## What
Reports a value for `retry_policy` that is certain to be something else: a dict, a number, a timedelta, an object of a
class that is no `RetryPolicy`, or the class `RetryPolicy` itself. Values are followed through names, constants and
splats. An empty value is left alone: the SDK takes it for "no policy".

## Why
The SDK calls methods of the policy when it builds the command. A dict has none of them, so the workflow task fails
with `AttributeError` and is retried for ever: the workflow hangs without a failure to be seen.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity(
            "charge",
            order,
            start_to_close_timeout=timedelta(minutes=5),
            retry_policy={"maximum_attempts": 3, "initial_interval": timedelta(seconds=1)},  # expect
        )
```

```python
from datetime import timedelta

from temporalio import common, workflow

LIMITS = {"start_to_close_timeout": timedelta(minutes=5)}
POLICY = {"maximum_attempts": 3}


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity("pay", **LIMITS, retry_policy=dict(maximum_attempts=3))  # expect
        await workflow.execute_activity("pay", **LIMITS, retry_policy=POLICY)  # expect
        await workflow.execute_activity("pay", **LIMITS, retry_policy=common.RetryPolicy)  # expect
        await workflow.execute_activity("pay", **LIMITS, retry_policy=3)  # expect
```

## Fixed
```python
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity(
            "charge",
            order,
            start_to_close_timeout=timedelta(minutes=5),
            retry_policy=RetryPolicy(maximum_attempts=3, initial_interval=timedelta(seconds=1)),  # expect
        )
```

```python
from datetime import timedelta

from temporalio import common, workflow

LIMITS = {"start_to_close_timeout": timedelta(minutes=5)}
POLICY = {"maximum_attempts": 3}


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity("pay", **LIMITS, retry_policy=common.RetryPolicy(maximum_attempts=3))  # expect
        await workflow.execute_activity("pay", **LIMITS, retry_policy=POLICY)  # expect
        await workflow.execute_activity("pay", **LIMITS, retry_policy=common.RetryPolicy)  # expect
        await workflow.execute_activity("pay", **LIMITS, retry_policy=3)  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

LIMITS = {"start_to_close_timeout": timedelta(minutes=5)}
POLICY = {"maximum_attempts": 3}


class Patient(RetryPolicy):
    """A subclass is a policy too."""


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, policy: Any = None) -> None:
        await workflow.execute_activity("pay", **LIMITS, retry_policy=RetryPolicy(**POLICY))
        await workflow.execute_activity("pay", **LIMITS, retry_policy=Patient())
        await workflow.execute_activity("pay", **LIMITS, retry_policy=policy)
        await workflow.execute_activity("pay", **LIMITS, retry_policy=None)
        await workflow.execute_activity("pay", **LIMITS, retry_policy={})
```

## Fix safety
Safe: a dict display or a `dict(...)` at the call whose keys are fields of `RetryPolicy` becomes a `RetryPolicy` of the
same values; the code fails as it stands. Nothing else is changed. A comment inside the dict makes the fix unsafe.
'''

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint import sdk
from temporal_lint.project import SdkCall, tolerates
from temporal_lint.resolve import NONE, Type, alternatives
from temporal_lint.rule import Finding, Fix, Severity, rule
from temporal_lint.values import UNKNOWN, Bound

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

_RETRY_POLICY = "temporalio.common.RetryPolicy"
# What the SDK calls on the value it is given.
_METHOD = "apply_to_proto"
# Bases outside the project that bring no such method.
_PLAIN_BASES = frozenset(
    [
        "abc.ABC",
        "builtins.dict",
        "builtins.object",
        "enum.Enum",
        "pydantic.BaseModel",
        "typing.Generic",
        "typing.NamedTuple",
        "typing.Protocol",
        "typing.TypedDict",
    ]
)


@rule("TMP110", Severity.ERROR, fix="safe")
def retry_policy_not_retrypolicy(call: SdkCall) -> Iterator[Finding]:
    """Report each retry policy option that holds something else."""
    options = sdk.options(call.api)
    for name in sorted(options.retry_policies) if options else ():
        bound = call.option(name)
        if bound is None or not call.is_own(bound):
            continue
        found = _wrong(bound, call)
        if found is None or tolerates(call.module, call.node, "AttributeError", "TypeError"):
            continue
        for_ever = ", and the workflow task is retried for ever" if call.api.startswith("temporalio.workflow.") else ""
        fixable = bound.here and not call.via
        yield Finding(
            call.module,
            call.place(bound),
            f"`{name}` is {found}, but `{call.name}` needs a `RetryPolicy`: the SDK raises AttributeError when it uses "
            f"it{for_ever}.",
            "Pass `RetryPolicy(...)` from `temporalio.common`.",
            fix=_fix(bound.expression, call) if fixable else None,
        )


def _wrong(bound: Bound, call: SdkCall) -> str | None:
    """What the value is, in words, where it is certain to be no RetryPolicy."""
    resolver = call.project.resolver
    if resolver.dotted(bound.expression, bound.scope) == _RETRY_POLICY:
        return "the class `RetryPolicy`, not an object of it"
    value = call.project.values.constant(bound.expression, bound.scope)
    if value is not UNKNOWN and not value:
        return None
    found = resolver.infer(bound.expression, bound.scope)
    given = [each for each in alternatives(found) if each != NONE]
    if not given or not all(each is not None and _is_other(each, call) for each in given):
        return None
    names = sorted({each.name.rpartition(".")[2] for each in given if each is not None})
    return "a value of type " + " or ".join(f"`{name}`" for name in names)


def _is_other(kind: Type, call: SdkCall) -> bool:
    if kind.cls is not None:
        resolver = call.project.resolver
        _, external, complete = resolver.ancestors(kind.cls)
        return complete and {*external} <= _PLAIN_BASES and resolver.class_member(kind.cls, _METHOD) is None
    if kind.name.startswith("temporalio."):
        return sdk.class_has(kind.name, _METHOD) is False
    return kind.name.startswith(("builtins.", "datetime.", "types.")) and kind.name != "builtins.object"


def _fix(expression: ast.expr, call: SdkCall) -> Callable[[Editor], Fix | None] | None:
    fields = sdk.signature(_RETRY_POLICY)
    known = fields.keywords if fields else ()
    if isinstance(expression, ast.Dict):
        names = [each.value if isinstance(each, ast.Constant) else None for each in expression.keys]
        return partial(_from_display, expression) if len({*names}) == len(names) and {*names} <= {*known} else None
    if isinstance(expression, ast.Call) and not expression.args:
        is_dict = call.project.resolver.dotted(expression.func, call.call.scope) == "builtins.dict"
        fits = is_dict and all(each.arg in known for each in expression.keywords)
        return partial(_from_call, expression) if fits else None
    return None


def _from_display(display: ast.Dict, editor: Editor) -> Fix | None:
    policy, edits = editor.import_name(_RETRY_POLICY)
    names = [str(key.value) for key in display.keys if isinstance(key, ast.Constant)]
    pairs = [f"{name}={editor.text(value)}" for name, value in zip(names, display.values, strict=True)]
    lines = editor.text(display).splitlines()
    if len(lines) == 1:
        text = f"({', '.join(pairs)})"
    else:
        inner, outer = (line[: len(line) - len(line.lstrip())] for line in (lines[1], lines[-1]))
        text = "(\n" + "".join(f"{inner}{pair},\n" for pair in pairs) + f"{outer})"
    return editor.fix("safe", "Use `RetryPolicy`", editor.replace(display, policy + text), *edits)


def _from_call(call: ast.Call, editor: Editor) -> Fix | None:
    policy, edits = editor.import_name(_RETRY_POLICY)
    return editor.fix("safe", "Use `RetryPolicy`", editor.replace(call.func, policy), *edits)
