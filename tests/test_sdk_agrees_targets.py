"""TMP107, 113, 115, 116 and 124 against the SDK: each case is linted, and run by a worker on the test server.

A method or class named `case_...` of SOURCE is one case. Errors of the linter are the cases that the SDK refuses, or
that do not do what they look like; all other cases work.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import findings
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from temporal_lint.rule import Severity

SOURCE = '''
import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, Union

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RawValue, RetryPolicy

X = {"start_to_close_timeout": timedelta(seconds=5), "retry_policy": RetryPolicy(maximum_attempts=1)}
MARKS = set()


@dataclass
class Payment:
    order_id: str


def logged(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return await function(*args, **kwargs)

    return wrapper


@activity.defn
async def charge(order_id: str, cents: int) -> str:
    return f"{order_id} {cents}"


@activity.defn
async def ship(order_id: str, weight: float = 1) -> str:
    return order_id


@activity.defn
async def pay(payment: Payment, currency: str = "EUR") -> str:
    return type(payment).__name__


@activity.defn
async def log(*lines: str) -> str:
    return " ".join(lines)


@activity.defn
@logged
async def pack(order_id: str, boxes: int) -> str:
    return order_id * boxes


@activity.defn
async def typed(number: int) -> str:
    return type(number).__name__


@activity.defn
async def text(value: str) -> str:
    return type(value).__name__


@activity.defn
async def flag(value: bool) -> str:
    return type(value).__name__


@activity.defn
async def moment(value: datetime) -> str:
    return type(value).__name__


@activity.defn
async def either(value: Union[int, str]) -> str:
    return type(value).__name__


@activity.defn
async def maybe(value: Optional[int] = None) -> str:
    return type(value).__name__


@activity.defn
async def model(value: Payment) -> str:
    return type(value).__name__


@activity.defn
async def many(values: list[int]) -> str:
    return type(values).__name__


async def undecorated(order_id: str) -> str:
    return order_id


@activity.defn(dynamic=True)
async def anything(args: Sequence[RawValue]) -> str:
    return "anything"


class Shop:
    @activity.defn
    async def sell(self, order_id: str) -> str:
        return order_id

    @staticmethod
    @activity.defn
    async def price(order_id: str) -> str:
        return order_id

    async def helper(self, order_id: str) -> str:
        return order_id


class ColdShop(Shop):
    async def sell(self, order_id: str) -> str:
        return order_id


@activity.defn
class Refund:
    async def __call__(self, order_id: str) -> str:
        return order_id


class Return:
    @activity.defn
    async def __call__(self, order_id: str) -> str:
        return order_id


@activity.defn
async def mark(name: str) -> bool:
    MARKS.add(name)
    return activity.in_activity()


class Runs:
    async def each(self) -> dict[str, Any]:
        outcomes = {}
        for name in dir(self):
            if name.startswith("case_"):
                try:
                    outcomes[name] = await getattr(self, name)()
                except Exception as error:
                    outcomes[name] = f"refused: {error!r}"
        return outcomes


@workflow.defn
class Echo:
    @workflow.run
    async def run(self, word: str, times: int = 1) -> str:
        return word * times


@workflow.defn
class Marks:
    @workflow.run
    async def run(self, name: str) -> None:
        MARKS.add(name)


@workflow.defn
class Listener:
    def __init__(self) -> None:
        self.notes: list[int] = []

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: bool(self.notes), timeout=timedelta(seconds=1))
        return self.notes[0]

    @workflow.signal
    def note(self, number: int) -> None:
        self.notes.append(number)

    @workflow.query
    def plus(self, number: int) -> int:
        return number + 1

    @workflow.update
    def put(self, number: int) -> int:
        self.notes.append(number)
        return number


@workflow.defn
class Arguments(Runs):
    @workflow.run
    async def run(self) -> dict[str, Any]:
        return await self.each()

    async def case_exact(self):
        return await workflow.execute_activity(charge, args=["a", 1], **X)

    async def case_too_few(self):
        return await workflow.execute_activity(charge, "a", **X)

    async def case_too_many(self):
        return await workflow.execute_activity(charge, args=["a", 1, 2], **X)

    async def case_none(self):
        return await workflow.execute_activity(ship, **X)

    async def case_a_list_is_one(self):
        return await workflow.execute_activity(charge, ["a", 1], **X)

    async def case_by_name(self):
        return await workflow.execute_activity("charge", "a", **X)

    async def case_by_name_exact(self):
        return await workflow.execute_activity("charge", args=["a", 1], **X)

    async def case_local(self):
        return await workflow.execute_local_activity(charge, "a", **X)

    async def case_start(self):
        return await workflow.start_activity(charge, "a", **X)

    async def case_method(self):
        return await workflow.execute_activity_method(Shop.sell, args=["a", "b"], **X)

    async def case_method_exact(self):
        return await workflow.execute_activity_method(Shop.sell, "a", **X)

    async def case_static(self):
        return await workflow.execute_activity(Shop.price, args=["a", "b"], **X)

    async def case_class(self):
        return await workflow.execute_activity_class(Refund, args=["a", "b"], **X)

    async def case_class_exact(self):
        return await workflow.execute_activity_class(Refund, "a", **X)

    async def case_default_left_out(self):
        return await workflow.execute_activity(ship, "a", **X)

    async def case_default_given(self):
        return await workflow.execute_activity(ship, args=["a", 2], **X)

    async def case_any_number(self):
        return await workflow.execute_activity(log, args=["a", "b", "c"], **X)

    async def case_wrapped(self):
        return await workflow.execute_activity(pack, "a", **X)

    async def case_wrapped_exact(self):
        return await workflow.execute_activity(pack, args=["a", 2], **X)

    async def case_model_with_default(self):
        return await workflow.execute_activity(pay, Payment("a"), **X)

    async def case_model_exact(self):
        return await workflow.execute_activity(pay, args=[Payment("a"), "EUR"], **X)

    async def case_str_for_int(self):
        return await workflow.execute_activity(typed, "1", **X)

    async def case_float_for_int(self):
        return await workflow.execute_activity(typed, 1.5, **X)

    async def case_bool_for_int(self):
        return await workflow.execute_activity(typed, True, **X)

    async def case_none_for_int(self):
        return await workflow.execute_activity(typed, None, **X)

    async def case_bytes_for_int(self):
        return await workflow.execute_activity(typed, b"1", **X)

    async def case_dict_for_int(self):
        return await workflow.execute_activity(typed, {"number": 1}, **X)

    async def case_list_for_int(self):
        return await workflow.execute_activity(typed, [1], **X)

    async def case_int_for_str(self):
        return await workflow.execute_activity(text, 1, **X)

    async def case_datetime_for_str(self):
        return await workflow.execute_activity(text, datetime(2026, 1, 1, tzinfo=timezone.utc), **X)

    async def case_model_for_str(self):
        return await workflow.execute_activity(text, Payment("a"), **X)

    async def case_int_for_bool(self):
        return await workflow.execute_activity(flag, 1, **X)

    async def case_int_for_datetime(self):
        return await workflow.execute_activity(moment, 1, **X)

    async def case_str_for_union(self):
        return await workflow.execute_activity(either, "a", **X)

    async def case_list_for_union(self):
        return await workflow.execute_activity(either, ["a"], **X)

    async def case_str_for_optional(self):
        return await workflow.execute_activity(maybe, "a", **X)

    async def case_none_for_optional(self):
        return await workflow.execute_activity(maybe, None, **X)

    async def case_dict_for_model(self):
        return await workflow.execute_activity(model, {"order_id": "a"}, **X)

    async def case_str_for_model(self):
        return await workflow.execute_activity(model, "a", **X)

    async def case_tuple_for_list(self):
        return await workflow.execute_activity(many, (1, 2), **X)

    async def case_int_for_list(self):
        return await workflow.execute_activity(many, 1, **X)

    async def case_child_none(self):
        return await workflow.execute_child_workflow(Echo.run)

    async def case_child_too_many(self):
        return await workflow.execute_child_workflow(Echo.run, args=["a", 1, 2])

    async def case_child_type(self):
        return await workflow.execute_child_workflow(Echo.run, args=["a", "b"])

    async def case_child_exact(self):
        return await workflow.execute_child_workflow(Echo.run, args=["a", 2])


@workflow.defn
class case_continue_exact:
    @workflow.run
    async def run(self, word: str) -> str:
        if word == "":
            workflow.continue_as_new("a")
        return word


@workflow.defn
class case_continue_too_many:
    @workflow.run
    async def run(self, word: str) -> str:
        if word == "":
            workflow.continue_as_new(args=["a", "b"])
        return word


async def case_client_exact(client: Client, id: str):
    return await client.execute_workflow(Echo.run, "a", id=id, task_queue="cases")


async def case_client_none(client: Client, id: str):
    return await client.execute_workflow(Echo.run, id=id, task_queue="cases")


async def case_signal_exact(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    await handle.signal(Listener.note, 1)
    return await handle.result()


async def case_signal_too_many(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    await handle.signal(Listener.note, args=[1, 2])
    return await handle.result()


async def case_signal_none(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    await handle.signal(Listener.note)
    return await handle.result()


async def case_signal_type(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    await handle.signal(Listener.note, "a")
    return await handle.result()


async def case_query_exact(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    return await handle.query(Listener.plus, 1)


async def case_query_too_many(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    return await handle.query(Listener.plus, args=[1, 2])


async def case_query_type(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    return await handle.query(Listener.plus, "a")


async def case_update_exact(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    return await handle.execute_update(Listener.put, 1)


async def case_update_too_many(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    return await handle.execute_update(Listener.put, args=[1, 2])


async def case_update_type(client: Client, id: str):
    handle = await client.start_workflow(Listener.run, id=id, task_queue="cases")
    return await handle.execute_update(Listener.put, "a")


@workflow.defn
class Targets(Runs):
    @workflow.run
    async def run(self) -> dict[str, Any]:
        return await self.each()

    async def case_function(self):
        return await workflow.execute_activity(ship, "a", **X)

    async def case_function_as_method(self):
        return await workflow.execute_activity_method(ship, "a", **X)

    async def case_function_as_class(self):
        return await workflow.execute_activity_class(ship, "a", **X)

    async def case_method_as_function(self):
        return await workflow.execute_activity(Shop.sell, "a", **X)

    async def case_local_method_as_function(self):
        return await workflow.execute_local_activity(Shop.sell, "a", **X)

    async def case_class_as_function(self):
        return await workflow.execute_activity(Refund, "a", **X)

    async def case_bound_method(self):
        return await workflow.execute_activity(Shop().sell, "a", **X)

    async def case_undecorated(self):
        return await workflow.execute_activity(undecorated, "a", **X)

    async def case_start_undecorated(self):
        return await workflow.start_activity(undecorated, "a", **X)

    async def case_local_undecorated(self):
        return await workflow.execute_local_activity(undecorated, "a", **X)

    async def case_undecorated_method(self):
        return await workflow.execute_activity_method(Shop.helper, "a", **X)

    async def case_override(self):
        return await workflow.execute_activity_method(ColdShop.sell, "a", **X)

    async def case_override_of_instance(self):
        return await workflow.execute_activity(ColdShop().sell, "a", **X)

    async def case_inherited_static(self):
        return await workflow.execute_activity(ColdShop.price, "a", **X)

    async def case_class_with_decorated_call(self):
        return await workflow.execute_activity_class(Return, "a", **X)

    async def case_dynamic(self):
        return await workflow.execute_activity(anything, "a", **X)

    async def case_dynamic_by_name(self):
        return await workflow.execute_activity("whatever", "a", **X)

    async def case_run_method(self):
        return await workflow.execute_activity(Echo.run, "a", **X)


@workflow.defn
class Awaits(Runs):
    """A case is reported where its mark is missing afterwards."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        await self.each()
        await workflow.sleep(0.5)
        return {name: name in MARKS for name in dir(self) if name.startswith("case_")}

    async def case_awaited(self):
        await workflow.execute_activity(mark, "case_awaited", **X)

    async def case_bare(self):
        workflow.execute_activity(mark, "case_bare", **X)

    async def case_local_bare(self):
        workflow.execute_local_activity(mark, "case_local_bare", **X)

    async def case_start_bare(self):
        workflow.start_activity(mark, "case_start_bare", **X)

    async def case_start_local_bare(self):
        workflow.start_local_activity(mark, "case_start_local_bare", **X)

    async def case_child_bare(self):
        workflow.start_child_workflow(Marks.run, "case_child_bare")

    async def case_child_started(self):
        await workflow.start_child_workflow(Marks.run, "case_child_started")

    async def case_named_unread(self):
        later = workflow.execute_activity(mark, "case_named_unread", **X)

    async def case_named_read(self):
        later = workflow.execute_activity(mark, "case_named_read", **X)
        await later

    async def case_gathered(self):
        await asyncio.gather(workflow.execute_activity(mark, "case_gathered", **X))

    async def case_task(self):
        asyncio.create_task(workflow.execute_activity(mark, "case_task", **X))


@workflow.defn
class Direct(Runs):
    """A case is reported where the activity's body does not run as an activity."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        return await self.each()

    async def case_executed(self):
        return await workflow.execute_activity(mark, "direct", **X)

    async def case_called(self):
        return await mark("direct")


@workflow.defn
class Nothing(Runs):
    """A case is reported where the value is None."""

    @workflow.run
    async def run(self) -> dict[str, Any]:
        return {name: value is None for name, value in (await self.each()).items()}

    async def case_wait_condition(self):
        value = await workflow.wait_condition(lambda: True)
        return str(value) if value else value

    async def case_wait_condition_in_time(self):
        return "in time" if await workflow.wait_condition(lambda: True, timeout=timedelta(hours=1)) else None

    async def case_sleep(self):
        value = await workflow.sleep(0.1)
        return str(value) if value else value

    async def case_signal(self):
        child = await workflow.start_child_workflow(Listener.run)
        value = await child.signal(Listener.note, 1)
        return str(value) if value else value

    async def case_memo(self):
        value = workflow.upsert_memo({"a": 1})
        return str(value) if value else value

    async def case_activity(self):
        value = await workflow.execute_activity(ship, "a", **X)
        return str(value) if value else value

    async def case_uuid(self):
        value = workflow.uuid4()
        return str(value) if value else value

    async def case_wait(self):
        value = await workflow.wait([asyncio.create_task(workflow.sleep(0.1))])
        return str(value) if value else value
'''


pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """SOURCE as a module that the worker can import."""
    path: Path = tmp_path_factory.mktemp("targets") / "targets_cases.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


@pytest.fixture(scope="module")
def outcomes(sdk_server: str, cases: ModuleType) -> dict[str, dict[str, Any]]:
    """What the SDK makes of each case, by group."""
    return asyncio.run(_run_all(sdk_server, cases))


async def _run_all(address: str, cases: ModuleType) -> dict[str, dict[str, Any]]:
    client = await Client.connect(address)
    shop = cases.Shop()
    activities = [value for value in vars(cases).values() if hasattr(value, "__temporal_activity_definition")]
    activities = [value() if isinstance(value, type) else value for value in activities]
    groups = ["Arguments", "Targets", "Awaits", "Direct", "Nothing"]
    continued = ["case_continue_exact", "case_continue_too_many"]
    workflows = [getattr(cases, name) for name in ["Echo", "Marks", "Listener", *groups, *continued]]
    async with Worker(
        client,
        task_queue="cases",
        workflows=workflows,
        activities=[*activities, shop.sell, shop.price],
        workflow_runner=UnsandboxedWorkflowRunner(),
        workflow_failure_exception_types=[Exception],
    ):
        found: dict[str, dict[str, Any]] = {}
        for name in groups:
            found[name] = await client.execute_workflow(name, id=name, task_queue="cases")
        for name in continued:
            found["Arguments"][name] = await _outcome(client.execute_workflow(name, "", id=name, task_queue="cases"))
        for name, function in vars(cases).items():
            if name.startswith("case_") and name not in continued:
                found["Arguments"][name] = await _outcome(function(client, name))
        return found


async def _outcome(running: Any) -> Any:
    try:
        return await running
    except Exception as error:
        return f"refused: {error!r}"


_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _reported(code: str, group: str) -> dict[str, Severity]:
    """The severity of what the rule reports, by case; client and continue-as-new cases belong to Arguments."""
    found: dict[str, Severity] = {}
    for rule, finding in findings(SOURCE, code):
        names = [each.name for each in finding.module.ancestors(finding.node) if isinstance(each, _NAMED)]
        name = next(each for each in names if each.startswith("case_"))
        if names[-1] == group or (group == "Arguments" and names[-1].startswith("case_")):
            found[name] = finding.severity or rule.severity
    return found


def _errors(reported: dict[str, Severity]) -> set[str]:
    return {name for name, severity in reported.items() if severity is Severity.ERROR}


def _refused(outcomes: dict[str, Any]) -> set[str]:
    return {name for name, value in outcomes.items() if str(value).startswith("refused")}


def test_arguments(outcomes: dict[str, dict[str, Any]]) -> None:
    reported = _reported("TMP107", "Arguments")
    assert _errors(reported) == _refused(outcomes["Arguments"])
    as_dict = {name for name, value in outcomes["Arguments"].items() if value == "dict"}
    assert reported.keys() - _errors(reported) == as_dict == {"case_model_with_default"}


def test_targets(outcomes: dict[str, dict[str, Any]]) -> None:
    reported = _reported("TMP115", "Targets")
    assert _errors(reported) == _refused(outcomes["Targets"])
    # the SDK runs the wrong form as well; only its overloads refuse it
    assert {name for name in reported if "_as_" in name} == reported.keys() - _errors(reported)


def test_coroutines(outcomes: dict[str, dict[str, Any]]) -> None:
    assert _reported("TMP113", "Awaits").keys() == {name for name, ran in outcomes["Awaits"].items() if not ran}


def test_direct_calls(outcomes: dict[str, dict[str, Any]]) -> None:
    assert _reported("TMP116", "Direct").keys() == {name for name, inside in outcomes["Direct"].items() if not inside}


def test_nothing(outcomes: dict[str, dict[str, Any]]) -> None:
    assert _reported("TMP124", "Nothing").keys() == {name for name, is_none in outcomes["Nothing"].items() if is_none}
