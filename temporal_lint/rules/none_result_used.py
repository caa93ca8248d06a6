"""The result of an SDK call that always returns None is used.

## What
Reports the result of `workflow.wait_condition`, or of another SDK call that returns nothing (`workflow.sleep`,
`handle.signal`, `workflow.upsert_memo` ...), where it decides something (`if`, `while`, `not`, a comparison, `and`) or
is stored under a name. A name that is read is an error; one that nothing reads is a warning, as are attributes.

Silent: a result that is only returned, or bound to a name that starts with an underscore.

## Why
`workflow.wait_condition` does not tell whether the condition came true. It returns None when it did, and raises
`asyncio.TimeoutError` when the timeout passed first. So `if await workflow.wait_condition(...)` never takes its branch,
and code that reads the result as "not approved" rejects every order that was approved in time.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Approval:
    def __init__(self) -> None:
        self.approved = False

    @workflow.run
    async def run(self) -> str:
        if await workflow.wait_condition(lambda: self.approved, timeout=timedelta(days=1)):  # expect
            return "approved"
        in_time = await workflow.wait_condition(lambda: self.approved, timeout=timedelta(days=1))  # expect
        return "late" if in_time else "never"
```

## Valid
```python
import asyncio
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Approval:
    def __init__(self) -> None:
        self.approved = False

    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.wait_condition(lambda: self.approved, timeout=timedelta(days=1))
        except asyncio.TimeoutError:
            return "expired"
        return "approved"

    async def approval(self) -> None:
        return await workflow.wait_condition(lambda: self.approved)
```
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from temporal_lint.facts import Scope
from temporal_lint.project import SdkCall
from temporal_lint.resolve import reaching
from temporal_lint.rule import Finding, Severity, rule


@rule("TMP124", Severity.ERROR)
def none_result_used(call: SdkCall) -> Iterator[Finding]:
    """Report the call whose result is used."""
    if call.via or call.signature is None or not call.signature.returns_none:
        return
    if call.signature.is_coroutine and not call.awaited:
        return
    value: ast.AST = call.module.parents[call.node] if call.awaited else call.node
    used = _decides(value, call) or _stored(value, call)
    if used is None:
        return
    how, severity = used
    advice = "Use it as a statement of its own; it has no result to look at."
    if call.name == "wait_condition":
        advice = "Await it as a statement; after it the condition holds. Catch `asyncio.TimeoutError` for the timeout."
    yield Finding(call.module, call.node, f"`{call.name}` always returns None, but its result {how}.", advice, severity)


def _decides(value: ast.AST, call: SdkCall) -> tuple[str, Severity] | None:
    """How the value, itself or negated, decides which way the code goes."""
    parents = call.module.parents
    parent = parents.get(value)
    if isinstance(parent, ast.NamedExpr):
        value, parent = parent, parents.get(parent)
    if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not):
        return "is tested for truth", Severity.ERROR
    if isinstance(parent, (ast.If, ast.While, ast.IfExp, ast.Assert)) and parent.test is value:
        return "is tested for truth", Severity.ERROR
    if isinstance(parent, ast.BoolOp) and parent.values[-1] is not value:
        return "is tested for truth", Severity.ERROR
    if isinstance(parent, ast.BoolOp):
        return _decides(parent, call) if not isinstance(parents.get(parent), ast.BoolOp) else None
    if isinstance(parent, ast.Compare):
        in_assertion = isinstance(parents.get(parent), ast.Assert) and call.module.is_test
        return None if in_assertion else ("is compared", Severity.ERROR)
    if isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is value:
        return "is looked into", Severity.ERROR
    return None


def _stored(value: ast.AST, call: SdkCall) -> tuple[str, Severity] | None:
    """Under which name the value is stored, and how bad that is."""
    statement = call.module.parents.get(value)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, (ast.AnnAssign, ast.NamedExpr)):
        target = statement.target
    else:
        return None
    if isinstance(target, ast.Attribute):
        return f"is stored in `{ast.unparse(target)}`", Severity.WARNING
    if not isinstance(target, ast.Name) or target.id.startswith("_"):
        return None
    reads = _reads(target.id, call.call.scope)
    if any(isinstance(call.module.parents.get(each), ast.Return) for each in reads):
        return None
    how = f"is stored in `{target.id}`"
    for each in reads:
        scope = call.call.scope
        if [binding.node for binding in reaching(scope, each, scope)] == [statement]:
            return f"{how} and used", Severity.ERROR
    return how, Severity.WARNING


def _reads(name: str, scope: Scope) -> list[ast.Name]:
    """Where a name that is bound in `scope` itself is read in it; none where it belongs to another scope."""
    if name not in scope.bindings:
        return []
    return [
        each
        for each in ast.walk(scope.node)
        if isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Load)
    ]
