"""What a decorator does to the arguments and the result of the function under it."""

from __future__ import annotations

import ast
from collections.abc import Callable

from temporal_lint.facts import Call, Function, Scope, decorator_target
from temporal_lint.project import Project
from temporal_lint.resolve import label

# they hand back the function itself, or a descriptor of it
_TRANSPARENT = frozenset(
    [
        *(f"temporalio.workflow.{kind}" for kind in ("run", "signal", "query", "update", "init")),
        *(f"{typing}.{mark}" for typing in ("typing", "typing_extensions") for mark in ("override", "final")),
        *("temporalio.activity.defn", "builtins.staticmethod", "builtins.classmethod", "abc.abstractmethod"),
    ]
)


def is_transparent(decorator: ast.expr, scope: Scope, project: Project) -> bool:
    """Whether a decorator is of the SDK or the standard library and hands back the function as it is."""
    return project.resolver.dotted(decorator_target(decorator), scope) in _TRANSPARENT


def keeps_arguments(function: Function, project: Project) -> bool:
    """Whether every decorator of a function is known to hand the caller's arguments on unchanged."""
    return all(_keeps(each, function.outer, project, _forwards) for each in function.node.decorator_list)


def keeps_result(function: Function, project: Project) -> bool:
    """Whether every decorator of a function is known to hand its result back unchanged."""
    return all(_keeps(each, function.outer, project, _returns) for each in function.node.decorator_list)


def _keeps(decorator: ast.expr, scope: Scope, project: Project, holds: Callable[[Function, ast.Call], bool]) -> bool:
    """Whether a decorator only applies the SDK's own ones, or `holds` of each function and its call of what it was
    given."""
    if is_transparent(decorator, scope, project):
        return True
    target = decorator_target(decorator)
    if isinstance(target, ast.Attribute) and target.attr == "validator":
        return True
    symbol = project.resolver.resolve(target, scope)
    settings = project.settings
    declared = (*settings.activity_decorators, *settings.workflow_decorators, *settings.run_decorators)
    if label(symbol) in declared or label(symbol).startswith("temporal."):
        return True
    if not isinstance(symbol, Function):
        return False
    family = [each for each in symbol.module.functions if symbol.scope in each.scope.enclosing()]
    for each in family:
        given = [call for call in each.calls if _calls_parameter(call, family)]
        if given:
            if not all(holds(each, call.node) for call in given):
                return False
        elif not all(_gives_back(value, each, project) for value in each.returned):
            return False
    return True


def _returns(wrapper: Function, call: ast.Call) -> bool:
    """Whether a function returns nothing but what a call gives, awaited or not, at once or by a name."""
    for value in wrapper.returned:
        if isinstance(value, ast.Name):
            bindings = wrapper.scope.bindings.get(value.id, [])
            value = bindings[0].value if len(bindings) == 1 and bindings[0].kind == "assign" else None
        if (value.value if isinstance(value, ast.Await) else value) is not call:
            return False
    return bool(wrapper.returned)


def _calls_parameter(call: Call, family: list[Function]) -> bool:
    """Whether a call is one of what the decorator was given."""
    func = call.node.func
    holder = call.scope.holder(func.id) if isinstance(func, ast.Name) else None
    if holder is None or not isinstance(func, ast.Name) or holder.function not in family:
        return False
    return holder.bindings[func.id][0].kind == "parameter"


def _forwards(wrapper: Function, call: ast.Call) -> bool:
    """Whether a call passes exactly the parameters of its function, in their order, none of them rebound."""
    passed = [f"*{_name(each.value)}" if isinstance(each, ast.Starred) else _name(each) for each in call.args]
    for keyword in call.keywords:
        passed.append(f"{keyword.arg}={_name(keyword.value)}" if keyword.arg else f"**{_name(keyword.value)}")
    marks = {"var-positional": "*{}", "var-keyword": "**{}", "keyword-only": "{0}={0}"}
    taken = [marks.get(each.kind, "{}").format(each.name) for each in wrapper.parameters]
    return passed == taken and all(len(wrapper.scope.bindings[each.name]) == 1 for each in wrapper.parameters)


def _name(expression: ast.expr) -> str:
    return expression.id if isinstance(expression, ast.Name) else ""


def _gives_back(value: ast.expr | None, function: Function, project: Project) -> bool:
    """Whether a decorator returns what it was given, a function of its own, or what `activity.defn` makes of one."""
    if isinstance(value, ast.Call):
        inner = value.func.func if isinstance(value.func, ast.Call) else value.func
        if len(value.args) != 1 or project.resolver.dotted(inner, function.scope) not in _TRANSPARENT:
            return False
        value = value.args[0]
    if not isinstance(value, ast.Name):
        return False
    holder = function.scope.holder(value.id)
    return holder is not None and holder.bindings[value.id][0].kind in ("parameter", "function")
