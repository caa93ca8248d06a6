"""A value that the data converter cannot turn into a payload.

## What
Reports a value sent to an activity, a child workflow, a new run, a signal, query or update, as a heartbeat detail or in
a memo, that the SDK's converter is certain to refuse: a lock, a connection, a function, a coroutine, a plain object, an
exception, with the default converter also a `Decimal`, a `date`, a `Path`, a plain `Enum`. It is found through names,
helpers and constructors, at any depth of containers and dataclass fields. So are a container that holds itself, and one
that a loop nests deeper than the encoder goes.

As a warning: an iterator or an open file. The converter sends the list of what it yields, and has used it up by then.

Silent where the project gives its clients a converter of its own; with `pydantic_data_converter` its rules apply.

## Why
Arguments travel as JSON. In a workflow the encoding error fails the workflow task, which the server retries for ever:
the workflow hangs. In a client the call raises.

## Invalid
```python
import threading
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow

LOCK = threading.Lock()


class Session:
    def __init__(self, user: str) -> None:
        self.user = user


@dataclass
class Job:
    name: str
    session: Session


@workflow.defn
class Jobs:
    @workflow.run
    async def run(self, name: str) -> None:
        session = Session(name)
        job = Job(name, session)
        timeout = timedelta(seconds=10)
        await workflow.execute_activity("work", LOCK, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("work", session, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("work", args=[name, {"job": job}], start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("work", lambda: name, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("work", (c for c in name), start_to_close_timeout=timeout)  # expect
        try:
            await workflow.execute_child_workflow("Child", name)
        except ValueError as error:
            await workflow.execute_activity("report", error, start_to_close_timeout=timeout)  # expect
```

## Valid
```python
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from temporalio import workflow


class Colour(str, Enum):
    RED = "red"


@dataclass
class Job:
    name: str
    due: datetime
    key: UUID
    colour: Colour


@workflow.defn
class Jobs:
    @workflow.run
    async def run(self, job: Job) -> None:
        timeout = timedelta(seconds=10)
        await workflow.execute_activity("work", job, start_to_close_timeout=timeout)
        await workflow.execute_activity("work", [job.due, job.key, {1, 2}, b"x"], start_to_close_timeout=timeout)
        try:
            await workflow.execute_child_workflow("Child", job)
        except ValueError as error:
            await workflow.execute_activity("report", str(error), start_to_close_timeout=timeout)
```

```python
# file: client.py
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from workflows import Prices


async def main() -> None:
    client = await Client.connect("localhost:7233", data_converter=pydantic_data_converter)
    await client.start_workflow(Prices.run, id="prices", task_queue="prices")
# file: workflows.py
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow


@workflow.defn
class Prices:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity("store", Decimal("1.10"), start_to_close_timeout=timedelta(seconds=10))
```
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.converters import Converters, sent
from temporal_lint.expected import expected_to_fail
from temporal_lint.project import Project, SdkCall
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.serial import Serial
from temporal_lint.verdicts import Refusal


@rule("TMP201", Severity.ERROR)
def argument_not_serializable(call: SdkCall, project: Project) -> Iterator[Finding]:
    """Report each payload by itself, where it stands at the call, else the call."""
    converter = "json" if call.family == "stub" else Converters.of(project).converter(call.module)
    judge = Serial(project, converter)
    for each in sent(call):
        refusal = judge.value(each.bound.expression, each.bound.scope)
        if refusal is None or expected_to_fail(call.module, call.node):
            continue
        node = call.place(each.bound)
        verb = "holds" if refusal.is_part else "is"
        message = f"{each.label} of `{call.name}` {verb} {refusal.phrase}{_consequence(refusal, call)}"
        severity = Severity.WARNING if refusal.drained else Severity.ERROR
        yield Finding(call.module, node, message, refusal.advice, severity)


def _consequence(refusal: Refusal, call: SdkCall) -> str:
    if refusal.drained:
        return ": encoding it uses it up, and a list arrives in its place."
    if call.api.startswith("temporalio.workflow."):
        return ", which the data converter refuses: the workflow task fails and is retried for ever."
    if call.family == "heartbeat":
        return ", which the data converter refuses: the attempt fails at the heartbeat."
    return ", which the data converter refuses: the call raises TypeError."
