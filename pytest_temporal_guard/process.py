"""What one pytest process has of the guard: its settings, the test that runs, and its session once that is needed.

Part of the plugin itself, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_temporal_guard.settings import Settings

if TYPE_CHECKING:
    from pytest_temporal_guard.session import GuardSession

SETTINGS = pytest.StashKey[Settings]()
CURRENT = pytest.StashKey["pytest.Item | None"]()
SESSION_STATE = pytest.StashKey["GuardSession"]()
_BEING_MADE = pytest.StashKey[bool]()


def is_on(config: pytest.Config) -> bool:
    """Whether the guard is on for the whole suite."""
    return bool(config.stash[SETTINGS].of("").value)


def is_guarded(item: pytest.Item) -> bool:
    """Whether the runs of a test are recorded and judged."""
    return "temporal_guard" in getattr(item, "fixturenames", ()) or is_on(item.config)


def session_of(config: pytest.Config) -> GuardSession:
    """The guard of this process, made when it is first needed."""
    if SESSION_STATE not in config.stash:
        config.stash[_BEING_MADE] = True
        try:
            from pytest_temporal_guard.session import GuardSession

            config.stash[SESSION_STATE] = GuardSession(config, config.stash[SETTINGS])
            config.stash[SESSION_STATE].begin(config.stash.get(CURRENT, None))
        finally:
            del config.stash[_BEING_MADE]
        if is_on(config):
            sdk_arrived(config)
    return config.stash[SESSION_STATE]


def sdk_arrived(config: pytest.Config) -> None:
    """A part of the SDK has been imported: put the hooks in place that need it, and do no more than once."""
    if _BEING_MADE not in config.stash:  # else the guard's own import brought it, and `session_of` calls this again
        session = session_of(config)
        session.install()
        if getattr(sys.modules.get("temporalio.testing"), "WorkflowEnvironment", None) is not None:
            session.use_local_servers()
