"""Virtual time for the code of one activity: its timers and sleeps pass at once, its real work takes the time it takes.

`Driver` keeps the clock of one activity. It is the value of the context variable `hooks.current` in all code of that
activity (its tasks, and the threads that it starts through its loop), and only there do the patched functions see it:

- `time.sleep`, `time.monotonic`, `time.time`, `time.perf_counter` and their `_ns` forms, also where a module imported
  them by name (`from time import sleep`); modules of the standard library and of the SDK keep the originals;
- `threading.Event.wait` with a timeout, in a thread that the activity starts in its own context
  (`Thread(target=copy_context().run, ...)`, as a helper that heartbeats must be);
- the timers of the running loop (`loop.time`, `call_later`, `call_at`), and with them all that stands on these:
  `asyncio.sleep`, `wait_for`, `timeout`, `wait`, and anyio's, however they were imported.

The clock jumps to the next timer when the activity has nothing to do *and* waits for nothing real. Real are a job in an
executor (unless its thread sleeps virtually), a future made outside of asyncio's locks, queues and tasks (sockets,
subprocesses, RPCs, drivers of databases), and a lock, event or queue while the activity has a connection open, since
libraries such as anyio wait for sockets through an event. While something real is awaited the clock runs at the speed
of the wall clock, so a timeout around a socket fires when it would in production.

Left in real time: `datetime.now` (it is compiled), functions of `time` that are held elsewhere than in a module's
globals (a default argument, an attribute), a loop that the activity runs itself, threads that it starts without
its context (`threading.Thread`, `Executor.submit`), and loops that cannot be extended (uvloop). An event that a thread
of such a kind sets through `call_soon_threadsafe` is not recognised as real; a bare `loop.create_future()` of the
activity's own code is taken for real, although another of its tasks may be meant to set it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import dataclasses
import functools
import heapq
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pytest_temporal_guard.hooks import REAL_MONOTONIC, REAL_PERF_COUNTER, REAL_SLEEP, REAL_WAIT, current, hook, unhook

T = TypeVar("T")
# How often, in seconds, a helper that waits for an event looks whether it is set.
_GLANCE = 0.001

# Futures made by these modules are set by other code of the same activity. Any other future is taken for real work.
_LOCKS = frozenset({"asyncio.locks", "asyncio.queues"})
_TASKS = frozenset({"asyncio.tasks", "asyncio.taskgroups", "asyncio.timeouts"})


@dataclasses.dataclass(frozen=True)
class VirtualBeat:
    """One heartbeat: `seconds` of virtual time since its attempt started, and the `details` that it carried."""

    seconds: float
    details: tuple[Any, ...]


def longest_gap(beats: tuple[VirtualBeat, ...], duration: float) -> float:
    """The longest time without a heartbeat, in seconds.

    The time from the start to the first beat and from the last beat to the end count as well, as the server counts
    them. `duration` is that of the attempt, in the same unit as `VirtualBeat.seconds`.
    """
    points = [0.0, *(beat.seconds for beat in beats), duration]
    return max(later - earlier for earlier, later in itertools.pairwise(points))


class _Wakeable(Protocol):
    def cancelled(self) -> bool: ...

    def wake(self) -> None: ...


class _Timer(asyncio.TimerHandle):
    """A timer of the activity, as `call_at` returns it."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self._due = functools.partial(callback, *args)
        self._on = loop
        self._in = context

    def _fire(self) -> None:
        if not self.cancelled():
            self._due()

    def wake(self) -> None:
        """Run the callback in the next pass of the loop, unless it is cancelled until then."""
        self._on.call_soon(self._fire, context=self._in)


class _Sleeper:
    """A thread of the activity in `time.sleep`."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.error: BaseException | None = None
        self._woken = threading.Event()

    def cancelled(self) -> bool:
        return self._woken.is_set()

    def wake(self) -> None:
        """Let the thread go on."""
        self._woken.set()

    def wait(self) -> None:
        """Block until woken; raise what `error` was set to."""
        self._woken.wait()
        if self.error is not None:
            raise self.error

    def wait_beside(self, event: threading.Event) -> None:
        """Block until woken, or until `event` is set."""
        while not REAL_WAIT(self._woken, _GLANCE):
            if event.is_set():
                self._woken.set()


class _Job:
    """A call in an executor, or a helper's thread. `thread` is None until it begins, and again when it has ended."""

    thread: int | None = None


class Driver:
    """The clock of one activity and the task that moves it. All times are seconds, as of `time.monotonic`.

    A subclass says in `idle` how time passes while the activity sleeps, and in `settle` what must happen before.

    Args:
        epoch: unix time in seconds at which the clock starts.
        resolution: real work shorter than this many seconds takes no virtual time.
    """

    def __init__(self, epoch: float, resolution: float = 0.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.started = REAL_MONOTONIC()
        self.beats: list[VirtualBeat] = []
        self.stopping = self.ended = False
        # (virtual time, real time at which it was so); one object, since threads read it at any moment
        self._clock = (self.started, self.started)
        self._resolution = resolution
        self._epoch = epoch - self.started
        self._perf: float = REAL_PERF_COUNTER() - self.started
        self._queue: list[tuple[float, int, _Wakeable]] = []
        self._numbers = itertools.count()
        self._jobs: set[_Job] = set()
        self._helpers: set[int] = set()
        self._foreign: weakref.WeakSet[asyncio.Future[Any]] = weakref.WeakSet()
        self._locks: weakref.WeakSet[asyncio.Future[Any]] = weakref.WeakSet()
        self._transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self._readers: set[Any] = set()
        self._quiet_calls = False
        self._changes = 0
        self._parked: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # The clock, read from any thread.

    def monotonic(self) -> float:
        """Virtual `time.monotonic`."""
        base, since = self._clock
        elapsed = REAL_MONOTONIC() - since
        return base + (elapsed if elapsed >= self._resolution else 0.0)

    def time(self) -> float:
        """Virtual `time.time`."""
        return self._epoch + self.monotonic()

    def perf_counter(self) -> float:
        """Virtual `time.perf_counter`."""
        return self._perf + self.monotonic()

    def seconds(self) -> float:
        """Virtual seconds since the activity started."""
        return self.monotonic() - self.started

    def sleep(self, seconds: float) -> None:
        """Virtual `time.sleep`. Raises ValueError for a negative length, as the original does."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self.ended:
            REAL_SLEEP(seconds)
        elif threading.get_ident() == self.thread:
            # It blocks the loop, so none of the activity's tasks may see a time in between.
            self.set_clock(self.monotonic() + seconds)
            self.changed()
        else:
            sleeper = _Sleeper()
            when = self.monotonic() + seconds
            self.loop.call_soon_threadsafe(self._put, when, sleeper, context=contextvars.Context())
            sleeper.wait()

    def helper_starts(self, thread: threading.Thread) -> None:
        """Take a thread that is about to start for work of the activity, for as long as it runs."""
        if self.ended:
            return
        job, run = _Job(), thread.run

        def tracked() -> None:
            job.thread = me = threading.get_ident()
            self._helpers.add(me)
            try:
                run()
            finally:
                self._helpers.discard(me)
                job.thread = None
                self._in_loop(self._leave, job)

        thread.run = tracked  # type: ignore[method-assign]
        # in the loop, as the sleep of the thread that starts it: first come, first served
        self._in_loop(self._jobs.add, job)

    def wait_for(self, event: threading.Event, timeout: float) -> bool:
        """Virtual `threading.Event.wait` of a helper's thread; any other thread waits for something real."""
        if self.ended or event.is_set() or threading.get_ident() not in self._helpers:
            return REAL_WAIT(event, timeout)
        sleeper = _Sleeper()
        self._in_loop(self._put, self.monotonic() + timeout, sleeper)
        sleeper.wait_beside(event)
        # at the end of the attempt the helper is left to the code that started it
        return event.is_set() if sleeper.error is None else REAL_WAIT(event, timeout)

    def _in_loop(self, call: Callable[..., Any], *args: Any) -> None:
        # a loop that is closed has no activity any more
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(call, *args, context=contextvars.Context())

    def _leave(self, job: _Job) -> None:
        self._jobs.discard(job)
        self.changed()

    def set_clock(self, now: float) -> None:
        """Move the clock to `now`; it never goes back."""
        self._clock = (max(self.monotonic(), now), REAL_MONOTONIC())

    # The task that moves it.

    def start(self) -> None:
        """Begin to move the clock. The caller sets `current` afterwards and calls `stop` in the end."""
        hook(self.loop)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop moving the clock, after a step that is under way. Timers that are left go on in real time."""
        self.stopping = True
        self.changed()
        if self._task is not None:
            await asyncio.wait({self._task})
        self.release()
        unhook(self.loop)

    def release(self) -> None:
        """Let the activity's code go on in real time."""
        self.ended = True
        now = self.monotonic()
        while self._queue:
            when, _, item = heapq.heappop(self._queue)
            if not item.cancelled():
                contextvars.Context().run(self.loop.call_later, max(0.0, when - now), item.wake)

    async def work(self, seconds: float | None) -> None:
        """Let time pass while the activity waits for something real: until its next timer, or None if it has none."""
        await self.park(seconds)

    async def idle(self, until: float | None) -> None:
        """Let time pass while the activity sleeps: until its next timer, or None if it waits for ever."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Called before each decision, when the activity has no code to run."""

    def failed(self, error: Exception) -> None:
        """Called when time cannot be moved any more."""
        raise NotImplementedError

    async def _run(self) -> None:
        try:
            while not self.stopping:
                changes = await self._quiet()
                self.set_clock(self.monotonic())
                await self.settle()
                if self.stopping or changes != self._changes or self._wake_due():
                    continue
                if self.works():
                    await self.work(self._until_next())
                else:
                    await self.idle(self._next())
        except Exception as error:
            self.failed(error)

    async def _quiet(self) -> int:
        """Wait until all callbacks of the activity that are ready have run; return the count of changes so far."""
        while True:
            changes = self._changes
            # What was ready stands before this task in the loop's queue, so one pass runs all of it.
            await asyncio.sleep(0)
            if changes == self._changes:
                return changes

    def _next(self) -> float | None:
        while self._queue and self._queue[0][2].cancelled():
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def _until_next(self) -> float | None:
        following = self._next()
        return None if following is None else max(0.0, following - self.monotonic())

    def _wake_due(self) -> bool:
        woken = False
        now = self.monotonic()
        while (following := self._next()) is not None and following <= now:
            item = heapq.heappop(self._queue)[2]
            item.wake()
            self.changed()
            woken = True
        return woken

    async def park(self, seconds: float | None) -> bool:
        """Wait in real time until the activity does something, at most `seconds`; return whether it did."""
        self._parked = self.loop.create_future()
        try:
            done, _ = await asyncio.wait({self._parked}, timeout=seconds)
        finally:
            self._parked = None
        if not done and seconds is not None:
            self.set_clock(self._clock[0] + seconds)
        return bool(done)

    def changed(self) -> None:
        """Note that the activity did something."""
        self._changes += 1
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)

    def works(self) -> bool:
        """Whether the activity waits for something real."""
        sleeping = {item.thread for _, _, item in self._queue if isinstance(item, _Sleeper)}
        if any(job.thread not in sleeping for job in self._jobs):
            return True
        if any(map(_awaited, self._foreign)):
            return True
        connected = bool(self._readers) or any(not transport.is_closing() for transport in self._transports)
        return connected and any(map(_awaited, self._locks))

    def wake_threads(self, error: BaseException) -> None:
        """Make `time.sleep` raise `error` in all threads of the activity that are in it."""
        rest = []
        for entry in self._queue:
            if isinstance(entry[2], _Sleeper):
                entry[2].error = error
                entry[2].wake()
            else:
                rest.append(entry)
        heapq.heapify(rest)
        self._queue = rest

    def _put(self, when: float, item: _Wakeable) -> None:
        if self.ended:
            self.loop.call_later(max(0.0, when - self.monotonic()), item.wake)
            return
        heapq.heappush(self._queue, (when, next(self._numbers), item))
        self.changed()

    # What the hooks of the loop call, in the activity's context.

    def call_at(
        self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> asyncio.TimerHandle:
        """`loop.call_at` for the activity."""
        timer = _Timer(when, callback, args, self.loop, context or contextvars.copy_context())
        self._put(when, timer)
        return timer

    def future_made(self, future: asyncio.Future[Any], module: str) -> None:
        """Note a future that code of `module` made for the activity."""
        if self._quiet_calls:
            return
        if module in _LOCKS:
            self._locks.add(future)
        elif module not in _TASKS:
            self._foreign.add(future)

    def run_in_executor(
        self,
        call: Callable[..., asyncio.Future[Any]],
        executor: Any,
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> asyncio.Future[Any]:
        """`loop.run_in_executor` for the activity; `call` is the loop's own."""
        job = _Job()
        if executor is None or isinstance(executor, concurrent.futures.ThreadPoolExecutor):
            function, args = functools.partial(self._work, job, function, *args), ()
        # The job itself says whether it is real, so the future that asyncio makes for it must not.
        self._quiet_calls = True
        try:
            future = call(executor, function, *args)
        finally:
            self._quiet_calls = False
        self._jobs.add(job)

        def done(_: asyncio.Future[Any]) -> None:
            self._jobs.discard(job)
            self.changed()

        future.add_done_callback(done, context=contextvars.Context())
        return future

    def _work(self, job: _Job, function: Callable[..., T], *args: Any) -> T:
        token = current.set(self)
        job.thread = threading.get_ident()
        try:
            return function(*args)
        finally:
            job.thread = None
            current.reset(token)

    def transport_made(self, transport: asyncio.BaseTransport) -> None:
        """Note a connection that the activity opened."""
        self._transports.add(transport)

    def reader(self, fd: Any, present: bool) -> None:
        """Note that the activity watches a file descriptor, or no longer does."""
        (self._readers.add if present else self._readers.discard)(fd)


def _awaited(future: asyncio.Future[Any]) -> bool:
    # `_callbacks` is private, but no public name says whether anybody waits. Without it, any open future counts.
    return not future.done() and bool(getattr(future, "_callbacks", True))
