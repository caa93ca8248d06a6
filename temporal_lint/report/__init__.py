"""Findings in the formats that people and machines read: a writer takes a Result and returns text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from temporal_lint.rule import Diagnostic, Rule
from temporal_lint.source import Source


@dataclass(frozen=True)
class Result:
    """What a run found.

    `diagnostics` are sorted and hold the suppressed ones too; `rules` are those that ran; `sources` holds the files
    with findings by path; `files` counts the files checked. `notes` and `troubles` are sentences for stderr, and a
    trouble makes the run fail.
    """

    diagnostics: Sequence[Diagnostic]
    rules: Sequence[Rule]
    root: Path
    files: int
    notes: Sequence[str] = ()
    troubles: Sequence[str] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def live(self) -> list[Diagnostic]:
        """The findings that are not suppressed."""
        return [one for one in self.diagnostics if one.suppressed is None]


def shown_path(path: str, base: Path) -> str:
    """`path` from the directory `base` where it lies below it, else as it is."""
    return Path(path).relative_to(base).as_posix() if Path(path).is_relative_to(base) else path


def shown_chain(one: Diagnostic, base: Path) -> list[str]:
    """The functions from the workflow or activity to the cause, each with its file and line."""
    return [f"{each.label} ({shown_path(each.path, base)}:{each.row})" for each in one.chain]


def sentence(one: Diagnostic) -> str:
    """Message and advice, for formats with one text a finding."""
    return f"{one.message} {one.advice}".strip()
