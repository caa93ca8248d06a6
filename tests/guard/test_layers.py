"""The guard keeps its order: who may import whom, and what is never imported before it is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from layers import Layers, loaded

import pytest_temporal_guard

# Each module imports only from lines above its own; a guard never imports a guard.
LAYERS = (
    ("pytest_temporal_guard", "wording", "stacks", "arrival", "settings", "sidecar", "turns", "orphans", "parsing"),
    ("server",),
    ("clock",),
    ("environment", "local_servers"),
    ("payloads",),
    ("runs", "state"),
    ("commands", "failures", "preserve", "loops"),
    ("recorder", "watchdog", "redo"),
    ("hooks",),
    ("sleeps",),
    ("virtual", "alone"),
    ("keeper",),
    ("bench",),
    ("replay",),
    ("seeds",),
    ("guards",),
    ("guards.*",),
    ("session",),
    ("process",),
    ("fixtures", "collect"),
    ("reports.data", "reports.figures"),
    ("reports.html", "reports.terminal"),
    ("reports.files",),
    ("reports",),
    ("plugin",),
    ("redact", "pages"),
    ("export",),
    ("__main__",),
)
HOUSE = Layers(pytest_temporal_guard, LAYERS)
# Loaded with pytest, whether a suite knows Temporal or not.
LIGHT = ("settings", "arrival", "wording", "guards", "guards.*", "process", "fixtures", "reports", "plugin")
TABLE = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("# The guard")[2]


@pytest.mark.parametrize(("name", "path"), [pytest.param(*each, id=each[0]) for each in HOUSE.modules()])
def test_imports_go_upwards(name: str, path: Path) -> None:
    HOUSE.assert_upwards(name, path)


def test_every_module_named_is_there() -> None:
    assert HOUSE.unknown() == set()


def test_table_has_every_module() -> None:
    """The table in ARCHITECTURE.md names each module once, and its rows are in the order of the layers."""
    rows = [re.findall(r"`([\w./]+)`", row) for row in re.findall(r"^\| (`.*?) \|", TABLE, re.MULTILINE)]
    named = [each.rstrip("/") for row in rows for each in row]
    modules = [name for name, _ in HOUSE.modules() if name not in ("pytest_temporal_guard", "__main__")]
    assert sorted(named) == sorted({each.partition(".")[0] for each in modules})
    row_of = {each.rstrip("/"): number for number, row in enumerate(rows) for each in row}
    for name, path in HOUSE.modules():
        for other in HOUSE.imported(path):
            if {name, other}.isdisjoint(("pytest_temporal_guard", "__main__")):
                above, own = row_of[other.partition(".")[0]], row_of[name.partition(".")[0]]
                assert above <= own, f"{name} imports {other}, which the table has below it"


def test_plugin_loads_what_is_light(tmp_path: Path) -> None:
    """No SDK, and no module of the guard but those that hooks, options and pages need."""
    assert loaded("import pytest_temporal_guard.plugin", cwd=tmp_path) == {"pytest"}
    names = [name for name, _ in HOUSE.modules() if name != "__main__"]
    light = {each for each in names if each in LIGHT or f"{each.partition('.')[0]}.*" in LIGHT} | {HOUSE.name}
    code = "import sys; from pytest_temporal_guard import plugin; [*plugin.of_guards()]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    here = {each for each in done.stdout.split() if each.partition(".")[0] == HOUSE.name}
    assert {each.partition(".")[2] or each for each in here} == light


def test_suite_without_temporal_loads_nothing_heavy(tmp_path: Path) -> None:
    """Not even with the guard on: a suite that never imports the SDK never pays for it."""
    (tmp_path / "test_it.py").write_text("def test_it(temporal_free=None): pass\n")
    code = "import pytest\npytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:randomly', *sys.argv[1:]])"
    for options in ([], ["--temporal-guard"]):
        assert loaded(code, "test_it.py", *options, cwd=tmp_path) == {"pytest"}


GUARDS = """
def test_it(request):
    import sys
    option = request.config.getoption("temporal_guard_max_activities", "absent") != "absent"
    print("guards:", "pytest_temporal_guard.guards.history" in sys.modules, option)
"""


@pytest.mark.parametrize(
    ("ini", "arguments", "named"),
    [
        ("", [], False),
        ("", ["--temporal-guard-max-activities=3"], True),
        ("temporal_guard_max_activities = 3\n", [], True),
        ("", ["-o", "temporal_guard_max_activities=3"], True),
    ],
)
def test_guards_are_loaded_where_one_is_named(tmp_path: Path, ini: str, arguments: list[str], named: bool) -> None:
    (tmp_path / "test_it.py").write_text(GUARDS)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}")
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "test_it.py", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"guards: {named} {named}" in done.stdout
