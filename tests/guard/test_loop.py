"""An async activity that blocks its event loop is told of, with the line; the test's own blocking is not."""

from __future__ import annotations

from pathlib import Path

from suites import run


def test_loop(tmp_path: Path) -> None:
    told = run(tmp_path, "loop")
    blocks, computes = told.tests["test_bad[blocks]"], told.tests["test_bad[computes]"]

    assert "temporal guard: loop\nCalls (id w): the async activity `blocks` blocks the event loop for 0." in blocks.text
    assert "Limit: 0.1 (the default)." in blocks.text
    assert "in fetch_page: time.sleep(0.3)" in blocks.text
    assert "in blocks: fetch_page()" in blocks.text
    assert "`asyncio.to_thread`" in blocks.text
    assert "the async activity `computes` blocks the event loop for 0." in computes.text
    assert "in computes: " in computes.text

    assert told.tests["test_warns"].outcome == "passed"
    assert "TemporalGuardWarning: temporal guard: loop" in told.output

    good = {name: each.text for name, each in told.tests.items() if name.startswith("test_good")}
    assert len(good) == 6
    assert set(good.values()) == {""}
