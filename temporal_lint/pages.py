"""A rule's page: the docstring of its file, which explains the rule, and whose code blocks are its tests.

A page is Markdown: a title sentence, then the sections of HEADINGS, those in REQUIRED at least. A block in "Invalid"
marks each line that is reported with `# expect` at its end; the blocks of "Fixed" are what the fix makes of the blocks
of "Invalid", in the same order; those of "Valid" are silent. A line `# file: app/activities.py` starts another file of
the same block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from temporal_lint.rule import Rule

HEADINGS = ("What", "Why", "Invalid", "Fixed", "Valid", "Options", "Fix safety")
REQUIRED = ("What", "Why")
FILE = "app.py"

_MARK = re.compile(r"[ \t]*# expect(?:: (?P<names>[\w, -]+))?[ \t]*$")
_FILE_LINE = re.compile(r"# file: (?P<path>\S+)[ \t]*$")


@dataclass(frozen=True)
class Block:
    """A code block: its files by path, without marks, and the (path, row, rule name) of each mark, "" for the rule."""

    files: Mapping[str, str]
    expected: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True)
class Page:
    """A page taken apart. `sections` maps headings to their Markdown, in the order of the page."""

    title: str
    sections: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Page:
        """Take a docstring apart. Headings inside code fences are code."""
        title, _, rest = text.strip().partition("\n")
        sections: dict[str, list[str]] = {}
        current: list[str] = []
        fenced = False
        for line in rest.splitlines():
            if line.startswith("```"):
                fenced = not fenced
            if line.startswith("## ") and not fenced:
                current = sections.setdefault(line[3:].strip(), [])
            else:
                current.append(line)
        return cls(title.rstrip("."), {heading: "\n".join(lines).strip() for heading, lines in sections.items()})

    def blocks(self, heading: str) -> list[Block]:
        """The Python blocks of a section."""
        return [_block(lines) for lines in _fences(self.sections.get(heading, ""))]

    @cached_property
    def prose(self) -> str:
        """What and Why as running text, for places that have no room for code."""
        return "\n\n".join(self.sections[heading] for heading in REQUIRED if heading in self.sections)


def of(rule: Rule) -> Page:
    """The page of a rule."""
    return Page.parse(rule.page)


def markdown(rule: Rule) -> str:
    """The page of a rule as a reader sees it, with a headline of its facts."""
    page = of(rule)
    fix = {"safe": "safe fix", "unsafe": "unsafe fix", None: "no fix"}[rule.fix]
    parts = [f"# {rule.name} ({rule.code})", f"{page.title}.", f"Level: {rule.severity.value} · {fix}"]
    parts += [f"## {heading}\n\n{text}" for heading, text in page.sections.items()]
    return "\n\n".join(parts) + "\n"


def _fences(text: str) -> Iterator[list[str]]:
    lines: list[str] | None = None
    for line in text.splitlines():
        if lines is None:
            if line.strip() == "```python":
                lines = []
        elif line.startswith("```"):
            yield lines
            lines = None
        else:
            lines.append(line)


def _block(lines: list[str]) -> Block:
    files: dict[str, list[str]] = {}
    expected: list[tuple[str, int, str]] = []
    path = FILE
    for line in lines:
        if start := _FILE_LINE.match(line):
            path = start["path"]
            files[path] = []
            continue
        content = files.setdefault(path, [])
        mark = _MARK.search(line)
        content.append(line[: mark.start()] if mark else line)
        if mark:
            names = (mark["names"] or "").split(",")
            expected += [(path, len(content), name.strip()) for name in names]
    return Block({path: "\n".join(content).strip("\n") + "\n" for path, content in files.items()}, tuple(expected))
