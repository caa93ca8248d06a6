"""What the SDK's data converter refuses: of values, and of the types that annotate parameters and results.

Types of other packages are judged by the table behind `verdicts`, classes of the project by what makes the converters
accept them.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from temporal_lint.converters import Converter
from temporal_lint.facts import COMPREHENSIONS, Binding, Call, Class, Function, Module, Scope, last_name
from temporal_lint.known import ELEMENTS, normal
from temporal_lint.nesting import holds_itself, wrapping
from temporal_lint.project import Project
from temporal_lint.resolve import External, Symbol, Type, Variable
from temporal_lint.shapes import Field, Shape, Shapes
from temporal_lint.target import release
from temporal_lint.values import UNKNOWN, Bound
from temporal_lint.verdicts import (
    CONNECT_PYDANTIC,
    CYCLE,
    DEPTH,
    DRAINED,
    ENUM,
    EXCEPTION,
    FILE,
    GENERATOR,
    LEGACY,
    PLAIN,
    STRING_KEYS,
    SURROGATE,
    TYPED_DICT,
    Place,
    Refusal,
    advice,
    article,
    family,
    letter,
    types,
)

# No value that a person writes is nested deeper; a longer display is looked at up to here.
_MAX_DEPTH = 30
# Names and functions that are followed for one value: `b = [a, a]`, `c = [b, b]` and so on doubles with each line.
_MAX_HOPS = 1_000
_MAX_ELEMENTS = 5_000
# How deep containers may be: pydantic's own limit, and Python's stack, which the encoder shares before 3.12.
_PYDANTIC_DEPTH = 255
_STACK = 1_000
# half of a character that UTF-16 writes in two
_SURROGATE = re.compile("[\ud800-\udfff]")


class Serial:
    """Judges values and annotations of one project under one converter."""

    def __init__(self, project: Project, converter: Converter) -> None:
        self.project = project
        self.resolver = project.resolver
        self.shapes = Shapes.of(project)
        self.converter: Converter = converter
        # What was found out in answer to one question: models share parts, and each is looked at once.
        self._known: dict[tuple[Class, str], Refusal | None] = {}
        self._hops = 0
        # what the functions that a value is followed into were called with, by the node of the parameter
        self._given: dict[ast.AST, Bound] = {}

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
            return self._constant(expression, place)
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

    def _constant(self, expression: ast.Constant, place: Place) -> Refusal | None:
        if isinstance(expression.value, str) and self.converter == "pydantic" and _SURROGATE.search(expression.value):
            return self._refuse("text with a lone surrogate", SURROGATE)
        return self._typed(Type(f"builtins.{type(expression.value).__name__}"), place)

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
                return found.as_key()
            found = self._value(value, scope, inner, depth + 1)
            if found is not None:
                return found.inside(f"[{_short(key)}]")
            kinds.add(self._key_kind(key, scope))
        if self.converter == "default" and len(kinds - {"unknown"}) > 1:
            # the default converter sorts the keys
            return Refusal("", "a dict whose keys are of several types", STRING_KEYS)
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
                return found.as_key()
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
            nested = self._nested(expression, symbol) if isinstance(expression, ast.Name) else None
            return nested or _all_refused([self._binding(each, place, depth) for each in symbol.bindings])
        if isinstance(symbol, External):
            return self._external(expression, symbol.dotted, scope, place)
        if isinstance(symbol, Function) and symbol in self.project.handlers_of:
            return self._typed(Type("types.FunctionType", symbol=symbol), place)
        return self._typed(self.resolver.infer(expression, scope), place, declared=True)

    def _nested(self, name: ast.Name, symbol: Variable) -> Refusal | None:
        """Why a container that statements build is no tree that JSON could write."""
        if holds_itself(name, symbol):
            return self._refuse("a container that holds itself", CYCLE)
        found = wrapping(name, symbol)
        turns = self._number(found.turns, found.scope) if found is not None else None
        # before 3.12 a call of the C encoder counts as a frame of Python
        is_old = self._python is not None and self._python < (3, 12)
        limits = {"pydantic": _PYDANTIC_DEPTH, **(dict.fromkeys(("default", "json"), _STACK) if is_old else {})}
        limit = limits.get(self.converter)
        if turns is None or limit is None or turns < limit:
            return None
        return self._refuse(f"a container nested {turns:,} levels deep", DEPTH)

    def _number(self, expression: ast.expr, scope: Scope) -> int | None:
        """A whole number, followed through a parameter to what the function was called with."""
        symbol = self.resolver.resolve(expression, scope) if isinstance(expression, ast.Name) else None
        if isinstance(symbol, Variable) and len(symbol.bindings) == 1 and symbol.bindings[0].node in self._given:
            bound = self._given[symbol.bindings[0].node]
            expression, scope = bound.expression, bound.scope
        value = self.project.values.constant(expression, scope)
        return value if isinstance(value, int) else None

    @property
    def _python(self) -> tuple[int, ...] | None:
        return release(self.project.settings.python_version)

    def _external(self, expression: ast.expr, dotted: str, scope: Scope, place: Place) -> Refusal | None:
        known = _VALUES.get(dotted)
        if known is not None:
            return self._typed(Type(known), place)
        head, _, last = dotted.rpartition(".")
        if head == "builtins":
            found = getattr(builtins, last, None)
            kind = "type" if isinstance(found, type) else "BuiltinFunctionType" if callable(found) else ""
            return self._typed(Type(f"types.{kind}" if kind != "type" else "builtins.type"), place) if kind else None
        if normal(dotted) in types():
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
                return self._refuse("object()", PLAIN) if not call.args else None
            if dotted in ("builtins.open", "io.open") and self._only_writes(call, scope):
                return self._refuse("a file opened for writing", FILE)
            if dotted in _COLLECTS and len(call.args) == 1:
                whole = self._typed(Type(dotted), place)
                return whole or _step(self._elements(call.args[0], scope, _within(place), depth))
            if dotted == "builtins.dict" and not call.args:
                for keyword in call.keywords:
                    found = self._value(keyword.value, scope, _within(place), depth + 1) if keyword.arg else None
                    if found is not None:
                        return found.inside(f'["{keyword.arg}"]')
                return None
            if dotted in _ARRAYS and (element := self._array_element(dotted, call, scope)) is not None:
                array = self._typed(Type("numpy.ndarray"), place)
                return array or _step(self._typed(Type(element), _within(place)))
            made = _MAKES.get(dotted, dotted)
            if family(made) in types() and (made != dotted or _is_class(dotted)):
                return self._typed(Type(made), place)
        if (
            isinstance(symbol, Function)
            and _is_simple(symbol)
            and not self._is_overridden(symbol)
            and (refused := self._result(symbol, call, scope, place, depth)) is not None
        ):
            return refused
        return self._typed(self.resolver.infer(call, scope), place, declared=True)

    def _result(self, function: Function, call: ast.Call, scope: Scope, place: Place, depth: int) -> Refusal | None:
        """What is refused of everything that a function of the project may return to this call."""
        self._hops += 1
        if self._hops > _MAX_HOPS:
            return None
        given = self.project.arguments(function, Call(call, scope, scope.module, scope.function))
        nodes = {each.name: each.node for each in function.bound_parameters}
        before = self._given
        self._given = {**before, **{nodes[name]: bound for name, bound in given.items() if name in nodes}}
        try:
            return _all_refused(
                [self._value(each, function.scope, place, depth + 1) if each else None for each in function.returned]
            )
        finally:
            self._given = before

    def _is_overridden(self, method: Function) -> bool:
        heirs = self.project.resolver.heirs(method.cls) if method.cls is not None else []
        return any(method.name in each.methods for each in heirs)

    def _array_element(self, dotted: str, call: ast.Call, scope: Scope) -> str | None:
        """The type of the elements of an array that is certain to have some: integers or truth values alone."""
        if call.keywords or len(call.args) != 1:
            return None
        if dotted == "numpy.arange":
            count = self.project.values.constant(call.args[0], scope)
            return "numpy.int64" if isinstance(count, int) and count > 0 else None
        leaves = list(_leaves(call.args[0]))
        for each in leaves:
            number = self.project.values.constant(each, scope)
            if isinstance(each, ast.BinOp) if number is UNKNOWN else _is_wide(number):
                return None
        found = {kind.name if (kind := self.resolver.infer(each, scope)) is not None else "" for each in leaves}
        elements = {"builtins.int": "numpy.int64", "builtins.bool": "numpy.bool_"}
        return elements.get(found.pop()) if len(found) == 1 else None

    def _only_writes(self, call: ast.Call, scope: Scope) -> bool:
        modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
        mode = self.project.values.constant(modes[0], scope) if modes else None
        return isinstance(mode, str) and not set(mode) & set("r+")

    # ---- instances of the project's classes ------------------------------------------------------------------------

    def _made(self, cls: Class, call: ast.Call, scope: Scope, place: Place, depth: int) -> Refusal | None:
        """What is refused of the object that a constructor call makes."""
        shape = self.shapes.shape(cls)
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

    def _default(self, each: Field, place: Place, depth: int) -> Refusal | None:
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

    def _field(self, each: Field, place: Place) -> Refusal | None:
        return self._typed(self.resolver.annotation(each.annotation, each.scope), place, declared=True)

    def _instance(self, cls: Class, place: Place, *, exact: bool) -> Refusal | None:
        """What is refused of an instance of a class; `exact` when it is certain not to be of a subclass."""
        shape = self.shapes.shape(cls)
        if shape.kind == "unknown":
            return None
        if not exact and (shape.open or self.project.resolver.heirs(cls)):
            # some heir may be a dataclass, or otherwise fit
            return None
        if (cls, place) not in self._known:
            # a class that holds itself is not refused for that
            self._known[cls, place] = None
            self._known[cls, place] = self._instance_of(cls, shape, place)
        return self._known[cls, place]

    def _instance_of(self, cls: Class, shape: Shape, place: Place) -> Refusal | None:
        plain_json = self.converter == "json"
        if shape.kind == "text":
            return None
        if shape.kind in ("typed-dict", "named-tuple"):
            return self._of_fields(cls, shape, _within(place), '["{}"]' if shape.kind == "typed-dict" else ".{}")
        if shape.kind in ("enum", "flag"):
            carried = self.converter in ("pydantic", "either")
            return None if carried else self._refuse(f"a member of the enumeration `{cls.name}`", ENUM)
        if shape.kind in ("dataclass", "model", "root") and not plain_json:
            if shape.kind == "root" or place == "key":
                return None
            return self._of_fields(cls, shape, "field" if shape.kind == "dataclass" else "element", ".{}")
        if shape.kind == "other" and not plain_json and letter(shape.base, self.converter, place) != "r":
            return None
        if not plain_json and (
            (shape.encodes and self.converter in ("default", "either"))
            or (shape.validates and self.converter in ("pydantic", "either"))
        ):
            return None
        if shape.base == "builtins.BaseException":
            return self._refuse(f"an exception, `{cls.name}`", EXCEPTION)
        what = "class" if shape.kind in ("dataclass", "model", "root") else "plain class"
        return self._refuse(f"an instance of the {what} `{cls.name}`", LEGACY if plain_json else PLAIN)

    def _of_fields(self, cls: Class, shape: Shape, place: Place, step: str) -> Refusal | None:
        for index, each in enumerate(shape.fields):
            found = self._field(each, place) if each.required else None
            if each.default is not None and self._says_nothing(each) and not self._is_given(cls, each, index):
                found = self._default(each, place, 0)
            if found is not None:
                return found.inside(step.format(each.name))
        return None

    def _says_nothing(self, each: Field) -> bool:
        found = self.resolver.annotation(each.annotation, each.scope)
        return found is not None and found.name in ("typing.Any", "builtins.object")

    def _is_given(self, cls: Class, each: Field, index: int) -> bool:
        """Whether some code of the project may give a field something else than its default."""
        written = self.project.kept(_names_written)
        if each.name in written:
            return True
        makers = {"cls", cls.name, *(heir.name for heir in self.project.resolver.heirs(cls))}
        calls = (call.node for module in self.project.modules.values() for call in module.calls)
        return any(
            last_name(call.func) in makers
            and (
                len(call.args) > index
                or any(isinstance(argument, ast.Starred) for argument in call.args)
                or any(keyword.arg is None for keyword in call.keywords)
            )
            for call in calls
        )

    # ---- types ---------------------------------------------------------------------------------------------------

    def _typed(self, found: Type | None, place: Place, *, declared: bool = False, depth: int = 0) -> Refusal | None:
        """What is refused of a value of a type; `declared` when an annotation names it, so that it may be an heir's."""
        if found is None or depth > _MAX_DEPTH:
            return None
        if found.name == "typing.Union":
            return _all_refused([self._typed(each, place, declared=declared, depth=depth + 1) for each in found.args])
        if found.cls is not None:
            return self._instance(found.cls, place, exact=not declared)
        if found.name == "builtins.type" and isinstance(found.symbol, Class) and self.shapes.is_iterable(found.symbol):
            return None
        if found.name == "builtins.type" and found.symbol is None and declared:
            # the class of an enumeration is iterable, and its members may be carried
            return None
        name = family(found.name)
        verdict = letter(name, self.converter, place)
        if verdict == "r":
            return self._refuse(article(found), advice(name, self.converter))
        inner = self._argument(found, place, declared, depth)
        if inner is not None:
            return inner
        if verdict == "d":
            return replace(self._refuse(article(found), DRAINED.get(name, GENERATOR)), drained=True)
        return None

    def _argument(self, found: Type, place: Place, declared: bool, depth: int) -> Refusal | None:
        """What is refused of the elements of a generic container."""
        if found.name in _MAPPINGS:
            if len(found.args) == 2:
                key = self._typed(found.args[0], "key", declared=declared, depth=depth + 1)
                if key is not None:
                    return key.as_key()
                return _step(self._typed(found.args[1], _within(place), declared=declared, depth=depth + 1))
            return None
        arguments = found.args if found.name == "builtins.tuple" else found.args[:1] if found.name in _ITERABLES else ()
        if found.name in ELEMENTS:
            arguments = (Type(ELEMENTS[found.name]),)
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
        if encoding is not None and encoding.drained:
            encoding = None
        if not decoded or self.converter == "json":
            return encoding
        if self._is_type_variable(expression, scope):
            return self._type_variable(expression)
        decoding = self._decoded(found, 0)
        if encoding is not None and decoding is None and self._is_model(found):
            return replace(encoding, unsendable=True)
        return encoding or decoding

    def _is_model(self, found: Type | None) -> bool:
        """Whether a type is, or a container of it holds, a model of pydantic's, which a dict can make."""
        if found is None:
            return False
        is_model = found.cls is not None and self.shapes.shape(found.cls).kind == "model"
        return is_model or any(map(self._is_model, found.args))

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
            return self._decoded_key(found.args[0], depth + 1) or _step(self._decoded(found.args[1], depth + 1))
        name = family(found.name)
        if letter(name, self.converter, "annotation") == "r":
            return self._refuse(article(found), advice(name, self.converter))
        arguments = found.args if found.name == "builtins.tuple" else found.args[:1] if found.name in _ITERABLES else ()
        for each in arguments:
            refused = self._decoded(each, depth + 1)
            if refused is not None:
                return _step(refused)
        return None

    def _decoded_key(self, found: Type | None, depth: int) -> Refusal | None:
        """The same of the keys of a dict, which arrive as text."""
        if found is not None and found.name == "typing.Union":
            return _all_refused([self._decoded_key(each, depth + 1) for each in found.args])
        verdict = letter(family(found.name), self.converter, "annotation of keys") if found is not None else "-"
        if found is None or found.cls is not None or verdict == "-":
            return self._decoded(found, depth)
        return self._refuse(article(found), "").as_key() if verdict == "r" else None

    def _decoded_class(self, cls: Class, subscripted: bool, depth: int) -> Refusal | None:
        shape = self.shapes.shape(cls)
        if shape.kind in ("unknown", "text", "model", "named-tuple", "flag"):
            return None
        default = self.converter == "default"
        if shape.kind == "enum":
            return self._refuse(f"the enumeration `{cls.name}`", ENUM) if default else None
        if shape.kind == "root":
            return self._refuse(f"the root model `{cls.name}`", CONNECT_PYDANTIC) if default and shape.decodes else None
        if shape.kind == "dataclass" and subscripted and default:
            advice = "Give the type argument in a subclass and annotate with that, or use `pydantic_data_converter`."
            return self._refuse(f"the dataclass `{cls.name}` with type arguments", advice)
        if (
            shape.base == "typing.TypedDict"
            and self.converter == "pydantic"
            and self._python is not None
            and self._python < (3, 12)
        ):
            # pydantic cannot tell its optional keys apart before Python 3.12
            return self._refuse(f"the `typing.TypedDict` `{cls.name}`", TYPED_DICT)
        if shape.kind in ("dataclass", "typed-dict"):
            if (cls, "decoded") not in self._known:
                self._known[cls, "decoded"] = None
                self._known[cls, "decoded"] = self._decoded_fields(shape, depth)
            return self._known[cls, "decoded"]
        strangers = {"default": _EXACT, "pydantic": _NO_SCHEMA}.get(self.converter, frozenset[str]())
        if (
            shape.kind == "other"
            and shape.base not in strangers
            and letter(shape.base, self.converter, "annotation") != "r"
        ):
            return None
        accepted = (shape.decodes and self.converter != "pydantic") or (shape.validates and not default)
        return None if accepted else self._refuse(f"the class `{cls.name}`", PLAIN)

    def _decoded_fields(self, shape: Shape, depth: int) -> Refusal | None:
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


# An integer that int64 cannot hold makes an array of Python's own integers.
_MAX_BITS = 63


def _is_wide(number: object) -> bool:
    return isinstance(number, int) and number.bit_length() > _MAX_BITS


def _leaves(expression: ast.expr) -> Iterator[ast.expr]:
    """What stands innermost in a display of displays."""
    if isinstance(expression, (ast.List, ast.Tuple)):
        for each in expression.elts[:_MAX_ELEMENTS]:
            yield from _leaves(each)
    else:
        yield expression


def _names_written(project: Project) -> frozenset[str]:
    """The names of all attributes that a project assigns and of all keywords that it passes."""
    modules = project.modules.values()
    stored = (node.attr for module in modules for node, _ in module.attributes if not isinstance(node.ctx, ast.Load))
    passed = (keyword.arg for module in modules for call in module.calls for keyword in call.node.keywords)
    return frozenset((*stored, *(each for each in passed if each is not None)))


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


# What other names give: values that stand for themselves, and functions that make something.
_VALUES = {
    "temporalio.workflow.logger": "logging.LoggerAdapter",
    "temporalio.activity.logger": "logging.LoggerAdapter",
    "datetime.timezone.utc": "datetime.timezone",
    "datetime.UTC": "datetime.timezone",
    "builtins.Ellipsis": "builtins.ellipsis",
    "pandas.NA": "pandas.api.typing.NAType",
    "pandas.NaT": "pandas.api.typing.NaTType",
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
_ARRAYS = frozenset(("numpy.array", "numpy.asarray", "numpy.arange"))
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

# Types that the default converter knows by identity and that are no iterables: their heirs are strangers to it.
_EXACT = frozenset(("builtins.int", "builtins.float", "datetime.datetime"))
# Types for whose heirs pydantic makes no schema.
_NO_SCHEMA = frozenset(
    f"builtins.{name}" for name in ("int", "float", "str", "bytes", "list", "dict", "set", "frozenset")
)
