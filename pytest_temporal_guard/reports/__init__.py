"""What is told of all runs: the section at the end of the terminal's output, report files, properties for JUnit.

The process that runs a test describes its runs in plain data (`data.py`) and hangs that on pytest's report of the test;
pytest-xdist carries it to the controller. There `Reports` gathers it, needs no Temporal to do so, and writes.
Everything beyond the hooks is imported when there is something to tell.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_temporal_guard import TemporalGuardWarning

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run
    from pytest_temporal_guard.session import GuardSession

RUNS = "temporal_guard"
FAULTS = "temporal_guard_faults"


def attach(item: pytest.Item, report: pytest.TestReport, runs: list[Run], session: GuardSession) -> None:
    """Hang on a report what its test's runs were, and what the recorder failed to do."""
    if runs:
        with session.recorder.guarded("the description of runs"):
            from pytest_temporal_guard.reports.data import describe

            setattr(report, RUNS, describe(item, report, runs, session.settings))
    faults = session.recorder.faults
    if faults:
        setattr(report, FAULTS, list(faults))


class Reports:
    """Gathers the runs of a session from the reports of its tests, and tells of them at the end.

    `files` are the names given by `--temporal-guard-report`, relative to the directory that pytest was started in.
    """

    def __init__(self, config: pytest.Config, files: tuple[str, ...]) -> None:
        self.config = config
        self.files = [config.invocation_params.dir / Path(each).expanduser() for each in files]
        self.runs: dict[tuple[str, ...], dict[str, Any]] = {}
        self.faults: dict[str, None] = {}
        self.written: list[Path] = []
        self.troubles: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather. A run that was still open after the call of its test comes again after the teardown."""
        for run in getattr(report, RUNS, ()):
            key = (report.nodeid, run["server"], run["namespace"], run["workflow_id"], run["run_id"])
            former = self.runs.get(key)
            if former is not None:
                run["breaches"] = former["breaches"] + [
                    each for each in run["breaches"] if each not in former["breaches"]
                ]
            self.runs[key] = run
        for fault in getattr(report, FAULTS, ()):
            if fault not in self.faults:
                self.faults[fault] = None
                self._warn(fault, report.nodeid)

    def _warn(self, fault: str, nodeid: str) -> None:
        """Put a fault in pytest's summary of warnings, past the filters: under `-W error` it would fail a test."""
        told = TemporalGuardWarning(f"The guard itself failed, which no test is blamed for: {fault}")
        where = self.config.rootpath / nodeid.partition("::")[0]
        message = warnings.WarningMessage(told, TemporalGuardWarning, str(where), 0)
        self.config.hook.pytest_warning_recorded.call_historic(
            kwargs={"warning_message": message, "nodeid": nodeid, "when": "runtest", "location": None}
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the report files, also when there were no runs: who asks for a file looks for it."""
        if not self.files or self.config.option.collectonly:
            return
        from pytest_temporal_guard.reports.files import write

        for file in self.files:
            trouble = write(file, list(self.runs.values()), list(self.faults))
            if trouble is None:
                self.written.append(file)
            else:
                self.troubles.append(trouble)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The section of the guard, if there is anything to tell."""
        if self.runs or self.written or self.troubles:
            from pytest_temporal_guard.reports.terminal import summarise

            summarise(terminalreporter, self)
