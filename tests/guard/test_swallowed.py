"""An error of the sandbox that a workflow hides fails the test; one that reaches somebody does not."""

from __future__ import annotations

from pathlib import Path

from suites import run


def test_swallowed(tmp_path: Path) -> None:
    told = run(tmp_path, "swallowed")
    hides = told.tests["test_hides"].text
    assert (
        "temporal guard: swallowed\nHides (id w): it catches an error of determinism and goes on: "
        "Cannot access random.random.__call__ from inside a workflow." in hides
    )
    assert f"({tmp_path}/app.py:17 in run: number = random.random())" in hides
    assert "catch the errors that you expect, and not `Exception`." in hides
    # replayed, and told once
    assert hides.count("goes on:") == hides.count("temporal guard: swallowed")
    assert "in stamp: return time.time())" in told.tests["test_hides_in_task"].text

    good = {name: each.text for name, each in told.tests.items() if name.startswith("test_good")}
    assert len(good) == 8
    assert set(good.values()) == {""}
