"""TMP110, TMP111, TMP114 and TMP122 against the installed SDK: it refuses what they report and takes what they leave.

Every case is a text. It is linted, and executed on the SDK.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import queue
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
import temporalio.api.common.v1
from support import findings
from temporalio import activity, client, common, exceptions, worker, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from temporal_lint.edits import Editor, apply
from temporal_lint.spans import Spans

HEADER = """\
import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

from temporalio import activity, client, common, exceptions, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

FOREVER = {"maximum_attempts": 0}
ERRORS = [ValueError]
OPTIONS = {"start_to_close_timeout": timedelta(minutes=1)}
MISSPELT = {"start_to_close_timout": timedelta(minutes=1)}


class Declined(Exception):
    pass


class Patient(RetryPolicy):
    pass


@dataclasses.dataclass
class Lookalike:
    maximum_attempts: int = 3


"""


def reported(texts: Sequence[str], *codes: str) -> set[str]:
    """The texts, each a module of its own behind HEADER, in which the rules report something."""
    files = {f"case_{number}.py": f"{HEADER}{text}\n" for number, text in enumerate(texts)}
    return {texts[int(found.module.name.removeprefix("case_"))] for _, found in findings(files, *codes)}


def executed(text: str) -> dict[str, Any]:
    """The names of a text after it ran behind HEADER."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(f"{HEADER}{text}\n", "case", "exec", dont_inherit=True), names)
    return names


# ---- TMP110 ----------------------------------------------------------------------------------------------------------

POLICIES = [
    "{'maximum_attempts': 3}",
    "dict(maximum_attempts=3)",
    "FOREVER",
    "RetryPolicy",
    "3",
    "'three'",
    "[RetryPolicy()]",
    "(RetryPolicy(),)",
    "timedelta(seconds=1)",
    "Lookalike()",
    "Lookalike",
    "lambda: RetryPolicy()",
    "common.Priority()",
    "timedelta(seconds=int('3'))",
    "RetryPolicy(maximum_attempts=3).maximum_attempts",
    "RetryPolicy()",
    "RetryPolicy(**FOREVER)",
    "common.RetryPolicy(maximum_attempts=3)",
    "Patient()",
    "None",
    "{}",
    "0",
    "RetryPolicy(maximum_attempts=3) if FOREVER else None",
]
APIS = {
    "start_activity": "start_activity('work', start_to_close_timeout=timedelta(minutes=1), retry_policy=",
    "start_local_activity": "start_local_activity('work', start_to_close_timeout=timedelta(minutes=1), retry_policy=",
    "start_child_workflow": "start_child_workflow('Child', retry_policy=",
}


@pytest.mark.parametrize("api", APIS)
def test_retry_policies(sdk_server: str, api: str) -> None:
    texts = [f"async def case() -> Any:\n    return workflow.{APIS[api]}{policy})" for policy in POLICIES]
    refused = asyncio.run(_refused_in_workflow(sdk_server, texts))
    assert reported(texts, "TMP110") == refused
    assert 0 < len(refused) < len(texts)


@activity.defn
async def work() -> None: ...


@workflow.defn
class Cases:
    """Calls each case. It is not sandboxed, so it can hand out the verdicts by itself: a refused call leaves half a
    command behind, for which the server takes back no result."""

    cases: ClassVar[list[Callable[[], Any]]] = []
    verdicts: ClassVar[queue.Queue[list[bool]]] = queue.Queue()

    @workflow.run
    async def run(self) -> None:
        self.verdicts.put([await self.is_refused(case) for case in self.cases])
        await workflow.wait_condition(lambda: False)

    async def is_refused(self, case: Callable[[], Any]) -> bool:
        try:
            started = asyncio.ensure_future(await case())
            await asyncio.sleep(0)
        except (AttributeError, TypeError):
            return True
        return started.done() and isinstance(started.exception(), (AttributeError, TypeError))


def test_a_fixed_policy_is_a_policy() -> None:
    text = f"""{HEADER}
async def case() -> None:
    await workflow.execute_activity(
        'work',
        start_to_close_timeout=timedelta(minutes=1),
        retry_policy={{
            'maximum_attempts': 3,
            'initial_interval': timedelta(
                seconds=2,
            ),
        }},
    )
"""
    ((_, found),) = findings(text, "TMP110")
    source = found.module.source
    assert found.fix is not None
    fix = found.fix(Editor(found.module.tree, source, Spans(source)))
    assert fix is not None and fix.applicability == "safe"
    fixed = apply(text, fix.edits)
    written = fixed[fixed.index("RetryPolicy(\n") : fixed.rindex(",\n    )")]
    assert written.splitlines()[1] == "            maximum_attempts=3,"
    assert eval(written, executed("")) == common.RetryPolicy(timedelta(seconds=2), maximum_attempts=3)
    assert findings(fixed, "TMP110") == []


async def _refused_in_workflow(address: str, texts: Sequence[str]) -> set[str]:
    Cases.cases = [executed(text)["case"] for text in texts]
    connected = await Client.connect(address)
    async with Worker(
        connected,
        task_queue="options",
        workflows=[Cases],
        activities=[work],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await connected.start_workflow(Cases.run, id=f"options-{uuid4()}", task_queue="options")
        verdicts = await asyncio.to_thread(Cases.verdicts.get, timeout=20)
        await handle.terminate()
    return {text for text, is_refused in zip(texts, verdicts, strict=True) if is_refused}


# ---- TMP111 ----------------------------------------------------------------------------------------------------------

FIELDS = [
    "",
    "maximum_attempts=0",
    "maximum_attempts=1, backoff_coefficient=0.0",
    "maximum_attempts=2, backoff_coefficient=0.0",
    "maximum_attempts=-1",
    "backoff_coefficient=1",
    "backoff_coefficient=0.99",
    "initial_interval=timedelta(0)",
    "initial_interval=timedelta(seconds=-1)",
    "maximum_interval=None",
    "maximum_interval=timedelta(0)",
    "maximum_interval=timedelta(seconds=-1)",
    "maximum_interval=timedelta(seconds=1)",
    "maximum_interval=timedelta(milliseconds=999)",
    "initial_interval=timedelta(seconds=10), maximum_interval=timedelta(seconds=5) * 2",
    "initial_interval=timedelta(seconds=10), maximum_interval=timedelta(seconds=5)",
    "timedelta(seconds=-1)",
    "timedelta(1), 2.0, timedelta(2), 0",
    "timedelta(2), 2.0, timedelta(1), 1",
    "timedelta(2), 2.0, timedelta(1), 2",
    "**FOREVER, backoff_coefficient=0.5",
    "**FOREVER",
    "non_retryable_error_types=[ValueError]",
    "non_retryable_error_types=[Declined, 'KeyError']",
    "maximum_attempts=1, non_retryable_error_types=(exceptions.ApplicationError,)",
    "non_retryable_error_types=ERRORS",
    "non_retryable_error_types=['ValueError', Declined.__name__]",
    "non_retryable_error_types=[]",
    "non_retryable_error_types=None",
]


def test_retry_policy_fields() -> None:
    texts = [f"policy = RetryPolicy({fields})" for fields in FIELDS]
    refused = {text for text in texts if _is_refused_policy(executed(text)["policy"])}
    assert reported(texts, "TMP111") == refused
    assert 0 < len(refused) < len(texts)


def _is_refused_policy(policy: common.RetryPolicy) -> bool:
    try:
        policy.apply_to_proto(temporalio.api.common.v1.RetryPolicy())
    except (ValueError, TypeError):
        return True
    return False


# ---- TMP114 ----------------------------------------------------------------------------------------------------------

CALLS = [
    "activity.defn(name='x')",
    "activity.defn(retry_policy=RetryPolicy())",
    "activity.heartbeat(1, progress=2)",
    "workflow.defn(name='X', sandboxed=False)",
    "workflow.defn(sandbox=False)",
    "workflow.signal(name='x')",
    "workflow.signal(dynamik=True)",
    "workflow.wait_condition(lambda: True, timeout=1)",
    "workflow.wait_condition(lambda: True, time_out=1)",
    "workflow.execute_activity('x', **OPTIONS)",
    "workflow.execute_activity('x', **MISSPELT)",
    "workflow.execute_activity('x', **{**OPTIONS, 'retry': None, 'timeout': 3})",
    "workflow.execute_local_activity('x', heartbeat_timeout=timedelta(seconds=1))",
    "workflow.continue_as_new(memo={}, id='x')",
    "RetryPolicy(max_attempts=3)",
    "RetryPolicy(maximum_attempts=3)",
    "exceptions.ApplicationError('x', non_retryable=True)",
    "exceptions.ApplicationError('x', nonretryable=True)",
    "Client.connect('x', namespace='y')",
    "Client.connect('x', name_space='y')",
    "Worker(None, task_queue='x', workflows=[], activity=[])",
    "common.Priority(priority_key=1)",
    "common.Priority(priority=1)",
]
TARGETED = [
    "workflow.execute_activity",
    "workflow.start_activity_method",
    "workflow.execute_local_activity",
    "workflow.start_child_workflow",
    "Client.start_workflow",
    "client.WorkflowHandle.signal",
]
OTHERS = ["activity.defn", "workflow.continue_as_new", "Client.connect", "RetryPolicy", "Worker"]
NAMESPACE = executed("")


def test_options_of_calls() -> None:
    refused = {text for text in CALLS if _is_refused_call(text)}
    assert reported(CALLS, "TMP114") == refused
    assert 0 < len(refused) < len(CALLS)


def test_every_option_on_every_function() -> None:
    # of two words, and of calls that take a target: no such name is ever meant as a payload
    options = {name for call in TARGETED for name in inspect.signature(eval(call, NAMESPACE)).parameters}
    texts = [f"{call}({name}=None)" for call in TARGETED + OTHERS for name in sorted(options) if "_" in name]
    found = findings(f"{HEADER}{chr(10).join(texts)}\n", "TMP114")
    spelt = {ast.unparse(each.module.parents[each.node]) for _, each in found}
    assert spelt == {text for text in texts if _is_refused_call(text)}


def test_a_refused_keyword_is_reported_once() -> None:
    """A parameter of the target is TMP103's, an option TMP114's, also where one name could be both."""
    text = f"""{HEADER}
@activity.defn
async def charge(order: str, summary_text: str, timeout: int) -> None: ...


async def through(name: str, **options: Any) -> None:
    await workflow.execute_activity(name, **options)


async def case() -> None:
    await workflow.execute_activity(charge, order=1)  # 103
    await workflow.execute_activity(charge, timeout=1)  # 103
    await workflow.execute_activity(charge, time_out=1)  # 103
    await workflow.execute_activity("charge_it", timeout=1)  # 114
    await workflow.execute_activity("charge_it", retry_polcy=None)  # 114
    await workflow.execute_activity("charge_it", customer=1)  # 103
    await workflow.execute_local_activity(charge, heartbeat_timeout=timedelta(1))  # 114
    await through("charge_it", start_to_close=timedelta(1))  # 114
    await workflow.wait_condition(lambda: True, customer=1)  # 114
"""
    lines = text.splitlines()
    marked = {(row, line.rpartition("# ")[2]) for row, line in enumerate(lines, 1) if "  # 1" in line}
    found = [
        (each.module.source.position(Spans(each.module.source).of(each.node)[0])[0], rule.code.removeprefix("TMP"))
        for rule, each in findings(text, "TMP103", "TMP114")
    ]
    assert set(found) == marked and len(found) == len(marked)


def test_the_sdk_itself_is_not_judged() -> None:
    text = "from temporalio import workflow\nworkflow.brand_new()\n"
    assert findings(text, "TMP122")
    assert not findings({"app.py": text, "temporalio/workflow.py": "def brand_new(): ...\n"}, "TMP122")


def _is_refused_call(text: str) -> bool:
    """Whether Python refuses a keyword of the call; what happens after that does not count."""
    try:
        made = eval(text, NAMESPACE)
    except TypeError as error:
        return "unexpected keyword argument" in str(error)
    except Exception:
        return False
    if inspect.iscoroutine(made):
        made.close()
    return False


# ---- TMP122 ----------------------------------------------------------------------------------------------------------

NAMES = [
    "from temporalio.workflow import ApplicationError",
    "from temporalio.workflow import ParentClosePolicy",
    "from temporalio.client import RetryPolicy",
    "from temporalio import Client",
    "from temporalio import workflow as flow",
    "import temporalio.exception",
    "import temporalio.exceptions",
    "from temporalio.activities import defn",
    "from temporalio.contrib.pydantic import pydantic_data_converter",
    "from temporalio.client import WorkflowHandle, WorkflowHandles",
    "from temporalio.workflow import _Runtime",
    "workflow.RetryPolicy",
    "workflow.unsafe.imports_passed_through",
    "workflow.unsafe.imports_pass_through",
    "workflow.ParentClosePolicy.ABANDON",
    "workflow.ParentClosePolicy.ABANDONED",
    "client.WorkflowExecutionStatus.CANCELED",
    "client.WorkflowExecutionStatus.CANCELLED",
    "client.WorkflowExecutionStatus.RUNNING.name",
    "Client.connect",
    "Client.conect",
    "Client.__name__",
    "RetryPolicy().maximum_attempts",
    "RetryPolicy().max_attempts",
    "Patient().maximum_attempts",
    "exceptions.ApplicationError('x').non_retryable",
    "activity.logger.base_logger",
    "workflow = Lookalike()\nworkflow.maximum_attempts",
    "import temporalio\ntemporalio.workflow.now",
    "import temporalio\ntemporalio.workflow.today",
    "try:\n    from temporalio.workflow import ApplicationError\nexcept ImportError:\n    pass",
    "if hasattr(workflow, 'uuid9'):\n    workflow.uuid9()",
]
MODULES = {
    "activity": activity,
    "client": client,
    "common": common,
    "exceptions": exceptions,
    "worker": worker,
    "workflow": workflow,
}


def test_names() -> None:
    refused = {text for text in NAMES if _is_missing(text)}
    assert reported(NAMES, "TMP122") == refused
    assert 0 < len(refused) < len(NAMES)


def test_every_name_in_every_module() -> None:
    names = sorted({name for module in MODULES.values() for name in vars(module) if not name.startswith("_")})
    lines = [f"{module}.{name}" for module in MODULES for name in names]
    text = f"from temporalio import {', '.join(MODULES)}\n" + "\n".join(lines) + "\n"
    found = {_spelt(each.node) for _, each in findings(text, "TMP122")}
    assert found == {line for line in lines if not hasattr(MODULES[line.split(".")[0]], line.split(".")[1])}


def _spelt(node: Any) -> str:
    return f"{node.value.id}.{node.attr}"


def _is_missing(text: str) -> bool:
    try:
        executed(text)
    except (ImportError, AttributeError):
        return True
    return False
