"""Small Temporal projects under `fixtures/`: what is marked is found, and every unmarked line is silent.

`# expect: name` at the end of a line wants exactly these findings on it (several names: `a, b`). `# expect-todo: name`
is a known miss and `# expect-wrong: name` a known false alarm; each fails once it is no longer so.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from temporal_lint import run

FIXTURES = Path(__file__).parent / "fixtures"
# suites that the guard's tests run, wrong on purpose where the guard must say so
NOT_LINTED = ("good", "guard")
PROJECTS = sorted(
    each
    for each in [*FIXTURES.iterdir(), *(FIXTURES / "good").iterdir()]
    if each.is_dir() and each.name not in NOT_LINTED
)
_MARK = re.compile(r"# (expect|expect-todo|expect-wrong): ([\w, -]+?)\s*(?=#|$)")


def marks(project: Path) -> dict[str, set[tuple[str, int, str]]]:
    """(file, row, name) of every mark, by kind of mark."""
    found: dict[str, set[tuple[str, int, str]]] = {"expect": set(), "expect-todo": set(), "expect-wrong": set()}
    for path in project.rglob("*.py"):
        for row, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for mark in _MARK.finditer(line):
                found[mark[1]] |= {(str(path.relative_to(project)), row, name.strip()) for name in mark[2].split(",")}
    return found


@pytest.mark.parametrize("project", PROJECTS, ids=[each.name for each in PROJECTS])
def test_marked_lines_and_no_others(project: Path, tmp_path: Path) -> None:
    # away from here: under a directory named `tests` everything would count as a test
    directory = tmp_path / project.name
    shutil.copytree(project, directory, ignore=shutil.ignore_patterns("__pycache__"))
    request = run.Request(directory=directory)
    result = run.check(request, *run.configure(request))
    assert not result.troubles
    found = {(str(Path(each.path).relative_to(directory)), each.row, each.name) for each in result.diagnostics}
    wanted = marks(project)
    assert found - wanted["expect-wrong"] == wanted["expect"] | (found & wanted["expect-todo"])
    assert not found & wanted["expect-todo"], "known misses are found now: mark them `expect`"
    assert wanted["expect-wrong"] <= found, "known false alarms are gone: remove the marks"


def test_good_projects_have_no_mark() -> None:
    for project in (FIXTURES / "good").iterdir():
        assert not any(marks(project).values())
