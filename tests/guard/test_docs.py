"""The guard's pages, and what its documentation shows, are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from suites import FIXTURES

from pytest_temporal_guard.guards import all_guards
from pytest_temporal_guard.pages import page
from pytest_temporal_guard.plugin import of_guards
from pytest_temporal_guard.settings import LEVELS, SESSION

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
HEADINGS = ["What it asserts", "Why", "What to change", "Limits", "Options"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("guard", all_guards(), ids=lambda each: each.name)
def test_pages(guard: object) -> None:
    """One sentence, then the same headings on each page; the level comes first and is called as the guard is."""
    text = page(guard)  # type: ignore[arg-type]
    assert [each for each in re.findall(r"^## (.*)$", text, re.MULTILINE) if each in HEADINGS] == HEADINGS
    first = guard.settings[0]  # type: ignore[attr-defined]
    assert first.key == guard.name  # type: ignore[attr-defined]
    assert first.default in LEVELS


def test_command() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest_temporal_guard", "guards", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    listed = run().stdout
    for guard in all_guards():
        assert re.search(rf"^{guard.name} +\S.*\.$", listed, re.MULTILINE)
    assert run("payload").stdout.startswith("# payload\n\nNo payload is too large")
    wrong = run("payloads")
    assert wrong.returncode == 2
    assert "No guard is called 'payloads'. Did you mean 'payload'?" in wrong.stderr


def test_every_option_that_the_documentation_names_exists() -> None:
    known = {each.option for each in (*SESSION, *of_guards())} | {each.name for each in (*SESSION, *of_guards())}
    named = re.findall(r"--temporal-guard[\w-]*|\btemporal_guard_\w+", DOCS)
    assert named
    assert {each for each in named if each not in known} == set()


@pytest.mark.parametrize("guard", all_guards(), ids=lambda each: each.name)
def test_every_setting_that_a_page_names_exists(guard: object) -> None:
    """Options, keywords of markers, and what looks like the name of a limit."""
    known = {each.option for each in (*SESSION, *of_guards())} | {each.key for each in (*SESSION, *of_guards())}
    text = page(guard)  # type: ignore[arg-type]
    named = re.findall(r"--temporal-guard[\w-]*|`(?:max|expect|idempotency|stuck|long)_\w+`", text)
    named += [key for call in re.findall(r"temporal_guard\(([^)]*)\)", text) for key in re.findall(r"(\w+)=", call)]
    assert {each.strip("`") for each in named} - known == set()


def test_example_runs(tmp_path: Path) -> None:
    """The tests that the documentation shows pass, without any configuration."""
    (example,) = blocks("python")
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_sample_message_is_printed(tmp_path: Path) -> None:
    """The message in the documentation is what the application in the fixtures is told."""
    (tmp_path / "suite.py").write_bytes((FIXTURES / "payload" / "suite.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "suite.py::test_result", "-q", "-o", "asyncio_mode=auto"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (sample,) = blocks("text")
    assert sample in done.stdout
