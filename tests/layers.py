"""The order of a package's imports: which module stands above which, as data, and what the files import in truth."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

HEAVY = ("libcst", "sqlglot", "temporalio", "pytest")


class Layers:
    """Each module of a package imports only from `lines` above its own; `rules.*` stands for the modules in `rules`."""

    def __init__(self, package: ModuleType, lines: tuple[tuple[str, ...], ...]) -> None:
        self.name, self.lines = package.__name__, lines
        self.root = Path(package.__file__ or "").parent

    def modules(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.root.rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or self.name, path

    def place(self, module: str) -> int:
        family = f"{module.partition('.')[0]}.*"
        exact = [number for number, names in enumerate(self.lines) if module in names]
        others = [number for number, names in enumerate(self.lines) if "." in module and family in names]
        assert exact or others, f"{module} has no place in LAYERS"
        return (exact or others)[0]

    def imported(self, path: Path) -> Iterator[str]:
        """The modules of this package that a file imports at run time, in functions too."""
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        known = {name for name, _ in self.modules()}
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
                if package == self.name:
                    while inner and inner not in known:
                        inner = inner.rpartition(".")[0]
                    yield inner or self.name

    def assert_upwards(self, name: str, path: Path) -> None:
        for other in self.imported(path):
            assert self.place(other) < self.place(name), f"{name} imports {other}, which does not stand above it"

    def unknown(self) -> set[str]:
        """What the lines name and the package has not."""
        known = {name for name, _ in self.modules()}
        families = {f"{name.partition('.')[0]}.*" for name in known if "." in name}
        return {name for names in self.lines for name in names} - known - families


def loaded(code: str, *arguments: str, cwd: Path) -> set[str]:
    """The heavy modules that are loaded after `code` has run in a fresh Python."""
    script = f"import sys\n{code}\nprint('LOADED', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=cwd, capture_output=True, text=True)
    assert "LOADED" in done.stdout, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())
