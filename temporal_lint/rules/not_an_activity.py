"""An activity call names something that is no activity, or has the wrong form.

## What
Reports a call of `workflow.execute_activity`, `start_activity`, their local variants and their `_method` and `_class`
forms where the SDK is certain to raise: the function, method or class lacks `@activity.defn` (a method that overrides
an activity needs the decorator again; a callable class needs it on the class, not on `__call__`), or it is a dynamic
activity, which can only be called by name.

As a warning, it reports the wrong form: `execute_activity` with `Class.method` or with a class,
`execute_activity_method` with a plain function, `execute_activity_class` with anything but a class. The SDK runs all of
these alike, but its overloads do not: a type checker refuses the call, or checks nothing. `execute_activity` with
`args=[...]` takes any callable, and is left alone.

Silent: a decorator that is not known to leave the function as it is, and every function that is handed to code that
may apply `activity.defn` to it.

## Why
The SDK raises TypeError inside the workflow, which fails the workflow task. The server retries that task for ever: the
workflow hangs at this line until somebody deploys a fix.

## Invalid
```python
from datetime import timedelta

from temporalio import activity, workflow

SHORT = timedelta(minutes=1)


async def charge(order_id: str) -> str:
    return order_id


class Shop:
    @activity.defn
    async def ship(self, order_id: str) -> str:
        return order_id


class ColdShop(Shop):
    async def ship(self, order_id: str) -> str:
        return order_id


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        await workflow.execute_activity(charge, order_id, start_to_close_timeout=SHORT)  # expect
        await workflow.execute_activity_method(ColdShop.ship, order_id, start_to_close_timeout=SHORT)  # expect
        return "done"
```

```python
from datetime import timedelta

from temporalio import activity, workflow

SHORT = timedelta(minutes=1)


@activity.defn
async def charge(order_id: str) -> str:
    return order_id


class Shop:
    @activity.defn
    async def ship(self, order_id: str) -> str:
        return order_id


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        await workflow.execute_activity(Shop.ship, order_id, start_to_close_timeout=SHORT)  # expect
        return await workflow.execute_local_activity_method(charge, order_id, start_to_close_timeout=SHORT)  # expect
```

## Fixed
```python
from datetime import timedelta

from temporalio import activity, workflow

SHORT = timedelta(minutes=1)


@activity.defn
async def charge(order_id: str) -> str:
    return order_id


class Shop:
    @activity.defn
    async def ship(self, order_id: str) -> str:
        return order_id


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        await workflow.execute_activity_method(Shop.ship, order_id, start_to_close_timeout=SHORT)  # expect
        return await workflow.execute_local_activity(charge, order_id, start_to_close_timeout=SHORT)  # expect
```

## Valid
```python
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

SHORT = timedelta(minutes=1)


def registered(function: Callable[..., Any]) -> Callable[..., Any]:
    return activity.defn(function)


@registered
async def charge(order_id: str) -> str:
    return order_id


class Shop:
    @activity.defn
    async def ship(self, order_id: str) -> str:
        return order_id

    @activity.defn
    async def pack(self, order_id: str, boxes: int) -> str:
        return order_id * boxes


@activity.defn
class Refund:
    async def __call__(self, order_id: str) -> str:
        return order_id


shop = Shop()


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        await workflow.execute_activity(charge, order_id, start_to_close_timeout=SHORT)
        await workflow.execute_activity(shop.ship, order_id, start_to_close_timeout=SHORT)
        await workflow.execute_activity_method(Shop.ship, order_id, start_to_close_timeout=SHORT)
        await workflow.execute_activity(Shop.pack, args=[order_id, 2], start_to_close_timeout=SHORT)
        return await workflow.execute_activity_class(Refund, order_id, start_to_close_timeout=SHORT)
```

## Fix safety
The fix renames the function that is called (`execute_activity` to `execute_activity_method`). It is safe: the SDK does
the same for both. A missing decorator is not added: under which name the activity is registered is its author's choice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from temporal_lint.decorators import is_transparent
from temporal_lint.facts import Class, Function, Scope, decorator_target
from temporal_lint.project import Project, SdkCall, tolerates
from temporal_lint.rule import Finding, Fix, Severity, rule

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

Form = Literal["", "_method", "_class"]

# class decorators and bases that leave the methods of a class as they are
_PLAIN_DECORATORS = frozenset(
    ["dataclasses.dataclass", "temporalio.workflow.defn", "typing.final", "typing.runtime_checkable"]
)
_PLAIN_BASES = frozenset(["abc.ABC", "typing.Protocol", "typing.Generic", "builtins.object"])
_CALLED_WITH: dict[Form, str] = {"": "the function", "_method": "the method", "_class": "the class"}


@dataclass(frozen=True)
class _Refusal:
    """Why the SDK raises, as the rest of a sentence that begins with the target; the error; what to do."""

    reason: str
    error: str
    advice: str


@rule("TMP115", Severity.ERROR, fix="safe")
def not_an_activity(call: SdkCall, project: Project) -> Iterator[Finding]:
    """Report the target that is refused, or the call whose form does not fit."""
    bound, target = call.target_bound, call.target
    if call.family != "activity" or call.configured or bound is None or not isinstance(target, (Function, Class)):
        return
    name = ast.unparse(bound.expression)
    refusal = _refusal(target, bound.expression, bound.scope, project)
    if refusal is not None:
        if tolerates(call.module, call.node, refusal.error):
            return
        yield Finding(
            call.module,
            call.place(bound),
            f"`{name}` {refusal.reason}: `{call.name}` raises {refusal.error}, "
            "the workflow task fails and is retried for ever.",
            refusal.advice,
        )
        return
    given, wanted = _given_form(call.name), _wanted_form(target, bound.expression, bound.scope, project)
    takes_anything = given == "" and call.option("args") is not None
    if wanted is None or given == wanted or takes_anything or call.via:
        return
    right = call.name.removesuffix(given) + wanted
    yield Finding(
        call.module,
        call.node.func,
        f"`{call.name}` is called with {_CALLED_WITH[wanted]} `{name}`, which its overloads do not take: "
        "a type checker refuses the call, or can no longer check it.",
        f"Call `{right}`.",
        Severity.WARNING,
        partial(_rename, call=call, right=right),
    )


def _refusal(target: Function | Class, expression: ast.expr, scope: Scope, project: Project) -> _Refusal | None:
    """Why the SDK is certain to refuse a target; None where it may take it."""
    if isinstance(target, Class):
        if not _is_plain(target, project):
            return None
        advice = f"Decorate the class `{target.name}` with `@activity.defn`."
        return _Refusal("has no `@activity.defn`", "TypeError", advice)
    activity = project.activity_of.get(target)
    if activity is not None:
        if activity.dynamic:
            return _Refusal("is a dynamic activity", "ValueError", "Call it by a name, given as a string.")
        return None
    if not _is_undecorated(target, expression, scope, project):
        return None
    overridden = _overridden_activity(target, project)
    advice = f"Decorate `{target.qualname}` with `@activity.defn` and register it with the worker."
    if overridden is not None:
        advice = f"Decorate `{target.qualname}` too: `@activity.defn` of `{overridden.qualname}` is not inherited."
    return _Refusal("has no `@activity.defn`", "TypeError", advice)


def _is_undecorated(function: Function, expression: ast.expr, scope: Scope, project: Project) -> bool:
    """Whether nothing can have made an activity of a function."""
    if not all(is_transparent(each, function.outer, project) for each in function.node.decorator_list):
        return False
    if project.handed_definitions is None or function in project.handed_definitions:
        return False
    if function.cls is None:
        return True
    if not _is_plain(function.cls, project):
        return False
    if _owner(expression, scope, project) is not None:
        return True
    # through an instance, a subclass may stand in
    return not any(function.name in each.methods for each in project.resolver.heirs(function.cls))


def _is_plain(cls: Class, project: Project) -> bool:
    """Whether neither a decorator nor a base nor a metaclass can have changed a class or its methods."""
    order, external, complete = project.resolver.ancestors(cls)
    if not complete or not _PLAIN_BASES.issuperset(external):
        return False
    for each in order:
        if each.node.keywords or "__init_subclass__" in each.methods:
            return False
        for decorator in each.node.decorator_list:
            if project.resolver.dotted(decorator_target(decorator), each.outer) not in _PLAIN_DECORATORS:
                return False
    return True


def _overridden_activity(function: Function, project: Project) -> Function | None:
    if function.cls is None:
        return None
    for base in project.resolver.ancestors(function.cls)[0][1:]:
        method = base.methods.get(function.name)
        if method in project.activity_of:
            return method
    return None


def _owner(expression: ast.expr, scope: Scope, project: Project) -> Class | None:
    """The class in `Class.method`; None where the method is taken from an instance or a module."""
    owner = project.resolver.resolve(expression.value, scope) if isinstance(expression, ast.Attribute) else None
    return owner if isinstance(owner, Class) else None


def _given_form(name: str) -> Form:
    return "_method" if name.endswith("_method") else "_class" if name.endswith("_class") else ""


def _wanted_form(target: Function | Class, expression: ast.expr, scope: Scope, project: Project) -> Form | None:
    """Which of the SDK's three forms has overloads for a target; None where it is not certain."""
    if isinstance(target, Class):
        return "_class"
    if target.cls is None or (target.decorated("staticmethod") or target.decorated("classmethod")):
        return ""
    return "_method" if _owner(expression, scope, project) is not None else None


def _rename(editor: Editor, call: SdkCall, right: str) -> Fix | None:
    function = call.node.func
    if not isinstance(function, ast.Attribute):
        return None
    return editor.fix("safe", f"Call `{right}`", editor.replace(function, f"{editor.text(function.value)}.{right}"))
