"""History, payload, heartbeat: the application that must fail, with the exact message, and one near it that passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from suites import run


def test_history(tmp_path: Path) -> None:
    found = run(tmp_path, "history")
    assert found.outcomes() == {
        "test_too_long": "failed",
        "test_in_parts": "passed",
        "test_too_many_bytes": "failed",
        "test_off": "passed",
        "test_within_the_defaults": "passed",
    }
    assert (
        "temporal guard: history\n"
        "Import (id import-1): its history has 185 events. Limit: 100 (the marker temporal_guard(max_history_events=..."
        ")).\n"
        "  - 32 events of WORKFLOW_TASK_SCHEDULED\n"
    ).replace("32", "31") in found.tests["test_too_long"].text
    assert "Continue as new before that, or move parts of the work to child workflows." in (
        found.tests["test_too_long"].text
    )
    assert re.search(
        r"its history has [\d,]+ bytes. Limit: 2,000 \(the marker", found.tests["test_too_many_bytes"].text
    )


def test_payload(tmp_path: Path) -> None:
    found = run(tmp_path, "payload")
    assert found.outcomes() == {
        "test_result": "failed",
        "test_reference": "passed",
        "test_argument": "failed",
        "test_argument_within_the_limit": "passed",
        "test_result_allowed": "passed",
        "test_result_warned": "passed",
        "test_heartbeat": "failed",
        "test_memo": "failed",
        "test_without_a_loop": "failed",
    }
    result = (
        "temporal guard: payload\n"
        "Publish (id report): the result of activity `render` has 300,030 bytes (event 7, ACTIVITY_TASK_COMPLETED). "
        "Limit: 200,000 (the default).\n"
        "  - 300,030 bytes: result of activity `render` (event 7, `activity_task_completed_event_attributes.result[0]`)"
    )
    assert result in found.tests["test_result"].text
    assert result in found.tests["test_without_a_loop"].text
    assert "TemporalGuardWarning: " + result.replace("\n", "\n  ") in found.output
    assert "the argument `document` of activity `archive` has 2,500,0" in found.tests["test_argument"].text
    assert "the heartbeat details of activity `scan` have 300,0" in found.tests["test_heartbeat"].text
    assert "memo" in found.tests["test_memo"].text


def test_heartbeat(tmp_path: Path) -> None:
    found = run(tmp_path, "heartbeat", "-s")
    assert found.outcomes() == {
        "test_every_40_s_of_30": "failed",
        "test_every_8_s_of_30": "passed",
        "test_every_8_s_of_30_in_a_thread": "passed",
        "test_every_40_s_of_30_in_a_thread": "failed",
        "test_every_15_s_of_30": "passed",
        "test_beats_without_timeout": "passed",
        "test_long_without_timeout": "passed",
        "test_short_without_timeout": "passed",
        "test_long_is_allowed": "passed",
    }
    late = found.tests["test_every_40_s_of_30"].text
    assert (
        "temporal guard: heartbeat\nBackup (id backup): activity `copy` heartbeats too late: attempt 1 had 30.0 s "
        "without one, and its heartbeat_timeout is 30 s.\n  - 30.0 s from 0.0 s after its start\n  Heartbeat at least"
    ) in late
    warned = re.findall(r"TemporalGuardWarning: temporal guard: heartbeat\n\s*Backup \(id backup\): (.*)", found.output)
    assert [re.sub(r"[\d.,]+ s", "N s", each)[:60] for each in warned] == [
        "activity `copy` heartbeats seldom: attempt 1 had N s without"[:60],
        "activity `copy` heartbeats, but is called without heartbeat_timeout"[:60],
        "activity `convert` took N s and has no heartbeat_timeout: a lo"[:60],
    ]


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("--temporal-guard-server-kind", "dev")])
def test_runners(tmp_path: Path, options: tuple[str, ...]) -> None:
    """pytest-asyncio in every loop scope, anyio, unittest, plain tests; xdist; random order; the dev server."""
    found = run(tmp_path, "runners", *options, guard=not options, random=bool(options))
    assert set(found.outcomes().values()) == {"passed"}, found.output
    assert len(found.tests) == 11


def test_auto_mode(tmp_path: Path) -> None:
    found = run(tmp_path, "runners", "-o", "asyncio_mode=strict")
    assert set(found.outcomes().values()) == {"passed"}, found.output
