"""Rules of other distributions, found by their entry points: a package, one module, and what cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from temporal_lint import rules
from temporal_lint.config import ConfigError

RULE = '''"""A workflow of the name `Flow`.

## What
Reports it.

## Why
It is no name.

## Invalid
```python
from temporalio import workflow


@workflow.defn
class Flow: ...  # expect
```

## Valid
```python
from temporalio import workflow


@workflow.defn
class Order: ...
```
"""

from collections.abc import Iterator

from temporal_lint.project import Project, Workflow
from temporal_lint.rule import Finding, Severity, rule


@rule("ACME1", Severity.WARNING)
def empty_name(workflow: Workflow, project: Project) -> Iterator[Finding]:
    if workflow.cls.name == "Flow":
        yield Finding(workflow.cls.module, workflow.cls.node, "`Flow` says nothing.", "Name what it does.")
'''
FLOW = "from temporalio import workflow\n\n\n@workflow.defn\nclass Flow: ...\n"


def install(site: Path, entry: str, files: dict[str, str]) -> None:
    """A distribution `acme` in a directory of sys.path, as pip leaves it, with one entry point."""
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{rules.GROUP}]\nacme = {entry}\n")
    for name, text in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)


PACKAGE = {"acme_lint/__init__.py": "", "acme_lint/empty_name.py": RULE}


@pytest.mark.parametrize(("entry", "files"), [("acme_lint", PACKAGE), ("empty_name", {"empty_name.py": RULE})])
def test_an_installed_distribution_adds_rules(tmp_path: Path, entry: str, files: dict[str, str]) -> None:
    install(tmp_path / "site", entry, files)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "flow.py").write_text(FLOW)

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "temporal_lint", *arguments]
        path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parent.parent)])
        done = subprocess.run(
            command, cwd=tmp_path / "app", capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        assert not done.stderr
        return done.stdout

    assert "flow.py:5:7: warning: ACME1 `Flow` says nothing." in run("check", "--output-format", "concise")
    assert "ACME1" not in run("check", "--ignore", "ACME", "--output-format", "concise")
    assert run("rules").startswith("ACME1 ")
    assert run("rule", "empty-name").startswith("# empty-name (ACME1)")


@pytest.mark.parametrize(
    ("entry", "files", "words"),
    [
        ("acme_nowhere", {}, "The rules of the entry point `acme` cannot be loaded: No module named 'acme_nowhere'."),
        ("acme_value:RULES", {"acme_value.py": "RULES = []\n"}, "must name a module or a package"),
        ("acme_none", {"acme_none.py": "x = 1\n"}, "a rule file holds one function decorated with @rule, not 0"),
        ("acme_broken", {"acme_broken/__init__.py": "", "acme_broken/x.py": "1 / 0\n"}, "ZeroDivisionError"),
        ("acme_other", {"acme_other.py": RULE}, "the rule is named `empty-name`; by its file it must be `acme-other`"),
        ("empty_name", {"empty_name.py": RULE.replace("ACME1", "TMP101")}, "the code `TMP101` belongs to"),
    ],
)
def test_what_cannot_be_loaded_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, files: dict[str, str], words: str
) -> None:
    install(tmp_path, entry, files)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        rules.load()
    for name in [each for each in sys.modules if each.startswith(("acme_", "empty_name"))]:
        del sys.modules[name]
    assert words in str(caught.value)
