"""Virtual time for activities inside workflows: their sleeps move the time-skipping server's clock.

The server alone decides what times out. `VirtualTime` only lets time pass for it: whenever an activity has nothing left
to do but sleep, the server's clock is moved to the end of that sleep, its heartbeats having been sent before. So an
activity that fails to beat is timed out and retried by the server, by the server's own rules.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import dataclasses
import math
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Literal

import temporalio.activity
import temporalio.client
import temporalio.converter
import temporalio.exceptions
import temporalio.service
from google.protobuf.empty_pb2 import Empty
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState, WorkflowExecutionStatus
from temporalio.api.testservice.v1 import SleepRequest, UnlockTimeSkippingRequest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from pytest_temporal_guard import hooks, sleeps
from pytest_temporal_guard.sleeps import VirtualBeat

Outcome = Literal["completed", "completes asynchronously", "failed", "timed out", "cancelled"]

# A virtual sleep in flight while the server times its activity out upsets the server's count of locks, and it never
# skips again. Sleeps stop this many seconds short of the deadline and the rest passes in real time. With 0.05
# servers hung on a machine under twice its load.
MARGIN = 0.25

# On a busy machine a sleep begins late, by up to 0.2 s with four processes more than it can run. So the margin is this
# many times the worst of the last 20 sleeps, if that is more, but at most LONGEST_MARGIN seconds.
LATENESS, LONGEST_MARGIN = 8.0, 3.0

# When a sleep has run into a deadline nevertheless, the server may have lost a release of its clock. If its clock then
# stands for this many real seconds while all sleep, it is released once more.
REPAIR = 2.0

# The server may be this many real seconds late with a timeout before it is taken to have none.
LATE = 2.0

# Limits of the steps in which time passes for an activity that waits for ever.
FIRST_STEP, LAST_STEP = 1.0, 3600.0

# Real seconds for which an activity that waits for ever is given the chance to be woken by something unknown.
GRACE = 1.0

# The SDK's core cancels an activity by itself that has not beaten for its heartbeat timeout and 5 s, in real time, and
# knows nothing of the beats sent here. After this share of the timeout (core would withhold it before 0.8) it gets one
# too, for whose delivery the clock is held for so many seconds.
CORE_SHARE, CORE_DELIVERY = 0.85, 0.05

# Longest answer that is waited for, in seconds, except where the answer is the end of a sleep.
ANSWER = timedelta(seconds=20)

LOST = "The server no longer waits for this attempt"


class VirtualTimeStalled(RuntimeError):
    """The server's clock does not move although every known activity sleeps; the message says what can be the cause."""


@dataclasses.dataclass(frozen=True)
class VirtualAttempt:
    """One attempt of an activity under virtual time, as it ended. Times are those of the server's clock.

    Attributes:
        outcome: what became of it. "timed out" is the server's decision; "cancelled" also if its workflow closed;
            "completes asynchronously" if it called `raise_complete_async`.
        received: the heartbeat details that the attempt began with.
        error: why time could not be moved for it, or a heartbeat not be sent, or None.
    """

    activity_type: str
    activity_id: str
    workflow_id: str
    workflow_run_id: str
    attempt: int
    heartbeat_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    started: datetime
    ended: datetime
    received: tuple[Any, ...]
    beats: tuple[VirtualBeat, ...]
    outcome: Outcome
    error: str | None = None

    @property
    def duration(self) -> float:
        """Virtual seconds from start to end."""
        return (self.ended - self.started).total_seconds()

    @property
    def longest_gap(self) -> float:
        """The longest time without a heartbeat, in virtual seconds; see `sleeps.longest_gap`."""
        return sleeps.longest_gap(self.beats, self.duration)


class VirtualTime(Interceptor):
    """A worker interceptor under which the activities' sleeps move the clock of a time-skipping server.

    Give it to `Worker(interceptors=[...])`. It needs no other setting of the worker: heartbeats are not throttled,
    whatever the worker's throttle intervals, because they are sent from here. What becomes virtual is said in `sleeps`.

    Virtual time passes only while the server skips, that is while the test waits for a result. Otherwise the server's
    clock runs at the speed of the wall clock, and an activity's sleeps with it. The same holds while any activity or
    workflow task on this server really works, or waits for a worker to take it; so the workers need a slot, and for
    synchronous activities a thread, for each activity that is to run at once.

    Left in real time, and to the SDK: local activities, activities in a process pool, activities without a workflow,
    and all activities of a worker whose event loop cannot be extended (uvloop).

    An activity that really takes longer than its start-to-close timeout and 5 s, or than its heartbeat timeout and 5 s
    without a beat, is cancelled by the SDK: also if it only waits for the real work of another.

    As on a real server, an activity learns that it was cancelled from a heartbeat. One that the server has timed out is
    cancelled at once (`activity.cancellation_details()` says `timed_out`), to let it end; a synchronous one gets the
    SDK's CancelledError from its `time.sleep` or its next heartbeat.

    Args:
        environment: the environment of the server, started with time skipping (the first version, not `_v2`).
        client: the worker's client, whose data converter encodes heartbeat details. Default: the environment's.
        on_attempt: called on the worker's loop with each attempt when it has ended; it must not raise.
        patience: real seconds without progress after which an activity fails with VirtualTimeStalled. The default is
            that of the server's workflow task timeout, 10 s.
    """

    def __init__(
        self,
        environment: WorkflowEnvironment,
        *,
        client: temporalio.client.Client | None = None,
        on_attempt: Callable[[VirtualAttempt], None] | None = None,
        patience: float = 10.0,
    ) -> None:
        self.client = client or environment.client
        self.server = _Server(environment.client, patience)
        self.on_attempt = on_attempt

    def __enter__(self) -> VirtualTime:
        """Keep the patches of `hooks` over many activities; without it each activity sets them for itself."""
        hooks.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give them up."""
        hooks.uninstall()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Called by the worker, once for each attempt."""
        return _Inbound(next, self)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, virtual: VirtualTime) -> None:
        super().__init__(next)
        self._virtual = virtual

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._outbound = _Outbound(outbound)
        super().init(self._outbound)

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = temporalio.activity.info()
        pooled = input.executor is not None and not isinstance(input.executor, concurrent.futures.ThreadPoolExecutor)
        if info.is_local or pooled or not info.in_workflow or not hooks.can_hook(asyncio.get_running_loop()):
            return await self.next.execute_activity(input)
        with hooks.installed():
            began = await self._virtual.server.now()
            attempt = _Attempt(self._virtual, info, self._outbound, began, synchronous=input.executor is not None)
            attempt.start()
            token = hooks.current.set(attempt)
            ending: BaseException | None = None
            try:
                return await self.next.execute_activity(input)
            except BaseException as error:
                ending = error
                raise
            finally:
                hooks.current.reset(token)
                failure = await attempt.finish(ending)
                if failure is not None:
                    raise failure


class _Outbound(ActivityOutboundInterceptor):
    attempt: _Attempt | None = None

    def heartbeat(self, *details: Any) -> None:
        if self.attempt is None:
            super().heartbeat(*details)
        else:
            self.attempt.beat(details)

    def heartbeat_through_core(self, *details: Any) -> None:
        super().heartbeat(*details)


_attempts: weakref.WeakSet[_Attempt] = weakref.WeakSet()


class _Server:
    """The calls that are made of the time-skipping server. Times are unix times in seconds, of the server's clock."""

    def __init__(self, client: temporalio.client.Client, patience: float) -> None:
        self.client = client
        self.target = client.service_client.config.target_host
        self.patience = patience
        self.late: deque[float] = deque([0.0], maxlen=20)
        self.overrun = 0

    @property
    def margin(self) -> float:
        """How far in seconds from a deadline a sleep must end."""
        return max(MARGIN, min(LATENESS * max(self.late), LONGEST_MARGIN))

    async def now(self) -> float:
        """The server's clock as it was just before this returns."""
        answer = await self.client.test_service.get_current_time(Empty(), timeout=ANSWER)
        return answer.time.seconds + answer.time.nanos / 1e9

    async def sleep(self, seconds: float) -> None:
        """Give up one lock for so long; returns when the server's clock has got there."""
        request = SleepRequest()
        request.duration.FromMilliseconds(math.ceil(seconds * 1000))
        # The end of the sleep may be held up by real work of other activities, however long that takes.
        await self.client.test_service.unlock_time_skipping_with_sleep(request, timeout=timedelta(days=1))

    async def state(self, info: temporalio.activity.Info) -> Literal["current", "over", "closed"]:
        """Whether the server waits for the attempt, no longer does, or never resolved it before its workflow closed."""
        answer = await self.client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=info.namespace,
                execution=WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or ""),
            ),
            timeout=ANSWER,
        )
        pending = any(
            known.activity_id == info.activity_id
            and known.attempt == info.attempt
            and known.state != PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
            for known in answer.pending_activities
        )
        if not pending:
            return "over"
        running = answer.workflow_execution_info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
        return "current" if running else "closed"

    async def unlock(self) -> None:
        """Give up one lock for good."""
        await self.client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest(), timeout=ANSWER)


class _Lost(Exception):
    """The server no longer waits for this attempt."""

    def __init__(self, closed: bool, when: float) -> None:
        super().__init__()
        self.closed = closed
        self.when = when


class _Attempt(sleeps.Driver):
    def __init__(
        self,
        virtual: VirtualTime,
        info: temporalio.activity.Info,
        outbound: _Outbound,
        began: float,
        synchronous: bool,
    ) -> None:
        super().__init__(began)
        self.server = virtual.server
        self.asleep = False
        self._virtual = virtual
        self._info = info
        self._outbound = outbound
        self._synchronous = synchronous
        self._context = contextvars.copy_context()
        self._main = asyncio.current_task()
        # what the server's clock was, and when; it runs at the speed of the wall clock unless this attempt sleeps
        self._synced = (began, hooks.REAL_MONOTONIC())
        self._last_beat = info.started_time.timestamp()
        self._core_beat = hooks.REAL_MONOTONIC()
        self._unsent: deque[VirtualBeat] = deque()
        self._void: set[str] = set()
        self._cancelling = False
        self._told = False
        self._lost: _Lost | None = None
        self._failure: Exception | None = None
        self._step = FIRST_STEP
        handle = virtual.client.get_async_activity_handle(task_token=info.task_token)
        self._handle = handle.with_context(
            temporalio.converter.ActivitySerializationContext(
                namespace=info.namespace,
                workflow_id=info.workflow_id,
                workflow_type=info.workflow_type,
                activity_type=info.activity_type,
                activity_id=info.activity_id,
                activity_task_queue=info.task_queue,
                is_local=info.is_local,
            )
        )

    def start(self) -> None:
        super().start()
        self._outbound.attempt = self
        _attempts.add(self)

    def beat(self, details: tuple[Any, ...]) -> None:
        """A heartbeat by the activity; it is sent before the clock moves on. Runs on the loop's thread."""
        if self._lost is not None:
            if self._synchronous:
                raise temporalio.exceptions.CancelledError(LOST)
            return
        beat = VirtualBeat(self.seconds(), details)
        self.beats.append(beat)
        self._unsent.append(beat)
        self.changed()

    async def finish(self, ending: BaseException | None) -> Exception | None:
        """Let the activity's last beats and blocking sleeps count; return an error to end it with, or None."""
        task = self.loop.create_task(self._finish(ending))
        # A cancellation that comes now must not leave the driver running.
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                continue
        return task.result()

    async def _finish(self, ending: BaseException | None) -> Exception | None:
        await self.stop()
        try:
            if self._lost is None and self._failure is None:
                await self.settle()
                if not isinstance(ending, _complete_async()):
                    await self._still_current()
        except _Lost as lost:
            self._lost = lost
        except Exception as error:
            self._failure = self._failure or error
        if self._lost is not None and self._lost.closed:
            # An activity holds a lock of the server's clock until its end is reported, which a closed workflow refuses.
            # Without this the server would never skip again.
            await self._try(self.server.unlock())
        _attempts.discard(self)
        self._report(ending)
        if isinstance(self._failure, VirtualTimeStalled):
            # Another attempt would only stall as well.
            return temporalio.exceptions.ApplicationError(
                str(self._failure), type=VirtualTimeStalled.__name__, non_retryable=True
            )
        return self._failure

    async def _try(self, call: Coroutine[Any, Any, object]) -> None:
        try:
            await call
        except temporalio.service.RPCError as error:
            self._failure = self._failure or error

    def _report(self, ending: BaseException | None) -> None:
        outcome: Outcome
        if self._lost is not None:
            outcome = "cancelled" if self._lost.closed else "timed out"
        elif self._failure is not None:
            outcome = "failed"
        elif ending is None:
            outcome = "completed"
        elif isinstance(ending, _complete_async()):
            outcome = "completes asynchronously"
        elif isinstance(ending, (asyncio.CancelledError, temporalio.exceptions.CancelledError)):
            outcome = "cancelled"
        else:
            outcome = "failed"
        info = self._info
        # what a lost attempt did afterwards no longer counts
        end = self.monotonic() if self._lost is None else self._lost.when
        beats = tuple(beat for beat in self.beats if self.started + beat.seconds <= end)
        if self._virtual.on_attempt is not None:
            self._virtual.on_attempt(
                VirtualAttempt(
                    activity_type=info.activity_type,
                    activity_id=info.activity_id,
                    workflow_id=info.workflow_id or "",
                    workflow_run_id=info.workflow_run_id or "",
                    attempt=info.attempt,
                    heartbeat_timeout=info.heartbeat_timeout,
                    start_to_close_timeout=info.start_to_close_timeout,
                    started=_moment(self._epoch + self.started),
                    ended=_moment(self._epoch + end),
                    received=tuple(info.heartbeat_details),
                    beats=beats,
                    outcome=outcome,
                    error=None if self._failure is None else str(self._failure),
                )
            )

    # How time passes.

    async def settle(self) -> None:
        """Send the heartbeats, each at its time, and let the time pass for which the activity blocked its loop."""
        while self._unsent:
            await self._reach(self.started + self._unsent[0].seconds)
            await self._send(self._unsent.popleft())
        await self._reach(self.monotonic())

    async def work(self, seconds: float | None) -> None:
        deadline, kind = self._deadline()
        rest = max(0.0, deadline - self._server_monotonic())
        seconds = min(rest, math.inf if seconds is None else seconds)
        await self.park(None if math.isinf(seconds) else seconds)
        if self._server_monotonic() >= deadline:
            await self._judged(kind)

    async def idle(self, until: float | None) -> None:
        if until is None:
            if await self.park(GRACE):
                self._step = FIRST_STEP
                return
            # Nothing can wake it but what happens elsewhere, at the latest its own timeout.
            until = self.monotonic() + self._step
            self._step = min(2 * self._step, LAST_STEP)
        else:
            self._step = FIRST_STEP
        await self._towards(until)

    async def _reach(self, when: float) -> None:
        # two readings of the server's clock differ by the time of its answers
        while when - self._server_monotonic() > 0.02:
            await self._towards(when)

    async def _towards(self, until: float) -> None:
        """One step of the server's clock towards `until`."""
        now = self._server_monotonic()
        deadline, kind = self._deadline()
        margin = self.server.margin
        if until < deadline - margin:
            await self._sleep(until - now)
        elif now < deadline - margin - 0.01:
            await self._sleep(deadline - margin - now)
        else:
            # Close to the deadline the server's clock is left to itself, at the speed of the wall clock.
            await self.park(max(0.0, min(until, deadline) - now) + 0.001)
            if self._server_monotonic() >= deadline:
                await self._judged(kind)

    async def _still_current(self) -> None:
        when = self._server_monotonic()
        state = await self.server.state(self._info)
        if state != "current":
            raise _Lost(state == "closed", when)

    async def _judged(self, kind: str) -> None:
        """Wait for the server to time the attempt out."""
        # By the wall clock: once the server has timed it out, its own clock may be anywhere.
        until = hooks.REAL_MONOTONIC() + LATE
        while hooks.REAL_MONOTONIC() < until:
            await self._still_current()
            await asyncio.sleep(0.003)
        self._void.add(kind)

    def _deadline(self) -> tuple[float, str]:
        """When the server times the attempt out, and by which timeout: infinity if by none.

        By the rules of the time-skipping server: none once a cancellation is requested, no heartbeat timeout that is
        as long as the start-to-close timeout, schedule-to-close only for the first attempt.
        """
        if self._cancelling:
            return math.inf, ""
        info = self._info
        deadlines = []
        run, beat, whole = info.start_to_close_timeout, info.heartbeat_timeout, info.schedule_to_close_timeout
        if run:
            deadlines.append((info.started_time.timestamp() + run.total_seconds(), "start to close"))
        if beat and run and beat < run:
            deadlines.append((self._last_beat + beat.total_seconds(), f"heartbeat {self._last_beat}"))
        if whole and info.attempt == 1:
            deadlines.append((info.scheduled_time.timestamp() + whole.total_seconds(), "schedule to close"))
        unix, kind = min((pair for pair in deadlines if pair[1] not in self._void), default=(math.inf, ""))
        return unix - self._epoch, kind

    def _server_monotonic(self) -> float:
        unix, since = self._synced
        return unix + (hooks.REAL_MONOTONIC() - since) - self._epoch

    async def _sync(self) -> None:
        # Never ahead of the server: what is slept from here on is slept in full.
        self._synced = (await self.server.now(), hooks.REAL_MONOTONIC())
        self.set_clock(self._server_monotonic())

    async def _sleep(self, seconds: float) -> None:
        deadline, _ = self._deadline()
        start = self._server_monotonic()
        call = self.loop.create_task(self.server.sleep(seconds))
        self.asleep = True
        try:
            await self._watch(call)
        except _Lost:
            self.server.overrun += 1
            raise
        finally:
            self.asleep = False
        call.result()
        await self._sync()
        end = self._server_monotonic()
        self.server.late.append(end - start - seconds)
        self.server.overrun += end >= deadline

    async def _watch(self, call: asyncio.Task[None]) -> None:
        """Wait for a sleep, and see that the server's clock moves meanwhile."""
        clock, began = self._server_monotonic(), hooks.REAL_MONOTONIC()
        while not (await asyncio.wait({call}, timeout=1.0))[0]:
            await self._still_current()
            now, wall = await self.server.now() - self._epoch, hooks.REAL_MONOTONIC()
            stalled = wall - began
            if now - clock > stalled + 1.0 or self._others_work():
                clock, began = now, wall
            elif stalled > REPAIR and self.server.overrun:
                self.server.overrun -= 1
                await self.server.unlock()
                clock, began = now, wall
            elif stalled > self.server.patience:
                raise VirtualTimeStalled(self._stalled(stalled))

    def _stalled(self, seconds: float) -> str:
        return (
            f"While activity {self._info.activity_type!r} slept, the server's clock has only kept pace with the wall "
            f"clock for {seconds:.0f} s. Time is skipped only while a result is awaited, and while no activity on this "
            "server waits for a worker's slot or thread, or runs in another process. If none of this is so, the "
            "server's count of locks is upset: restart the server."
        )

    def _others_work(self) -> bool:
        return any(
            other is not self and not other.asleep and other._lost is None and other.server.target == self.server.target
            for other in list(_attempts)
        )

    async def _send(self, beat: VirtualBeat) -> None:
        if self._server_monotonic() >= self._deadline()[0]:
            # The server would take the beat of a dead attempt for one of the next attempt.
            await self._still_current()
        at = self._server_monotonic() + self._epoch
        try:
            await self._handle.heartbeat(*beat.details, rpc_timeout=ANSWER)
            self._last_beat = at
            await self._calm_core(beat)
        except temporalio.client.AsyncActivityCancelledError:
            await self._cancelled(beat)
        except temporalio.service.RPCError as error:
            if error.status != temporalio.service.RPCStatusCode.NOT_FOUND:
                raise
            closed = await self.server.state(self._info) == "closed"
            raise _Lost(closed, self._server_monotonic()) from None

    async def _calm_core(self, beat: VirtualBeat) -> None:
        timeout, now = self._info.heartbeat_timeout, hooks.REAL_MONOTONIC()
        if timeout and now - self._core_beat >= CORE_SHARE * timeout.total_seconds():
            self._core_beat = now
            self._outbound.heartbeat_through_core(*beat.details)
            await asyncio.sleep(CORE_DELIVERY)

    async def _cancelled(self, beat: VirtualBeat) -> None:
        """A cancellation was requested: let the SDK deliver it, which it does when its own heartbeat is told so."""
        if self._cancelling:
            return
        self._cancelling = True
        self._outbound.heartbeat_through_core(*beat.details)
        waited = hooks.REAL_MONOTONIC()
        while not self._context.run(temporalio.activity.is_cancelled) and not self.stopping:
            if hooks.REAL_MONOTONIC() - waited > self.server.patience:
                raise VirtualTimeStalled(
                    f"The SDK did not cancel activity {self._info.activity_type!r}, which the server asked for."
                )
            await asyncio.sleep(0.002)

    def failed(self, error: Exception) -> None:
        reason = LOST
        if isinstance(error, _Lost):
            self._lost = error
        else:
            self._failure = error
            reason = f"Time cannot be moved: {error}"
        self._context.run(_tell_cancelled)
        self.wake_threads(temporalio.exceptions.CancelledError(reason))
        self.release()
        if not self._synchronous and self._main is not None:
            self._main.cancel(reason)

    def sleep(self, seconds: float) -> None:
        if self._lost is not None and self._synchronous and not self._told:
            self._told = True
            raise temporalio.exceptions.CancelledError(LOST)
        super().sleep(seconds)


def _tell_cancelled() -> None:
    """Make `activity.is_cancelled` and `cancellation_details` say that the attempt timed out."""
    # Only the worker can say so publicly, and it hears of no timeout but from a heartbeat, which must not be sent here.
    try:
        context = temporalio.activity._Context.current()
        context.cancellation_details.details = temporalio.activity.ActivityCancellationDetails(timed_out=True)
        context.cancelled_event.set()
    except AttributeError:
        pass


def _complete_async() -> type[BaseException]:
    try:
        temporalio.activity.raise_complete_async()
    except BaseException as error:
        return type(error)


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, timezone.utc)
