"""The house keeps its order: who may import whom, and what is never imported before it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from layers import Layers, loaded

import temporal_lint

# Each module imports only from lines above its own; a rule never imports a rule.
LAYERS = (
    ("temporal_lint", "source", "config", "sql", "sdk"),
    ("fallback", "graph", "rule", "known", "target"),
    ("tree",),
    ("spans", "facts"),
    ("writes",),
    ("edits", "resolve"),
    ("values", "expected"),
    ("definitions", "sdkcall"),
    ("calls",),
    ("project",),
    ("decorators", "converters", "queries", "nesting"),
    ("verdicts", "repeats"),
    ("shapes",),
    ("serial", "sizes"),
    ("contracts",),
    ("rules.*",),
    ("rules",),
    ("engine", "pages", "discover"),
    ("suppress", "report"),
    ("report.*",),
    ("run",),
    ("cli",),
    ("__main__",),
)
HOUSE = Layers(temporal_lint, LAYERS)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*each, id=each[0]) for each in HOUSE.modules()])
def test_imports_go_upwards(name: str, path: Path) -> None:
    HOUSE.assert_upwards(name, path)


COMMAND = "from temporal_lint import cli\ntry: cli.main()\nexcept SystemExit: pass"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded(COMMAND, "check", "--help", cwd=tmp_path) == set()


def test_run_without_temporal_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import os\n")
    assert loaded(COMMAND, "check", cwd=tmp_path) == set()


def test_linting_never_imports_what_it_checks(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from temporalio import workflow\nraise SystemExit('imported')\n")
    assert loaded(COMMAND, "check", cwd=tmp_path) == {"libcst"}
