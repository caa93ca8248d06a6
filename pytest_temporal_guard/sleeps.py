"""Virtual time for the code of one activity: its timers and sleeps pass at once, its real work takes the time it takes.

`Driver` keeps the clock of one activity. It is the value of the context variable `current` in all code of that activity
(its tasks, and the threads that it starts through its loop), and only there do the patched functions see it:

- `time.sleep`, `time.monotonic`, `time.time`, `time.perf_counter` and their `_ns` forms, also where a module imported
  them by name (`from time import sleep`); modules of the standard library and of the SDK keep the originals;
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
import collections
import concurrent.futures
import contextlib
import contextvars
import dataclasses
import functools
import heapq
import itertools
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

REAL_MONOTONIC = time.monotonic
REAL_SLEEP = time.sleep

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


class _Job:
    """A call in an executor. `thread` is None until it begins, and again when it has ended."""

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
        self._perf: float = _ORIGINALS["perf_counter"]() - self.started
        self._queue: list[tuple[float, int, _Wakeable]] = []
        self._numbers = itertools.count()
        self._jobs: set[_Job] = set()
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

    def set_clock(self, now: float) -> None:
        """Move the clock to `now`; it never goes back."""
        self._clock = (max(self.monotonic(), now), REAL_MONOTONIC())

    # The task that moves it.

    def start(self) -> None:
        """Begin to move the clock. The caller sets `current` afterwards and calls `stop` in the end."""
        _hook(self.loop)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop moving the clock, after a step that is under way. Timers that are left go on in real time."""
        self.stopping = True
        self.changed()
        if self._task is not None:
            await asyncio.wait({self._task})
        self.release()
        _unhook(self.loop)

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


current: contextvars.ContextVar[Driver | None] = contextvars.ContextVar("temporal_guard_virtual_time", default=None)


# The hooks on a loop: attributes of the one loop, which its class's methods and the compiled tasks find first.

_hooked: collections.Counter[asyncio.AbstractEventLoop] = collections.Counter()


def can_hook(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the timers of this loop can be made virtual; those of compiled loops such as uvloop's cannot."""
    return isinstance(loop, asyncio.BaseEventLoop)


def _hook(loop: asyncio.AbstractEventLoop) -> None:
    _hooked[loop] += 1
    if _hooked[loop] > 1:
        return
    own_time, own_soon, own_at = loop.time, loop.call_soon, loop.call_at
    own_future, own_run = loop.create_future, loop.run_in_executor
    own_reader, own_no_reader = loop.add_reader, loop.remove_reader

    def time_() -> float:
        driver = current.get()
        return own_time() if driver is None else driver.monotonic()

    def call_soon(
        callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        driver = current.get() if context is None else context.get(current)
        if driver is not None:
            driver.changed()
        return own_soon(callback, *args, context=context)

    def call_at(
        when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        driver = current.get()
        if driver is None:
            return own_at(when, callback, *args, context=context)
        if driver.ended:
            return own_at(own_time() + when - driver.monotonic(), callback, *args, context=context)
        return driver.call_at(when, callback, args, context)

    def create_future() -> asyncio.Future[Any]:
        future = own_future()
        driver = current.get()
        if driver is not None:
            driver.future_made(future, sys._getframe(1).f_globals.get("__name__", ""))
        return future

    def run_in_executor(executor: Any, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        driver = current.get()
        if driver is None or driver.ended:
            return own_run(executor, function, *args)
        return driver.run_in_executor(own_run, executor, function, args)

    def add_reader(fd: Any, callback: Callable[..., Any], *args: Any) -> Any:
        driver = current.get()
        if driver is not None:
            driver.reader(fd, True)
        return own_reader(fd, callback, *args)

    def remove_reader(fd: Any) -> bool:
        driver = current.get()
        if driver is not None:
            driver.reader(fd, False)
        return own_no_reader(fd)

    hooks: dict[str, Any] = {
        "time": time_,
        "call_soon": call_soon,
        "call_at": call_at,
        "create_future": create_future,
        "run_in_executor": run_in_executor,
        "add_reader": add_reader,
        "remove_reader": remove_reader,
    }
    for name in _OPENERS:
        hooks[name] = _opener(getattr(loop, name))
    vars(loop).update(hooks)


# methods of a loop that return a pair with the transport first
_OPENERS = (
    "create_connection",
    "create_datagram_endpoint",
    "create_unix_connection",
    "connect_read_pipe",
    "subprocess_exec",
    "subprocess_shell",
)


def _opener(own: Callable[..., Any]) -> Callable[..., Any]:
    async def opened(*args: Any, **options: Any) -> Any:
        pair = await own(*args, **options)
        driver = current.get()
        if driver is not None:
            driver.transport_made(pair[0])
        return pair

    return opened


def _unhook(loop: asyncio.AbstractEventLoop) -> None:
    _hooked[loop] -= 1
    if _hooked[loop] > 0:
        return
    del _hooked[loop]
    names = ("time", "call_soon", "call_at", "create_future", "run_in_executor", "add_reader", "remove_reader")
    for name in (*names, *_OPENERS):
        vars(loop).pop(name, None)


# The patches of `time`.


def _reader(name: str) -> Callable[[], Any]:
    original = _ORIGINALS[name]
    read = name.removesuffix("_ns")

    def virtual() -> Any:
        driver = current.get()
        if driver is None:
            return original()
        value = getattr(driver, read)()
        return int(value * 1e9) if name.endswith("_ns") else value

    return functools.update_wrapper(virtual, original)


def _sleep(seconds: float, /) -> None:
    driver = current.get()
    if driver is None:
        REAL_SLEEP(seconds)
    else:
        driver.sleep(seconds)


_CLOCKS = ("monotonic", "time", "perf_counter")
_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(time, name) for clock in _CLOCKS for name in (clock, f"{clock}_ns")
}
_PATCHES: dict[str, Callable[..., Any]] = {name: _reader(name) for name in _ORIGINALS}
_ORIGINALS["sleep"] = REAL_SLEEP
_PATCHES["sleep"] = functools.update_wrapper(_sleep, REAL_SLEEP)
_REPLACEMENT = {id(original): _PATCHES[name] for name, original in _ORIGINALS.items()}

# Code of these keeps real time also when it runs for an activity: their waits are real.
_OWN = frozenset({*sys.stdlib_module_names, "temporalio", "pytest_temporal_guard", "pytest", "_pytest", "pluggy"})

_lock = threading.Lock()
_users = 0
_places: list[tuple[types.ModuleType, str, Any]] = []
_swept: weakref.WeakKeyDictionary[types.ModuleType, tuple[str, ...]] = weakref.WeakKeyDictionary()


def install() -> None:
    """Patch `time`, and the modules that hold its functions by name. Each call needs one of `uninstall`."""
    global _users
    with _lock:
        _users += 1
        if _users > 1:
            return
        for name, patch in _PATCHES.items():
            setattr(time, name, patch)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] not in _OWN and isinstance(module, types.ModuleType):
                _sweep(module)


def _sweep(module: types.ModuleType) -> None:
    names = _swept.get(module)
    if names is None:
        names = tuple(key for key, value in list(vars(module).items()) if id(value) in _REPLACEMENT)
        _swept[module] = names
    for key in names:
        value = vars(module).get(key)
        if id(value) in _REPLACEMENT:
            _places.append((module, key, value))
            setattr(module, key, _REPLACEMENT[id(value)])


def uninstall() -> None:
    """Undo one `install`; the last one puts the originals back."""
    global _users
    with _lock:
        _users -= 1
        if _users > 0:
            return
        for name, original in _ORIGINALS.items():
            setattr(time, name, original)
        while _places:
            module, key, value = _places.pop()
            if vars(module).get(key) is _REPLACEMENT[id(value)]:
                setattr(module, key, value)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """The patches for the length of a block."""
    install()
    try:
        yield
    finally:
        uninstall()
