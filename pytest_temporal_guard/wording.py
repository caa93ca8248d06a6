"""Text of any length made to fit a message."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text with each run of white space as one blank."""
    return " ".join(text.split())


def clipped(text: str, width: int) -> str:
    """The text, with its end left out where it is long."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def shorten(text: str, limit: int = 160) -> str:
    """The text on one line, with its middle left out where it is long."""
    line = one_line(text)
    if len(line) <= limit:
        return line
    return f"{line[: limit * 2 // 3]} ... {line[-limit // 4 :]}"
