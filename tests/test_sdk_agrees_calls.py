"""The SDK agrees: it refuses exactly the calls that TMP101, 103-106 and 108 report, and the server what TMP109 does.

Each case is one line of source: linted as text, and run on the installed SDK with a real worker and a real server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import types
from typing import Any

import pytest
from support import findings
from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

CODES = ("TMP101", "TMP103", "TMP104", "TMP105", "TMP106", "TMP107", "TMP108", "TMP109", "TMP114")

DEFINITIONS = """
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue, RetryPolicy

T = timedelta(seconds=30)
OPTIONS = {"start_to_close_timeout": T}
NOTHING = {"heartbeat_timeout": timedelta(seconds=5), "start_to_close_timeout": None}
NUMBER = 30


@dataclass
class Order:
    number: str = "A-1"


@activity.defn
async def charge(order: str, amount: int = 1) -> list[str]:
    return [f'"{order}"', str(amount)]


@activity.defn
async def ping() -> list[str]:
    return []


@activity.defn(dynamic=True)
async def anything(args: Sequence[RawValue]) -> list[str]:
    return [each.payload.data.decode() for each in args]


@workflow.defn
class Child:
    @workflow.run
    async def run(self, order: str = "", amount: int = 1) -> list[str]:
        return [order]

    @workflow.signal
    def stop(self, reason: str = "") -> None: ...

    @workflow.query
    def state(self, key: str = "") -> str:
        return key

    @workflow.update
    def change(self, amount: int = 1) -> int:
        return amount


async def passed_on(name, *args, **options):
    return await workflow.execute_activity(name, *args, **options)


async def listed(name, *args, timeout=None):
    return await workflow.execute_activity(name, args=args, start_to_close_timeout=timeout)


async def patient(name, *args, **options):
    options.setdefault("start_to_close_timeout", T)
    return await workflow.execute_activity(name, args=args, **options)


async def helped(order, timeout=None):
    return await workflow.execute_activity(charge, order, start_to_close_timeout=timeout)
"""

# Run inside a workflow: (source, code or "").
CALLS = [
    # TMP101
    ("workflow.execute_activity(ping)", "TMP101"),
    ("workflow.start_activity(charge, 'A')", "TMP101"),
    ("workflow.execute_local_activity(ping)", "TMP101"),
    ("workflow.execute_activity('any', start_to_close_timeout=None, schedule_to_close_timeout=None)", "TMP101"),
    ("workflow.execute_activity('any', heartbeat_timeout=T, schedule_to_start_timeout=T)", "TMP101"),
    ("workflow.execute_activity('any', **NOTHING)", "TMP101"),
    ("workflow.execute_activity('any', **workflow.ActivityConfig(heartbeat_timeout=T))", "TMP101"),
    ("passed_on('any', 1)", "TMP101"),
    ("listed('any', 1)", "TMP101"),
    ("helped('A')", "TMP101"),
    ("workflow.execute_activity(ping, start_to_close_timeout=T)", ""),
    ("workflow.execute_activity(ping, schedule_to_close_timeout=T)", ""),
    ("workflow.execute_local_activity(ping, schedule_to_close_timeout=T)", ""),
    ("workflow.execute_activity('any', **(NOTHING | OPTIONS))", ""),
    ("workflow.execute_activity('any', **workflow.ActivityConfig(start_to_close_timeout=T))", ""),
    ("passed_on('any', 1, **OPTIONS)", ""),
    ("listed('any', 1, 2, timeout=T)", ""),
    ("patient('any', 1, 2)", ""),
    ("helped('A', T)", ""),
    # TMP103; a misspelt or misplaced option is TMP114's
    ("workflow.execute_activity(charge, order='A', **OPTIONS)", "TMP103"),
    ("workflow.execute_activity(charge, 'A', amount=3, **OPTIONS)", "TMP103"),
    ("workflow.execute_activity('any', customer='A', **OPTIONS)", "TMP103"),
    ("workflow.execute_local_activity(charge, order='A', **OPTIONS)", "TMP103"),
    ("workflow.execute_child_workflow(Child.run, order='A')", "TMP103"),
    ("passed_on('any', customer='A', **OPTIONS)", "TMP103"),
    ("workflow.execute_activity(charge, 'A', start_to_close=T)", "TMP114"),
    ("workflow.execute_local_activity(charge, 'A', heartbeat_timeout=T, **OPTIONS)", "TMP114"),
    ("workflow.execute_activity(charge, arg='A', **OPTIONS)", ""),
    ("workflow.execute_activity(charge, args=['A', 3], **OPTIONS)", ""),
    # TMP104
    ("workflow.execute_activity(charge, 'A', 3, **OPTIONS)", "TMP104"),
    ("workflow.execute_activity('any', 1, *[2, 3], **OPTIONS)", "TMP104"),
    ("workflow.start_local_activity(charge, 'A', 3, **OPTIONS)", "TMP104"),
    ("workflow.execute_child_workflow(Child.run, 'A', 3)", "TMP104"),
    ("passed_on('any', 1, 2, **OPTIONS)", "TMP104"),
    ("workflow.execute_activity('any', *[1], **OPTIONS)", ""),
    ("workflow.execute_activity('any', (1, 2), **OPTIONS)", ""),
    # TMP105
    ("workflow.execute_activity('any', 1, args=[2], **OPTIONS)", "TMP105"),
    ("workflow.execute_activity('any', arg=None, args=(2,), **OPTIONS)", "TMP105"),
    ("workflow.execute_activity('any', 1, args='ab', **OPTIONS)", "TMP105"),
    ("workflow.execute_activity('any', 1, args=5, **OPTIONS)", "TMP105"),
    ("workflow.execute_child_workflow(Child.run, 'A', args=[3])", "TMP105"),
    ("workflow.execute_activity('any', 1, args=[], **OPTIONS)", ""),
    ("workflow.execute_activity('any', 1, args=(), **OPTIONS)", ""),
    ("workflow.execute_activity('any', 1, args=None, **OPTIONS)", ""),
    # TMP106, the refused half
    ("workflow.execute_activity('any', args=5, **OPTIONS)", "TMP106"),
    ("workflow.execute_activity('any', args=(5), **OPTIONS)", "TMP106"),
    ("workflow.execute_activity('any', args=0, **OPTIONS)", "TMP106"),
    ("workflow.execute_activity('any', args=None, **OPTIONS)", "TMP106"),
    ("workflow.execute_activity('any', args=Order(), **OPTIONS)", "TMP106"),
    ("workflow.execute_child_workflow(Child.run, args=Order())", "TMP106"),
    ("workflow.execute_child_workflow(Child.run, args=None)", "TMP106"),
    ("workflow.execute_activity('any', args=[], **OPTIONS)", ""),
    ("workflow.execute_activity('any', args=(1,), **OPTIONS)", ""),
    ("workflow.execute_activity('any', args=range(2), **OPTIONS)", ""),
    ("workflow.execute_activity('any', args=[*'ab'], **OPTIONS)", ""),
    ("workflow.execute_activity('any', args='', **OPTIONS)", ""),
    ("workflow.execute_activity('any', args={}, **OPTIONS)", ""),
    # TMP108; zero is "not given" and TMP109's
    ("workflow.execute_activity(ping, start_to_close_timeout=30)", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout=NUMBER * 2)", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout=1.5)", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout='30s')", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout=True)", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout=T.total_seconds())", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout=T, heartbeat_timeout=5)", "TMP108"),
    (
        "workflow.execute_activity(ping, start_to_close_timeout=T, retry_policy=RetryPolicy(initial_interval=1))",
        "TMP108",
    ),
    (
        "workflow.execute_activity(ping, start_to_close_timeout=T, retry_policy=RetryPolicy(maximum_interval=9))",
        "TMP108",
    ),
    ("workflow.execute_local_activity(ping, start_to_close_timeout=T, local_retry_threshold=5)", "TMP108"),
    ("workflow.execute_child_workflow(Child.run, run_timeout=30)", "TMP108"),
    ("workflow.execute_activity(ping, start_to_close_timeout=T * 2)", ""),
    ("workflow.execute_child_workflow(Child.run, run_timeout=T)", ""),
    # TMP109, what the SDK itself refuses
    ("workflow.execute_activity(ping, start_to_close_timeout=timedelta(0))", "TMP109"),
    ("workflow.execute_activity(ping, start_to_close_timeout=0)", "TMP109"),
    ("workflow.execute_activity(ping, schedule_to_close_timeout=T - T)", "TMP109"),
]

# `args` that the SDK takes apart: the value never arrives as the one argument that was meant.
SPREAD = ["'abc'", "('abc')", "b'ab'", "{'number': 1}", "{'x', 'y'}", "dict(number=1)", "frozenset('xy')"]

# Run with a client: (source, code or "").
STARTS = [
    ("client.start_workflow(Child.run, order='A', id='{id}', task_queue='none')", "TMP103"),
    ("client.execute_workflow('Any', customer='A', id='{id}', task_queue='none')", "TMP103"),
    ("handle.signal(Child.stop, reason='A')", "TMP103"),
    ("handle.query(Child.state, key='A')", "TMP103"),
    ("handle.execute_update(Child.change, amount=3)", "TMP103"),
    ("client.start_workflow(Child.run, 'A', 3, id='{id}', task_queue='none')", "TMP104"),
    ("handle.signal(Child.stop, 'A', 'B')", "TMP104"),
    ("handle.query(Child.state, 'A', 'B')", "TMP104"),
    ("client.start_workflow(Child.run, 'A', args=[3], id='{id}', task_queue='none')", "TMP105"),
    ("handle.signal(Child.stop, 'A', args=['B'])", "TMP105"),
    ("client.start_workflow(Child.run, args=Order(), id='{id}', task_queue='none')", "TMP106"),
    ("client.start_workflow(Child.run, args=5, id='{id}', task_queue='none')", "TMP106"),
    ("handle.signal(Child.stop, args=5)", "TMP106"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', run_timeout=60)", "TMP108"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', run_timeout=0)", "TMP108"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', start_delay='5s')", "TMP108"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', rpc_timeout=5)", "TMP108"),
    ("handle.signal(Child.stop, 'A', rpc_timeout=5)", "TMP108"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', run_timeout=-T)", "TMP109"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', rpc_timeout=-T)", "TMP109"),
    ("client.start_workflow(Child.run, 'A', id='{id}', task_queue='none', run_timeout=T)", ""),
    ("client.start_workflow(Child.run, args=('A', 3), id='{id}', task_queue='none', start_delay=timedelta(0))", ""),
    ("client.start_workflow(Child.run, args=None, id='{id}', task_queue='none', rpc_timeout=0)", ""),
    ("client.start_workflow(Child.run, 'A', args=[], id='{id}', task_queue='none', rpc_timeout=T)", ""),
    ("handle.signal(Child.stop, 'A', rpc_timeout=T)", ""),
    ("handle.signal(Child.stop, args=['A'])", ""),
    ("handle.signal(Child.stop, args=None)", ""),
]

# Scheduled on the server: (timeouts, code or ""). Reported is what it refuses or does not schedule as written. Not
# here: a heartbeat_timeout beyond start_to_close_timeout, which the real server cuts and the test server does not.
SCHEDULED = [
    ("start_to_close_timeout=2 * T, schedule_to_close_timeout=T", "TMP109"),
    ("schedule_to_start_timeout=2 * T, schedule_to_close_timeout=T, start_to_close_timeout=T", "TMP109"),
    ("schedule_to_close_timeout=T, start_to_close_timeout=timedelta(0)", "TMP109"),
    ("start_to_close_timeout=-T", "TMP109"),
    ("start_to_close_timeout=T, heartbeat_timeout=-T", "TMP109"),
    ("start_to_close_timeout=T, schedule_to_close_timeout=T", ""),
    ("start_to_close_timeout=T, schedule_to_close_timeout=2 * T, schedule_to_start_timeout=T", ""),
    ("start_to_close_timeout=T, heartbeat_timeout=T / 3", ""),
]

WORKFLOW_CASES = [
    *(source for source, _ in CALLS),
    *(f"workflow.execute_activity('any', args={value}, **OPTIONS)" for value in SPREAD),
    *(f"workflow.execute_activity(ping, {timeouts})" for timeouts, _ in SCHEDULED),
]


def _text(cases: list[str]) -> str:
    functions = [
        f"async def case_{index}(client: Client, handle: WorkflowHandle):\n    return await {case}\n"
        for index, case in enumerate(cases)
    ]
    return DEFINITIONS + "\n\n" + "\n\n".join(functions)


def _codes(source: str) -> list[str]:
    """The codes of all findings on one case."""
    return [rule.code for rule, _ in findings(_text([source]), *CODES)]


def _module(name: str, cases: list[str]) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(_text(cases), name, "exec"), module.__dict__)
    return module


INSIDE = _module("sdk_inside", WORKFLOW_CASES)


class Verdicts:
    """What the SDK did: by source, the exception or the result; by timeouts, the scheduled event."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Any] = {}
        self.scheduled: dict[str, Any] = {}

    def refuses(self, source: str) -> bool:
        return isinstance(self.outcomes[source], Exception)


VERDICTS = Verdicts()


@workflow.defn
class Probe:
    """Runs one case. The outcome is kept outside: a half-built command makes the server refuse the workflow's own."""

    @workflow.run
    async def run(self, index: int) -> None:
        try:
            VERDICTS.outcomes[WORKFLOW_CASES[index]] = await getattr(INSIDE, f"case_{index}")(None, None)
        except Exception as error:
            VERDICTS.outcomes[WORKFLOW_CASES[index]] = error


async def _observe(address: str) -> Verdicts:
    outside = _module(
        "sdk_outside", [source.replace("{id}", f"start-{index}") for index, (source, _) in enumerate(STARTS)]
    )
    client = await Client.connect(address)
    async with Worker(
        client,
        task_queue="calls",
        workflows=[Probe, INSIDE.Child],
        activities=[INSIDE.charge, INSIDE.ping, INSIDE.anything],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        for index, source in enumerate(WORKFLOW_CASES):
            handle = await client.start_workflow(Probe.run, index, id=f"probe-{index}", task_queue="calls")
            await _until(lambda source=source: source in VERDICTS.outcomes)
            timeouts = source.removeprefix("workflow.execute_activity(ping, ").removesuffix(")")
            if timeouts in dict(SCHEDULED):
                VERDICTS.scheduled[timeouts] = await _scheduled(handle)
            await _end(handle)
    waiting = await client.start_workflow("Nobody", id="waiting", task_queue="none")
    for index, (source, _) in enumerate(STARTS):
        try:
            VERDICTS.outcomes[source] = await asyncio.wait_for(getattr(outside, f"case_{index}")(client, waiting), 5)
        except Exception as error:
            VERDICTS.outcomes[source] = error
    return VERDICTS


async def _until(done: Any, patience: float = 0.5) -> bool:
    for _ in range(int(patience / 0.002)):
        if done():
            return True
        await asyncio.sleep(0.002)
    return False


async def _scheduled(handle: WorkflowHandle[Any, Any]) -> Any:
    for event in (await handle.fetch_history()).events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            return event.activity_task_scheduled_event_attributes
    return None


async def _end(handle: WorkflowHandle[Any, Any]) -> None:
    with contextlib.suppress(RPCError):  # it may have ended by itself
        await handle.terminate()


@pytest.fixture(scope="module")
def verdicts(sdk_server: str) -> Verdicts:
    return asyncio.run(_observe(sdk_server))


def test_the_definitions_themselves_are_silent() -> None:
    assert findings(DEFINITIONS, *CODES) == []


@pytest.mark.parametrize(("source", "code"), [*CALLS, *STARTS])
def test_the_sdk_refuses_exactly_what_is_reported(source: str, code: str, verdicts: Verdicts) -> None:
    assert _codes(source) == ([code] if code else [])
    assert verdicts.refuses(source) == bool(code), verdicts.outcomes[source]


@pytest.mark.parametrize("value", SPREAD)
def test_args_that_the_sdk_takes_apart_are_reported(value: str, verdicts: Verdicts) -> None:
    source = f"workflow.execute_activity('any', args={value}, **OPTIONS)"
    assert _codes(source) == ["TMP106"]
    received = [json.loads(each) for each in verdicts.outcomes[source]]
    meant = eval(value)
    assert received != [meant if not isinstance(meant, bytes) else list(meant)]


@pytest.mark.parametrize(("timeouts", "code"), SCHEDULED)
def test_the_server_schedules_exactly_what_is_not_reported_as_it_is_written(
    timeouts: str, code: str, verdicts: Verdicts
) -> None:
    source = f"workflow.execute_activity(ping, {timeouts})"
    assert _codes(source) == ([code] if code else [])
    event = verdicts.scheduled[timeouts]
    written = eval(f"dict({timeouts})", sys.modules["sdk_inside"].__dict__)
    as_written = event is not None and all(
        getattr(event, name).ToTimedelta() == value for name, value in written.items()
    )
    assert as_written != bool(code)
