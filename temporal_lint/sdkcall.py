"""One call of the SDK as the SDK will receive it: options, target, payloads."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal

from temporal_lint import sdk
from temporal_lint.facts import Call, Class, Function, Module, Parameter
from temporal_lint.values import Bound

if TYPE_CHECKING:
    from temporal_lint.calls import Calls

Family = Literal["activity", "child", "continue", "start", "signal", "query", "update", "heartbeat", "stub", "other"]

_ACTIVITY_APIS = frozenset(
    f"temporalio.workflow.{verb}_{local}activity{form}"
    for verb in ("execute", "start")
    for local in ("", "local_")
    for form in ("", "_class", "_method")
)
FAMILIES: dict[str, Family] = {
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

    project: Calls
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
        """The keywords that the API does not take, nor took in the project's release, those from resolved splats
        included."""
        signature, release = self.signature, self.project.sdk_release
        if signature is None:
            return ()
        return tuple(
            self._stray(name, bound, signature)
            for name, bound in self.keywords.items()
            if not signature.accepts_keyword(name) and not sdk.had(release, signature.dotted, name)
        )

    def _stray(self, name: str, bound: Bound, signature: sdk.Signature) -> Stray:
        nearest = _nearest(name, signature.keywords)
        function = self.function
        if function is not None and any(each.name == name for each in function.bound_parameters):
            return Stray(name, bound, False, nearest)
        is_option = nearest is not None or self.family not in _TARGETED or name in _option_names()
        return Stray(name, bound, is_option, nearest)

    def spelling(self, option: str) -> str:
        """How this caller writes an option: by the parameter of the wrapper it calls, or by the option's own name."""
        bound = self.inner.option(option) if self.inner is not None else None
        if bound is None or not isinstance(bound.expression, ast.Name):
            return option
        given = bound.expression.id
        return given if any(each.name == given for each in self.via[0].parameters) else option

    def place(self, bound: Bound) -> ast.expr:
        """The node that a finding about an argument points at: the argument, or the call where it stands elsewhere."""
        return bound.expression if bound.here else self.node

    def is_own(self, bound: Bound) -> bool:
        """Whether an argument is this caller's own; what a wrapper fills in is reported in the wrapper."""
        return bound.here or not self.via

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
    found = (sdk.signature(api) for api in (*FAMILIES, "temporalio.common.RetryPolicy"))
    return frozenset(name for each in found if each is not None for name in each.keywords if "_" in name)
