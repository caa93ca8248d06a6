"""args is no list of arguments.

## What
Reports a value for `args` that is certain not to be a sequence of arguments: text, bytes, a dict, a set, a number, an
object without `__iter__`, or one value in parentheses without a comma, `args=(order)`. Empty text and empty containers
are left alone: they pass no argument.

## Why
The SDK unpacks `args`. Text becomes one argument for each character, a dict one for each key, a set its elements in an
order that changes from run to run: the activity gets other arguments than were meant. What cannot be unpacked raises
`TypeError`, which in a workflow fails the workflow task for ever.

## Invalid
```python
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow


@dataclass
class Order:
    number: str


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: Order) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", args=(order), start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args=("A-1"), start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args="A-1", start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args={"order": order}, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args={order.number, "x"}, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args=None, start_to_close_timeout=timeout)  # expect
        await workflow.execute_child_workflow("Refund", args=5)  # expect
```

## Fixed
```python
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow


@dataclass
class Order:
    number: str


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: Order) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", args=[order], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args=["A-1"], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args=["A-1"], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args=[{"order": order}], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args={order.number, "x"}, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("charge", args=None, start_to_close_timeout=timeout)  # expect
        await workflow.execute_child_workflow("Refund", args=[5])  # expect
```

## Valid
```python
from datetime import timedelta
from typing import Any

from temporalio import workflow


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, rest: list[Any], given: Any, table: dict[str, Any]) -> None:
        timeout = timedelta(minutes=1)
        await workflow.execute_activity("charge", args=(order,), start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", args=[order, table], start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", args=rest, start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", args=given, start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", args=list(table.values()), start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", args=(), start_to_close_timeout=timeout)
        await workflow.execute_activity("charge", {"order": order}, start_to_close_timeout=timeout)
```

## Fix safety
The fix makes a list of the one value. It is safe where the call raises `TypeError` as it stands, or where the
parentheses show what was meant; unsafe for other text, bytes and dicts, which the SDK does unpack. A set is not
changed: its elements may have been meant one by one, and only you know their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint.project import SdkCall, tolerates
from temporal_lint.resolve import Type
from temporal_lint.rule import Finding, Fix, Severity, rule
from temporal_lint.values import UNKNOWN, Bound

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

# What the SDK makes of a value that it can unpack.
_UNPACKED = {
    "str": "each of its characters becomes an argument",
    "bytes": "each of its bytes becomes a number and an argument",
    "dict": "its keys become the arguments",
    "set": "its elements become the arguments, in no certain order",
    "frozenset": "its elements become the arguments, in no certain order",
}
_ITERATING = ("__iter__", "__getitem__", "__getattr__")
_UNORDERED = ("set", "frozenset")
_SCALARS = ("int", "float", "bool", "complex", "NoneType")
# Classes of the standard library whose values are often passed on, and that cannot be unpacked.
_ATOMS = frozenset(
    [
        *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta")),
        "uuid.UUID",
        "decimal.Decimal",
        "pathlib.Path",
    ]
)
# Bases outside the project that make nothing iterable.
_PLAIN_BASES = frozenset(["abc.ABC", "builtins.object", "typing.Generic", "typing.Protocol"])


@rule("TMP106", Severity.ERROR, fix="unsafe")
def args_not_a_sequence(call: SdkCall) -> Iterator[Finding]:
    """Report an `args` that the SDK takes apart or cannot take apart."""
    signature = call.signature
    if signature is None or not {"arg", "args"} <= {*signature.keywords} or call.option("arg") is not None:
        return
    bound = call.option("args")
    # behind a wrapper only what its caller wrote
    if bound is None or not call.is_own(bound) or call.configured:
        return
    kind = _kind(bound, call)
    if kind is None or tolerates(call.module, call.node, "TypeError"):
        return
    effect = _UNPACKED.get(kind, "the SDK raises TypeError")
    if kind not in _UNPACKED and call.family in ("activity", "child", "continue"):
        effect += " and the workflow task is retried for ever"
    written = call.written.get("args") if bound.here and not call.via else None
    yield Finding(
        call.module,
        written if written is not None else call.node,
        f"`args` is {'None' if kind == 'NoneType' else f'of type `{kind}`'}, not a list of arguments: {effect}.",
        "Leave `args` out." if kind == "NoneType" else "Write `args=[...]` with one element for each parameter.",
        fix=partial(_fix, call, kind) if written is not None and kind not in (*_UNORDERED, "NoneType") else None,
    )


def _kind(bound: Bound, call: SdkCall) -> str | None:
    """The name of the value's type, where it is certain to be no sequence of arguments."""
    value = call.project.values.constant(bound.expression, bound.scope)
    if value is not UNKNOWN:
        name = type(value).__name__
        if name in _UNPACKED:
            return name if value else None
        # the client drops an `args` that is false; a workflow unpacks it
        accepted = not value and call.family not in ("activity", "child", "continue")
        return name if name in _SCALARS and not accepted else None
    found = call.project.infer(bound)
    if found is None:
        return None
    name = found.name.removeprefix("builtins.")
    if name in _UNPACKED or (name in _SCALARS and name != "NoneType") or name in _ATOMS:
        return name
    return name.rpartition(".")[2] if _is_single_object(found, call) else None


def _is_single_object(kind: Type, call: SdkCall) -> bool:
    if kind.cls is None:
        return False
    resolver = call.project.resolver
    _, external, complete = resolver.ancestors(kind.cls)
    plain = complete and {*external} <= _PLAIN_BASES and not kind.cls.node.keywords
    return plain and all(resolver.class_member(kind.cls, name) is None for name in _ITERATING)


def _fix(call: SdkCall, kind: str, editor: Editor) -> Fix | None:
    value = call.written["args"].value
    bare = editor.source.text[slice(*editor.spans.of(value))]
    is_safe = kind not in _UNPACKED or bare != editor.text(value)
    return editor.fix(
        "safe" if is_safe else "unsafe", "Make a list of the one argument", editor.replace(value, f"[{bare}]")
    )
