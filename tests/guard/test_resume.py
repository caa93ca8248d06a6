"""Activities lose their worker on a real server, and the message says what was done twice."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CASES = Path(__file__).parent.parent / "fixtures" / "guard" / "resume" / "cases.py"
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:randomly\n"
ADVICE = (
    "  Begin with activity.info().heartbeat_details, and heartbeat what to go on from: an index, a page token, the id "
    "of the last row."
)


def blind(name: str) -> list[str]:
    return [
        f"activity `{name}` does not resume: its worker was lost after 3 heartbeats, and the next attempt never read "
        "what the last one left it, 2.",
        "  - done twice: 0, 1",
        ADVICE,
    ]


@pytest.mark.parametrize("kind", ["time-skipping", "dev"])
def test_resume(pytester: pytest.Pytester, kind: str) -> None:
    shutil.copy(CASES, pytester.path / "test_cases.py")
    (pytester.path / "pytest.ini").write_text(INI)
    result = pytester.runpytest_subprocess("--temporal-guard", f"--temporal-guard-server-kind={kind}", "-v")
    text = result.stdout.str()
    found = re.findall(r"(?m)^_{3,} ([^ ]+) _{3,}\ntemporal guard: resume\n((?:(?!^[_=-]{10}).*\n)*)", text)
    said = {}
    for name, body in found:
        first, *rest = body.strip("\n").splitlines()
        assert re.match(r"Import \(id import-\d+\): ", first)
        said[re.sub(r"test_import\[(\w+)-.*", r"\1", name)] = [first.partition("): ")[2], *rest]
    assert said == {
        "blind": blind("blind"),
        "blind_in_thread": blind("blind_in_thread"),
        "hides": blind("hides"),
        "forgetful": [
            "activity `forgetful` starts over: its worker was lost after 3 heartbeats, the next attempt was given what "
            "the last one left, {'item': 2}, and yet began again with the heartbeat {'item': 0}.",
            "  - done twice: {'item': 0}, {'item': 1}",
            ADVICE,
        ],
        "two_items": [
            "activity `two_items` does not resume: its worker was lost after 2 heartbeats, and the next attempt never "
            "read what the last one left it, 1.",
            "  - done twice: 0",
            ADVICE,
        ],
        "no_details": [
            "activity `no_details` is to resume, but its heartbeats have no details: an attempt that loses its worker "
            "leaves nothing to go on from.",
            ADVICE,
        ],
        "silent": [
            "activity `silent` is to resume, but never heartbeats: an attempt that loses its worker leaves nothing to "
            "go on from.",
            ADVICE,
        ],
    }, text
    result.assert_outcomes(passed=10, failed=len(said), warnings=1)
    assert "all its heartbeats in this test have the details 0, so it was not tried." in text
