"""Each activity runs twice, against real servers and real databases, and the message names what it did twice."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from postgres_cluster import Cluster

pytest_plugins = ["pytester", "postgres_cluster"]

SHOP = Path(__file__).parent.parent / "fixtures" / "guard" / "idempotency"
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers = state\naddopts = -p no:randomly\n"
KEY = (
    '  Write under a key that both runs share, such as f"{info.workflow_run_id}-{info.activity_id}" of activity.info(),'
    " and only if it is not there yet (an upsert, an idempotency key). "
    "An activity that must not run twice has RetryPolicy(maximum_attempts=1)."
)
CHANGED = (
    "was run twice: its second run changed the state. The server may run it twice, when a worker is lost before it "
    "tells the result."
)


class Verdicts:
    """What the guard said of each test of a module."""

    def __init__(self, result: pytest.RunResult) -> None:
        self.text = result.stdout.str()
        self.result = result
        found = re.findall(r"(?m)^_{3,} (\w+) _{3,}\n((?:(?!^[_=-]{10}).*\n)*)", self.text)
        self.failures = {name: body.strip("\n") for name, body in found}

    def passed(self) -> set[str]:
        return set(re.findall(r"::(\w+) PASSED", self.text))


def verdicts(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, module: str, *options: str) -> Verdicts:
    for each in SHOP.glob("*.py"):
        shutil.copy(each, pytester.path)
    (pytester.path / f"{module}.py").rename(pytester.path / f"test_{module}.py")
    (pytester.path / "pytest.ini").write_text(INI)
    folder = pytester.path / "exports"
    folder.mkdir()
    monkeypatch.setenv("SHOP_FOLDER", str(folder))
    return Verdicts(pytester.runpytest_subprocess("--temporal-guard", "-v", *options))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_database(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, database: str
) -> None:
    cluster: Cluster | None = request.getfixturevalue("postgres") if database == "postgresql" else None
    monkeypatch.setenv("SHOP_DATABASE", cluster.url if cluster else f"sqlite:///{pytester.path / 'shop.db'}")
    found = verdicts(pytester, monkeypatch, "database_cases")
    assert found.passed() >= {
        "test_off", "test_upsert", "test_upsert_in_thread", "test_unique_key_done", "test_at_most_once",
        "test_last_attempt", "test_retried", "test_local", "test_left_out",
    }, found.text  # fmt: skip
    assert set(found.failures) == {"test_plain", "test_plain_in_thread", "test_unique_key", "test_several_at_once"}
    title, measured, row, advice = found.failures["test_plain"].splitlines()[:4]
    assert title == "temporal guard: idempotency"
    assert measured == f"Checkout (id checkout): activity `charge` {CHANGED}"
    assert re.fullmatch(r"  - table `charge`: row added: \('[-\w]+', 'o1', 5\)", row)
    assert advice == KEY
    assert "activity `charge_in_thread` was run twice" in found.failures["test_plain_in_thread"]
    several = found.failures["test_several_at_once"]
    assert several.count("was run twice") == 1
    assert "activity `charge_in_thread` was run twice" in several
    assert several.count("row added") == 1
    unique = found.failures["test_unique_key"].splitlines()
    assert unique[1] == (
        "Checkout (id checkout): activity `receipt` was run twice: its second run failed, after the first had done the "
        "work. In production it would be tried again and fail again, until its retries or timeouts end, though the "
        "work is done."
    )
    assert unique[2].startswith("  - IntegrityError: ")
    assert (
        unique[3]
        == "  Take work that is already done for success: an upsert, or a unique key whose violation means done."
    )
    assert "TemporalGuardWarning" not in found.text


def test_files_results_and_states(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(pytester, monkeypatch, "other_cases")
    assert found.passed() == {
        "test_same_file", "test_result", "test_result_declared", "test_same_result", "test_no_state",
        "test_two_that_need_each_other",
    }, found.text  # fmt: skip
    assert set(found.failures) == {"test_file", "test_own_state", "test_broken_state", "test_wrong_state"}
    lines = found.failures["test_file"].splitlines()
    assert lines[1] == f"Checkout (id checkout): activity `export` {CHANGED}"
    assert re.fullmatch(r"  - directory exports: file added: o1-\w{8}\.csv \(6 B\)", lines[2])
    assert "  - state['sent']: added: 'o1'" in found.failures["test_own_state"]
    assert found.failures["test_broken_state"].splitlines()[1:4] == [
        "Checkout (id checkout): activity `export_again` was run twice: the state was not to be had, so nothing is "
        "known of what its second run changed.",
        "  - ConnectionError: no database",
        "  Make the fixture `temporal_state` return a callable, or an object with snapshot(), that works in the thread "
        "of the worker's event loop.",
    ]
    assert "  - TypeError: 5 is neither callable nor has a method `snapshot()`" in found.failures["test_wrong_state"]
    assert found.text.count("TemporalGuardWarning") == 2
    assert "activity `new_id` was run twice: its second run had another result." in found.text
    assert re.search(r"- first '[-\w]{36}'\n\s+- then '[-\w]{36}'", found.text)
    assert "activity `meets` was run twice: it ran beside another activity that did not end meanwhile" in found.text


def test_virtual_time(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Activities that sleep for an hour run twice, and lose their worker, in no time."""
    found = verdicts(pytester, monkeypatch, "virtual_cases")
    assert found.passed() == {"test_three_at_once", "test_go_on"}, found.text
    assert "  - calls: call added: 0" in found.failures["test_one"]
    assert "activity `start_over` does not resume" in found.failures["test_start_over"]
    assert "activity `nap` was run twice: it ran beside another activity that did not end meanwhile" in found.text


def test_level_of_the_suite(pytester: pytest.Pytester) -> None:
    """The option turns it on for tests without a marker, a test may turn it off, and a level may be warn."""
    pytester.makepyfile(
        """
        from datetime import timedelta
        import pytest
        from temporalio import activity, workflow
        from temporalio.common import RetryPolicy
        from temporalio.worker import UnsandboxedWorkflowRunner, Worker

        attempts = []

        @activity.defn
        async def once() -> str:
            attempts.append(activity.info().attempt)
            if len(attempts) > 1:
                raise ValueError("no second time")
            return "done"

        @workflow.defn
        class Once:
            @workflow.run
            async def run(self, how: dict) -> str:
                options = {"start_to_close_timeout": timedelta(seconds=9)}
                if "types" in how:
                    options["retry_policy"] = RetryPolicy(non_retryable_error_types=how["types"])
                if "whole" in how:
                    options = {"schedule_to_close_timeout": timedelta(seconds=how["whole"])}
                return await workflow.execute_activity("once", **options)

        async def runs(client, **how):
            attempts.clear()
            async with Worker(
                client, task_queue="q", workflows=[Once], activities=[once],
                workflow_runner=UnsandboxedWorkflowRunner(), max_cached_workflows=how.pop("cache", 100),
            ):
                result = await client.execute_workflow(Once.run, how, id="once", task_queue="q")
            assert result == "done"
            return attempts

        @pytest.mark.asyncio
        async def test_on(temporal_client):
            assert await runs(temporal_client) == [1, 2]

        @pytest.mark.asyncio
        async def test_no_cache(temporal_client):
            assert await runs(temporal_client, cache=0) == [1, 2]

        @pytest.mark.temporal_guard(idempotency="warn")
        @pytest.mark.asyncio
        async def test_warn(temporal_client):
            assert await runs(temporal_client, whole=5) == [1, 2]

        @pytest.mark.temporal_guard(idempotency=False)
        @pytest.mark.asyncio
        async def test_turned_off(temporal_client):
            assert await runs(temporal_client) == [1]

        @pytest.mark.asyncio
        async def test_named_as_final(temporal_client):
            assert await runs(temporal_client, types=["TemporalGuardRedo"]) == [1]
        """
    )
    (pytester.path / "pytest.ini").write_text(INI)
    found = Verdicts(pytester.runpytest_subprocess("--temporal-guard", "--temporal-guard-idempotency=fail", "-v"))
    assert found.passed() == {"test_warn", "test_turned_off", "test_named_as_final"}, found.text
    assert set(found.failures) == {"test_on", "test_no_cache"}
    for each in found.failures.values():
        assert each.splitlines()[1].startswith("Once (id once): activity `once` was run twice: its second run failed")
        assert each.splitlines()[2] == "  - ValueError: no second time"
    assert found.text.count("TemporalGuardWarning") == 1


def test_workflow_elsewhere(pytester: pytest.Pytester) -> None:
    """The worker of the workflow is another process: its retry policy comes from the history."""
    pytester.makepyfile(
        flow="""
        import asyncio
        import sys
        from datetime import timedelta
        from temporalio import workflow
        from temporalio.client import Client
        from temporalio.common import RetryPolicy
        from temporalio.worker import UnsandboxedWorkflowRunner, Worker

        @workflow.defn
        class Flow:
            @workflow.run
            async def run(self, attempts: int) -> list:
                return await workflow.execute_activity(
                    "tell", start_to_close_timeout=timedelta(seconds=9), task_queue="activities",
                    retry_policy=RetryPolicy(maximum_attempts=attempts),
                )

        async def main():
            client = await Client.connect(sys.argv[1])
            worker = Worker(
                client, task_queue="flows", workflows=[Flow], workflow_runner=UnsandboxedWorkflowRunner()
            )
            await worker.run()

        if __name__ == "__main__":
            asyncio.run(main())
        """,
        test_elsewhere="""
        import subprocess
        import sys
        import pytest
        from flow import Flow
        from temporalio import activity
        from temporalio.worker import Worker

        attempts = []

        @activity.defn
        async def tell() -> list:
            attempts.append(activity.info().attempt)
            return attempts[:1]

        @pytest.mark.asyncio
        async def test_elsewhere(temporal_server, temporal_client):
            other = subprocess.Popen([sys.executable, "flow.py", temporal_server.address])
            try:
                async with Worker(temporal_client, task_queue="activities", activities=[tell]):
                    for number, seen in (1, [1]), (2, [1, 2]):
                        attempts.clear()
                        await temporal_client.execute_workflow(Flow.run, number, id=f"f{number}", task_queue="flows")
                        assert attempts == seen
            finally:
                other.kill()
                other.wait()
        """,
    )
    (pytester.path / "pytest.ini").write_text(INI)
    result = pytester.runpytest_subprocess("--temporal-guard", "--temporal-guard-idempotency=fail")
    result.assert_outcomes(passed=1)


def test_turns_across_loops_and_threads() -> None:
    """One at a time, first come first served, whatever loop they are in; who gives up waiting is nobody's burden."""
    from pytest_temporal_guard.turns import Turns

    turns, inside, most, shared = Turns(), 0, 0, []
    lock = threading.Lock()

    async def one(pause: float) -> None:
        nonlocal inside, most
        turn = await turns.enter(10)
        with lock:
            inside += 1
            most = max(most, inside)
        await asyncio.sleep(pause)
        with lock:
            inside -= 1
        turns.leave(turn)
        shared.append(turn.shared)

    async def many() -> None:
        waiting = [asyncio.create_task(one(0.003)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[-1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    threads = [threading.Thread(target=asyncio.run, args=[many()]) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(shared), most, any(shared)) == (76, 1, False)

    async def stuck() -> None:
        first = await turns.enter(10)
        begin = time.monotonic()
        second = await turns.enter(0.05)
        assert time.monotonic() - begin < 0.9
        assert first.shared and second.shared
        turns.leave(second)
        turns.leave(first)
        assert not (await turns.enter(10)).shared

    asyncio.run(stuck())
