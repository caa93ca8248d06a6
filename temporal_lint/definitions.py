"""What the project defines for Temporal: activities, workflows and handlers, by decorator or legacy interface."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from temporal_lint.facts import Call, Class, Function, Module, Scope, decorator_target, last_name
from temporal_lint.resolve import External, Find, Resolver, Symbol, Type, Variable, label
from temporal_lint.target import release
from temporal_lint.values import Bound, Values
from temporal_lint.writes import Writes

if TYPE_CHECKING:
    from temporal_lint.config import Settings

HandlerKind = Literal["run", "signal", "query", "update", "validator", "init"]

_DEFN = "temporalio.activity.defn"
_KINDS: dict[str, HandlerKind] = {
    "temporalio.workflow.run": "run",
    "temporalio.workflow.signal": "signal",
    "temporalio.workflow.query": "query",
    "temporalio.workflow.update": "update",
    "temporalio.workflow.init": "init",
}
# The legacy SDK's decorators (dialect 2 of the catalogue), by the end of their dotted name.
_LEGACY_ACTIVITY = ("activity_method.activity_method", "temporal.activity_method")
_LEGACY_WORKFLOW = ("workflow.workflow_method", "workflow.signal_method", "workflow.query_method")


@dataclass(eq=False)
class Activity:
    """An activity definition. `name` is None where it is computed; a `dynamic` one takes every name."""

    function: Function
    name: str | None
    dynamic: bool = False
    legacy: bool = False


@dataclass(eq=False)
class Handler:
    """A function that Temporal calls with decoded payloads: `run`, a signal, query, update, validator or `__init__`."""

    kind: HandlerKind
    function: Function
    name: str | None
    dynamic: bool = False
    # the workflow whose handler it is; None outside a workflow class (a mixin)
    workflow: Workflow | None = None


@dataclass(eq=False)
class Workflow:
    """A workflow definition."""

    cls: Class
    name: str | None
    handlers: list[Handler] = field(default_factory=list)
    legacy: bool = False

    @property
    def run(self) -> Function | None:
        """Its `@workflow.run` method, an inherited one too."""
        return next((each.function for each in self.handlers if each.kind == "run"), None)


class Definitions:
    """The modules joined, and what they define. `modules` maps names to facts; `find` is as in Resolver, `beside` as in
    Writes."""

    def __init__(
        self,
        modules: Iterable[Module],
        settings: Settings,
        find: Find | None = None,
        beside: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self.modules: dict[str, Module] = {each.name: each for each in modules}
        self.settings = settings
        # the release of the SDK that the project is known to use
        self.sdk_release = release(settings.sdk_version)
        self.resolver = Resolver(
            self.modules,
            find or (lambda dotted, importer: dotted if dotted in self.modules else None),
            Writes(self.modules.values(), beside),
        )
        self.values = Values(self.resolver)
        self._applied: dict[tuple[Function, str], bool] = {}

    @cached_property
    def activity_of(self) -> dict[Function, Activity]:
        """Activity definitions by function (a class's `__call__` for callable classes)."""
        found: dict[Function, Activity] = {}
        for module in self.modules.values():
            for function in module.functions:
                activity = self._activity(function)
                if activity is not None:
                    found[function] = activity
            for cls in module.classes:
                activity = self._callable_class(cls)
                if activity is not None:
                    found[activity.function] = activity
            for call in module.calls:
                # activity.defn(function) and activity.defn(name="x")(function) used as calls
                defined = self._defn_call(call)
                for each in call.node.args if defined else ():
                    symbol = self.resolver.resolve(each, call.scope)
                    if isinstance(symbol, Function):
                        found.setdefault(symbol, Activity(symbol, None))
        self._add_legacy_implementations(found)
        return found

    def _callable_class(self, cls: Class) -> Activity | None:
        """The activity that `@activity.defn` on a class makes of its `__call__`."""
        for decorator in cls.node.decorator_list:
            target = decorator_target(decorator)
            if self.resolver.dotted(target, cls.outer) == _DEFN:
                method = self.resolver.class_member(cls, "__call__")
                if isinstance(method, Function):
                    return Activity(method, *self._definition_name(decorator, cls.outer, cls.name))
        return None

    @cached_property
    def handed_definitions(self) -> frozenset[Function] | None:
        """Functions that a call may define as activities: `register(function)`, where `register` applies
        `activity.defn` to its parameter. None where `activity.defn` is applied to what cannot be told."""
        calls = [call for module in self.modules.values() for call in module.calls]
        appliers: set[Function] = set()
        for call in calls:
            if any(self.resolver.dotted(each, call.scope) == _DEFN for each in call.node.args):
                return None
            for each in call.node.args if self._defn_call(call) else ():
                if isinstance(self.resolver.resolve(each, call.scope), (Function, Class)):
                    continue
                holder = call.scope.holder(each.id) if isinstance(each, ast.Name) else None
                if holder is None or not isinstance(each, ast.Name) or holder.bindings[each.id][0].kind != "parameter":
                    return None
                appliers.update(scope.function for scope in holder.enclosing() if scope.function is not None)
        handed: set[Function] = set()
        for call in calls:
            func = call.node.func.func if isinstance(call.node.func, ast.Call) else call.node.func
            applier = self.resolver.resolve(func, call.scope)
            if not isinstance(applier, Function):
                continue
            if applier in appliers or applier.label in self.settings.activity_decorators:
                for each in call.node.args:
                    symbol = self.resolver.resolve(each, call.scope)
                    if isinstance(symbol, Function):
                        handed.add(symbol)
                    elif not isinstance(each, ast.Constant):
                        return None
        return frozenset(handed)

    def _defn_call(self, call: Call) -> bool:
        func = call.node.func
        inner = func.func if isinstance(func, ast.Call) else func
        return self.resolver.dotted(inner, call.scope) == _DEFN

    def _activity(self, function: Function) -> Activity | None:
        for decorator in function.node.decorator_list:
            target = decorator_target(decorator)
            symbol = self.resolver.resolve(target, function.outer)
            if isinstance(symbol, External):
                if symbol.dotted == _DEFN:
                    name, dynamic = self._definition_name(decorator, function.outer, function.name)
                    return Activity(function, name, dynamic)
                if symbol.dotted.endswith(_LEGACY_ACTIVITY) and symbol.dotted.startswith("temporal."):
                    owner = function.cls.name if function.cls else ""
                    return Activity(function, f"{owner}::{function.name}", legacy=True)
            if label(symbol) in self.settings.activity_decorators or self._applies(symbol, _DEFN):
                return Activity(function, None)
        return None

    def _definition_name(self, decorator: ast.expr, scope: Scope, default: str) -> tuple[str | None, bool]:
        if not isinstance(decorator, ast.Call):
            return default, False
        if any(each.arg is None for each in decorator.keywords):
            return None, False
        given = {each.arg: each.value for each in decorator.keywords}
        dynamic = "dynamic" in given and self.values.constant(given["dynamic"], scope) is not False
        if dynamic:
            return None, True
        if "name" not in given:
            return default, False
        value = self.values.constant(given["name"], scope)
        if value is None:
            return default, False
        return (value, False) if isinstance(value, str) else (None, False)

    def _applies(self, decorator: Symbol | None, dotted: str) -> bool:
        """Whether the body of a project decorator mentions the SDK's decorator: then it may apply it."""
        if not isinstance(decorator, Function):
            return False
        key = (decorator, dotted)
        if key not in self._applied:
            last = dotted.rpartition(".")[2]
            self._applied[key] = False
            for node in ast.walk(decorator.node):
                if not isinstance(node, (ast.Name, ast.Attribute)) or last_name(node) != last:
                    continue
                if self.resolver.dotted(node, decorator.module.scope_at(node)) == dotted:
                    self._applied[key] = True
                    break
        return self._applied[key]

    def _add_legacy_implementations(self, found: dict[Function, Activity]) -> None:
        if not any(each.legacy for each in found.values()):
            return
        for module in self.modules.values():
            for cls in module.classes:
                for base in self.resolver.ancestors(cls)[0][1:]:
                    for name, method in base.methods.items():
                        declared = found.get(method)
                        if declared is not None and declared.legacy and name in cls.methods:
                            found.setdefault(cls.methods[name], Activity(cls.methods[name], declared.name, legacy=True))

    @cached_property
    def workflow_of(self) -> dict[Class, Workflow]:
        """Workflow definitions by class."""
        found: dict[Class, Workflow] = {}
        for module in self.modules.values():
            for cls in module.classes:
                workflow = self._workflow(cls)
                if workflow is not None:
                    found[cls] = workflow
        return found

    def _workflow(self, cls: Class) -> Workflow | None:
        for decorator in cls.node.decorator_list:
            target = decorator_target(decorator)
            symbol = self.resolver.resolve(target, cls.outer)
            if label(symbol) == "temporalio.workflow.defn":
                name, _ = self._definition_name(decorator, cls.outer, cls.name)
                return self._with_handlers(Workflow(cls, name))
            if label(symbol) in self.settings.workflow_decorators or self._applies(symbol, "temporalio.workflow.defn"):
                return self._with_handlers(Workflow(cls, None))
        legacy = self._legacy_interfaces
        if legacy and not legacy.isdisjoint(self.resolver.ancestors(cls)[0]):
            return Workflow(cls, None, legacy=True)
        return None

    @cached_property
    def _legacy_interfaces(self) -> frozenset[Class]:
        """Classes with a handler of the legacy SDK of their own."""
        return frozenset(
            cls
            for module in self.modules.values()
            for cls in module.classes
            for method in cls.methods.values()
            if any(self.is_legacy_handler(decorator, cls.scope) for decorator in method.node.decorator_list)
        )

    def is_legacy_handler(self, decorator: ast.expr, scope: Scope) -> bool:
        target = decorator_target(decorator)
        dotted = self.resolver.dotted(target, scope) or ""
        return dotted.startswith("temporal.") and dotted.endswith(_LEGACY_WORKFLOW)

    def _with_handlers(self, workflow: Workflow) -> Workflow:
        seen: set[str] = set()
        for cls in self.resolver.ancestors(workflow.cls)[0]:
            for name, method in cls.methods.items():
                if name in seen:
                    continue
                seen.add(name)
                handler = self._handler(method)
                if handler is not None:
                    workflow.handlers.append(Handler(handler.kind, method, handler.name, handler.dynamic, workflow))
        return workflow

    def _handler(self, method: Function) -> Handler | None:
        for decorator in method.node.decorator_list:
            target = decorator_target(decorator)
            update = target.value if isinstance(target, ast.Attribute) and target.attr == "validator" else None
            if isinstance(update, ast.Name) and isinstance(self.resolver.resolve(update, method.outer), Function):
                return Handler("validator", method, None)
            symbol = self.resolver.resolve(target, method.outer)
            kind = _KINDS.get(label(symbol))
            if kind is not None:
                name, dynamic = self._definition_name(decorator, method.outer, method.name)
                return Handler(kind, method, name, dynamic)
            if label(symbol) in self.settings.run_decorators or self._applies(symbol, "temporalio.workflow.run"):
                return Handler("run", method, None)
        return None

    @cached_property
    def handlers_of(self) -> dict[Function, list[Handler]]:
        """Handlers by function, each function once (for the workflow that defines it, or a mixin's own)."""
        found: dict[Function, list[Handler]] = {}
        for module in self.modules.values():
            for function in module.functions:
                handler = self._handler(function) if function.cls is not None else None
                if handler is not None and function.cls is not None:
                    handler.workflow = self.workflow_of.get(function.cls)
                    found[function] = [handler]
        return found

    @cached_property
    def activity_names(self) -> dict[str, Activity]:
        """Activities by registered name, where a name belongs to one only."""
        found: dict[str, Activity] = {}
        twice: set[str] = set()
        for activity in self.activity_of.values():
            if activity.name is not None:
                if activity.name in found:
                    twice.add(activity.name)
                found[activity.name] = activity
        return {name: activity for name, activity in found.items() if name not in twice}

    # ---- values ------------------------------------------------------------------------------------------------

    def definition(self, expression: ast.expr, scope: Scope) -> Function | Class | str | None:
        """The function or class that an expression stands for, or the string that names it; None if unknown."""
        symbol = self.resolver.resolve(expression, scope)
        if isinstance(symbol, (Function, Class)):
            return symbol
        value = self.values.constant(expression, scope)
        return value if isinstance(value, str) else None

    def followed(self, bound: Bound) -> Bound:
        """The expression behind names that are assigned once and not changed in place; `bound` itself otherwise."""
        for _ in range(8):
            if not isinstance(bound.expression, (ast.Name, ast.Attribute)):
                break
            symbol = self.resolver.resolve(bound.expression, bound.scope)
            if not isinstance(symbol, Variable) or symbol.assigned is None:
                break
            value, binding = symbol.assigned
            if self.values.is_mutated(binding):
                break
            bound = Bound(value, binding.scope, False)
        return bound

    def elements(self, bound: Bound) -> tuple[Bound, ...] | None:
        """The elements of a list or tuple display, followed through a name that is assigned once; else None."""
        display = self.followed(bound)
        if not isinstance(display.expression, (ast.List, ast.Tuple)):
            return None
        if any(isinstance(each, ast.Starred) for each in display.expression.elts):
            return None
        return tuple(Bound(each, display.scope, display.here) for each in display.expression.elts)

    def infer(self, bound: Bound) -> Type | None:
        """The type of a bound value."""
        return self.resolver.infer(bound.expression, bound.scope)
