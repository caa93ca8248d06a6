"""One file: its bytes, its text, and the way from a character offset to a line and a column."""

from __future__ import annotations

import io
import re
import tokenize
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""How a file in UTF-16 starts."""

_LINE_END = re.compile(r"\r\n|\r|\n")


class SourceError(Exception):
    """A file that cannot be read or understood as Python.

    `line` and `column` start at 1 and name the place of the trouble, (1, 1) where there is none.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Source:
    """A Python file. `path` is absolute; `text` keeps the file's own line ends and no byte-order mark."""

    path: Path
    text: str
    encoding: str = "utf-8"

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a file from disk; SourceError (one sentence) where that cannot be done."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(f"The file cannot be read: {error.strerror or error}.") from None
        return cls.decode(path, data)

    @classmethod
    def decode(cls, path: Path, data: bytes) -> Source:
        """Decode `data` as Python would: byte-order mark, then the coding line (PEP 263), then UTF-8."""
        if data.startswith(UTF16):
            raise SourceError("The file is encoded as UTF-16, which Python does not read as source; save it as UTF-8.")
        if (nul := data.find(b"\0")) >= 0:
            line = data.count(b"\n", 0, nul) + 1
            column = nul - data.rfind(b"\n", 0, nul)
            raise SourceError("The file holds a NUL byte, so it is no Python source.", line, column)
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise SourceError(
                f"The file is not valid {error.encoding}: the byte at offset {error.start} cannot be decoded.", line
            ) from None
        except (SyntaxError, LookupError, UnicodeError):
            raise SourceError(
                "The file declares an encoding that Python does not know, or that does not fit it."
            ) from None
        return cls(path, text.removeprefix("\ufeff"), "utf-8" if encoding == "utf-8-sig" else encoding)

    @cached_property
    def line_starts(self) -> list[int]:
        """The offset of the first character of each line."""
        return [0, *(end.end() for end in _LINE_END.finditer(self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """The line and the column of a character offset, both from 1, columns in characters."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line (from 1) without its end."""
        if not 1 <= number <= len(self.line_starts):
            return ""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")
