"""One activity under virtual time, without a server and without a workflow.

    run = await temporal_guard.activity(import_rows).run("big.csv", heartbeat_timeout=30)
    assert run.result == 1000
    assert run.longest_gap < 10

Its sleeps, timeouts and timers pass at once; what becomes virtual and what stays real is said in `sleeps`. Real work
shorter than `RESOLUTION` takes no virtual time, so that the times of pure sleeps are exact and the same in each run;
longer work counts in full.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import temporalio.activity
import temporalio.client
import temporalio.converter
import temporalio.testing

from pytest_temporal_guard import hooks, sleeps
from pytest_temporal_guard.sleeps import VirtualBeat

T = TypeVar("T")

RESOLUTION = 0.1
"""Real work shorter than this many seconds takes no virtual time. The loop guard's limit for blocking the loop."""

STUCK = 5.0
"""Real seconds after which an activity that waits for nothing known is given up."""


class ActivityStuck(RuntimeError):
    """The activity waits for something that nothing in it will ever bring about, such as an event or a cancellation."""


class AttemptKilled(BaseException):
    """Raised by the heartbeat at which `fail_after` kills an attempt. No `except Exception` catches it."""


@dataclasses.dataclass(frozen=True)
class LoneRun:
    """What one activity did. All times are virtual seconds since the start of its (last) attempt.

    Attributes:
        result: what it returned; None if it raised.
        error: what it raised; None if it returned. A killed attempt has AttemptKilled here.
        beats: its heartbeats. Their details are as the activity gave them.
        duration: how long it took.
        received: the heartbeat details that it began with.
        attempt: its number, from 1.
        earlier: the attempts before it.
    """

    result: Any
    error: BaseException | None
    beats: tuple[VirtualBeat, ...]
    duration: float
    received: tuple[Any, ...]
    attempt: int
    earlier: tuple[LoneRun, ...] = dataclasses.field(default=(), repr=False)

    @property
    def attempts(self) -> tuple[LoneRun, ...]:
        """All attempts in order; the last is this one."""
        return (*self.earlier, self)

    @property
    def longest_gap(self) -> float:
        """The longest time without a heartbeat in this attempt, in seconds; its start and end count as beats."""
        return sleeps.longest_gap(self.beats, self.duration)

    @property
    def details(self) -> tuple[Any, ...]:
        """The details of the last heartbeat, of an earlier attempt if this one did not beat; () without any."""
        return self.beats[-1].details if self.beats else self.received


class ActivityUnderTest:
    """An activity and how to run it; what `temporal_guard.activity(fn)` returns.

    Args:
        fn: the activity: a function, a bound method or a callable object, async or not.
        client: what `activity.client()` returns inside; its data converter also encodes heartbeat details.
        data_converter: encodes heartbeat details between attempts. Default: the client's, else the SDK's default.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        client: temporalio.client.Client | None = None,
        data_converter: temporalio.converter.DataConverter | None = None,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"An activity is a function or a callable object, not {fn!r}")
        if inspect.isclass(fn):
            raise TypeError(f"{fn.__name__} is a class: give an instance, or one of its methods")
        self._fn = fn
        self._client = client
        self._converter = data_converter or (
            client.data_converter if client is not None else temporalio.converter.DataConverter.default
        )
        self._kill_at: tuple[int, ...] = ()

    def fail_after(self, beats: int) -> ActivityUnderTest:
        """The same activity, whose attempt is killed at its `beats`-th heartbeat, and followed by the next one.

        The next attempt gets the details of that heartbeat, as the server would hand them over: encoded and decoded.
        Called twice, the second attempt is killed as well, and so on. An attempt that ends by itself before it has
        beaten so often is the last one.

        Raises:
            ValueError: `beats` is less than 1.
        """
        if beats < 1:
            raise ValueError(f"An attempt can be killed at its first heartbeat at the earliest, not at {beats}")
        other = copy.copy(self)
        other._kill_at = (*self._kill_at, beats)
        return other

    async def run(
        self,
        *args: Any,
        heartbeat_timeout: timedelta | float | None = None,
        start_to_close_timeout: timedelta | float | None = None,
        heartbeat_details: tuple[Any, ...] = (),
        **info: Any,
    ) -> LoneRun:
        """Run the activity from an async test. It runs on an event loop of its own, in another thread.

        Args:
            args: the activity's arguments.
            heartbeat_timeout: what `activity.info()` says, in seconds if a number. Nothing is timed out here: compare
                `longest_gap` with it.
            start_to_close_timeout: likewise.
            heartbeat_details: what the first attempt receives.
            info: other fields of `activity.Info`, such as `workflow_id`.

        Raises:
            ActivityStuck: it waits for something that never comes.
            TypeError: `info` has a field that `activity.Info` has not.
        """
        return await asyncio.to_thread(
            self.run_sync,
            *args,
            heartbeat_timeout=heartbeat_timeout,
            start_to_close_timeout=start_to_close_timeout,
            heartbeat_details=heartbeat_details,
            **info,
        )

    def run_sync(
        self,
        *args: Any,
        heartbeat_timeout: timedelta | float | None = None,
        start_to_close_timeout: timedelta | float | None = None,
        heartbeat_details: tuple[Any, ...] = (),
        **info: Any,
    ) -> LoneRun:
        """As `run`, from a test that is not async."""
        info["heartbeat_timeout"] = _timedelta(heartbeat_timeout)
        if start_to_close_timeout is not None:
            info["start_to_close_timeout"] = _timedelta(start_to_close_timeout)
        earlier: list[LoneRun] = []
        received = heartbeat_details
        for number in range(1, len(self._kill_at) + 2):
            kill_at = self._kill_at[number - 1] if number <= len(self._kill_at) else None
            fields = {"attempt": number, **info, "heartbeat_details": list(received)}
            run = _in_new_loop(self._attempt(args, fields, kill_at))
            run = dataclasses.replace(run, earlier=tuple(earlier))
            if not isinstance(run.error, AttemptKilled):
                break
            earlier.append(run)
            received = _in_new_loop(self._handed_over(run.details))
        return run

    async def _handed_over(self, details: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(await self._converter.decode(await self._converter.encode(details))) if details else ()

    async def _attempt(self, args: tuple[Any, ...], fields: dict[str, Any], kill_at: int | None) -> LoneRun:
        options = () if self._client is None else (self._client,)
        environment = temporalio.testing.ActivityEnvironment(*options)
        environment.payload_converter = self._converter.payload_converter
        definition = getattr(self._fn, "__temporal_activity_definition", None)
        now = datetime.now(timezone.utc)
        environment.info = dataclasses.replace(
            environment.info,
            **{
                "activity_type": getattr(definition, "name", None) or getattr(self._fn, "__name__", "activity"),
                "scheduled_time": now,
                "current_attempt_scheduled_time": now,
                "started_time": now,
                **fields,
            },
        )
        with hooks.installed():
            return await _Attempt(environment, self._converter, kill_at).run(self._fn, args)


class _Attempt(sleeps.Driver):
    def __init__(
        self,
        environment: temporalio.testing.ActivityEnvironment,
        converter: temporalio.converter.DataConverter,
        kill_at: int | None,
    ) -> None:
        super().__init__(environment.info.started_time.timestamp(), RESOLUTION)
        self._environment = environment
        self._converter = converter
        self._kill_at = kill_at
        self._killed: float | None = None
        self._fault: Exception | None = None
        self._main: asyncio.Task[Any] | None = None
        environment.on_heartbeat = self._beat
        self.loop.set_exception_handler(_report_unless_killed)

    async def run(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> LoneRun:
        with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="activity") as executor:
            self.start()
            token = hooks.current.set(self)
            try:
                self._main = self.loop.create_task(self._call(fn, args, executor))
            finally:
                hooks.current.reset(token)
            await asyncio.wait({self._main})
            end = self.seconds()
            await self.stop()
            self.wake_threads(AttemptKilled())
        if self._fault is not None:
            raise self._fault
        error: BaseException | None
        if self._killed is not None:
            error, end = AttemptKilled(), self._killed
        else:
            error = asyncio.CancelledError() if self._main.cancelled() else self._main.exception()
        info = self._environment.info
        return LoneRun(
            result=self._main.result() if error is None else None,
            error=error,
            beats=tuple(self.beats),
            duration=end,
            received=tuple(info.heartbeat_details),
            attempt=info.attempt,
        )

    async def _call(self, fn: Callable[..., Any], args: tuple[Any, ...], executor: concurrent.futures.Executor) -> Any:
        call = functools.partial(self._environment.run, fn, *args)
        if is_async(fn):
            return await call()
        return await self.loop.run_in_executor(executor, contextvars.copy_context().run, call)

    def _beat(self, *details: Any) -> None:
        if self._killed is not None:
            raise AttemptKilled
        # What cannot be encoded fails here, as on the way to a server.
        self._converter.payload_converter.to_payloads(details)
        self.beats.append(VirtualBeat(self.seconds(), details))
        if len(self.beats) == self._kill_at:
            self._killed = self.seconds()
            self.loop.call_soon_threadsafe(self._end, context=contextvars.Context())
            raise AttemptKilled

    def _end(self) -> None:
        """End what the activity does besides the code that beat last, or all of it when time cannot go on."""
        self.wake_threads(AttemptKilled())
        if self._main is not None:
            self._main.cancel()

    async def idle(self, until: float | None) -> None:
        if until is not None:
            self.set_clock(until)
        elif not await self.park(STUCK):
            waiting = "; ".join(
                f"line {frame.f_lineno} of {frame.f_code.co_filename} ({frame.f_code.co_name})"
                for task in asyncio.all_tasks()
                if task is not asyncio.current_task()
                for frame in task.get_stack(limit=1)
                if frame.f_globals.get("__name__") != __name__
            )
            raise ActivityStuck(f"The activity waits for something that nothing in it brings about, in {waiting}")

    def failed(self, error: Exception) -> None:
        self._fault = error
        self.release()
        self._end()


def is_async(activity: Callable[..., Any]) -> bool:
    """Whether an activity, which may be an instance of a class, is a coroutine function to the SDK."""
    call = getattr(type(activity), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(activity) or inspect.iscoroutinefunction(call)


def _report_unless_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), AttemptKilled):
        loop.default_exception_handler(context)


def _in_new_loop(main: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        main.close()
        raise RuntimeError("An event loop is running in this thread: use `await ....run(...)` instead of `run_sync`")
    # not a loop of the policy, which may be one that cannot be extended
    loop = asyncio.SelectorEventLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=STUCK))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _timedelta(value: timedelta | float | None) -> timedelta | None:
    return timedelta(seconds=value) if isinstance(value, (int, float)) else value
