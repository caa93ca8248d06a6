"""What a project runs on: the oldest Python and the release of the SDK, as the files at its root say, else those of
the projects in the directories below it.

Only what is certain counts: a range that leaves the release open says nothing, nor does a file that is no proper TOML.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from temporal_lint import sdk
from temporal_lint.config import Settings

Release = tuple[int, ...]

# A repository of several projects keeps them this deep, and none of them in these directories.
_LEVELS = 3
_SKIPPED = frozenset(("node_modules", "venv", "site-packages", "build", "dist"))
_MARKS = ("pyproject.toml", "requirements.txt", "Pipfile.lock", "uv.lock", "poetry.lock", "pdm.lock")
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
_REQUIREMENTS = ("requirements*.txt", "requirements*.in", "requirements*.lock", "constraints*.txt", "requirements/*.*")
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)")
# `temporalio[pydantic] == 1.8.0`, with or without what stands behind it
_OURS = re.compile(r"^\s*temporalio\s*(?:\[[^\]]*\])?\s*([=~<>!][^;#]*)", re.IGNORECASE)
_EXACT = re.compile(r"={2,3}\s*(\d+(?:\.\d+)*)")
# `~= 1.8.2` stays with 1.8; `~= 1.8` goes up to the next major release
_COMPATIBLE = re.compile(r"~=\s*(\d+\.\d+\.\d+)")
_UP_TO = re.compile(r"<(=?)\s*(\d+)\.(\d+)((?:\.\d+)*)")
_AT_LEAST = re.compile(r"(?:>=?|={2,3}|~=?|\^)\s*(\d+\.\d+)")


def completed(settings: Settings, root: Path) -> Settings:
    """`settings` with the versions that the configuration leaves open, as far as the files below `root` tell them."""
    python, release_ = settings.python_version or _oldest_python(root), settings.sdk_version or _locked_sdk(root)
    if python is None or release_ is None:
        inner = list(_projects_below(root))
        python = python or min(filter(None, map(_oldest_python, inner)), key=_comparable, default=None)
        release_ = release_ or min(filter(None, map(_locked_sdk, inner)), key=_comparable, default=None)
    return replace(settings, python_version=python, sdk_version=release_)


def _projects_below(root: Path) -> Iterator[Path]:
    """The directories under `root` that look like projects of their own; the nearest levels only."""
    level = [root]
    for _ in range(_LEVELS):
        level = [each for directory in level for each in _directories(directory)]
        yield from (each for each in level if any((each / name).is_file() for name in _MARKS))


def _directories(directory: Path) -> list[Path]:
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return []
    return [
        Path(each.path)
        for each in sorted(entries, key=lambda each: each.name)
        if not each.name.startswith((".", "_")) and each.name not in _SKIPPED and each.is_dir(follow_symlinks=False)
    ]


def release(version: str | None) -> Release | None:
    """A version as numbers that compare: "1.8.0" gives (1, 8, 0)."""
    return tuple(int(part) for part in version.split(".")) if version else None


def _comparable(version: str) -> Release:
    return release(version) or ()


def _oldest_python(root: Path) -> str | None:
    """The lower bound of `requires-python`, or what `.python-version` names where that is newer."""
    project = _toml(root / "pyproject.toml")
    declared = _at(project, "project", "requires-python") or _at(project, "tool", "poetry", "dependencies", "python")
    found = re.findall(r"\d+\.\d+", _text(root / ".python-version"))[:1]
    if isinstance(declared, str) and "|" not in declared:
        found += _AT_LEAST.findall(declared)
    return max(found, key=_comparable, default=None)


def _locked_sdk(root: Path) -> str | None:
    """The release that a lock file holds, else the one that requirements pin; of several, the oldest."""
    for versions in (_in_locks(root), _in_requirements(root), _in_pyproject(root)):
        found = [each for each in versions if re.fullmatch(r"\d+(\.\d+)*", each)]
        if found:
            return min(found, key=_comparable)
    return None


def _in_locks(root: Path) -> Iterator[str]:
    for name in _LOCKS:
        packages = _toml(root / name).get("package")
        for each in packages if isinstance(packages, list) else ():
            if isinstance(each, dict) and each.get("name") == "temporalio":
                yield str(each.get("version"))
    yield from _in_pipfile(root)


def _in_pipfile(root: Path) -> Iterator[str]:
    text = _text(root / "Pipfile.lock")
    try:
        locked = json.loads(text) if "temporalio" in text else {}
    except (ValueError, RecursionError):
        return
    for group in ("default", "develop"):
        exact = _at(locked, group, "temporalio", "version")
        if isinstance(exact, str):
            yield exact.removeprefix("==")


def _in_requirements(root: Path) -> Iterator[str]:
    waiting = [file for pattern in _REQUIREMENTS for file in sorted(root.glob(pattern))]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop(0)
        if file in seen:
            continue
        seen.add(file)
        lines = _text(file).splitlines()
        yield from _pinned(lines)
        waiting += [file.parent / found[1] for line in lines if (found := _INCLUDE.match(line))]


def _in_pyproject(root: Path) -> Iterator[str]:
    project = _toml(root / "pyproject.toml")
    groups = [_at(project, "project", "dependencies")]
    for table in (_at(project, "project", "optional-dependencies"), _at(project, "dependency-groups")):
        groups += table.values() if isinstance(table, dict) else []
    for group in groups:
        yield from _pinned(each for each in group if isinstance(each, str)) if isinstance(group, list) else ()
    poetry = _at(project, "tool", "poetry", "dependencies", "temporalio")
    exact = poetry.get("version") if isinstance(poetry, dict) else poetry
    if isinstance(exact, str):
        # a bare version is an exact one to Poetry
        yield exact.removeprefix("==").strip()


def _pinned(requirements: Iterable[str]) -> Iterator[str]:
    for each in requirements:
        ours = _OURS.match(each)
        if ours is None:
            continue
        if found := _EXACT.search(ours[1]) or _COMPATIBLE.search(ours[1]):
            yield found[1]
        elif bound := _UP_TO.search(ours[1]):
            # the newest release that may be installed, where that is older than what the tables describe
            including, major, minor, patch = bound[1], int(bound[2]), int(bound[3]), bound[4]
            if not including and not patch.strip(".0"):
                minor, patch = minor - 1, ""
            if minor >= 0 and (major, minor) < (release(sdk.version()) or ())[:2]:
                yield f"{major}.{minor}{patch if including else ''}"


def _at(table: Any, *keys: str) -> Any:
    """What nested tables hold at a path of keys; None where one of them is missing."""
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _toml(file: Path) -> Mapping[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = _text(file)
    try:
        return tomllib.loads(text) if "temporalio" in text or file.name == "pyproject.toml" else {}
    except tomllib.TOMLDecodeError:
        return {}


def _text(file: Path) -> str:
    """A file's text, "" where there is none: other tools' files are not ours to complain about."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    except OSError:
        return ""
