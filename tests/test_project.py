"""What the modules mean to Temporal: definitions, calls through wrappers, who runs where."""

from __future__ import annotations

import ast

import pytest
from support import findings, project

from temporal_lint.config import Wrapper
from temporal_lint.project import Project, SdkCall

ACTIVITIES = """
from temporalio import activity

@activity.defn
async def plain(x): ...

@activity.defn(name="renamed")
def named(x, y=1): ...

class Service:
    @activity.defn
    async def method(self, x): ...

@activity.defn(dynamic=True)
async def anything(args): ...
"""


def calls(joined: Project, family: str = "activity", module: str = "app") -> list[SdkCall]:
    return [each for each in joined.sdk_calls(joined.modules[module]) if each.family == family]


def test_activities_by_every_form_of_definition() -> None:
    own = """
from temporalio import activity
from temporalio.activity import defn

def traced(name):
    def wrap(f):
        return activity.defn(name=name)(f)
    return wrap

@traced("a")
async def by_decorator(): ...

def by_call(): ...
activity.defn(by_call)

@defn
def imported(): ...

@unknown
def not_sure(): ...
"""
    joined = project({"acts.py": ACTIVITIES, "own.py": own})
    assert {each.function.label: (each.name, each.dynamic) for each in joined.activity_of.values()} == {
        "acts.plain": ("plain", False),
        "acts.named": ("renamed", False),
        "acts.Service.method": ("method", False),
        "acts.anything": (None, True),
        "own.by_decorator": (None, False),
        "own.by_call": (None, False),
        "own.imported": ("imported", False),
    }


def test_workflows_and_handlers_with_inheritance() -> None:
    text = """
from temporalio import workflow

class Base:
    @workflow.signal(name="stop")
    def halt(self): ...

@workflow.defn(name="Order")
class OrderWorkflow(Base):
    @workflow.run
    async def run(self, x): ...
    @workflow.query
    def state(self): ...
    @workflow.update
    async def change(self, x): ...
    @change.validator
    def check(self, x): ...
"""
    joined = project(text)
    (workflow,) = joined.workflow_of.values()
    assert workflow.name == "Order"
    assert workflow.run is not None and workflow.run.qualname == "OrderWorkflow.run"
    assert {(each.kind, each.function.name, each.name) for each in workflow.handlers} == {
        ("run", "run", "run"),
        ("query", "state", "state"),
        ("update", "change", "change"),
        ("validator", "check", None),
        ("signal", "halt", "stop"),
    }


@pytest.mark.parametrize(
    ("call", "target", "payloads", "absent"),
    [
        ("workflow.execute_activity(plain, 1)", "acts.plain", ["1"], True),
        (
            "workflow.execute_activity('renamed', args=[1, 2], start_to_close_timeout=t)",
            "acts.named",
            ["1", "2"],
            False,
        ),
        ("workflow.execute_activity('nobody', 1)", None, ["1"], True),
        ("workflow.execute_activity_method(Service.method, 1)", "acts.Service.method", ["1"], True),
        ("workflow.execute_activity(plain, **OPTIONS)", "acts.plain", [], False),
        ("workflow.execute_activity(plain, **unknown)", "acts.plain", None, False),
        ("workflow.execute_activity(plain, arg=1, start_to_close_timeout=None)", "acts.plain", ["1"], True),
        ("workflow.execute_activity(*args)", None, None, True),
        ("simple(plain, 1)", "acts.plain", ["1"], False),
        ("passing(plain, 1)", "acts.plain", ["1"], True),
        ("passing(plain, 1, timeout=t)", "acts.plain", ["1"], False),
        ("outer(plain, 1, 2, start_to_close_timeout=t)", "acts.plain", ["1", "2"], False),
        ("outer(plain, 1)", "acts.plain", ["1"], True),
    ],
)
def test_activity_calls_are_seen_through_wrappers(
    call: str, target: str | None, payloads: list[str] | None, absent: bool
) -> None:
    text = f"""
from datetime import timedelta
from temporalio import workflow
from acts import plain, Service
from helpers import simple, passing, outer

OPTIONS = dict(start_to_close_timeout=timedelta(seconds=1))

async def f(t, args, unknown):
    await {call}
"""
    helpers = """
from datetime import timedelta
from temporalio import workflow

async def simple(fn, arg):
    return await workflow.execute_activity(fn, arg, start_to_close_timeout=timedelta(seconds=5))

async def passing(fn, arg, timeout: timedelta | None = None):
    return await workflow.execute_activity(fn, arg, start_to_close_timeout=timeout)

async def inner(fn, args, **options):
    return await workflow.execute_activity(fn, args=args, **options)

async def outer(fn, *args, **options):
    return await inner(fn, list(args), **options)
"""
    joined = project({"acts.py": ACTIVITIES, "helpers.py": helpers, "app.py": text})
    (found,) = calls(joined)
    assert (found.function.label if found.function else None) == target
    given = found.payloads
    assert (None if given is None else [ast.unparse(each.expression) for each in given]) == payloads
    assert found.is_absent("start_to_close_timeout") is absent


def test_a_wrapper_may_be_described_in_the_configuration() -> None:
    text = """
import company
from acts import plain

async def f():
    await company.run(plain, 1, heartbeat_timeout=3)
"""
    joined = project(
        {"acts.py": ACTIVITIES, "app.py": text},
        wrappers=(Wrapper("company.run", 0, None, ("start_to_close_timeout",)),),
    )
    (found,) = calls(joined)
    assert found.function is not None and found.function.label == "acts.plain"
    assert [ast.unparse(each.expression) for each in found.payloads or ()] == ["1"]
    assert not found.is_absent("start_to_close_timeout")
    assert found.option("heartbeat_timeout") is not None


def test_legacy_stubs() -> None:
    text = """
from temporal.activity_method import activity_method
from temporal.workflow import workflow_method, Workflow

class Acts:
    @activity_method(task_queue="q")
    async def do(self, x): ...

class ActsImpl(Acts):
    async def do(self, x):
        helper()

def helper(): ...

class Flow:
    @workflow_method(task_queue="q")
    async def run(self): ...

class FlowImpl(Flow):
    def __init__(self):
        self.acts = Workflow.new_activity_stub(Acts)
    async def run(self):
        await self.acts.do(x=1)
"""
    joined = project(text)
    (stub,) = calls(joined, "stub")
    assert stub.stub is not None and stub.stub.label == "app.Acts.do"
    assert "app.helper" in {each.label for each in joined.activity_code}
    assert {each.name for each in joined.workflow_of} == {"Flow", "FlowImpl"}


def test_reachability_follows_methods_constructors_callbacks_and_abstract_classes() -> None:
    text = """
import abc, asyncio
from temporalio import activity

class Store(abc.ABC):
    @abc.abstractmethod
    def save(self): ...

class Sqlite(Store):
    def __init__(self):
        setup()
    def save(self):
        write()

def setup(): ...
def write(): ...
def offloaded(): ...
def unused(): ...

class Acts:
    def __init__(self, store: Store):
        self.store = store
    @activity.defn
    async def do(self):
        self.store.save()
        Sqlite()
        await asyncio.to_thread(offloaded)
"""
    joined = project(text)
    reached = {each.label for each in joined.activity_code}
    assert {"app.write", "app.setup", "app.offloaded", "app.Sqlite.save"} <= reached
    assert "app.unused" not in reached
    (write,) = (each for each in joined.activity_code if each.label == "app.write")
    assert [step.callee.label for step in joined.activity_code[write]] == ["app.Sqlite.save", "app.write"]


def test_activities_of_tests_make_no_activity_code() -> None:
    joined = project(
        {"tests/test_x.py": "from temporalio import activity\n@activity.defn\ndef fake(): f()\ndef f(): ...\n"}
    )
    assert not joined.activity_code


LAYERED = """
from datetime import timedelta
from temporalio import activity, workflow

T = timedelta(seconds=3)

@activity.defn
async def two(a: int, b: int) -> int: ...

async def inner(fn, *args, **options):
    return await workflow.execute_activity(fn, args=args, start_to_close_timeout=T, **options)

async def outer(fn, *args, **options):
    return await inner(fn, *args, **options)

async def first_fixed(fn, first, *rest):
    return await outer(fn, first, *rest)

async def keyed(fn, arg, *, seconds=None, label=None):
    return await workflow.execute_activity(fn, arg, start_to_close_timeout=timedelta(seconds=seconds or 5))

async def keyed_outer(fn, arg, **options):
    return await keyed(fn, arg, **options)

async def settles(fn, *args, **options):
    options.setdefault("start_to_close_timeout", T)
    return await workflow.execute_activity(fn, args=args, **options)

async def settles_outer(fn, *args, **options):
    return await settles(fn, *args, **options)

async def flow():
    await CALL
"""


@pytest.mark.parametrize(
    ("call", "codes"),
    [
        ("outer(two, 1, 2)", []),
        ("outer(two, 1)", ["TMP107"]),
        ("outer(two, 1, 2, summary='x')", []),
        ("outer(two, 1, 2, sumary='x')", ["TMP114"]),
        ("first_fixed(two, 1, 2)", []),
        ("first_fixed(two, 1)", ["TMP107"]),
        ("keyed_outer(two, 1, seconds=3, label='x')", ["TMP107"]),
        ("settles_outer(two, 1, 2)", []),
        ("settles_outer(two, 1)", ["TMP107"]),
    ],
)
def test_a_wrapper_of_a_wrapper_hands_on_what_it_takes(call: str, codes: list[str]) -> None:
    found = findings(LAYERED.replace("CALL", call))
    assert [rule.code for rule, _ in found if rule.severity == "error"] == codes
