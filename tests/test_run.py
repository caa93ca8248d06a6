"""A run over files that are wrong in every way: one finding or note each, and all others are checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from temporal_lint import run
from temporal_lint.report import Result

USES = b"from temporalio import workflow\n"
GOOD_AND_BAD = USES + b"async def f():\n    await workflow.execute_activity('a', 1)\n"


def checked(directory: Path, *paths: str) -> Result:
    request = run.Request(directory=directory, paths=tuple(directory / each for each in paths), isolated=True)
    return run.check(request, *run.configure(request))


@pytest.mark.parametrize(
    ("data", "sentence", "place"),
    [
        (USES + b"def f(:\n", "Python cannot parse this", (2, 7)),
        (USES + b'print "x"\n', "Python cannot parse this", (2, 1)),
        (USES + b"x = 1\0\n", "NUL byte", (2, 6)),
        (USES + b"# caf\xe9\n", "not valid utf-8", (2, 1)),
        (b"# coding: nonsense\n" + USES, "encoding that Python does not know", (1, 1)),
        (GOOD_AND_BAD.decode().encode("utf-16"), "UTF-16", (1, 1)),
        (USES + b"x = " + b"(" * 3000 + b")" * 3000, "nested too deeply", (2, 1)),
        (USES + b"x = " + b"+".join([b"1"] * 20_000), "nested too deeply", (2, 1)),
        (
            USES + b"".join(b" " * i + b"if x:\n" for i in range(200)) + b" " * 200 + b"pass\n",
            "too many levels of indentation",
            (102, 1),
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_one_finding(
    data: bytes, sentence: str, place: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_bytes(data)
    (tmp_path / "right.py").write_bytes(GOOD_AND_BAD)
    result = checked(tmp_path)
    assert [(Path(each.path).name, each.code) for each in result.diagnostics] == [
        ("right.py", "TMP101"),
        ("wrong.py", "TMP001"),
    ]
    assert not result.troubles
    found = result.diagnostics[1]
    assert sentence in found.message
    assert place == (found.row, found.column)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD_AND_BAD,
        GOOD_AND_BAD.replace(b"\n", b"\r\n"),
        GOOD_AND_BAD.replace(b"\n", b"\r"),
        b"# coding: latin-1\n# caf\xe9\n" + GOOD_AND_BAD,
        b"\x0c\n" + GOOD_AND_BAD,
        GOOD_AND_BAD.rstrip(b"\n"),
    ],
)
def test_odd_files_are_read_as_python_reads_them(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_bytes(data)
    (found,) = checked(tmp_path).diagnostics
    assert found.code == "TMP101"
    assert found.lines[0][found.column - 1 :].startswith("workflow.execute_activity")


def test_what_is_no_file_is_a_note_and_the_rest_is_checked(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_bytes(GOOD_AND_BAD)
    (tmp_path / "broken.py").symlink_to("nowhere.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "directory.py").mkdir()
    (tmp_path / "directory.py" / "inside.py").write_bytes(GOOD_AND_BAD)
    os.mkfifo(tmp_path / "pipe.py")
    result = checked(tmp_path)
    assert {Path(each.path).name for each in result.diagnostics} == {"right.py", "inside.py"}
    assert not result.troubles
    for name in ("broken.py", "loop.py", "pipe.py"):
        assert sum(name in each for each in result.notes) == 1, name


def test_two_files_are_judged_with_the_whole_project(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_bytes(
        b"from datetime import timedelta\nOPTIONS = {'start_to_close_timeout': timedelta(1)}\n"
    )
    (tmp_path / "one.py").write_bytes(GOOD_AND_BAD)
    (tmp_path / "two.py").write_bytes(
        USES + b"from shared import OPTIONS\nasync def f():\n    await workflow.execute_activity('a', **OPTIONS)\n"
    )
    assert not checked(tmp_path, "two.py").diagnostics
    assert len(checked(tmp_path, "one.py", "two.py").diagnostics) == 1
