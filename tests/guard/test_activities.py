"""Too many activities in one run fail the test that started it."""

from __future__ import annotations

from pathlib import Path

from suites import run


def test_activities(tmp_path: Path) -> None:
    told = run(tmp_path, "activities")
    many, at_once = told.tests["test_many"].text, told.tests["test_many_at_once"].text
    origin = "(the marker temporal_guard({}=...))."

    assert "temporal guard: activities\nLoops (id w): it schedules 26 activities. Limit: 20 " in many
    assert origin.format("max_activities") in many
    assert "  - 25 of `handle`\n  - 1 of `log`\n  Continue as new after a batch" in many
    assert "FansOut (id w): 30 of its activities pend at once. Limit: 20 " in at_once
    assert origin.format("max_pending_activities") in at_once
    assert "  - 30 of `handle`\n  Bound what runs at once (`asyncio.Semaphore`)" in at_once

    good = {name: each.text for name, each in told.tests.items() if name.startswith("test_good")}
    assert len(good) == 4
    assert set(good.values()) == {""}
