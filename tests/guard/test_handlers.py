"""A workflow that ends while handlers are at work is told of."""

from __future__ import annotations

from pathlib import Path

from suites import run


def test_handlers(tmp_path: Path) -> None:
    told = run(tmp_path, "handlers")
    assert told.outcomes() == {
        "test_warns": "passed",
        "test_bad[charge]": "failed",
        "test_bad[add]": "failed",
        "test_good_waits[charge]": "passed",
        "test_good_waits[add]": "passed",
        "test_good_may_be_abandoned": "passed",
    }
    expected = (
        "temporal guard: handlers\nHasty (id w): it ends while handlers are at work: {} (TMPRL1102): "
        "what they were doing is cut off."
    )
    assert expected.format("signal `charge`") in told.tests["test_bad[charge]"].text
    assert expected.format("update `add`") in told.tests["test_bad[add]"].text
    assert "workflow.wait_condition(workflow.all_handlers_finished)" in told.tests["test_bad[add]"].text
    assert "TemporalGuardWarning: temporal guard: handlers" in told.output
