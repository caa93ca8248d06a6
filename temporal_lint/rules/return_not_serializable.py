"""A result whose type the data converter cannot carry.

## What
Reports the return annotation of an activity, of `run`, or of a query or update handler that is certain to fit nothing
that the SDK's converter can encode and decode; where the annotation says nothing wrong, each returned value that is
certain to be refused: a lock, a connection, a plain object, an exception, with the default converter also a
`Decimal`, a `date`, a `Path` or a plain `Enum`. As a warning: a generator or an open file, which encoding uses up.

A type whose values can be sent but not decoded to it, such as `object`, counts where a caller of the project names the
function itself and gives no `result_type`: only then does the SDK decode to the annotation.

## Why
The work is done, then encoding its result fails. An activity is retried and does its work again; a workflow task is
retried for ever; a query or an update gives its caller an error.

## Invalid
```python
import sqlite3
from datetime import date
from decimal import Decimal

from temporalio import activity, workflow


class Report:
    def __init__(self, text: str) -> None:
        self.text = text


@activity.defn
async def report(text: str) -> Report:  # expect
    return Report(text)


@activity.defn
def connect(path: str) -> sqlite3.Connection:  # expect
    return sqlite3.connect(path)


@activity.defn
async def price(name: str):
    if name == "free":
        return 0
    return {"name": name, "amount": Decimal("1.10")}  # expect


@workflow.defn
class Reports:
    @workflow.run
    async def run(self) -> list[date]:  # expect
        return [date.today()]

    @workflow.query
    def state(self):
        return Report("running")  # expect
```

## Valid
```python
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from temporalio import activity


@dataclass
class Report:
    text: str


@activity.defn
async def report(text: str) -> Report | None:
    return Report(text)


@activity.defn
async def price(name: str):
    amount = Decimal("1.10")
    return {"name": name, "amount": str(amount), "day": date.today().isoformat()}
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.contracts import Contract, contract
from temporal_lint.decorators import keeps_result
from temporal_lint.facts import Function
from temporal_lint.project import Project
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.verdicts import Refusal


@rule("TMP203", Severity.ERROR)
def return_not_serializable(function: Function, project: Project) -> Iterator[Finding]:
    """Report the annotation, else each returned value by itself."""
    found = contract(function, project)
    if found is None or not found.returns or function.yields or not keeps_result(function, project):
        return
    annotation = function.node.returns
    # a function that gives nothing but None sends nothing that could be refused
    if annotation is not None and any(each is not None for each in function.returned):
        consequence = f", which the data converter cannot carry: {found.failure}."
        refusal = found.serial.annotation(annotation, function.outer, decoded=False)
        if refusal is None and function in project.decoded_by_annotation:
            refusal = found.serial.annotation(annotation, function.outer)
            consequence = ", which the data converter cannot decode: the caller fails when it reads the result."
        if refusal is not None:
            yield Finding(
                function.module, annotation, _said("The result of {}", found, refusal, consequence), refusal.advice
            )
            return
    for value in function.returned:
        refusal = found.serial.value(value, function.scope) if value is not None else None
        if value is None or refusal is None:
            continue
        consequence = f", which the data converter refuses: {found.failure}."
        if refusal.drained:
            consequence = ": encoding it uses it up, and a list arrives in its place."
        severity = Severity.WARNING if refusal.drained else Severity.ERROR
        message = _said("What {} returns", found, refusal, consequence)
        yield Finding(function.module, value, message, refusal.advice, severity)


def _said(subject: str, found: Contract, refusal: Refusal, consequence: str) -> str:
    return f"{subject.format(found.label)} {'holds' if refusal.is_part else 'is'} {refusal.phrase}{consequence}"
