"""Ends waits for workflows that make no progress.

The waits of the SDK's client (`WorkflowHandle.result`, updates, queries) are wrapped once. A wait runs in its own task
as ever; while it lasts, the guard's thread asks what the recorder saw of the workflow and what the server says of it,
at growing intervals and at once when a workflow task fails. When the workflow is stuck the wait is cancelled from
inside its own loop, as `asyncio.timeout` does it, and `StuckWorkflowError` is raised in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)

from pytest_temporal_guard import StuckWorkflowError, failures, stacks
from pytest_temporal_guard.runs import Observed, TaskFailure, target_of

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import PendingActivityInfo

    from pytest_temporal_guard.recorder import Recorder
    from pytest_temporal_guard.sidecar import Sidecar

# Most waits end before the first look at the server; none is asked more than once in two seconds.
_FIRST_LOOK, _LONGEST_INTERVAL = 0.25, 2.0
_RPC_TIMEOUT = timedelta(seconds=5)
# An activity is tried at once, after 1 s and after 3 s: at its third attempt two have failed for the same reason.
_ATTEMPTS = 3
# Activities that time out sooner end the wait by themselves.
_ENDS_SOON = 60.0
# The SDK calls it a deadlock after 2 s. One that goes on for 3 s more is no slow import.
_DEADLOCK_GOES_ON = 3.0
# The second attempt of a task is over within milliseconds, or within the 2 s of a deadlock.
_SECOND_ATTEMPT, _SECOND_ATTEMPT_ELSEWHERE = 0.4, 3.0
_DEPTH = 5
# The SDK's own constant is not in all releases that are supported.
_PAYLOADS_TOO_LARGE = 37
# Ends of a task that are no failure of the workflow's code.
_HARMLESS = frozenset(
    WorkflowTaskFailedCause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{name}")
    for name in (
        "UNHANDLED_COMMAND", "RESET_STICKY_TASK_QUEUE", "RESET_WORKFLOW", "FORCE_CLOSE_COMMAND",
        "FAILOVER_CLOSE_COMMAND", "UNSPECIFIED",
    )
)  # fmt: skip


@dataclass(eq=False)
class Wait:
    """A task of a test that waits for a workflow. `run_id` is None when it waits for whatever run is the latest."""

    task: asyncio.Task[Any]
    loop: asyncio.AbstractEventLoop
    client: Client
    workflow_id: str
    run_id: str | None
    due: float
    interval: float = _FIRST_LOOK
    message: str | None = None
    # When the history was first seen as long as it is: by workflow, its length and the time.
    unchanged: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """The address of the server."""
        return target_of(self.client)

    def end(self, message: str) -> None:
        """Called in the loop of the wait: let it raise."""
        if self.message is None and not self.task.done():
            self.message = message
            self.task.cancel()


class Watchdog:
    """The waits of this process, and the one coroutine in the guard's thread that looks after them.

    `enabled` and `after` (failures in a row) are those of the test that runs; `raises` is false when it is only to be
    warned.
    """

    def __init__(self, recorder: Recorder, sidecar: Sidecar) -> None:
        self.recorder = recorder
        self.sidecar = sidecar
        self.enabled = self.raises = True
        self.after = 2
        self._waits: dict[asyncio.Task[Any], Wait] = {}
        self._lock = threading.Lock()
        self._watching = False
        self._wake: Callable[[], object] = lambda: None
        recorder.on_failure = self.task_failed

    def begin(self, level: str, after: int) -> None:
        """What holds for the test that begins."""
        self.enabled, self.raises, self.after = level != "off", level == "fail", after

    def told(self, error: BaseException | None, test: str) -> None:
        """A test ended with an error. When that says that a workflow is stuck, the guard need not say it again."""
        if error is not None and _tells(error, set()):
            for observed in list(self.recorder.runs.values()):
                if observed.test == test:
                    observed.stuck_told = True

    async def wait(
        self, client: Client, workflow_id: str, run_id: str | None, waiting: Coroutine[Any, Any, Any]
    ) -> Any:
        """What `waiting` gives; StuckWorkflowError when the workflow makes no progress."""
        task = asyncio.current_task()
        if task is None or task in self._waits or activity.in_activity():
            return await waiting
        wait = Wait(task, asyncio.get_running_loop(), client, workflow_id, run_id, time.monotonic() + _FIRST_LOOK)
        cancelling = task.cancelling() if hasattr(task, "cancelling") else 0
        with self.recorder.guarded("a wait for a workflow"):
            self._register(wait)
        try:
            return await waiting
        except (asyncio.CancelledError, WorkflowUpdateRPCTimeoutOrCancelledError):
            if wait.message is None:
                raise
            if hasattr(task, "uncancel") and task.uncancel() > cancelling:
                raise  # somebody else wants the task to end, too
            raise StuckWorkflowError(wait.message) from None
        finally:
            with self._lock:
                self._waits.pop(task, None)

    def task_failed(self, observed: Observed) -> None:
        """A workflow task failed, in any thread: look at once, when it is one too many."""
        if len(observed.task_failures) < self.after:
            return
        with self._lock:
            for wait in self._waits.values():
                if wait.target == observed.key.target:
                    wait.due = 0.0
            self._wake()

    def _register(self, wait: Wait) -> None:
        with self._lock:
            self._waits[wait.task] = wait
            start, self._watching = not self._watching, True
        failing = [
            each
            for each in list(self.recorder.runs.values())
            if each.failing and each.key.target == wait.target and len(each.task_failures) >= self.after
        ]
        if failing:
            wait.due = 0.0
        if start:
            self.sidecar.spawn(self._watch())
        elif failing:
            self._wake()

    async def _watch(self) -> None:
        """Look after the waits for as long as there are any."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            while waits := self._all_or_rest():
                now = time.monotonic()
                due = [each for each in waits if each.due <= now]
                for wait in due:
                    wait.interval = min(wait.interval * 2, _LONGEST_INTERVAL)
                    wait.due = now + wait.interval
                with self.recorder.guarded("looking after waits"):
                    await asyncio.gather(*map(self._look, due))
                pause = min(each.due for each in waits) - time.monotonic()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(woken.wait(), max(0.0, pause))
                woken.clear()
        except asyncio.CancelledError:  # the thread ends; another one may begin
            self._rest()
            raise

    def _all_or_rest(self) -> list[Wait]:
        """The waits there are; where there are none, the next one starts the watch again."""
        with self._lock:
            waits = list(self._waits.values())
            if not waits:
                self._rest()
            return waits

    def _rest(self) -> None:
        self._watching, self._wake = False, lambda: None

    async def _look(self, wait: Wait) -> None:
        try:
            found = await self._stuck(wait, wait.workflow_id, wait.run_id, ())
        except Exception:  # a server that goes away, a run that is not to be found: no reason to end a wait
            return
        if found is None:
            return
        message, observed = found
        if observed is not None:
            observed.stuck = message
        if self.raises:
            try:
                wait.loop.call_soon_threadsafe(wait.end, message)
            except RuntimeError:
                return  # its loop is closed

    async def _stuck(
        self, wait: Wait, workflow_id: str, run_id: str | None, waiting: tuple[str, ...]
    ) -> tuple[str, Observed | None] | None:
        """Why a workflow makes no progress; None when it does, or may."""
        client = await self.sidecar.client(wait.target, wait.client.namespace, wait.client)
        handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        described = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
        if described.status != WorkflowExecutionStatus.RUNNING:
            return None
        title = f"{described.workflow_type} (id {workflow_id})"
        observed = self.recorder.by_run_id(described.run_id or "")
        failure = self._failing(observed) or await self._failing_on_server(wait, handle, described, observed)
        if failure is not None:
            times = len(observed.task_failures) if observed is not None and observed.failing else 0
            often = f"{times} times in a row" if times > 1 else "again and again"
            return _message(waiting, title, f"its workflow task fails {often}", failure), observed
        return await self._waits_for_stuck(wait, handle, described, observed, (*waiting, title))

    def _failing(self, observed: Observed | None) -> TaskFailure | None:
        """What the recorder saw of a run that fails its tasks in this process."""
        if observed is None or not observed.failing:
            return None
        if observed.worker is not None and observed.worker.is_shutdown:
            return None  # a worker with other code may take over
        given_up, began = observed.deadlocked, observed.activating
        held = given_up is not None and began is not None and began < given_up < time.monotonic() - _DEADLOCK_GOES_ON
        return observed.task_failures[-1] if held or len(observed.task_failures) >= self.after else None

    async def _failing_on_server(
        self,
        wait: Wait,
        handle: WorkflowHandle[Any, Any],
        described: WorkflowExecutionDescription,
        observed: Observed | None,
    ) -> TaskFailure | None:
        """What only the server and the SDK's core know: payloads that are too large, workers of other processes."""
        length, since = described.history_length, time.monotonic()
        known = wait.unchanged.get(handle.id)
        if known is None or known[0] != length:
            wait.unchanged[handle.id] = (length, since)
            # a task that failed for the first time is tried again at once: look soon
            wait.due = min(wait.due, since + _FIRST_LOOK)
            return None
        unchanged = since - known[1]
        if unchanged < _SECOND_ATTEMPT:
            wait.due = min(wait.due, since + _FIRST_LOOK)
            return None
        events = await _events(handle)
        failed = _failed_task(events)
        if failed is None and observed is not None and observed.failing and unchanged >= _SECOND_ATTEMPT_ELSEWHERE:
            # The time-skipping server forgets that a task failed which was there for an update, and tries it again
            # after ten seconds only.
            open_task = events and events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
            return observed.task_failures[-1] if open_task and self.after <= 2 else None
        # Of a task that goes on failing, the SDK reports the first failure only.
        attempts = max(described.raw_description.pending_workflow_task.attempt, 2)
        if failed is None or attempts < self.after:
            return None
        if failed.cause == _PAYLOADS_TOO_LARGE:
            found = failures.read(failed.failure)
            return TaskFailure(failures.PAYLOADS_TOO_LARGE, found.message, found.stack)
        elsewhere = observed is None or observed.worker is None
        if failed.cause not in _HARMLESS and elsewhere and unchanged >= _SECOND_ATTEMPT_ELSEWHERE:
            return failures.read(failed.failure)
        return None

    async def _waits_for_stuck(
        self,
        wait: Wait,
        handle: WorkflowHandle[Any, Any],
        described: WorkflowExecutionDescription,
        observed: Observed | None,
        waiting: tuple[str, ...],
    ) -> tuple[str, Observed | None] | None:
        """Whether a workflow waits for nothing but activities and children that will never end."""
        pending = described.raw_description
        if len(waiting) > _DEPTH or not (pending.pending_activities or pending.pending_children):
            return None
        reasons = [_endless(each, observed) for each in pending.pending_activities]
        if None in reasons:
            return None
        found: tuple[str, Observed | None] | None = None
        for each, reason in zip(pending.pending_activities, reasons, strict=True):
            if reason is not None and found is None:
                what = f"its activity `{each.activity_type.name}` fails again and again (attempt {each.attempt})"
                found = _message(waiting[:-1], waiting[-1], what, reason), observed
        for child in pending.pending_children:
            stuck = await self._stuck(wait, child.workflow_id, child.run_id, waiting)
            if stuck is None:
                return None
            # the run that the test waits for is the one to be judged
            found = found or (stuck[0], observed or stuck[1])
        return found if found is not None and not _open_timers(await _events(handle)) else None


_watchdog: Watchdog | None = None


def install(watchdog: Watchdog) -> None:
    """Wrap the waits of the client, once for a process; later calls only change who watches."""
    global _watchdog
    first, _watchdog = _watchdog is None, watchdog
    if not first:
        return
    _wrap(WorkflowHandle, "result", _of_result)
    for name in ("execute_update", "start_update", "query"):
        _wrap(WorkflowHandle, name, lambda handle, options: (handle._client, handle.id, handle.run_id))
    _wrap(
        WorkflowUpdateHandle,
        "result",
        lambda handle, options: (handle._client, handle.workflow_id, handle.workflow_run_id),
    )
    for name in ("execute_update_with_start_workflow", "start_update_with_start_workflow"):
        _wrap(Client, name, _of_start)


# Handles do not give away their client otherwise.
def _of_result(handle: Any, options: dict[str, Any]) -> tuple[Client, str, str | None]:
    return handle._client, handle.id, None if options.get("follow_runs", True) else handle.result_run_id


def _of_start(client: Any, options: dict[str, Any]) -> tuple[Client, str, str | None]:
    return client, options["start_workflow_operation"]._start_workflow_input.id, None


def _wrap(owner: type[Any], name: str, of: Callable[[Any, dict[str, Any]], tuple[Client, str, str | None]]) -> None:
    """Let a method be watched, where this SDK has it."""
    original = vars(owner).get(name)
    if original is None:
        return

    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        watchdog = _watchdog
        if watchdog is None or not watchdog.enabled or watchdog.recorder.test is None:
            return await original(self, *args, **options)
        waited: tuple[Client, str, str | None] | None = None
        with watchdog.recorder.guarded("a wait for a workflow"):
            waited = of(self, options)
        if waited is None:
            return await original(self, *args, **options)
        return await watchdog.wait(*waited, original(self, *args, **options))

    setattr(owner, name, wrapper)


def _tells(error: BaseException | None, seen: set[int]) -> bool:
    """Whether an error is, holds or comes from a StuckWorkflowError."""
    if error is None or id(error) in seen:
        return False
    seen.add(id(error))
    if isinstance(error, StuckWorkflowError):
        return True
    inner = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
    return any(_tells(each, seen) for each in inner if isinstance(each, BaseException))


_ON_PURPOSE = "A test that waits for it on purpose has the marker temporal_guard(stuck='off')."


def _message(waiting: tuple[str, ...], title: str, what: str, failure: TaskFailure) -> str:
    """The run, what fails, why, where, what to change: a line each, the last one with the advice."""
    outer = "".join(f"{each} waits for its child workflow " for each in waiting)
    message = failure.message
    text = message if failure.type in ("Error", "ApplicationError") else f"{failure.type}: {message}"
    lines = [f"{outer}{title}: {what}, so what this test waits for never comes.", f"  - {text}"]
    users = [each for each in stacks.of_text(failure.stack) if stacks.is_users(each.file)]
    lines += [f"  - at {each}" for each in users[:-4:-1]] or _part(failure.stack)
    lines.append(f"  {failures.advice(failure)}")
    return "\n".join([*lines, f"  {_ON_PURPOSE}"])


def _part(stack: str) -> list[str]:
    """Which value it is about, where no line of the user's code tells: the SDK encodes it after that code has ended."""
    if "in to_payload" not in stack:
        return []
    whose = "an update handler" if "in run_update" in stack else "the workflow"
    return [f"  - it is the result of {whose} that cannot be encoded"]


async def _events(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    return [each async for each in handle.fetch_history_events(rpc_timeout=_RPC_TIMEOUT)]


def _failed_task(events: list[HistoryEvent]) -> Any:
    """The last failure of the workflow's tasks, when the next attempt has started and has not ended."""
    if not events or events[-1].event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
        return None
    for event in reversed(events):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            return event.workflow_task_failed_event_attributes
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return None
    return None


def _open_timers(events: list[HistoryEvent]) -> bool:
    """Whether a timer runs, which lets the workflow go on by itself."""
    timers: set[str] = set()
    for event in events:
        kind = event.event_type
        if kind == EventType.EVENT_TYPE_TIMER_STARTED:
            timers.add(event.timer_started_event_attributes.timer_id)
        elif kind == EventType.EVENT_TYPE_TIMER_FIRED:
            timers.discard(event.timer_fired_event_attributes.timer_id)
        elif kind == EventType.EVENT_TYPE_TIMER_CANCELED:
            timers.discard(event.timer_canceled_event_attributes.timer_id)
    return bool(timers)


def _endless(pending: PendingActivityInfo, observed: Observed | None) -> TaskFailure | None:
    """Why an activity fails in each attempt and is tried for ever; None when it may end."""
    if pending.attempt < _ATTEMPTS or pending.maximum_attempts or not pending.HasField("last_failure"):
        return None
    if pending.HasField("expiration_time"):
        left = pending.expiration_time.ToSeconds() - pending.scheduled_time.ToSeconds()
        if pending.scheduled_time.ToSeconds() and left < _ENDS_SOON:
            return None
    failure = failures.read(pending.last_failure)
    if failure.type == "NotFoundError" and "is not registered on this worker" in failure.message:
        return failure
    finished = [
        each
        for each in (observed.attempts if observed is not None else ())
        if each.activity_id == pending.activity_id and each.outcome == "completed" and each.number < pending.attempt
    ]
    if len(finished) < _ATTEMPTS - 1:
        return None
    said = f"its result cannot be encoded, and it runs again each time: {failure.type}: {failure.message}"
    return TaskFailure("Error", said, failure.stack)
