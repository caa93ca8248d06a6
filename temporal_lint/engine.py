"""Which rules run, and what they say: facts go in, diagnostics come out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from temporal_lint.config import ConfigError, Settings, nearest
from temporal_lint.rule import Diagnostic, Finding, Frame, Link, Rule, Severity

if TYPE_CHECKING:
    from temporal_lint.facts import Module
    from temporal_lint.project import Project
    from temporal_lint.source import Source
    from temporal_lint.spans import Spans

EVERYTHING = "ALL"
# A file that cannot be parsed was not checked: whatever rules are selected, that is said unless it is ignored.
SYNTAX_ERROR = "TMP001"


@dataclass(frozen=True)
class Selection:
    """The rules of a run. `levels` holds the level of a rule that the configuration changes, by code."""

    known: tuple[Rule, ...]
    active: tuple[Rule, ...]
    levels: Mapping[str, Severity]

    def is_active(self, code: str) -> bool:
        """Whether the rule with this code runs."""
        return any(rule.code == code for rule in self.active)

    def named(self, word: str) -> Rule | None:
        """The rule with this code or name."""
        return next((rule for rule in self.known if word in (rule.code, rule.name)), None)


def select(rules: Sequence[Rule], settings: Settings) -> Selection:
    """Decide which rules run: for each one the longest selector that fits it, and "ignore" where both fit alike.

    Raises ConfigError for a selector that fits no rule at all.
    """
    levels: dict[str, Severity] = {}
    off: set[str] = set()
    for selector, level in settings.severity.items():
        for rule in _chosen(rules, selector, "severity"):
            if level == "off":
                off.add(rule.code)
            else:
                levels[rule.code] = Severity(level)
    wanted = _weights(rules, (*settings.select, *settings.extend_select), "select")
    unwanted = _weights(rules, (*settings.ignore, *settings.extend_ignore), "ignore")
    for selectors in settings.per_file_ignores.values():
        _weights(rules, selectors, "per-file-ignores")
    active = []
    for rule in rules:
        weight = wanted.get(rule.code, -1)
        by_default = not settings.select and levels.get(rule.code, rule.severity) is not Severity.INFO
        if by_default or rule.code == SYNTAX_ERROR:
            weight = max(weight, 0)
        if weight >= 0 and weight > unwanted.get(rule.code, -1) and rule.code not in off:
            active.append(rule)
    return Selection(tuple(rules), tuple(active), levels)


def fits(rule: Rule, selector: str) -> bool:
    """Whether a code, a name, a prefix of a code or ALL means this rule."""
    return selector in (EVERYTHING, rule.name) or rule.code.startswith(selector)


def _chosen(rules: Sequence[Rule], selector: str, key: str) -> list[Rule]:
    chosen = [rule for rule in rules if fits(rule, selector)]
    if not chosen:
        words = [word for rule in rules for word in (rule.code, rule.name)]
        raise ConfigError(f"`{selector}` in `{key}` is no rule.{nearest(selector, words)}")
    return chosen


def _weights(rules: Sequence[Rule], selectors: Iterable[str], key: str) -> dict[str, int]:
    """How precisely the selectors name each rule: 0 for ALL, the length of a prefix, most for a full code or a name."""
    weights: dict[str, int] = {}
    for selector in selectors:
        for rule in _chosen(rules, selector, key):
            weight = len(rule.code) if selector == rule.name else 0 if selector == EVERYTHING else len(selector)
            weights[rule.code] = max(weights.get(rule.code, 0), weight)
    return weights


def judge(
    project: Project, module: Module, rules: Sequence[Rule], troubles: list[str]
) -> Iterator[tuple[Rule, Finding]]:
    """What the rules find in one module. A rule that raises adds one sentence to `troubles`; the others go on."""
    by_subject: dict[type, list[Rule]] = {}
    for rule in rules:
        if rule.subject is not None:
            by_subject.setdefault(rule.subject, []).append(rule)
    broken: set[str] = set()
    for fact in project.facts(module):
        for rule in by_subject.get(type(fact), ()):
            if rule.code in broken or rule.check is None:
                continue
            try:
                for finding in rule.check(fact, project):
                    if not isinstance(finding, Finding):
                        raise TypeError(f"it yields {type(finding).__name__}, not Finding")
                    yield rule, finding
            except (Exception, SystemExit) as error:
                broken.add(rule.code)
                troubles.append(blame(f"The rule {rule.code} ({rule.name}) failed on {module.source.path}", error))


def blame(what: str, error: BaseException) -> str:
    """One sentence on an error of our own; TEMPORAL_LINT_DEBUG=1 in the environment prints the traceback beside it."""
    if os.environ.get("TEMPORAL_LINT_DEBUG"):
        sys.excepthook(type(error), error, error.__traceback__)
    return f"{what}: {type(error).__name__}: {error}. This is a bug of the rule; please report it."


def locate(
    module: Module, found: Sequence[tuple[Rule, Finding]], levels: Mapping[str, Severity], troubles: list[str]
) -> Iterator[Diagnostic]:
    """Findings of one module with their places and their fixes. Only here is the file parsed again, for positions."""
    if not found:
        return
    from temporal_lint.edits import Editor

    source = module.source
    spans = spans_of(source)
    editor = Editor(module.tree, source, spans)
    for rule, finding in found:
        try:
            start, end = spans.of(finding.node)
        except Exception as error:
            troubles.append(blame(f"A finding of {rule.code} ({rule.name}) has no place in {source.path}", error))
            continue
        row, column = source.position(start)
        end_row, end_column = source.position(end)
        fix = None
        if finding.fix is not None and spans.exact:
            try:
                fix = finding.fix(editor)
            except Exception as error:
                troubles.append(blame(f"The fix of {rule.code} ({rule.name}) failed on {source.path}", error))
        yield Diagnostic(
            code=rule.code,
            name=rule.name,
            severity=levels.get(rule.code) or finding.severity or rule.severity,
            message=finding.message,
            advice=finding.advice,
            path=str(source.path),
            row=row,
            column=column,
            end_row=end_row,
            end_column=end_column,
            lines=tuple(source.line(number) for number in range(row, end_row + 1)),
            chain=tuple(Frame(each.label, str(each.module.source.path), _row(each)) for each in finding.chain),
            fix=fix,
        )


def _row(link: Link) -> int:
    source = link.module.source
    return source.position(spans_of(source).of(link.node)[0])[0]


@lru_cache(maxsize=32)
def spans_of(source: Source) -> Spans:
    """The places of a file, kept for the findings of other files whose chains lead through it."""
    from temporal_lint.spans import Spans

    return Spans(source)


def diagnose(project: Project, module: Module, selection: Selection, troubles: list[str]) -> list[Diagnostic]:
    """All diagnostics of a module: `judge`, then `locate`; sorted, and each said once."""
    found = list(judge(project, module, selection.active, troubles))
    unique: dict[Any, Diagnostic] = {}
    for one in locate(module, found, selection.levels, troubles):
        unique.setdefault((one.sort_key, one.end_row, one.end_column, one.message), one)
    return sorted(unique.values(), key=lambda one: one.sort_key)
