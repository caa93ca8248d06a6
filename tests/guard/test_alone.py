"""One activity under virtual time: exact times, every idiom of sleeping and beating, resumption, no disturbance."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from time import monotonic as named_monotonic
from time import sleep as named_sleep
from typing import Any

import anyio
import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError

from pytest_temporal_guard.alone import ActivityStuck, ActivityUnderTest, AttemptKilled, LoneRun


def _first(default: int = 0) -> int:
    details = activity.info().heartbeat_details
    return int(details[0]) if details else default


@activity.defn
async def resumes(count: int) -> int:
    done = 0
    for done in range(_first(), count):
        await asyncio.sleep(8)
        activity.heartbeat(done + 1)
    return done + 1


@activity.defn
def resumes_in_thread(count: int) -> int:
    done = 0
    for done in range(_first(), count):
        time.sleep(8)
        activity.heartbeat(done + 1)
    return done + 1


@activity.defn
async def starts_over(count: int) -> int:
    for done in range(count):
        await asyncio.sleep(8)
        activity.heartbeat(done + 1)
    return count


class Importer:
    @activity.defn
    async def of_method(self, count: int) -> int:
        return await resumes(count)


@activity.defn
class Callable:
    async def __call__(self, count: int) -> int:
        return await resumes(count)


@pytest.mark.parametrize("fn", [resumes, resumes_in_thread, Importer().of_method, Callable()])
@pytest.mark.asyncio
async def test_beats_are_exact_and_cost_no_time(fn: Any) -> None:
    start = time.perf_counter()
    run = await ActivityUnderTest(fn).run(100, heartbeat_timeout=30)
    assert time.perf_counter() - start < 1
    assert run.result == 100
    assert run.error is None
    assert run.beats[2].seconds == pytest.approx(24)
    assert run.beats[2].details == (3,)
    assert run.longest_gap == pytest.approx(8)
    assert run.duration == pytest.approx(800)
    assert run.details == (100,)
    assert run.attempts == (run,)


def test_in_a_sync_test() -> None:
    run = ActivityUnderTest(resumes).run_sync(3)
    assert (run.result, run.duration) == (3, pytest.approx(24))


@pytest.mark.asyncio
async def test_run_sync_says_what_to_use_where_a_loop_runs() -> None:
    with pytest.raises(RuntimeError, match="await"):
        ActivityUnderTest(resumes).run_sync(3)


@pytest.mark.parametrize("fn", [resumes, resumes_in_thread])
@pytest.mark.asyncio
async def test_the_next_attempt_resumes(fn: Any) -> None:
    run = await ActivityUnderTest(fn).fail_after(beats=3).run(10)
    first, second = run.attempts
    assert isinstance(first.error, AttemptKilled)
    assert [beat.details for beat in first.beats] == [(1,), (2,), (3,)]
    assert (first.duration, first.attempt) == (pytest.approx(24), 1)
    assert (second.received, second.attempt, second.result) == ((3,), 2, 10)
    assert second.duration == pytest.approx(56)


@pytest.mark.asyncio
async def test_an_activity_that_starts_over_is_seen() -> None:
    run = await ActivityUnderTest(starts_over).fail_after(beats=3).fail_after(beats=2).run(10)
    assert [each.duration for each in run.attempts] == [pytest.approx(24), pytest.approx(16), pytest.approx(80)]


@pytest.mark.asyncio
async def test_an_attempt_that_ends_before_its_kill_is_the_last() -> None:
    run = await ActivityUnderTest(resumes).fail_after(beats=11).run(10)
    assert (run.result, len(run.attempts)) == (10, 1)


@dataclasses.dataclass
class Progress:
    done: int


@activity.defn
async def beats_dataclass() -> str:
    received = type(activity.info().heartbeat_details[0]).__name__ if activity.info().heartbeat_details else "nothing"
    activity.heartbeat(Progress(1), (1, 2))
    return received


@pytest.mark.asyncio
async def test_details_come_back_as_from_the_server() -> None:
    run = await ActivityUnderTest(beats_dataclass).fail_after(beats=1).run()
    assert run.result == "dict"
    assert run.received == ({"done": 1}, [1, 2])
    assert run.details == (Progress(1), (1, 2))


@activity.defn
async def beats_object() -> None:
    activity.heartbeat(object())


@pytest.mark.asyncio
async def test_details_that_cannot_be_sent_are_an_error() -> None:
    run = await ActivityUnderTest(beats_object).run()
    assert isinstance(run.error, TypeError)


@activity.defn
async def beats_in_background(seconds: float) -> str:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(10)

    task = asyncio.create_task(beat())
    try:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(time.sleep, seconds)
        await asyncio.get_running_loop().run_in_executor(None, named_sleep, seconds)
        return "done"
    finally:
        task.cancel()


@pytest.mark.asyncio
async def test_a_background_task_beats_meanwhile() -> None:
    run = await ActivityUnderTest(beats_in_background).run(95.0)
    assert (run.result, run.duration) == ("done", pytest.approx(285))
    assert (len(run.beats), run.longest_gap) == (29, pytest.approx(10))


@pytest.mark.asyncio
async def test_a_kill_in_the_background_task_ends_the_attempt() -> None:
    run = await ActivityUnderTest(beats_in_background).fail_after(beats=3).run(95.0)
    assert (run.attempts[0].duration, run.result) == (pytest.approx(20), "done")


@activity.defn
def beats_in_helper(seconds: float) -> str:
    """The usual way of a synchronous activity: a thread that waits for the end of the work."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(10):
            activity.heartbeat()

    helper = threading.Thread(target=contextvars.copy_context().run, args=(beat,))
    helper.start()
    try:
        time.sleep(seconds)
        time.sleep(seconds)
        return "done"
    finally:
        stop.set()
        helper.join()


@activity.defn
def waits_for_helper(seconds: float) -> str:
    """The other way round: the helper works, for real and in its sleep, and the activity's own thread waits."""
    done = threading.Event()

    def work() -> None:
        time.sleep(seconds)
        done.set()

    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    return str(done.wait(20))


@pytest.mark.asyncio
async def test_a_helper_thread_beats_meanwhile() -> None:
    for _ in range(5):
        start = time.perf_counter()
        run = await ActivityUnderTest(beats_in_helper).run(94.0)
        assert time.perf_counter() - start < 2
        assert (run.result, run.duration) == ("done", pytest.approx(188))
        assert (len(run.beats), run.longest_gap) == (18, pytest.approx(10))


@pytest.mark.asyncio
async def test_a_helper_thread_works() -> None:
    run = await ActivityUnderTest(waits_for_helper).run(0.2)
    assert (run.result, run.duration) == ("True", pytest.approx(0.2, abs=0.2))


@activity.defn
async def waits() -> dict[str, float]:
    loop = asyncio.get_running_loop()
    took = {}

    async def measure(name: str, wait: Any) -> None:
        start = time.monotonic()
        try:
            await wait
        except (TimeoutError, asyncio.TimeoutError):
            name += " timed out"
        took[name] = round(time.monotonic() - start, 6)

    async def block() -> None:
        time.sleep(7)

    later = loop.create_future()
    loop.call_later(20, later.set_result, None)
    await measure("asyncio.sleep", asyncio.sleep(1000))
    await measure("anyio.sleep", anyio.sleep(1000))
    await measure("wait_for", asyncio.wait_for(asyncio.sleep(100), 50))
    await measure("wait_for event", asyncio.wait_for(asyncio.Event().wait(), 10))
    await measure("wait", asyncio.wait({asyncio.ensure_future(asyncio.sleep(100))}, timeout=30))
    await measure("to_thread", asyncio.to_thread(named_sleep, 60))
    await measure("run_in_executor", loop.run_in_executor(None, time.sleep, 70))
    await measure("gather", asyncio.gather(asyncio.sleep(3), asyncio.to_thread(time.sleep, 4), asyncio.sleep(5)))
    await measure("blocking", block())
    await measure("call_later", later)
    return took


@pytest.mark.asyncio
async def test_the_idioms_of_waiting() -> None:
    start = time.perf_counter()
    run = await ActivityUnderTest(waits).run()
    assert time.perf_counter() - start < 2
    assert run.result == {
        "asyncio.sleep": 1000,
        "anyio.sleep": 1000,
        "wait_for timed out": 50,
        "wait_for event timed out": 10,
        "wait": 30,
        "to_thread": 60,
        "run_in_executor": 70,
        "gather": 5,
        "blocking": 7,
        "call_later": 0,
    }


@activity.defn
async def reads_clocks() -> list[float]:
    loop = asyncio.get_running_loop()
    clocks = [time.time, time.monotonic, named_monotonic, time.perf_counter, loop.time]
    clocks += [lambda: time.time_ns() / 1e9, lambda: time.monotonic_ns() / 1e9, lambda: time.perf_counter_ns() / 1e9]
    before = [clock() for clock in clocks]
    await asyncio.sleep(500)
    return [clock() - start for clock, start in zip(clocks, before, strict=True)]


@pytest.mark.asyncio
async def test_all_clocks_agree() -> None:
    run = await ActivityUnderTest(reads_clocks).run()
    assert run.result == [pytest.approx(500, abs=1e-3)] * 8


@activity.defn
async def works() -> None:
    activity.heartbeat()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        pass
    activity.heartbeat()


@pytest.mark.asyncio
async def test_long_real_work_counts() -> None:
    run = await ActivityUnderTest(works).run()
    assert 0.3 <= run.longest_gap < 3


@activity.defn
async def reads_socket(port: int, patience: float) -> str:
    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(beat())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await asyncio.wait_for(reader.readline(), patience)).decode().strip()
    except (TimeoutError, asyncio.TimeoutError):
        return "timed out"
    finally:
        writer.close()
        task.cancel()


@activity.defn
async def reads_socket_by_anyio(port: int, patience: float) -> str:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        with anyio.move_on_after(patience):
            return (await stream.receive()).decode().strip()
        return "timed out"


@pytest.fixture
def slow_port() -> Any:
    """A port on which a line comes 0.4 s after the connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        time.sleep(0.4)
        connection.sendall(b"hello\n")
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    thread.join()
    server.close()


@pytest.mark.parametrize("fn", [reads_socket, reads_socket_by_anyio])
@pytest.mark.parametrize(("patience", "answer"), [(30.0, "hello"), (0.2, "timed out")])
@pytest.mark.asyncio
async def test_a_timeout_around_a_socket_is_real(fn: Any, patience: float, answer: str, slow_port: int) -> None:
    run = await ActivityUnderTest(fn).run(slow_port, patience)
    assert run.result == answer
    assert run.duration < 5


@activity.defn
async def runs_program() -> str:
    process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.2; echo hi", stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out.decode().strip()


@pytest.mark.asyncio
async def test_a_timeout_around_a_program_is_real() -> None:
    run = await ActivityUnderTest(runs_program).run()
    assert run.result == "hi"
    assert run.duration < 5


@activity.defn
async def stuck() -> None:
    await activity.wait_for_cancelled()


@pytest.mark.asyncio
async def test_an_activity_that_waits_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_temporal_guard.alone.STUCK", 0.1)
    with pytest.raises(ActivityStuck, match=r"wait_for_cancelled|stuck"):
        await ActivityUnderTest(stuck).run()


@activity.defn
async def fails() -> None:
    await asyncio.sleep(5)
    raise ApplicationError("no")


@pytest.mark.asyncio
async def test_an_error_is_kept() -> None:
    run = await ActivityUnderTest(fails).run()
    assert isinstance(run.error, ApplicationError)
    assert (run.result, run.duration) == (None, pytest.approx(5))


@activity.defn
async def says_info() -> tuple[Any, ...]:
    info = activity.info()
    return info.activity_type, info.attempt, info.workflow_id, info.heartbeat_timeout, list(info.heartbeat_details)


@pytest.mark.asyncio
async def test_info_can_be_given() -> None:
    run = await ActivityUnderTest(says_info).run(
        heartbeat_timeout=30, heartbeat_details=(4,), workflow_id="w", attempt=3
    )
    assert run.result[:3] == ("says_info", 3, "w")
    assert run.result[3].total_seconds() == 30
    assert run.result[4] == [4]


@pytest.mark.asyncio
async def test_other_threads_and_loops_keep_real_time() -> None:
    stop = threading.Event()
    ticks: list[float] = []

    def tick() -> None:
        while not stop.is_set():
            start = time.perf_counter()
            time.sleep(0.01)
            ticks.append(time.perf_counter() - start)

    with ThreadPoolExecutor(1) as executor:
        ticking = executor.submit(tick)
        for _ in range(20):
            run, slept = await asyncio.gather(ActivityUnderTest(resumes).run(50), _real_sleep())
            assert run.duration == pytest.approx(400)
            assert 0.01 <= slept < 1
        stop.set()
        ticking.result()
    assert ticks
    assert all(0.01 <= each < 1 for each in ticks)


async def _real_sleep() -> float:
    start = time.monotonic()
    await asyncio.sleep(0.01)
    return time.monotonic() - start


@pytest.mark.asyncio
async def test_names_are_put_back() -> None:
    original = named_sleep
    await ActivityUnderTest(resumes).run(1)
    assert named_sleep is original
    assert time.sleep is original
    assert named_monotonic is time.monotonic


@pytest.mark.asyncio
async def test_many_at_once() -> None:
    runs: list[LoneRun] = await asyncio.gather(*(ActivityUnderTest(resumes).run(n) for n in range(1, 30)))
    assert [run.duration for run in runs] == [pytest.approx(8 * n) for n in range(1, 30)]


@pytest.mark.parametrize("wrong", [3, "name", Importer])
def test_what_is_no_activity(wrong: Any) -> None:
    with pytest.raises(TypeError):
        ActivityUnderTest(wrong)


def test_a_kill_before_the_first_beat() -> None:
    with pytest.raises(ValueError, match="first"):
        ActivityUnderTest(resumes).fail_after(0)
