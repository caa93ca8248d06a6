"""Hooks on the SDK that see every workflow run of this process, whatever client, worker or loop it uses.

Each worker gets one interceptor. It hands an extern function to the worker's workflows, by which an instance of a
workflow is known to be that worker's (a `Replayer` of the test has none). Runners then wrap `activate` of an instance:
commands, failures of tasks, and what user code hid are read off there, outside of the sandbox. Activities are seen by
the interceptor itself. Nothing here raises into the user's code: a fault is kept in `Recorder.faults`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, cast

import temporalio.client
import temporalio.workflow
from temporalio import activity

# Names, not `temporalio.worker.Worker`: this module may be imported at the very end of the import of that package.
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from pytest_temporal_guard import failures, stacks
from pytest_temporal_guard.commands import counts, tells_nondeterminism
from pytest_temporal_guard.loops import LoopWatch
from pytest_temporal_guard.preserve import bindings
from pytest_temporal_guard.runs import Attempt, Beat, Observed, RunKey, TaskFailure, target_of

EXTERN = "__temporal_guard"
_MOST_FAULTS = 20


class Recorder:
    """What is seen, by run. `test` is the test that new runs belong to; None means that none is recorded.

    `on_failure(observed)` is called after each failed workflow task, `on_client(target, client)` after each start of a
    workflow by a client, `before_shutdown(target)` before a server of the SDK's environments goes down.
    `interceptors` and `around_spy` make what each worker gets besides the recorder's own interceptor: those that stand
    before it, and pairs that stand around it.
    """

    def __init__(self) -> None:
        self.test: str | None = None
        self.runs: dict[RunKey, Observed] = {}
        self.faults: list[str] = []
        self.parameters: dict[str, tuple[str, ...]] = {}
        self.interceptors: list[Callable[[Any], list[Interceptor]]] = []
        self.around_spy: list[Callable[[], tuple[Interceptor, Interceptor]]] = []
        self.on_failure: Callable[[Observed], None] = lambda observed: None
        self.on_client: Callable[[str, Any], None] = lambda target, client: None
        self.before_shutdown: Callable[[str], None] = lambda target: None
        self.loops = LoopWatch(self.guarded)
        self._by_run_id: dict[str, Observed] = {}
        self._lock = threading.Lock()

    def observe(
        self,
        key: RunKey,
        workflow_type: str,
        worker: Any = None,
        parent: tuple[str, str] | None = None,
        continued_from: str | None = None,
    ) -> Observed | None:
        """The record of a run, made at its first sight; None while nothing is recorded."""
        with self._lock:
            found = self.runs.get(key)
            if found is None:
                if self.test is None:
                    return None
                found = Observed(key, workflow_type, self.test, parent, continued_from)
                self.runs[key] = self._by_run_id[key.run_id] = found
        if worker is not None and found.worker is not None and found.worker is not worker and found.worker.is_shutdown:
            found.task_failures.clear()  # another worker may have other code
        found.worker = worker or found.worker
        found.parent = parent or found.parent
        found.continued_from = continued_from or found.continued_from
        return found

    def by_run_id(self, run_id: str) -> Observed | None:
        """The record of a run of this process."""
        return self._by_run_id.get(run_id)

    def forget(self, keys: list[RunKey]) -> None:
        """Drop what has been judged and reported."""
        with self._lock:
            for key in keys:
                self.runs.pop(key, None)
                self._by_run_id.pop(key.run_id, None)

    @contextmanager
    def guarded(self, doing: str) -> Iterator[None]:
        """A fault of the recorder never reaches the user's code."""
        try:
            yield
        except Exception as error:
            self.fault(f"{doing}: {type(error).__name__}: {error}")

    def fault(self, text: str) -> None:
        """Keep what went wrong, to be told once; of a fault that comes again and again, the beginning."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(text)

    def failed(self, observed: Observed, failure: TaskFailure, length: int | None = None) -> None:
        """A workflow task of a run failed, at a history of so many events."""
        observed.failed(failure, length)
        self.on_failure(observed)


_current = threading.local()
_recorder: Recorder | None = None


def install(recorder: Recorder) -> None:
    """Put the hooks in place, once for a process; later calls only change the recorder."""
    global _recorder
    first = _recorder is None
    _recorder = recorder
    if first:
        # Where an SDK is made otherwise a hook is missing, and the import during which this is called goes on.
        for hook in (_hook_workers, _hook_runners, _hook_errors, _hook_log, _hook_clients, _hook_servers):
            with recorder.guarded(f"the hook {hook.__name__}"):
                hook()


def uninstall() -> None:
    """Stop recording. The hooks stay and do nothing."""
    if _recorder is not None:
        _recorder.test = None


class Spy(Interceptor):
    """What a worker gets. It tells the worker's workflows whose they are, and watches its activities."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.worker: Worker | None = None

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """No class, so nothing runs inside of the sandbox; the extern function is found by `_hook_runners`."""
        functions = cast("MutableMapping[str, Any]", input.unsafe_extern_functions)
        functions[EXTERN] = self.observe_instance
        return None

    def observe_instance(self, info: temporalio.workflow.Info) -> Observed | None:
        """The record of the run that an instance is made for."""
        if self.worker is None:
            return None
        client = self.worker.client
        parent = (info.parent.workflow_id, info.parent.run_id) if info.parent else None
        return self.recorder.observe(
            RunKey(target_of(client), info.namespace, info.workflow_id, info.run_id),
            info.workflow_type,
            self.worker,
            parent,
            info.continued_run_id,
        )

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Watch one attempt."""
        return _WatchActivity(next, self.recorder)


class _WatchActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, recorder: Recorder) -> None:
        super().__init__(next)
        self.recorder = recorder
        self.attempt: Attempt | None = None

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(_WatchHeartbeats(outbound, self))

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        with self.recorder.guarded("the start of an activity"):
            self.attempt = self._begin(input)
        attempt = self.attempt
        if attempt is None:
            return await super().execute_activity(input)
        frame = sys._getframe()
        with self.recorder.guarded("watching the event loop"):
            if attempt.is_async:
                self.recorder.loops.enter(attempt, frame)
        try:
            result = await super().execute_activity(input)
        except asyncio.CancelledError:
            attempt.outcome = "cancelled"
            raise
        except BaseException:
            attempt.outcome = "failed"
            raise
        else:
            attempt.outcome = "completed"
            return result
        finally:
            attempt.end = datetime.now(timezone.utc)
            with self.recorder.guarded("watching the event loop"):
                self.recorder.loops.leave(frame)

    def _begin(self, input: ExecuteActivityInput) -> Attempt | None:
        info = activity.info()
        observed = self.recorder.by_run_id(info.workflow_run_id or "")
        if observed is None:
            return None
        attempt = Attempt(
            activity=info.activity_type,
            activity_id=info.activity_id,
            number=info.attempt,
            start=datetime.now(timezone.utc),
            heartbeat_timeout=info.heartbeat_timeout,
            is_async=input.executor is None,
            is_local=info.is_local,
            resumed_from=tuple(info.heartbeat_details),
            server_start=info.started_time,
        )
        observed.attempts.append(attempt)
        return attempt


class _WatchHeartbeats(ActivityOutboundInterceptor):
    def __init__(self, next: ActivityOutboundInterceptor, watch: _WatchActivity) -> None:
        super().__init__(next)
        self.watch = watch

    def heartbeat(self, *details: Any) -> None:
        attempt = self.watch.attempt
        if attempt is not None:
            with self.watch.recorder.guarded("a heartbeat"):
                payloads = activity.payload_converter().to_payloads(details) if details else ()
                size = sum(each.ByteSize() for each in payloads)
                attempt.beats.append(Beat(datetime.now(timezone.utc), details, size))
        super().heartbeat(*details)


def _hook_workers() -> None:
    original = Worker.__init__

    @functools.wraps(original)
    def init(self: Worker, client: Any, **options: Any) -> None:
        recorder = _recorder
        if recorder is None or recorder.test is None:
            return original(self, client, **options)
        spy = Spy(recorder)
        more: list[Interceptor] = []
        pairs: list[tuple[Interceptor, Interceptor]] = []
        with recorder.guarded("the interceptors of a worker"):
            more += [each for make in recorder.interceptors for each in make(client)]
            pairs += [make() for make in recorder.around_spy]
        inner = [*(each[0] for each in pairs), spy, *(each[1] for each in pairs)]
        original(self, client, **{**options, "interceptors": [*options.get("interceptors", ()), *more, *inner]})
        spy.worker = self
        with recorder.guarded("a worker"):
            _learn_parameters(recorder, options)
            _hook_runner(type(options.get("workflow_runner")))
            _hook_runner(type(options.get("unsandboxed_workflow_runner")))
        return None

    Worker.__init__ = init  # type: ignore[method-assign]


def _learn_parameters(recorder: Recorder, options: dict[str, Any]) -> None:
    """The names of parameters, for messages: what a user calls the third argument."""
    import inspect

    for function in options.get("activities", ()):
        # The SDK has no public way from an activity or a workflow to its definition.
        called = activity._Definition.from_callable(function)
        if called is not None and called.name:
            recorder.parameters[called.name] = _names(inspect.signature(called.fn))
    for cls in options.get("workflows", ()):
        definition: Any = temporalio.workflow._Definition.from_class(cls)
        if definition is not None and definition.name:
            recorder.parameters[definition.name] = _names(inspect.signature(definition.run_fn))[1:]


def _names(signature: Any) -> tuple[str, ...]:
    return tuple(signature.parameters)


def _hook_runners() -> None:
    _hook_runner(SandboxedWorkflowRunner)
    _hook_runner(UnsandboxedWorkflowRunner)


def _hook_runner(runner: type[Any]) -> None:
    """Wrap `create_instance` of a class of runners, where it is the class's own and not wrapped yet."""
    original = vars(runner).get("create_instance")
    if original is None or hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def create_instance(self: Any, det: Any) -> Any:
        # the sandbox makes an inner runner of its own; the instance of the outer one is the one to watch
        nested = temporalio.workflow.unsafe.in_sandbox() or getattr(_current, "creating", False)
        observe = det.extern_functions.get(EXTERN)
        if nested or observe is None:
            return original(self, det)
        _current.creating = True
        try:
            instance = original(self, det)
        finally:
            _current.creating = False
        watcher = getattr(observe, "__self__", None)
        recorder = watcher.recorder if watcher is not None else None
        if recorder is not None:
            with recorder.guarded("a workflow instance"):
                observed = observe(det.info)
                if observed is not None:
                    observed.bindings = observed.bindings or bindings(det.defn.cls)
                    _watch(instance, observed, recorder)
        return instance

    runner.create_instance = create_instance


def _watch(instance: Any, observed: Observed, recorder: Recorder) -> None:
    """Read off each activation of an instance. A new instance starts its commands again: it replays them."""
    original = instance.activate
    # a list of its own: an instance that was thrown away may still be at work
    commands = observed.commands = []

    def activate(act: Any) -> Any:
        if any(job.HasField("remove_from_cache") for job in act.jobs):
            return original(act)  # may run beside an activation that hangs
        _current.observed, _current.hidden, _current.replaying = observed, [], act.is_replaying
        observed.activating = began = time.monotonic()
        try:
            completion = original(act)
        finally:
            hidden, _current.observed, _current.hidden = _current.hidden, None, None
            observed.activating = None
        if observed.deadlocked is not None and observed.deadlocked > began:
            return completion  # the SDK has given it up and asks no more what came of it
        with recorder.guarded("an activation"):
            _read(completion, act, observed, hidden, recorder, commands)
        return completion

    instance.activate = activate


def _read(
    completion: Any, act: Any, observed: Observed, hidden: list[_Hidden], recorder: Recorder, seen: list[bytes]
) -> None:
    if completion.HasField("failed"):
        observed.swallowed.clear()
        recorder.failed(observed, failures.read(completion.failed.failure), act.history_length)
        return
    commands = completion.successful.commands
    # A query is no part of what is replayed, and its errors go to who asked.
    if not all(job.HasField("query_workflow") for job in act.jobs):
        if not act.is_replaying:
            observed.advanced(act.history_length)
        if any(tells_nondeterminism(each) for each in commands):
            observed.swallowed.clear()
        else:
            caught = [each.told() for each in hidden if each.caught_by_user()]
            observed.swallowed.extend(each for each in dict.fromkeys(caught) if each not in observed.swallowed)
    seen.extend(each.SerializeToString(deterministic=True) for each in commands if counts(each))


def _hook_errors() -> None:
    """Note the errors that the SDK makes inside of an activation, and the warnings, whatever becomes of them."""

    def nondeterminism(error: BaseException) -> None:
        hidden = getattr(_current, "hidden", None)
        if hidden is not None and len(hidden) < 20:
            lines = stacks.of_frame(sys._getframe(2))
            # what a module probes while it is imported is no part of the workflow
            if not any("importlib" in each.file for each in lines):
                hidden.append(_Hidden(error, next(iter(stacks.innermost(lines, 1)), None)))

    def unfinished(warning: BaseException) -> None:
        observed = getattr(_current, "observed", None)
        if observed is not None and not _current.replaying:
            observed.unfinished_handlers.append(str(warning))

    _after_init(temporalio.workflow.NondeterminismError, nondeterminism)
    _after_init(temporalio.workflow.UnfinishedUpdateHandlersWarning, unfinished)
    _after_init(temporalio.workflow.UnfinishedSignalHandlersWarning, unfinished)


def _after_init(cls: type[BaseException], seen: Callable[[BaseException], None]) -> None:
    original = cls.__init__

    @functools.wraps(original)
    def init(self: BaseException, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        if _recorder is not None:
            with _recorder.guarded("an error of the SDK"):
                seen(self)

    cls.__init__ = init  # type: ignore[method-assign]


class _Hidden:
    """An error of determinism, and the line of the user's code at which it was made."""

    def __init__(self, error: BaseException, line: stacks.Line | None) -> None:
        self.error, self.line = error, line

    def caught_by_user(self) -> bool:
        """Whether it was raised, and the frame at which it stopped is one of the user's code.

        A traceback grows on the way out: its first entry is the frame that caught the error. What the SDK catches it
        reports; what a library catches is its own affair.
        """
        trace = self.error.__traceback__
        return trace is not None and stacks.is_users(trace.tb_frame.f_code.co_filename)

    def told(self) -> str:
        """The error and its place."""
        return f"{self.error} ({self.line})"


class _ActivationLog(logging.Handler):
    """Failures that happen around an activation (deadlock, unknown workflow, codec) are told by the SDK's log alone."""

    def emit(self, record: logging.LogRecord) -> None:
        recorder = _recorder
        if recorder is None or not record.exc_info or not isinstance(record.args, tuple) or not record.args:
            return
        with recorder.guarded("the SDK's log"):
            observed = recorder.by_run_id(str(record.args[-1]))
            error = record.exc_info[1]
            told = any(part in str(record.msg) for part in ("handling activation", "encoding completion"))
            if observed is not None and error is not None and told:
                kind = type(error).__name__.lstrip("_")
                if kind == "DeadlockError":
                    observed.deadlocked = time.monotonic()
                stack = "".join(traceback.format_exception(error))
                what = "Failed encoding: " if "encoding" in str(record.msg) else ""
                recorder.failed(observed, TaskFailure(kind, f"{what}{error}", stack))


def _hook_log() -> None:
    logging.getLogger("temporalio.worker._workflow").addHandler(_ActivationLog(logging.ERROR))


def _hook_clients() -> None:
    """Runs that a client starts and no worker of this process executes are runs all the same."""
    # The root of every client's interceptors is private, and was in `temporalio.client` before that was a package;
    # where an SDK has it in neither place, such runs are not seen.
    private: Any = sys.modules.get("temporalio.client._impl", temporalio.client)
    implementation = getattr(private, "_ClientImpl", None)
    if implementation is None:
        return
    original = implementation.start_workflow

    @functools.wraps(original)
    async def start_workflow(self: Any, input: Any) -> Any:
        handle = await original(self, input)
        recorder = _recorder
        if recorder is not None and recorder.test is not None:
            with recorder.guarded("the start of a workflow"):
                client = self._client
                run_id = handle.result_run_id or handle.first_execution_run_id
                if run_id:
                    recorder.observe(RunKey.of(client, handle.id, run_id), input.workflow)
                    recorder.on_client(target_of(client), client)
        return handle

    implementation.start_workflow = start_workflow


def _hook_servers() -> None:
    """A test that closes its environment takes the histories with it: the last chance to fetch them."""
    # Private, but the one place through which every server of the SDK's environments goes down.
    try:
        from temporalio.bridge.testing import EphemeralServer
    except ImportError:
        return
    original = EphemeralServer.shutdown

    @functools.wraps(original)
    async def shutdown(self: Any) -> None:
        recorder = _recorder
        if recorder is not None:
            with recorder.guarded("the end of a server"):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, recorder.before_shutdown, self.target)
        await original(self)

    EphemeralServer.shutdown = shutdown  # type: ignore[method-assign]
