"""A pytest plugin that runs Temporal workflows in a time-skipping server and asserts what no linter can see."""

from __future__ import annotations

HISTORY_SUFFIX = ".history.json"
"""Files that end so are recorded histories: exported, saved, and collected as tests."""


class TemporalGuardWarning(UserWarning):
    """Something that a guard set to `warn` found, or a fault of the guard itself."""


class StuckWorkflowError(AssertionError):
    """A workflow that a test waits for makes no progress: its tasks fail again and again, for the reason given."""
