"""From paths on the command line to the files to check, and to all files of the project around them."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from temporal_lint.config import Settings


@dataclass
class Discovered:
    """What was found, absolute paths, sorted.

    `checked` are the files whose findings are reported, `project` all files that are read (a superset), `named` the
    files given one by one. `notes` tell of something odd in the tree; `troubles` of a path that was asked for and
    cannot be had.
    """

    checked: list[Path] = field(default_factory=list)
    project: list[Path] = field(default_factory=list)
    named: set[Path] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def discover(paths: Sequence[Path], root: Path, settings: Settings, force_exclude: bool = False) -> Discovered:
    """Look at `paths` (absolute; none means the root) and at the project in the directory `root`."""
    found = Discovered()
    excluded = GitIgnoreSpec.from_lines((*settings.exclude, *settings.extend_exclude))
    project = set(_listed(root, root, excluded, settings.respect_gitignore, found.notes))
    checked: set[Path] = set()
    for path in paths or [root]:
        if _is_directory(path):
            if path.suffix == ".py":
                found.notes.append(f"{path} is a directory; the files in it are checked.")
            if path.is_relative_to(root):
                inside = {one for one in project if one.is_relative_to(path)}
                # A directory named on the command line is looked at even where the project leaves it out.
                if not inside and path != root and not force_exclude:
                    inside = set(_listed(path, path, excluded, settings.respect_gitignore, found.notes))
                checked |= inside
            else:
                checked |= set(_listed(path, path, excluded, settings.respect_gitignore, found.notes))
        elif (trouble := _trouble(path)) is not None:
            found.troubles.append(trouble)
        elif force_exclude and path not in project and _excludes(excluded, path, root):
            continue
        else:
            checked.add(path)
            found.named.add(path)
    found.project = sorted(project | checked)
    found.checked = sorted(checked)
    return found


def common_root(paths: Sequence[Path]) -> Path:
    """The deepest directory that holds all `paths`, where the search for a configuration starts."""
    directories = [path if _is_directory(path) else path.parent for path in paths]
    return Path(os.path.commonpath(directories))


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _trouble(path: Path) -> str | None:
    """One sentence on why `path` is no file that can be read; None where it is one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            return f"{path} is a symbolic link to a file that does not exist."
        return f"{path} does not exist."
    except OSError as error:
        if path.is_symlink():
            return f"{path} is a symbolic link that cannot be followed: {error.strerror}."
        return f"{path} cannot be read: {error.strerror}."
    return None if stat.S_ISREG(mode) else f"{path} is no regular file."


def _excludes(excluded: GitIgnoreSpec, path: Path, root: Path) -> bool:
    relative = path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[1:])
    return excluded.match_file(relative.as_posix())


def _listed(directory: Path, root: Path, excluded: GitIgnoreSpec, gitignore: bool, notes: list[str]) -> Iterator[Path]:
    """The Python files below `directory`; each real file once, however many links lead to it."""
    seen: dict[str, Path] = {}
    names = (_git_files(directory) if gitignore else None) or _walk(directory, root, excluded, gitignore, notes)
    for path in sorted(names):
        if _excludes(excluded, path, root):
            continue
        if path.is_symlink():
            if (trouble := _trouble(path)) is not None:
                notes.append(trouble)
                continue
            real = os.path.realpath(path)
            if Path(real).is_relative_to(root):
                continue
            seen.setdefault(real, path)
        elif (trouble := _trouble(path)) is None:
            seen.setdefault(str(path), path)
        elif path.exists():
            notes.append(trouble)
    yield from seen.values()


def _git_files(directory: Path) -> list[Path] | None:
    """What git would not ignore below `directory`; None without git or outside a repository."""
    commands = [["--cached", "--others", "--exclude-standard"]]
    if (directory / ".gitmodules").exists():
        commands = [["--cached", "--recurse-submodules"], ["--others", "--exclude-standard"]]
    names: set[str] = set()
    for options in commands:
        try:
            answer = subprocess.run(
                ["git", "-C", str(directory), "ls-files", "-z", *options, "--", "*.py"], capture_output=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        names.update(os.fsdecode(name) for name in answer.stdout.split(b"\0") if name)
    return [directory / name for name in names]


def _walk(directory: Path, root: Path, excluded: GitIgnoreSpec, gitignore: bool, notes: list[str]) -> Iterator[Path]:
    ignored: dict[str, GitIgnoreSpec] = {}

    def is_ignored(path: str, suffix: str) -> bool:
        if excluded.match_file(os.path.relpath(path, root) + suffix):
            return True
        above = os.path.dirname(path)
        while True:
            spec = ignored.get(above)
            if spec is not None and spec.match_file(os.path.relpath(path, above) + suffix):
                return True
            if len(above) <= len(str(directory)):
                return False
            above = os.path.dirname(above)

    def complain(error: OSError) -> None:
        notes.append(f"{error.filename} cannot be read: {error.strerror}.")

    for current, directories, files in os.walk(directory, onerror=complain):
        if gitignore and ".gitignore" in files:
            try:
                text = Path(current, ".gitignore").read_text(encoding="utf-8", errors="replace")
                ignored[current] = GitIgnoreSpec.from_lines(text.splitlines())
            except (OSError, ValueError) as error:
                notes.append(f"{current}/.gitignore cannot be used: {error}.")
        directories[:] = [name for name in directories if not is_ignored(os.path.join(current, name), "/")]
        for name in directories:
            if name.endswith(".py") and not os.path.islink(os.path.join(current, name)):
                notes.append(f"{os.path.join(current, name)} is a directory; the files in it are checked.")
        for name in files:
            if name.endswith(".py") and not is_ignored(os.path.join(current, name), ""):
                yield Path(current, name)
