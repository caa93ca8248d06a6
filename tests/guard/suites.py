"""Runs a suite of tests/fixtures/guard as a user would, against the real servers, and reads what came of each test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures" / "guard"


class Told(NamedTuple):
    """What came of one test: passed, failed or error, what is said of it, and the seconds that it took."""

    outcome: str
    text: str
    seconds: float


class Ran(NamedTuple):
    """What came of a suite: each test by its name, and all that was printed."""

    tests: dict[str, Told]
    output: str

    def outcomes(self) -> dict[str, str]:
        """The outcome of each test."""
        return {name: each.outcome for name, each in self.tests.items()}


def run(pytester: pytest.Pytester, topic: str, *arguments: str, guard: bool = True) -> Ran:
    """Run `suite.py` of a topic in a process of its own."""
    shutil.copytree(FIXTURES / topic, pytester.path, dirs_exist_ok=True)
    options = ["--temporal-guard"] if guard else []
    result = pytester.runpytest_subprocess(
        "suite.py", *options, "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "-p", "no:randomly",
        "--junitxml=told.xml", "-o", "junit_logging=no", *arguments,
        timeout=120,
    )  # fmt: skip
    output = result.stdout.str() + result.stderr.str()
    tests: dict[str, Told] = {}
    for case in ElementTree.parse(pytester.path / "told.xml").iter("testcase"):
        bad = [each for each in case if each.tag in ("failure", "error")]
        text = "\n".join(f"{each.get('message')}\n{each.text}" for each in bad)
        outcome = bad[0].tag.replace("failure", "failed") if bad else "passed"
        tests[str(case.get("name"))] = Told(outcome, text, float(case.get("time") or 0))
    return Ran(tests, output)
