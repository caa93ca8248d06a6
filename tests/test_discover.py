"""Paths become files: git, .gitignore, excludes, links, and what is no file at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from temporal_lint.config import Settings
from temporal_lint.discover import Discovered, common_root, discover


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in (
        "a.py",
        "pkg/b.py",
        "pkg/readme.md",
        ".venv/c.py",
        "pkg/node_modules/d.py",
        "made/e.py",
        "pkg/made/keep.py",
        "x.py/f.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("import os\n")
    (tmp_path / ".gitignore").write_text("/made/\n")
    return tmp_path


def names(found: Discovered, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found.checked]


@pytest.mark.parametrize("with_git", [True, False])
def test_directory(tree: Path, with_git: bool) -> None:
    if with_git:
        subprocess.run(["git", "init", "-q", str(tree)], check=True)
    assert names(discover([], tree, Settings()), tree) == ["a.py", "pkg/b.py", "pkg/made/keep.py", "x.py/f.py"]
    everything = names(discover([], tree, Settings(respect_gitignore=False, extend_exclude=("x.py",))), tree)
    assert everything == ["a.py", "made/e.py", "pkg/b.py", "pkg/made/keep.py"]


def test_file_deleted_but_known_to_git_is_no_file(tree: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    subprocess.run(["git", "-C", str(tree), "add", "a.py"], check=True)
    (tree / "a.py").unlink()
    found = discover([], tree, Settings())
    assert "a.py" not in names(found, tree)
    assert not found.notes and not found.troubles


def test_checking_one_file_reads_the_project(tree: Path) -> None:
    found = discover([tree / "pkg/b.py"], tree, Settings())
    assert names(found, tree) == ["pkg/b.py"]
    assert tree / "a.py" in found.project


def test_named_file_is_checked_though_excluded_unless_forced(tree: Path) -> None:
    excluded = tree / ".venv/c.py"
    assert discover([excluded], tree, Settings()).checked == [excluded]
    assert discover([excluded], tree, Settings(), force_exclude=True).checked == []
    assert discover([tree / "a.py"], tree, Settings(), force_exclude=True).checked == [tree / "a.py"]


def test_oddities_are_told_and_do_not_stop_the_rest(tree: Path) -> None:
    (tree / "dangling.py").symlink_to("nowhere.py")
    (tree / "loop.py").symlink_to("loop.py")
    (tree / "pkg" / "up").symlink_to(tree)
    (tree / "again.py").symlink_to("a.py")
    os.mkfifo(tree / "pipe.py")
    found = discover([], tree, Settings())
    assert names(found, tree) == ["a.py", "pkg/b.py", "pkg/made/keep.py", "x.py/f.py"]
    told = "\n".join(found.notes)
    assert [told.count(word) for word in ("dangling.py", "loop.py", "pipe.py", "x.py is a directory")] == [1, 1, 1, 1]
    assert not found.troubles


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.py", "does not exist"),
        ("dangling.py", "symbolic link"),
        ("loop.py", "symbolic link"),
        ("pipe.py", "no regular file"),
    ],
)
def test_named_path_that_cannot_be_had_is_a_trouble(tree: Path, name: str, words: str) -> None:
    (tree / "dangling.py").symlink_to("nowhere.py")
    (tree / "loop.py").symlink_to("loop.py")
    os.mkfifo(tree / "pipe.py")
    found = discover([tree / name, tree / "a.py"], tree, Settings())
    assert len(found.troubles) == 1 and words in found.troubles[0]
    assert names(found, tree) == ["a.py"]


def test_common_root(tree: Path) -> None:
    assert common_root([tree / "pkg/b.py", tree / "a.py"]) == tree
    assert common_root([tree / "pkg"]) == tree / "pkg"
