"""Runs a suite of tests/fixtures/guard as a user would, against the real servers, and reads what came of each test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

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


def run(directory: Path, topic: str, *arguments: str, guard: bool = True, random: bool = False) -> Ran:
    """Run `suite.py` of a topic, copied to a directory, in a pytest process of its own.

    `guard` is for all of its tests, not only for those with the fixture; `random` shuffles them. No test is told of
    where the process does not live to write its report.
    """
    shutil.copytree(FIXTURES / topic, directory, dirs_exist_ok=True)
    options = ["-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--junitxml=told.xml"]
    options += ["--temporal-guard"] * guard + ["-p", "no:randomly"] * (not random)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "suite.py", *options, *arguments],
        cwd=directory, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    tests: dict[str, Told] = {}
    report = directory / "told.xml"
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        bad = [each for each in case if each.tag in ("failure", "error")]
        text = "\n".join(f"{each.get('message')}\n{each.text}" for each in bad)
        outcome = bad[0].tag.replace("failure", "failed") if bad else "passed"
        tests[str(case.get("name"))] = Told(outcome, text, float(case.get("time") or 0))
    return Ran(tests, done.stdout + done.stderr)
