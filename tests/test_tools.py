"""The tools that measure the linter: mutants of the fixtures, and pinned packages from PyPI."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_code_broken_on_purpose_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "tests" / "fixtures" / "good" / "idioms", tmp_path / "idioms")
    assert tool("mutants").main([str(tmp_path / "idioms")]) == 0, capsys.readouterr().out
    counted = capsys.readouterr().out
    assert "INSERT two calls below" in counted and " 0/0" not in counted.split("through helpers")[0]


def test_findings_in_published_packages_are_those_of_the_table(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path_factory.mktemp("ecosystem")
    assert tool("ecosystem").main(["--cache", str(cache)]) == 0, capsys.readouterr().out
