"""Workflow environments on a server that runs already: many at once, in any event loop, none of which ends the server.

`connect` gives time skipping on the test server, whose one clock the pump of `clock` moves for everybody; `connect_dev`
gives it on the dev server, where each workflow has a clock of its own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import temporalio.testing
from temporalio.api.history.v1 import HistoryEvent
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
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from pytest_temporal_guard.clock import Pump, clock_time, skip
from pytest_temporal_guard.server import HOW_TO_GET_ONE, Kind, Location, ServerError, exit_calmly, sdk_download

__all__ = [
    "MAX_DRIFT",
    "MAX_MEMORY",
    "DevEnvironment",
    "GuardEnvironment",
    "connect",
    "connect_dev",
    "download",
]

MAX_DRIFT = timedelta(days=36_525)
"""How far the clock may be ahead before the server is renewed, 100 years. The test server hangs at the year 9991;
pandas' nanoseconds, which a workflow may make of its time, end in 2262."""

MAX_MEMORY = 1 << 30
"""Resident bytes of the server before it is renewed. It keeps all histories: 60 MB at first, 156 MB after 500 and
196 MB after 3,000 workflows of one activity (test server 1.40.0), so that only large payloads come near."""

# An update that needs no virtual time is done within 10 ms, and must not cost any.
_PATIENCE = 0.1
# Long enough to tell a clock that skips (1 ms) from one that runs at the pace of the real one.
_PROBE = timedelta(milliseconds=50)
# A machine under load may be that slow by itself; not so often in a row.
_PROBES = 4


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
        await skip(self._client.test_service, _as_timedelta(duration))

    async def get_current_time(self, handle: WorkflowHandle[Any, Any] | None = None) -> datetime:
        """The server's clock; `handle` is for the dev server."""
        return await clock_time(self._client.test_service)

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
