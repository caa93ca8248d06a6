"""What may happen to every activity, made to happen: a result that gets lost, and a worker that does.

`Injector` gives two interceptors to each worker. The outer one stands around everything that watches an activity: it
throws away the first result and tells the server that the attempt failed, so that the server itself runs the activity
again. The inner one stands next to the activity's function: it ends an attempt at a heartbeat, as a lost worker would.
Both do nothing unless the current test asked for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import temporalio.exceptions
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from pytest_temporal_guard.runs import Attempt, Observed, Repeat
from pytest_temporal_guard.state import changes, freeze, probe_of
from pytest_temporal_guard.turns import Turn, Turns
from pytest_temporal_guard.wording import shorten

if TYPE_CHECKING:
    from temporalio.client import WorkflowHistory

    from pytest_temporal_guard.recorder import Recorder

REDO = "TemporalGuardRedo"
LOST = "TemporalGuardLostWorker"
_RETRY_AFTER = timedelta(milliseconds=1)
# How many different heartbeat details an attempt may send before it is lost: two to tell a beginning, one to go on from
_BEATS = 3
_PATIENCE = 10.0


class Asked(NamedTuple):
    """What one test asks for. `test` is its node id; `state` gives the value of its fixture `temporal_state`.

    `repeat` says whether activities run twice, `skip` names those that do not; `resume` names those that lose a worker.
    """

    test: str
    repeat: bool
    skip: frozenset[str]
    resume: frozenset[str]
    state: Callable[[], Any]


class Injector:
    """Loses results and workers for the tests that ask for it. One for a pytest process; thread-safe.

    `history(observed)` fetches the history of a run; it may be called in any event loop.
    """

    def __init__(self, recorder: Recorder, history: Callable[[Observed], Any]) -> None:
        self.recorder = recorder
        self.asked: Asked | None = None
        self.turns = Turns()
        self.first: dict[tuple[str, str], _First] = {}
        self._history = history

    def interceptors(self) -> tuple[Interceptor, Interceptor]:
        """The outer and the inner interceptor of one worker."""
        return _Outer(self), _Inner(self)

    def begin(self, asked: Asked | None) -> None:
        """What the test that begins asks for; None when it asks for nothing."""
        self.asked = asked
        self.first.clear()

    def observed(self, info: activity.Info) -> Observed | None:
        """The run that an activity belongs to, where the current test asks for anything and has that run."""
        asked = self.asked
        if asked is None or info.is_local or not info.workflow_run_id:
            return None
        observed = self.recorder.by_run_id(info.workflow_run_id)
        return observed if observed is not None and observed.test == asked.test else None

    async def policy(self, observed: Observed, info: activity.Info) -> _Policy | None:
        """What the workflow gave in the call of an activity; None when it is not to be found.

        The time-skipping server does not tell an activity its retry policy, so it is read off the workflow's command,
        or off the history when the workflow runs elsewhere.
        """
        found = _scheduled(observed, info.activity_id)
        if found is None and info.retry_policy is not None:
            policy = info.retry_policy
            return _Policy(
                policy.maximum_attempts, tuple(policy.non_retryable_error_types or ()), info.schedule_to_close_timeout
            )
        if found is None:
            found = _in_history(await self._history(observed), info.activity_id)
        if found is None:
            return None
        limit = found.schedule_to_close_timeout.ToTimedelta()
        # A timeout that is not given comes from the history as the largest there is, or as zero.
        return _Policy(
            found.retry_policy.maximum_attempts, tuple(found.retry_policy.non_retryable_error_types), limit or None
        )

    async def reason_to_leave(
        self, observed: Observed, info: activity.Info, kind: str, took: timedelta = timedelta(0)
    ) -> str | None:
        """Why an attempt must not be failed now, as a phrase; None when it may be."""
        if activity.is_cancelled():
            return "it was cancelled"
        policy = await asyncio.wait_for(self.policy(observed, info), 5)
        if policy is None:
            return "its retry policy is not known"
        if policy.maximum_attempts and info.attempt >= policy.maximum_attempts:
            return f"attempt {info.attempt} of {policy.maximum_attempts} is its last"
        if kind in policy.non_retryable:
            return f"non_retryable_error_types names {kind}"
        used = info.started_time - info.scheduled_time + took
        if policy.schedule_to_close and used + 2 * took > policy.schedule_to_close:
            return "its schedule_to_close_timeout leaves no time for it"
        return None

    async def snapshot(self) -> Any:
        """The state now, frozen; None when the test has no `temporal_state`."""
        asked = self.asked
        value = asked.state() if asked is not None else None
        if value is None:
            return None
        found = probe_of(value)()
        return freeze(await found if inspect.isawaitable(found) else found)


class AttemptLost(BaseException):
    """Ends an attempt at a heartbeat. No Exception, since no handler of the activity runs when its worker is gone."""


class _Policy(NamedTuple):
    maximum_attempts: int
    non_retryable: tuple[str, ...]
    schedule_to_close: timedelta | None


@dataclass
class _First:
    """The result that was thrown away, and how it is encoded (None: it cannot be)."""

    result: Any
    encoded: list[Any] | None = field(default=None)


class _Outer(Interceptor):
    def __init__(self, injector: Injector) -> None:
        self.injector = injector

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _LoseResult(next, self.injector)


class _LoseResult(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, injector: Injector) -> None:
        super().__init__(next)
        self.injector = injector

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        injector, info = self.injector, activity.info()
        observed, asked = injector.observed(info), injector.asked
        if observed is None or asked is None or not asked.repeat or info.activity_type in asked.skip:
            return await super().execute_activity(input)
        turn = await injector.turns.enter(_patience(info))
        try:
            key = (info.workflow_run_id or "", info.activity_id)
            first = injector.first.get(key)
            if first is not None:
                return await self._second(input, info, observed, turn, first)
            begin = datetime.now(timezone.utc)
            result = await super().execute_activity(input)
            took = datetime.now(timezone.utc) - begin
        finally:
            injector.turns.leave(turn)
        reason: str | None = "the guard failed"
        with injector.recorder.guarded("an activity that is to run twice"):
            reason = await injector.reason_to_leave(observed, info, REDO, took)
        if reason is not None:
            observed.not_idempotent.append(Repeat(info.activity_type, info.activity_id, "left", (reason,)))
            return result
        injector.first[key] = _First(result, _encoded(result))
        raise _failure("The temporal guard threw away the result of this activity, to run it again.", REDO)

    async def _second(
        self, input: ExecuteActivityInput, info: activity.Info, observed: Observed, turn: Turn, first: _First
    ) -> Any:
        injector = self.injector

        def found(kind: str, *details: str) -> None:
            observed.not_idempotent.append(Repeat(info.activity_type, info.activity_id, kind, details))

        async def state() -> Any:
            try:
                return await injector.snapshot()
            except Exception as error:
                found("snapshot", f"{type(error).__name__}: {shorten(str(error), 400)}")
                return None

        before = await state()
        raised: Exception | None = None
        try:
            result = await super().execute_activity(input)
        except temporalio.exceptions.CancelledError:
            raise
        except Exception as error:
            if isinstance(error, ApplicationError) and error.type == LOST:
                raise
            raised, result = error, first.result
        if turn.shared and before is not None:
            found("beside")
        elif before is not None:
            after = await state()
            with injector.recorder.guarded("comparing states"):
                if after is not None and before != after:
                    found("state", *changes(before, after))
        if raised is not None:
            found("raised", f"{type(raised).__name__}: {shorten(str(raised), 400)}")
            # The workflow gets what the first run gave, so that a test ends: the server would go on trying for ever.
            return first.result
        with injector.recorder.guarded("comparing results"):
            different = _difference(first.encoded, _encoded(result))
            if different:
                found("result", *different)
        return result


class _Inner(Interceptor):
    def __init__(self, injector: Injector) -> None:
        self.injector = injector

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _LoseWorker(next, self.injector)


class _LoseWorker(ActivityInboundInterceptor):
    """`armed` while the attempt may be lost; `lost` from then on. `elsewhere`: its function is in another process."""

    def __init__(self, next: ActivityInboundInterceptor, injector: Injector) -> None:
        super().__init__(next)
        self.injector = injector
        self.attempt: Attempt | None = None
        self.armed = False
        self.lost = False
        self.elsewhere = False
        self.distinct: list[Any] = []
        self.task: asyncio.Task[Any] | None = None

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(_LoseAtHeartbeat(outbound, self))

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        with self.injector.recorder.guarded("an activity that is to resume"):
            await self._begin(input)
        if self.attempt is None:
            return await super().execute_activity(input)
        try:
            result = await super().execute_activity(input)
        except (AttemptLost, asyncio.CancelledError):
            if not self.lost:
                raise
            if self.task is not None and hasattr(self.task, "uncancel"):
                self.task.uncancel()
        else:
            # Two different details are enough to tell a new beginning; the worker is lost before it tells its result.
            if not self.lost and not (self.armed and len(self.distinct) > 1):
                return result
        self.attempt.lost = True
        raise _failure("The temporal guard took the worker of this attempt away after a heartbeat.", LOST)

    async def _begin(self, input: ExecuteActivityInput) -> None:
        info, asked = activity.info(), self.injector.asked
        observed = self.injector.observed(info)
        if observed is None or asked is None or info.activity_type not in asked.resume:
            return
        mine = [each for each in observed.attempts if each.activity_id == info.activity_id]
        once = any(each.lost for each in mine)
        self.armed = not once and await self.injector.reason_to_leave(observed, info, LOST) is None
        self.task = asyncio.current_task()
        self.attempt = next((each for each in reversed(mine) if each.number == info.attempt), None)
        threaded = input.executor is None or isinstance(input.executor, concurrent.futures.ThreadPoolExecutor)
        self.elsewhere = not threaded
        if self.elsewhere and self.attempt is not None:
            # another process reads them, which is not seen
            self.attempt.read_details = True


class _LoseAtHeartbeat(ActivityOutboundInterceptor):
    def __init__(self, next: ActivityOutboundInterceptor, inbound: _LoseWorker) -> None:
        super().__init__(next)
        self.inbound = inbound

    def info(self) -> activity.Info:
        info = super().info()
        attempt = self.inbound.attempt
        if attempt is None:
            return info
        return _watched(info, attempt)

    def heartbeat(self, *details: Any) -> None:
        inbound = self.inbound
        if inbound.lost:
            # A worker that is gone sends nothing.
            return self._end()
        super().heartbeat(*details)
        if inbound.armed:
            with inbound.injector.recorder.guarded("a heartbeat"):
                seen = freeze(details)
                if seen not in inbound.distinct:
                    inbound.distinct.append(seen)
            if len(inbound.distinct) >= _BEATS:
                inbound.lost = True
                self._end()

    def _end(self) -> None:
        inbound = self.inbound
        if inbound.elsewhere:
            # An error would reach the thread that carries heartbeats over, not the activity: it ends as it will.
            return
        current = asyncio.current_task()
        # A task beside the activity's own may be the one that beats.
        is_async = inbound.attempt is not None and inbound.attempt.is_async
        if is_async and inbound.task is not None and current is not inbound.task:
            inbound.task.cancel()
        raise AttemptLost


class _WatchedInfo(activity.Info):
    """An `Info` that notes that its heartbeat details are read."""

    def __getattribute__(self, name: str) -> Any:
        if name == "heartbeat_details":
            attempt = object.__getattribute__(self, "__dict__").get("_attempt")
            if attempt is not None:
                attempt.read_details = True
        return object.__getattribute__(self, name)

    def __reduce__(self) -> Any:
        # Another process may get it, for a synchronous activity; what is read there cannot be noted here.
        fields = {name: each for name, each in self.__dict__.items() if name != "_attempt"}
        return _plain_info, (fields,)


def _plain_info(fields: dict[str, Any]) -> activity.Info:
    found: activity.Info = object.__new__(activity.Info)
    found.__dict__.update(fields)
    return found


def _watched(info: activity.Info, attempt: Attempt) -> activity.Info:
    found: activity.Info = object.__new__(_WatchedInfo)
    found.__dict__.update(vars(info), _attempt=attempt)
    return found


def _patience(info: activity.Info) -> float:
    """Seconds that an activity may wait for its turn: a part of what the server gives it."""
    limits = [each.total_seconds() / 4 for each in (info.start_to_close_timeout, info.heartbeat_timeout) if each]
    return min([_PATIENCE, *limits])


def _failure(message: str, kind: str) -> ApplicationError:
    options: dict[str, Any] = {"type": kind, "next_retry_delay": _RETRY_AFTER}
    # A failure that is no news is not logged; older SDKs log every one.
    categories = getattr(temporalio.exceptions, "ApplicationErrorCategory", None)
    if categories is not None:
        options["category"] = categories.BENIGN
    return ApplicationError(message, **options)


def _scheduled(observed: Observed, activity_id: str) -> Any:
    """The command that scheduled an activity; None when no worker of this process gave it."""
    from temporalio.bridge.proto.workflow_commands import WorkflowCommand

    for written in reversed(list(observed.commands)):
        # every command is small, and the activity's own is among the last
        command = WorkflowCommand.FromString(written)
        if command.HasField("schedule_activity") and command.schedule_activity.activity_id == activity_id:
            return command.schedule_activity
    return None


def _in_history(history: WorkflowHistory | None, activity_id: str) -> Any:
    for event in reversed(history.events if history is not None else ()):
        if event.HasField("activity_task_scheduled_event_attributes"):
            body = event.activity_task_scheduled_event_attributes
            if body.activity_id == activity_id:
                return body
    return None


def _encoded(result: Any) -> list[Any] | None:
    """What of a result another process gets; None for what cannot be encoded, which the SDK tells itself."""
    try:
        return list(activity.payload_converter().to_payloads([result]))
    except Exception:
        return None


def _difference(first: list[Any] | None, second: list[Any] | None) -> tuple[str, ...]:
    if first is None or second is None or first == second:
        return ()
    converter = activity.payload_converter()
    try:
        # The order of a dict's keys is no difference.
        one, two = converter.from_payloads(first), converter.from_payloads(second)
        if one == two:
            return ()
        return (f"first {shorten(repr(one[0]))}", f"then {shorten(repr(two[0]))}")
    except Exception:
        return (f"first {shorten(str(first[0].data))}", f"then {shorten(str(second[0].data))}")
