"""What is refused, through names, helpers and classes, under which converter; and what must stay silent."""

from __future__ import annotations

import pytest

from tests.support import findings

HEAD = """
import asyncio, threading, sqlite3, logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Optional, Protocol, TypedDict, TypeVar

import attrs
import numpy as np
import pydantic
import requests
import traceback
from outside import Thing, connect

from temporalio import activity, workflow
from temporalio.client import Client

T = TypeVar("T")
LOCK = threading.Lock()
OPTIONS = {"lock": LOCK}

class Plain:
    def __init__(self, x: int = 1) -> None:
        self.x = x

class Colour(Enum):
    RED = "red"

@dataclass
class Job:
    name: str
    lock: Any = None

@dataclass
class Price:
    amount: Decimal

@dataclass
class Tree:
    children: list["Tree"]

@dataclass
class Pair(Generic[T]):
    left: T

class Base:
    pass

@dataclass
class Heir(Base):
    x: int = 1

class Source(Protocol):
    name: str

class Model(pydantic.BaseModel):
    amount: Decimal

class Exact(pydantic.BaseModel):
    amount: Decimal
    @pydantic.field_serializer("amount")
    def text(self, value: Decimal) -> str:
        return str(value)

class Foreign(Thing):
    pass

class Sized:
    def __iter__(self):
        return iter([1])

@attrs.define
class Attrs:
    x: int

def make_lock():
    return threading.Lock()

def make_job():
    job = Job("a", make_lock())
    return {"job": job}

def numbers() -> Iterator[int]:
    yield 1

async def fetch() -> Plain:
    return Plain()

def typed() -> Any:
    return {"lock": LOCK}

def sometimes(flag) -> Any:
    return LOCK if flag else "none"

def ring() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made

def knot() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = made
    return made

def untied() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    made.pop()
    return made

def maybe(flag) -> list[Any]:
    made: list[Any] = []
    if flag:
        made.append(made)
    return made

def cleaned(clean) -> list[Any]:
    made: list[Any] = []
    made.append(made)
    clean(made)
    return made

def copied() -> list[Any]:
    made: list[Any] = [1]
    made.append(list(made))
    made.append([made])
    return [1]

def late() -> list[Any]:
    made: list[Any] = []
    sent = made
    for _ in range(2):
        made.append(1)
    return sent

def wrapped(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made

def wrapped_until(levels: int, done) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        if done(made):
            break
        made = [made]
    return made

def renewed(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [1]
    return made

def endless(n):
    return [endless(n), endless(n), endless(n), endless(n), endless(n)]

class Maker:
    def make(self) -> Any:
        return LOCK

class PlainMaker(Maker):
    def make(self) -> Any:
        return "text"

@dataclass
class Kept:
    mutex: Any = field(default_factory=threading.Lock)

@dataclass
class Given:
    cache: Any = field(default_factory=threading.Lock)

@dataclass
class Stored:
    guard: Any = field(default_factory=threading.Lock)

def give(stored: Stored):
    stored.guard = None
    return Given(None)
"""

REFUSED = {
    "LOCK": "threading.Lock",
    "OPTIONS": '`["lock"]`',
    "make_lock()": "threading.Lock",
    "make_job()": '`["job"].lock`',
    "[1, (2, {3: Plain()})]": "`[1][1][3]`",
    "[Plain() for _ in range(3)]": "`[*]`",
    "{name: Plain() for name in names}": "`[*]`",
    "{Colour.RED: 1}": "dict key",
    "{1: 'a', 'b': 2}": "several types",
    "Job(name='a', lock=lambda: 1)": "`.lock`",
    "Job('a', (x for x in names))": "generator",
    "Price(unknown)": "decimal.Decimal",
    "Model(amount=1)": "decimal.Decimal",
    "Plain() if flag else LOCK": "Plain",
    "self.plain": "Plain",
    "self.plain.method": "",
    "fetch()": "coroutine",
    "await fetch()": "Plain",
    "declared": "sqlite3.Connection",
    "asyncio.create_task(fetch())": "asyncio.Task",
    "workflow.execute_activity(take, 1)": "coroutine",
    "workflow.logger": "Logger",
    "logging.getLogger(__name__)": "Logger",
    "threading": "module",
    "Plain": "a class",
    "print": "function",
    "self.run": "function",
    "caught": "exception",
    "ValueError('x')": "exception",
    "dict(lock=LOCK)": '`["lock"]`',
    "open('x', 'w')": "writing",
    "object()": "object()",
    "Attrs(1)": "Attrs",
    "Decimal(1)": "Decimal",
    "date.today()": "date",
    "timedelta(seconds=1)": "timedelta",
    "datetime.now().date()": "date",
    "Path('x') / 'y'": "",
    "(made := Plain())": "Plain",
    "3j": "complex",
    "...": "...",
    "[*[LOCK]]": "threading.Lock",
    "branched": "Plain",
    "requests.Session()": "requests.Session",
    "typed()": '`["lock"]`',
    "ring()": "holds itself",
    "knot()": "holds itself",
    "[wrapped(2_000)]": "2,000 levels",
    "wrapped(levels=1_000)": "1,000 levels",
    "np.array([1, 2])": "numpy.int64",
    "np.asarray([[True], [False]])": "numpy.bool_",
    "np.arange(3)": "numpy.int64",
    "{'rows': np.array([1])}": '`["rows"][*]`',
    "Kept()": "`.mutex`",
    "kept": "`.mutex`",
    "Given()": "`.cache`",
}
# A miss that is known: nothing is said of what operators and unknown attributes give.
MISSED = {"self.plain.method", "Path('x') / 'y'"}

CARRIED = (
    "unknown",
    "str(caught)",
    "[1, 2.5, None, True, b'x', {1, 2}, (3,)]",
    "datetime.now()",
    "Job('a')",
    "Tree([Tree([])])",
    "Heir()",
    "base",
    "source",
    "optional",
    "Exact(amount=1)",
    "Foreign()",
    "Thing()",
    "connect()",
    "Sized()",
    "Plain().x",
    "LOCK or unknown",
    "Plain() if flag else None",
    "changed",
    "Colour.RED.value",
    "[colour.value for colour in Colour]",
    "list(Colour)[0].name",
    "emptied",
    "reset",
    "default_none",
    "requests.get('x').json()",
    "workflow.info().workflow_id",
    "Pair(1)",
    "rebound",
    "sometimes(flag)",
    "untied()",
    "maybe(flag)",
    "cleaned(print)",
    "copied()",
    "late()",
    "wrapped(900)",
    "wrapped(flag)",
    "wrapped_until(2_000, flag)",
    "renewed(2_000)",
    "endless(1)",
    "maker.make()",
    "np.array([1.5, 2])",
    "np.array([2**70])",
    "np.array([1, 2], dtype=float)",
    "np.array(unknown)",
    "np.array([])",
    "np.array([1, unknown])",
    "np.array(['a'])",
    "np.arange(unknown)",
    "given",
    "stored",
    "traceback.extract_stack()[-1:]",
    r"'\ud800'",
)

BODY = """
@activity.defn
async def take(value): ...

@workflow.defn
class Flow:
    def __init__(self) -> None:
        self.plain = Plain()

    @workflow.run
    async def run(self, unknown, names, flag, declared: sqlite3.Connection, base: Base, source: Source,
                  optional: Optional[Path], kept: Kept, given: Given, stored: Stored, maker: Maker,
                  default_none: Path = None) -> None:
        changed = Plain()
        changed = changed.x
        emptied = {"lock": LOCK}
        emptied.pop("lock")
        reset = Job("a", LOCK)
        reset.lock = None
        if flag:
            branched = Plain()
        else:
            branched = LOCK
        rebound = Plain()
        if flag:
            rebound = 1
        try:
            pass
        except Exception as caught:
            await workflow.execute_activity(take, EXPRESSION, start_to_close_timeout=timedelta(seconds=1))
"""


def messages(expression: str, body: str = BODY, code: str = "TMP201") -> list[str]:
    """What is said of an expression that is sent."""
    text = HEAD + body.replace("EXPRESSION", expression)
    return [finding.message for _, finding in findings(text, code, python_version="3.11")]


@pytest.mark.parametrize("expression", sorted(REFUSED))
def test_refused(expression: str) -> None:
    """The value is found, and named."""
    found = messages(expression)
    if expression in MISSED:
        assert not found
    else:
        assert len(found) == 1
        assert REFUSED[expression] in found[0]


@pytest.mark.parametrize("expression", CARRIED)
def test_carried(expression: str) -> None:
    """Nothing is said of what may be carried."""
    assert messages(expression) == []


@pytest.mark.parametrize(
    "expression", ["(x for x in names)", "numbers()", "open('x')", "map(str, names)", "zip(names)"]
)
def test_drained(expression: str) -> None:
    """Iterators are encoded, once: a warning."""
    ((_, finding),) = findings(HEAD + BODY.replace("EXPRESSION", expression), "TMP201")
    assert finding.severity is not None and finding.severity.value == "warning"
    assert "uses it up" in finding.message


SENDS = (
    "await workflow.start_child_workflow('Child', LOCK)",
    "workflow.continue_as_new(LOCK)",
    "workflow.continue_as_new(args=[1, LOCK])",
    "await workflow.execute_child_workflow('Child', args=[1, *rest, LOCK])",
    "await workflow.get_external_workflow_handle('id').signal('signal', LOCK)",
    "await client.start_workflow('Flow', LOCK, id='a', task_queue='q')",
    "await client.execute_workflow('Flow', id='a', task_queue='q', memo={'lock': LOCK})",
    "await client.get_workflow_handle('a').query('query', LOCK)",
    "await client.get_workflow_handle('a').execute_update('update', args=[LOCK])",
    "await client.get_async_activity_handle(task_token=b'').complete(LOCK)",
    "activity.heartbeat(1, LOCK)",
    "workflow.upsert_memo({'lock': LOCK})",
    "await call(take, LOCK)",
)


@pytest.mark.parametrize("statement", SENDS)
def test_every_way_to_send(statement: str) -> None:
    """Arguments, results, details and memos are payloads, through the project's wrapper too."""
    body = f"""
@activity.defn
async def take(value): ...

async def call(target, value):
    return await workflow.execute_activity(target, value, start_to_close_timeout=timedelta(seconds=1))

async def send(client: Client, rest):
    {statement}
"""
    assert len(messages("", body)) == 1


def test_expected_errors_are_silent() -> None:
    """A test that wants the SDK's refusal is not told of it."""
    body = """
import pytest

async def test(client: Client):
    with pytest.raises(TypeError):
        await client.start_workflow('Flow', LOCK, id='a', task_queue='q')
    await client.start_workflow('Flow', 'x' * 300_000, id='a', task_queue='q')
"""
    assert messages("", body) == []
    assert len(messages("", body, "TMP206")) == 1


WORKFLOWS = """
from datetime import timedelta
from decimal import Decimal
import threading
from temporalio import workflow

@workflow.defn
class Flow:
    @workflow.run
    async def run(self) -> None:
        timeout = timedelta(seconds=1)
        await workflow.execute_activity("a", Decimal(1), start_to_close_timeout=timeout)
        await workflow.execute_activity("a", threading.Lock(), start_to_close_timeout=timeout)
"""
CLIENT = """
import dataclasses
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import DataConverter
from outside import Codec, OwnPayloadConverter
from workflows import Flow

OPTIONS = {}

async def main(given):
    await Client.connect("localhost:7233"CONVERTER)
"""
BOTH, ONLY_LOCK, NOTHING = 2, 1, 0


@pytest.mark.parametrize(
    ("argument", "count"),
    [
        ("", BOTH),
        (", data_converter=DataConverter.default", BOTH),
        (", data_converter=DataConverter(payload_codec=Codec())", BOTH),
        (", data_converter=dataclasses.replace(DataConverter.default, payload_codec=Codec())", BOTH),
        (", data_converter=pydantic_data_converter", ONLY_LOCK),
        (", data_converter=dataclasses.replace(pydantic_data_converter, payload_codec=Codec())", ONLY_LOCK),
        (", data_converter=DataConverter(payload_converter_class=PydanticPayloadConverter)", ONLY_LOCK),
        (", data_converter=DataConverter(payload_converter_class=OwnPayloadConverter)", NOTHING),
        (", data_converter=given()", NOTHING),
        (", **{'data_converter': OwnPayloadConverter}", NOTHING),
        (", plugins=[given]", ONLY_LOCK),
    ],
)
def test_the_project_chooses_the_converter(argument: str, count: int) -> None:
    """The converter of the client whose worker runs the workflow decides."""
    files = {"workflows.py": WORKFLOWS, "worker.py": CLIENT.replace("CONVERTER", argument)}
    assert len(findings(files, "TMP201")) == count


OLD_TYPED_DICT = """
from typing import TypedDict
from temporalio import activity

class Options(TypedDict):
    name: str

@activity.defn
async def work(options: list[Options]) -> None: ...
"""


@pytest.mark.parametrize(
    ("python", "module", "converter", "count"),
    [
        ("3.11", "typing", ", data_converter=pydantic_data_converter", 1),
        ("3.12", "typing", ", data_converter=pydantic_data_converter", 0),
        (None, "typing", ", data_converter=pydantic_data_converter", 0),
        ("3.11", "typing_extensions", ", data_converter=pydantic_data_converter", 0),
        ("3.11", "typing", "", 0),
    ],
)
def test_pydantic_and_typed_dicts(python: str | None, module: str, converter: str, count: int) -> None:
    """pydantic refuses the TypedDict of `typing` before Python 3.12; where the Python is not known, nothing is said."""
    workflows = OLD_TYPED_DICT.replace("from typing ", f"from {module} ")
    files = {"workflows.py": workflows, "worker.py": CLIENT.replace("Flow", "work").replace("CONVERTER", converter)}
    assert len(findings(files, "TMP202", python_version=python)) == count


def test_nesting_is_refused_where_the_encoder_shares_the_stack() -> None:
    """From Python 3.12 on the encoder has a stack of its own; pydantic counts for itself."""
    build = "\ndef deep():\n    made = []\n    for _ in range({}):\n        made = [made]\n    return made\n"
    for levels, python, converter, count in (
        (1_000, "3.11", "", 1),
        (1_000, "3.12", "", 0),
        (1_000, None, "", 0),
        (254, None, ", data_converter=pydantic_data_converter", 0),
        (255, None, ", data_converter=pydantic_data_converter", 1),
    ):
        workflows = WORKFLOWS.replace("Decimal(1)", "deep()").replace("threading.Lock()", "1") + build.format(levels)
        files = {"workflows.py": workflows, "worker.py": CLIENT.replace("CONVERTER", converter)}
        assert len(findings(files, "TMP201", python_version=python)) == count, (levels, python, converter)


CYCLE = """
from datetime import timedelta
from temporalio import activity, workflow

@activity.defn
async def work(value): ...

async def call():
    made = {}
    made["self"] = made
    AGAIN
    await workflow.execute_activity(work, made, start_to_close_timeout=timedelta(seconds=1))
"""


@pytest.mark.parametrize(
    ("again", "count"),
    [
        ("pass", 1),
        ("made['other'] = 1", 0),
        ("made = {'k': 1}", 0),
        ("made: dict = {}", 0),
        ("made, other = {}, 1", 0),
        ("made |= {}", 0),
        ("del made['self']", 0),
        ("made.clear()", 0),
        ("for made in ({},): pass", 0),
        ("view = made; del view['self']", 0),
        ("held = [made]; held[0].clear()", 0),
        ("for view in (made,): view.clear()", 0),
        ("print(len(made)); assert made", 1),
    ],
)
def test_a_container_holds_itself_until_its_name_means_another(again: str, count: int) -> None:
    assert len(findings(CYCLE.replace("AGAIN", again), "TMP201")) == count


def test_two_applications_have_two_converters() -> None:
    """A converter concerns the code that its client's module is connected with."""
    files = {
        "one/workflows.py": WORKFLOWS,
        "one/worker.py": CLIENT.replace("workflows", "one.workflows").replace("CONVERTER", ", data_converter=given()"),
        "two/workflows.py": WORKFLOWS,
        "two/worker.py": CLIENT.replace("workflows", "two.workflows").replace("CONVERTER", ""),
    }
    assert [finding.module.name for _, finding in findings(files, "TMP201")] == ["two.workflows"] * 2


def test_a_library_that_mentions_pydantic_is_judged_by_both() -> None:
    """Without a client of its own, only what both converters refuse is certain."""
    assert len(findings({"workflows.py": WORKFLOWS}, "TMP201")) == BOTH
    mention = "from temporalio.contrib.pydantic import pydantic_data_converter\n"
    assert len(findings({"workflows.py": mention + WORKFLOWS}, "TMP201")) == ONLY_LOCK


LEGACY = """
from dataclasses import dataclass
from datetime import datetime
from temporal.activity_method import activity_method
from temporal.workflow import Workflow, workflow_method

class Fancy(object):
    def __init__(self, argument: int):
        self.argument = argument

@dataclass
class Data:
    x: int

class Activities:
    @activity_method(task_queue="q")
    async def fancy(self, fancy: Fancy, data: Data, when: datetime, text: str) -> Fancy:
        return Fancy(1)

class Flow:
    @workflow_method(task_queue="q")
    async def run(self, fancy: Fancy) -> dict: ...

class FlowImpl(Flow):
    def __init__(self):
        self.activities: Activities = Workflow.new_activity_stub(Activities)

    async def run(self, fancy):
        await self.activities.fancy({"a": Fancy(1)}, Data(1), datetime.now(), "x")
"""


def test_legacy_dialect() -> None:
    """The legacy SDK writes what `json` knows, and nothing else."""
    assert len(findings(LEGACY, "TMP202")) == 4
    assert len(findings(LEGACY, "TMP203")) == 1
    assert len(findings(LEGACY, "TMP201")) == 3


CONTRACTS = """
class Flow:
    @workflow.init
    def __init__(self, price: Price) -> None: ...
    @workflow.run
    async def run(self, price: Price) -> Pair[int]:
        return Pair(1)
    @workflow.signal
    def told(self, on: Callable[[], None], tree: Tree, pair: Pair, anything: Any) -> None: ...
    @workflow.query
    def asked(self, source: Source | None, base: Base) -> Optional[Plain]: ...
    @workflow.update
    def changed(self, unknown: Foreign, color: Colour | str) -> Colour:
        return Colour.RED
    @changed.validator
    def check(self, unknown: Foreign, color: Plain) -> None: ...

@activity.defn
def loose(on: Callable[[], None], *rest: Plain, plain: Plain) -> object:
    return rest

class Worker:
    @activity.defn
    async def method(self, key: "Plain", other: "list[Price]", last: Plain = Plain()) -> T:
        return last.x

    async def helper(self, plain: Plain) -> Plain: ...
"""


CALLERS = """
from temporalio.client import Client

async def outside(client: Client):
    handle = await client.start_workflow(Flow.run, 1, id="f", task_queue="q")
    await handle.execute_update(Flow.changed, args=[1, 2])

async def inside():
    await workflow.execute_activity(loose, 1)
    await workflow.execute_activity_method(Worker.method, args=["a", []])
"""


def test_contracts() -> None:
    """Parameters and results of everything that Temporal calls."""
    parameters = [finding.message.split("`")[1] for _, finding in findings(HEAD + CONTRACTS, "TMP202")]
    assert parameters == ["price", "price", "on", "pair", "base", "on", "rest", "plain", "key", "other"]
    results = [finding.message.split(" is ")[0] for _, finding in findings(HEAD + CONTRACTS + CALLERS, "TMP203")]
    assert results == [
        "The result of the workflow `Flow`",
        "The result of the update `changed`",
        "The result of the activity `loose`",
        "The result of the activity `method`",
    ]


def test_a_result_that_nobody_decodes_by_its_annotation_only_has_to_be_encoded() -> None:
    text = "@activity.defn\ndef loose() -> object:\n    return {}\n"
    by_name = "async def f():\n    await workflow.execute_activity('loose')\n"
    typed = "async def f():\n    await workflow.execute_activity(loose, result_type=dict)\n"
    assert not findings(HEAD + text, "TMP203")
    assert not findings(HEAD + text + by_name, "TMP203")
    assert not findings(HEAD + text + typed, "TMP203")
    assert findings(HEAD + text + by_name.replace("'loose'", "loose"), "TMP203")


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("@workflow.signal\n    async def", "dropped with a line in the worker's log"),
        ("@workflow.query\n    def", "the query fails"),
        ("@workflow.update\n    async def", "the update is rejected"),
        ("@workflow.run\n    async def", "retried for ever"),
    ],
)
def test_what_comes_of_a_parameter_is_said_for_each_kind(handler: str, words: str) -> None:
    text = f"""
import threading
from temporalio import workflow

@workflow.defn
class Flow:
    {handler} take(self, lock: dict[str, threading.Lock]) -> None: ...
"""
    [(_, found)] = findings(text, "TMP202")
    assert words in found.message


def test_a_key_is_held() -> None:
    text = """
from temporalio import activity

@activity.defn
async def take(prices: dict[tuple[int, int], str]) -> None: ...
"""
    [(_, found)] = findings(text, "TMP202")
    assert " holds a dict key that is a `tuple`" in found.message


def test_a_model_that_only_a_dict_can_make() -> None:
    text = """
from decimal import Decimal
from pydantic import BaseModel
from temporalio import activity

class Order(BaseModel):
    amount: Decimal

@activity.defn
async def take(order: Order) -> None: ...
"""
    [(_, found)] = findings(text, "TMP202")
    assert "cannot encode: a caller in Python that sends one fails" in found.message


DECORATED = """
import functools
import threading
import tracing
from temporalio import activity

def logged(function):
    @functools.wraps(function)
    async def inner(*args, **options):
        result = await function(*args, **options)
        return result
    return inner

def injecting(function):
    async def inner(*args):
        return str(await function(threading.Lock(), *args))
    return inner

@activity.defn
DECORATOR
async def take(lock: threading.Lock) -> threading.Lock:
    return lock
"""


@pytest.mark.parametrize(
    ("decorator", "codes"),
    [("", {"TMP202", "TMP203"}), ("@logged", {"TMP202", "TMP203"}), ("@injecting", set()), ("@tracing.trace", set())],
)
def test_a_decorator_may_change_what_is_sent(decorator: str, codes: set[str]) -> None:
    found = findings(DECORATED.replace("DECORATOR", decorator), "TMP202", "TMP203")
    assert {rule.code for rule, _ in found} == codes
