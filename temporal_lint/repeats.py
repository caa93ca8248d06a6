"""What makes an INSERT safe to repeat though its own text does not: a handler of duplicates around it, a condition that
the database answered, an activity that is tried once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from temporal_lint.facts import Call, Function, Scope, children, decorator_target, last_name, ordinal
from temporal_lint.project import Project, Step
from temporal_lint.queries import Queries
from temporal_lint.resolve import Variable, runs_before
from temporal_lint.values import UNKNOWN, Bound

_DUPLICATE = re.compile(r"Unique|Integrity|Duplicate|Conflict|AlreadyExists")
# What a handler of all database errors looks at: SQLSTATE class 23 of PostgreSQL, error 1062 of MySQL, the texts.
_LOOKED_AT = re.compile(r"23505|sqlstate|pgcode|1062|duplicate|unique", re.IGNORECASE)
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def is_repeatable(call: Call, chain: tuple[Step, ...], project: Project) -> bool:
    """Whether running the statement of `call` once more does no harm, by what stands around it and around the calls of
    the chain that leads there."""
    calls = (*(step.call for step in chain), call)
    queries = Queries.of(project)
    return any(
        _handles_duplicates(each, project) or _is_conditional(each, queries) or _is_rolled_back(each) for each in calls
    ) or is_tried_once(calls[0].function, project)


def _handles_duplicates(call: Call, project: Project) -> bool:
    """Whether a `try`, a `with` or a decorator around a call handles a duplicate key."""
    inner: ast.AST = call.node
    for outer in call.module.ancestors(call.node):
        handlers = outer.handlers if isinstance(outer, ast.Try) and inner in outer.body else []
        managers = outer.items if isinstance(outer, (ast.With, ast.AsyncWith)) else []
        if any(_is_of_duplicates(each, call.scope, project) for each in handlers):
            return True
        if any(_suppresses(each.context_expr, call.scope, project) for each in managers):
            return True
        inner = outer
    function = call.function
    decorators = function.node.decorator_list if function is not None else []
    return function is not None and any(
        _holds_handler(decorator_target(each), function.outer, project) for each in decorators
    )


def _is_of_duplicates(handler: ast.ExceptHandler, scope: Scope, project: Project) -> bool:
    if handler.type is not None and _names_duplicate(handler.type, scope, project):
        return True
    return any(_LOOKED_AT.search(ast.unparse(each)) for each in handler.body)


def _names_duplicate(expression: ast.expr, scope: Scope, project: Project) -> bool:
    symbol = project.resolver.resolve(expression, scope)
    if isinstance(symbol, Variable) and symbol.assigned is not None:
        expression = symbol.assigned[0]
    return bool(_DUPLICATE.search(ast.unparse(expression)))


def _suppresses(manager: ast.expr, scope: Scope, project: Project) -> bool:
    if not isinstance(manager, ast.Call):
        return False
    if last_name(manager.func) == "suppress":
        return any(_names_duplicate(each, scope, project) for each in manager.args)
    return _holds_handler(manager.func, scope, project)


def _holds_handler(expression: ast.expr, scope: Scope, project: Project) -> bool:
    """Whether a function of the project handles duplicates anywhere in its body."""
    function = project.resolver.resolve(expression, scope)
    return isinstance(function, Function) and any(
        isinstance(each, ast.ExceptHandler) and _is_of_duplicates(each, function.scope, project)
        for each in ast.walk(function.node)
    )


def _is_conditional(call: Call, queries: Queries) -> bool:
    """Whether a call happens only when the database said that it has not happened yet, or in the first attempt."""
    answers = _Answers(call, queries)
    inner: ast.AST = call.node
    for outer in call.module.ancestors(call.node):
        if isinstance(outer, (ast.If, ast.IfExp)) and inner is not outer.test:
            is_body = inner is outer.body if isinstance(outer, ast.IfExp) else inner in outer.body
            if answers.says_new(outer.test, is_body) or (is_body and _is_first_attempt(outer.test)):
                return True
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            break
        inner = outer
    return any(answers.says_new(each.test, False) for each in _left_before(call))


def _left_before(call: Call) -> Iterator[ast.If]:
    """The conditions that lead out of a function before it comes to a call."""
    for each in ast.walk(call.function.node) if call.function is not None else ():
        if isinstance(each, ast.If) and isinstance(each.body[-1], _ENDS) and runs_before(each, call.node, call.module):
            yield each


class _Answers:
    """What a function knows from SQL that it has executed before a call."""

    def __init__(self, call: Call, queries: Queries) -> None:
        self._function, self._queries = call.function, queries
        self._asking = self._calls_that_ask(call) if call.function is not None else set()
        self._names: set[str] = set()
        if self._asking:
            self._follow_names()

    def says_new(self, test: ast.expr, holds: bool) -> bool:
        """Whether a test that holds, or does not, means that nothing was found: `not row`, `row is None`,
        `cursor.rowcount == 1`."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.says_new(test.operand, not holds)
        if isinstance(test, ast.BoolOp):
            # all parts of `and` hold when it does, and none of `or` when it does not
            return isinstance(test.op, ast.And) is holds and any(self.says_new(each, holds) for each in test.values)
        if not self._is_answer(test):
            return False
        if any(isinstance(each, ast.Attribute) and each.attr == "rowcount" for each in ast.walk(test)):
            return True
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            is_none = isinstance(test.comparators[0], ast.Constant) and test.comparators[0].value is None
            if is_none and isinstance(test.ops[0], (ast.Is, ast.Eq)):
                return holds
            if is_none or isinstance(test.ops[0], (ast.Gt, ast.NotEq)):
                return not holds
            return holds if isinstance(test.ops[0], ast.Eq) else False
        return not holds

    def _is_answer(self, expression: ast.AST) -> bool:
        return any(
            each in self._asking or (isinstance(each, ast.Name) and each.id in self._names)
            for each in ast.walk(expression)
        )

    def _calls_that_ask(self, until: Call) -> set[ast.AST]:
        found: set[ast.AST] = set()
        resolve = self._queries.project.resolver.resolve
        for other in until.function.calls if until.function is not None else ():
            if ordinal(other.node) >= ordinal(until.node):
                continue
            callee = resolve(other.node.func, other.scope)
            inside = callee.calls if isinstance(callee, Function) and callee is not until.function else ()
            if self._queries.executed(other) or any(self._queries.executed(each) for each in inside):
                found.add(other.node)
        return found

    def _follow_names(self) -> None:
        assert self._function is not None
        for node in ast.walk(self._function.node):
            if isinstance(node, ast.Assign) and self._is_answer(node.value):
                self._names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
            elif isinstance(node, ast.NamedExpr) and self._is_answer(node.value):
                self._names.add(node.target.id)


def _is_first_attempt(test: ast.expr) -> bool:
    """`activity.info().attempt == 1`."""
    return any(isinstance(each, ast.Attribute) and each.attr == "attempt" for each in ast.walk(test))


def _is_rolled_back(call: Call) -> bool:
    """Whether a statement of the same list, further down, undoes it: a rehearsal."""
    statement = call.module.statement(call.node)
    block = call.module.parents.get(statement)
    siblings = [each for each in children(block) if isinstance(each, ast.Expr)] if block is not None else []
    return any(
        ordinal(each) > ordinal(statement)
        and any(isinstance(inner, ast.Attribute) and inner.attr == "rollback" for inner in ast.walk(each))
        for each in siblings
    )


def is_tried_once(activity: Function | None, project: Project) -> bool:
    """Whether all calls of an activity that the project shows allow one attempt only."""
    if activity is None:
        return False
    found = [
        each
        for module in project.modules.values()
        for each in project.sdk_calls(module)
        if each.family == "activity" and each.function is activity
    ]
    return bool(found) and all(_has_one_attempt(each.option("retry_policy"), project) for each in found)


def _has_one_attempt(bound: Bound | None, project: Project) -> bool:
    policy = project.made_by(bound) if bound is not None else None
    attempts = policy.option("maximum_attempts") if policy is not None else None
    number = project.values.constant(attempts.expression, attempts.scope) if attempts is not None else UNKNOWN
    return number is not UNKNOWN and number == 1
