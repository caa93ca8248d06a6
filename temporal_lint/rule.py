"""What a rule is and what it says: all that a rule file, a report or a filter needs to know of each other."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from temporal_lint.edits import Editor
    from temporal_lint.facts import Module
    from temporal_lint.project import Project

_CODE = re.compile("[A-Z]+[0-9]+")
Applicability = Literal["safe", "unsafe"]


class Severity(str, Enum):
    """How bad a finding is. INFO rules are off unless selected."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Edit:
    """Replace the characters `start` to `end` (offsets into the file's text) by `content`."""

    start: int
    end: int
    content: str


@dataclass(frozen=True)
class Fix:
    """Edits that belong together. "safe" keeps the meaning of working code; "unsafe" needs a look."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Link:
    """One function of a chain of calls: `label` names it; at `node` of `module` it calls the next one. Of the last one
    that is where the cause stands."""

    label: str
    module: Module
    node: ast.AST


@dataclass(frozen=True)
class Finding:
    """What a rule yields.

    `node` is a node of the lowered tree of `module`; its place in the file is computed only for reports.
    `message` says what is wrong and why it bites; `advice` says what to write instead: one sentence each.
    `fix` builds the edits when they are asked for; None from it means that this place cannot be fixed.
    `chain` holds the calls from the workflow or activity to the cause, outermost first.
    """

    module: Module
    node: ast.AST
    message: str
    advice: str
    severity: Severity | None = None
    fix: Callable[[Editor], Fix | None] | None = None
    chain: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Frame:
    """A Link with its place: an absolute path, and a row from 1."""

    label: str
    path: str
    row: int


@dataclass(frozen=True)
class Diagnostic:
    """A finding with its place: what filters and reports work on.

    `path` is absolute. Rows and columns start at 1; the end is the column behind the last character.
    `lines` holds the source lines from `row` to `end_row`. `suppressed` is None for a live finding, else the
    reason given ("" where the comment gave none).
    """

    code: str
    name: str
    severity: Severity
    message: str
    advice: str
    path: str
    row: int
    column: int
    end_row: int
    end_column: int
    lines: tuple[str, ...] = ()
    chain: tuple[Frame, ...] = ()
    fix: Fix | None = None
    suppressed: str | None = None

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        """Order of every report: file, place, code."""
        return self.path, self.row, self.column, self.code


@dataclass(frozen=True)
class Rule:
    """One check. `page` is the docstring of its file; `check` is None where the engine itself reports it.

    `subject` is the class of facts that `check` is called with, once for each fact of that class, with the project
    as the second argument.
    """

    code: str
    name: str
    severity: Severity
    page: str
    check: Callable[[Any, Project], Iterable[Finding]] | None
    subject: type | None
    fix: Applicability | None = None

    @property
    def title(self) -> str:
        """The first line of the page, without its full stop."""
        return self.page.strip().splitlines()[0].rstrip(".")


def rule(
    code: str, severity: Severity, *, fix: Applicability | None = None
) -> Callable[[Callable[..., Iterator[Finding] | None]], Rule]:
    """Make a Rule of a function.

    The function's name is the rule's name with underscores; the annotation of its first parameter says what facts
    it takes, and a second one, where there is one, is the Project; a function without parameter marks a finding that
    the engine makes itself. Raises TypeError, naming the function, where that contract is broken.
    """

    def decorate(function: Callable[..., Iterator[Finding] | None]) -> Rule:
        import inspect

        module = inspect.getmodule(function)
        parameters = list(inspect.signature(function).parameters)
        place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
        if not _CODE.fullmatch(code):
            raise TypeError(f"{place}: the code of a rule is letters and then digits, such as `ABC101`, not `{code}`.")
        if len(parameters) > 2:
            raise TypeError(f"{place}: a rule takes the facts it checks and, if it needs it, the project.")
        subject = None
        check: Callable[[Any, Project], Iterable[Finding]] | None = None
        if parameters:
            subject = typing.get_type_hints(function).get(parameters[0])
            if not isinstance(subject, type):
                raise TypeError(
                    f"{place}: the first parameter of a rule is annotated with the class of facts it checks."
                )
            if len(parameters) == 2:
                check = typing.cast("Callable[[Any, Project], Iterable[Finding]]", function)
            else:
                check = typing.cast("Callable[[Any, Project], Iterable[Finding]]", lambda fact, _: function(fact))
        page = (module.__doc__ or "") if module else ""
        if not page.strip():
            raise TypeError(f"{place}: a rule's file starts with a docstring, the rule's page.")
        return Rule(code, function.__name__.replace("_", "-"), severity, page, check, subject, fix)

    return decorate
