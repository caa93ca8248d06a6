"""The house keeps its order: who may import whom, and what is never imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import temporal_lint

PACKAGE = Path(temporal_lint.__file__).parent

# Each module imports only from lines above its own; a rule never imports a rule.
LAYERS = (
    ("temporal_lint", "source", "config", "sql", "sdk"),
    ("fallback", "graph", "rule", "known", "target"),
    ("tree",),
    ("spans", "facts"),
    ("edits", "resolve"),
    ("values", "expected"),
    ("definitions", "sdkcall"),
    ("calls",),
    ("project",),
    ("decorators", "converters", "queries", "nesting"),
    ("verdicts",),
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
HEAVY = ("libcst", "sqlglot", "temporalio", "pytest")


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "temporal_lint", path


def layer(name: str) -> int:
    family = f"{name.partition('.')[0]}.*"
    places = (number for number, names in enumerate(LAYERS) if name in names or ("." in name and family in names))
    place = next(places, None)
    assert place is not None, f"{name} has no place in LAYERS"
    return place


def imported(path: Path) -> Iterator[str]:
    """The modules of this package that a file imports at run time, in functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    known = {name for name, _ in modules()}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, inner = name.partition(".")
            if package == "temporal_lint":
                while inner and inner not in known:
                    inner = inner.rpartition(".")[0]
                yield inner or "temporal_lint"


@pytest.mark.parametrize(("name", "path"), [pytest.param(*each, id=each[0]) for each in modules()])
def test_imports_go_upwards(name: str, path: Path) -> None:
    for other in imported(path):
        assert layer(other) < layer(name), f"{name} imports {other}, which does not stand above it"


def loaded(code: str, *arguments: str, cwd: Path) -> set[str]:
    """The heavy modules that are loaded after `code` has run in a fresh Python."""
    script = f"import sys\n{code}\nprint('LOADED', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=cwd, capture_output=True, text=True)
    assert "LOADED" in done.stdout, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


COMMAND = "from temporal_lint import cli\ntry: cli.main()\nexcept SystemExit: pass"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded(COMMAND, "check", "--help", cwd=tmp_path) == set()


def test_run_without_temporal_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import os\n")
    assert loaded(COMMAND, "check", cwd=tmp_path) == set()


def test_linting_never_imports_what_it_checks(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from temporalio import workflow\nraise SystemExit('imported')\n")
    assert loaded(COMMAND, "check", cwd=tmp_path) == {"libcst"}


def test_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded("import pytest_temporal_guard.plugin", cwd=tmp_path) == {"pytest"}


def test_suite_without_temporal_loads_nothing_heavy(tmp_path: Path) -> None:
    """Not even with the guard on: a suite that never imports the SDK never pays for it."""
    (tmp_path / "test_it.py").write_text("def test_it(temporal_free=None): pass\n")
    code = "import pytest\npytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:randomly', *sys.argv[1:]])"
    for options in ([], ["--temporal-guard"]):
        assert loaded(code, "test_it.py", *options, cwd=tmp_path) == {"pytest"}
