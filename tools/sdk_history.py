"""Write `temporal_lint/data/sdk_history.json`: which names of the Temporal SDK came and went, and with which release.

Run `python tools/sdk_history.py [--wheels FOLDER]` after an upgrade of `temporalio`. It downloads the wheels of
RELEASES from PyPI (about 200 MB, kept in FOLDER if given) and reads their source with `ast`, importing nothing. A
release between two that are read is not looked at: `since` and `removed` are the first of RELEASES that shows it.
The shape of the file is told in `temporal_lint/sdk.py`, its only reader.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

HISTORY = Path(__file__).resolve().parent.parent / "temporal_lint" / "data" / "sdk_history.json"

RELEASES = tuple(f"1.{minor}.0" for minor in (*range(0, 28, 2), 27, 28, 30, 32, 34, 35))

UNREAD = ("temporalio.api", "temporalio.bridge")


def main(argv: list[str] | None = None) -> int:
    """Write the history; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheels", type=Path, help="folder to keep the wheels in; a temporary one if not given")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.wheels or Path(temporary)
        releases = [sources(_wheel(release, folder)) for release in RELEASES]
    found = changes([names_of(modules) for modules in releases])
    moved = tuple(f"{module}." for module in forwarding(releases[-1]))
    found = {name: entry for name, entry in found.items() if not (entry[1] and name.startswith(moved))}
    HISTORY.write_text(render(found), encoding="utf-8")
    return 0


def _wheel(release: str, folder: Path) -> Path:
    pattern = f"temporalio-{release}-*.whl"
    if not any(folder.glob(pattern)):
        platforms = ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64"]
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*download, *platforms, "--dest", str(folder), f"temporalio=={release}"], check=True)
    return next(folder.glob(pattern))


def sources(wheel: Path) -> dict[str, Source]:
    """The SDK's own modules in a wheel, by dotted name, private ones included."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for path in archive.namelist():
            dotted = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if path.startswith("temporalio/") and path.endswith(".py") and not dotted.startswith(UNREAD):
                found[dotted] = Source(dotted, path.endswith("/__init__.py"), ast.parse(archive.read(path)))
    return found


class Source:
    """What one module of the SDK binds at its top level.

    `defined` maps names to their statement; `imported` maps names to the SDK module and the name they come from;
    `stars` lists the SDK modules imported with `*`. Imports from elsewhere and those under TYPE_CHECKING are left out.
    """

    def __init__(self, dotted: str, is_package: bool, tree: ast.Module) -> None:
        self.defined: dict[str, ast.stmt] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        self.stars: list[str] = []
        package = dotted if is_package else dotted.rpartition(".")[0]
        for statement in _top_level(tree.body):
            if isinstance(statement, ast.ImportFrom):
                parents = package.split(".")[: len(package.split(".")) - statement.level + 1] if statement.level else []
                module = ".".join([*parents, *([statement.module] if statement.module else [])])
                if module.split(".")[0] == "temporalio":
                    for alias in statement.names:
                        self._import(module, alias)
            else:
                self.defined.update(_bound(statement))

    def _import(self, module: str, alias: ast.alias) -> None:
        if alias.name == "*":
            self.stars.append(module)
        else:
            self.imported[alias.asname or alias.name] = (module, alias.name)


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    waiting = list(reversed(body))
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.If):
            taken = [] if "TYPE_CHECKING" in ast.unparse(statement.test) else statement.body
            waiting.extend(reversed([*taken, *statement.orelse]))
        elif isinstance(statement, ast.Try):
            waiting.extend(reversed([*statement.body, *statement.orelse]))
        else:
            yield statement


def _bound(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name, statement
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, statement


def names_of(modules: dict[str, Source]) -> set[str]:
    """Every public dotted name of a release: modules, their names, class members, and parameters after a colon."""
    found = set()
    for module, source in modules.items():
        if _is_private(module):
            continue
        found.add(module)
        public = dict.fromkeys([*source.defined, *source.imported])
        for star in source.stars:
            public.update(dict.fromkeys(modules[star].defined if star in modules else ()))
        for name in public:
            if not name.startswith("_"):
                found.add(f"{module}.{name}")
                found.update(_inner(modules, module, name))
    return found


def forwarding(modules: dict[str, Source]) -> list[str]:
    """The modules that only forward what another distribution holds: their names did not go away."""
    return [name for name, source in modules.items() if any(star not in modules for star in source.stars)]


def _is_private(dotted: str) -> bool:
    return any(part.startswith("_") for part in dotted.split("."))


def _definition(modules: dict[str, Source], module: str, name: str) -> tuple[str, ast.stmt] | None:
    """The module and the statement that define a name, through the SDK's own re-exports."""
    seen: set[tuple[str, str]] = set()
    while module in modules and (module, name) not in seen:
        seen.add((module, name))
        if name in modules[module].defined:
            return module, modules[module].defined[name]
        if name not in modules[module].imported:
            return None
        module, name = modules[module].imported[name]
    return None


def _inner(modules: dict[str, Source], module: str, name: str) -> Iterator[str]:
    """The public members of a class, own and inherited, with their parameters; the parameters of a function."""
    dotted, found = f"{module}.{name}", _definition(modules, module, name)
    if found and isinstance(found[1], (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from (f"{dotted}:{parameter}" for parameter in _parameters(found[1]))
        return
    members: dict[str, ast.stmt] = {}
    is_dataclass = False
    waiting, seen = [found], set()
    while waiting:
        found = waiting.pop(0)
        if found is None or found in seen or not isinstance(found[1], ast.ClassDef):
            continue
        seen.add(found)
        members = dict(pair for each in found[1].body for pair in _bound(each)) | members
        is_dataclass |= any("dataclass" in ast.unparse(each) for each in found[1].decorator_list)
        for base in found[1].bases:
            text = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
            home, _, base_name = text.rpartition(".")
            waiting.append(_definition(modules, home or found[0], base_name))
    for member, statement in members.items():
        # Whether a class has a constructor of its own is no fact for users; what its constructor takes is.
        if not member.startswith("_") or member == "__init__":
            if member != "__init__":
                yield f"{dotted}.{member}"
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from (f"{dotted}.{member}:{parameter}" for parameter in _parameters(statement))
            elif is_dataclass and "__init__" not in members and _is_field(statement):
                yield f"{dotted}.__init__:{member}"


def _is_field(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.AnnAssign)
        and "ClassVar" not in ast.unparse(statement.annotation)
        and "init=False" not in ast.unparse(statement)
    )


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    spec = function.args
    yield from (each.arg for each in (*spec.args, *spec.kwonlyargs) if each.arg not in ("self", "cls"))


def changes(names: list[set[str]]) -> dict[str, tuple[str, str]]:
    """For each name that came or went: the first release with it, the first after the last one with it; "" if none."""
    found = {}
    for name in set().union(*names):
        present = [index for index, each in enumerate(names) if name in each]
        since = RELEASES[present[0]] if present[0] else ""
        removed = RELEASES[present[-1] + 1] if present[-1] + 1 < len(RELEASES) else ""
        if since or removed:
            found[name] = (since, removed)
    # What came and went together with its module, class or function says nothing new.
    return {name: entry for name, entry in found.items() if found.get(_parent(name)) != entry}


def _parent(name: str) -> str:
    return name.rpartition(":" if ":" in name else ".")[0].removesuffix(".__init__")


def render(found: dict[str, tuple[str, str]]) -> str:
    """JSON with a line for each name."""
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found))
    return f'{{\n"releases":{json.dumps(RELEASES)},\n"names":{{\n{lines}\n}}\n}}\n'


if __name__ == "__main__":
    sys.exit(main())
