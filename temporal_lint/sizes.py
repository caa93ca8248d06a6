"""How many bytes a value makes as a payload, computed without the SDK.

The default converter writes `bytes` as they are, None as nothing, and everything else as compact ASCII JSON; pydantic's
writes UTF-8. Where part of a value is unknown, the size is what the known parts come to at least.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from temporal_lint.converters import Converter
from temporal_lint.facts import Class, Scope
from temporal_lint.project import Project
from temporal_lint.resolve import Variable
from temporal_lint.sql import HOLE
from temporal_lint.values import UNKNOWN

_MAX_DEPTH = 30
# Names that are followed for one value: `b = [a, x]`, `c = [b, b]` and so on doubles with each line.
_MAX_HOPS = 100
# Functions that give as many bytes as they are told.
_FILLED = frozenset(["builtins.bytes", "builtins.bytearray", "os.urandom", "secrets.token_bytes", "random.randbytes"])
_COLLECTS = frozenset(f"builtins.{name}" for name in ("list", "tuple", "sorted"))


@dataclass(frozen=True)
class Size:
    """Bytes of an encoded value; not `exact` where it may be more."""

    bytes: int
    exact: bool


@dataclass(frozen=True)
class _Part:
    """A part of a value: the bytes of its JSON, and where it is `bytes` its length (`raw`), which counts at the top."""

    size: int
    exact: bool = False
    raw: int | None = None
    raw_exact: bool = False


# any JSON takes a byte
_ANYTHING = _Part(1)


class Sizes:
    """Measures values of one project under one converter."""

    def __init__(self, project: Project, converter: Converter) -> None:
        self.project = project
        self.values = project.values
        self.resolver = project.resolver
        self._ascii = converter in ("default", "json", "custom")
        self._lists_bytes = self._ascii
        self._hops = 0

    def measure(self, expression: ast.expr, scope: Scope) -> Size | None:
        """The size of the payload of a value; None where nothing of it is known."""
        self._hops = 0
        part = self._part(expression, scope, 0)
        if part.raw is not None:
            return Size(part.raw, part.raw_exact)
        if self.values.is_none(expression, scope):
            return Size(0, True)
        return Size(part.size, part.exact) if part is not _ANYTHING else None

    def _part(self, expression: ast.expr, scope: Scope, depth: int) -> _Part:
        if depth > _MAX_DEPTH or self._hops > _MAX_HOPS:
            return _ANYTHING
        value = self.values.constant(expression, scope)
        if value is not UNKNOWN:
            return self._constant(value)
        if isinstance(expression, (ast.Name, ast.Attribute)):
            return self._named(expression, scope, depth)
        if isinstance(expression, (ast.List, ast.Tuple, ast.Set)):
            parts = [
                self._part(each, scope, depth + 1) for each in expression.elts if not isinstance(each, ast.Starred)
            ]
            return _container(parts, len(parts) == len(expression.elts))
        if isinstance(expression, ast.Dict):
            return self._entries(expression.keys, expression.values, scope, depth)
        if isinstance(expression, ast.BinOp):
            return self._binary(expression, scope, depth)
        if isinstance(expression, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
            return self._comprehension(expression, scope, depth)
        if isinstance(expression, ast.IfExp):
            return _smallest([self._part(each, scope, depth + 1) for each in (expression.body, expression.orelse)])
        if isinstance(expression, ast.Call):
            return self._call(expression, scope, depth)
        text = self.values.text(expression, scope)
        return _Part(self._text(text.replace(HOLE, "")), False) if text is not None else _ANYTHING

    def _named(self, expression: ast.Name | ast.Attribute, scope: Scope, depth: int) -> _Part:
        symbol = self.resolver.resolve(expression, scope)
        if not isinstance(symbol, Variable):
            return _ANYTHING
        self._hops += 1
        parts: list[_Part] = []
        for binding in symbol.bindings:
            if binding.kind != "assign" or binding.value is None or binding.entered or self.values.is_mutated(binding):
                return _ANYTHING
            parts.append(self._part(binding.value, binding.scope, depth + 1))
        return _smallest(parts)

    def _constant(self, value: Any) -> _Part:
        if isinstance(value, (bytes, bytearray)):
            inner = self._bytes(value)
            return _Part(inner or 2, inner is not None, len(value) if isinstance(value, bytes) else None, True)
        if isinstance(value, str):
            return _Part(self._text(value), True)
        if isinstance(value, range):
            return _Part(_range_size(value), True)
        try:
            return _Part(len(self._json(value)), True)
        except (TypeError, ValueError, RecursionError):
            return _ANYTHING

    def _json(self, value: Any) -> str | bytes:
        text = json.dumps(
            value, ensure_ascii=self._ascii, separators=(",", ":"), sort_keys=self._ascii, default=self._as_json
        )
        return text if self._ascii else text.encode()

    def _as_json(self, value: Any) -> Any:
        if isinstance(value, (bytes, bytearray)) and not self._lists_bytes:
            return value.decode()
        if isinstance(value, (set, frozenset, range, bytes, bytearray)):
            return list(value)
        raise TypeError

    def _text(self, text: str) -> int:
        return len(self._json(text))

    def _bytes(self, value: bytes | bytearray) -> int | None:
        """The size inside a container: a list of numbers, or text, which not all bytes are."""
        if self._lists_bytes:
            digits = sum(len(value.translate(None, bytes(range(low)))) for low in (0, 10, 100))
            return digits + max(len(value) - 1, 0) + 2
        try:
            return self._text(value.decode())
        except UnicodeDecodeError:
            return None

    def _entries(self, keys: Iterable[ast.expr | None], values: Iterable[ast.expr], scope: Scope, depth: int) -> _Part:
        parts: list[_Part] = []
        complete = True
        for key, value in zip(keys, values, strict=True):
            if key is None:
                complete = False
                continue
            name = self._part(key, scope, depth + 1)
            held = self._part(value, scope, depth + 1)
            # keys are written as text, whatever they are
            is_text = isinstance(self.values.constant(key, scope), str)
            parts.append(_Part(max(name.size, 2) + 1 + held.size, name.exact and is_text and held.exact))
        return _container(parts, complete)

    def _binary(self, expression: ast.BinOp, scope: Scope, depth: int) -> _Part:
        if isinstance(expression.op, ast.Mult):
            for many, times in ((expression.left, expression.right), (expression.right, expression.left)):
                count = self.values.constant(times, scope)
                if isinstance(count, int) and not isinstance(count, bool):
                    return self._repeated(many, max(count, 0), scope, depth)
        if isinstance(expression.op, ast.Add):
            # a long chain of `+` leans to the left
            operands: list[ast.expr] = []
            rest: ast.expr = expression
            while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Add):
                operands.append(rest.right)
                rest = rest.left
            parts = [self._part(each, scope, depth + 1) for each in (rest, *reversed(operands))]
            kinds = {self._kind(each, scope) for each in (rest, *operands)} - {""}
            if len(kinds) == 1:
                return self._joined(parts, kinds.pop())
        return _ANYTHING

    def _kind(self, expression: ast.expr, scope: Scope) -> str:
        found = self.resolver.infer(expression, scope)
        name = found.name if found is not None else ""
        return name if name in ("builtins.str", "builtins.bytes", "builtins.list") else ""

    @staticmethod
    def _joined(parts: list[_Part], kind: str) -> _Part:
        """Text, bytes or lists put together: one pair of quotes or brackets is left."""
        known = [part for part in parts if part is not _ANYTHING]
        size = sum(part.size - 2 for part in known) + 2
        if kind == "builtins.list":
            size += max(sum(part.size > 2 for part in known) - 1, 0)
        raw = sum(part.raw or 0 for part in known) if kind == "builtins.bytes" else None
        return _Part(max(size, 2), False, raw)

    def _repeated(self, many: ast.expr, count: int, scope: Scope, depth: int) -> _Part:
        """`"x" * n` and `[0] * n`, however large."""
        part = self._part(many, scope, depth + 1)
        kind = self._kind(many, scope)
        if part is _ANYTHING or not kind:
            return _ANYTHING
        inner = (part.size - 2) * count
        empty = part.size == 2
        separated = kind == "builtins.list" or (part.raw is not None and self._lists_bytes)
        size = 2 + inner + (max(count - 1, 0) if separated and not empty else 0)
        return _Part(size, part.exact, part.raw * count if part.raw is not None else None, part.raw_exact)

    def _comprehension(
        self, expression: ast.ListComp | ast.GeneratorExp | ast.DictComp, scope: Scope, depth: int
    ) -> _Part:
        generator = expression.generators[0]
        if len(expression.generators) != 1 or generator.ifs:
            return _ANYTHING
        source = self.values.constant(generator.iter, scope)
        if not isinstance(source, (range, list, tuple, str)):
            return _ANYTHING
        own = scope.module.scopes.get(expression, scope)
        if isinstance(expression, ast.DictComp):
            if not isinstance(source, range):
                # equal keys would be one entry
                return _ANYTHING
            held = self._part(expression.value, own, depth + 1)
            is_distinct = isinstance(expression.key, ast.Name) and _is_target(expression.key, generator.target)
            return _Part(2 + len(source) * (held.size + 5) - 1) if is_distinct else _ANYTHING
        if isinstance(source, range) and _is_target(expression.elt, generator.target):
            return _Part(_range_size(source), True)
        element = self._part(expression.elt, own, depth + 1)
        return _Part(2 + len(source) * element.size + max(len(source) - 1, 0), element.exact)

    def _call(self, call: ast.Call, scope: Scope, depth: int) -> _Part:
        symbol = self.resolver.resolve(call.func, scope)
        if isinstance(symbol, Class):
            return self._constructed(symbol, call, scope, depth)
        dotted = self.resolver.dotted(call.func, scope) or ""
        if dotted in _FILLED and len(call.args) == 1 and not call.keywords:
            count = self.values.constant(call.args[0], scope)
            if isinstance(count, int) and count >= 0:
                size = count * 2 + 1 if self._lists_bytes else count + 2
                return _Part(size, False, count if dotted != "builtins.bytearray" else None, True)
        if dotted in _COLLECTS and len(call.args) == 1 and not call.keywords:
            return self._part(call.args[0], scope, depth + 1)
        if dotted == "builtins.dict" and not call.args and all(each.arg is not None for each in call.keywords):
            names: list[ast.expr | None] = [ast.Constant(each.arg) for each in call.keywords]
            return self._entries(names, [each.value for each in call.keywords], scope, depth)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "encode":
            text = self._part(call.func.value, scope, depth + 1)
            if self._kind(call.func.value, scope) == "builtins.str" and text is not _ANYTHING:
                # JSON escapes at most six characters for one byte
                raw = max(text.size - 2, 0) // 6
                return _Part(raw + 2, False, raw)
        found = self.values.text(call, scope)
        return _Part(self._text(found.replace(HOLE, "")), False) if found is not None else _ANYTHING

    def _constructed(self, cls: Class, call: ast.Call, scope: Scope, depth: int) -> _Part:
        """A dataclass or a model with what its constructor is given."""
        held: list[_Part] = []
        targets = [each.target for each in cls.node.body if isinstance(each, ast.AnnAssign)]
        names = [each.id for each in targets if isinstance(each, ast.Name)]
        if any(isinstance(each, ast.Starred) for each in call.args) or not names:
            return _ANYTHING
        given = dict(zip(names, call.args, strict=False)) if len(self.resolver.ancestors(cls)[0]) == 1 else {}
        given.update({each.arg: each.value for each in call.keywords if each.arg in names})
        for name, value in given.items():
            held.append(_Part(len(name) + 3 + self._part(value, scope, depth + 1).size))
        return _container(held, complete=False)


def _container(parts: list[_Part], complete: bool) -> _Part:
    size = 2 + sum(part.size for part in parts) + max(len(parts) - 1, 0)
    return _Part(size, complete and all(part.exact for part in parts))


def _smallest(parts: list[_Part]) -> _Part:
    """What is certain of one of several values."""
    least = min(parts, key=lambda part: part.size if part.raw is None else part.raw)
    return least if len(parts) == 1 else replace(least, exact=False, raw_exact=False)


def _is_target(element: ast.expr, target: ast.expr) -> bool:
    return isinstance(element, ast.Name) and isinstance(target, ast.Name) and element.id == target.id


def _range_size(numbers: range) -> int:
    """The JSON of a list of the numbers, counted by their digits."""
    ordered = numbers if numbers.step > 0 else numbers[::-1]
    digits = 0
    for sign in (-1, 1):
        width = 1
        while True:
            low, high = (10 ** (width - 1) if width > 1 else 0), 10**width
            span = (low, high) if sign > 0 else (-high + 1, -low + 1 if width > 1 else 0)
            digits += _between(ordered, *span) * (width + (sign < 0))
            if ordered and high <= max(abs(ordered[0]), abs(ordered[-1])):
                width += 1
                continue
            break
    return digits + max(len(numbers) - 1, 0) + 2


def _between(numbers: range, start: int, stop: int) -> int:
    """How many of ascending numbers are at least `start` and below `stop`."""

    def below(limit: int) -> int:
        return max(0, min(len(numbers), -(-(limit - numbers.start) // numbers.step)))

    return below(stop) - below(start)
