"""What a rule builds its fixes with: edits of the text around nodes, put together by `Editor.fix`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from temporal_lint import tree
from temporal_lint.fallback import Span
from temporal_lint.rule import Applicability, Edit, Fix
from temporal_lint.source import Source
from temporal_lint.spans import Spans

Argument = ast.expr | ast.keyword

_NEWLINE = re.compile(r"\r\n|\r|\n")
# What may stand between two tokens inside parentheses.
_BLANK = re.compile(r"(?:\s|\\(?:\r\n|\r|\n)|#[^\r\n]*)*")
_LINE_REST = re.compile(r"[ \t\f]*(?:#[^\r\n]*)?(\r\n|\r|\n|\Z)")
_SPACES = re.compile(r"[ \t\f]*")


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after edits that do not overlap; of two insertions at one place the first given comes first."""
    for edit in reversed(sorted(edits, key=lambda one: (one.start, one.end))):
        text = text[: edit.start] + edit.content + text[edit.end :]
    return text


class Editor:
    """Edits of one file. Takes its lowered tree, its text, and the spans of the one in the other.

    Edits of one fix must not overlap; the content of an edit may end its lines with a plain newline in any file.
    """

    def __init__(self, module_tree: ast.Module, source: Source, spans: Spans) -> None:
        self.tree = module_tree
        self.source = source
        self.spans = spans

    def text(self, node: ast.AST) -> str:
        """The source of a node with the parentheses around it; of a function or class with its decorators."""
        return self.source.text[slice(*self.spans.outer(node))]

    def replace(self, node: ast.AST, text: str) -> Edit:
        """Write `text` instead of a node and the parentheses around it."""
        return Edit(*self.spans.outer(node), text)

    def insert_before(self, node: ast.AST, text: str) -> Edit:
        """Write `text` before a node and the parentheses around it."""
        start = self.spans.outer(node)[0]
        return Edit(start, start, text)

    def insert_after(self, node: ast.AST, text: str) -> Edit:
        """Write `text` behind a node and the parentheses around it."""
        end = self.spans.outer(node)[1]
        return Edit(end, end, text)

    # Arguments

    def delete_argument(self, call: ast.Call, argument: Argument) -> Edit:
        """Delete one argument with its comma, and its lines where nothing else stands on them."""
        return self.delete_arguments(call, [argument])[0]

    def delete_arguments(self, call: ast.Call, arguments: Sequence[Argument]) -> tuple[Edit, ...]:
        """Delete several arguments of one call. Two calls of `delete_argument` could overlap."""
        given = self._arguments(call)
        return tuple(self._delete_run(call, given, *run) for run in _runs(given, arguments))

    def append_argument(self, call: ast.Call, text: str) -> Edit:
        """Write `text` as the last argument, on a line of its own where the last one has that."""
        given = self._arguments(call)
        if not given:
            start = self._open(call) + 1
            return Edit(start, start, text)
        start, end = self.spans.outer(given[-1])
        indent = self._indent(start)
        comma = self._comma(end)
        if comma is None:
            return Edit(end, end, f", {text}" if indent is None else f",{self.newline}{indent}{text}")
        if indent is None:
            return Edit(comma, comma, f" {text}")
        # A comment behind the comma belongs to the argument before it.
        if rest := _LINE_REST.match(self.source.text, comma):
            comma = rest.start(1)
        return Edit(comma, comma, f"{self.newline}{indent}{text},")

    def replace_arguments(self, call: ast.Call, arguments: Sequence[Argument], text: str) -> tuple[Edit, ...]:
        """Write `text` at the place of the first of some arguments, and delete the others."""
        given = self._arguments(call)
        (first, last), *others = _runs(given, arguments)
        edit = Edit(self.spans.outer(given[first])[0], self.spans.outer(given[last])[1], text)
        return (edit, *(self._delete_run(call, given, *run) for run in others))

    def _arguments(self, call: ast.Call) -> list[Argument]:
        return sorted([*call.args, *call.keywords], key=self.spans.outer)

    def _open(self, call: ast.Call) -> int:
        """The place of a call's opening parenthesis."""
        return self._after_blank(self.spans.outer(call.func)[1])

    def _after_blank(self, offset: int) -> int:
        blank = _BLANK.match(self.source.text, offset)
        return blank.end() if blank else offset

    def _comma(self, offset: int) -> int | None:
        """The place behind the comma that follows `offset`; None where another token follows."""
        offset = self._after_blank(offset)
        return offset + 1 if self.source.text.startswith(",", offset) else None

    def _indent(self, offset: int) -> str | None:
        """The whitespace before `offset` on its line; None where something else stands there."""
        row, _ = self.source.position(offset)
        before = self.source.text[self.source.line_starts[row - 1] : offset]
        return None if before.strip() else before

    def _delete_run(self, call: ast.Call, given: Sequence[Argument], first: int, last: int) -> Edit:
        start, end = self.spans.outer(given[first])[0], self.spans.outer(given[last])[1]
        if len(given) == last - first + 1:
            return Edit(self._open(call) + 1, self.spans.of(call)[1] - 1, "")
        behind = self._comma(end) or end
        indent, rest = self._indent(start), _LINE_REST.match(self.source.text, behind)
        if indent is not None and rest is not None and rest[1]:
            return Edit(start - len(indent), rest.end(), "")
        if last + 1 == len(given):
            return Edit(self.spans.outer(given[first - 1])[1], end, "")
        if rest is not None and first:
            before = self._comma(self.spans.outer(given[first - 1])[1])
            assert before is not None, "arguments are separated by commas"
            return Edit(before, behind, "")
        following = _SPACES.match(self.source.text, behind) if rest is None else None
        return Edit(start, following.end() if following else self.spans.outer(given[last + 1])[0], "")

    # Imports

    def import_name(self, dotted: str) -> tuple[str, tuple[Edit, ...]]:
        """The expression that means `dotted` ("datetime.timedelta") anywhere in this file, and the edits it needs.

        An import at the top of the module is used where its name is bound once in the whole file.
        """
        module, _, name = dotted.rpartition(".")
        for expression, target in self._imported:
            if target == dotted:
                return expression, ()
        for expression, target in self._imported:
            if target == module:
                return f"{expression}.{name}", ()
        if module and self._is_free(name, dotted):
            return name, (self._insert_import(f"from {module} import {name}"),)
        root = dotted.partition(".")[0]
        if self._is_free(root, root):
            return dotted, (self._insert_import(f"import {module or dotted}"),)
        alias = f"_{name}"
        while alias in self._bound:
            alias = f"_{alias}"
        statement = f"from {module} import {name} as {alias}" if module else f"import {name} as {alias}"
        return alias, (self._insert_import(statement),)

    def _is_free(self, name: str, target: str) -> bool:
        """Whether nothing in the file binds `name`, or only imports of the same `target`."""
        return self._bound.get(name, {target}) == {target}

    @cached_property
    def newline(self) -> str:
        """How this file ends its lines."""
        found = _NEWLINE.search(self.source.text)
        return found[0] if found else "\n"

    @cached_property
    def _bound(self) -> dict[str, set[str]]:
        """All names that anything in the file binds, in any scope, with what imports bind them to ("" for the rest)."""
        bound: dict[str, set[str]] = defaultdict(set)
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, target, _ in _imports(node):
                    bound[name].add(target)
            else:
                for name in _binds(node):
                    bound[name].add("")
        return dict(bound)

    @cached_property
    def _imported(self) -> list[tuple[str, str]]:
        """Imports at the top level that nothing in the file hides: (expression, dotted name it stands for).

        The body of a `with` counts as top level: workflows import inside `imports_passed_through()`.
        """
        found = []
        waiting: list[ast.stmt] = list(reversed(self.tree.body))
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.With):
                waiting += reversed(node.body)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found += [
                    (name if expression is None else expression, target if expression is None else expression)
                    for name, target, expression in _imports(node)
                    if self._bound[name] == {target}
                ]
        return found

    def _insert_import(self, statement: str) -> Edit:
        """Write an import behind the imports that open the file, else behind its docstring, else on top."""
        body = self.tree.body
        docstring = body[0] if body and ast.get_docstring(self.tree, clean=False) is not None else None
        anchor = None
        for node in body[docstring is not None :]:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                anchor = node
            elif not isinstance(node, (ast.With, ast.If, ast.Try, ast.Expr)):
                break
        if anchor is None and docstring is None:
            start = self.spans.whole(body[0])[0] if body else len(self.source.text)
            return Edit(start, start, f"{statement}{self.newline}{self.newline if body else ''}")
        end = self.spans.whole(anchor or docstring)[1]  # type: ignore[arg-type]
        line_end = _NEWLINE.search(self.source.text, end)
        gap = self.newline if anchor is None else ""
        if line_end is None:
            end = len(self.source.text)
            return Edit(end, end, f"{self.newline}{gap}{statement}")
        return Edit(line_end.end(), line_end.end(), f"{gap}{statement}{self.newline}")

    # The fix

    def fix(self, applicability: Applicability, message: str, *edits: Edit) -> Fix | None:
        """A fix of these edits; None where they overlap, change nothing, or leave a text that is no Python.

        Unsafe at once where a comment would be lost.
        """
        chosen = sorted(dict.fromkeys(map(self._in_file_newlines, edits)), key=lambda one: (one.start, one.end))
        for before, after in pairwise(chosen):
            if after.start < before.end:
                return None
        text = apply(self.source.text, chosen)
        if text == self.source.text or not tree.parses(Source(self.source.path, text)):
            return None
        if any(self._loses_comment(edit) for edit in chosen):
            applicability = "unsafe"
        return Fix(applicability, message, tuple(chosen))

    def _in_file_newlines(self, edit: Edit) -> Edit:
        content = _NEWLINE.sub(lambda _: self.newline, edit.content)
        return edit if content == edit.content else Edit(edit.start, edit.end, content)

    def _loses_comment(self, edit: Edit) -> bool:
        return any(
            edit.start <= start < edit.end and self.source.text[start:end] not in edit.content
            for start, end in self.spans.comments
        )


def _runs(given: Sequence[Argument], chosen: Iterable[Argument]) -> list[Span]:
    """The chosen ones among the given as runs of neighbours: (first, last) indexes, in order."""
    wanted = {id(each) for each in chosen}
    runs: list[Span] = []
    for index, each in enumerate(given):
        if id(each) in wanted:
            if runs and runs[-1][1] == index - 1:
                runs[-1] = (runs[-1][0], index)
            else:
                runs.append((index, index))
    return runs


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str | None]]:
    """What an import binds: name, dotted name it is bound to, and for `import a.b` the expression "a.b"."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, f"{'.' * node.level}{node.module or ''}.{alias.name}", None
        elif alias.asname:
            yield alias.asname, alias.name, None
        else:
            root = alias.name.partition(".")[0]
            yield root, root, alias.name


def _binds(node: ast.AST) -> Iterator[str]:
    """The names that a node other than an import binds in some scope."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name is not None:
            yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest is not None:
        yield node.rest
