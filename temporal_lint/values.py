"""Constants: what an expression is worth where that can be told without running it.

Values of the project's constants are followed across modules. UNKNOWN stands for everything dynamic.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporal_lint.facts import Binding, Class, Function, Scope, last_name
from temporal_lint.resolve import External, Resolver, Variable
from temporal_lint.sql import HOLE

# A constant is computed only while it stays small: 8 MiB is four times the server's limit for a payload.
_MAX_LENGTH = 8 * 2**20
_MAX_DEPTH = 40
# Names and functions that are followed for one value: `b = [a, a]`, `c = [b, b]` and so on doubles with each line.
_MAX_HOPS = 1_000


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("UNKNOWN is neither true nor false; compare with `is UNKNOWN`.")


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Bound:
    """An expression together with the scope it is evaluated in. `here` is whether it stands at the call itself."""

    expression: ast.expr
    scope: Scope
    here: bool = True


@dataclass(frozen=True)
class Keys:
    """What a `**mapping` brings: the entries that are known, and whether these are all of them."""

    entries: dict[str, Bound]
    complete: bool


_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.BitOr: operator.or_,
    ast.Pow: operator.pow,
}
# pure functions of constants
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "datetime.timedelta": timedelta,
    "builtins.int": int,
    "builtins.float": float,
    "builtins.str": str,
    "builtins.bytes": bytes,
    "builtins.len": len,
    "builtins.max": max,
    "builtins.min": min,
    "builtins.abs": abs,
    "builtins.range": range,
    "builtins.list": list,
    "builtins.tuple": tuple,
    "builtins.dict": dict,
    "builtins.sum": sum,
}
_PURE_METHODS = frozenset(
    [
        *("encode", "decode", "format", "join", "lower", "upper", "strip", "lstrip", "rstrip", "replace", "zfill"),
        *("ljust", "rjust", "center", "title", "split", "splitlines", "removeprefix", "removesuffix"),
        *("keys", "values", "items", "copy", "total_seconds"),
    ]
)


class Values:
    """Constant evaluation over a Resolver."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self._hops = 0

    def constant(self, expression: ast.expr, scope: Scope, depth: int = 0) -> Any:
        """The Python value of `expression` (numbers, text, bytes, containers, timedelta), or UNKNOWN."""
        if self._is_too_far(depth):
            return UNKNOWN
        if isinstance(expression, ast.Constant):
            return expression.value
        if isinstance(expression, (ast.Name, ast.Attribute)):
            return self._named(expression, scope, depth)
        if isinstance(expression, ast.NamedExpr):
            return self.constant(expression.value, scope, depth + 1)
        if isinstance(expression, ast.UnaryOp):
            return self._unary(expression, scope, depth)
        if isinstance(expression, ast.BinOp):
            return self._binary(expression, scope, depth)
        if isinstance(expression, (ast.List, ast.Tuple, ast.Set)):
            return self._sequence(expression, scope, depth)
        if isinstance(expression, ast.Dict):
            return self._mapping(expression, scope, depth)
        if isinstance(expression, ast.Call):
            return self._call(expression, scope, depth)
        if isinstance(expression, ast.JoinedStr):
            return self._joined(expression, scope, depth)
        if isinstance(expression, ast.Subscript):
            return self._subscript(expression, scope, depth)
        if isinstance(expression, (ast.ListComp, ast.GeneratorExp)):
            return self._comprehension(expression, scope, depth)
        return UNKNOWN

    def _is_too_far(self, depth: int) -> bool:
        """Whether following an expression has to end here; a question from outside (depth 0) starts to count anew."""
        if depth == 0:
            self._hops = 0
        return depth > _MAX_DEPTH or self._hops > _MAX_HOPS

    def is_none(self, expression: ast.expr, scope: Scope) -> bool:
        """Whether `expression` is certain to be None."""
        return self.constant(expression, scope) is None

    def _named(self, expression: ast.Name | ast.Attribute, scope: Scope, depth: int) -> Any:
        symbol = self.resolver.resolve(expression, scope)
        if isinstance(symbol, External):
            return {"math.inf": math.inf, "datetime.timedelta.max": timedelta.max}.get(symbol.dotted, UNKNOWN)
        if not isinstance(symbol, Variable) or symbol.assigned is None:
            return UNKNOWN
        if symbol.owner is not None and self.resolver.is_enum(symbol.owner) and isinstance(expression, ast.Attribute):
            # a member of an enumeration is worth its value only through `.value`, or where it is a str or an int
            plain = self.resolver.is_subclass(
                symbol.owner, "enum.StrEnum", "enum.IntEnum", "builtins.str", "builtins.int"
            )
            if not plain and expression.attr not in ("value", "_value_"):
                return UNKNOWN
        value, binding = symbol.assigned
        self._hops += 1
        held = self.constant(value, binding.scope, depth + 1)
        if isinstance(held, (list, dict, set)) and self.is_mutated(binding):
            return UNKNOWN
        return held

    def is_mutated(self, binding: Binding) -> bool:
        """Whether the container behind a binding is changed in place, by its own module or by what that gives it to."""
        names = {last_name(each) for each in _targets(binding.node)} - {""}
        if not names.isdisjoint(binding.scope.module.changed):
            return True
        return self.resolver.writes.hands_out(binding, names, self.resolver.resolve)

    def _unary(self, expression: ast.UnaryOp, scope: Scope, depth: int) -> Any:
        value = self.constant(expression.operand, scope, depth + 1)
        if isinstance(value, (int, float, timedelta)) and isinstance(expression.op, ast.USub):
            return -value
        return value if isinstance(value, (int, float)) and isinstance(expression.op, ast.UAdd) else UNKNOWN

    def _binary(self, expression: ast.BinOp, scope: Scope, depth: int) -> Any:
        operation = _OPERATORS.get(type(expression.op))
        # a long chain of `+` leans to the left: walk it instead of calling down
        chain: list[ast.BinOp] = [expression]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
        value = self.constant(chain[-1].left, scope, depth + 1)
        for link in reversed(chain):
            operation = _OPERATORS.get(type(link.op))
            if value is UNKNOWN or operation is None:
                return UNKNOWN
            right = self.constant(link.right, scope, depth + 1)
            if right is UNKNOWN or _too_big(value, right, link.op):
                return UNKNOWN
            try:
                value = operation(value, right)
            except Exception:
                return UNKNOWN
        return value

    def _sequence(self, expression: ast.List | ast.Tuple | ast.Set, scope: Scope, depth: int) -> Any:
        found: list[Any] = []
        for each in expression.elts:
            value = self.constant(each.value if isinstance(each, ast.Starred) else each, scope, depth + 1)
            if value is UNKNOWN:
                return UNKNOWN
            if isinstance(each, ast.Starred):
                if not isinstance(value, (list, tuple, str, range)):
                    return UNKNOWN
                found.extend(value)
            else:
                found.append(value)
        if isinstance(expression, ast.Tuple):
            return tuple(found)
        try:
            return set(found) if isinstance(expression, ast.Set) else found
        except TypeError:
            return UNKNOWN

    def _mapping(self, expression: ast.Dict, scope: Scope, depth: int) -> Any:
        found: dict[Any, Any] = {}
        for key, value in zip(expression.keys, expression.values, strict=True):
            held = self.constant(value, scope, depth + 1)
            if held is UNKNOWN:
                return UNKNOWN
            if key is None:
                if not isinstance(held, dict):
                    return UNKNOWN
                found.update(held)
                continue
            name = self.constant(key, scope, depth + 1)
            if name is UNKNOWN:
                return UNKNOWN
            try:
                found[name] = held
            except TypeError:
                return UNKNOWN
        return found

    def _call(self, expression: ast.Call, scope: Scope, depth: int) -> Any:
        positional: list[Any] = []
        for each in expression.args:
            value = self.constant(each, scope, depth + 1) if not isinstance(each, ast.Starred) else UNKNOWN
            if value is UNKNOWN:
                return UNKNOWN
            positional.append(value)
        named: dict[str, Any] = {}
        for keyword in expression.keywords:
            value = self.constant(keyword.value, scope, depth + 1) if keyword.arg else UNKNOWN
            if value is UNKNOWN or keyword.arg is None:
                return UNKNOWN
            named[keyword.arg] = value
        function = _FUNCTIONS.get(self.resolver.dotted(expression.func, scope) or "")
        if function is None and isinstance(expression.func, ast.Attribute) and expression.func.attr in _PURE_METHODS:
            receiver = self.constant(expression.func.value, scope, depth + 1)
            if isinstance(receiver, (str, bytes, dict, list, timedelta)):
                function = getattr(receiver, expression.func.attr, None)
        if function is None or _expands(function, positional):
            return UNKNOWN
        try:
            value = function(*positional, **named)
        except Exception:
            return UNKNOWN
        return list(value) if isinstance(value, (type({}.keys()), type({}.values()), type({}.items()))) else value

    def _joined(self, expression: ast.JoinedStr, scope: Scope, depth: int) -> Any:
        text = self.text(expression, scope, depth)
        return UNKNOWN if text is None or HOLE in text else text

    def _subscript(self, expression: ast.Subscript, scope: Scope, depth: int) -> Any:
        if isinstance(expression.slice, ast.Slice):
            return UNKNOWN
        base = self.constant(expression.value, scope, depth + 1)
        key = self.constant(expression.slice, scope, depth + 1)
        if base is UNKNOWN or key is UNKNOWN:
            return UNKNOWN
        try:
            return base[key]
        except Exception:
            return UNKNOWN

    def _comprehension(self, expression: ast.ListComp | ast.GeneratorExp, scope: Scope, depth: int) -> Any:
        """`[constant for _ in range(n)]`: the same element n times."""
        if len(expression.generators) != 1 or expression.generators[0].ifs:
            return UNKNOWN
        source = self.constant(expression.generators[0].iter, scope, depth + 1)
        if not isinstance(source, (list, tuple, range)):
            return UNKNOWN
        element = self.constant(expression.elt, scope.module.scopes.get(expression, scope), depth + 1)
        if element is UNKNOWN or len(source) * _weight(element) > _MAX_LENGTH:
            return UNKNOWN
        return [element] * len(source)

    # ---- text --------------------------------------------------------------------------------------------------

    def text(self, expression: ast.expr, scope: Scope, depth: int = 0) -> str | None:
        """The text of a string expression with HOLE for each unknown part; None where it is no certain string."""
        if self._is_too_far(depth):
            return None
        if isinstance(expression, ast.Constant):
            return expression.value if isinstance(expression.value, str) else None
        if isinstance(expression, ast.JoinedStr):
            return "".join(self._part(each, scope, depth) for each in expression.values)
        if isinstance(expression, ast.BinOp):
            return self._combined(expression, scope, depth)
        if isinstance(expression, ast.Call):
            return self._text_call(expression, scope, depth)
        if isinstance(expression, (ast.Name, ast.Attribute)):
            symbol = self.resolver.resolve(expression, scope)
            if isinstance(symbol, Variable) and symbol.assigned is not None:
                value, binding = symbol.assigned
                self._hops += 1
                return self.text(value, binding.scope, depth + 1)
        return None

    def _part(self, part: ast.expr, scope: Scope, depth: int) -> str:
        if isinstance(part, ast.FormattedValue):
            if part.conversion == -1 and part.format_spec is None:
                value = self.constant(part.value, scope, depth + 1)
                if isinstance(value, (str, int)):
                    return str(value)
                return self.text(part.value, scope, depth + 1) or HOLE
            return HOLE
        return self.text(part, scope, depth + 1) or ""

    def _combined(self, expression: ast.BinOp, scope: Scope, depth: int) -> str | None:
        if isinstance(expression.op, ast.Mod):
            left = self.text(expression.left, scope, depth + 1)
            return None if left is None else _percent_holes(left)
        chain: list[ast.BinOp] = [expression]
        while isinstance(chain[-1].left, ast.BinOp) and isinstance(chain[-1].left.op, ast.Add):
            chain.append(chain[-1].left)
        parts = [chain[-1].left, *(link.right for link in reversed(chain))]
        if not all(isinstance(link.op, ast.Add) for link in chain):
            return None
        texts = [self.text(each, scope, depth + 1) for each in parts]
        if all(each is None for each in texts):
            return None
        return "".join(HOLE if each is None else each for each in texts)

    def _text_call(self, call: ast.Call, scope: Scope, depth: int) -> str | None:
        func = call.func
        if isinstance(func, ast.Attribute):
            if func.attr in ("strip", "lstrip", "rstrip"):
                return self.text(func.value, scope, depth + 1)
            if func.attr == "format":
                base = self.text(func.value, scope, depth + 1)
                return None if base is None else _format_holes(base)
            if func.attr == "join" and len(call.args) == 1 and isinstance(call.args[0], (ast.List, ast.Tuple)):
                glue = self.text(func.value, scope, depth + 1)
                if glue is None:
                    return None
                parts = [self.text(each, scope, depth + 1) for each in call.args[0].elts]
                return glue.join(HOLE if each is None else each for each in parts)
        if len(call.args) >= 1 and self._wraps_text(call, scope):
            return self.text(call.args[0], scope, depth + 1)
        symbol = self.resolver.resolve(func, scope)
        if (
            isinstance(symbol, Function)
            and not symbol.yields
            and len(symbol.returned) == 1
            and symbol.returned[0] is not None
        ):
            self._hops += 1
            return self.text(symbol.returned[0], symbol.scope, depth + 1)
        return None

    def _wraps_text(self, call: ast.Call, scope: Scope) -> bool:
        dotted = self.resolver.dotted(call.func, scope) or ""
        return dotted in ("textwrap.dedent", "inspect.cleandoc", "builtins.str") or dotted.endswith(
            (".sql.SQL", ".text", ".TextClause")
        )

    # ---- mappings ----------------------------------------------------------------------------------------------

    def keys(self, expression: ast.expr, scope: Scope, depth: int = 0) -> Keys:
        """The entries of a mapping that is splatted with `**`, as far as they can be told."""
        nothing = Keys({}, False)
        if self._is_too_far(depth):
            return nothing
        if isinstance(expression, ast.Dict):
            return self._display_keys(expression, scope, depth)
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitOr):
            return _merge([self.keys(each, scope, depth + 1) for each in (expression.left, expression.right)])
        if isinstance(expression, ast.IfExp):
            return _either(self.keys(expression.body, scope, depth + 1), self.keys(expression.orelse, scope, depth + 1))
        if isinstance(expression, ast.Call):
            return self._call_keys(expression, scope, depth)
        if isinstance(expression, (ast.Name, ast.Attribute)):
            symbol = self.resolver.resolve(expression, scope)
            if isinstance(symbol, Variable) and symbol.assigned is not None:
                value, binding = symbol.assigned
                self._hops += 1
                found = self.keys(value, binding.scope, depth + 1)
                return Keys(found.entries, found.complete and not self.is_mutated(binding))
        return nothing

    def _display_keys(self, expression: ast.Dict, scope: Scope, depth: int) -> Keys:
        parts: list[Keys] = []
        for key, value in zip(expression.keys, expression.values, strict=True):
            if key is None:
                parts.append(self.keys(value, scope, depth + 1))
                continue
            name = self.constant(key, scope, depth + 1)
            parts.append(Keys({name: Bound(value, scope, False)}, True) if isinstance(name, str) else Keys({}, False))
        return _merge(parts)

    def _call_keys(self, call: ast.Call, scope: Scope, depth: int) -> Keys:
        symbol = self.resolver.resolve(call.func, scope)
        makes_mapping = isinstance(symbol, External) and (
            symbol.dotted == "builtins.dict" or symbol.dotted.endswith(("ActivityConfig", "ChildWorkflowConfig"))
        )
        if isinstance(symbol, Class):
            makes_mapping = self.resolver.is_subclass(symbol, "typing.TypedDict")
        if makes_mapping:
            parts = [self.keys(each, scope, depth + 1) for each in call.args]
            for keyword in call.keywords:
                if keyword.arg is None:
                    parts.append(self.keys(keyword.value, scope, depth + 1))
                else:
                    parts.append(Keys({keyword.arg: Bound(keyword.value, scope, False)}, True))
            return _merge(parts)
        if isinstance(symbol, Function) and len(symbol.returned) == 1 and not symbol.yields and not symbol.is_async:
            value = symbol.returned[0]
            # what the function was given is not followed: names of its parameters stay unknown values
            if value is not None and not symbol.node.decorator_list:
                self._hops += 1
                return self.keys(value, symbol.scope, depth + 1)
        return Keys({}, False)


def _merge(parts: list[Keys]) -> Keys:
    entries: dict[str, Bound] = {}
    for part in parts:
        entries.update(part.entries)
    return Keys(entries, all(part.complete for part in parts))


def _either(first: Keys, second: Keys) -> Keys:
    """One of two mappings: only what both hold is sure to be there; all of it may be."""
    same = first.entries.keys() == second.entries.keys()
    common = {name: bound for name, bound in first.entries.items() if name in second.entries}
    return Keys(common, same and first.complete and second.complete)


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.NamedExpr)) else []


def _weight(value: Any) -> int:
    """How many characters and values a constant holds, all the way down; counted a little over the limit at most."""
    count = 0
    waiting = [value]
    while waiting and count <= _MAX_LENGTH:
        each = waiting.pop()
        count += max(len(each), 1) if isinstance(each, (str, bytes)) else 1
        if isinstance(each, (list, tuple, set)):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each.values())
    return count


def _too_big(left: Any, right: Any, operation: ast.operator) -> bool:
    """Whether computing it could cost more than a constant is worth."""
    if isinstance(operation, ast.Mult):
        for many, times in ((left, right), (right, left)):
            if hasattr(many, "__len__") and isinstance(times, int):
                return _weight(many) * max(times, 0) > _MAX_LENGTH
    if isinstance(operation, (ast.Pow, ast.LShift)):
        return not (isinstance(left, (int, float)) and isinstance(right, int) and 0 <= right <= 64)
    if isinstance(left, str) and isinstance(operation, ast.Mod):
        return True
    return isinstance(left, int) and left.bit_length() > 256


def _expands(function: Callable[..., Any], arguments: list[Any]) -> bool:
    """Whether a call would turn a short description into something large."""
    if function in (list, tuple, sum, bytes) and arguments:
        first = arguments[0]
        return (isinstance(first, int) and first > _MAX_LENGTH) or (
            isinstance(first, range) and len(first) > _MAX_LENGTH
        )
    name = getattr(function, "__name__", "")
    if name in ("zfill", "ljust", "rjust", "center"):
        return bool(arguments) and isinstance(arguments[0], int) and arguments[0] > _MAX_LENGTH
    if name == "replace" and len(arguments) >= 2:
        owner = getattr(function, "__self__", "")
        return len(owner) * max(len(arguments[1]), 1) > _MAX_LENGTH if hasattr(arguments[1], "__len__") else True
    return name == "format"


def _percent_holes(text: str) -> str:
    out: list[str] = []
    index = 0
    while (start := text.find("%", index)) >= 0:
        out.append(text[index:start])
        index = start + 1
        if text.startswith("(", index):
            index = text.find(")", index) + 1 or len(text)
        while index < len(text) and text[index] in "#0- +.123456789*":
            index += 1
        out.append("%" if text.startswith("%", index) and index == start + 1 else HOLE)
        index += 1
    return "".join([*out, text[index:]])


def _format_holes(text: str) -> str:
    out: list[str] = []
    index = 0
    while index < len(text):
        char = text[index]
        if char in "{}" and text.startswith(char * 2, index):
            out.append(char)
            index += 2
        elif char == "{":
            out.append(HOLE)
            end = text.find("}", index)
            index = len(text) if end < 0 else end + 1
        else:
            out.append(char)
            index += 1
    return "".join(out)
