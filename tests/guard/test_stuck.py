"""A test that waits for a workflow which makes no progress fails soon, with the reason; all others are left alone."""

from __future__ import annotations

import pytest
from suites import Ran, run

RETRIES = "its workflow task fails 2 times in a row, so what this test waits for never comes."
NOT_JSON = "TypeError: Object of type Decimal is not JSON serializable"
ENCODE = "Pass a value that the data converter can encode"
REGISTER = "available activities: echo, flaky, price"

# What the message holds, and the seconds within which the test is to be over: real ones are a tenth of that, but for
# those that need two attempts of an activity (3 s) or two deadlocks (4 s), and machines in CI are slow.
STUCK = {
    "test_argument": (
        f"Argument (id waited-for): {RETRIES}",
        NOT_JSON,
        'execute_activity(echo, Decimal("1.5")',
        ENCODE,
    ),
    "test_argument_on_dev_server": (f"Argument (id waited-for): {RETRIES}", NOT_JSON, ENCODE),
    "test_result": (f"Result (id waited-for): {RETRIES}", NOT_JSON, "it is the result of the workflow", ENCODE),
    "test_update_result": ("UpdateResult (id w)", NOT_JSON, "it is the result of an update handler", ENCODE),
    "test_update_result_later": (f"UpdateResult (id w): {RETRIES}", NOT_JSON),
    "test_query": (f"Raises (id w): {RETRIES}", "KeyError: 'missing'", "app.py:", 'in run: return {}["missing"]'),
    "test_activity_result": ("its activity `price` fails again and again", "its result cannot be encoded", NOT_JSON),
    "test_activity_result_on_dev_server": ("its activity `price` fails again and again (attempt 3)", NOT_JSON),
    "test_large_on_dev_server": ("Large (id waited-for)", "TMPRL1103", "larger than the server takes"),
    "test_no_timeout": (RETRIES, "must have start_to_close_timeout", "Give the call a `start_to_close_timeout`."),
    "test_deadlock": (RETRIES, "TMPRL1101", "in run: sum(range(1000))", "Move the work that blocks to an activity"),
    "test_sleeps": ("TMPRL1101", "in run: time.sleep(6)"),
    "test_unknown_activity": ("its activity `unknown` fails again and again", REGISTER, "`activities=[...]`"),
    "test_unknown_activity_on_dev_server": ("its activity `unknown` fails", "(attempt 3)", REGISTER),
    "test_unknown_workflow": ("NoSuchWorkflow (id waited-for)", "available workflows: ", "`workflows=[...]`"),
    "test_unknown_workflow_on_dev_server": ("NoSuchWorkflow (id waited-for)", "available workflows: "),
    "test_raises": (f"Raises (id waited-for): {RETRIES}", "KeyError: 'missing'", "raise `ApplicationError`"),
    "test_child": ("Parent (id waited-for) waits for its child workflow Raises (id ", RETRIES, "KeyError: 'missing'"),
    "test_child_on_dev_server": ("Parent (id waited-for) waits for its child workflow Raises (id ", RETRIES),
    "test_continues_as_new": (f"ContinuesAsNew (id waited-for): {RETRIES}",),
    "test_gather": (RETRIES,),
    "test_sync": (RETRIES,),
    "test_unittest": (RETRIES,),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """What came of the whole suite, run once."""
    return run(tmp_path_factory.mktemp("stuck"), "stuck")


@pytest.mark.parametrize("name", STUCK)
def test_the_wait_fails_with_the_reason(told: Ran, name: str) -> None:
    found = told.tests[name]
    assert found.outcome == "failed"
    assert "StuckWorkflowError" in found.text
    for part in STUCK[name]:
        assert part in found.text
    # what the test itself said is not said again
    assert "temporal guard: stuck" not in found.text


def test_nothing_waits_for_long(told: Ran) -> None:
    """The server's second retry comes after ten seconds; the worker of `test_sleeps` ends with its threads only."""
    slow = {name: each.seconds for name, each in told.tests.items() if each.seconds > 9 and name != "test_sleeps"}
    assert slow == {}


def test_who_hides_the_error_is_told_by_the_guard(told: Ran) -> None:
    found = told.tests["test_hides_it"]
    assert found.outcome == "failed"
    assert "temporal guard: stuck\nRaises (id waited-for): " + RETRIES in found.text


def test_level_warn_goes_on_waiting(told: Ran) -> None:
    assert told.tests["test_only_warned"].outcome == "passed"
    assert "TemporalGuardWarning: temporal guard: stuck" in told.output


def test_all_others_are_left_alone(told: Ran) -> None:
    good = {name: each for name, each in told.outcomes().items() if name.startswith("test_good")}
    assert len(good) == 12
    assert set(good.values()) == {"passed"}
