"""Activities in virtual time on the real test server, which alone judges their timeouts."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import dataclasses
import multiprocessing
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from time import sleep as named_sleep
from typing import Any

import pytest
import temporalio.converter
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError
from temporalio.worker import SharedStateManager, Worker

with workflow.unsafe.imports_passed_through():
    import patterns

    from pytest_temporal_guard.environment import GuardEnvironment, connect
    from pytest_temporal_guard.server import Server, locate
    from pytest_temporal_guard.virtual import VirtualAttempt, VirtualTime

pytestmark = pytest.mark.timeout(400)
QUEUE = "queue"


# The bench: one server for most tests, a worker with virtual time, and a workflow that calls activities as told.


@dataclasses.dataclass
class Call:
    name: str
    argument: Any = None
    heartbeat: float | None = 30.0
    start_to_close: float = 5 * 3600.0
    attempts: int = 1
    local: bool = False


@workflow.defn(sandboxed=False)
class Calls:
    """Calls activities at once; says the result or what went wrong of each, and how long all took."""

    @workflow.run
    async def run(self, calls: list[Call]) -> list[Any]:
        start = workflow.now()
        results = list(await asyncio.gather(*map(self._one, calls)))
        return [*results, (workflow.now() - start).total_seconds()]

    async def _one(self, call: Call) -> Any:
        options: dict[str, Any] = {
            "start_to_close_timeout": timedelta(seconds=call.start_to_close),
            "retry_policy": RetryPolicy(maximum_attempts=call.attempts),
        }
        try:
            if call.local:
                return await workflow.execute_local_activity(call.name, call.argument, **options)
            if call.heartbeat is not None:
                options["heartbeat_timeout"] = timedelta(seconds=call.heartbeat)
            return await workflow.execute_activity(call.name, call.argument, **options)
        except ActivityError as error:
            cause = error.cause
            if isinstance(cause, TimeoutError):
                return f"{cause.type.name if cause.type else ''} {list(cause.last_heartbeat_details)}"
            return f"{type(cause).__name__}: {cause}"


@workflow.defn(sandboxed=False)
class CancelsAfter:
    @workflow.run
    async def run(self, name: str, seconds: float) -> str:
        handle = workflow.start_activity(
            name,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=30),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await asyncio.sleep(seconds)
        handle.cancel()
        try:
            return str(await handle)
        except ActivityError as error:
            return type(error.cause).__name__


@workflow.defn(sandboxed=False)
class Abandons:
    @workflow.run
    async def run(self, name: str, seconds: float) -> None:
        workflow.start_activity(name, 8.0, start_to_close_timeout=timedelta(hours=1))
        await asyncio.sleep(seconds)


@workflow.defn(sandboxed=False)
class Sleeps:
    @workflow.run
    async def run(self, seconds: float) -> float:
        start = workflow.now()
        await asyncio.sleep(seconds)
        return (workflow.now() - start).total_seconds()


class Bench:
    def __init__(self, env: GuardEnvironment, client: Client) -> None:
        self.env = env
        self.client = client
        self.attempts: list[VirtualAttempt] = []

    async def start(self, run: Any, *args: Any) -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(run, args=args, id=f"w-{time.time_ns()}", task_queue=QUEUE)

    async def call(self, *calls: Call) -> list[Any]:
        handle = await self.start(Calls.run, list(calls))
        result: list[Any] = await asyncio.wait_for(handle.result(), 60)
        return result

    def fates(self) -> list[tuple[str, int, str]]:
        """Activity, attempt and outcome of the attempts so far."""
        return [(each.activity_type, each.attempt, each.outcome) for each in self.attempts]


@asynccontextmanager
async def bench(
    address: str,
    activities: Iterable[Callable[..., Any]],
    executor: Executor | None = None,
    converter: temporalio.converter.DataConverter | None = None,
    shared: SharedStateManager | None = None,
    **options: Any,
) -> Any:
    env = await connect(address)
    client = env.client
    if converter is not None:
        client = Client(**{**client.config(), "data_converter": converter})
    made = Bench(env, client)
    virtual = VirtualTime(env, client=client, on_attempt=made.attempts.append, **options)
    with executor or ThreadPoolExecutor(32) as pool:
        async with Worker(
            client,
            task_queue=QUEUE,
            workflows=[Calls, CancelsAfter, Abandons, Sleeps, patterns.RunPlans],
            activities=list(activities),
            activity_executor=pool,
            shared_state_manager=shared,
            interceptors=[virtual],
        ):
            yield made


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with Server(locate("time-skipping")) as server:
        yield server.address


@pytest.fixture
def fresh() -> Iterator[str]:
    """A server of the test's own."""
    with Server(locate("time-skipping")) as server:
        yield server.address


def first() -> int:
    details = activity.info().heartbeat_details
    return int(details[0]) if details else 0


# Heartbeats in time and late


@activity.defn
async def beats(gap: float) -> str:
    start = first()
    for done in range(start, 10):
        await asyncio.sleep(gap)
        activity.heartbeat(done + 1)
    return f"from {start}"


@activity.defn
def beats_in_thread(gap: float) -> str:
    start = first()
    for done in range(start, 10):
        named_sleep(gap)
        activity.heartbeat(done + 1)
    return f"from {start}"


@activity.defn
async def stalls_once(gap: float) -> str:
    start = first()
    for done in range(start, 10):
        await asyncio.sleep(100 if activity.info().attempt == 1 and done == 3 else gap)
        activity.heartbeat(done + 1)
    return f"from {start}"


@activity.defn
async def beats_in_background(gap: float) -> str:
    async def beat(count: int) -> None:
        for _ in range(count):
            activity.heartbeat()
            await asyncio.sleep(gap)

    # the first attempt's heartbeater dies
    task = asyncio.create_task(beat(3 if activity.info().attempt == 1 else 1000))
    try:
        await asyncio.sleep(150)
        await asyncio.to_thread(time.sleep, 150)
        return f"attempt {activity.info().attempt}"
    finally:
        task.cancel()


@activity.defn
def beats_in_helper(gap: float) -> str:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(gap):
            activity.heartbeat()

    helper = threading.Thread(target=contextvars.copy_context().run, args=(beat,))
    helper.start()
    try:
        time.sleep(200)
        return "done"
    finally:
        stop.set()
        helper.join()


@pytest.mark.asyncio
@pytest.mark.parametrize(("gap", "told"), [(8.0, "done"), (40.0, "HEARTBEAT []")])
async def test_a_helper_thread_beats(address: str, gap: float, told: str) -> None:
    async with bench(address, [beats_in_helper]) as it:
        start = time.perf_counter()
        assert (await it.call(Call("beats_in_helper", gap)))[0] == told
        assert time.perf_counter() - start < 5


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["beats", "beats_in_thread"])
async def test_beats_in_time(address: str, name: str) -> None:
    async with bench(address, [beats, beats_in_thread]) as it:
        await it.call(Call(name, 8.0))
        start = time.perf_counter()
        assert await it.call(Call(name, 8.0)) == ["from 0", pytest.approx(80, abs=0.5)]
        assert time.perf_counter() - start < 1
        attempt = it.attempts[-1]
        assert attempt.outcome == "completed"
        assert [beat.details for beat in attempt.beats] == [(n,) for n in range(1, 11)]
        assert [beat.seconds for beat in attempt.beats] == [pytest.approx(8 * n, abs=0.5) for n in range(1, 11)]
        assert attempt.longest_gap == pytest.approx(8, abs=0.2)
        assert attempt.duration == pytest.approx(80, abs=0.5)
        assert attempt.heartbeat_timeout == timedelta(seconds=30)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["beats", "beats_in_thread"])
async def test_beats_too_late(address: str, name: str) -> None:
    async with bench(address, [beats, beats_in_thread]) as it:
        start = time.perf_counter()
        assert await it.call(Call(name, 40.0)) == ["HEARTBEAT []", pytest.approx(30, abs=0.5)]
        assert time.perf_counter() - start < 1
    assert it.fates() == [(name, 1, "timed out")]
    assert it.attempts[0].beats == ()
    assert it.attempts[0].longest_gap == pytest.approx(30, abs=0.5)


@pytest.mark.asyncio
async def test_the_next_attempt_gets_the_details(address: str) -> None:
    async with bench(address, [stalls_once]) as it:
        # three beats, the timeout, a second before the retry, seven beats
        assert await it.call(Call("stalls_once", 8.0, attempts=2)) == ["from 3", pytest.approx(111, abs=0.5)]
    assert it.fates() == [("stalls_once", 1, "timed out"), ("stalls_once", 2, "completed")]
    assert it.attempts[1].received == (3,)


@pytest.mark.asyncio
async def test_a_heartbeater_that_dies_is_found(address: str) -> None:
    async with bench(address, [beats_in_background]) as it:
        result = await it.call(Call("beats_in_background", 10.0, attempts=2))
    assert result == ["attempt 2", pytest.approx(351, abs=0.5)]
    assert [len(each.beats) for each in it.attempts] == [3, 30]


@pytest.mark.asyncio
async def test_several_at_once(address: str) -> None:
    async with bench(address, [beats, beats_in_thread, stalls_once, beats_in_background]) as it:
        result = await it.call(
            Call("beats", 8.0),
            Call("beats_in_thread", 8.0),
            Call("stalls_once", 8.0, attempts=2),
            Call("beats_in_thread", 40.0),
            Call("beats_in_background", 10.0, attempts=2),
        )
    assert result[:-1] == ["from 0", "from 0", "from 3", "HEARTBEAT []", "attempt 2"]
    assert result[-1] == pytest.approx(351, abs=1)


@pytest.mark.asyncio
async def test_start_to_close(address: str) -> None:
    async with bench(address, [beats]) as it:
        assert await it.call(Call("beats", 8.0, start_to_close=50)) == ["START_TO_CLOSE [6]", pytest.approx(50, abs=1)]
        assert await it.call(Call("beats", 8.0, None, start_to_close=50)) == [
            "START_TO_CLOSE [6]",
            pytest.approx(50, abs=1),
        ]
        assert await it.call(Call("beats", 800.0, None)) == ["from 0", pytest.approx(8000, abs=1)]


# The idioms of waiting


@activity.defn
async def waits(_: Any) -> dict[str, float]:
    took: dict[str, float] = {}

    async def measure(name: str, wait: Any) -> None:
        start = time.monotonic()
        try:
            await wait
        except (asyncio.TimeoutError, TimeoutError):
            name += " timed out"
        took[name] = round(time.monotonic() - start)

    async def block() -> None:
        time.sleep(7)

    await measure("sleep", asyncio.sleep(1000))
    await measure("wait_for", asyncio.wait_for(asyncio.sleep(100), 50))
    await measure("wait_for event", asyncio.wait_for(asyncio.Event().wait(), 10))
    await measure("wait", asyncio.wait({asyncio.ensure_future(asyncio.sleep(100))}, timeout=30))
    await measure("to_thread", asyncio.to_thread(named_sleep, 60))
    await measure("run_in_executor", asyncio.get_running_loop().run_in_executor(None, time.sleep, 70))
    await measure("gather", asyncio.gather(asyncio.sleep(3), asyncio.to_thread(time.sleep, 4), asyncio.sleep(5)))
    await measure("blocking", block())
    return took


@pytest.mark.asyncio
async def test_the_idioms_of_waiting(address: str) -> None:
    async with bench(address, [waits]) as it:
        start = time.perf_counter()
        took, total = await it.call(Call("waits", heartbeat=None))
        assert time.perf_counter() - start < 3
    assert took == {
        "sleep": 1000,
        "wait_for timed out": 50,
        "wait_for event timed out": 10,
        "wait": 30,
        "to_thread": 60,
        "run_in_executor": 70,
        "gather": 5,
        "blocking": 7,
    }
    assert total == pytest.approx(sum(took.values()), abs=3)


@activity.defn
async def beats_between_waits(gap: float) -> str:
    finished = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(95)
        finished.set()

    task = asyncio.create_task(work())
    while not finished.is_set():
        activity.heartbeat()
        try:
            await asyncio.wait_for(finished.wait(), gap)
        except (asyncio.TimeoutError, TimeoutError):
            continue
    await task
    return "done"


@pytest.mark.asyncio
async def test_beats_between_waits_for_an_event(address: str) -> None:
    async with bench(address, [beats_between_waits]) as it:
        assert await it.call(Call("beats_between_waits", 10.0)) == ["done", pytest.approx(95, abs=1)]
    assert len(it.attempts[0].beats) == 10


@activity.defn
async def blocks_with_heartbeater(_: Any) -> str:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(10)

    task = asyncio.create_task(beat())
    await asyncio.sleep(5)
    time.sleep(60)  # no task beats while the loop is blocked
    await asyncio.sleep(0)
    task.cancel()
    return "done"


@pytest.mark.asyncio
async def test_a_blocked_loop_does_not_beat(address: str) -> None:
    async with bench(address, [blocks_with_heartbeater]) as it:
        assert await it.call(Call("blocks_with_heartbeater")) == ["HEARTBEAT []", pytest.approx(30, abs=1)]
    assert len(it.attempts[0].beats) == 1


@activity.defn
async def reads_socket(port: int) -> str:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(beat())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await asyncio.wait_for(reader.readline(), 5)).decode().strip()
    finally:
        writer.close()
        task.cancel()


@pytest.mark.asyncio
async def test_a_timeout_around_a_socket_is_real(address: str) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        time.sleep(0.4)
        connection.sendall(b"hello\n")
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    async with bench(address, [reads_socket]) as it:
        assert await it.call(Call("reads_socket", server.getsockname()[1])) == ["hello", pytest.approx(0.5, abs=0.4)]
    thread.join()
    server.close()


@activity.defn
async def works_in_thread(_: Any) -> float:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(10)

    def work() -> None:
        until = time.perf_counter() + 0.3
        while time.perf_counter() < until:
            pass

    task = asyncio.create_task(beat())
    start = time.monotonic()
    await asyncio.to_thread(work)
    task.cancel()
    return time.monotonic() - start


@pytest.mark.asyncio
async def test_real_work_takes_its_time(address: str) -> None:
    async with bench(address, [works_in_thread]) as it:
        assert await it.call(Call("works_in_thread")) == [pytest.approx(0.3, abs=0.3), pytest.approx(0.3, abs=0.3)]
    assert len(it.attempts[0].beats) == 1


@activity.defn
async def runs_program(_: Any) -> str:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.3)

    task = asyncio.create_task(beat())
    process = await asyncio.create_subprocess_exec("sleep", "7")
    try:
        await process.wait()
        return "done"
    finally:
        task.cancel()


@pytest.mark.asyncio
async def test_the_sdk_hears_of_beats_during_long_real_work(address: str) -> None:
    async with bench(address, [runs_program]) as it:
        # the SDK itself would cancel it 6 s after the last beat that it knows of
        assert await it.call(Call("runs_program", heartbeat=1.0)) == ["done", pytest.approx(7, abs=2)]


@activity.defn
async def reads_clock(_: Any) -> list[float]:
    before = time.time()
    await asyncio.sleep(14400)
    return [before, time.time()]


@pytest.mark.asyncio
async def test_the_clock_is_the_servers(address: str) -> None:
    async with bench(address, [reads_clock]) as it:
        (before, after), _ = await it.call(Call("reads_clock", heartbeat=None))
    attempt = it.attempts[0]
    assert before == pytest.approx(attempt.started.timestamp(), abs=0.1)
    assert after == pytest.approx(attempt.ended.timestamp(), abs=0.1)
    assert after - before == pytest.approx(14400, abs=0.1)


@pytest.mark.asyncio
async def test_other_code_keeps_real_time(address: str) -> None:
    async with bench(address, [beats]) as it:
        running = asyncio.create_task(it.call(Call("beats", 8.0)))
        start = time.monotonic()
        await asyncio.sleep(0.05)
        slept = await asyncio.to_thread(_real_sleep)
        assert 0.1 <= time.monotonic() - start < 5
        assert 0.05 <= slept < 5
        await running
        # sleeps of workflows are the server's timers, as ever
        handle = await it.start(Sleeps.run, 3600.0)
        assert await handle.result() == pytest.approx(3600, abs=1)
    assert named_sleep is time.sleep


def _real_sleep() -> float:
    start = time.perf_counter()
    named_sleep(0.05)
    return time.perf_counter() - start


# Cancellation, failure, and other ends


@activity.defn
async def until_cancelled() -> str:
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(10)
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        assert details is not None
        assert details.cancel_requested
        raise


@activity.defn
def until_cancelled_in_thread() -> str:
    try:
        while True:
            activity.heartbeat()
            time.sleep(10)
    except CancelledError:
        return f"cleaned up {activity.is_cancelled()}"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "answer", "outcome", "end"),
    [
        ("until_cancelled", "CancelledError", "cancelled", 50),
        # the SDK interrupts no thread in time.sleep, here as in production
        ("until_cancelled_in_thread", "cleaned up True", "completed", 60),
    ],
)
async def test_cancellation_comes_with_a_heartbeat(
    address: str, name: str, answer: str, outcome: str, end: float
) -> None:
    async with bench(address, [until_cancelled, until_cancelled_in_thread]) as it:
        handle = await it.start(CancelsAfter.run, name, 45.0)
        assert await asyncio.wait_for(handle.result(), 20) == answer
    assert it.fates() == [(name, 1, outcome)]
    assert it.attempts[0].duration == pytest.approx(end, abs=1)


NOTICED: list[Any] = []


@activity.defn
async def notices_timeout(_: Any) -> None:
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        NOTICED.append((activity.is_cancelled(), activity.cancellation_details()))
        raise


@activity.defn
def notices_timeout_in_thread(_: Any) -> None:
    try:
        time.sleep(100)
    except CancelledError:
        NOTICED.append((activity.is_cancelled(), activity.cancellation_details()))
        raise


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["notices_timeout", "notices_timeout_in_thread"])
async def test_an_attempt_learns_that_it_timed_out(address: str, name: str) -> None:
    NOTICED.clear()
    async with bench(address, [notices_timeout, notices_timeout_in_thread]) as it:
        assert (await it.call(Call(name)))[0] == "HEARTBEAT []"
    [(cancelled, details)] = NOTICED
    assert cancelled
    assert details.timed_out


@activity.defn
async def fails_once(_: Any) -> int:
    await asyncio.sleep(5)
    activity.heartbeat(1)
    if activity.info().attempt == 1:
        activity.heartbeat(2)
        raise ApplicationError("once")
    return first()


@pytest.mark.asyncio
async def test_the_last_beat_before_a_failure_counts(address: str) -> None:
    async with bench(address, [fails_once]) as it:
        assert await it.call(Call("fails_once", attempts=2)) == [2, pytest.approx(11, abs=0.5)]
    assert it.fates() == [("fails_once", 1, "failed"), ("fails_once", 2, "completed")]


@activity.defn
async def completes_later(_: Any) -> None:
    await asyncio.sleep(20)
    TOKENS.append(activity.info().task_token)
    activity.raise_complete_async()


TOKENS: list[bytes] = []


@pytest.mark.asyncio
async def test_async_completion(address: str) -> None:
    TOKENS.clear()
    async with bench(address, [completes_later]) as it:
        running = asyncio.create_task(it.call(Call("completes_later", heartbeat=None)))
        while not it.attempts:
            await asyncio.sleep(0.01)
        await it.client.get_async_activity_handle(task_token=TOKENS[0]).complete("later")
        assert (await running)[0] == "later"
    assert it.fates() == [("completes_later", 1, "completes asynchronously")]


@pytest.mark.asyncio
async def test_local_activities_keep_real_time(address: str) -> None:
    async with bench(address, [beats]) as it:
        result = await it.call(Call("beats", 0.01, local=True))
    assert result[0] == "from 0"
    assert it.attempts == []


def beats_in_process(gap: float) -> str:
    for done in range(3):
        time.sleep(gap)
        activity.heartbeat(done)
    return "done"


activity.defn(beats_in_process)


@pytest.mark.asyncio
async def test_process_pools_keep_real_time(address: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        shared = SharedStateManager.create_from_multiprocessing(manager)
        pool = ProcessPoolExecutor(1, mp_context=context)
        async with bench(address, [beats_in_process], pool, shared=shared) as it:
            assert (await it.call(Call("beats_in_process", 0.01)))[0] == "done"
    assert it.attempts == []


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["beats", "beats_in_thread"])
async def test_a_workflow_that_ends_first(fresh: str, name: str) -> None:
    async with bench(fresh, [beats, beats_in_thread]) as it:
        handle = await it.start(Abandons.run, name, 20.0)
        await asyncio.wait_for(handle.result(), 20)
        until = time.perf_counter() + 20
        while not it.attempts and time.perf_counter() < until:
            # somebody waits, so that time goes on for the abandoned activity
            assert await (await it.start(Sleeps.run, 60.0)).result() == pytest.approx(60, abs=1)
        assert it.fates() == [(name, 1, "cancelled")]
        start = time.perf_counter()
        assert await it.call(Call("beats", 8.0)) == ["from 0", pytest.approx(80, abs=0.5)]
        assert time.perf_counter() - start < 2
        assert not await it.env.is_held()


# Data converters


class Shifted(temporalio.converter.PayloadCodec):
    """Adds one to each byte; undone only by itself."""

    async def encode(self, payloads: Any) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"shifted"}, data=bytes((b + 1) % 256 for b in each.SerializeToString()))
            for each in payloads
        ]

    async def decode(self, payloads: Any) -> list[Payload]:
        return [
            Payload.FromString(bytes((b - 1) % 256 for b in each.data))
            if each.metadata.get("encoding") == b"shifted"
            else each
            for each in payloads
        ]


class InContext(temporalio.converter.DefaultPayloadConverter, temporalio.converter.WithSerializationContext):
    seen: list[Any] = []  # noqa: RUF012 (shared by the copies that with_context makes)

    def __init__(self) -> None:
        super().__init__()
        self.context: Any = None

    def with_context(self, context: Any) -> InContext:
        copy = InContext()
        copy.context = context
        return copy

    def to_payloads(self, values: Any) -> list[Payload]:
        if "beat" in values:
            self.seen.append(self.context)
        return super().to_payloads(values)


@activity.defn
async def beats_words(_: Any) -> Any:
    if activity.info().attempt == 1:
        activity.heartbeat("beat", {"a": 1})
        await asyncio.sleep(1)
        raise ApplicationError("again")
    return list(activity.info().heartbeat_details)


@pytest.mark.asyncio
async def test_codec_and_context(address: str) -> None:
    InContext.seen.clear()
    converter = temporalio.converter.DataConverter(payload_converter_class=InContext, payload_codec=Shifted())
    async with bench(address, [beats_words], converter=converter) as it:
        assert (await it.call(Call("beats_words", attempts=2)))[0] == ["beat", {"a": 1}]
    contexts = [each for each in InContext.seen if isinstance(each, temporalio.converter.ActivitySerializationContext)]
    assert {(each.activity_type, each.activity_task_queue) for each in contexts} == {("beats_words", QUEUE)}


@activity.defn
async def beats_object(_: Any) -> None:
    activity.heartbeat(object())
    await asyncio.sleep(1)


@pytest.mark.asyncio
async def test_details_that_cannot_be_sent_fail_the_attempt(address: str) -> None:
    async with bench(address, [beats_object]) as it:
        result = await it.call(Call("beats_object"))
    assert "not JSON serializable" in result[0]
    assert "not JSON serializable" in str(it.attempts[0].error)


# When time cannot move


@pytest.mark.asyncio
async def test_a_held_clock_is_reported(fresh: str) -> None:
    async with bench(fresh, [beats], patience=1.5) as it:
        # nobody awaits the result, so the server does not skip
        handle = await it.start(Calls.run, [Call("beats", 8.0)])
        until = time.perf_counter() + 20
        while not it.attempts and time.perf_counter() < until:
            await asyncio.sleep(0.05)
        assert "only kept pace with the wall clock" in str(it.attempts[0].error)
        [told, _] = await handle.result()
        assert told.startswith("ApplicationError: VirtualTimeStalled: While activity 'beats' slept")


@pytest.mark.asyncio
async def test_sleeps_pass_in_real_time_while_nobody_waits(address: str) -> None:
    async with bench(address, [beats]) as it:
        handle = await it.start(Calls.run, [Call("beats", 0.02)])
        while not it.attempts:
            await asyncio.sleep(0.01)
        assert (await handle.result())[0] == "from 0"


# The acceptance test


async def _one_pass(addresses: list[str], seed: int) -> list[str]:
    """Run 200 random activities, one to three at once in each workflow; return how any differed from arithmetic."""
    chance = random.Random(seed)
    plans = list(patterns.plans(seed, 200))
    groups: list[list[patterns.Plan]] = []
    while plans:
        size = chance.randint(1, 3)
        groups.append(plans[:size])
        plans = plans[size:]
    wrong = await asyncio.gather(
        *(_share(address, groups[index :: len(addresses)]) for index, address in enumerate(addresses))
    )
    return [each for share in wrong for each in share]


async def _share(address: str, groups: list[list[patterns.Plan]]) -> list[str]:
    gate = asyncio.Semaphore(2)

    async def run(group: list[patterns.Plan]) -> tuple[str, list[str]]:
        async with gate:
            handle = await it.start(patterns.RunPlans.run, group)
            try:
                return handle.id, await asyncio.wait_for(handle.result(), 300)
            except (asyncio.TimeoutError, WorkflowFailureError) as error:
                return handle.id, [repr(error)] * len(group)

    async with bench(address, patterns.ACTIVITIES) as it:
        results = await asyncio.gather(*map(run, groups))
    seen: dict[tuple[str, str], list[VirtualAttempt]] = collections.defaultdict(list)
    for attempt in sorted(it.attempts, key=lambda attempt: attempt.attempt):
        seen[attempt.workflow_id, attempt.activity_id].append(attempt)
    wrong = []
    for group, (workflow_id, told) in zip(groups, results, strict=True):
        for number, (plan, answer) in enumerate(zip(group, told, strict=True), start=1):
            expected = patterns.predict(plan)
            attempts = [
                (each.outcome, len(each.beats), each.received[0] if each.received else None)
                for each in seen[workflow_id, str(number)]
            ]
            if (answer, attempts) != (expected.told, expected.attempts):
                wrong.append(f"{plan}\n  expected {expected}\n  got {answer} {attempts}")
    return wrong


@pytest.mark.asyncio
@pytest.mark.parametrize("round_", [1, 2])
async def test_200_random_activities_end_as_arithmetic_says(round_: int) -> None:
    servers = [Server(locate("time-skipping")) for _ in range(4)]
    try:
        assert await _one_pass([server.address for server in servers], seed=20_241) == []
    finally:
        for server in servers:
            server.stop()
