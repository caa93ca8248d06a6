"""The one clock of a time-skipping server, moved for everybody in this process who waits for it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import os
import threading
import time
import weakref
from asyncio import sleep as real_sleep
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, TypeVar

from google.protobuf.empty_pb2 import Empty
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, SleepRequest, UnlockTimeSkippingRequest
from temporalio.client import Client
from temporalio.service import RPCError, TestService

from pytest_temporal_guard.server import exit_calmly

_T = TypeVar("_T")

# A result is awaited with steps of 1 s, 2 s, 4 s and so on, each costing 0.9 ms. The clock moves beyond what a
# workflow needs: by the first step if that is nothing, by as much again at most if it is something. The longest step
# keeps a wait without any end from leaping over centuries.
_FIRST_STEP = timedelta(seconds=1)
_GROWTH = 2
_LONGEST_STEP = timedelta(days=365)
# An unhindered step is over after 1 ms; one that takes longer waits for a running activity.
_GRACE = 0.02
_PAUSE = 0.05


class _ClockLoop(asyncio.SelectorEventLoop):
    # A test that freezes time replaces `time.monotonic` in every module, and would stop this loop's timers.
    time = staticmethod(time.monotonic)


class _ClockThread:
    """The thread in which all pumps run, so that no test's event loop can block, cancel or close one half way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._owner = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._owner != os.getpid():
                exit_calmly()
                self._owner = os.getpid()
                self._loop = _ClockLoop()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="temporal-guard-clock", daemon=True
                )
                self._thread.start()
                atexit.register(self._stop)
            return self._loop

    def call(self, function: Callable[[], object]) -> None:
        # An empty context: the caller may be an activity, whose sleeps are virtual.
        self.loop().call_soon_threadsafe(function, context=contextvars.Context())

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> asyncio.Future[_T]:
        """Run it there; the future is of the running loop, and cancels it there when it is cancelled."""
        return asyncio.wrap_future(contextvars.Context().run(asyncio.run_coroutine_threadsafe, coroutine, self.loop()))

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.run_until_complete(self._cancel_tasks())
        loop.close()

    async def _cancel_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self) -> None:
        if self._loop is not None and self._thread is not None and self._owner == os.getpid():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(1)
            self._loop = None


_clock = _ClockThread()


class _Sleeper:
    def __init__(self, target: datetime) -> None:
        self.target = target
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self, error: RPCError | None = None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Pump:
    """Moves the one clock of a test server for everybody who waits for it.

    The server counts who holds its clock: the base hold, each workflow task and each running activity. The SDK takes
    one hold away per awaited result, so that two awaited results skip time under a running activity, and the clock
    leaps to the next timer, which after the last workflow task is the run timeout in ten years. The pump has at most
    one step under way, an `unlock_time_skipping_with_sleep` that the server itself ends, in growing steps.
    """

    _pumps: ClassVar[weakref.WeakValueDictionary[str, Pump]] = weakref.WeakValueDictionary()
    _pumps_lock: ClassVar = threading.Lock()
    # The loop itself keeps no task alive, and a pump must outlive the environment whose step is still under way.
    _at_work: ClassVar[set[Pump]] = set()

    @classmethod
    def of(cls, client: Client) -> Pump:
        """The pump of the server that a client is connected to: one per server and process."""
        address = client.service_client.config.target_host
        with cls._pumps_lock:
            pump = cls._pumps.get(address)
            if pump is None:
                pump = cls._pumps[address] = cls(client)
            return pump

    def __init__(self, client: Client) -> None:
        """Use `of`: two pumps on one server are as wrong as none."""
        self._service = client.test_service
        # All of this is touched in the clock's thread only.
        self._waiters: dict[object, asyncio.AbstractEventLoop] = {}
        self._timers: dict[object, asyncio.TimerHandle] = {}
        self._sleepers: list[_Sleeper] = []
        self._length = _FIRST_STEP
        self._is_stepping = False
        self._is_held = False
        self._turn = asyncio.Lock()
        self._runner: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def waiting(self, patience: float = 0) -> AsyncIterator[None]:
        """Time passes inside, after `patience` real seconds. On leaving, the clock has stopped skipping if no other
        waits."""
        waiter = object()
        loop = asyncio.get_running_loop()
        _clock.call(lambda: self._enter(waiter, loop, patience))
        try:
            yield
        except GeneratorExit:
            # The task is being destroyed; nothing may be awaited any more.
            _clock.call(lambda: self._forget(waiter))
            raise
        except BaseException:
            await asyncio.shield(_clock.run(self._leave(waiter)))
            raise
        await asyncio.shield(_clock.run(self._leave(waiter)))

    async def sleep(self, duration: timedelta) -> None:
        """Let at least `duration` of virtual time pass; exactly so when nobody else moves the clock."""
        if duration > timedelta():
            await _clock.run(self._sleep(duration))

    def _enter(self, waiter: object, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        if patience:
            self._timers[waiter] = asyncio.get_running_loop().call_later(patience, self._enter, waiter, loop, 0)
            return
        self._timers.pop(waiter, None)
        if not self._waiters:
            self._length = _FIRST_STEP
        self._waiters[waiter] = loop
        self._start()

    def _forget(self, waiter: object) -> None:
        self._waiters.pop(waiter, None)
        if timer := self._timers.pop(waiter, None):
            timer.cancel()

    async def _leave(self, waiter: object) -> None:
        self._forget(waiter)
        if self._runner is not None and not self._is_wanted():
            await asyncio.wait({self._runner}, timeout=_GRACE)
            await self._settle()

    async def _sleep(self, duration: timedelta) -> None:
        sleeper = _Sleeper(await clock_time(self._service) + duration)
        self._sleepers.append(sleeper)
        self._start()
        try:
            await sleeper.done
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
            await self._settle()

    def _start(self) -> None:
        if self._runner is None or self._runner.done():
            self._runner = asyncio.get_running_loop().create_task(self._run())
            Pump._at_work.add(self)
        elif self._is_held:
            task = asyncio.get_running_loop().create_task(self._settle())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_wanted(self) -> bool:
        return bool(self._waiters or self._sleepers)

    async def _run(self) -> None:
        try:
            while self._is_wanted():
                self._waiters = {waiter: loop for waiter, loop in self._waiters.items() if not loop.is_closed()}
                if not self._sleepers and not any(loop.is_running() for loop in self._waiters.values()):
                    # A loop that stands still between two tests does not see its result, however far time goes.
                    await real_sleep(_PAUSE)
                    continue
                try:
                    await self._step()
                except RPCError as error:
                    # Those who await a result are told of a dead server by their own call.
                    for sleeper in self._sleepers:
                        sleeper.wake(error)
                    self._sleepers.clear()
                    await real_sleep(_PAUSE)
        finally:
            Pump._at_work.discard(self)

    async def _step(self) -> None:
        # Reading the clock also takes the moment in which a result that has come with the last step is handed over.
        now = await clock_time(self._service)
        for sleeper in [each for each in self._sleepers if each.target <= now]:
            self._sleepers.remove(sleeper)
            sleeper.wake()
        steps = [sleeper.target - now for sleeper in self._sleepers]
        if self._waiters:
            steps.append(self._length)
            self._length = min(self._length * _GROWTH, _LONGEST_STEP)
        if steps:
            self._is_stepping = True
            try:
                await skip(self._service, min(steps))
            finally:
                self._is_stepping = False
            await self._settle()

    async def _settle(self) -> None:
        """Hold the clock while a step is under way that nobody wants, because an activity runs; or let it go again.

        A step cannot be taken back. A hold of our own outweighs it until the server has ended it.
        """
        async with self._turn:
            is_needed = self._is_stepping and not self._is_wanted()
            if is_needed == self._is_held:
                return
            self._is_held = is_needed
            with contextlib.suppress(RPCError):
                if is_needed:
                    await self._service.lock_time_skipping(LockTimeSkippingRequest())
                else:
                    await self._service.unlock_time_skipping(UnlockTimeSkippingRequest())


async def clock_time(service: TestService) -> datetime:
    """The server's clock."""
    return (await service.get_current_time(Empty())).time.ToDatetime().replace(tzinfo=timezone.utc)


async def skip(service: TestService, duration: timedelta) -> None:
    """Give up one hold of the clock until `duration` has passed on it."""
    request = SleepRequest()
    request.duration.FromTimedelta(duration)
    # A step lasts for as long as an activity holds the clock; given up by the client after the SDK's 30 s, it would go
    # on at the server, and the next one with it.
    await service.unlock_time_skipping_with_sleep(request, timeout=timedelta(days=1))
