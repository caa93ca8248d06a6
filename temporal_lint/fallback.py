"""Files that Python can parse and libcst cannot: `(x): int = 1`, or a chain of more than a thousand `+` or `elif`.

Their tree is the one of `ast.parse`, numbered as lowered trees are (see tree.py), and its places are Python's own:
they know no parentheses and no comments, so such files get findings and no fixes.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from temporal_lint.source import Source

Span = tuple[int, int]

# What Python's own parser takes differs from release to release; all take this much.
MAX_DEPTH = 2_500
# shared by many nodes, or without meaning to anyone who asks for a place
_NO_NODES = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.type_ignore)
# nodes that no finding points at
_UNPLACED = (ast.Module, ast.arguments)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NAME = re.compile(r"(?:def|class)\s+")


@dataclass(frozen=True)
class Parsed:
    """A tree, and the spans of its nodes by their `at`: of the node (of a function or class its name), and with the
    decorators around it."""

    tree: ast.Module
    spans: list[Span]
    outer: list[Span]


def parse(source: Source) -> Parsed | None:
    """What Python makes of a text; None where it cannot parse it, or nests it too deeply."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _Numbering(source).run(tree) if _depth(tree) <= MAX_DEPTH else None


class _Numbering:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.places: dict[ast.AST, Span] = {}

    def run(self, tree: ast.Module) -> Parsed:
        """Give each node its `at`: in the order of evaluation, what a node holds before the node."""
        order: list[ast.AST] = [tree]
        for node in order:
            order.extend(_held(node))
        for node in reversed(order):
            self.places[node] = self._place(node)
        parsed = Parsed(tree, [], [])
        waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
        while waiting:
            node, done = waiting.pop()
            if done and not isinstance(node, _UNPLACED):
                node.at = len(parsed.spans)  # type: ignore[attr-defined]
                place = self.places[node]
                parsed.spans.append(self._name(node, place) if isinstance(node, _NAMED) else place)
                parsed.outer.append(place)
            if done:
                continue
            waiting.append((node, True))
            inner = _held(node)
            if not isinstance(node, ast.IfExp):
                # the fields of `a if b else c` are in the order of evaluation
                inner.sort(key=self.places.__getitem__)
            waiting.extend((each, False) for each in reversed(inner))
        return parsed

    def _place(self, node: Any) -> Span:
        if hasattr(node, "lineno"):
            place = self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)
            if isinstance(node, ast.JoinedStr) and sys.version_info < (3, 12):
                # before, Python guesses where the expressions of an f-string stand
                for each in ast.walk(node):
                    self.places[each] = place
            if isinstance(node, _NAMED) and node.decorator_list:
                first = self.places[node.decorator_list[0]][0]
                return self.source.text.rfind("@", 0, first), place[1]
            return place
        inner = [self.places[each] for each in _held(node)]
        return min((each[0] for each in inner), default=0), max((each[1] for each in inner), default=0)

    def _offset(self, line: int, column: int) -> int:
        """The offset of a place as `ast` gives it, whose columns are bytes of UTF-8."""
        start = self.source.line_starts[line - 1]
        if self.source.text.isascii():
            return start + column
        return start + len(self.source.line(line).encode()[:column].decode(errors="replace"))

    def _name(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, place: Span) -> Span:
        """The name behind `def` or `class`."""
        found = _NAME.search(self.source.text, self._offset(node.lineno, node.col_offset))
        return (found.end(), found.end() + len(node.name)) if found else place


def _held(node: ast.AST) -> list[ast.AST]:
    return [each for each in ast.iter_child_nodes(node) if not isinstance(each, _NO_NODES)]


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level and depth <= MAX_DEPTH:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth
