"""Functions whose parameters and results are payloads: activities, workflows and their handlers."""

from __future__ import annotations

from dataclasses import dataclass

from temporal_lint.converters import Converters
from temporal_lint.facts import Function, Parameter, decorator_target
from temporal_lint.project import Project
from temporal_lint.serial import Serial

_HANGS = "the workflow task fails and is retried for ever"
# What comes of a message to a workflow whose arguments the handler cannot get.
UNDELIVERED = {
    "signal": "the signal is dropped with a line in the worker's log",
    "query": "the query fails",
    "update": "the update is rejected",
}
# The legacy SDK's decorators, by the end of their dotted name.
_LEGACY = ("activity_method", "workflow_method", "signal_method", "query_method")


@dataclass(frozen=True)
class Contract:
    """What a function takes and gives as payloads.

    `label` names it in a sentence; `returns` is whether its result is sent; `failure` says what comes of a result that
    cannot be encoded, `undelivered` of arguments that cannot arrive; `serial` judges under the converter that applies.
    """

    label: str
    parameters: tuple[Parameter, ...]
    returns: bool
    failure: str
    undelivered: str
    serial: Serial


def contract(function: Function, project: Project) -> Contract | None:
    """The contract of a function; None where Temporal calls it with no payloads of its own."""
    legacy = _legacy(function, project)
    converter = "json" if legacy else Converters.of(project).converter(function.module)
    serial = Serial(project, converter)
    parameters = function.bound_parameters
    activity = project.activity_of.get(function)
    if activity is not None and not activity.dynamic and legacy == activity.legacy:
        failure = "the attempt fails after its work is done, and the retry does it again"
        undelivered = "every attempt fails before the first line runs"
        return Contract(f"the activity `{_name(function)}`", parameters, True, failure, undelivered, serial)
    if legacy and activity is None:
        return Contract(f"the workflow method `{_name(function)}`", parameters, True, _HANGS, _HANGS, serial)
    handlers = project.handlers_of.get(function, [])
    if not handlers or handlers[0].dynamic or handlers[0].kind == "validator":
        return None
    kind = handlers[0].kind
    workflow = handlers[0].workflow
    if kind in ("run", "init") and workflow is not None and workflow.name is None:
        # a dynamic workflow takes raw values; of a computed name nothing is certain
        return None
    owner = function.cls.name if function.cls is not None else function.name
    label = f"the workflow `{owner}`" if kind in ("run", "init") else f"the {kind} `{_name(function)}`"
    failure = _HANGS if kind == "run" else "the caller gets an error"
    undelivered = UNDELIVERED.get(kind, _HANGS)
    return Contract(label, parameters, kind in ("run", "query", "update"), failure, undelivered, serial)


def _name(function: Function) -> str:
    if function.name == "__call__" and function.cls is not None:
        return function.cls.name
    return function.name


def _legacy(function: Function, project: Project) -> bool:
    for decorator in function.node.decorator_list:
        dotted = project.resolver.dotted(decorator_target(decorator), function.outer) or ""
        if dotted.startswith("temporal.") and dotted.endswith(_LEGACY):
            return True
    return False
