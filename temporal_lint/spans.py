"""Where each node of a lowered tree stands in its text, for the few modules that have something to report.

libcst's own PositionProvider counts lines and columns of every token and takes five times as long; here one pass of
its code generator writes nothing and counts characters.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from types import TracebackType

import libcst as cst
from libcst._nodes.internal import CodegenState  # not exported; PositionProvider builds on the same methods

from temporal_lint import fallback, tree
from temporal_lint.fallback import Span
from temporal_lint.source import Source, SourceError

_FORM_FEEDS = re.compile(r"(?:(?<=[\r\n])|\A)[ \t\f]*\f")


class Spans:
    """Spans of the nodes of one file: start and end, as offsets of characters in `source.text`.

    Takes the nodes of any tree that `tree.parse` made of the same text. `comments` are the spans of all comments.
    `exact` is False where libcst cannot parse the text: then nothing is known of parentheses and comments, which edits
    need. SourceError where Python cannot parse it either.
    """

    def __init__(self, source: Source) -> None:
        text, self._cuts = _without_form_feeds(source.text)
        self.comments: list[Span]
        self._of: list[Span]
        self._outer: list[Span]
        self.exact = True
        try:
            _, module, origins = tree.parse_with_origins(source if not self._cuts else replace(source, text=text))
        except SourceError:
            parsed = fallback.parse(source)
            if parsed is None:
                raise
            self.exact, self.comments = False, []
            self._of, self._outer = parsed.spans, parsed.outer
            return
        try:
            counter = _count(module)
        except RecursionError:
            counter = tree.on_deep_stack(lambda: _count(module))
        self.comments = counter.comments
        self._text = text
        self._of, self._outer = [], []
        for origin in origins:
            self._add(origin, counter)
        if self._cuts:
            for spans in (self.comments, self._of, self._outer):
                spans[:] = map(self._restored, spans)

    def of(self, node: ast.AST) -> Span:
        """The node without parentheses around it; for a function or class its name."""
        return self._of[node.at]  # type: ignore[attr-defined]

    def outer(self, node: ast.AST) -> Span:
        """The node with all parentheses around it; for a function or class the whole statement with its decorators."""
        return self._outer[node.at]  # type: ignore[attr-defined]

    def whole(self, node: ast.stmt) -> Span:
        """A whole statement, from its first decorator to the end of its last line without comment."""
        return self.outer(node)

    def name(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Span:
        """The name that a function or class statement binds."""
        return self.of(node)

    def func(self, call: ast.Call) -> Span:
        """What a call calls, with parentheses around it."""
        return self.outer(call.func)

    def _add(self, origin: tree.Origin, counter: _Counter) -> None:
        if isinstance(origin, tuple):
            span = outer = (counter.outer[id(origin[0])][0], counter.outer[id(origin[1])][1])
        elif isinstance(origin, (cst.FunctionDef, cst.ClassDef)):
            span = counter.outer[id(origin.name)]
            first: cst.CSTNode = origin.decorators[0] if origin.decorators else origin
            outer = (counter.inner[id(first)][0], counter.inner[id(origin)][1])
        else:
            span = counter.place(origin)
            if isinstance(origin, cst.MatchStar) and isinstance(origin.comma, cst.Comma):
                span = (span[0], counter.outer[id(origin.comma)][0])
            span = outer = self._trimmed(span)
            if isinstance(origin, (cst.BaseExpression, cst.MatchPattern)) and origin.lpar:
                if isinstance(origin, (cst.Tuple, cst.GeneratorExp, cst.MatchTuple)):
                    span = (counter.outer[id(origin.lpar[-1])][0], counter.outer[id(origin.rpar[0])][1])
                outer = (counter.outer[id(origin.lpar[0])][0], counter.outer[id(origin.rpar[-1])][1])
        self._of.append(span)
        self._outer.append(outer)

    def _restored(self, span: Span) -> Span:
        """A span of the text without form feeds as a span of the real text."""
        before = sum(length for at, length in self._cuts if at <= span[0])
        inside = sum(length for at, length in self._cuts if span[0] < at < span[1])
        return span[0] + before, span[1] + before + inside

    def _trimmed(self, span: Span) -> Span:
        text = self._text[slice(*span)]
        return span[0] + len(text) - len(text.lstrip()), span[1] - len(text) + len(text.rstrip())


def _without_form_feeds(text: str) -> tuple[str, list[Span]]:
    """A text without form feeds in indentation, and its cuts: where in it, and how many characters.

    To Python a form feed begins the line anew; libcst takes it for indentation and then loses or repeats it.
    """
    if "\f" not in text:
        return text, []
    kept: list[str] = []
    cuts: list[Span] = []
    end = 0
    for found in _FORM_FEEDS.finditer(text):
        kept.append(text[end : found.start()])
        end = found.end()
        cuts.append((found.start() - sum(cut[1] for cut in cuts), end - found.start()))
    return "".join((*kept, text[end:])), cuts


def _count(module: cst.Module) -> _Counter:
    counter = _Counter(module)
    module._codegen(counter)
    return counter


class _Counter(CodegenState):
    """A state of libcst's code generator that counts characters instead of collecting tokens.

    `inner` and `outer` map the id of a node to its span: as libcst defines its place, and with all it owns
    (parentheses, commas, whitespace).
    """

    def __init__(self, module: cst.Module) -> None:
        super().__init__(module.default_indent, module.default_newline)
        self.offset = 0
        self.inner: dict[int, Span] = {}
        self.outer: dict[int, Span] = {}
        self.comments: list[Span] = []
        self.starts: list[int] = []

    def add_token(self, value: str) -> None:
        self.offset += len(value)

    def add_indent_tokens(self) -> None:
        for indent in self.indent_tokens:
            self.offset += len(indent)

    def before_codegen(self, node: cst.CSTNode) -> None:
        self.starts.append(self.offset)

    def after_codegen(self, node: cst.CSTNode) -> None:
        span = self.outer[id(node)] = (self.starts.pop(), self.offset)
        if node.__class__ is cst.Comment:
            self.comments.append(span)

    def place(self, node: cst.CSTNode) -> Span:
        return self.inner.get(id(node)) or self.outer[id(node)]

    def record_syntactic_position(  # type: ignore[override]
        self, node: cst.CSTNode, *, start_node: cst.CSTNode | None = None, end_node: cst.CSTNode | None = None
    ) -> _Recording:
        return _Recording(self, node, start_node, end_node)


class _Recording:
    """Notes the inner span of a node: from entering to leaving, or to the ends of given nodes."""

    __slots__ = ("counter", "end_node", "node", "start", "start_node")

    def __init__(
        self, counter: _Counter, node: cst.CSTNode, start_node: cst.CSTNode | None, end_node: cst.CSTNode | None
    ) -> None:
        self.counter, self.node, self.start_node, self.end_node = counter, node, start_node, end_node

    def __enter__(self) -> None:
        self.start = self.counter.offset

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        start, end = self.start, self.counter.offset
        if self.start_node is not None:
            start = self.counter.place(self.start_node)[0]
        if self.end_node is not None:
            end = self.counter.place(self.end_node)[1]
        self.counter.inner[id(self.node)] = (start, end)
