"""Who else may write a name: assignments from outside, `setattr`, namespaces as dictionaries, constructors that fill
fields, functions that fill a container they are given.

The linter takes a value for certain only where nothing here may put another in its place.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cached_property

from temporal_lint.facts import Binding, Call, Class, Function, Module, Scope, decorator_target, last_name

# Decorators that hand a class back without a constructor of their own, by the last part of their name.
_KEEPING = frozenset(("defn", "final", "runtime_checkable", "total_ordering", "unique", "dataclass_transform"))
# ... and those that make a constructor of the fields, but leave what the class itself holds.
_FIELDS = frozenset(("dataclass", "define", "frozen", "mutable", "attrs", "attributes", "s"))
# External bases that bring no constructor which fills fields.
_PLAIN_BASES = frozenset(
    (
        "builtins.object",
        "builtins.Exception",
        "typing.Generic",
        "typing.Protocol",
        "abc.ABC",
        "typing_extensions.Protocol",
    )
)
# Namespaces as dictionaries, and functions that write attributes by name.
_NAMESPACES = frozenset(("vars", "globals", "locals", "setattr", "__setattr__"))
# Functions outside the project that change a container they are given.
_CHANGING = ("random.", "heapq.", "bisect.")
_LOGGING = frozenset(("debug", "info", "warning", "error", "exception", "critical", "log"))
_MAX_DEPTH = 5


class Writes:
    """What the modules of a project may write. `beside` gives the names written in files that were not gathered."""

    def __init__(self, modules: Iterable[Module], beside: Callable[[], frozenset[str]]) -> None:
        self._modules = [each for each in modules if not each.is_test]
        self._beside = beside
        self._passed: dict[Module, dict[str, list[tuple[Call, int | str]]]] = {}

    # ---- names -------------------------------------------------------------------------------------------------

    def may_replace(self, name: str, bindings: list[Binding], owner: Class | None) -> bool:
        """Whether other code may give another value to a name of a module, or of the class `owner`, that is bound to
        nothing but placeholders."""
        if not all(_is_placeholder(each) for each in bindings):
            return False
        if owner is None:
            return name in self._outside or bindings[0].scope.module in self._own_namespaces
        return name in self._outside or self._sets_by_name or self._sets_itself(owner) or _is_remade(owner)

    @cached_property
    def _outside(self) -> frozenset[str]:
        """The names of attributes that are assigned through anything but `self` and `cls` of a method."""
        stored = (
            node.attr
            for module in self._modules
            for node, scope in module.attributes
            if not isinstance(node.ctx, ast.Load) and not _is_own(node.value, scope)
        )
        named = (
            each.value
            for module in self._modules
            for call in module.calls
            if last_name(call.node.func) in _NAMESPACES
            for each in call.node.args[1:2]
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        )
        return frozenset((*stored, *named, *self._beside()))

    @cached_property
    def _sets_by_name(self) -> bool:
        """Whether some code sets attributes, of names that are not known, on anything but its own instance."""
        return any(
            last_name(call.node.func) in ("setattr", "__setattr__")
            and len(call.node.args) > 1
            and not isinstance(call.node.args[-2], ast.Constant)
            and not _is_own(call.node.args[0], call.scope)
            for module in self._modules
            for call in module.calls
        )

    @cached_property
    def _own_namespaces(self) -> frozenset[Module]:
        """The modules that write their own names through a dictionary, or as an object."""
        return frozenset(
            module
            for module in self._modules
            if any(last_name(call.node.func) == "globals" for call in module.calls)
            or any("modules" in (node.attr, last_name(node.value)) for node, _ in module.attributes)
        )

    def _sets_itself(self, cls: Class) -> bool:
        """Whether the class writes attributes of its instances in a way that names none."""
        calls = (call for method in cls.methods.values() for call in method.calls)
        return (
            bool(cls.node.keywords)
            or "__getattribute__" in cls.methods
            or any(last_name(call.node.func) in _NAMESPACES for call in calls)
            or any(
                "__dict__" in (node.attr, last_name(node.value))
                for node, scope in cls.module.attributes
                if scope.class_around is cls
            )
        )

    def fills(self, order: Iterable[Class], external: Iterable[str], is_complete: bool) -> bool:
        """Whether instances may hold other values in their fields than their class does. `order` are the class and its
        project bases, `external` the dotted names of the others, `is_complete` whether all are known."""
        if not is_complete or any(each not in _PLAIN_BASES for each in external):
            return True
        return any(
            last_name(decorator_target(decorator)) not in _KEEPING
            for cls in order
            for decorator in cls.node.decorator_list
        ) or any(self._sets_itself(cls) for cls in order)

    # ---- containers --------------------------------------------------------------------------------------------

    def hands_out(self, binding: Binding, names: Iterable[str], resolve: Callable[[ast.expr, Scope], object]) -> bool:
        """Whether a container, bound to one of these names, is given to a function that may change it."""
        return any(self._gives(name, binding.scope, resolve, 0) for name in names)

    def _gives(self, name: str, scope: Scope, resolve: Callable[[ast.expr, Scope], object], depth: int) -> bool:
        module = scope.module
        for call, place in self._given(module).get(name, ()):
            if scope.kind == "function" and scope not in (call.scope, *call.scope.enclosing()):
                continue
            function = call.node.func
            symbol = resolve(function, call.scope)
            if isinstance(symbol, Function):
                if depth >= _MAX_DEPTH or self._changes(symbol, place, resolve, depth):
                    return True
                continue
            is_unknown = symbol is None or hasattr(symbol, "bindings")
            dotted = str(getattr(symbol, "dotted", ""))
            if (is_unknown and last_name(function) not in _LOGGING) or dotted.startswith(_CHANGING):
                return True
        return False

    def _changes(
        self, function: Function, place: int | str, resolve: Callable[[ast.expr, Scope], object], depth: int
    ) -> bool:
        """Whether a function may change what it gets at a place: the parameter's number or its name."""
        taking = [each for each in function.bound_parameters if each.kind in ("positional", "positional-only")]
        if isinstance(place, str):
            names = [each.name for each in function.bound_parameters if each.name == place]
        else:
            names = [each.name for each in taking[place : place + 1]]
        return any(
            name in function.module.changed or self._gives(name, function.scope, resolve, depth + 1) for name in names
        )

    def _given(self, module: Module) -> dict[str, list[tuple[Call, int | str]]]:
        """Where a module gives a name to a call, by the last part of that name."""
        known = self._passed.get(module)
        if known is None:
            known = self._passed[module] = {}
            for call in module.calls:
                places: list[tuple[ast.expr, int | str]] = [(each, n) for n, each in enumerate(call.node.args)]
                places += [(each.value, each.arg) for each in call.node.keywords if each.arg is not None]
                for expression, place in places:
                    if isinstance(expression, (ast.Name, ast.Attribute)):
                        known.setdefault(last_name(expression), []).append((call, place))
        return known


def _is_own(receiver: ast.expr, scope: Scope) -> bool:
    """Whether it is `self` or `cls` of a method."""
    return last_name(receiver) in ("self", "cls") and scope.class_around is not None


def _is_remade(cls: Class) -> bool:
    """Whether a decorator may have changed what the class itself holds."""
    names = (last_name(decorator_target(each)) for each in cls.node.decorator_list)
    return any(name not in _KEEPING | _FIELDS for name in names)


def _is_placeholder(binding: Binding) -> bool:
    """Whether a binding holds a value that somebody may be expected to replace: no object that is made or called."""
    value = binding.value
    if isinstance(value, ast.Call):
        return last_name(value.func) in ("object", "timedelta")
    return value is not None and not isinstance(value, (ast.Name, ast.Attribute, ast.Await, ast.NamedExpr))
