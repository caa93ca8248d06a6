"""Trouble in the middle of a test: no server is left behind, and what other tests found is not lost."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from suites import run


def assert_no_server_left(path: Path) -> None:
    """Every server that the tests started is gone, at the latest a moment after them."""
    pids = [int(each.name.rpartition("-")[2]) for each in path.glob("server-*")]
    assert pids
    deadline = time.monotonic() + 10
    while left := [each for each in pids if psutil.pid_exists(each) and psutil.Process(each).status() != "zombie"]:
        assert time.monotonic() < deadline, f"servers {left} are left"
        time.sleep(0.05)


def test_server_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test fails and says what became of the server; the next one has another."""
    monkeypatch.setenv("TROUBLE", "server killed")
    found = run(tmp_path, "trouble", "-p", "no:xdist")
    assert found.outcomes() == {"test_before": "passed", "test_trouble": "failed", "test_after": "passed"}
    assert "is gone: " in found.output
    assert "was killed by SIGKILL" in found.output
    assert_no_server_left(tmp_path)


def test_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the run as it always does."""
    monkeypatch.setenv("TROUBLE", "interrupt")
    found = run(tmp_path, "trouble", "-p", "no:xdist")
    assert found.tests["test_before"].outcome == "passed"
    assert "test_after" not in found.tests
    assert "KeyboardInterrupt" in found.output
    assert_no_server_left(tmp_path)


def test_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-timeout ends the process of a test that hangs (its method "thread"), and the server ends with it.

    Its method "signal" is none for workers: cancelled that way, one of the SDK's alone often does not end either.
    """
    monkeypatch.setenv("TROUBLE", "hang")
    found = run(tmp_path, "trouble", "-p", "no:xdist", "--timeout", "4", "--timeout-method", "thread")
    assert "Timeout" in found.output
    assert_no_server_left(tmp_path)


def test_alarm_while_a_test_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-timeout's alarm goes off during a replay of 4 s: the test has passed already, and that is told."""
    monkeypatch.setenv("TROUBLE", "slow replay")
    found = run(tmp_path, "trouble", "-p", "no:xdist", "--timeout", "3", "--timeout-method", "signal")
    assert found.outcomes() == {"test_before": "passed", "test_trouble": "passed", "test_after": "passed"}
    assert "judging a test took too long: Timeout" in found.output
    assert_no_server_left(tmp_path)


def test_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the plugin's server nor that of an environment of the SDK's outlives a SIGKILL."""
    monkeypatch.setenv("TROUBLE", "killed beside an environment of the SDK's")
    run(tmp_path, "trouble", "-p", "no:xdist")
    assert len(list(tmp_path.glob("server-sdk-*"))) == 1
    assert_no_server_left(tmp_path)


def test_worker_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An xdist worker that is killed loses its own test only."""
    monkeypatch.setenv("TROUBLE", "worker killed")
    found = run(tmp_path, "trouble", "-n", "2", "--max-worker-restart", "2")
    assert found.tests["test_before"].outcome == "passed"
    assert found.tests["test_after"].outcome == "passed"
    assert found.tests["test_trouble"].outcome == "error"  # xdist's word for it
    assert_no_server_left(tmp_path)
