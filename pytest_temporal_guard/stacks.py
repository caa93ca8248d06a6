"""Which lines of a stack are the user's: what a message shows of it."""

from __future__ import annotations

import re
import sysconfig
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

_LINE = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.*)\n?(?P<code>\s+[^\n]*)?', re.M)
_GUARD = str(Path(__file__).parent)


class Line(NamedTuple):
    """One line of a stack."""

    file: str
    number: int
    function: str
    code: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number} in {self.function}" + (f": {self.code}" if self.code else "")


@cache
def is_users(file: str) -> bool:
    """Whether a file is neither of the standard library, nor installed, nor the guard's, nor no file at all."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    inside = any(part in Path(file).parts for part in ("site-packages", "dist-packages", "temporalio"))
    outside = not file.startswith("<") and not any(file.startswith(f"{each}/") for each in (*libraries, _GUARD))
    return outside and not inside


def of_text(stack: str) -> list[Line]:
    """The lines of a stack as Python prints it, the innermost last."""
    return [
        Line(found["file"], int(found["line"]), found["function"].strip(), (found["code"] or "").strip())
        for found in _LINE.finditer(stack)
    ]


def of_frame(frame: FrameType | None) -> list[Line]:
    """The lines from a frame outwards, the innermost last."""
    import linecache

    found = []
    while frame is not None:
        code = frame.f_code
        text = linecache.getline(code.co_filename, frame.f_lineno).strip()
        found.append(Line(code.co_filename, frame.f_lineno, code.co_name, text))
        frame = frame.f_back
    return found[::-1]


def innermost(lines: list[Line], top: int = 3) -> list[Line]:
    """The user's innermost lines, the innermost first; any innermost lines where none is the user's."""
    users = [each for each in lines if is_users(each.file)]
    return (users or lines)[::-1][:top]
