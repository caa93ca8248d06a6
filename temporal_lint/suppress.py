"""Comments that silence findings: `# temporal-lint: ignore[...]`, `ignore-next`, `ignore-file`, and `# noqa: TMP...`.

A filter after the rules: a suppressed finding stays in the result with its reason, and a comment that suppresses
nothing becomes a finding itself. A file without the words is never scanned.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from temporal_lint.config import Settings, globs, nearest
from temporal_lint.engine import Selection, fits
from temporal_lint.rule import Diagnostic, Edit, Fix, Rule, Severity
from temporal_lint.source import Source

_WORDS = re.compile(r"#[ \t]*(?:temporal-lint[ \t]*:|noqa\b)", re.IGNORECASE)
_TOKEN = re.compile(
    r'''
    (?P<comment> \#[^\r\n]* )
  | (?P<string>
        """ [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* """
      | \'\'\' [^'\\]* (?: (?: \\. | '(?!\'\') ) [^'\\]* )* \'\'\'
      | " [^"\\\r\n]* (?: \\(?:\r\n|.) [^"\\\r\n]* )* "
      | ' [^'\\\r\n]* (?: \\(?:\r\n|.) [^'\\\r\n]* )* '
    )
  | (?P<open> [(\[{] )
  | (?P<close> [)\]}] )
  | (?P<joined> \\(?:\r\n|\r|\n) )
  | (?P<end> \r\n|\r|\n )
    ''',
    re.VERBOSE | re.DOTALL,
)
_OWN = re.compile(
    r"#[ \t]*temporal-lint[ \t]*:[ \t]*(?P<verb>[\w-]*)[ \t]*(?:\[(?P<words>[^\]]*)\])?[ \t]*(?P<reason>[^#]*)"
)
_NOQA = re.compile(
    r"#[ \t]*noqa\b(?:[ \t]*:[ \t]*(?P<words>[A-Z]+[0-9]+(?:[ \t]*[,; \t][ \t]*[A-Z]+[0-9]+)*))?(?P<reason>[^#]*)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\s,;]+")

# How the reason of a finding begins that the configuration silences for its file.
PER_FILE = "per-file-ignores: "

_VERBS = ("ignore", "ignore-next", "ignore-file")


@dataclass
class Suppression:
    """One suppressing comment. `words` is None where it names no rule and so means all; offsets are into the text."""

    verb: str
    row: int
    start: int
    end: int
    words: tuple[tuple[str, int, int], ...] | None
    reason: str
    noqa: bool = False
    used: set[str] = field(default_factory=set)


class Layout:
    """Comments and logical lines of a text, by one scan for strings, brackets and line ends; nothing is parsed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.comments: list[tuple[int, int]] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        depth, begun = 0, -1
        covered = 0
        for token in _TOKEN.finditer(source.text):
            kind = token.lastgroup
            if begun < 0:
                begun = self._first_code(covered, token.start() if kind in ("comment", "end") else token.end())
            covered = token.end()
            if kind == "comment":
                self.comments.append(token.span())
            elif kind == "open":
                depth += 1
            elif kind == "close":
                depth = max(0, depth - 1)
            elif kind == "end" and depth == 0 and begun >= 0:
                self._close(begun, token.start())
                begun = -1
        if begun < 0:
            begun = self._first_code(covered, len(source.text))
        if begun >= 0:
            self._close(begun, len(source.text))

    def _first_code(self, start: int, end: int) -> int:
        text = self.source.text[start:end]
        stripped = len(text) - len(text.lstrip())
        return start + stripped if stripped < len(text) else -1

    def _close(self, begun: int, end: int) -> None:
        self.starts.append(self.source.position(begun)[0])
        self.ends.append(self.source.position(end)[0])

    def line_of(self, row: int) -> tuple[int, int]:
        """First and last row of the logical line that holds `row`."""
        index = bisect_right(self.starts, row) - 1
        if index >= 0 and row <= self.ends[index]:
            return self.starts[index], self.ends[index]
        return row, row

    def next_line(self, row: int) -> tuple[int, int]:
        """First and last row of the logical line behind `row`."""
        index = bisect_right(self.starts, row)
        return (self.starts[index], self.ends[index]) if index < len(self.starts) else (0, 0)


class Silencer:
    """Applies comments and per-file-ignores to the diagnostics of a run."""

    def __init__(self, selection: Selection, settings: Settings) -> None:
        self.selection = selection
        self.settings = settings
        self._globs = [
            (globs([glob], "per-file-ignores"), glob, words) for glob, words in settings.per_file_ignores.items()
        ]

    def silence(self, source: Source, relative: str, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics of one file with the suppressed ones marked, and those on the comments themselves, sorted.

        `relative` is the file's path from the project's root, with slashes.
        """
        found = list(diagnostics)
        if _WORDS.search(source.text):
            layout = Layout(source)
            comments = list(_suppressions(layout))
            found = [_apply(one, comments, layout, self.selection) for one in found]
            own = [*self._invalid(source, comments), *self._unused(source, comments)]
            found += [_apply(one, [each for each in comments if each.words], layout, self.selection) for one in own]
        return sorted((self._per_file(one, relative) for one in found), key=lambda one: one.sort_key)

    def _per_file(self, one: Diagnostic, relative: str) -> Diagnostic:
        if one.suppressed is not None:
            return one
        rule = self.selection.named(one.code)
        for spec, glob, words in self._globs:
            if rule and any(fits(rule, word) for word in words) and spec.match_file(relative):
                return replace(one, suppressed=PER_FILE + glob)
        return one

    def _invalid(self, source: Source, comments: Iterable[Suppression]) -> Iterator[Diagnostic]:
        rule = self.selection.named("TMP003")
        if rule is None or rule not in self.selection.active:
            return
        for one in comments:
            if one.noqa:
                if self._own_words(one) and self.settings.require_suppression_reason and not one.reason:
                    yield self._reasonless(rule, source, one)
                continue
            if one.verb not in _VERBS:
                what = f"`{one.verb}` is no word of a" if one.verb else "There is nothing to do in this"
                yield self._report(
                    rule,
                    source,
                    (one.start, one.end),
                    f"{what} suppression comment, so nothing is suppressed.",
                    f"Write one of {', '.join(_VERBS)}.{nearest(one.verb, _VERBS)}",
                )
                continue
            if one.words == ():
                yield self._report(
                    rule,
                    source,
                    (one.start, one.end),
                    "The brackets name no rule, or are not closed, so nothing is suppressed.",
                    "Write the codes or the names of the rules into them.",
                )
            for word, start, end in one.words or ():
                if self.selection.named(word) is None:
                    words = [each for known in self.selection.known for each in (known.code, known.name)]
                    yield self._report(
                        rule,
                        source,
                        (start, end),
                        f"`{word}` is no rule, so nothing is suppressed.",
                        f"Write the code or the name of a rule.{nearest(word, words)}",
                    )
            if self.settings.require_suppression_reason and not one.reason:
                yield self._reasonless(rule, source, one)

    def _reasonless(self, rule: Rule, source: Source, one: Suppression) -> Diagnostic:
        return self._report(
            rule,
            source,
            (one.start, one.end),
            "The suppression gives no reason, and this project asks for one.",
            "Write behind the brackets why the finding is accepted.",
        )

    def _unused(self, source: Source, comments: Iterable[Suppression]) -> Iterator[Diagnostic]:
        rule = self.selection.named("TMP002")
        if rule is None or rule not in self.selection.active:
            return
        for one in comments:
            if one.verb not in _VERBS:
                continue
            if one.words is None:
                if not one.noqa and not one.used and self._runs_everything:
                    yield self._report(
                        rule,
                        source,
                        (one.start, one.end),
                        "The comment suppresses nothing.",
                        "Delete it.",
                        fix=_without_comment(source, one),
                    )
                continue
            own = self._own_words(one)
            idle = [word for word in own if not self._is_used(one, word[0])]
            if idle and len(idle) == len(one.words):
                yield self._report(
                    rule,
                    source,
                    (one.start, one.end),
                    f"The comment suppresses nothing: {_listed(idle)} found nothing here.",
                    "Delete it; a comment on a line of its own needs `ignore-next`."
                    if one.verb == "ignore"
                    else "Delete it.",
                    fix=_without_comment(source, one),
                )
            elif idle:
                yield self._report(
                    rule,
                    source,
                    (idle[0][1], idle[0][2]),
                    f"The comment is not needed for {_listed(idle)}, which found nothing here.",
                    "Delete the part that is not needed.",
                    fix=_without_words(source, one, idle),
                )

    @cached_property
    def _runs_everything(self) -> bool:
        return all(rule in self.selection.active for rule in self.selection.known if rule.severity is not Severity.INFO)

    def _own_words(self, one: Suppression) -> list[tuple[str, int, int]]:
        """The words of a comment that name a rule of this run; foreign codes and rules switched off are not judged."""
        named = [(word, self.selection.named(word[0])) for word in one.words or ()]
        return [word for word, rule in named if rule is not None and rule in self.selection.active]

    def _is_used(self, one: Suppression, word: str) -> bool:
        rule = self.selection.named(word)
        return rule is not None and rule.code in one.used

    def _report(
        self, rule: Rule, source: Source, span: tuple[int, int], message: str, advice: str, fix: Fix | None = None
    ) -> Diagnostic:
        row, column = source.position(span[0])
        end_row, end_column = source.position(span[1])
        return Diagnostic(
            code=rule.code,
            name=rule.name,
            severity=self.selection.levels.get(rule.code, rule.severity),
            message=message,
            advice=advice,
            path=str(source.path),
            row=row,
            column=column,
            end_row=end_row,
            end_column=end_column,
            lines=(source.line(row),),
            fix=fix,
        )


def _listed(words: Sequence[tuple[str, int, int]]) -> str:
    return ", ".join(f"`{word}`" for word, _, _ in words)


def _suppressions(layout: Layout) -> Iterator[Suppression]:
    text = layout.source.text
    for start, end in layout.comments:
        comment = text[start:end]
        if not _WORDS.search(comment):
            continue
        row = layout.source.position(start)[0]
        for pattern in (_OWN, _NOQA):
            for match in pattern.finditer(comment):
                noqa = pattern is _NOQA
                words: tuple[tuple[str, int, int], ...] | None = () if match["reason"].startswith("[") else None
                if match["words"] is not None:
                    offset = start + match.start("words")
                    words = tuple(
                        (word.group().upper() if noqa else word.group(), offset + word.start(), offset + word.end())
                        for word in _WORD.finditer(match["words"])
                    )
                yield Suppression(
                    verb="ignore" if noqa else match["verb"],
                    row=row,
                    start=start + match.start(),
                    end=start + match.start() + len(match.group().rstrip()),
                    words=words,
                    reason=match["reason"].strip(" \t:-"),
                    noqa=noqa,
                )


def _apply(one: Diagnostic, comments: Iterable[Suppression], layout: Layout, selection: Selection) -> Diagnostic:
    """Mark a diagnostic that a comment suppresses, and the comment as used."""
    reason = None
    for comment in comments:
        if _covers(comment, one, layout) and (
            comment.words is None or any(_means(word, one, selection) for word, _, _ in comment.words)
        ):
            comment.used.add(one.code)
            reason = comment.reason if reason is None else reason
    return one if reason is None else replace(one, suppressed=reason)


def _means(word: str, one: Diagnostic, selection: Selection) -> bool:
    rule = selection.named(word)
    return rule is not None and rule.code == one.code


def _covers(comment: Suppression, one: Diagnostic, layout: Layout) -> bool:
    if comment.verb == "ignore-file":
        return True
    if comment.verb == "ignore-next":
        first, last = layout.next_line(comment.row)
        return first <= one.row <= last
    if comment.verb != "ignore":
        return False
    # A class or a function is reported over its whole body; only its first logical line counts.
    _, last = layout.line_of(one.row)
    return one.row <= comment.row <= min(one.end_row, last) or comment.row == last


def _without_comment(source: Source, one: Suppression) -> Fix:
    """Delete a comment, its whole line where nothing else stands there, and the blanks before it."""
    text = source.text
    row = source.position(one.start)[0]
    line_start = source.line_starts[row - 1]
    line_end = line_start + len(source.line(row))
    start, end = one.start, one.end
    if not text[line_start:start].strip() and not text[end:line_end].strip():
        next_line = source.line_starts[row] if row < len(source.line_starts) else len(text)
        return Fix("safe", "Delete the comment.", (Edit(line_start, next_line, ""),))
    if not text[end:line_end].strip():
        end = line_end
    while start > line_start and text[start - 1] in " \t":
        start -= 1
    return Fix("safe", "Delete the comment.", (Edit(start, end, ""),))


def _without_words(source: Source, one: Suppression, idle: Sequence[tuple[str, int, int]]) -> Fix:
    assert one.words is not None
    kept = [word for word, start, _ in one.words if (word, start) not in {(each[0], each[1]) for each in idle}]
    edit = Edit(one.words[0][1], one.words[-1][2], ", ".join(kept) if not one.noqa else ",".join(kept))
    return Fix("safe", "Delete the part that is not needed.", (edit,))
