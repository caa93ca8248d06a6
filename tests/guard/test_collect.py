"""Recorded histories as tests: which pass, and with which sentence the others fail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]
FIXTURES = Path(__file__).parent.parent / "fixtures" / "guard" / "recorded"
INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
pythonpath = .
"""


def _changed(change: Callable[[Any], None]) -> str:
    history = json.loads((FIXTURES / "order.json").read_text())
    change(history)
    return json.dumps(history)


def _other_activity(history: Any) -> None:
    for event in history["events"]:
        scheduled = event.get("activityTaskScheduledEventAttributes")
        if scheduled and scheduled["activityType"]["name"] == "ship":
            scheduled["activityType"]["name"] = "post"


def _large_result(history: Any) -> None:
    payload = history["events"][-1]["workflowExecutionCompletedEventAttributes"]["result"]["payloads"][0]
    payload["data"] = "A" * 400_000


def _started(history: Any) -> Any:
    return history["events"][0]["workflowExecutionStartedEventAttributes"]


BROKEN = {
    "not_json": ("{nope", "not_json.history.json is not JSON: Expecting property name*"),
    "no_events": ('{"events": []}', "no_events.history.json holds no events; a history has the form*"),
    "no_history": ("3", "no_history.history.json holds no events; a history has the form*"),
    "no_event": ('{"events": [3]}', "no_event.history.json is not a workflow history: Event not a dictionary."),
    "binary": (b"\xff\xfe\x00", "binary.history.json is not JSON: *"),
    "new_type": (
        _changed(lambda history: history["events"][3].update(eventType="EVENT_TYPE_FUTURE_THING")),
        "new_type.history.json is newer than temporalio * can read, upgrade temporalio: event 4 has the unknown type "
        "EVENT_TYPE_FUTURE_THING.",
    ),
    "no_start": (
        _changed(lambda history: history["events"].pop(0)),
        "no_start.history.json does not begin with the start of a workflow, but with event 2; export it whole.",
    ),
    "cut": (
        _changed(lambda history: history["events"].pop(3)),
        "cut.history.json is not whole: event 5 follows the start of a workflow task, and does not end it; "
        "export it again.",
    ),
    "unknown_type": (
        _changed(lambda history: _started(history)["workflowType"].update(name="Invoice")),
        "No workflow class is named `Invoice` in the temporal_guard_workflows of the ini file (shop_workflows); known "
        "are: Order. Name the module of the workflow in the ini value temporal_guard_workflows.",
    ),
    "other_code": (
        _changed(_other_activity),
        "Order (id *): Order of shop_workflows does not replay this history: [[]TMPRL1100[]] Nondeterminism error: "
        "Activity type of scheduled event 'post' does not match activity type of activity command 'ship'. Keep the "
        "old path for runs that are under way, by workflow.patched(), or record the history anew where none is.",
    ),
    "large": (_changed(_large_result), "Order (id *): the result of workflow `Order` has 300,0?? bytes (event *"),
}


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with its workflows and one recorded history."""
    shutil.copy(FIXTURES / "shop_workflows.py", pytester.path)
    (pytester.path / "histories").mkdir()
    shutil.copy(FIXTURES / "order.json", pytester.path / "histories" / "order.history.json")
    return pytester


def _run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly", *options)


def test_each_trouble_has_its_sentence(project: pytest.Pytester) -> None:
    """What is wrong with a file is said in one sentence, without a traceback."""
    project.makeini(INI + "temporal_guard_workflows = shop_workflows\n")
    for name, (content, _) in BROKEN.items():
        data = content if isinstance(content, bytes) else content.encode()
        (project.path / "histories" / f"{name}.history.json").write_bytes(data)
    # a field of a newer server is no trouble: replays do not need it
    newer = _changed(lambda history: history["events"][0].update(fieldOfTheFuture=1))
    (project.path / "histories" / "new_field.history.json").write_text(newer)
    result = _run(project, "-p", "no:xdist")
    result.assert_outcomes(failed=len(BROKEN), passed=2)
    lines = result.stdout.lines
    for name, (_, sentence) in BROKEN.items():
        at = next(index for index, line in enumerate(lines) if f" {name}.history.json::replay " in line)
        pytest.LineMatcher(lines[at + 1 : at + 2]).fnmatch_lines([sentence])
    assert "Traceback" not in result.stdout.str()


def test_workflows_are_found_from_the_root(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest itself would not add the root of the project to sys.path."""
    project.makeini("[pytest]\ntemporal_guard_workflows = shop_workflows\n")
    monkeypatch.chdir(project.path / "histories")
    _run(project, ".").assert_outcomes(passed=1)


def test_a_link_that_the_server_made(project: pytest.Pytester) -> None:
    """The time-skipping server ends a link of cron or of a retry by an event that no command of the workflow asks
    for."""
    project.makeini(INI + "temporal_guard_workflows = shop_workflows\n")

    def linked(history: Any) -> None:
        last = history["events"][-1]
        completed = last.pop("workflowExecutionCompletedEventAttributes")
        last["eventType"] = "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW"
        last["workflowExecutionContinuedAsNewEventAttributes"] = {
            "newExecutionRunId": "next",
            "workflowType": {"name": "Order"},
            "workflowTaskCompletedEventId": completed["workflowTaskCompletedEventId"],
            "backoffStartInterval": "59.9s",
        }

    (project.path / "histories" / "order.history.json").write_text(_changed(linked))
    _run(project).assert_outcomes(passed=1)


def test_selection_and_xdist(project: pytest.Pytester) -> None:
    """Node ids, -k and -n work as for any test; with the guard too."""
    project.makeini(INI + "temporal_guard_workflows = shop_workflows:Order\n")
    shutil.copy(FIXTURES / "order.json", project.path / "histories" / "second.history.json")
    _run(project, "histories/order.history.json::replay", "--temporal-guard").assert_outcomes(passed=1)
    _run(project, "-k", "second", "-n", "2").assert_outcomes(passed=1)


def test_workflows_of_what_is_imported(project: pytest.Pytester) -> None:
    """Without an ini value, the workflows are those that tests have imported; a test's own double does not count."""
    project.makeini(INI)
    _run(project, "histories").stdout.fnmatch_lines(
        ["No workflow class is named `Order` in what is imported so far; known are: none. *"]
    )
    project.makepyfile(
        test_shop="""
        import shop_workflows
        from temporalio import workflow

        @workflow.defn
        class Order:
            @workflow.run
            async def run(self, order: str) -> str:
                return order

        def test_nothing():
            pass
        """
    )
    _run(project).assert_outcomes(passed=2)


def test_wrong_ini_values(project: pytest.Pytester) -> None:
    """A place that has no workflow is named with the reason."""
    project.makeini(INI + "temporal_guard_workflows =\n    nowhere\n")
    _run(project).stdout.fnmatch_lines(
        [
            "temporal_guard_workflows: nowhere: nowhere cannot be imported: ModuleNotFoundError: No module named "
            "'nowhere'."
        ]
    )
    project.makeini(INI + "temporal_guard_workflows = shop_workflows:charge\n")
    _run(project).stdout.fnmatch_lines(["temporal_guard_workflows: shop_workflows:charge is not a workflow class."])


def test_package_of_workflows(project: pytest.Pytester) -> None:
    """A package stands for all of its modules."""
    package = project.path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (project.path / "shop_workflows.py").rename(package / "orders.py")
    project.makeini(INI + "temporal_guard_workflows = shop\n")
    _run(project).assert_outcomes(passed=1)


def test_level_of_the_replay_guard(project: pytest.Pytester) -> None:
    """Off: only sizes are judged. Warn: a history that does not replay is a warning."""
    project.makeini(INI + "temporal_guard_workflows = shop_workflows\n")
    (project.path / "histories" / "order.history.json").write_text(_changed(_other_activity))
    _run(project, "--temporal-guard-replay=off").assert_outcomes(passed=1)
    _run(project, "--temporal-guard-replay=warn").assert_outcomes(passed=1, warnings=1)


def test_without_temporalio(project: pytest.Pytester) -> None:
    """No SDK, no replay: the item is skipped."""
    project.makeini(INI)
    project.makeconftest("import sys\nsys.modules['temporalio'] = None\n")
    result = _run(project, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*temporalio is not installed*"])


def test_what_a_run_saves_is_a_test(project: pytest.Pytester) -> None:
    """`Run.save` writes what is collected."""
    project.makeini(INI + "temporal_guard_workflows = shop_workflows\n")
    from temporalio.client import WorkflowHistory

    from pytest_temporal_guard.runs import Observed, Run, RunKey

    history = WorkflowHistory.from_json("w", (FIXTURES / "order.json").read_text())
    run = Run(Observed(RunKey("", "default", "w", "r"), "Order"), history)
    run.save(project.path / "histories" / "saved.history.json")
    _run(project, "histories/saved.history.json").assert_outcomes(passed=1)
