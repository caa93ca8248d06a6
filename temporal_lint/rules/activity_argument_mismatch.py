"""The arguments of a call do not fit the function that receives them.

## What
Reports a call of an activity, a child workflow, a workflow from a client, a signal, query or update handler, and
`continue_as_new`, where the receiving function is resolved and takes another number of arguments (defaults and
`*args` count), or where an argument that is certain in type (a literal, a constructed object, a parameter that the SDK
itself decoded) cannot be decoded to a certain annotation: `"7"` for an `int`, a number for a `str` or a dataclass. A
string that names exactly one activity of the project counts as that activity, unless the call names a task queue.

As a warning, it reports a call that leaves out an argument with a default while another parameter is a dataclass or a
pydantic model. The SDK decodes by annotations only when as many payloads arrive as there are parameters; otherwise it
drops all annotations, and the parameter is a plain dict.

Types are judged by the default data converter, so only where the project brings no other. A dict fits a dataclass,
an int fits a float, and None and bytes fit everything: the converter passes them through.

## Why
The call itself succeeds. The activity then fails with TypeError on every attempt, and Temporal repeats it until the
retry policy gives up, by default never. A workflow fails its first workflow task instead, a signal or an update the
task that delivers it: the workflow hangs. A signal that cannot be decoded is dropped with a line in the worker's log.

## Invalid
```python
from datetime import timedelta

from temporalio import activity, workflow

SHORT = timedelta(minutes=1)


@activity.defn
async def charge(order_id: str, cents: int) -> str:
    return f"{order_id}: {cents}"


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        await workflow.execute_activity(charge, order_id, start_to_close_timeout=SHORT)  # expect
        await workflow.execute_activity(charge, [order_id, 500], start_to_close_timeout=SHORT)  # expect
        await workflow.execute_activity("charge", args=[order_id], start_to_close_timeout=SHORT)  # expect
        await workflow.execute_activity(charge, args=[order_id, "5 EUR"], start_to_close_timeout=SHORT)  # expect
        await workflow.execute_child_workflow(Order.run)  # expect
        workflow.continue_as_new(args=[order_id, 500])  # expect
```

```python
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow


@dataclass
class Payment:
    order_id: str


@activity.defn
async def charge(payment: Payment, currency: str = "EUR") -> str:
    return payment.order_id + currency


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str) -> str:
        return await workflow.execute_activity(
            charge,
            Payment(order_id),  # expect
            start_to_close_timeout=timedelta(minutes=1),
        )
```

## Valid
```python
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

SHORT = timedelta(minutes=1)


@dataclass
class Payment:
    order_id: str


@activity.defn
async def charge(payment: Payment, currency: str = "EUR") -> str:
    return payment.order_id + currency


@activity.defn
async def ship(order_id: str, weight: float = 1) -> str:
    return order_id


@activity.defn
async def log(*lines: str) -> None:
    print(lines)


@workflow.defn
class Order:
    @workflow.run
    async def run(self, order_id: str, extra: list[Any]) -> str:
        await workflow.execute_activity(charge, args=[{"order_id": order_id}, "EUR"], start_to_close_timeout=SHORT)
        await workflow.execute_activity(ship, order_id, start_to_close_timeout=SHORT)
        await workflow.execute_activity(ship, args=[order_id, 2], start_to_close_timeout=SHORT)
        await workflow.execute_activity(ship, args=[order_id, *extra], start_to_close_timeout=SHORT)
        await workflow.execute_activity("ship", task_queue="warehouse", start_to_close_timeout=SHORT)
        await workflow.execute_activity(log, args=["a", "b", "c"], start_to_close_timeout=SHORT)
        return order_id
```
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from temporal_lint.contracts import UNDELIVERED
from temporal_lint.converters import Converters
from temporal_lint.decorators import is_transparent, keeps_arguments
from temporal_lint.facts import Class, Function, Parameter
from temporal_lint.project import Family, Project, SdkCall, tolerates
from temporal_lint.resolve import External, Type, Variable
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.values import Bound

_HANGS = "the workflow task fails and is retried for ever"
_CONSEQUENCE: dict[Family, str] = {
    "activity": "every attempt that the retry policy allows fails with TypeError",
    "child": f"in the child {_HANGS}",
    "start": _HANGS,
    "continue": f"in the next run {_HANGS}",
    "signal": f"when it is delivered {_HANGS}",
    "query": "the query fails with TypeError",
    "update": f"when it is delivered {_HANGS}",
}
_KINDS: dict[str, str] = {
    "builtins.str": "text", "builtins.int": "number", "builtins.float": "number", "builtins.bool": "bool",
    "builtins.dict": "object", "builtins.list": "array", "builtins.tuple": "array",
    "datetime.datetime": "text", "uuid.UUID": "text",
}  # fmt: skip
# What `temporalio.converter.value_to_type` takes for each annotation: the shapes of JSON that it does not refuse. An
# iterable takes text and objects too, as their characters and keys.
_TAKEN: dict[str, frozenset[str]] = {
    "builtins.str": frozenset({"text"}),
    "builtins.int": frozenset({"number", "bool"}),
    "builtins.float": frozenset({"number", "bool"}),
    "builtins.bool": frozenset({"bool"}),
    "builtins.dict": frozenset({"object"}),
    "collections.abc.Mapping": frozenset({"object"}),
    "builtins.list": frozenset({"array", "text", "object"}),
    "builtins.set": frozenset({"array", "text", "object"}),
    "builtins.tuple": frozenset({"array", "text", "object"}),
    "collections.abc.Sequence": frozenset({"array", "text", "object"}),
    "datetime.datetime": frozenset({"text"}),
    "uuid.UUID": frozenset({"text"}),
    "builtins.NoneType": frozenset(),
}
_MADE = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp)
_POSITIONAL = ("positional", "positional-only")


@rule("TMP107", Severity.ERROR)
def activity_argument_mismatch(call: SdkCall, project: Project) -> Iterator[Finding]:
    """Report the call whose count is wrong, else each argument that the receiver cannot use."""
    function, payloads = call.function, call.payloads
    if function is None or payloads is None or not _is_received(call, function, project):
        return
    parameters = function.bound_parameters
    if any(each.kind == "keyword-only" and each.default is None for each in parameters):
        return
    takes = [each for each in parameters if each.kind in _POSITIONAL]
    least = sum(each.default is None for each in takes)
    is_variadic = any(each.kind == "var-positional" for each in parameters)
    if len(payloads) < least or (len(payloads) > len(takes) and not is_variadic):
        if not tolerates(call.module, call.node, "TypeError", "WorkflowFailureError", "ActivityError"):
            yield _wrong_count(call, function, payloads, takes, least, is_variadic)
        return
    if len(takes) != len(parameters) or not _is_plain(function, project):
        return
    if 0 < len(payloads) < len(takes):
        yield from _loses_types(call, function, payloads, takes, project)
    elif len(payloads) == len(takes):
        yield from _wrong_types(call, function, payloads, takes, project)


def _is_received(call: SdkCall, function: Function, project: Project) -> bool:
    """Whether the payloads of a call are certain to become the arguments of the function."""
    if call.configured or call.family not in _CONSEQUENCE or not keeps_arguments(function, project):
        return False
    if call.signature is None or call.strays or len(call.positional) > (call.signature.positional_limit or 0):
        return False  # the SDK refuses the call before it looks at the payloads
    if call.option("arg") is not None and call.option("args") is not None:
        return False
    if call.family == "activity":
        activity = project.activity_of.get(function)
        return activity is not None and not activity.dynamic and not activity.legacy
    kind = call.family if call.family in ("signal", "query", "update") else "run"
    return any(each.kind == kind and not each.dynamic for each in project.handlers_of.get(function, ()))


def _wrong_count(
    call: SdkCall,
    function: Function,
    payloads: tuple[Bound, ...],
    takes: list[Parameter],
    least: int,
    is_variadic: bool,
) -> Finding:
    names = ", ".join(each.name for each in takes)
    span = f"{least}" if least == len(takes) and not is_variadic else f"at least {least}"
    if not is_variadic and least < len(takes):
        span = f"{least} to {len(takes)}"
    noun = "argument" if span == "1" else "arguments"
    given = "none" if not payloads else str(len(payloads))
    advice = f"Pass what `{_label(function)}({names})` takes"
    advice += f", as `args=[{names}]`." if len(takes) > 1 else "."
    single = payloads[0].expression if len(payloads) == 1 else None
    if isinstance(single, (ast.List, ast.Tuple)) and least <= len(single.elts) <= len(takes):
        advice = f"Write `args={ast.unparse(single)}`: a single list is one argument."
    elif isinstance(single, ast.Dict):
        advice = f"Write `args=[{names}]`: a dict is one argument, whatever its keys."
    return Finding(
        call.module,
        call.node,
        f"`{_label(function)}` takes {span} {noun}, and this call gives it {given}: {_CONSEQUENCE[call.family]}.",
        advice,
    )


def _loses_types(
    call: SdkCall, function: Function, payloads: tuple[Bound, ...], takes: list[Parameter], project: Project
) -> Iterator[Finding]:
    """Parameters that arrive as plain dicts because fewer payloads come than the function has parameters."""
    missing = ", ".join(each.name for each in takes[len(payloads) :])
    for bound, parameter in zip(payloads, takes, strict=False):
        model = _model(parameter, function, project)
        if model is None or project.values.is_none(bound.expression, bound.scope) or _expects_dict(parameter, function):
            continue
        yield Finding(
            call.module,
            call.place(bound),
            f"`{parameter.name}` of `{_label(function)}` arrives as a plain dict, not as `{model.name}`: "
            f"without `{missing}` the counts differ, and the SDK then ignores all annotations.",
            f"Pass every argument: `args=[{', '.join(each.name for each in takes)}]`.",
            Severity.WARNING,
        )


def _wrong_types(
    call: SdkCall, function: Function, payloads: tuple[Bound, ...], takes: list[Parameter], project: Project
) -> Iterator[Finding]:
    if Converters.of(project).converter(call.module) != "default":
        return
    for bound, parameter in zip(payloads, takes, strict=True):
        if parameter.annotation is None:
            continue
        kind = _kind(project.infer(bound)) if _is_made_here(bound, project) else None
        taken = _taken(project.resolver.annotation(parameter.annotation, function.outer), project)
        if kind is None or taken is None or kind in taken:
            continue
        written, annotation = ast.unparse(bound.expression), ast.unparse(parameter.annotation)
        yield Finding(
            call.module,
            call.place(bound),
            f"`{written}` cannot be decoded to `{parameter.name}: {annotation}` of `{_label(function)}`: "
            f"{_undecoded(call.family)}.",
            f"Pass a value of type `{annotation}`, or change the annotation.",
        )


def _is_made_here(bound: Bound, project: Project) -> bool:
    """Whether the type of a value is a fact and not only what some annotation says: a literal, a display, an object
    that is constructed, or a parameter of a handler or activity, which the converter has decoded to its annotation."""
    if isinstance(bound.expression, ast.Name):
        symbol = project.resolver.resolve(bound.expression, bound.scope)
        bindings = symbol.bindings if isinstance(symbol, Variable) else ()
        if len(bindings) == 1 and bindings[0].kind == "parameter":
            receiver = bindings[0].scope.function
            decoded = receiver is not None and (receiver in project.handlers_of or receiver in project.activity_of)
            return decoded and bindings[0].value is None
        bound = project.followed(bound)
    if isinstance(bound.expression, ast.Call):
        made = project.resolver.resolve(bound.expression.func, bound.scope)
        return isinstance(made, Class) or (isinstance(made, External) and made.dotted.startswith("builtins."))
    return isinstance(bound.expression, _MADE)


def _undecoded(family: Family) -> str:
    return UNDELIVERED.get(family) or _CONSEQUENCE[family]


def _is_plain(function: Function, project: Project) -> bool:
    """Whether the SDK sees the function's own annotations: nothing stands around it but the SDK's own decorators."""
    return all(is_transparent(each, function.outer, project) for each in function.node.decorator_list)


def _kind(found: Type | None) -> str | None:
    """The shape of JSON that a value of a type is encoded as; None for bytes, None and all that is not certain."""
    if found is None:
        return None
    if found.cls is not None:
        return "object" if _is_dataclass(found.cls) else None
    return _KINDS.get(found.name)


def _taken(annotation: Type | None, project: Project) -> frozenset[str] | None:
    """The shapes of JSON that decode to an annotation; None where any may."""
    if annotation is None:
        return None
    if annotation.name == "typing.Union":
        parts = [_taken(each, project) for each in annotation.args]
        return None if None in parts else frozenset().union(*(each for each in parts if each is not None))
    if annotation.cls is not None:
        return frozenset({"object"}) if _is_model(annotation.cls, project) else None
    return _TAKEN.get(annotation.name)


def _model(parameter: Parameter, function: Function, project: Project) -> Class | None:
    """The dataclass or model in the annotation of a parameter, alone or inside a container."""
    if parameter.annotation is None:
        return None
    waiting = [project.resolver.annotation(parameter.annotation, function.outer)]
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        if each.cls is not None and _is_model(each.cls, project):
            return each.cls
        waiting.extend(each.args)
    return None


def _is_model(cls: Class, project: Project) -> bool:
    order, external, _ = project.resolver.ancestors(cls)
    return any(_is_dataclass(each) for each in order) or any(each.endswith("pydantic.BaseModel") for each in external)


def _is_dataclass(cls: Class) -> bool:
    names = (ast.unparse(each.func if isinstance(each, ast.Call) else each) for each in cls.node.decorator_list)
    return any(each.rpartition(".")[2] == "dataclass" for each in names)


def _expects_dict(parameter: Parameter, function: Function) -> bool:
    """Whether the function itself looks whether the parameter is a dict."""
    return any(
        isinstance(call.node.func, ast.Name)
        and call.node.func.id == "isinstance"
        and isinstance(call.node.args[0], ast.Name)
        and call.node.args[0].id == parameter.name
        for call in function.calls
        if call.node.args
    )


def _label(function: Function) -> str:
    """How messages call the receiver: with its class, without its module."""
    return ".".join(function.qualname.split(".")[-2:]) if function.cls is not None else function.name
