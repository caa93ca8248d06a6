"""Containers that statements build: one that is put into itself, and one that a loop wraps again and again.

JSON knows neither: the encoder refuses a cycle, and a nesting deeper than its stack.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from temporal_lint.facts import FUNCTIONS, Module, Scope, children, ordinal
from temporal_lint.resolve import Variable, runs_before

_DISPLAYS = (ast.List, ast.Tuple, ast.Dict, ast.Set)
# methods that only add
_ADD = frozenset(("append", "insert", "extend"))
# built-in functions that only look at a list or dict
_READING = frozenset(("len", "print", "repr", "str", "bool", "id", "isinstance", "type"))


@dataclass(frozen=True)
class Wrapping:
    """A value that is wrapped in one more container in each turn of a loop over `range(turns)`."""

    turns: ast.expr
    scope: Scope


def holds_itself(name: ast.Name, symbol: Variable) -> bool:
    """Whether the list or dict that `name` stands for is certain to have been put into itself before:
    `x.append(x)`, `x["self"] = x`."""
    binding = symbol.bindings[0]
    if symbol.assigned is None or not isinstance(symbol.assigned[0], (ast.List, ast.Dict)):
        return False
    module, uses = binding.scope.module, _uses(name.id, binding.scope)
    # an assignment of another value, whenever it runs, leaves open which of them is meant
    if name not in uses or sum(not isinstance(use.ctx, ast.Load) for use in uses) != 1:
        return False
    closed = False
    for use in uses:
        statement = module.statement(use)
        if _puts_into_itself(statement, name.id):
            closed = closed or runs_before(statement, name, module)
        elif use is not name and ordinal(use) < ordinal(name) and _may_take_out(use, module):
            return False
    return closed


def wrapping(name: ast.Name, symbol: Variable) -> Wrapping | None:
    """How often a loop wraps what `name` stands for: `for _ in range(n): x = [x]`; None where that is not certain."""
    if len(symbol.bindings) != 2:
        return None
    first, again = symbol.bindings
    module, loop = first.scope.module, first.scope.module.parents.get(again.node)
    if not (isinstance(again.node, ast.Assign) and isinstance(again.value, _DISPLAYS) and isinstance(loop, ast.For)):
        return None
    inner = [each for each in children(again.value) if isinstance(each, ast.Name) and each.id == name.id]
    jumps = (ast.Break, ast.Continue, ast.Return, ast.Raise)
    turns = _turns(loop)
    if (
        not inner
        or turns is None
        or again.node not in loop.body
        or any(isinstance(each, jumps) for each in ast.walk(loop))
        or not isinstance(first.node, ast.stmt)
        or not runs_before(first.node, loop.iter, module)
        or not runs_before(loop, name, module)
    ):
        return None
    return Wrapping(turns, first.scope)


def _turns(loop: ast.For) -> ast.expr | None:
    """`n` of `for ... in range(n)`."""
    call = loop.iter
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range":
        return call.args[0] if len(call.args) == 1 and not call.keywords else None
    return None


def _uses(name: str, scope: Scope) -> set[ast.Name]:
    """Where a scope's own code reads a name; empty where an inner function reads it too."""
    found: set[ast.Name] = set()
    waiting: list[ast.AST] = [scope.node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and node.id == name:
            found.add(node)
        if node is not scope.node and isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node)):
                return set()
            continue
        waiting.extend(children(node))
    return found


def _puts_into_itself(statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        method, values = call.func, call.args[-1:]
        target = method.value if isinstance(method, ast.Attribute) and method.attr in ("append", "insert") else None
    elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
        target, values = statement.targets[0].value, [statement.value]
    else:
        return False
    return all(isinstance(each, ast.Name) and each.id == name for each in (target, *values))


def _may_take_out(use: ast.Name, module: Module) -> bool:
    """Whether a use of a container may remove what it holds, at once or through another name: all but plain reads."""
    around = module.parents[use]
    if isinstance(around, ast.Attribute):
        return around.attr not in _ADD
    if isinstance(around, ast.Call):
        return not (isinstance(around.func, ast.Name) and around.func.id in _READING)
    is_test = isinstance(around, (ast.If, ast.While, ast.Assert)) or (
        isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.Not)
    )
    return not (is_test or isinstance(around, (ast.Compare, ast.FormattedValue)) or isinstance(use.ctx, ast.Store))
