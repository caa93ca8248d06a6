"""Hooks only: what pytest asks, and who answers. Loading this imports neither temporalio nor the rest of the guard."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_temporal_guard import HISTORY_SUFFIX, TemporalGuardWarning
from pytest_temporal_guard.arrival import when_imported
from pytest_temporal_guard.fixtures import (
    temporal_client,
    temporal_env,
    temporal_guard,
    temporal_server,
    temporal_state,
)
from pytest_temporal_guard.guards import all_guards
from pytest_temporal_guard.process import CURRENT, SESSION_STATE, SETTINGS, is_guarded, is_on, sdk_arrived, session_of
from pytest_temporal_guard.reports import Reports, attach
from pytest_temporal_guard.settings import DECLARED, MARKER, SESSION, Setting, Settings, register

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_temporal_guard.runs import Run
    from pytest_temporal_guard.session import GuardSession

__all__ = ["temporal_client", "temporal_env", "temporal_guard", "temporal_server", "temporal_state"]

HEADER = pytest.StashKey[str]()


def of_guards() -> Iterator[Setting]:
    """The settings of all guards."""
    for guard in all_guards():
        yield from guard.settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the whole run."""
    register(parser, SESSION)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Declare the options of the guards, for a run that may name one: a suite without Temporal does not load them."""
    known = early_config.known_args_namespace
    named = any("temporal" in each for each in (*args, *(known.override_ini or ())))
    if known.help or named or _names_temporal(early_config.inipath):
        register(parser, of_guards())
        early_config.stash[DECLARED] = True


def _names_temporal(ini: Path | None) -> bool:
    try:
        return ini is not None and b"temporal_guard" in ini.read_bytes()
    except OSError:
        return True


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, so that a wrong one ends the run before it begins."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**limits): limits and levels of the Temporal guard for a test, such as "
        f"{MARKER}(max_history_events=2000, replay='off'); the names are those of the options --temporal-guard-*.",
    )
    config.stash[SETTINGS] = found = Settings(config, SESSION, of_guards)
    found.check()
    if not hasattr(config, "workerinput"):  # a worker of xdist hands its runs to the controller
        config.pluginmanager.register(Reports(config, found.of("report").value), "temporal_guard_reports")

    if is_on(config):
        from pytest_temporal_guard.keeper import found_server

        config.stash[HEADER] = f"temporal guard: {found_server(found)}"
        # A suite that never imports the SDK never pays for the guard.
        for module in ("temporalio.worker", "temporalio.testing"):
            when_imported(module, lambda: sdk_arrived(config))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a wrong marker while collecting."""
    if item.get_closest_marker(MARKER) is not None:
        item.config.stash[SETTINGS].check(item)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Recorded histories are tests, with the guard and without."""
    if not file_path.name.endswith(HISTORY_SUFFIX):
        return None
    from pytest_temporal_guard.collect import HistoryFile

    return HistoryFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Runs belong to this test from its first fixture on."""
    guarded = is_guarded(item)
    item.config.stash[CURRENT] = item if guarded else None
    if guarded and item.config.stash[SETTINGS].of("idempotency", item).value != "off":
        # Not autouse: an override may be dear, and only these tests need it.
        asked: Any = item
        asked.fixturenames = [*getattr(item, "fixturenames", ()), "temporal_state"]
    if SESSION_STATE in item.config.stash:
        session_of(item.config).begin(item.config.stash[CURRENT])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge after the test's own outcome is known; what the test itself says comes first."""
    report = yield
    if SESSION_STATE in item.config.stash and is_guarded(item) and call.when in ("call", "teardown"):
        session = session_of(item.config)
        runs: list[Run] = []
        with session.recorder.guarded("judging a test"), _alarms(session):
            trouble = session.trouble(item)
            if trouble and not report.passed:
                report.sections.append(("temporal server", trouble))
            session.watchdog.told(call.excinfo.value if call.excinfo is not None else None, item.nodeid)
            verdict = session.judge(item)
            runs = verdict.runs
            failures = [*verdict.failures, *_warn(item, verdict.warnings)]
            if failures:
                _fail(report, "\n\n".join(failures))
        attach(item, report, runs, session)
        if call.when == "teardown":
            session.end(item)
    return report


@contextmanager
def _alarms(session: GuardSession) -> Iterator[None]:
    """A test's alarm (pytest-timeout) may go off while the guard judges it, when no test is there to fail any more."""
    try:
        yield
    except pytest.fail.Exception as alarm:
        session.recorder.faults.append(f"judging a test took too long: {alarm.msg}")


def _warn(item: pytest.Item, messages: list[str]) -> list[str]:
    """Warn; where the suite turns warnings into errors, give them back as failures."""
    raised = []
    for message in messages:
        try:
            item.warn(TemporalGuardWarning(message))
        except TemporalGuardWarning:
            raised.append(message)
    return raised


def _fail(report: pytest.TestReport, message: str) -> None:
    if report.passed:
        report.outcome = "failed"
        report.longrepr = message
    else:
        report.sections.append(("temporal guard", message))


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which server the tests use, only when the guard is active."""
    return config.stash.get(HEADER, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let threads and servers go."""
    state: Any = config.stash.get(SESSION_STATE, None)
    if state is not None:
        state.stop()
