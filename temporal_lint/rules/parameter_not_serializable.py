"""A parameter whose type the data converter cannot carry.

## What
Reports a parameter of an activity, of `run`, of a signal, query or update handler, or of `__init__` with
`@workflow.init`, whose annotation is certain to fit nothing that the SDK's converter can encode and decode: a plain
class, `Callable`, a lock, a client, with the default converter also `Decimal`, `date`, `Path`, a plain `Enum`, a type
variable, a `Protocol` or `object`; in type arguments and in fields of dataclasses and models too.

An `Optional` or a `Union` is silent as soon as one of its members can be carried. So is a parameter with a default,
which no caller needs to send.

## Why
What the caller sends is refused when it is encoded, or the worker cannot decode it: the activity or the workflow task
fails on each attempt, before its first line runs; a query fails, an update is rejected, a signal is dropped with a line
in the worker's log. A model whose fields can only be decoded fails for the callers that send one.

## Invalid
```python
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from temporalio import activity, workflow


class Colour(Enum):
    RED = "red"


class Session:
    def __init__(self, user: str) -> None:
        self.user = user


@dataclass
class Price:
    amount: Decimal


@activity.defn
async def work(
    session: Session,  # expect
    lock: threading.Lock,  # expect
    then: Callable[[], None],  # expect
    prices: list[Price],  # expect
) -> None: ...


@workflow.defn
class Paint:
    @workflow.run
    async def run(self, colour: Colour) -> None: ...  # expect

    @workflow.signal
    def change(self, colours: dict[str, Colour]) -> None: ...  # expect
```

## Valid
```python
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Optional
from uuid import UUID

from temporalio import activity


class Colour(str, Enum):
    RED = "red"


@dataclass
class Price:
    cents: int
    at: datetime
    key: UUID
    colour: Colour
    exact: Optional[Decimal] = None


@activity.defn
async def work(price: Price, all: list[Price], raw: bytes, rest: Any, either: Decimal | str) -> None: ...


@activity.defn
async def other(price: Price, then: Callable[[], None] = print) -> None: ...


def helper(then: Callable[[], None]) -> None: ...
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.contracts import contract
from temporal_lint.decorators import keeps_arguments
from temporal_lint.facts import Function
from temporal_lint.project import Project
from temporal_lint.rule import Finding, Severity, rule


@rule("TMP202", Severity.ERROR)
def parameter_not_serializable(function: Function, project: Project) -> Iterator[Finding]:
    """Report each parameter at its annotation."""
    found = contract(function, project)
    if found is None or not keeps_arguments(function, project):
        return
    # the SDK decodes with the annotations only when every parameter is positional and arrives
    decoded = all(each.kind in ("positional", "positional-only") and each.default is None for each in found.parameters)
    for parameter in found.parameters:
        if parameter.annotation is None or parameter.default is not None:
            continue
        refusal = found.serial.annotation(parameter.annotation, function.outer, decoded=decoded)
        if refusal is not None:
            verb = "holds" if refusal.is_part else "takes"
            consequence = f"cannot carry: {found.undelivered}"
            if refusal.unsendable:
                consequence = "cannot encode: a caller in Python that sends one fails"
            yield Finding(
                function.module,
                parameter.annotation,
                f"The parameter `{parameter.name}` of {found.label} {verb} {refusal.phrase}, which the data converter "
                f"{consequence}.",
                refusal.advice,
            )
