"""Hooks only: what pytest asks, and who answers. Loading this imports neither temporalio nor the rest of the guard."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from pytest_temporal_guard import TemporalGuardWarning
from pytest_temporal_guard.guards import all_guards
from pytest_temporal_guard.reports import Reports, attach
from pytest_temporal_guard.settings import MARKER, SESSION, Setting, Settings, register

if TYPE_CHECKING:
    from pytest_temporal_guard.session import GuardSession

SETTINGS = pytest.StashKey[Settings]()
SESSION_STATE = pytest.StashKey["GuardSession"]()


def settings() -> Iterator[Setting]:
    """Every setting of the guard."""
    yield from SESSION
    for guard in all_guards():
        yield from guard.settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    register(parser, settings())


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, so that a wrong one ends the run before it begins."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**limits): limits and levels of the Temporal guard for a test, such as "
        f"{MARKER}(max_history_events=2000, replay='off'); the names are those of the options --temporal-guard-*.",
    )
    config.stash[SETTINGS] = found = Settings(config, settings())
    found.check()
    if not hasattr(config, "workerinput"):  # a worker of xdist hands its runs to the controller
        config.pluginmanager.register(Reports(config, found.of("report").value), "temporal_guard_reports")


def is_guarded(item: pytest.Item) -> bool:
    """Whether the runs of a test are recorded and judged."""
    asked = "temporal_guard" in getattr(item, "fixturenames", ())
    return asked or bool(item.config.stash[SETTINGS].of("").value and find_spec("temporalio"))


def session_of(config: pytest.Config) -> GuardSession:
    """The guard of this process, made when it is first needed."""
    if SESSION_STATE not in config.stash:
        from pytest_temporal_guard.session import GuardSession

        config.stash[SESSION_STATE] = GuardSession(config, config.stash[SETTINGS])
    return config.stash[SESSION_STATE]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a wrong marker while collecting."""
    if item.get_closest_marker(MARKER) is not None:
        item.config.stash[SETTINGS].check(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Runs belong to this test from its first fixture on."""
    if is_guarded(item):
        session_of(item.config).begin(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge after the test's own outcome is known; what the test itself says comes first."""
    report = yield
    if SESSION_STATE in item.config.stash and is_guarded(item) and call.when in ("call", "teardown"):
        session = session_of(item.config)
        verdict = session.judge(item)
        failures = [*verdict.failures, *_warn(item, verdict.warnings)]
        if failures:
            _fail(report, "\n\n".join(failures))
        attach(item, report, verdict.runs, session)
        if call.when == "teardown":
            session.end(item)
    return report


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


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let threads and servers go."""
    state: Any = config.stash.get(SESSION_STATE, None)
    if state is not None:
        state.stop()
