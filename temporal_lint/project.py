"""What the modules mean to Temporal: activities, workflows, handlers, the calls between them, and who runs where."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal

from temporal_lint import sdk
from temporal_lint.facts import Call, Class, Function, Module, Parameter, Scope, dotted_name, ordinal
from temporal_lint.resolve import External, Find, Resolver, Symbol, Type, Variable
from temporal_lint.values import Bound, Keys, Values

if TYPE_CHECKING:
    from temporal_lint.config import Settings
    from temporal_lint.config import Wrapper as WrapperSettings

Family = Literal["activity", "child", "continue", "start", "signal", "query", "update", "heartbeat", "stub", "other"]
HandlerKind = Literal["run", "signal", "query", "update", "validator", "init"]

_ACTIVITY_APIS = frozenset(
    f"temporalio.workflow.{verb}_{local}activity{form}"
    for verb in ("execute", "start")
    for local in ("", "local_")
    for form in ("", "_class", "_method")
)
_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(_ACTIVITY_APIS, "activity"),
    "temporalio.workflow.execute_child_workflow": "child",
    "temporalio.workflow.start_child_workflow": "child",
    "temporalio.workflow.continue_as_new": "continue",
    "temporalio.activity.heartbeat": "heartbeat",
    "temporalio.client.Client.start_workflow": "start",
    "temporalio.client.Client.execute_workflow": "start",
    "temporalio.client.WorkflowHandle.signal": "signal",
    "temporalio.client.WorkflowHandle.query": "query",
    "temporalio.client.WorkflowHandle.execute_update": "update",
    "temporalio.client.WorkflowHandle.start_update": "update",
    "temporalio.client.Client.execute_update_with_start_workflow": "update",
    "temporalio.client.Client.start_update_with_start_workflow": "update",
    "temporalio.workflow.ChildWorkflowHandle.signal": "signal",
    "temporalio.workflow.ExternalWorkflowHandle.signal": "signal",
}
# Families whose calls name an activity, a workflow or a handler, which has parameters of its own.
_TARGETED: frozenset[Family] = frozenset(("activity", "child", "start", "signal", "query", "update"))
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
    # False where a project decorator applies `activity.defn` inside
    direct: bool = True


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


@dataclass(frozen=True)
class Stray:
    """A keyword that the API does not take, so that the SDK raises TypeError.

    `is_option` tells an option (misspelt, or of another API) from what was meant as a payload; `nearest` is the
    option of this API that it is spelt like, if any.
    """

    name: str
    bound: Bound
    is_option: bool
    nearest: str | None


@dataclass(eq=False)
class SdkCall:
    """A call of the SDK's API, seen through the project's own wrappers.

    `api` is the canonical dotted name; `via` the project's wrapper that is called here, outermost first, or ().
    `positional` and `keywords` are what the API receives, with resolved `**splats` unfolded; `open_keywords` says
    that more keywords may come from a splat that does not resolve, `open_positional` the same of a `*splat`.
    `written` are the keyword nodes at this very place.
    """

    project: Project
    call: Call
    api: str
    family: Family
    signature: sdk.Signature | None
    positional: tuple[Bound, ...]
    keywords: dict[str, Bound]
    open_positional: bool
    open_keywords: bool
    via: tuple[Function, ...] = ()
    stub: Function | None = None
    # made through a wrapper that the configuration describes
    configured: bool = False
    # the same call as the wrapper's own body shows it
    inner: SdkCall | None = None

    @property
    def node(self) -> ast.Call:
        """The call expression where findings belong."""
        return self.call.node

    @property
    def module(self) -> Module:
        """The module that holds it."""
        return self.call.module

    @property
    def name(self) -> str:
        """The API's short name, `execute_activity`."""
        return self.api.rpartition(".")[2]

    @property
    def written(self) -> dict[str, ast.keyword]:
        """The keywords spelled out at the call itself."""
        return {each.arg: each for each in self.node.keywords if each.arg is not None}

    @cached_property
    def _given(self) -> dict[str, Bound]:
        """Arguments of the API by parameter name: positional ones first, then keywords."""
        names = (
            [each.name for each in self.signature.parameters if each.kind in ("po", "pos")] if self.signature else []
        )
        given = dict(zip(names, self.positional, strict=False))
        return {**given, **self.keywords}

    def option(self, name: str) -> Bound | None:
        """What the API receives for `name`; None where it is not given (or hidden in an open splat)."""
        return self._given.get(name)

    def is_absent(self, name: str) -> bool:
        """Whether the API is certain to receive nothing, or None, for `name`."""
        bound = self.option(name)
        if bound is None:
            return not self.open_keywords
        return self.project.values.is_none(bound.expression, bound.scope)

    @cached_property
    def strays(self) -> tuple[Stray, ...]:
        """The keywords that the API does not take, those from resolved splats included."""
        if self.signature is None:
            return ()
        return tuple(
            self._stray(name, bound, self.signature)
            for name, bound in self.keywords.items()
            if not self.signature.accepts_keyword(name)
        )

    def _stray(self, name: str, bound: Bound, signature: sdk.Signature) -> Stray:
        nearest = _nearest(name, signature.keywords)
        function = self.function
        if function is not None and any(each.name == name for each in function.bound_parameters):
            return Stray(name, bound, False, nearest)
        is_option = nearest is not None or self.family not in _TARGETED or name in _option_names()
        return Stray(name, bound, is_option, nearest)

    @property
    def is_local(self) -> bool:
        """Whether it runs a local activity."""
        return "_local_activity" in self.name

    @cached_property
    def target(self) -> Function | Class | str | None:
        """The activity, workflow or handler that it names: a project definition, a string, or None if unknown."""
        if self.stub is not None:
            return self.stub
        bound = self.target_bound
        return self.project.definition(bound.expression, bound.scope) if bound is not None else None

    @property
    def target_bound(self) -> Bound | None:
        """The expression that names the target."""
        first = {
            "activity": "activity",
            "child": "workflow",
            "start": "workflow",
            "signal": "signal",
            "query": "query",
        }.get(self.family)
        if self.family == "update":
            first = "update"
        return self.option(first) if first else None

    @cached_property
    def function(self) -> Function | None:
        """The function that will receive the payloads, where it is certain: `run`, the activity, the handler."""
        target = self.target
        if self.family == "continue" and target is None:
            return self._own_run()
        if isinstance(target, Class):
            found = self.project.resolver.class_member(target, "__call__")
            if self.family in ("child", "start"):
                workflow = self.project.workflow_of.get(target)
                return workflow.run if workflow else None
            return found if isinstance(found, Function) else None
        if isinstance(target, str) and self.family == "activity" and self.is_absent("task_queue"):
            # on a queue of its own, a name may belong to another service
            named = self.project.activity_names.get(target)
            return named.function if named is not None else None
        return target if isinstance(target, Function) else None

    def _own_run(self) -> Function | None:
        if self.option("workflow") is not None or self.open_keywords or self.call.function is None:
            return None
        workflow = self.project.workflow_of.get(self.call.function.cls) if self.call.function.cls else None
        return workflow.run if workflow else None

    @cached_property
    def payloads(self) -> tuple[Bound, ...] | None:
        """The values that become payloads, in order; None where they cannot be told apart."""
        if self.open_positional:
            return None
        if self.family in ("heartbeat", "stub"):
            return self.positional
        if self.signature is None or self.family == "other":
            return None
        args = self.option("args")
        if args is None:
            if self.open_keywords:
                return None
            single = self.option("arg")
            return (single,) if single is not None else ()
        return self.project.elements(args)

    def payload_parameters(self) -> list[tuple[Bound, Parameter | None]]:
        """Each payload with the parameter that receives it (None where that is not certain)."""
        payloads = self.payloads
        if payloads is None:
            return []
        function = self.function
        parameters = (
            [each for each in function.bound_parameters if each.kind in ("positional", "positional-only")]
            if function
            else []
        )
        return [(bound, parameters[i] if i < len(parameters) else None) for i, bound in enumerate(payloads)]

    @property
    def statement(self) -> ast.stmt:
        """The statement that holds the call."""
        return self.module.statement(self.node)

    @property
    def awaited(self) -> bool:
        """Whether `await` stands right before the call."""
        return isinstance(self.module.parents.get(self.node), ast.Await)


@dataclass(frozen=True)
class Step:
    """One link of a chain: `caller` reaches `callee` by `call` (None: by passing it on as a value)."""

    caller: Function
    call: Call
    callee: Function


@dataclass(eq=False)
class _Wrapper:
    """A project function that hands its own parameters to an API call."""

    function: Function
    inner: SdkCall


class Project:
    """All facts joined. `modules` maps names to facts; `find` is as in Resolver."""

    def __init__(self, modules: Iterable[Module], settings: Settings, find: Find | None = None) -> None:
        self.modules: dict[str, Module] = {each.name: each for each in modules}
        self.settings = settings
        self.resolver = Resolver(
            self.modules, find or (lambda dotted, importer: dotted if dotted in self.modules else None)
        )
        self.values = Values(self.resolver)
        self._sdk_calls: dict[str, list[SdkCall]] = {}
        self._wrapping: set[Function] = set()
        self._wrappers: dict[Function, list[_Wrapper]] = {}

    @cached_property
    def is_sdk(self) -> bool:
        """Whether the project holds the SDK itself: then its own modules, not our tables, say what exists."""
        return any(name == "temporalio" or name.startswith("temporalio.") for name in self.modules)

    # ---- facts for the rules -----------------------------------------------------------------------------------

    def facts(self, module: Module) -> Iterator[object]:
        """Every fact of a module that a rule can take as its subject, in source order of each kind."""
        yield module
        yield from self.sdk_calls(module)
        for cls in module.classes:
            if cls in self.workflow_of:
                yield self.workflow_of[cls]
        for function in module.functions:
            yield function
            if function in self.activity_of:
                yield self.activity_of[function]
            yield from self.handlers_of.get(function, ())
        yield from module.classes
        yield from module.calls

    # ---- definitions -------------------------------------------------------------------------------------------

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
                        found.setdefault(symbol, Activity(symbol, None, direct=False))
        self._add_legacy_implementations(found)
        return found

    def _callable_class(self, cls: Class) -> Activity | None:
        """The activity that `@activity.defn` on a class makes of its `__call__`."""
        for decorator in cls.node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self.resolver.dotted(target, cls.outer) == "temporalio.activity.defn":
                method = self.resolver.class_member(cls, "__call__")
                if isinstance(method, Function):
                    return Activity(method, *self._definition_name(decorator, cls.outer, cls.name))
        return None

    @cached_property
    def handed_definitions(self) -> frozenset[Function] | None:
        """Functions that a call may define as activities: `register(function)`, where `register` applies
        `activity.defn` to its parameter. None where `activity.defn` is applied to what cannot be told."""
        defn = "temporalio.activity.defn"
        calls = [call for module in self.modules.values() for call in module.calls]
        appliers: set[Function] = set()
        for call in calls:
            if any(self.resolver.dotted(each, call.scope) == defn for each in call.node.args):
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
        return self.resolver.dotted(inner, call.scope) == "temporalio.activity.defn"

    def _activity(self, function: Function) -> Activity | None:
        for decorator in function.node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            symbol = self.resolver.resolve(target, function.outer)
            if isinstance(symbol, External):
                if symbol.dotted == "temporalio.activity.defn":
                    name, dynamic = self._definition_name(decorator, function.outer, function.name)
                    return Activity(function, name, dynamic)
                if symbol.dotted.endswith(_LEGACY_ACTIVITY) and symbol.dotted.startswith("temporal."):
                    owner = function.cls.name if function.cls else ""
                    return Activity(function, f"{owner}::{function.name}", legacy=True)
                if symbol.dotted in self.settings.activity_decorators:
                    return Activity(function, None, direct=False)
            elif isinstance(symbol, Function):
                if symbol.label in self.settings.activity_decorators or self._applies(
                    symbol, "temporalio.activity.defn"
                ):
                    return Activity(function, None, direct=False)
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

    def _applies(self, decorator: Function, dotted: str) -> bool:
        """Whether the body of a project decorator mentions the SDK's decorator: then it may apply it."""
        key = (decorator, dotted)
        if key not in self._applied:
            last = dotted.rpartition(".")[2]
            self._applied[key] = False
            for node in ast.walk(decorator.node):
                if (
                    isinstance(node, (ast.Name, ast.Attribute))
                    and (node.id if isinstance(node, ast.Name) else node.attr) == last
                ):
                    if self.resolver.dotted(node, self._scope_at(decorator.module, node, decorator.scope)) == dotted:
                        self._applied[key] = True
                        break
        return self._applied[key]

    @cached_property
    def _applied(self) -> dict[tuple[Function, str], bool]:
        return {}

    @staticmethod
    def _scope_at(module: Module, node: ast.AST, default: Scope) -> Scope:
        return next((module.scopes[each] for each in module.ancestors(node) if each in module.scopes), default)

    def _add_legacy_implementations(self, found: dict[Function, Activity]) -> None:
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
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            symbol = self.resolver.resolve(target, cls.outer)
            dotted = (
                symbol.dotted if isinstance(symbol, External) else symbol.label if isinstance(symbol, Function) else ""
            )
            if dotted == "temporalio.workflow.defn":
                name, _ = self._definition_name(decorator, cls.outer, cls.name)
                return self._with_handlers(Workflow(cls, name))
            applied = isinstance(symbol, Function) and self._applies(symbol, "temporalio.workflow.defn")
            if applied or dotted in self.settings.workflow_decorators:
                return self._with_handlers(Workflow(cls, None))
        for each in self.resolver.ancestors(cls)[0]:
            for method in each.methods.values():
                if any(self._legacy(decorator, each.scope) for decorator in method.node.decorator_list):
                    return Workflow(cls, None, legacy=True)
        return None

    def _legacy(self, decorator: ast.expr, scope: Scope) -> bool:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
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
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(target, ast.Attribute) and target.attr == "validator" and isinstance(target.value, ast.Name):
                update = self.resolver.resolve(target.value, method.outer)
                if isinstance(update, Function):
                    return Handler("validator", method, None)
            symbol = self.resolver.resolve(target, method.outer)
            if isinstance(symbol, External):
                kinds: dict[str, HandlerKind] = {
                    f"temporalio.workflow.{kind}": kind for kind in ("run", "signal", "query", "update", "init")
                }
                kind = kinds.get(symbol.dotted)
                if kind is not None:
                    name, dynamic = self._definition_name(decorator, method.outer, method.name)
                    return Handler(kind, method, name, dynamic)
                if symbol.dotted in self.settings.run_decorators:
                    return Handler("run", method, None)
            elif isinstance(symbol, Function):
                if symbol.label in self.settings.run_decorators or self._applies(symbol, "temporalio.workflow.run"):
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
            if not isinstance(symbol, Variable) or len(symbol.bindings) != 1:
                break
            binding = symbol.bindings[0]
            if binding.kind != "assign" or binding.value is None or binding.entered or self.values.is_mutated(binding):
                break
            bound = Bound(binding.value, binding.scope, False)
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

    # ---- calls of the SDK --------------------------------------------------------------------------------------

    def sdk_calls(self, module: Module) -> list[SdkCall]:
        """The API calls of a module, those made through the project's wrappers included."""
        found = self._sdk_calls.get(module.name)
        if found is None:
            found = [each for call in module.calls for each in self.expand(call)]
            self._sdk_calls[module.name] = found
        return found

    def made_by(self, bound: Bound) -> SdkCall | None:
        """The call of the SDK that gives a value (`RetryPolicy(...)`), followed through names; None of anything else."""
        made = self.followed(bound)
        if not isinstance(made.expression, ast.Call):
            return None
        calls = self.expand(Call(made.expression, made.scope, made.scope.module, made.scope.function))
        return calls[0] if calls and not calls[0].via else None

    def expand(self, call: Call) -> list[SdkCall]:
        """The API calls that a call makes: itself, or those behind the project's wrapper that it calls."""
        symbol = self.resolver.resolve(call.node.func, call.scope)
        name = symbol.dotted if isinstance(symbol, External) else symbol.label if isinstance(symbol, Function) else ""
        if name in self._configured:
            return [self._configured_call(call, self._configured[name], symbol)]
        if isinstance(symbol, External):
            if symbol.dotted.startswith("temporalio."):
                direct = self._direct(call, symbol.dotted)
                return [direct] if direct is not None else []
            return []
        if isinstance(symbol, Function):
            if isinstance(call.node.func, ast.Attribute) and self._is_behind_stub(symbol):
                return [self._stub(call, symbol)]
            return [self._through(call, wrapper) for wrapper in self.wrappers(symbol)]
        return []

    @cached_property
    def _configured(self) -> dict[str, WrapperSettings]:
        return {each.call: each for each in self.settings.wrappers}

    def _configured_call(self, call: Call, wrapper: WrapperSettings, symbol: Symbol | None) -> SdkCall:
        """The activity call behind a wrapper that the configuration describes."""
        api = "temporalio.workflow.execute_activity"
        outer = self._bind(call, api, "activity", sdk.signature(api))
        names = [each.name for each in symbol.bound_parameters] if isinstance(symbol, Function) else []

        def taken(which: str | int) -> Bound | None:
            index = which if isinstance(which, int) else names.index(which) if which in names else None
            if index is not None and index < len(outer.positional):
                return outer.positional[index]
            return outer.keywords.pop(
                names[index] if isinstance(which, int) and which < len(names) else str(which), None
            )

        target = taken(wrapper.activity)
        if wrapper.args is None:
            first = wrapper.activity + 1 if isinstance(wrapper.activity, int) else 1
            payloads = list(outer.positional[first:])
        else:
            payloads = [bound for bound in map(taken, wrapper.args) if bound is not None]
        if payloads and "args" not in outer.keywords and all(each.scope is call.scope for each in payloads):
            outer.keywords["args"] = Bound(ast.List([each.expression for each in payloads], ast.Load()), call.scope)
        for option in wrapper.sets:
            # a name that resolves to nothing: given, of unknown value
            outer.keywords.setdefault(option, Bound(ast.Name(f"<{option}>", ast.Load()), call.scope, False))
        outer.positional = (target,) if target is not None else ()
        outer.open_positional = outer.open_positional or target is None
        outer.via = (symbol,) if isinstance(symbol, Function) else ()
        outer.configured = True
        return outer

    def _direct(self, call: Call, dotted: str) -> SdkCall | None:
        signature = sdk.signature(dotted)
        if signature is None or signature.kind == "property":
            return None
        return self._bind(call, dotted, _FAMILIES.get(dotted, "other"), signature)

    def _is_behind_stub(self, method: Function) -> bool:
        """Whether a method is a legacy interface's; its implementation has no decorator and is called as any method."""
        if method.cls is None or not method.node.decorator_list:
            return False
        activity = self.activity_of.get(method)
        is_activity = activity is not None and activity.legacy
        return is_activity or any(self._legacy(each, method.outer) for each in method.node.decorator_list)

    def _stub(self, call: Call, function: Function) -> SdkCall:
        bound = self._bind(call, "temporal.stub", "stub", None)
        bound.stub = function
        return bound

    def _bind(self, call: Call, dotted: str, family: Family, signature: sdk.Signature | None) -> SdkCall:
        positional: list[Bound] = []
        open_positional = False
        for each in call.node.args:
            if not isinstance(each, ast.Starred):
                positional.append(Bound(each, call.scope))
                continue
            inner = self.elements(Bound(each.value, call.scope))
            if inner is None:
                open_positional = True
                break
            positional.extend(inner)
        keywords: dict[str, Bound] = {}
        open_keywords = False
        for keyword in call.node.keywords:
            if keyword.arg is not None:
                keywords[keyword.arg] = Bound(keyword.value, call.scope)
                continue
            splat: Keys = self.values.keys(keyword.value, call.scope)
            for name, bound in splat.entries.items():
                keywords.setdefault(name, bound)
            open_keywords = open_keywords or not splat.complete
        return SdkCall(
            self, call, dotted, family, signature, tuple(positional), keywords, open_positional, open_keywords
        )

    def wrappers(self, function: Function) -> list[_Wrapper]:
        """The API calls in a function that are made with the function's own parameters as target or options."""
        known = self._wrappers.get(function)
        if known is not None:
            return known
        if function in self._wrapping:
            return []
        self._wrapping.add(function)
        try:
            found = [
                _Wrapper(function, inner)
                for call in function.calls
                for inner in self.expand(call)
                if inner.family in ("activity", "child", "start", "signal", "update", "query")
                and self._forwards(function, inner)
            ]
        finally:
            self._wrapping.discard(function)
        # what several calls do with one parameter cannot be told apart at the caller
        self._wrappers[function] = found if len(found) == 1 else []
        return self._wrappers[function]

    def _forwards(self, function: Function, inner: SdkCall) -> bool:
        if not self._is_plain(function):
            return False
        names = {each.name for each in function.bound_parameters}
        target = inner.target_bound
        return target is not None and isinstance(target.expression, ast.Name) and target.expression.id in names

    def through_helper(self, call: Call) -> list[SdkCall]:
        """The activity calls of a project function that fixes the activity and takes options, with what this caller gives.

        Unlike `expand`, which follows functions that take the activity itself.
        """
        symbol = self.resolver.resolve(call.node.func, call.scope)
        if not isinstance(symbol, Function) or not self._is_plain(symbol):
            return []
        if symbol not in self._helpers:
            names = {each.name for each in symbol.bound_parameters}
            self._helpers[symbol] = [
                _Wrapper(symbol, inner)
                for inside in symbol.calls
                for inner in self.expand(inside)
                if inner.family == "activity" and not self._forwards(symbol, inner) and _options_from(inner, names)
            ]
        return [self._through(call, wrapper) for wrapper in self._helpers[symbol]]

    @cached_property
    def _helpers(self) -> dict[Function, list[_Wrapper]]:
        return {}

    def _is_plain(self, function: Function) -> bool:
        """Whether only the project's own code calls a function."""
        return function not in self.activity_of and function not in self.handlers_of

    def _through(self, call: Call, wrapper: _Wrapper) -> SdkCall:
        """The inner call of a wrapper with the caller's arguments in the place of the wrapper's parameters."""
        outer = self._bind(call, "", "other", None)
        given, rest_positional, rest_keywords = self._fill(wrapper.function, outer)
        inner = wrapper.inner
        positional: list[Bound] = []
        keywords: dict[str, Bound] = {}
        open_positional, open_keywords = outer.open_positional, inner.open_keywords
        for bound in inner.positional:
            positional.append(self._substitute(bound, wrapper.function, given))
        for name, bound in inner.keywords.items():
            keywords[name] = self._substitute(bound, wrapper.function, given)
        own = wrapper.function.scope.bindings
        # a variadic that the wrapper binds anew no longer holds what the caller gave
        kinds = {each.kind: each.name for each in wrapper.function.parameters if len(own[each.name]) == 1}
        splats = [each.value for each in inner.node.keywords if each.arg is None]
        if "var-keyword" in kinds and any(
            isinstance(each, ast.Name) and each.id == kinds["var-keyword"] for each in splats
        ):
            if _uses(wrapper.function, kinds["var-keyword"]) == 1:
                keywords = {**rest_keywords, **keywords}
                open_keywords = outer.open_keywords if len(splats) == 1 else True
            else:
                # the wrapper may take keywords out or add its own
                open_keywords = True
        elif rest_keywords:
            open_keywords = True
        open_keywords = open_keywords or outer.open_keywords
        if inner.open_positional:
            stars = [each.value for each in inner.node.args if isinstance(each, ast.Starred)]
            if len(stars) == 1 and isinstance(stars[0], ast.Name) and stars[0].id == kinds.get("var-positional"):
                positional.extend(rest_positional)
            else:
                open_positional = True
        args = keywords.get("args")
        variadic = kinds.get("var-positional")
        if args is not None and variadic and self._is_rest(args.expression, variadic) and not open_positional:
            elements: list[ast.expr] = [each.expression for each in rest_positional]
            if all(each.scope is call.scope for each in rest_positional):
                display = ast.List(elements, ast.Load())
                keywords["args"] = Bound(display, call.scope, True)
        return SdkCall(
            self, call, inner.api, inner.family, inner.signature, tuple(positional), keywords, open_positional, open_keywords,
            (wrapper.function, *inner.via), inner=inner,
        )  # fmt: skip

    @staticmethod
    def _is_rest(expression: ast.expr, variadic: str) -> bool:
        if (
            isinstance(expression, ast.Call)
            and len(expression.args) == 1
            and dotted_name(expression.func) in ("list", "tuple")
        ):
            expression = expression.args[0]
        if (
            isinstance(expression, (ast.List, ast.Tuple))
            and len(expression.elts) == 1
            and isinstance(expression.elts[0], ast.Starred)
        ):
            expression = expression.elts[0].value
        return isinstance(expression, ast.Name) and expression.id == variadic

    @staticmethod
    def _fill(function: Function, outer: SdkCall) -> tuple[dict[str, Bound], list[Bound], dict[str, Bound]]:
        """The caller's arguments by the wrapper's parameter, and what its `*args` and `**kwargs` collect."""
        given: dict[str, Bound] = {}
        slots = [each for each in function.bound_parameters if each.kind in ("positional", "positional-only")]
        for parameter, bound in zip(slots, outer.positional, strict=False):
            given[parameter.name] = bound
        named = {each.name: each for each in function.bound_parameters if each.kind in ("positional", "keyword-only")}
        rest = {name: bound for name, bound in outer.keywords.items() if name not in named}
        given.update({name: bound for name, bound in outer.keywords.items() if name in named})
        for parameter in function.bound_parameters:
            if parameter.default is not None and parameter.name not in given and not outer.open_keywords:
                given[parameter.name] = Bound(parameter.default, function.outer, False)
        return given, list(outer.positional[len(slots) :]), rest

    def _substitute(self, bound: Bound, function: Function, given: dict[str, Bound]) -> Bound:
        expression = bound.expression
        if isinstance(expression, ast.Name) and bound.scope is function.scope and expression.id in given:
            bindings = function.scope.bindings.get(expression.id, [])
            # only a parameter that the wrapper never rebinds is what the caller gave
            if len(bindings) == 1 and bindings[0].kind == "parameter":
                return given[expression.id]
        return Bound(expression, bound.scope, False)

    # ---- who runs where ----------------------------------------------------------------------------------------

    def callees(self, function: Function) -> list[Step]:
        """The project's functions that a function calls, constructs or passes on, in source order."""
        known = self._callees.get(function)
        if known is None:
            known = []
            for call in function.calls:
                for callee in self._called(call):
                    known.append(Step(function, call, callee))
            self._callees[function] = known
        return known

    @cached_property
    def _callees(self) -> dict[Function, list[Step]]:
        return {}

    def _called(self, call: Call) -> Iterator[Function]:
        for expression in (call.node.func, *call.node.args, *(each.value for each in call.node.keywords)):
            symbol: Symbol | None = self.resolver.resolve(expression, call.scope)
            if isinstance(symbol, Class) and expression is call.node.func:
                symbol = self.resolver.class_member(symbol, "__init__")
            if isinstance(symbol, Function):
                yield symbol
                yield from self.overrides(symbol)

    def overrides(self, method: Function) -> list[Function]:
        """The methods of project subclasses that stand in for an abstract method."""
        if method.cls is None or not _is_abstract(method):
            return []
        return [
            cls.methods[method.name]
            for cls in self.subclasses.get(method.cls, ())
            if method.name in cls.methods and cls.methods[method.name] is not method
        ]

    @cached_property
    def subclasses(self) -> dict[Class, list[Class]]:
        """The project's classes below a class, at any depth."""
        found: dict[Class, list[Class]] = {}
        for module in self.modules.values():
            for cls in module.classes:
                for base in self.resolver.ancestors(cls)[0][1:]:
                    found.setdefault(base, []).append(cls)
        return found

    @cached_property
    def activity_code(self) -> dict[Function, tuple[Step, ...]]:
        """Every function that activity code reaches, with the shortest chain from an activity to it."""
        roots = [each.function for each in self.activity_of.values() if not is_test_path(each.function.module)]
        return self._reach(roots, stop=set())

    @cached_property
    def workflow_code(self) -> dict[Function, tuple[Step, ...]]:
        """Every function that workflow code reaches, activities excluded, with the shortest chain to it."""
        roots: list[Function] = []
        for workflow in self.workflow_of.values():
            for cls in self.resolver.ancestors(workflow.cls)[0]:
                roots.extend(cls.methods.values())
        return self._reach(roots, stop=set(self.activity_of))

    def _reach(self, roots: Iterable[Function], stop: set[Function]) -> dict[Function, tuple[Step, ...]]:
        reached: dict[Function, tuple[Step, ...]] = {root: () for root in roots if root not in stop}
        queue = list(reached)
        for function in queue:
            for step in self.callees(function):
                if step.callee not in reached and step.callee not in stop:
                    reached[step.callee] = (*reached[function], step)
                    queue.append(step.callee)
        return reached


def _uses(function: Function, name: str) -> int:
    """How often the body of a function names one of its parameters."""
    return sum(isinstance(node, ast.Name) and node.id == name for each in function.node.body for node in ast.walk(each))


def _options_from(call: SdkCall, names: set[str]) -> bool:
    """Whether an option of a call is one of these names."""
    options = (bound.expression for name, bound in call.keywords.items() if name not in ("arg", "args"))
    return any(isinstance(each, ast.Name) and each.id in names for each in options)


def _nearest(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` is spelt like: nearly the same letters, or its last word (`timeout`)."""
    # below four letters every name is near another
    known = [each for each in options if len(each) > 3]
    if len(name) > 4:
        ending = [each for each in known if each.endswith(f"_{name}")]
        if ending:
            return "start_to_close_timeout" if "start_to_close_timeout" in ending else ending[0]
    return next(iter(difflib.get_close_matches(name, known, 1, 0.75)), None)


@cache
def _option_names() -> frozenset[str]:
    """Names that no payload would have: options of the calls above and of RetryPolicy, where they have two words."""
    found = (sdk.signature(api) for api in (*_FAMILIES, "temporalio.common.RetryPolicy"))
    return frozenset(name for each in found if each is not None for name in each.keywords if "_" in name)


def tolerates(module: Module, node: ast.AST, *errors: str) -> bool:
    """Whether one of these errors (bare names) at `node` is expected: `try`, `pytest.raises`, `assertRaises`, `suppress`.

    A handler must name the error itself; a `with` may also name Exception or BaseException.
    """
    inner = node
    for outer in module.ancestors(node):
        if isinstance(outer, ast.Try) and inner in outer.body:
            if any(_last_names(handler.type) & {*errors} for handler in outer.handlers if handler.type is not None):
                return True
        elif isinstance(outer, (ast.With, ast.AsyncWith)) and inner in outer.body:
            if any(_expects(item.context_expr, {*errors, "Exception", "BaseException"}) for item in outer.items):
                return True
        inner = outer
    return False


def _expects(manager: ast.expr, errors: set[str]) -> bool:
    if not isinstance(manager, ast.Call) or not manager.args:
        return False
    name = (dotted_name(manager.func) or "").rpartition(".")[2]
    expected = set().union(*(_last_names(each) for each in manager.args))
    return name in ("raises", "assertRaises", "assertRaisesRegex", "suppress") and bool(expected & errors)


def _last_names(expression: ast.expr) -> set[str]:
    """The last part of each dotted name of an `except` clause or a tuple of classes."""
    parts = expression.elts if isinstance(expression, ast.Tuple) else [expression]
    return {(dotted_name(each) or "").rpartition(".")[2] for each in parts}


def is_test_path(module: Module) -> bool:
    """Whether a module belongs to a test suite, by the names pytest and unittest use."""
    path = module.source.path
    return (
        path.name == "conftest.py"
        or path.name.startswith("test_")
        or path.stem.endswith("_test")
        or any(part in ("tests", "test") for part in module.name.split("."))
    )


def _is_abstract(method: Function) -> bool:
    body = [
        each for each in method.node.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]
    return all(isinstance(each, (ast.Pass, ast.Raise)) for each in body)


def in_order(nodes: Iterable[ast.AST]) -> list[ast.AST]:
    """Nodes by their place in the file."""
    return sorted(nodes, key=ordinal)
