"""A value that other code may replace is no certain one: nobody hears of a missing timeout that is filled in."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import findings

from temporal_lint import graph, run

HEAD = """
import dataclasses
import sys
from datetime import timedelta
from typing import Any, NamedTuple
from pydantic import BaseModel
from temporalio import activity, workflow

T = timedelta(seconds=3)

@activity.defn
async def work(number: int) -> int: ...

"""
CALL = """
async def flow(given: Any):
    await workflow.execute_activity(work, 1, start_to_close_timeout=TIMEOUT)
"""

REPLACED = [
    ("@dataclasses.dataclass\nclass C:\n    timeout: Any = None\nc = C(timeout=T)", "c.timeout"),
    ("@dataclasses.dataclass\nclass C:\n    timeout: Any = None\nclass D(C): ...\nc = D(T)", "c.timeout"),
    ("class C(NamedTuple):\n    timeout: Any = None\nc = C(T)", "c.timeout"),
    ("class C(BaseModel):\n    timeout: Any = None\nc = C(**dict(timeout=T))", "c.timeout"),
    (
        "class C:\n    timeout = None\n    def __init__(self, **kw):\n        self.__dict__.update(kw)\nc = C()",
        "c.timeout",
    ),
    (
        "class C:\n    timeout = None\n    def __init__(self, **kw):\n        for k, v in kw.items():\n"
        "            setattr(self, k, v)\nc = C()",
        "c.timeout",
    ),
    ("class C:\n    timeout = None\n    def __getattribute__(self, name): return T\nc = C()", "c.timeout"),
    ("class C(metaclass=type(BaseModel)):\n    timeout = None\nc = C()", "c.timeout"),
    ("def timed(cls):\n    cls.timeout = T\n    return cls\n@timed\nclass C:\n    timeout = None", "C.timeout"),
    (
        "def fill(o, **kw):\n    for k, v in kw.items():\n        setattr(o, k, v)\nclass C:\n    timeout = None",
        "C.timeout",
    ),
    ("class C:\n    timeout = None\nsetattr(C, 'timeout', T)", "C.timeout"),
    ("LIMIT = None\nglobals()['LIMIT'] = T", "LIMIT"),
    ("LIMIT = None\nglobals().update(LIMIT=T)", "LIMIT"),
    ("LIMIT = None\nsetattr(sys.modules[__name__], 'LIMIT', T)", "LIMIT"),
    ("LIMIT = None\nsys.modules[__name__].LIMIT = T", "LIMIT"),
]
CERTAIN = [
    ("LIMIT = None", "LIMIT"),
    ("class C:\n    timeout = None\nc = C()", "c.timeout"),
    ("class C:\n    timeout = None\n    def __init__(self):\n        self.other = T\nc = C()", "c.timeout"),
    ("@dataclasses.dataclass\nclass C:\n    timeout: Any = None", "C.timeout"),
    ("class C:\n    timeout = None\nsetattr(C, 'other', T)", "C.timeout"),
    ("LIMIT = None\nprint(sys.argv)", "LIMIT"),
]


def count(text: str, timeout: str) -> int:
    return len(findings(HEAD + text + CALL.replace("TIMEOUT", timeout), "TMP101"))


@pytest.mark.parametrize(("text", "timeout"), REPLACED)
def test_replaced(text: str, timeout: str) -> None:
    assert count(text, timeout) == 0


@pytest.mark.parametrize(("text", "timeout"), CERTAIN)
def test_certain(text: str, timeout: str) -> None:
    assert count(text, timeout) == 1


WORKFLOW = """
from temporalio import activity, workflow
from app.config import config

@activity.defn
async def work(number: int) -> int: ...

@workflow.defn
class Flow:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(work, 1, start_to_close_timeout=config.limit)
"""
CONFIG = "class Config:\n    limit = None\nconfig = Config()\n"


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("boot.py", "from app.config import config\nconfig.limit = 3\n", 0),
        ("boot.py", "from app.config import config\nsetattr(config, 'limit', 3)\n", 0),
        ("boot.py", "from app.config import Config\nclass Real(Config):\n    limit = 3\n", 0),
        ("boot.py", "import app.more\n\ndef set(config):\n    config.limit = 3\n", 0),
        ("boot.py", "from app.config import config\nif config.limit == 3: config.other = 1\n", 1),
        ("test_boot.py", "from app.config import config\nconfig.limit = 3\n", 1),
        ("boot.py", "def unrelated(x):\n    x.limit = 3\n", 1),
    ],
)
def test_files_that_are_not_gathered(tmp_path: Path, file: str, text: str, found: int) -> None:
    """A file that imports nothing of Temporal may write what a workflow reads."""
    (tmp_path / "app").mkdir()
    files = {"__init__.py": "", "config.py": CONFIG, "flow.py": WORKFLOW, "more.py": "import app.config\n", file: text}
    for name, content in files.items():
        (tmp_path / "app" / name).write_text(content)
    request = run.Request(directory=tmp_path, isolated=True)
    result = run.check(request, *run.configure(request))
    assert [each.code for each in result.diagnostics] == ["TMP101"] * found


def test_names_that_a_file_writes(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "a.one = 1\na.two: int = 1\na.three += 1\na.four.five = 1\nclass C:\n    six = 1\n    seven: int = 1\n"
        "setattr(a, 'eight', 1)\nobject.__setattr__(a, 'nine', 1)\nif a.no == 1: f(no=2)\nno.no()\n"
    )
    found = graph.written_names([file, tmp_path / "none.py"], Path.read_bytes)
    assert found == {"one", "two", "three", "five", "six", "seven", "eight", "nine"}
