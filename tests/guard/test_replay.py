"""The replay guard, on real runs: what it must find, what it must not complain of, what it leaves as it was."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
FIXTURES = Path(__file__).parent.parent / "fixtures" / "guard" / "replay"
UUID = "[0-9a-f]{8}-[0-9a-f-]{27}"

# what the guard says of each workflow of defects.py: whose value, what it was, what it is
VALUES = {
    "UuidArg": ("argument `order` of activity `charge`", f'"{UUID}"', f'"{UUID}"'),
    "TimeArg": ("argument `order` of activity `charge`", r'"\d+\.\d+"', r'"\d+\.\d+"'),
    "RandomTimer": ("the length of a timer", r"[\d.]+ s", r"[\d.]+ s"),
    "TimeoutChange": ("the start to close timeout of activity `charge`", "5 s", "10 s"),
    "ResultDiffers": ("the result of the workflow", f'"{UUID}"', f'"{UUID}"'),
    "ActivityIdDiffers": ("the activity id of activity `charge`", f'"{UUID}"', f'"{UUID}"'),
    "TaskQueueDiffers": ("the task queue of activity `charge`", '"defects"', '"other"'),
    "ChildIdDiffers": ("the workflow id of child workflow `Child`", f'"{UUID}"', f'"{UUID}"'),
}
OTHER_COMMAND = "the first run's command 1 is activity `charge`; in the replay it is activity `refund`."
DEFECTS = {
    "GlobalBranch": OTHER_COMMAND,
    "SwapOrder": OTHER_COMMAND,
    "FailsOnReplay": "its workflow task fails in the replay, and did not in the first run: RuntimeError: bug",
}
for _name, (_what, _was, _now) in VALUES.items():
    DEFECTS[_name] = f"{_what} was {_was} in the first run and is {_now} in the replay."
ADVICE = {"UuidArg": "workflow.uuid4()", "TimeArg": "workflow.now()", "RandomTimer": "workflow.random()"}


@pytest.fixture
def run_suite(pytester: pytest.Pytester, sdk_server: str, monkeypatch: pytest.MonkeyPatch):
    """Runs a suite of the fixtures with the guard: `run_suite("good", *options)`."""

    def run(topic: str, *options: str) -> pytest.RunResult:
        monkeypatch.setenv("TEST_SERVER", sdk_server)
        shutil.copy(FIXTURES / f"{topic}.py", pytester.path)
        shutil.copy(FIXTURES / f"suite_{topic}.py", pytester.path / "test_suite.py")
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", *options)

    return run


def test_defects_are_found_and_undone(run_suite) -> None:
    """Each defect fails its test with its message; the replays change no global (the suite's last test)."""
    result = run_suite("defects", "--temporal-guard")
    result.assert_outcomes(failed=len(DEFECTS), passed=1)
    text = result.stdout.str()
    for name, message in DEFECTS.items():
        found = re.search(rf"^{name} \(id w-{UUID}\): {message}\n  (.*)$", text, re.MULTILINE)
        assert found, name
        assert ADVICE.get(name, "") in found[1]


def test_levels(run_suite) -> None:
    """Off: the defects are of the kind that no test sees. Warn: the test passes."""
    run_suite("defects", "--temporal-guard", "--temporal-guard-replay=off").assert_outcomes(passed=len(DEFECTS) + 1)
    result = run_suite("defects", "-k", "UuidArg", "--temporal-guard", "--temporal-guard-replay=warn")
    result.assert_outcomes(passed=1, deselected=len(DEFECTS), warnings=1)


REPORT = """
import pytest


def pytest_sessionfinish(session):
    from pytest_temporal_guard.plugin import SESSION_STATE

    faults = session.config.stash[SESSION_STATE].recorder.faults
    print("\\nREPLAYED", len(COMPARED), "FAULTS", faults, "SECONDS", sum(COMPARED))


def pytest_sessionstart(session):
    import time

    from pytest_temporal_guard import replay

    original = replay.replay

    async def counted(*args, **options):
        started = time.perf_counter()
        try:
            return await original(*args, **options)
        finally:
            COMPARED.append(time.perf_counter() - started)

    replay.replay = counted


COMPARED = []
"""


def test_good_twins_are_silent(run_suite, pytester: pytest.Pytester) -> None:
    """Signals, updates, queries, patches, local activities, children, cancellations, evictions, lost workers, ...

    Warnings are errors here, as in suites that say so.
    """
    pytester.makeconftest(REPORT)
    result = run_suite("good", "--temporal-guard", "-s", "-W", "error", "-W", "ignore:::pytest_asyncio")
    assert result.ret == 0
    found = re.search(r"REPLAYED (\d+) FAULTS \[\]", result.stdout.str())
    assert found, result.stdout.str()[-2000:]
    # the runs that end, in 40 tests but for the one whose history cannot be replayed; 3 more are left open, and one is
    # replayed again with what it has itself set in its class
    assert int(found[1]) == 52


def test_links_and_patches(run_suite, pytester: pytest.Pytester) -> None:
    """What a server ends as a link, and what a test patches inside itself, is no defect; a hidden one is found."""
    shutil.copy(FIXTURES / "rates.py", pytester.path)
    result = run_suite("links", "--temporal-guard")
    result.assert_outcomes(failed=1, passed=6)
    result.stdout.fnmatch_lines(["*_ test_defect_hidden_by_failure_types _*", "temporal guard: replay"])


def test_hash_seeds(run_suite, pytester: pytest.Pytester) -> None:
    """The order of a set is found; what differs in each other process for another reason is said and not failed."""
    pytester.makeconftest(REPORT)
    result = run_suite("orders", "--temporal-guard", "--temporal-guard-hash-seeds=1", "-s")
    result.assert_outcomes(failed=1, passed=4)
    result.stdout.re_match_lines(
        [
            r"REPLAYED 5 FAULTS .*Hidden is not replayed with other hash seeds: orders.Hidden cannot be imported by "
            r"its name.*NeedsSetUp .*a replay in another process gives other commands",
            r".* test_set .*",
            r"SetOrder \(id .*\): with another hash seed argument `name` of activity `plant` was .* in the first run "
            r"and is .* in the replay\.",
            r"  Iterate over sorted\(\.\.\.\) where an order reaches a command: .*",
        ]
    )
    assert (
        result.stdout.str().count("no test is blamed for: the guard replay: ReplayFault: Hidden is not replayed") == 1
    )


def test_order_is_not_found_without_hash_seeds(run_suite) -> None:
    """One process has one seed."""
    run_suite("orders", "--temporal-guard").assert_outcomes(passed=5)


def test_history_that_hangs(pytester: pytest.Pytester) -> None:
    """A replay that does not end is a fault after its timeout."""
    import asyncio

    from temporalio.client import WorkflowHistory

    from pytest_temporal_guard import replay

    sys.path.insert(0, str(FIXTURES))
    try:
        import orders
    finally:
        sys.path.remove(str(FIXTURES))
    from temporalio.api.enums.v1 import EventType
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.worker import UnsandboxedWorkflowRunner

    start = HistoryEvent(event_id=1, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    start.workflow_execution_started_event_attributes.workflow_type.name = "Sorted"
    plan = replay.Plan(orders.Sorted, {}, UnsandboxedWorkflowRunner(), UnsandboxedWorkflowRunner())
    started = time.monotonic()
    with pytest.raises(replay.ReplayFault, match=r"did not end within 0\.2 s"):
        asyncio.run(replay.replay(WorkflowHistory("w", [start]), plan, 0.2))
    # the SDK prints a panic first
    assert time.monotonic() - started < replay.TIMEOUT


TREES = """
import ast, gc, inspect, sys, threading
from pytest_temporal_guard.parsing import one_at_a_time

one_at_a_time()
one_at_a_time()
source = inspect.getsource(ast)[:20_000].rpartition("\\ndef ")[0]
# a switch of threads while a tree is made: the collector runs Python code there
gc.callbacks.append(lambda *_: [None for _ in range(300)])
gc.set_threshold(50)
sys.setswitchinterval(1e-5)
errors = []

def work():
    for _ in range(60):
        try:
            ast.parse(source)
        except SystemError as error:
            errors.append(error)

threads = [threading.Thread(target=work) for _ in range(2)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(errors)
"""


def test_trees_are_made_in_turns() -> None:
    """Two threads that parse meet CPython's error in about 5 of 120 cases without turns (3.11.7)."""
    done = subprocess.run([sys.executable, "-c", TREES], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "[]\n"
