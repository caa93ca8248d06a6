"""Workflow environments on a server that runs already: many at once, in any event loop, none of which ends the server.

`connect` gives time skipping on the test server, whose one clock a pump moves for everybody; `connect_dev` gives it on
the dev server, where each workflow has a clock of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import inspect
import os
import threading
import time
import weakref
from asyncio import sleep as real_sleep
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, TypeVar

import temporalio.testing
from google.protobuf.empty_pb2 import Empty
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, SleepRequest, UnlockTimeSkippingRequest
from temporalio.client import (
    Client,
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowHandle,
    WorkflowHistoryEventAsyncIterator,
    WorkflowHistoryEventFilterType,
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode, TestService
from temporalio.testing import WorkflowEnvironment

from pytest_temporal_guard.server import HOW_TO_GET_ONE, Kind, Location, ServerError, exit_calmly, sdk_download

__all__ = [
    "MAX_DRIFT",
    "MAX_MEMORY",
    "DevEnvironment",
    "GuardEnvironment",
    "Pump",
    "connect",
    "connect_dev",
    "download",
    "pump_sdk_environment",
]

MAX_DRIFT = timedelta(days=36_525)
"""How far the clock may be ahead before the server is renewed, 100 years. The test server hangs at the year 9991;
pandas' nanoseconds, which a workflow may make of its time, end in 2262."""

MAX_MEMORY = 1 << 30
"""Resident bytes of the server before it is renewed. It keeps all histories: 60 MB at first, 156 MB after 500 and
196 MB after 3,000 workflows of one activity (test server 1.40.0), so that only large payloads come near."""

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
# An update that needs no virtual time is done within 10 ms, and must not cost any.
_PATIENCE = 0.1
# Long enough to tell a clock that skips (1 ms) from one that runs at the pace of the real one.
_PROBE = timedelta(milliseconds=50)
# A machine under load may be that slow by itself; not so often in a row.
_PROBES = 4


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
        sleeper = _Sleeper(await _clock_time(self._service) + duration)
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
        now = await _clock_time(self._service)
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
                await _skip(self._service, min(steps))
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


async def _clock_time(service: TestService) -> datetime:
    return (await service.get_current_time(Empty())).time.ToDatetime().replace(tzinfo=timezone.utc)


async def _skip(service: TestService, duration: timedelta) -> None:
    request = SleepRequest()
    request.duration.FromTimedelta(duration)
    # A step lasts for as long as an activity holds the clock; given up by the client after the SDK's 30 s, it would go
    # on at the server, and the next one with it.
    await service.unlock_time_skipping_with_sleep(request, timeout=timedelta(days=1))


class GuardEnvironment(WorkflowEnvironment):
    """The SDK's environment with time skipping, on a test server that goes on after it.

    As there, awaiting a workflow's result lets time pass, and assertion errors in workflows fail the workflow. Unlike
    there, time also passes while an update's result is awaited that is not there within 100 ms, and for handles of
    `Client.get_workflow_handle`; any number of results may be awaited at once, in several event loops; and the clock
    stays near: see `Pump`.
    """

    def __init__(self, client: Client) -> None:
        """On the server that `client` is connected to. `connect` also looks whether it is the right one."""
        self._pump = Pump.of(client)
        self._auto_time_skipping = True
        # The SDK's own way to a client whose workers turn assertion errors into failures.
        asserting = WorkflowEnvironment.from_client(client).client
        super().__init__(_with_interceptor(asserting, _PumpInterceptor(self)))

    @property
    def pump(self) -> Pump:
        """What moves the server's clock."""
        return self._pump

    @property
    def supports_time_skipping(self) -> bool:
        """True."""
        return True

    @property
    def supports_time_skipping_v1(self) -> bool:
        """True: there is one clock for all workflows of the server."""
        return True

    async def sleep(self, duration: timedelta | float) -> None:
        """Let `duration` (seconds, if a number) pass on the server's clock. It does not pass under a running activity.

        Exact, unless results are awaited at the same time: then time goes on anyway, and this much of it at least.
        """
        await self._pump.sleep(_as_timedelta(duration))

    async def advance(self, duration: timedelta | float) -> None:
        """Move the clock by exactly `duration` on behalf of one running activity, which holds the clock meanwhile.

        This takes one hold off the clock until `duration` has passed: called while no activity runs and a result is
        awaited, it would be one too many. It must end before the activity's own timeouts: a step under way across one
        leaves the server's count of holds wrong for ever.
        """
        await _skip(self._client.test_service, _as_timedelta(duration))

    async def get_current_time(self, handle: WorkflowHandle[Any, Any] | None = None) -> datetime:
        """The server's clock; `handle` is for the dev server."""
        return await _clock_time(self._client.test_service)

    async def drift(self) -> timedelta:
        """How far the server's clock is ahead of the real one."""
        return await self.get_current_time() - datetime.now(timezone.utc)

    async def is_held(self) -> bool:
        """Whether something holds the clock, so that it runs at the pace of the real one; moves it by 50 to 200 ms.

        A running activity does so, and a workflow task that no worker takes or that fails again and again. A workflow
        that is terminated in that state leaves its hold for ever (test server 1.40.0): for the next test every timer
        would be real.
        """
        for _ in range(_PROBES):
            start = time.perf_counter()
            await self._pump.sleep(_PROBE)
            if time.perf_counter() - start < _PROBE.total_seconds() * 0.8:
                return False
        return True

    async def needs_renewal(self, memory: int | None = None) -> str:
        """Why the next test should get a fresh server, "" if it need not. `memory` is the server's, in bytes."""
        drift = await self.drift()
        if drift > MAX_DRIFT:
            return f"its clock is {drift.days / 365.25:.0f} years ahead"
        if memory is not None and memory > MAX_MEMORY:
            return f"it takes {memory / (1 << 20):.0f} MiB of memory"
        if await self.is_held():
            return "a run that was left unfinished holds its clock"
        return ""

    @contextlib.contextmanager
    def auto_time_skipping_disabled(self) -> Iterator[None]:
        """Awaiting a result inside lets no time pass."""
        before = self._auto_time_skipping
        self._auto_time_skipping = False
        try:
            yield
        finally:
            self._auto_time_skipping = before

    @contextlib.asynccontextmanager
    async def time_skipping_unlocked(self, patience: float = 0) -> AsyncIterator[None]:
        """Time passes inside, as while awaiting a result; after `patience` real seconds."""
        if not self._auto_time_skipping:
            yield
            return
        async with self._pump.waiting(patience):
            yield


class DevEnvironment(WorkflowEnvironment):
    """What `WorkflowEnvironment.start_time_skipping_v2` gives, on a dev server that goes on after it.

    Each workflow has a clock of its own, which skips from the start. `skipper` is the SDK's `TimeSkipper`.
    """

    def __init__(self, client: Client, config: Any = None) -> None:
        """On the dev server that `client` is connected to; `config` is a `temporalio.testing.TimeSkippingConfig`."""
        # Not in older releases of the SDK, where the time-skipping kind still works.
        skipper = getattr(temporalio.testing, "TimeSkipper", None)
        if skipper is None:
            raise ServerError("This release of temporalio has no time skipping on the dev server; use `time-skipping`.")
        asserting = WorkflowEnvironment.from_client(client).client
        self.skipper = skipper(asserting, **({} if config is None else {"config": config}))
        super().__init__(self.skipper.client)

    @property
    def supports_time_skipping(self) -> bool:
        """True."""
        return True

    @property
    def supports_time_skipping_v2(self) -> bool:
        """True: each workflow has its own clock."""
        return True

    async def sleep(self, duration: timedelta | float) -> None:
        """RuntimeError: there is no common clock to sleep on."""
        raise RuntimeError("The dev server has a clock per workflow: use `env.fast_forward(handle, duration)`.")

    async def get_current_time(self, handle: WorkflowHandle[Any, Any] | None = None) -> datetime:
        """The clock of the workflow that `handle` names. RuntimeError without one."""
        if handle is None:
            raise RuntimeError("The dev server has a clock per workflow: use `env.get_current_time(handle)`.")
        now: datetime = await self.skipper.get_current_time(handle)
        return now

    async def fast_forward(
        self, handle: WorkflowHandle[Any, Any], duration: timedelta | float | None = None, /
    ) -> bool:
        """As `WorkflowEnvironment.fast_forward`. A bounded one switches the workflow's skipping off at its end."""
        arrived: bool = await self.skipper.fast_forward(handle, duration)
        return arrived

    @contextlib.contextmanager
    def auto_time_skipping_disabled(self) -> Iterator[None]:
        """RuntimeError: awaiting a result does not move the clock here."""
        raise RuntimeError("The dev server has a clock per workflow: use `env.with_time_skipping_disabled()`.")
        yield

    @contextlib.contextmanager
    def with_time_skipping_disabled(self) -> Iterator[None]:
        """Workflows started inside run in real time until `fast_forward`."""
        with self.skipper.with_time_skipping_disabled():
            yield

    async def get_time_skipping_info(self, handle: WorkflowHandle[Any, Any]) -> Any:
        """As `WorkflowEnvironment.get_time_skipping_info`."""
        return await self.skipper.get_time_skipping_info(handle)


async def connect(address: str, *, namespace: str = "default", **client_options: Any) -> GuardEnvironment:
    """An environment on the test server at `address` (HOST:PORT). `client_options` are those of `Client.connect`.

    Takes about 2 ms. ServerError if no server answers there, or one that cannot skip time for all.
    """
    env = GuardEnvironment(await _client(address, namespace, client_options))
    try:
        await env.get_current_time()
    except RPCError as error:
        if error.status == RPCStatusCode.UNIMPLEMENTED:
            raise ServerError(
                f"The server at {address} is not a time-skipping test server; is it a `dev` one?"
            ) from None
        raise ServerError(f"The server at {address} does not answer: {error}") from None
    return env


async def connect_dev(
    address: str, *, namespace: str = "default", config: Any = None, **client_options: Any
) -> DevEnvironment:
    """An environment on the dev server at `address` (HOST:PORT), which must have time skipping switched on.

    `config` is a `temporalio.testing.TimeSkippingConfig` for each workflow, `client_options` are those of
    `Client.connect`. ServerError if no server answers there, or the SDK is too old.
    """
    return DevEnvironment(await _client(address, namespace, client_options), config)


async def download(kind: Kind) -> Location:
    """Let the SDK download its server of this kind, and say where it is.

    ServerError if it cannot, for want of a network, say.
    """
    exit_calmly()
    start = WorkflowEnvironment.start_time_skipping if kind == "time-skipping" else WorkflowEnvironment.start_local
    try:
        await (await start()).shutdown()
    except RuntimeError as error:
        raise ServerError(f"There is no server for tests here. {HOW_TO_GET_ONE} ({error})") from None
    location = sdk_download(kind)
    if location is None:
        raise ServerError(f"The server that the SDK has downloaded is not where it used to be. {HOW_TO_GET_ONE}")
    return location


def pump_sdk_environment() -> Callable[[], None]:
    """Put a pump under `WorkflowEnvironment.start_time_skipping`, for suites that use it; returns what undoes it.

    The SDK has one place, not public, where it unlocks the clock. Where a release has it no more, or made otherwise,
    it is left as it is. Doing it twice is doing it once.
    """
    import temporalio.testing._workflow as module

    undo: list[Callable[[], None]] = []
    for owner in list(vars(module).values()):
        original = vars(owner).get("time_skipping_unlocked") if isinstance(owner, type) else None
        if (
            original is None
            or hasattr(original, "_is_pumped")
            or not inspect.isfunction(original)
            or list(inspect.signature(original).parameters) != ["self"]
        ):
            continue
        pumped = _pumped(original)
        setattr(owner, "time_skipping_unlocked", pumped)  # noqa: B010 (mypy allows no assignment)

        def put_back(owner: type = owner, pumped: object = pumped, original: object = original) -> None:
            if vars(owner).get("time_skipping_unlocked") is pumped:
                setattr(owner, "time_skipping_unlocked", original)  # noqa: B010

        undo.append(put_back)

    def undo_all() -> None:
        while undo:
            undo.pop()()

    return undo_all


def _pumped(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @contextlib.asynccontextmanager
    async def time_skipping_unlocked(self: Any) -> AsyncIterator[None]:
        # False too where the attributes are gone: then the SDK decides by itself.
        is_on = getattr(self, "_auto_time_skipping", False) and getattr(self, "_supports_time_skipping", True)
        async with Pump.of(self.client).waiting() if is_on else original(self):
            yield

    time_skipping_unlocked._is_pumped = True  # type: ignore[attr-defined]
    return time_skipping_unlocked


class _PumpInterceptor(Interceptor):
    def __init__(self, env: GuardEnvironment) -> None:
        self._env = env

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _PumpOutbound(next, self._env)


class _PumpOutbound(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, env: GuardEnvironment) -> None:
        super().__init__(next)
        self._env = env

    def fetch_workflow_history_events(
        self, input: FetchWorkflowHistoryEventsInput
    ) -> WorkflowHistoryEventAsyncIterator:
        # What `WorkflowHandle.result` does, whichever way the handle came about.
        events = super().fetch_workflow_history_events(input)
        if input.wait_new_event and input.event_filter_type == WorkflowHistoryEventFilterType.CLOSE_EVENT:
            return _PumpedEvents(self._env, input, events)
        return events

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        return await self._update(super().start_workflow_update(input), input.wait_for_stage)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        start = super().start_update_with_start_workflow(input)
        return await self._update(start, input.update_workflow_input.wait_for_stage)

    async def _update(
        self, start: Awaitable[WorkflowUpdateHandle[Any]], stage: WorkflowUpdateStage
    ) -> WorkflowUpdateHandle[Any]:
        if stage == WorkflowUpdateStage.COMPLETED:
            async with self._env.time_skipping_unlocked(_PATIENCE):
                handle = await start
        else:
            handle = await start
        # As the SDK's own environment makes a handle its own: there is no hook on a handle's `result`.
        handle.__class__ = _PumpedUpdateHandle
        handle._guard_environment = self._env  # type: ignore[attr-defined]
        return handle


class _PumpedUpdateHandle(WorkflowUpdateHandle[Any]):
    """A handle whose result lets time pass while it is awaited."""

    _guard_environment: GuardEnvironment

    async def result(self, **options: Any) -> Any:
        async with self._guard_environment.time_skipping_unlocked(_PATIENCE):
            return await super().result(**options)


class _PumpedEvents(WorkflowHistoryEventAsyncIterator):
    """The same events; while one is waited for, time passes."""

    def __init__(
        self, env: GuardEnvironment, input: FetchWorkflowHistoryEventsInput, events: WorkflowHistoryEventAsyncIterator
    ) -> None:
        super().__init__(env.client, input)
        self._env = env
        self._events = events

    @property
    def current_page_index(self) -> int:
        return self._events.current_page_index

    @property
    def current_page(self) -> Sequence[HistoryEvent] | None:
        return self._events.current_page

    @property
    def next_page_token(self) -> bytes | None:
        return self._events.next_page_token

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        async with self._env.time_skipping_unlocked():
            await self._events.fetch_next_page(page_size=page_size)

    async def __anext__(self) -> HistoryEvent:
        async with self._env.time_skipping_unlocked():
            return await self._events.__anext__()


def _with_interceptor(client: Client, interceptor: Interceptor) -> Client:
    config = client.config()
    config["interceptors"] = [*config["interceptors"], interceptor]
    return Client(**config)


async def _client(address: str, namespace: str, options: dict[str, Any]) -> Client:
    exit_calmly()
    try:
        return await Client.connect(address, namespace=namespace, **options)
    except RuntimeError as error:
        raise ServerError(f"No Temporal server answers at {address}: {error}") from None


def _as_timedelta(duration: timedelta | float) -> timedelta:
    return duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
