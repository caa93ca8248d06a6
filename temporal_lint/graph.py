"""Which files matter: imports found by one regular expression over bytes, and what those files reach.

Nothing is parsed here. A file found too many costs a parse, an import missed costs a finding; so whatever looks like
an import counts, in strings and dead code too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_IMPORT = re.compile(
    rb"""
    (?: ^ | [;:] ) [ \t\f]*
    (?:
        from (?![\w\x80-\xff])
        ( (?: [\s.] | \\\n )* (?: [\w\x80-\xff]+ (?: [ \t\\\n]* \. [ \t\\\n]* [\w\x80-\xff]+ )* )? )
        (?: [ \t\f] | \\\n )* import (?![\w\x80-\xff])
        (?: [ \t\f] | \\\n )*
        ( \( [^)\#]* (?: \# [^\n]* \n [^)\#]* )* \) | (?: [^\n;\#\\] | \\\n )* )
      |
        import (?![\w\x80-\xff]) ( (?: [^\n;\#\\] | \\\n )* )
    )
    """,
    re.VERBOSE | re.MULTILINE,
)
_COMMENT = re.compile(rb"#[^\n]*")
_NAME = re.compile(rb"[\w\x80-\xff.]+")
_SPACE = re.compile(rb"[\s\\]+")

# `x.name = 1`, `x.name: T = 1`, `x.name += 1`, and `name = 1` inside a class (or a function, which cannot be told)
_WRITTEN = re.compile(
    rb"(?: \. | ^[ \t]+ ) ([^\W\d]\w*) [ \t]* (?: :[^=\n]* )? (?: [-+*/%@&|^] | // | \*\* | << | >> )? = (?!=)",
    re.VERBOSE | re.MULTILINE,
)
_SET = re.compile(rb"setattr(?:__)?\([^,()]+,\s*['\"](\w+)")

TEMPORAL = "temporalio"
LEGACY = "temporal"


@dataclass(frozen=True)
class Import:
    """One import statement: `from <level dots><module> import <names>`, or `import <module>` with no names."""

    level: int
    module: str
    names: tuple[str, ...] = ()


def imports(data: bytes) -> Iterator[Import]:
    """The imports of a file's bytes, in order."""
    if b"import" not in data:
        return
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for origin, members, plain in _IMPORT.findall(data.removeprefix(b"\xef\xbb\xbf")):
        if origin:
            text = _SPACE.sub(b"", origin).decode("utf-8", "replace")
            module = text.lstrip(".")
            yield Import(len(text) - len(module), module, tuple(_first_words(members)))
        else:
            for name in _first_words(plain):
                yield Import(0, name)


def _first_words(clause: bytes) -> Iterator[str]:
    """The names of "a.b as c, d", with brackets and comments."""
    for item in _COMMENT.sub(b"", clause).split(b","):
        if name := _NAME.search(item):
            yield name.group().decode("utf-8", "replace")


def module_name(path: Path, root: Path) -> tuple[str, bool]:
    """The dotted name of a file from the project's root, and whether it is a package's `__init__.py`."""
    relative = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath(*path.parts[1:])
    *parents, _ = relative.parts
    if relative.stem == "__init__" and parents:
        return ".".join(parents), True
    return ".".join((*parents, relative.stem)), False


class ModuleIndex:
    """The modules of a project, and which of them an import means.

    Modules are named from the project's root (`backend.app.main`), while code names them from wherever its imports
    start (`app.main`). `find` takes any such name and looks from the importer outwards.
    """

    def __init__(self, files: Iterable[Path], root: Path, src: Collection[str] = ()) -> None:
        self.root = root
        self.paths: dict[str, Path] = {}
        self.names: dict[Path, str] = {}
        self.packages: set[str] = set()
        self.foreign: set[str] = set()
        """Top-level names that a module of the same name imports: `clients/redis.py` with its `import redis`."""
        self._ending: dict[str, list[str]] = {}
        self._sources = {".".join(PurePosixPath(one).parts) for one in src}
        self._root_names = list(_package_names(root))
        self._found: dict[tuple[str, str], str | None] = {}
        self._marked: dict[str, bool] = {}
        for path in sorted(files, key=lambda path: (path.stem != "__init__", path)):
            name, is_package = module_name(path, root)
            if name in self.paths:
                name = f"{name}.__shadowed__"
            self.paths[name] = path
            self.names[path] = name
            if is_package:
                self.packages.add(name)
            end = name
            while end:
                self._ending.setdefault(end, []).append(name)
                end = end.partition(".")[2]

    def find(self, dotted: str, importer: str) -> str | None:
        """The module that `dotted`, a module's full dotted name, means inside the module `importer`; None if unsure."""
        home = importer if importer in self.packages else importer.rpartition(".")[0]
        key = dotted, home
        if key not in self._found:
            self._found[key] = self._choose(dotted, home, importer)
        return self._found[key]

    def _choose(self, dotted: str, home: str, importer: str) -> str | None:
        top = dotted.partition(".")[0]
        for name in self._root_names:
            inside = "__init__" if dotted == name else dotted[len(name) + 1 :] if dotted.startswith(f"{name}.") else ""
            if inside in self.paths:
                return inside
        candidates = self._ending.get(dotted)
        if not candidates or top == TEMPORAL or (dotted == top and top in sys.stdlib_module_names):
            return None
        by_start = {name[: -len(dotted)].rstrip("."): name for name in candidates}
        own_package = None
        for start in _outwards(home):
            if start not in by_start:
                continue
            if start not in self.packages:
                return by_start[start]
            own_package = own_package or start
        # A script sees what lies beside it, in a package too, before a module of another distribution.
        beside = own_package is not None and top not in sys.stdlib_module_names and top not in self.foreign
        others = [name for start, name in by_start.items() if self._is_source_root(start)]
        if not others and not beside:
            others = [name for start, name in by_start.items() if self._is_distribution(start)]
        if others:
            nearest = max(_shared(name, home) for name in others)
            others = [name for name in others if _shared(name, home) == nearest]
            return others[0] if len(others) == 1 else None
        if own_package is not None and beside:
            return by_start[own_package]
        whole = [name for start, name in by_start.items() if start not in self.packages]
        return whole[0] if len(whole) == 1 and len(candidates) == 1 and "." in dotted else None

    def _is_source_root(self, start: str) -> bool:
        """Whether the directory is made for imports to start from: configured, or called src."""
        return start in self._sources or start.rpartition(".")[2] == "src"

    def _is_distribution(self, start: str) -> bool:
        """Whether the directory is a distribution of its own, by the files that build it."""
        known = self._marked.get(start)
        if known is None:
            directory = self.root.joinpath(*start.split(".")) if start else self.root
            names = ("pyproject.toml", "setup.py", "setup.cfg")
            known = self._marked[start] = any((directory / name).exists() for name in names)
        return known

    def targets(self, importer: str, found: Iterable[Import]) -> Iterator[str]:
        """The modules of the project that imports of the module `importer` name, with repetitions."""
        home = importer if importer in self.packages else importer.rpartition(".")[0]
        for one in found:
            if one.level:
                steps = home.split(".") if home else []
                if one.level - 1 > len(steps):
                    continue
                above = steps[: len(steps) - (one.level - 1)] + ([one.module] if one.module else [])
                names = [above, *([*above, member] for member in one.names)]
                yield from (name for name in map(".".join, names) if name in self.paths)
                continue
            if (base := self.find(one.module, importer)) is not None:
                yield base
            for member in one.names:
                if (name := self.find(f"{one.module}.{member}", importer)) is not None:
                    yield name
            if not one.names and base is None:
                yield from self._longest(one.module, importer)

    def _longest(self, dotted: str, importer: str) -> Iterator[str]:
        """For `import a.b.c` where c is no file: the deepest package of it that is."""
        while "." in dotted:
            dotted = dotted.rpartition(".")[0]
            if (name := self.find(dotted, importer)) is not None:
                yield name
                return


def _package_names(root: Path) -> Iterator[str]:
    """The names that code has for the root where that is a package itself: `app`, `backend.app`."""
    parts: list[str] = []
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        yield ".".join(parts)
        root = root.parent


def _outwards(home: str) -> Iterator[str]:
    yield home
    while home:
        home = home.rpartition(".")[0]
        yield home


def _shared(name: str, home: str) -> int:
    count = 0
    for one, other in zip(name.split("."), home.split("."), strict=False):
        if one != other:
            break
        count += 1
    return count


@dataclass(frozen=True)
class Reach:
    """`users` import Temporal or a configured library; `files` adds what they import and who imports them.

    `beside` are files that import one of `files`, at once or through others, and are none of them.
    """

    index: ModuleIndex
    users: frozenset[Path]
    files: tuple[Path, ...]
    beside: tuple[Path, ...]


def reach(index: ModuleIndex, read: Callable[[Path], bytes], libraries: Collection[str] = ()) -> Reach:
    """The files that matter, sorted. `libraries` are top-level packages that count like temporalio.

    A file that cannot be read (OSError from `read`) imports nothing.
    """
    found: dict[str, list[Import]] = {}
    for name, path in index.paths.items():
        try:
            found[name] = list(imports(read(path)))
        except OSError:
            found[name] = []
        own = name.rpartition(".")[2]
        if any(one.level == 0 and one.module.partition(".")[0] == own for one in found[name]):
            index.foreign.add(own)
    users = {name for name, ones in found.items() if any(_uses_temporal(one, name, index, libraries) for one in ones)}
    aims: Mapping[str, set[str]] = {name: set(index.targets(name, ones)) for name, ones in found.items()}
    reached = set(users)
    waiting = list(users)
    while waiting:
        for aim in aims[waiting.pop()] - reached:
            reached.add(aim)
            waiting.append(aim)
    callers = {name for name, targets in aims.items() if not targets.isdisjoint(users)}
    files = reached | callers
    importers: dict[str, set[str]] = {}
    for name, targets in aims.items():
        for target in targets:
            importers.setdefault(target, set()).add(name)
    beside: set[str] = set()
    waiting = list(files)
    while waiting:
        for name in importers.get(waiting.pop(), set()) - files - beside:
            beside.add(name)
            waiting.append(name)
    return Reach(
        index,
        frozenset(index.paths[name] for name in users),
        tuple(sorted(index.paths[name] for name in files)),
        tuple(sorted(index.paths[name] for name in beside)),
    )


def is_test(path: Path, module: str) -> bool:
    """Whether a file belongs to a test suite, by the names pytest and unittest use."""
    return (
        path.name == "conftest.py"
        or path.name.startswith("test_")
        or path.stem.endswith("_test")
        or any(part in ("tests", "test") for part in module.split("."))
    )


def written_names(paths: Iterable[Path], read: Callable[[Path], bytes]) -> frozenset[str]:
    """The names that files may give to attributes of others, or of their own classes; unreadable files give none."""
    found: set[bytes] = set()
    for path in paths:
        try:
            data = read(path)
        except OSError:
            continue
        found.update(_WRITTEN.findall(data))
        if b"setattr" in data:
            found.update(_SET.findall(data))
    return frozenset(each.decode("utf-8", "replace") for each in found)


def _uses_temporal(one: Import, importer: str, index: ModuleIndex, libraries: Collection[str]) -> bool:
    if one.level:
        return False
    top = one.module.partition(".")[0]
    if top == TEMPORAL:
        return True
    if top == LEGACY:
        return index.find(top, importer) is None and index.find(one.module, importer) is None
    return top in libraries and index.find(top, importer) is None
