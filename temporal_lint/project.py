"""All facts joined: definitions, calls, and who runs where. What rules ask, and the classes they are called with."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from temporal_lint.calls import Calls
from temporal_lint.definitions import Activity, Handler, Workflow
from temporal_lint.expected import tolerates
from temporal_lint.facts import Call, Class, Function, Module
from temporal_lint.resolve import Symbol
from temporal_lint.rule import Link
from temporal_lint.sdkcall import Family, SdkCall, Stray

if TYPE_CHECKING:
    pass

T = TypeVar("T")

__all__ = [
    "Activity", "Family", "Handler", "Project", "SdkCall", "Step", "Stray", "Workflow", "links", "tolerates",
]  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One link of a chain: `caller` reaches `callee` by `call` (None: by passing it on as a value)."""

    caller: Function
    call: Call
    callee: Function


class Project(Calls):
    """The whole project: Definitions, the Calls between them, and which code runs in a workflow or an activity."""

    @cached_property
    def _callees(self) -> dict[Function, list[Step]]:
        return {}

    @cached_property
    def _kept(self) -> dict[Callable[[Project], Any], Any]:
        return {}

    def kept(self, make: Callable[[Project], T]) -> T:
        """What `make` makes of this project, made once: facts of a layer above this one, such as its converters."""
        if make not in self._kept:
            self._kept[make] = make(self)
        found: T = self._kept[make]
        return found

    @cached_property
    def is_sdk(self) -> bool:
        """Whether the project holds the SDK itself: then its own modules, not our tables, say what exists."""
        return any(name == "temporalio" or name.startswith("temporalio.") for name in self.modules)

    @cached_property
    def decoded_by_annotation(self) -> frozenset[Function]:
        """Functions whose result some caller of the project decodes to their return annotation: it names them by
        reference, and no `result_type`."""
        return frozenset(
            call.function
            for module in self.modules.values()
            for call in self.sdk_calls(module)
            if call.function is not None and not isinstance(call.target, str) and call.is_absent("result_type")
        )

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
            for cls in self.resolver.heirs(method.cls)
            if method.name in cls.methods and cls.methods[method.name] is not method
        ]

    @cached_property
    def activity_code(self) -> dict[Function, tuple[Step, ...]]:
        """Every function that activity code reaches, with the shortest chain from an activity to it."""
        roots = [each.function for each in self.activity_of.values() if not each.function.module.is_test]
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


def links(steps: Iterable[Step], function: Function, node: ast.AST) -> tuple[Link, ...]:
    """The chain of a finding at `node` of `function`, which `steps` lead to."""
    before = (Link(step.caller.label, step.caller.module, step.call.node) for step in steps)
    return (*before, Link(function.label, function.module, node))


def _is_abstract(method: Function) -> bool:
    body = [
        each for each in method.node.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]
    return all(isinstance(each, (ast.Pass, ast.Raise)) for each in body)
