"""Which data converter a project gives its payloads to, and what each call sends through it.

A project names its converter where it connects a client. The answer here is per module: modules that import a client's
module, and what those import, use that client's converter, so that one repository may hold several applications.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from temporal_lint.facts import Class, Function, Module, Parameter, Scope
from temporal_lint.project import Project, SdkCall
from temporal_lint.resolve import External, Variable
from temporal_lint.values import Bound

# "either": default or pydantic, or one extended by a plugin, so that only what both refuse is refused;
# "json": the legacy SDK's plain json.JSONEncoder; "custom": the project's own, which may carry anything.
Converter = Literal["default", "pydantic", "either", "json", "custom"]

_OPTION = "data_converter"
_CLIENTS = frozenset(
    f"temporalio.{name}"
    for name in (
        "client.Client",
        "client.Client.connect",
        "testing.WorkflowEnvironment.start_local",
        "testing.WorkflowEnvironment.start_time_skipping",
        "worker.Replayer",
    )
)
_KNOWN: dict[str, Converter] = {
    "temporalio.converter.DataConverter.default": "default",
    "temporalio.converter.DefaultPayloadConverter": "default",
    "temporalio.converter.default": "default",
    "temporalio.contrib.pydantic.pydantic_data_converter": "pydantic",
    "temporalio.contrib.pydantic.PydanticPayloadConverter": "pydantic",
}
# Modules that set the pydantic converter, or an heir of it, by a plugin.
_PYDANTIC_MODULES = (
    "temporalio.contrib.pydantic",
    "temporalio.contrib.openai_agents",
    "temporalio.contrib.google_adk_agents",
    "temporalio.openai_agents",
    "pydantic_ai.durable_exec.temporal",
)
# Parts of a DataConverter that change neither what is refused nor how it is written.
_NEUTRAL = frozenset(["payload_codec", "failure_converter_class", "payload_limits", "external_storage"])


@dataclass(frozen=True)
class Sent:
    """A value that a call sends: `label` names it in messages, `parameter` receives it where that is certain."""

    label: str
    bound: Bound
    parameter: Parameter | None = None


class Converters:
    """The data converters of a project; `of(project)` makes one for each project and keeps it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._answers: dict[Module, Converter] = {}
        self._reach: dict[Module, frozenset[Module]] = {}

    @classmethod
    def of(cls, project: Project) -> Converters:
        """The converters of `project`."""
        return project.kept(cls)

    def converter(self, module: Module) -> Converter:
        """The converter of the payloads that code in `module` sends and receives."""
        found = self._answers.get(module)
        if found is None:
            found = self._answers[module] = self._converter(module)
        return found

    def has_part(self, name: str, module: Module) -> bool:
        """Whether the payloads of `module` may go through a part `name` (`payload_codec`, `external_storage`)."""
        holders = self._parts.get(name, ())
        if any(module in self._reached(each) for each in holders):
            return True
        # what no client is seen to use may belong to any of them
        return bool(holders) and module not in self._near

    def _converter(self, module: Module) -> Converter:
        def counts(place: _Place) -> bool:
            return module.is_test or not place.module.is_test

        near = [place for place in self._near.get(module, ()) if counts(place)]
        if near:
            return _joined(place.converter for place in near)
        choices = {place.converter for place in self._places if place.named and counts(place)}
        if self._mentions_pydantic:
            choices.add("either")
        return _joined(choices or {"default"})

    @cached_property
    def _places(self) -> list[_Place]:
        """Where clients are made, and where a converter is named; a client that names none has the default one."""
        found: list[_Place] = []
        for module in self.project.modules.values():
            if _OPTION in module.source.text:
                found.extend(_Place(module, each, True) for each in self._named(module))
            for call in self.project.sdk_calls(module):
                if call.api in _CLIENTS and not call.via:
                    if call.option("plugins") is not None:
                        found.append(_Place(module, "either", True))
                    elif call.option(_OPTION) is None:
                        found.append(_Place(module, "default", False))
        return found

    def _named(self, module: Module) -> Iterator[Converter]:
        for call in module.calls:
            for keyword in call.node.keywords:
                if keyword.arg == _OPTION:
                    yield from self._classified(keyword.value, call.scope, 0)
        for node, parent in module.parents.items():
            if isinstance(node, ast.Constant) and node.value == _OPTION:
                yield from self._stored(module, node, parent)

    def _stored(self, module: Module, key: ast.Constant, parent: ast.AST) -> Iterator[Converter]:
        """`{"data_converter": value}` and `options["data_converter"] = value`."""
        scope = next((module.scopes[each] for each in module.ancestors(key) if each in module.scopes), module.scope)
        if isinstance(parent, ast.Dict):
            for name, value in zip(parent.keys, parent.values, strict=True):
                if name is key:
                    yield from self._classified(value, scope, 0)
        elif isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store):
            statement = module.statement(parent)
            if isinstance(statement, ast.Assign):
                yield from self._classified(statement.value, scope, 0)
        elif isinstance(parent, ast.Call):
            yield "custom"

    def _classified(self, expression: ast.expr, scope: Scope, depth: int) -> Iterator[Converter]:
        """The converter that an expression stands for; nothing where it only hands on what a caller gave."""
        bound = self.project.followed(Bound(expression, scope))
        expression, scope = bound.expression, bound.scope
        if isinstance(expression, ast.Constant):
            yield "default" if expression.value is None else "custom"
            return
        if isinstance(expression, ast.IfExp) and depth < 8:
            yield from self._classified(expression.body, scope, depth + 1)
            yield from self._classified(expression.orelse, scope, depth + 1)
            return
        symbol = self.project.resolver.resolve(expression, scope)
        if isinstance(symbol, External):
            yield _KNOWN.get(symbol.dotted, "custom")
        elif isinstance(symbol, Variable) and all(each.kind == "parameter" for each in symbol.bindings):
            for each in symbol.bindings:
                if each.value is not None and depth < 8:
                    yield from self._classified(each.value, scope, depth + 1)
        elif isinstance(expression, (ast.Attribute, ast.Subscript)) and not isinstance(symbol, Class):
            # `client.data_converter`, `config["data_converter"]`: named elsewhere
            return
        elif isinstance(expression, ast.Call):
            yield from self._built(expression, scope, depth)
        else:
            yield "custom"

    def _built(self, call: ast.Call, scope: Scope, depth: int) -> Iterator[Converter]:
        symbol = self.project.resolver.resolve(call.func, scope)
        dotted = symbol.dotted if isinstance(symbol, External) else ""
        given = {each.arg: each.value for each in call.keywords}
        if isinstance(symbol, Function) and len(symbol.returned) == 1 and symbol.returned[0] is not None and depth < 8:
            yield from self._classified(symbol.returned[0], symbol.scope, depth + 1)
        elif dotted in _KNOWN:
            yield _KNOWN[dotted]
        elif dotted in ("dataclasses.replace", "temporalio.converter.DataConverter") and depth < 8:
            own = given.pop("payload_converter_class", None)
            if None in given or not given.keys() <= _NEUTRAL:
                yield "custom"
            elif own is not None:
                yield from self._classified(own, scope, depth + 1)
            elif dotted == "dataclasses.replace" and call.args:
                yield from self._classified(call.args[0], scope, depth + 1)
            else:
                yield "custom" if call.args else "default"
        else:
            yield "custom"

    @cached_property
    def _parts(self) -> dict[str, set[Module]]:
        """The modules that make a converter with a part, by the name of the part."""
        found: dict[str, set[Module]] = {}
        for module in self.project.modules.values():
            for call in module.calls:
                for keyword in call.node.keywords:
                    if keyword.arg in _NEUTRAL:
                        found.setdefault(keyword.arg, set()).add(module)
        return found

    @cached_property
    def _mentions_pydantic(self) -> bool:
        sources = {each.source for module in self.project.modules.values() for each in module.imports}
        return any(source == name or source.startswith(f"{name}.") for source in sources for name in _PYDANTIC_MODULES)

    # ---- which modules a client's converter concerns ---------------------------------------------------------------

    def _reached(self, module: Module) -> frozenset[Module]:
        """The modules that import `module`, directly or not, and everything that those import."""
        found = self._reach.get(module)
        if found is None:
            users = _closure([module], self._importers)
            found = self._reach[module] = frozenset(_closure(users, self._imported))
        return found

    @cached_property
    def _near(self) -> dict[Module, list[_Place]]:
        """The places that concern a module."""
        found: dict[Module, list[_Place]] = {}
        for place in self._places:
            for module in self._reached(place.module):
                found.setdefault(module, []).append(place)
        return found

    @cached_property
    def _imported(self) -> dict[Module, set[Module]]:
        found: dict[Module, set[Module]] = {}
        for module in self.project.modules.values():
            for name in {name for each in module.imports for name in (each.dotted, each.source)}:
                symbol = self.project.resolver.lookup(name, module)
                target = symbol if isinstance(symbol, Module) else getattr(symbol, "module", None)
                if isinstance(target, Module):
                    found.setdefault(module, set()).add(target)
        return found

    @cached_property
    def _importers(self) -> dict[Module, set[Module]]:
        found: dict[Module, set[Module]] = {}
        for module, targets in self._imported.items():
            if module.is_test:
                # a test suite imports all applications of a repository; that does not make them one
                continue
            for target in targets:
                found.setdefault(target, set()).add(module)
        return found


@dataclass(frozen=True)
class _Place:
    module: Module
    converter: Converter
    named: bool


def _joined(choices: Iterable[Converter]) -> Converter:
    """One converter for code that may meet several."""
    found = set(choices)
    if "custom" in found:
        return "custom"
    return found.pop() if len(found) == 1 else "either"


def _closure(start: Iterable[Module], edges: dict[Module, set[Module]]) -> set[Module]:
    found = set(start)
    queue = list(found)
    while queue:
        for each in edges.get(queue.pop(), ()):
            if each not in found:
                found.add(each)
                queue.append(each)
    return found


# ---- what a call sends -----------------------------------------------------------------------------------------------

_DETAILS = frozenset(["temporalio.client.AsyncActivityHandle.heartbeat"])
_RESULTS = frozenset(["temporalio.client.AsyncActivityHandle.complete"])
_STARTS = frozenset(["temporalio.client.ScheduleActionStartWorkflow", "temporalio.client.WithStartWorkflowOperation"])
_UPSERT = "temporalio.workflow.upsert_memo"


def sent(call: SdkCall) -> Iterator[Sent]:
    """The values that a call sends as payloads: arguments, heartbeat details, results and memo values.

    Of a call through the project's wrapper only what the caller itself gives.
    """
    for each in _sent(call):
        if call.is_own(each.bound):
            yield each


def _sent(call: SdkCall) -> Iterator[Sent]:
    parameters = call.payload_parameters()
    if parameters or call.family in ("heartbeat", "stub"):
        for index, (bound, parameter) in enumerate(parameters):
            yield Sent(_label(call, index, len(parameters), parameter), bound, parameter)
    elif call.api in _DETAILS or call.api in _RESULTS:
        what = "The details" if call.api in _DETAILS else "The result"
        yield from (Sent(what, bound) for bound in call.positional)
    elif call.family != "other" or call.api in _STARTS:
        yield from _arguments(call)
    for option in ("memo", "updates") if call.api == _UPSERT else ("memo",):
        memo = call.option(option)
        if memo is not None:
            entries = call.project.values.keys(memo.expression, memo.scope).entries
            display = isinstance(memo.expression, ast.Dict) and memo.here
            for name, bound in entries.items():
                yield Sent(f"The memo `{name}`", Bound(bound.expression, bound.scope, display))


def _arguments(call: SdkCall) -> Iterator[Sent]:
    """Arguments of a call that does not tell all of them: what stands in `args=[...]` beside a splat, or `arg`."""
    args = call.option("args")
    if args is not None:
        display = call.project.followed(args)
        if isinstance(display.expression, (ast.List, ast.Tuple)):
            for each in display.expression.elts:
                if not isinstance(each, ast.Starred):
                    yield Sent("An argument", Bound(each, display.scope, display.here))
        return
    single = call.option("arg")
    if single is not None:
        yield Sent("The argument", single)


def _label(call: SdkCall, index: int, count: int, parameter: Parameter | None) -> str:
    if call.family == "heartbeat":
        return "The heartbeat detail"
    if parameter is not None:
        return f"The argument for `{parameter.name}`"
    return "The argument" if count == 1 else f"Argument {index + 1}"
