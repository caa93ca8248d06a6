"""Text made to fit a message; numbers, sizes and spans for people."""

from __future__ import annotations

_SPANS = ((1, "s"), (60, "min"), (3600, "h"), (86_400, "d"), (31_536_000, "y"))


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


def bytes_text(count: float) -> str:
    """A size for people, in powers of 1,024: 512 B, 1.5 KiB, 20 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def span_text(seconds: float) -> str:
    """A span for people, in two units at most: 12 ms, 3.2 s, 1 h 5 min, 30 d."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    larger = [each for each in _SPANS if each[0] <= seconds]
    whole, rest = divmod(int(seconds), larger[-1][0])
    below, name = _SPANS[len(larger) - 2]
    return f"{whole} {larger[-1][1]}" + (f" {rest // below} {name}" if rest // below else "")


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 run, 2 runs, 3 breaches."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
