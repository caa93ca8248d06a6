"""What the SDK's data converter refuses: of values, and of the types that annotate parameters and results.

Truth is `data/serialization.json`, made by `tools/serialization_table.py`, which runs the SDK's own converters. Its
`types` maps a dotted type to three words, one letter for each question: `r` refused, `c` carried, `d` carried by
draining the value (an iterator, an open file), `-` it depends. The first word is the default converter's, the second
the pydantic converter's: the value itself, in a container, in a dataclass field, as a key of a dict, and the type as
an annotation. The third is `json.JSONEncoder`'s: the value, and as a key. What is not in the table is not known.
Classes of the project are judged by what makes the converters accept them.
"""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from temporal_lint.converters import Converter
from temporal_lint.facts import COMPREHENSIONS, Binding, Class, Function, Module, Scope
from temporal_lint.known import normal
from temporal_lint.project import Project
from temporal_lint.resolve import External, Symbol, Type, Variable

_TABLE = Path(__file__).parent / "data" / "serialization.json"

# Where a value stands; the place of each letter in a word of the table.
Place = Literal["value", "element", "field", "key"]
_PLACES: dict[Place, int] = {"value": 0, "element": 1, "field": 2, "key": 3}
_ANNOTATION = 4

# No value that a person writes is nested deeper; a longer display is looked at up to here.
_MAX_DEPTH = 30
# Names that are followed for one value: `b = [a, a]`, `c = [b, b]` and so on doubles with each line.
_MAX_HOPS = 1_000
_MAX_ELEMENTS = 5_000


@dataclass(frozen=True)
class Refusal:
    """What cannot be carried. `path` leads from the whole to it (`.lock`, `[2]`, `["key"]`; "" is the whole itself);
    `what` names it as a phrase; `advice` says what to send instead.

    `drained` marks what is carried after all, but used up by encoding it.
    """

    path: str
    what: str
    advice: str
    drained: bool = False

    def inside(self, step: str) -> Refusal:
        """The same, seen from one level up."""
        return replace(self, path=step + self.path)

    @property
    def phrase(self) -> str:
        """What it is and where."""
        return f"{self.what} (at `{self.path}`)" if self.path else self.what


@dataclass(frozen=True)
class _Field:
    """A field of a dataclass, model, TypedDict or NamedTuple. `required` is whether a TypedDict always has the key."""

    name: str
    annotation: ast.expr
    scope: Scope
    default: ast.expr | None = None
    in_init: bool = True
    required: bool = True


_Kind = Literal[
    "plain", "dataclass", "model", "root", "text", "enum", "flag", "typed-dict", "named-tuple", "other", "unknown"
]  # fmt: skip


@dataclass(frozen=True)
class _Shape:
    """What a class of the project is to a converter.

    `text` is an enumeration of str or int; `other` inherits from a known type outside, `base`. `decodes` and
    `encodes` say that the default converter finds a method of the class that it would use; `validates` the same of
    pydantic. `open` is whether a value annotated with it may be of another class.
    """

    kind: _Kind
    fields: tuple[_Field, ...] = ()
    base: str = ""
    encodes: bool = False
    decodes: bool = False
    validates: bool = False
    open: bool = False


class Serial:
    """Judges values and annotations of one project under one converter."""

    def __init__(self, project: Project, converter: Converter) -> None:
        self.project = project
        self.resolver = project.resolver
        self.converter: Converter = converter
        # What was found out in answer to one question: models share parts, and each is looked at once.
        self._known: dict[tuple[Class, str], Refusal | None] = {}
        self._hops = 0

    # ---- values --------------------------------------------------------------------------------------------------

    def value(self, expression: ast.expr, scope: Scope) -> Refusal | None:
        """Why the value of `expression` is certain to be refused (or drained) by the converter; None otherwise."""
        self._known.clear()
        self._hops = 0
        return None if self.converter == "custom" else self._value(expression, scope, "value", 0)

    def _value(self, expression: ast.expr, scope: Scope, place: Place, depth: int) -> Refusal | None:
        if depth > _MAX_DEPTH:
            return None
        if isinstance(expression, ast.Constant):
            return self._typed(Type(f"builtins.{type(expression.value).__name__}"), place)
        if isinstance(expression, (ast.List, ast.Tuple, ast.Set)):
            return self._display(expression, scope, place, depth)
        if isinstance(expression, ast.Dict):
            return self._dictionary(expression, scope, place, depth)
        if isinstance(expression, COMPREHENSIONS):
            return self._comprehension(expression, scope, place, depth)
        if isinstance(expression, ast.IfExp):
            return self._either([expression.body, expression.orelse], scope, place, depth)
        if isinstance(expression, ast.BoolOp):
            return self._either(expression.values, scope, place, depth)
        if isinstance(expression, ast.NamedExpr):
            return self._value(expression.value, scope, place, depth + 1)
        if isinstance(expression, ast.Call):
            return self._call(expression, scope, place, depth)
        if isinstance(expression, (ast.Name, ast.Attribute)):
            return self._named(expression, scope, place, depth)
        return self._typed(self.resolver.infer(expression, scope), place, declared=True)

    def _either(self, values: list[ast.expr], scope: Scope, place: Place, depth: int) -> Refusal | None:
        found = [self._value(each, scope, place, depth + 1) for each in values]
        return _all_refused(found)

    def _display(
        self, expression: ast.List | ast.Tuple | ast.Set, scope: Scope, place: Place, depth: int
    ) -> Refusal | None:
        name = {ast.List: "list", ast.Tuple: "tuple", ast.Set: "set"}[type(expression)]
        whole = self._typed(Type(f"builtins.{name}"), place)
        if whole is not None:
            return whole
        inner = _within(place)
        for index, each in enumerate(expression.elts[:_MAX_ELEMENTS]):
            if isinstance(each, ast.Starred):
                found = self._elements(each.value, scope, inner, depth)
            else:
                found = self._value(each, scope, inner, depth + 1)
            if found is not None:
                return found.inside(f"[{index}]" if not isinstance(expression, ast.Set) else "[*]")
        return None

    def _elements(self, expression: ast.expr, scope: Scope, place: Place, depth: int) -> Refusal | None:
        """What is refused of the elements of a display or comprehension that is unpacked or made a list of."""
        if isinstance(expression, (ast.List, ast.Tuple, ast.Set)):
            for each in expression.elts[:_MAX_ELEMENTS]:
                found = None if isinstance(each, ast.Starred) else self._value(each, scope, place, depth + 1)
                if found is not None:
                    return found
        elif isinstance(expression, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return self._value(expression.elt, scope.module.scopes.get(expression, scope), place, depth + 1)
        return None

    def _dictionary(self, expression: ast.Dict, scope: Scope, place: Place, depth: int) -> Refusal | None:
        inner = _within(place)
        kinds: set[str] = set()
        for key, value in list(zip(expression.keys, expression.values, strict=True))[:_MAX_ELEMENTS]:
            if key is None:
                found = self._dictionary(value, scope, place, depth + 1) if isinstance(value, ast.Dict) else None
                if found is not None:
                    return found
                continue
            found = self._value(key, scope, "key", depth + 1)
            if found is not None:
                return replace(found, what=f"a dict key that is {found.what}", advice=_STRING_KEYS)
            found = self._value(value, scope, inner, depth + 1)
            if found is not None:
                return found.inside(f"[{_short(key)}]")
            kinds.add(self._key_kind(key, scope))
        if self.converter == "default" and len(kinds - {"unknown"}) > 1:
            # the default converter sorts the keys
            return Refusal("", "a dict whose keys are of several types", _STRING_KEYS)
        return None

    def _key_kind(self, key: ast.expr, scope: Scope) -> str:
        found = self.resolver.infer(key, scope)
        name = found.name if found is not None else ""
        if name in ("builtins.int", "builtins.float", "builtins.bool"):
            return "number"
        return {"builtins.str": "str", "builtins.NoneType": "none"}.get(name, "unknown")

    def _comprehension(self, expression: ast.expr, scope: Scope, place: Place, depth: int) -> Refusal | None:
        own = scope.module.scopes.get(expression, scope)
        inner = _within(place)
        if isinstance(expression, ast.DictComp):
            found = self._value(expression.key, own, "key", depth + 1)
            if found is not None:
                return replace(found, what=f"a dict key that is {found.what}", advice=_STRING_KEYS)
            found = self._value(expression.value, own, inner, depth + 1)
            return found.inside("[*]") if found is not None else None
        assert isinstance(expression, (ast.ListComp, ast.SetComp, ast.GeneratorExp))
        name = {ast.ListComp: "builtins.list", ast.SetComp: "builtins.set", ast.GeneratorExp: "types.GeneratorType"}
        whole = self._typed(Type(name[type(expression)]), place)
        if whole is not None and not whole.drained:
            return whole
        found = self._value(expression.elt, own, inner, depth + 1)
        return found.inside("[*]") if found is not None else whole

    def _named(self, expression: ast.Name | ast.Attribute, scope: Scope, place: Place, depth: int) -> Refusal | None:
        self._hops += 1
        if self._hops > _MAX_HOPS:
            return None
        symbol = self.resolver.resolve(expression, scope)
        if isinstance(symbol, Variable):
            if symbol.owner is not None and self.resolver.is_enum(symbol.owner):
                return self._typed(self.resolver.infer(expression, scope), place)
            return _all_refused([self._binding(each, place, depth) for each in symbol.bindings])
        if isinstance(symbol, External):
            return self._external(expression, symbol.dotted, scope, place)
        if isinstance(symbol, Function) and symbol in self.project.handlers_of:
            return self._typed(Type("types.FunctionType", symbol=symbol), place)
        return self._typed(self.resolver.infer(expression, scope), place, declared=True)

    def _external(self, expression: ast.expr, dotted: str, scope: Scope, place: Place) -> Refusal | None:
        known = _VALUES.get(dotted)
        if known is not None:
            return self._typed(Type(known), place)
        head, _, last = dotted.rpartition(".")
        if head == "builtins":
            found = getattr(builtins, last, None)
            kind = "type" if isinstance(found, type) else "BuiltinFunctionType" if callable(found) else ""
            return self._typed(Type(f"types.{kind}" if kind != "type" else "builtins.type"), place) if kind else None
        if normal(dotted) in _types():
            return self._typed(Type("builtins.type"), place)
        if isinstance(expression, ast.Name) and _is_module(expression, scope):
            return self._typed(Type("types.ModuleType"), place)
        return self._typed(self.resolver.infer(expression, scope), place, declared=True)

    def _binding(self, binding: Binding, place: Place, depth: int) -> Refusal | None:
        in_class = binding.scope.kind == "class" and binding.annotation is not None
        if binding.kind == "assign" and binding.value is not None and not binding.entered and not in_class:
            if self._changes_later(binding):
                return self._typed(self.resolver.binding_type(binding), place, declared=True)
            return self._value(binding.value, binding.scope, place, depth + 1)
        if binding.kind == "parameter" and isinstance(binding.value, ast.Constant) and binding.value.value is None:
            return None
        return self._typed(self.resolver.binding_type(binding), place, declared=True)

    def _changes_later(self, binding: Binding) -> bool:
        """Whether what a name was given may hold something else by the time it is sent."""
        value = binding.value
        if isinstance(value, ast.Call) and isinstance(self.resolver.resolve(value.func, binding.scope), Class):
            names = {
                each.id
                for each in getattr(binding.node, "targets", [getattr(binding.node, "target", None)])
                if isinstance(each, ast.Name)
            }
            return bool(names & _attributes_stored(binding.scope.module))
        containers = (ast.List, ast.Dict, ast.Set, *COMPREHENSIONS)
        return isinstance(value, containers) and self.project.values.is_mutated(binding)

    def _call(self, call: ast.Call, scope: Scope, place: Place, depth: int) -> Refusal | None:
        symbol = self.resolver.resolve(call.func, scope)
        if isinstance(symbol, Class):
            return self._made(symbol, call, scope, place, depth)
        if isinstance(symbol, External):
            dotted = normal(symbol.dotted)
            if dotted == "builtins.object":
                return self._refuse("object()", _PLAIN) if not call.args else None
            if dotted in ("builtins.open", "io.open") and self._only_writes(call, scope):
                return self._refuse("a file opened for writing", _FILE)
            if dotted in _COLLECTS and len(call.args) == 1:
                whole = self._typed(Type(dotted), place)
                return whole or _step(self._elements(call.args[0], scope, _within(place), depth))
            if dotted == "builtins.dict" and not call.args:
                for keyword in call.keywords:
                    found = self._value(keyword.value, scope, _within(place), depth + 1) if keyword.arg else None
                    if found is not None:
                        return found.inside(f'["{keyword.arg}"]')
                return None
            made = _MAKES.get(dotted, dotted)
            if _family(made) in _types() and (made != dotted or _is_class(dotted)):
                return self._typed(Type(made), place)
        if isinstance(symbol, Function) and symbol.node.returns is None and _is_simple(symbol):
            results = [self._value(each, symbol.scope, place, depth + 1) if each else None for each in symbol.returned]
            if (refused := _all_refused(results)) is not None:
                return refused
        return self._typed(self.resolver.infer(call, scope), place, declared=True)

    def _only_writes(self, call: ast.Call, scope: Scope) -> bool:
        modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
        mode = self.project.values.constant(modes[0], scope) if modes else None
        return isinstance(mode, str) and not set(mode) & set("r+")

    # ---- instances of the project's classes ------------------------------------------------------------------------

    def _made(self, cls: Class, call: ast.Call, scope: Scope, place: Place, depth: int) -> Refusal | None:
        """What is refused of the object that a constructor call makes."""
        shape = self.shape(cls)
        told = shape.kind in ("dataclass", "named-tuple", "typed-dict") and self.converter != "json"
        splat = any(isinstance(each, ast.Starred) for each in call.args) or any(k.arg is None for k in call.keywords)
        if not told or splat or isinstance(self.resolver.class_member(cls, "__init__"), Function):
            return self._instance(cls, place, exact=True)
        inner: Place = "field" if shape.kind == "dataclass" else _within(place)
        takers = [each for each in shape.fields if each.in_init]
        given = {each.name: value for each, value in zip(takers, call.args, strict=False)}
        given.update({keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None})
        for each in shape.fields:
            if each.name in given:
                found = self._value(given[each.name], scope, inner, depth + 1)
                if found is None and self.resolver.infer(given[each.name], scope) is None and each.required:
                    found = self._field(each, inner)
            elif shape.kind == "typed-dict":
                continue
            else:
                found = self._default(each, inner, depth)
            if found is not None:
                return found.inside(f".{each.name}" if shape.kind != "typed-dict" else f'["{each.name}"]')
        return None

    def _default(self, each: _Field, place: Place, depth: int) -> Refusal | None:
        """What is refused of the value that a field gets when the constructor is not given one."""
        default = each.default
        if isinstance(default, ast.Call):
            factory = next((k.value for k in default.keywords if k.arg == "default_factory"), None)
            if isinstance(factory, ast.Lambda):
                return self._value(factory.body, each.scope, place, depth + 1)
            if factory is not None:
                return self._value(_called(factory), each.scope, place, depth + 1) or self._field(each, place)
            default = next((k.value for k in default.keywords if k.arg == "default"), None)
        if default is not None:
            return self._value(default, each.scope, place, depth + 1)
        return self._field(each, place)

    def _field(self, each: _Field, place: Place) -> Refusal | None:
        return self._typed(self.resolver.annotation(each.annotation, each.scope), place, declared=True)

    def _instance(self, cls: Class, place: Place, *, exact: bool) -> Refusal | None:
        """What is refused of an instance of a class; `exact` when it is certain not to be of a subclass."""
        shape = self.shape(cls)
        if shape.kind == "unknown":
            return None
        if not exact and (shape.open or self._heirs(cls)):
            # some heir may be a dataclass, or otherwise fit
            return None
        if (cls, place) not in self._known:
            # a class that holds itself is not refused for that
            self._known[cls, place] = None
            self._known[cls, place] = self._instance_of(cls, shape, place)
        return self._known[cls, place]

    def _instance_of(self, cls: Class, shape: _Shape, place: Place) -> Refusal | None:
        plain_json = self.converter == "json"
        if shape.kind == "text":
            return None
        if shape.kind in ("typed-dict", "named-tuple"):
            return self._of_fields(shape, _within(place), '["{}"]' if shape.kind == "typed-dict" else ".{}")
        if shape.kind in ("enum", "flag"):
            carried = self.converter in ("pydantic", "either")
            return None if carried else self._refuse(f"a member of the enumeration `{cls.name}`", _ENUM)
        if shape.kind in ("dataclass", "model", "root") and not plain_json:
            if shape.kind == "root" or place == "key":
                return None
            return self._of_fields(shape, "field" if shape.kind == "dataclass" else "element", ".{}")
        if shape.kind == "other" and not plain_json and _letter(shape.base, self.converter, place) != "r":
            return None
        if not plain_json and (
            (shape.encodes and self.converter in ("default", "either"))
            or (shape.validates and self.converter in ("pydantic", "either"))
        ):
            return None
        if shape.base == "builtins.BaseException":
            return self._refuse(f"an exception, `{cls.name}`", _EXCEPTION)
        what = "class" if shape.kind in ("dataclass", "model", "root") else "plain class"
        return self._refuse(f"an instance of the {what} `{cls.name}`", _LEGACY if plain_json else _PLAIN)

    def _of_fields(self, shape: _Shape, place: Place, step: str) -> Refusal | None:
        for each in shape.fields:
            found = self._field(each, place) if each.required else None
            if found is not None:
                return found.inside(step.format(each.name))
        return None

    # ---- types ---------------------------------------------------------------------------------------------------

    def _typed(self, found: Type | None, place: Place, *, declared: bool = False, depth: int = 0) -> Refusal | None:
        """What is refused of a value of a type; `declared` when an annotation names it, so that it may be an heir's."""
        if found is None or depth > _MAX_DEPTH:
            return None
        if found.name == "typing.Union":
            return _all_refused([self._typed(each, place, declared=declared, depth=depth + 1) for each in found.args])
        if found.cls is not None:
            return self._instance(found.cls, place, exact=not declared)
        if found.name == "builtins.type" and isinstance(found.symbol, Class) and self._is_iterable(found.symbol):
            return None
        if found.name == "builtins.type" and found.symbol is None and declared:
            # the class of an enumeration is iterable, and its members may be carried
            return None
        name = _family(found.name)
        letter = _letter(name, self.converter, place)
        if letter == "r":
            return self._refuse(_article(found), _advice(name, self.converter))
        inner = self._argument(found, place, declared, depth)
        if inner is not None:
            return inner
        if letter == "d":
            return replace(self._refuse(_article(found), _DRAINED.get(name, _GENERATOR)), drained=True)
        return None

    def _argument(self, found: Type, place: Place, declared: bool, depth: int) -> Refusal | None:
        """What is refused of the elements of a generic container."""
        if found.name in _MAPPINGS:
            if len(found.args) == 2:
                key = self._typed(found.args[0], "key", declared=declared, depth=depth + 1)
                if key is not None:
                    return replace(key, what=f"a dict key that is {key.what}", advice=_STRING_KEYS)
                return _step(self._typed(found.args[1], _within(place), declared=declared, depth=depth + 1))
            return None
        arguments = found.args if found.name == "builtins.tuple" else found.args[:1] if found.name in _ITERABLES else ()
        for each in arguments:
            refused = self._typed(each, _within(place), declared=declared, depth=depth + 1)
            if refused is not None:
                return _step(refused)
        return None

    def _refuse(self, what: str, advice: str) -> Refusal:
        return Refusal("", what, advice)

    # ---- annotations ---------------------------------------------------------------------------------------------

    def annotation(self, expression: ast.expr, scope: Scope, *, decoded: bool = True) -> Refusal | None:
        """Why nothing of an annotated type can be carried. `decoded` says that the SDK uses the annotation to decode;
        otherwise only what cannot be encoded counts."""
        if self.converter == "custom":
            return None
        self._known.clear()
        found = self.resolver.annotation(expression, scope)
        encoding = self._typed(found, "value", declared=True)
        if encoding is not None and not encoding.drained:
            return encoding
        if not decoded or self.converter == "json":
            return None
        if self._is_type_variable(expression, scope):
            return self._type_variable(expression)
        return self._decoded(found, 0)

    def _type_variable(self, expression: ast.expr) -> Refusal | None:
        if self.converter != "default":
            return None
        what = f"the type variable `{ast.unparse(expression)}`"
        return self._refuse(what, "Annotate with the concrete type that is sent.")

    def _is_type_variable(self, expression: ast.expr, scope: Scope) -> bool:
        if not isinstance(expression, (ast.Name, ast.Attribute)):
            return False
        symbol: Symbol | None = self.resolver.resolve(expression, scope)
        if not isinstance(symbol, Variable) or len(symbol.bindings) != 1:
            return False
        value, outer = symbol.bindings[0].value, symbol.bindings[0].scope
        made = self.resolver.dotted(value.func, outer) if isinstance(value, ast.Call) else None
        return made is not None and normal(made) == "typing.TypeVar"

    def _decoded(self, found: Type | None, depth: int) -> Refusal | None:
        """What the converter cannot decode to, whatever arrives."""
        if found is None or depth > _MAX_DEPTH:
            return None
        if found.name == "typing.Union":
            return _all_refused([self._decoded(each, depth + 1) for each in found.args])
        if found.cls is not None:
            return self._decoded_class(found.cls, bool(found.args), depth)
        if found.name in _MAPPINGS and len(found.args) == 2:
            key = self._decoded(found.args[0], depth + 1)
            return key or _step(self._decoded(found.args[1], depth + 1))
        name = _family(found.name)
        if _letter(name, self.converter, None) == "r":
            return self._refuse(_article(found), _advice(name, self.converter))
        arguments = found.args if found.name == "builtins.tuple" else found.args[:1] if found.name in _ITERABLES else ()
        for each in arguments:
            refused = self._decoded(each, depth + 1)
            if refused is not None:
                return _step(refused)
        return None

    def _decoded_class(self, cls: Class, subscripted: bool, depth: int) -> Refusal | None:
        shape = self.shape(cls)
        if shape.kind in ("unknown", "text", "model", "named-tuple", "flag"):
            return None
        default = self.converter == "default"
        if shape.kind == "enum":
            return self._refuse(f"the enumeration `{cls.name}`", _ENUM) if default else None
        if shape.kind == "root":
            return self._refuse(f"the root model `{cls.name}`", _PYDANTIC_ADVICE) if default and shape.decodes else None
        if shape.kind == "dataclass" and subscripted and default:
            advice = "Give the type argument in a subclass and annotate with that, or use `pydantic_data_converter`."
            return self._refuse(f"the dataclass `{cls.name}` with type arguments", advice)
        if shape.kind in ("dataclass", "typed-dict"):
            if (cls, "decoded") not in self._known:
                self._known[cls, "decoded"] = None
                self._known[cls, "decoded"] = self._decoded_fields(shape, depth)
            return self._known[cls, "decoded"]
        strangers = {"default": _EXACT, "pydantic": _NO_SCHEMA}.get(self.converter, frozenset[str]())
        if shape.kind == "other" and shape.base not in strangers and _letter(shape.base, self.converter, None) != "r":
            return None
        accepted = (shape.decodes and self.converter != "pydantic") or (shape.validates and not default)
        return None if accepted else self._refuse(f"the class `{cls.name}`", _PLAIN)

    def _decoded_fields(self, shape: _Shape, depth: int) -> Refusal | None:
        for each in shape.fields:
            if not each.required:
                continue
            if self._is_type_variable(each.annotation, each.scope):
                found = self._type_variable(each.annotation)
            else:
                found = self._decoded(self.resolver.annotation(each.annotation, each.scope), depth + 1)
            if found is not None:
                return found.inside(f".{each.name}" if shape.kind == "dataclass" else f'["{each.name}"]')
        return None

    # ---- shapes --------------------------------------------------------------------------------------------------

    def shape(self, cls: Class) -> _Shape:
        """What a class of the project is to a converter."""
        found = self._shapes.get(cls)
        if found is None:
            found = self._shapes[cls] = self._shape(cls)
        return found

    @property
    def _shapes(self) -> dict[Class, _Shape]:
        found: dict[Class, _Shape] = vars(self.project).setdefault("_serial_shapes", {})
        return found

    def _shape(self, cls: Class) -> _Shape:
        order, bases, complete = self.resolver.ancestors(cls)
        decorators = {name for each in order for name in self._decorators(each)}
        if not complete or not decorators <= _DECORATORS or _has_metaclass(order):
            return _Shape("unknown")
        names = {name for each in order for name in (*each.scope.bindings, *each.attributes)}
        if any(name.startswith("__temporal") for name in names):
            return _Shape("unknown")
        shape = self._kind(cls, order, [base for base in bases if base not in _NEUTRAL], decorators)
        open_names = names & {"__getattr__", "__getattribute__"}
        return replace(
            shape,
            encodes=bool(open_names or names & {"__iter__", "dict"}),
            decodes=shape.decodes or bool(names & {"__iter__", "parse_obj"}),
            validates=any(name.startswith(("__pydantic", "__get_pydantic")) for name in names) or bool(open_names),
            open="typing.Protocol" in bases
            or any(_is_abstract(each) for one in order for each in one.methods.values()),
        )

    def _kind(self, cls: Class, order: list[Class], bases: list[str], decorators: set[str]) -> _Shape:
        if any(base.startswith("enum.") for base in bases):
            mixed = set(bases) & {"enum.StrEnum", "enum.IntEnum", "enum.IntFlag", "builtins.str", "builtins.int"}
            if mixed:
                return _Shape("text")
            kinds: dict[tuple[str, ...], _Kind] = {("enum.Enum",): "enum", ("enum.Flag",): "flag"}
            return _Shape(kinds.get(tuple(sorted(set(bases))), "unknown"))
        if "typing.TypedDict" in bases:
            return _Shape("typed-dict", self._typed_dict_fields(order))
        if bases == ["typing.NamedTuple"]:
            return _Shape("named-tuple", self._fields(order))
        if set(bases) & _MODELS:
            return self._model(order) if set(bases) <= _MODELS else _Shape("unknown")
        if set(bases) & _ROOTS:
            return _Shape("root", decodes=self._root_is_no_mapping(cls))
        if decorators & _DATACLASSES:
            fields = self._fields([each for each in order if set(self._decorators(each)) & _DATACLASSES])
            return _Shape("dataclass", fields) if not bases else _Shape("unknown")
        if not bases:
            return _Shape("plain")
        family = {_family(base) for base in bases}
        if len(family) == 1 and (base := family.pop()) in _types() and base not in _WIDE:
            return _Shape("other", base=base)
        return _Shape("unknown")

    def _decorators(self, cls: Class) -> Iterator[str]:
        for each in cls.node.decorator_list:
            target = each.func if isinstance(each, ast.Call) else each
            yield self.resolver.dotted(target, cls.outer) or "?"

    def _is_iterable(self, cls: Class) -> bool:
        """Whether a class object, not its instances, may be iterable: the converter would send its members."""
        order, bases, complete = self.resolver.ancestors(cls)
        return not complete or _has_metaclass(order) or any(base.startswith("enum.") for base in bases)

    def _heirs(self, cls: Class) -> bool:
        """Whether the project has subclasses of a class."""
        found: set[Class] | None = vars(self.project).get("_serial_bases")
        if found is None:
            classes = [each for module in self.project.modules.values() for each in module.classes]
            found = {base for each in classes for base in self.resolver.ancestors(each)[0][1:]}
            vars(self.project)["_serial_bases"] = found
        return cls in found

    def _fields(self, order: list[Class]) -> tuple[_Field, ...]:
        """The annotated names of classes, base classes first, as `dataclasses` orders them."""
        found: dict[str, _Field] = {}
        for cls in reversed(order):
            for statement in cls.node.body:
                if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                    continue
                outer = self._outer_annotation(statement.annotation, cls.scope)
                if outer in ("typing.ClassVar", "dataclasses.InitVar", "dataclasses.KW_ONLY"):
                    continue
                value = statement.value
                options = {each.arg: each.value for each in value.keywords} if isinstance(value, ast.Call) else {}
                init = options.get("init")
                in_init = not (isinstance(init, ast.Constant) and init.value is False)
                name = statement.target.id
                found[name] = _Field(name, statement.annotation, cls.scope, value, in_init)
        return tuple(found.values())

    def _outer_annotation(self, annotation: ast.expr, scope: Scope) -> str:
        outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        if isinstance(outer, ast.Constant) and isinstance(outer.value, str):
            return f"typing.{outer.value.partition('[')[0].rpartition('.')[2]}"
        dotted = self.resolver.dotted(outer, scope) if isinstance(outer, (ast.Name, ast.Attribute)) else None
        return normal(dotted) if dotted else ""

    def _typed_dict_fields(self, order: list[Class]) -> tuple[_Field, ...]:
        partial = {
            each
            for each in order
            for keyword in each.node.keywords
            if keyword.arg == "total" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is True)
        }
        fields = self._fields(order)
        optional = {
            each for each in fields if self._outer_annotation(each.annotation, each.scope) == "typing.NotRequired"
        }
        return tuple(replace(each, required=each not in optional and each.scope.cls not in partial) for each in fields)

    def _model(self, order: list[Class]) -> _Shape:
        """A pydantic model: unknown where it has a say in how it is written."""
        for cls in order:
            for method in cls.methods.values():
                if method.name in ("dict", "model_dump", "__iter__") or any(
                    "serializer" in ast.unparse(each) or "computed_field" in ast.unparse(each)
                    for each in method.node.decorator_list
                ):
                    return _Shape("unknown")
            settings = [each for each in cls.node.body if not isinstance(each, ast.AnnAssign)]
            if any("use_enum_values" in ast.dump(each) for each in settings):
                return _Shape("unknown")
        fields = [
            each
            for each in self._fields(order)
            if not each.name.startswith("_")
            and each.name != "model_config"
            and not (isinstance(each.default, ast.Call) and any(k.arg == "exclude" for k in each.default.keywords))
            and self._outer_annotation(each.annotation, each.scope) != "typing.Annotated"
        ]
        return _Shape("model", tuple(fields), decodes=True)

    def _root_is_no_mapping(self, cls: Class) -> bool:
        for base in cls.node.bases:
            if isinstance(base, ast.Subscript):
                root = self.resolver.annotation(base.slice, cls.outer)
                return root is not None and root.name in _ROOT_VALUES
        return False


def _has_metaclass(order: list[Class]) -> bool:
    keywords = [keyword for each in order for keyword in each.node.keywords if keyword.arg in (None, "metaclass")]
    return any(ast.unparse(each.value) not in ("ABCMeta", "abc.ABCMeta") for each in keywords)


def _within(place: Place) -> Place:
    """The place of what a container holds: the copy that the SDK makes of a dataclass goes all the way down."""
    return "field" if place == "field" else "element"


def _step(found: Refusal | None) -> Refusal | None:
    return found.inside("[*]") if found is not None else None


def _all_refused(found: list[Refusal | None]) -> Refusal | None:
    """The first refusal where every alternative is refused; drained as soon as one is no more than that."""
    refusals = [each for each in found if each is not None]
    if not refusals or len(refusals) != len(found):
        return None
    return next((each for each in refusals if each.drained), refusals[0])


@cache
def _types() -> dict[str, list[str]]:
    loaded: dict[str, list[str]] = json.loads(_TABLE.read_text(encoding="utf-8"))["types"]
    return loaded


def _letter(name: str, converter: Converter, place: Place | None) -> str:
    """The table's letter for a type; `place` None asks for the type as an annotation. "-" for unknown types."""
    words = _types().get(name)
    if words is None:
        return "-"
    index = _ANNOTATION if place is None else _PLACES[place]
    if converter == "json":
        return words[2][1 if place == "key" else 0]
    if converter == "default":
        return words[0][index]
    if converter == "pydantic":
        return words[1][index]
    letters = {words[0][index], words[1][index]}
    return letters.pop() if len(letters) == 1 else "d" if letters == {"r", "d"} else "-"


def _family(name: str) -> str:
    """The table's name for a type: exceptions are all alike, and so are protobuf messages."""
    if name in _types():
        return name
    head, _, last = name.rpartition(".")
    found = getattr(builtins, last, None) if head == "builtins" else None
    if (isinstance(found, type) and issubclass(found, BaseException)) or head == "temporalio.exceptions":
        return "builtins.BaseException"
    is_message = head.startswith("temporalio.api.") and ".enums." not in head and last[:1].isupper()
    return "google.protobuf.empty_pb2.Empty" if is_message else name


def _is_class(dotted: str) -> bool:
    """Whether calling a name of the table makes an instance: it is no abstract or typing name."""
    return not dotted.startswith(("typing.", "collections.abc."))


def _is_module(name: ast.Name, scope: Scope) -> bool:
    holder = scope.holder(name.id)
    bindings = holder.bindings[name.id] if holder is not None else []
    module = scope.module
    return bool(bindings) and all(
        each.kind == "import" and isinstance(module.parents.get(each.node), ast.Import) for each in bindings
    )


def _is_simple(function: Function) -> bool:
    return not (function.yields or function.is_async or function.node.decorator_list)


def _is_abstract(method: Function) -> bool:
    return any("abstract" in ast.unparse(each) for each in method.node.decorator_list)


def _called(factory: ast.expr) -> ast.Call:
    call = ast.Call(factory, [], [])
    return ast.copy_location(call, factory)


@cache
def _attributes_stored(module: Module) -> frozenset[str]:
    """The names whose attributes a module assigns: `order` of `order.lock = None`."""
    attributes = [each for each in module.parents if isinstance(each, ast.Attribute)]
    owners = [each.value for each in attributes if not isinstance(each.ctx, ast.Load)]
    return frozenset(each.id for each in owners if isinstance(each, ast.Name))


def _short(key: ast.expr) -> str:
    text = ast.unparse(key)
    text = f'"{key.value}"' if isinstance(key, ast.Constant) and isinstance(key.value, str) else text
    return text if len(text) <= 40 else "*"


def _article(found: Type) -> str:
    """How a sentence names a value of a type."""
    known = _PHRASES.get(found.name)
    if known is not None:
        return known
    if found.name in ("builtins.BaseException", "builtins.Exception"):
        return "an exception"
    if _family(found.name) == "builtins.BaseException":
        return f"an exception, `{found.name.rpartition('.')[2]}`"
    name = found.name.removeprefix("builtins.")
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} `{name}`"


def _advice(name: str, converter: Converter) -> str:
    if name in _ADVICE:
        return _ADVICE[name]
    if converter == "default" and _letter(name, "pydantic", "value") == "c":
        return f"Send it as text or a number, or connect clients and workers with `{_PYDANTIC}`, which carries it."
    if converter == "json":
        return _LEGACY
    if name.split(".", 1)[0] in ("numpy", "pandas", "polars", "pyarrow"):
        return "Send plain Python values (`.item()`, `.tolist()`), or store the data and send a reference to it."
    return _RESOURCE


_PYDANTIC = "pydantic_data_converter"
_PYDANTIC_ADVICE = f"Connect clients and workers with `{_PYDANTIC}`."
_PLAIN = "Make it a dataclass of plain fields, or send the values it is made of."
_LEGACY = "Send what JSON knows: numbers, text, lists and dicts of them."
_ENUM = "Derive the enumeration from `str` or `int` as well, or send the member's `.value`."
_EXCEPTION = "Send `str(error)` or the facts it carries; to fail, raise it."
_STRING_KEYS = "Use text for all keys of the dict."
_FILE = "Send the path, or read the file and send its content."
_GENERATOR = "Send a list of its elements."
_RESOURCE = "Create it where it is used and send only the data needed to do so."
_FUNCTION = "Send data, such as a name that the receiver maps to the function."
_COROUTINE = "Await it first and send the result."

_DRAINED = dict.fromkeys(
    (
        "io.IOBase", "io.RawIOBase", "io.BufferedIOBase", "io.TextIOBase", "io.TextIOWrapper", "io.BufferedReader",
        "io.BytesIO", "io.StringIO", "typing.IO", "typing.TextIO", "typing.BinaryIO",
    ),
    _FILE,
)  # fmt: skip
_ADVICE = {
    **_DRAINED,
    **dict.fromkeys(
        (
            "types.FunctionType", "types.LambdaType", "types.MethodType", "types.BuiltinFunctionType",
            "functools.partial", "collections.abc.Callable", "builtins.type", "types.ModuleType",
            "operator.itemgetter", "operator.attrgetter",
        ),
        _FUNCTION,
    ),
    **dict.fromkeys(
        (
            "types.CoroutineType", "collections.abc.Coroutine", "collections.abc.Awaitable", "asyncio.Future",
            "asyncio.Task", "temporalio.workflow.ActivityHandle",
        ),
        _COROUTINE,
    ),
    **dict.fromkeys(("types.GeneratorType", "types.AsyncGeneratorType"), _GENERATOR),
    "builtins.BaseException": _EXCEPTION,
    "builtins.object": "Name the type that is sent, such as a dataclass, or `Any`.",
    "types.SimpleNamespace": _PLAIN,
}  # fmt: skip
_PHRASES = {
    "types.FunctionType": "a function",
    "types.LambdaType": "a lambda",
    "types.MethodType": "a method",
    "types.BuiltinFunctionType": "a function",
    "types.CoroutineType": "a coroutine that nothing awaited",
    "types.GeneratorType": "a generator",
    "types.AsyncGeneratorType": "an asynchronous generator",
    "types.ModuleType": "a module",
    "builtins.type": "a class",
    "io.IOBase": "an open file",
    "builtins.ellipsis": "`...`",
}

# What other names give: values that stand for themselves, and functions that make something.
_VALUES = {
    "temporalio.workflow.logger": "logging.LoggerAdapter",
    "temporalio.activity.logger": "logging.LoggerAdapter",
    "datetime.timezone.utc": "datetime.timezone",
    "datetime.UTC": "datetime.timezone",
    "builtins.Ellipsis": "builtins.ellipsis",
}
_MAKES = {
    "asyncpg.create_pool": "asyncpg.Pool",
    "boto3.client": "botocore.client.BaseClient",
    "httpx.get": "httpx.Response",
    "httpx.post": "httpx.Response",
    "numpy.random.default_rng": "numpy.random.Generator",
    "numpy.asarray": "numpy.ndarray",
    "os.stat": "os.stat_result",
    "redis.from_url": "redis.Redis",
    "redis.Redis.from_url": "redis.Redis",
    "redis.asyncio.from_url": "redis.asyncio.Redis",
    "requests.session": "requests.Session",
    "sqlalchemy.create_engine": "sqlalchemy.Engine",
    "sqlalchemy.ext.asyncio.create_async_engine": "sqlalchemy.ext.asyncio.AsyncEngine",
    "subprocess.run": "subprocess.CompletedProcess",
    "time.gmtime": "time.struct_time",
    "time.localtime": "time.struct_time",
}
_COLLECTS = frozenset(f"builtins.{name}" for name in ("list", "tuple", "set", "frozenset", "sorted"))
_MAPPINGS = frozenset(
    (
        "builtins.dict", "collections.abc.Mapping", "collections.abc.MutableMapping", "collections.defaultdict",
        "collections.OrderedDict",
    )
)  # fmt: skip
_ITERABLES = frozenset(
    (
        "builtins.list", "builtins.set", "builtins.frozenset", "collections.deque", "typing.AbstractSet",
        "collections.abc.Sequence", "collections.abc.MutableSequence", "collections.abc.Iterable",
        "collections.abc.Collection", "collections.abc.MutableSet", "collections.abc.Iterator",
        "collections.abc.Generator",
    )
)  # fmt: skip

# Bases that add nothing a converter looks at.
_NEUTRAL = frozenset(("builtins.object", "typing.Generic", "typing.Protocol", "abc.ABC"))
# Bases whose heirs may be anything.
_WIDE = frozenset(("builtins.object", "builtins.type", "collections.abc.Callable", "collections.abc.Awaitable"))
# Types that the default converter knows by identity and that are no iterables: their heirs are strangers to it.
_EXACT = frozenset(("builtins.int", "builtins.float", "datetime.datetime"))
# Types for whose heirs pydantic makes no schema.
_NO_SCHEMA = frozenset(
    f"builtins.{name}" for name in ("int", "float", "str", "bytes", "list", "dict", "set", "frozenset")
)
_DATACLASSES = frozenset(("dataclasses.dataclass", "pydantic.dataclasses.dataclass"))
_DECORATORS = _DATACLASSES | {
    "attr.s", "attr.attrs", "attr.define", "attr.frozen", "attr.mutable", "attr.dataclass", "attrs.define",
    "attrs.frozen", "attrs.mutable", "functools.total_ordering", "typing.final", "typing_extensions.final",
    "typing.runtime_checkable", "typing_extensions.runtime_checkable", "enum.unique", "temporalio.workflow.defn",
}  # fmt: skip
_MODELS = frozenset(("pydantic.BaseModel", "pydantic.main.BaseModel"))
_ROOTS = frozenset(("pydantic.RootModel",))
_ROOT_VALUES = frozenset(
    f"builtins.{name}" for name in ("list", "tuple", "set", "frozenset", "str", "int", "float", "bool")
)
