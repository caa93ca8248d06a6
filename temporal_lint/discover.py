"""From paths on the command line to the files to check, and to all files of the project around them."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from temporal_lint.config import Settings, globs

# A path and what is odd about it: subject and rest of a sentence.
Oddity = tuple[str, str]

# Notes that say the same of more paths than this become one.
_ALIKE = 3
# In a git hook these name the repository of the hook, which need not be that of the files.
_GIT_OF_THE_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")


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
    odd: list[Oddity] = []
    excluded = globs((*settings.exclude, *settings.extend_exclude), "exclude")
    project = set(_listed(root, root, excluded, settings.respect_gitignore, odd))
    checked: set[Path] = set()
    for path in paths or [root]:
        if _is_directory(path):
            if path.suffix == ".py":
                odd.append((str(path), "is a directory; the files in it are checked."))
            if path.is_relative_to(root):
                inside = {one for one in project if one.is_relative_to(path)}
                # A directory named on the command line is looked at even where the project leaves it out.
                if not inside and path != root and not force_exclude:
                    inside = set(_listed(path, path, excluded, settings.respect_gitignore, odd))
                checked |= inside
            else:
                checked |= set(_listed(path, path, excluded, settings.respect_gitignore, odd))
        elif (trouble := _trouble(path)) is not None:
            found.troubles.append(f"{path} {trouble}")
        elif force_exclude and path not in project and _excludes(excluded, path, root):
            continue
        else:
            checked.add(path)
            found.named.add(path)
    asked = paths or [root]
    found.notes = _sentences([each for each in odd if any(Path(each[0]).is_relative_to(path) for path in asked)])
    found.project = sorted(project | checked)
    found.checked = sorted(checked)
    return found


def common_root(paths: Sequence[Path]) -> Path:
    """The deepest directory that holds all `paths`, where the search for a configuration starts."""
    directories = [next((one for one in (path, *path.parents) if _is_directory(one)), path.parent) for path in paths]
    return Path(os.path.commonpath(directories))


def _sentences(odd: Sequence[Oddity]) -> list[str]:
    """One sentence for each path, and one for all where the same holds for many."""
    alike: dict[str, list[str]] = {}
    for path, what in dict.fromkeys(odd):
        alike.setdefault(what, []).append(path)
    told: list[str] = []
    for what, paths in alike.items():
        if len(paths) <= _ALIKE:
            told += [f"{path} {what}" for path in paths]
        else:
            told.append(f"{paths[0]} {what} The same holds for {len(paths) - 1} more paths.")
    return told


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _trouble(path: Path) -> str | None:
    """Why `path` is no file that can be read, as the rest of a sentence; None where it is one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            return "is a symbolic link to a file that does not exist."
        return "does not exist."
    except OSError as error:
        if path.is_symlink():
            return f"is a symbolic link that cannot be followed: {error.strerror}."
        return f"cannot be read: {error.strerror}."
    return None if stat.S_ISREG(mode) else "is no regular file."


def _excludes(excluded: GitIgnoreSpec, path: Path, root: Path) -> bool:
    relative = path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[1:])
    return excluded.match_file(relative.as_posix())


def _listed(directory: Path, root: Path, excluded: GitIgnoreSpec, gitignore: bool, odd: list[Oddity]) -> Iterator[Path]:
    """The Python files below `directory`; each real file once, however many links lead to it."""
    seen: dict[str, Path] = {}
    names = (_git_files(directory) if gitignore else None) or _walk(directory, root, excluded, gitignore, odd)
    for path in sorted(names):
        if _excludes(excluded, path, root):
            continue
        if path.is_symlink():
            if (trouble := _trouble(path)) is not None:
                odd.append((str(path), trouble))
                continue
            real = os.path.realpath(path)
            if Path(real).is_relative_to(root):
                continue
            seen.setdefault(real, path)
        elif (trouble := _trouble(path)) is None:
            seen.setdefault(str(path), path)
        elif path.exists():
            odd.append((str(path), trouble))
    yield from seen.values()


def _git_files(directory: Path) -> list[Path] | None:
    """What git would not ignore below `directory`; None without git or outside a repository."""
    commands = [["--cached", "--others", "--exclude-standard"]]
    if (directory / ".gitmodules").exists():
        commands = [["--cached", "--recurse-submodules"], ["--others", "--exclude-standard"]]
    environment = {key: value for key, value in os.environ.items() if key not in _GIT_OF_THE_HOOK}
    names: set[str] = set()
    for options in commands:
        try:
            answer = subprocess.run(
                ["git", "-C", str(directory), "ls-files", "-z", *options, "--", "*.py"],
                capture_output=True,
                check=True,
                env=environment,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        names.update(os.fsdecode(name) for name in answer.stdout.split(b"\0") if name)
    return [directory / name for name in names]


def _walk(directory: Path, root: Path, excluded: GitIgnoreSpec, gitignore: bool, odd: list[Oddity]) -> Iterator[Path]:
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
        odd.append((str(error.filename), f"cannot be read: {error.strerror}."))

    for current, directories, files in os.walk(directory, onerror=complain):
        if gitignore and ".gitignore" in files:
            try:
                text = Path(current, ".gitignore").read_text(encoding="utf-8", errors="replace")
                ignored[current] = GitIgnoreSpec.from_lines(text.splitlines())
            except (OSError, ValueError) as error:
                odd.append((f"{current}/.gitignore", f"cannot be used: {error}."))
        directories[:] = [name for name in directories if not is_ignored(os.path.join(current, name), "/")]
        for name in directories:
            if name.endswith(".py") and not os.path.islink(os.path.join(current, name)):
                odd.append((os.path.join(current, name), "is a directory; the files in it are checked."))
        for name in files:
            if name.endswith(".py") and not is_ignored(os.path.join(current, name), ""):
                yield Path(current, name)
