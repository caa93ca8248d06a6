"""Text to tree: libcst parses, then each node becomes the node of Python's own `ast` that says the same.

libcst reads new grammar on an old Python; `ast` is the vocabulary that everybody knows. The lowered tree equals what
`ast.parse` returns, without places: `node.at`, an ordinal, leads to the place (see spans.py). Grammar that the running
`ast` has no class for becomes the nearest older node. What libcst refuses and Python accepts is left to Python alone.
"""

from __future__ import annotations

import ast
import re
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import libcst as cst

from temporal_lint import fallback
from temporal_lint.source import Source, SourceError

T = TypeVar("T")
A = TypeVar("A", bound=ast.AST)

# What an `at` stands for: a node, or the first and the last node of a stretch that has no node of its own.
Origin = cst.CSTNode | tuple[cst.CSTNode, cst.CSTNode]

TOO_DEEP = "The code is nested too deeply to be checked."

# libcst's parser recurses in native code: on a stack of 8 MiB it dies of some 1,000 brackets or 2,500 operators in a
# row, and it takes quadratic time and memory before. Below these bounds it is safe even on a stack of 512 KiB.
SAFE_BRACKETS = 50
SAFE_LINE = 1500
SAFE_ELIFS = 200
# CPython's own limit of open brackets, and a depth of the tree that libcst takes below 0.3 s and 250 MB.
MAX_BRACKETS = 200
MAX_DEPTH = 1000
# Enough for MAX_DEPTH in native code and for RECURSION frames of Python; untouched pages cost nothing.
STACK = 512 << 20
RECURSION = 50_000

_BRACKET_OR_NEWLINE = re.compile(r"([(\[{])|([)\]}])|[\r\n]+")
_COMMENT = re.compile(r"#[^\r\n]*")
_NEWLINE = re.compile(r"\r\n?")
_LIBCST_PLACE = re.compile(r"error at (\d+):(\d+)(?:: (.*))?", re.DOTALL)
_FORMATTED_TEXT = re.compile(r"\\N\{[^{}]+\}|\\\\|\{\{|\}\}")


def parse(source: Source) -> ast.Module:
    """The tree of a file; SourceError (one sentence, with its place) where it is no Python or nested too deeply."""
    try:
        return parse_with_origins(source)[0]
    except SourceError:
        parsed = fallback.parse(source)
        if parsed is None:
            raise
        return parsed.tree


def parse_with_origins(source: Source) -> tuple[ast.Module, cst.Module, list[Origin]]:
    """As `parse`, by libcst alone, with its tree and what each `at` stands for in it."""
    text = source.text
    spots = _deep_spots(text)
    if spots is None:
        try:
            return _parse(source)
        except RecursionError:
            return on_deep_stack(lambda: _parse(source))
    _gate(source, spots)
    return on_deep_stack(lambda: _parse(source))


def parses(source: Source) -> bool:
    """Whether a text is Python; CPython's fast parser is asked first."""
    try:
        _ast_parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        try:
            parse(source)
        except SourceError:
            return False
    return True


def on_deep_stack(work: Callable[[], T]) -> T:
    """What `work` returns or raises, with room to recurse; SourceError where even that is not enough."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except (RecursionError, MemoryError):
            failure.append(SourceError(TOO_DEEP))
        except BaseException as error:
            failure.append(error)

    stack, limit = threading.stack_size(STACK), sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION))
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(stack)
        sys.setrecursionlimit(limit)
    if failure:
        raise failure[0]
    return outcome[0]


def _deep_spots(text: str) -> tuple[int, list[tuple[int, int]]] | None:
    """None for a text that libcst surely survives; else its deepest bracket and its long logical lines.

    Brackets in strings and comments count too: they can only make a text look deep that is not. A closing bracket
    too many is a sign of them.
    """
    depth = deepest = start = 0
    stray = False
    long: list[tuple[int, int]] = []
    for found in _BRACKET_OR_NEWLINE.finditer(text):
        kind = found.lastindex
        if kind == 1:
            depth += 1
            if depth > deepest:
                deepest = depth
        elif kind == 2:
            if depth:
                depth -= 1
            else:
                stray = True
        elif not depth:
            end = found.end()
            if end - start > SAFE_LINE:
                long.append((start, end))
            start = end
    if len(text) - start > SAFE_LINE:
        long.append((start, len(text)))
    if long or stray or deepest > SAFE_BRACKETS or text.count("elif") > SAFE_ELIFS:
        return deepest, long
    return None


def _gate(source: Source, spots: tuple[int, list[tuple[int, int]]]) -> None:
    """Let CPython's parser, which never crashes, look at a text first. SourceError where it is nested too deeply.

    Python may be too old for the text; then it is shown the suspicious lines one by one.
    """
    deepest, long = spots
    verdict = _is_shallow(source.text)
    if verdict is None and deepest > MAX_BRACKETS:
        verdict = False
    if verdict is None:
        for start, end in long:
            if _is_shallow(source.text[start:end].strip()) is False:
                raise SourceError(TOO_DEEP, *source.position(start))
    if verdict is False:
        raise SourceError(TOO_DEEP, *source.position(long[0][0] if len(long) == 1 else 0))


def _is_shallow(text: str) -> bool | None:
    """Whether the tree of a text is at most MAX_DEPTH deep; None where this Python cannot parse it."""
    try:
        level: list[ast.AST] = [_ast_parse(text)]
    except (RecursionError, MemoryError):
        return False
    except (SyntaxError, ValueError) as error:
        return False if str(error).startswith("too many nested") else None
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def _ast_parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


@contextmanager
def _trusting_the_parser() -> Iterator[None]:
    """Without the check that libcst makes of each node when it is built.

    It guards trees that programs put together; what the parser builds is right, and the check is an eighth of its time.
    """
    checking = cst.CSTNode.__post_init__
    cst.CSTNode.__post_init__ = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        cst.CSTNode.__post_init__ = checking  # type: ignore[method-assign]


def _parse(source: Source) -> tuple[ast.Module, cst.Module, list[Origin]]:
    try:
        with _trusting_the_parser():
            module = cst.parse_module(source.text)
        lowering = _Lowering(module)
        return lowering.module(module), module, lowering.origins
    # libcst lets some bad literals and f-string conversions pass, which then have no value to lower.
    except (cst.ParserSyntaxError, SyntaxError, ValueError, LookupError) as error:
        raise _syntax_error(source, error) from None


def _syntax_error(source: Source, error: Exception) -> SourceError:
    """CPython's message where it cannot parse the text either, else libcst's."""
    try:
        _ast_parse(source.text)
    except SyntaxError as found:
        message = (found.msg or "invalid syntax").rstrip(".")
        end = "" if message.endswith((".", "?")) else "."
        return SourceError(f"Python cannot parse this: {message}{end}", found.lineno or 1, max(found.offset or 1, 1))
    except (RecursionError, MemoryError):
        return SourceError(TOO_DEEP)
    except ValueError as found:
        return SourceError(f"Python cannot parse this: {found}.")
    place = _LIBCST_PLACE.search(str(error))
    if place is None:
        return SourceError("libcst cannot parse this, though Python can.")
    return SourceError("libcst cannot parse this, though Python can.", int(place[1]), int(place[2]))


_LOAD, _STORE, _DEL = ast.Load(), ast.Store(), ast.Del()
_SINGLETONS: dict[str, bool | None] = {"True": True, "False": False, "None": None}
_CONVERSIONS = {None: -1, "s": ord("s"), "r": ord("r"), "a": ord("a")}
_OPERATORS: dict[type[cst.CSTNode], Any] = {
    getattr(cst, given): made()
    for made, names in {
        ast.Add: ("Add", "AddAssign"),
        ast.Sub: ("Subtract", "SubtractAssign"),
        ast.Mult: ("Multiply", "MultiplyAssign"),
        ast.MatMult: ("MatrixMultiply", "MatrixMultiplyAssign"),
        ast.Div: ("Divide", "DivideAssign"),
        ast.Mod: ("Modulo", "ModuloAssign"),
        ast.Pow: ("Power", "PowerAssign"),
        ast.LShift: ("LeftShift", "LeftShiftAssign"),
        ast.RShift: ("RightShift", "RightShiftAssign"),
        ast.BitOr: ("BitOr", "BitOrAssign"),
        ast.BitXor: ("BitXor", "BitXorAssign"),
        ast.BitAnd: ("BitAnd", "BitAndAssign"),
        ast.FloorDiv: ("FloorDivide", "FloorDivideAssign"),
        ast.And: ("And",),
        ast.Or: ("Or",),
        ast.UAdd: ("Plus",),
        ast.USub: ("Minus",),
        ast.Invert: ("BitInvert",),
        ast.Not: ("Not",),
        ast.Eq: ("Equal",),
        ast.NotEq: ("NotEqual",),
        ast.Lt: ("LessThan",),
        ast.LtE: ("LessThanEqual",),
        ast.Gt: ("GreaterThan",),
        ast.GtE: ("GreaterThanEqual",),
        ast.Is: ("Is",),
        ast.IsNot: ("IsNot",),
        ast.In: ("In",),
        ast.NotIn: ("NotIn",),
    }.items()
    for given in names
}

# Classes that older Pythons do not have.
_TRY_STAR: Any = getattr(ast, "TryStar", ast.Try)
_TYPE_ALIAS: Any = getattr(ast, "TypeAlias", None)
_TYPE_VAR: Any = getattr(ast, "TypeVar", None)
_TEMPLATE: Any = getattr(ast, "TemplateStr", None)
_INTERPOLATION: Any = getattr(ast, "Interpolation", None)
_HAS_DEFAULTS = _TYPE_VAR is not None and "default_value" in _TYPE_VAR._fields


def _identifier(name: cst.Name) -> str:
    value = name.value
    return value if value.isascii() else unicodedata.normalize("NFKC", value)


def _dotted(name: cst.BaseExpression) -> str:
    parts = []
    while isinstance(name, cst.Attribute):
        parts.append(_identifier(name.attr))
        name = name.value
    assert isinstance(name, cst.Name)
    parts.append(_identifier(name))
    return ".".join(reversed(parts))


def _literal(token: str) -> Any:
    """The value of a string token."""
    quote = token[0]
    if quote in "'\"" and "\\" not in token and "\r" not in token:
        return token[3:-3] if len(token) >= 6 and token[1] == quote == token[2] else token[1:-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.literal_eval(token)


def _formatted_text(text: str, start: str, end: str) -> str:
    """The value of a stretch of text in an f-string that opens with `start` and closes with `end`."""
    if "\\" not in text and "\r" not in text:
        return text.replace("{{", "{").replace("}}", "}") if "{{" in text or "}}" in text else text
    if "r" in start.lower():
        return _NEWLINE.sub("\n", text.replace("{{", "{").replace("}}", "}"))
    text = _FORMATTED_TEXT.sub(lambda found: found[0] if found[0][0] == "\\" else found[0][0], text)
    # The full stop keeps a quote or a backslash at the end from joining with the quotes.
    value: str = _literal(f"{end}{text}.{end}")
    return value[:-1]


def _set_context(target: ast.expr, context: ast.expr_context) -> ast.expr:
    """Make a lowered expression a target; returns it."""
    waiting = [target]
    while waiting:
        node = waiting.pop()
        node.ctx = context  # type: ignore[attr-defined]
        if isinstance(node, (ast.Tuple, ast.List)):
            waiting += node.elts
        elif isinstance(node, ast.Starred):
            waiting.append(node.value)
    return target


class _Lowering:
    """One pass over a libcst tree. A method named like a libcst class lowers the nodes of that class."""

    def __init__(self, module: cst.Module) -> None:
        self.root = module
        self.origins: list[Origin] = []

    def put(self, made: A, origin: Origin) -> A:
        made.at = len(self.origins)  # type: ignore[attr-defined]
        self.origins.append(origin)
        return made

    def lower(self, node: cst.CSTNode) -> Any:
        return _LOWER[node.__class__](self, node)

    def optional(self, node: cst.CSTNode | None) -> Any:
        return None if node is None else _LOWER[node.__class__](self, node)

    def target(self, node: cst.CSTNode, context: ast.expr_context = _STORE) -> Any:
        return _set_context(_LOWER[node.__class__](self, node), context)

    # Statements

    def module(self, node: cst.Module) -> ast.Module:
        return ast.Module(body=self.statements(node.body), type_ignores=[])

    def statements(self, given: Iterable[cst.CSTNode]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for node in given:
            if node.__class__ is cst.SimpleStatementLine:
                for small in node.body:
                    made.append(_LOWER[small.__class__](self, small))
            else:
                made.append(_LOWER[node.__class__](self, node))
        return made

    def suite(self, holder: Any) -> list[ast.stmt]:
        """The statements of `holder.body`, or none where there is no holder (`else`, `finally`)."""
        return [] if holder is None else self.statements(holder.body.body)

    def Expr(self, node: cst.Expr) -> ast.stmt:
        return self.put(ast.Expr(_LOWER[node.value.__class__](self, node.value)), node)

    def Pass(self, node: cst.Pass) -> ast.stmt:
        return self.put(ast.Pass(), node)

    def Break(self, node: cst.Break) -> ast.stmt:
        return self.put(ast.Break(), node)

    def Continue(self, node: cst.Continue) -> ast.stmt:
        return self.put(ast.Continue(), node)

    def Return(self, node: cst.Return) -> ast.stmt:
        return self.put(ast.Return(self.optional(node.value)), node)

    def Raise(self, node: cst.Raise) -> ast.stmt:
        cause = None if node.cause is None else self.lower(node.cause.item)
        return self.put(ast.Raise(self.optional(node.exc), cause), node)

    def Assert(self, node: cst.Assert) -> ast.stmt:
        return self.put(ast.Assert(self.lower(node.test), self.optional(node.msg)), node)

    def Global(self, node: cst.Global) -> ast.stmt:
        return self.put(ast.Global([_identifier(item.name) for item in node.names]), node)

    def Nonlocal(self, node: cst.Nonlocal) -> ast.stmt:
        return self.put(ast.Nonlocal([_identifier(item.name) for item in node.names]), node)

    def Del(self, node: cst.Del) -> ast.stmt:
        given = node.target
        if isinstance(given, cst.Tuple) and not given.lpar:
            targets = [self.target(element.value, _DEL) for element in given.elements]
        else:
            targets = [self.target(given, _DEL)]
        return self.put(ast.Delete(targets), node)

    def Assign(self, node: cst.Assign) -> ast.stmt:
        targets = [self.target(each.target) for each in node.targets]
        return self.put(ast.Assign(targets, _LOWER[node.value.__class__](self, node.value)), node)

    def AnnAssign(self, node: cst.AnnAssign) -> ast.stmt:
        simple = isinstance(node.target, cst.Name) and not node.target.lpar
        target, annotation = self.target(node.target), self.lower(node.annotation.annotation)
        return self.put(ast.AnnAssign(target, annotation, self.optional(node.value), int(simple)), node)

    def AugAssign(self, node: cst.AugAssign) -> ast.stmt:
        target = self.target(node.target)
        return self.put(ast.AugAssign(target, _OPERATORS[node.operator.__class__], self.lower(node.value)), node)

    def TypeAlias(self, node: cst.TypeAlias) -> ast.stmt:
        name = self.target(node.name)
        if _TYPE_ALIAS is None:
            return self.put(ast.Assign([name], self.lower(node.value)), node)
        made: ast.stmt = _TYPE_ALIAS(name, self.type_parameters(node), self.lower(node.value))
        return self.put(made, node)

    def type_parameters(self, node: Any) -> list[Any]:
        given = node.type_parameters
        return [] if given is None or _TYPE_VAR is None else [self.type_parameter(each) for each in given.params]

    def type_parameter(self, node: cst.TypeParam) -> Any:
        param = node.param
        made = getattr(ast, param.__class__.__name__)(name=_identifier(param.name))
        if isinstance(param, cst.TypeVar):
            made.bound = self.optional(param.bound)
        if _HAS_DEFAULTS:
            default = self.optional(node.default)
            made.default_value = (
                self.put(ast.Starred(default, _LOAD), node) if node.star and default is not None else default
            )
        return self.put(made, node)

    def alias(self, node: cst.ImportAlias) -> ast.alias:
        name = None if node.asname is None else _identifier(node.asname.name)  # type: ignore[arg-type]
        return self.put(ast.alias(_dotted(node.name), name), node)

    def Import(self, node: Any) -> ast.stmt:
        return self.put(ast.Import([self.alias(each) for each in node.names]), node)

    def ImportFrom(self, node: Any) -> ast.stmt:
        if isinstance(node.names, cst.ImportStar):
            names = [self.put(ast.alias("*", None), node.names)]
        else:
            names = [self.alias(each) for each in node.names]
        module = None if node.module is None else _dotted(node.module)
        return self.put(ast.ImportFrom(module, names, len(node.relative)), node)

    LazyImport = Import
    LazyImportFrom = ImportFrom

    def If(self, node: cst.If) -> ast.stmt:
        branches = [node]
        while isinstance(branches[-1].orelse, cst.If):
            branches.append(branches[-1].orelse)
        orelse = self.suite(branches[-1].orelse)
        for branch in reversed(branches):
            made = self.put(ast.If(self.lower(branch.test), self.suite(branch), orelse), branch)
            orelse = [made]
        return made

    def While(self, node: cst.While) -> ast.stmt:
        return self.put(ast.While(self.lower(node.test), self.suite(node), self.suite(node.orelse)), node)

    def For(self, node: cst.For) -> ast.stmt:
        make = ast.For if node.asynchronous is None else ast.AsyncFor
        target, values = self.target(node.target), self.lower(node.iter)
        return self.put(make(target, values, self.suite(node), self.suite(node.orelse)), node)

    def With(self, node: cst.With) -> ast.stmt:
        make = ast.With if node.asynchronous is None else ast.AsyncWith
        items = []
        for item in node.items:
            manager = self.lower(item.item)
            target = None if item.asname is None else self.target(item.asname.name)
            items.append(self.put(ast.withitem(manager, target), item))
        return self.put(make(items, self.suite(node)), node)

    def Try(self, node: Any, make: Any = ast.Try) -> ast.stmt:
        body = self.suite(node)
        handlers = [self.handler(each) for each in node.handlers]
        made: ast.stmt = make(body, handlers, self.suite(node.orelse), self.suite(node.finalbody))
        return self.put(made, node)

    def TryStar(self, node: cst.TryStar) -> ast.stmt:
        return self.Try(node, _TRY_STAR)

    def handler(self, node: cst.ExceptHandler | cst.ExceptStarHandler) -> ast.ExceptHandler:
        name = None if node.name is None else _identifier(node.name.name)  # type: ignore[arg-type]
        return self.put(ast.ExceptHandler(self.optional(node.type), name, self.suite(node)), node)

    def FunctionDef(self, node: cst.FunctionDef) -> ast.stmt:
        make: Any = ast.FunctionDef if node.asynchronous is None else ast.AsyncFunctionDef
        decorators = [self.lower(each.decorator) for each in node.decorators]
        parameters = self.type_parameters(node)
        arguments = self.parameters(node.params)
        returns = None if node.returns is None else self.lower(node.returns.annotation)
        made: ast.stmt = make(_identifier(node.name), arguments, self.suite(node), decorators, returns)
        if _TYPE_VAR is not None:
            made.type_params = parameters  # type: ignore[attr-defined]
        return self.put(made, node)

    def ClassDef(self, node: cst.ClassDef) -> ast.stmt:
        decorators = [self.lower(each.decorator) for each in node.decorators]
        parameters = self.type_parameters(node)
        bases, keywords = self.arguments((*node.bases, *node.keywords))
        made: ast.stmt = ast.ClassDef(_identifier(node.name), bases, keywords, self.suite(node), decorators)
        if _TYPE_VAR is not None:
            made.type_params = parameters  # type: ignore[attr-defined]
        return self.put(made, node)

    def parameters(self, node: cst.Parameters) -> ast.arguments:
        positional = [self.parameter(each) for each in node.posonly_params]
        ordinary = [self.parameter(each) for each in node.params]
        star, double = node.star_arg, node.star_kwarg
        variable = self.parameter(star) if isinstance(star, cst.Param) else None
        keyword_only = [self.parameter(each) for each in node.kwonly_params]
        defaults = [self.lower(p.default) for p in (*node.posonly_params, *node.params) if p.default is not None]
        return ast.arguments(
            posonlyargs=positional,
            args=ordinary,
            vararg=variable,
            kwonlyargs=keyword_only,
            kw_defaults=[self.optional(each.default) for each in node.kwonly_params],
            kwarg=None if double is None else self.parameter(double),
            defaults=defaults,
        )

    def parameter(self, node: cst.Param) -> ast.arg:
        if node.annotation is None:
            return self.put(ast.arg(_identifier(node.name), None), node.name)
        annotation = node.annotation.annotation
        return self.put(ast.arg(_identifier(node.name), self.lower(annotation)), (node.name, annotation))

    def Match(self, node: cst.Match) -> ast.stmt:
        subject = self.lower(node.subject)
        cases = []
        for case in node.cases:
            pattern, guard = self.lower(case.pattern), self.optional(case.guard)
            cases.append(self.put(ast.match_case(pattern, guard, self.suite(case)), case))
        return self.put(ast.Match(subject, cases), node)

    # Patterns

    def MatchValue(self, node: cst.MatchValue) -> ast.pattern:
        return self.put(ast.MatchValue(self.lower(node.value)), node.value)

    def MatchSingleton(self, node: cst.MatchSingleton) -> ast.pattern:
        return self.put(ast.MatchSingleton(_SINGLETONS[node.value.value]), node.value)

    def MatchList(self, node: cst.MatchSequence) -> ast.pattern:
        return self.put(ast.MatchSequence([self.lower(each) for each in node.patterns]), node)

    MatchTuple = MatchList

    def MatchSequenceElement(self, node: cst.MatchSequenceElement) -> ast.pattern:
        made: ast.pattern = self.lower(node.value)
        return made

    def MatchStar(self, node: cst.MatchStar) -> ast.pattern:
        return self.put(ast.MatchStar(None if node.name is None else _identifier(node.name)), node)

    def MatchMapping(self, node: cst.MatchMapping) -> ast.pattern:
        keys = [self.lower(each.key) for each in node.elements]
        patterns = [self.lower(each.pattern) for each in node.elements]
        rest = None if node.rest is None else _identifier(node.rest)
        return self.put(ast.MatchMapping(keys, patterns, rest), node)

    def MatchClass(self, node: cst.MatchClass) -> ast.pattern:
        cls = self.lower(node.cls)
        patterns = [self.lower(each) for each in node.patterns]
        names = [_identifier(each.key) for each in node.kwds]
        return self.put(ast.MatchClass(cls, patterns, names, [self.lower(each.pattern) for each in node.kwds]), node)

    def MatchAs(self, node: cst.MatchAs) -> ast.pattern:
        pattern = self.optional(node.pattern)
        return self.put(ast.MatchAs(pattern, None if node.name is None else _identifier(node.name)), node)

    def MatchOr(self, node: cst.MatchOr) -> ast.pattern:
        return self.put(ast.MatchOr([self.lower(each.pattern) for each in node.patterns]), node)

    # Expressions

    def Name(self, node: cst.Name) -> ast.expr:
        value = node.value
        if value in _SINGLETONS:
            return self.put(ast.Constant(_SINGLETONS[value]), node)
        if not value.isascii():
            value = _identifier(node)
        return self.put(ast.Name(value, _LOAD), node)

    def Attribute(self, node: cst.Attribute) -> ast.expr:
        value = node.value
        name = node.attr.value
        if not name.isascii():
            name = _identifier(node.attr)
        return self.put(ast.Attribute(_LOWER[value.__class__](self, value), name, _LOAD), node)

    def Call(self, node: cst.Call) -> ast.expr:
        func = node.func
        made = ast.Call(_LOWER[func.__class__](self, func), *self.arguments(node.args))
        return self.put(made, node)

    def arguments(self, given: Iterable[cst.Arg]) -> tuple[list[ast.expr], list[ast.keyword]]:
        positional: list[ast.expr] = []
        keywords: list[ast.keyword] = []
        for argument in given:
            value = argument.value
            lowered = _LOWER[value.__class__](self, value)
            if argument.keyword is not None:
                keywords.append(self.put(ast.keyword(_identifier(argument.keyword), lowered), argument))
            elif not argument.star:
                positional.append(lowered)
            elif argument.star == "*":
                positional.append(self.put(ast.Starred(lowered, _LOAD), argument))
            else:
                keywords.append(self.put(ast.keyword(None, lowered), argument))
        return positional, keywords

    def Ellipsis(self, node: cst.Ellipsis) -> ast.expr:
        return self.put(ast.Constant(...), node)

    def Integer(self, node: cst.Integer) -> ast.expr:
        value = node.value
        return self.put(ast.Constant(int(value, 10 if value.isdecimal() else 0)), node)

    def Float(self, node: cst.Float) -> ast.expr:
        return self.put(ast.Constant(float(node.value)), node)

    def Imaginary(self, node: cst.Imaginary) -> ast.expr:
        return self.put(ast.Constant(complex(node.value)), node)

    def SimpleString(self, node: cst.SimpleString) -> ast.expr:
        token = node.value
        return self.put(ast.Constant(_literal(token), "u" if token[0] in "uU" else None), node)

    def FormattedString(self, node: Any) -> ast.expr:
        return self.joined([node], node)

    TemplatedString = FormattedString

    def ConcatenatedString(self, node: cst.ConcatenatedString) -> ast.expr:
        parts: list[Any] = []
        rest: Any = node
        while isinstance(rest, cst.ConcatenatedString):
            parts.append(rest.left)
            rest = rest.right
        parts.append(rest)
        if any(part.__class__ is not cst.SimpleString for part in parts):
            return self.joined(parts, node)
        values = [_literal(part.value) for part in parts]
        kind = "u" if parts[0].value[0] in "uU" else None
        return self.put(ast.Constant(values[0][:0].join(values), kind), node)

    def joined(self, tokens: Sequence[Any], origin: cst.CSTNode) -> ast.expr:
        """String tokens side by side, at least one of them with places to fill in."""
        template = _TEMPLATE is not None and any(token.__class__.__name__ == "TemplatedString" for token in tokens)
        kind = "u" if tokens[0].__class__ is cst.SimpleString and tokens[0].value[0] in "uU" else None
        pieces: list[Any] = []
        for token in tokens:
            if token.__class__ is cst.SimpleString:
                pieces.append((_literal(token.value), token))
            else:
                pieces += self.pieces(token.parts, token, template)
        values = self.fold(pieces, kind)
        made: ast.expr = (_TEMPLATE if template else ast.JoinedStr)(values)
        return self.put(made, origin)

    def fold(self, pieces: Iterable[Any], kind: str | None = None) -> list[ast.expr]:
        """Join neighbouring texts, drop empty ones."""
        values: list[ast.expr] = []
        texts: list[str] = []
        origin: Any = None

        def flush() -> None:
            if text := "".join(texts):
                values.append(self.put(ast.Constant(text, kind), origin))
            texts.clear()

        for piece in pieces:
            if isinstance(piece, ast.expr):
                flush()
                values.append(piece)
            else:
                origin = origin if texts else piece[1]
                texts.append(piece[0])
        flush()
        return values

    def pieces(self, parts: Iterable[Any], string: Any, template: bool) -> Iterator[Any]:
        """Lowered places, and (text, origin) for what stands between them."""
        for part in parts:
            if part.__class__.__name__ in ("FormattedStringText", "TemplatedStringText"):
                yield _formatted_text(part.value, string.start, string.end), part
                continue
            if part.equal is not None:
                yield self.shown(part, part.equal), part
            value = self.lower(part.expression)
            conversion = _CONVERSIONS[part.conversion]
            if part.equal is not None and part.conversion is None and part.format_spec is None:
                conversion = ord("r")
            spec = None
            if part.format_spec is not None:
                values = self.fold(self.pieces(part.format_spec, string, False))
                spec = self.put(ast.JoinedStr(values), part)
            if template:
                yield self.put(_INTERPOLATION(value, self.shown(part).strip(), conversion, spec), part)
            else:
                yield self.put(ast.FormattedValue(value, conversion, spec), part)

    def shown(self, part: Any, equal: cst.CSTNode | None = None) -> str:
        """The source of an expression in a place, up to its `=`, without the comments around it."""
        text = ""
        for node in (part.whitespace_before_expression, part.expression, equal, part.whitespace_after_expression):
            if node is not None:
                code = self.root.code_for_node(node)
                text += code if node is part.expression else _COMMENT.sub("", code)
        return _NEWLINE.sub("\n", text)

    def UnaryOperation(self, node: cst.UnaryOperation) -> ast.expr:
        return self.put(ast.UnaryOp(_OPERATORS[node.operator.__class__], self.lower(node.expression)), node)

    def BinaryOperation(self, node: cst.BinaryOperation) -> ast.expr:
        left = _LOWER[node.left.__class__](self, node.left)
        right = _LOWER[node.right.__class__](self, node.right)
        return self.put(ast.BinOp(left, _OPERATORS[node.operator.__class__], right), node)

    def BooleanOperation(self, node: cst.BooleanOperation) -> ast.expr:
        kind = node.operator.__class__
        operands: list[cst.BaseExpression] = []
        waiting: list[cst.BaseExpression] = [node.right, node.left]
        while waiting:
            each = waiting.pop()
            if isinstance(each, cst.BooleanOperation) and each.operator.__class__ is kind and not each.lpar:
                waiting += (each.right, each.left)
            else:
                operands.append(each)
        return self.put(ast.BoolOp(_OPERATORS[kind], [self.lower(each) for each in operands]), node)

    def Comparison(self, node: cst.Comparison) -> ast.expr:
        left = self.lower(node.left)
        operators = [_OPERATORS[each.operator.__class__] for each in node.comparisons]
        return self.put(ast.Compare(left, operators, [self.lower(each.comparator) for each in node.comparisons]), node)

    def IfExp(self, node: cst.IfExp) -> ast.expr:
        return self.put(ast.IfExp(self.lower(node.test), self.lower(node.body), self.lower(node.orelse)), node)

    def NamedExpr(self, node: cst.NamedExpr) -> ast.expr:
        return self.put(ast.NamedExpr(self.target(node.target), self.lower(node.value)), node)

    def Lambda(self, node: cst.Lambda) -> ast.expr:
        return self.put(ast.Lambda(self.parameters(node.params), self.lower(node.body)), node)

    def Await(self, node: cst.Await) -> ast.expr:
        return self.put(ast.Await(self.lower(node.expression)), node)

    def Yield(self, node: cst.Yield) -> ast.expr:
        if isinstance(node.value, cst.From):
            return self.put(ast.YieldFrom(self.lower(node.value.item)), node)
        return self.put(ast.Yield(self.optional(node.value)), node)

    def StarredElement(self, node: Any) -> ast.expr:
        return self.put(ast.Starred(self.lower(node.value), _LOAD), node)

    def Element(self, node: cst.Element) -> ast.expr:
        made: ast.expr = _LOWER[node.value.__class__](self, node.value)
        return made

    def Tuple(self, node: cst.Tuple) -> ast.expr:
        return self.put(ast.Tuple([self.lower(each) for each in node.elements], _LOAD), node)

    def List(self, node: cst.List) -> ast.expr:
        return self.put(ast.List([self.lower(each) for each in node.elements], _LOAD), node)

    def Set(self, node: cst.Set) -> ast.expr:
        return self.put(ast.Set([self.lower(each) for each in node.elements]), node)

    def Dict(self, node: cst.Dict) -> ast.expr:
        keys: list[ast.expr | None] = []
        values = []
        for element in node.elements:
            keys.append(self.lower(element.key) if isinstance(element, cst.DictElement) else None)
            values.append(self.lower(element.value))
        return self.put(ast.Dict(keys, values), node)

    def Subscript(self, node: cst.Subscript) -> ast.expr:
        value = self.lower(node.value)
        given = node.slice
        parts = [self.lower(each.slice) for each in given]
        if len(parts) == 1 and given[0].comma is cst.MaybeSentinel.DEFAULT and not isinstance(parts[0], ast.Starred):
            index = parts[0]
        else:
            index = self.put(ast.Tuple(parts, _LOAD), (given[0].slice, given[-1].slice))
        return self.put(ast.Subscript(value, index, _LOAD), node)

    def Index(self, node: cst.Index) -> ast.expr:
        value: ast.expr = self.lower(node.value)
        return self.put(ast.Starred(value, _LOAD), node) if node.star else value

    def Slice(self, node: cst.Slice) -> ast.expr:
        return self.put(ast.Slice(self.optional(node.lower), self.optional(node.upper), self.optional(node.step)), node)

    def ListComp(self, node: cst.ListComp) -> ast.expr:
        return self.put(ast.ListComp(self.lower(node.elt), self.generators(node.for_in)), node)

    def SetComp(self, node: cst.SetComp) -> ast.expr:
        return self.put(ast.SetComp(self.lower(node.elt), self.generators(node.for_in)), node)

    def GeneratorExp(self, node: cst.GeneratorExp) -> ast.expr:
        return self.put(ast.GeneratorExp(self.lower(node.elt), self.generators(node.for_in)), node)

    def DictComp(self, node: cst.DictComp) -> ast.expr:
        key, value = self.lower(node.key), self.lower(node.value)
        return self.put(ast.DictComp(key, value, self.generators(node.for_in)), node)

    def StarredDictComp(self, node: Any) -> ast.expr:
        """`{**each for …}` (PEP 798): a generator of those mappings is what older Pythons have for it."""
        return self.put(ast.GeneratorExp(self.lower(node.value), self.generators(node.for_in)), node)

    def generators(self, node: cst.CompFor | None) -> list[ast.comprehension]:
        made = []
        while node is not None:
            target, values = self.target(node.target), self.lower(node.iter)
            conditions = [self.lower(each.test) for each in node.ifs]
            made.append(
                self.put(ast.comprehension(target, values, conditions, int(node.asynchronous is not None)), node)
            )
            node = node.inner_for_in
        return made


_LOWER: dict[type[cst.CSTNode], Callable[[_Lowering, Any], Any]] = {
    getattr(cst, name): method for name, method in vars(_Lowering).items() if name[0].isupper() and hasattr(cst, name)
}
