"""Small projects from text: what the tests of rules, facts and resolution lint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from temporal_lint import engine, facts
from temporal_lint.config import Settings
from temporal_lint.project import Project
from temporal_lint.rule import Finding, Rule
from temporal_lint.rules import load
from temporal_lint.source import Source

ROOT = Path("/project")


def project(files: dict[str, str] | str, **settings: Any) -> Project:
    """A Project of files {path: text}; a bare text is `app.py`."""
    given = {"app.py": files} if isinstance(files, str) else files
    modules = []
    for path, text in given.items():
        parts = path.removesuffix(".py").split("/")
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        modules.append(facts.gather(Source(ROOT / path, text), name, package))
    return Project(modules, Settings(**settings))


def findings(files: dict[str, str] | str, *rules: str, **settings: Any) -> list[tuple[Rule, Finding]]:
    """What the named rules (codes; none: all of them) find, in module and source order."""
    joined = project(files, **settings)
    chosen = [each for each in load() if not rules or each.code in rules]
    troubles: list[str] = []
    found = [pair for module in joined.modules.values() for pair in engine.judge(joined, module, chosen, troubles)]
    assert not troubles, troubles
    return found
