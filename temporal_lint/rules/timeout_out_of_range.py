"""A timeout that the server refuses, cuts short or ignores.

## What
Reports timeouts of activities, workflows and client calls whose values are known and make no sense: negative or zero
ones, and one that reaches beyond the timeout that contains it (`start_to_close_timeout` beyond
`schedule_to_close_timeout`, `schedule_to_start_timeout` and `heartbeat_timeout` not below the one around them,
`run_timeout` beyond `execution_timeout`).

## Why
A negative timeout is refused: the workflow task fails and is retried for ever, or the start fails. Zero means "not
given": a `start_to_close_timeout` of zero alone raises `ValueError`, a `heartbeat_timeout` of zero is no heartbeat
timeout at all. A timeout beyond the one around it is cut to it by the server without a word, so the activity gets less
time than the code says. A heartbeat timeout that is not below `start_to_close_timeout` never fires first: a dead worker
is noticed as late as without heartbeats. These last, and a harmless zero, are warnings.

## Invalid
```python
from datetime import timedelta

from temporalio import workflow

MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        await workflow.execute_activity("charge", order, start_to_close_timeout=timedelta(0))  # expect
        await workflow.execute_activity("charge", order, start_to_close_timeout=-MINUTE)  # expect
        await workflow.execute_activity("charge", start_to_close_timeout=HOUR, heartbeat_timeout=timedelta(0))  # expect
        await workflow.execute_activity("charge", start_to_close_timeout=MINUTE, heartbeat_timeout=HOUR)  # expect
        await workflow.execute_activity("charge", start_to_close_timeout=MINUTE, heartbeat_timeout=MINUTE)  # expect
        await workflow.execute_activity("bill", start_to_close_timeout=HOUR, schedule_to_close_timeout=MINUTE)  # expect
        await workflow.execute_activity(
            "charge",
            order,
            schedule_to_close_timeout=HOUR,
            start_to_close_timeout=MINUTE,
            schedule_to_start_timeout=2 * HOUR,  # expect
        )
        await workflow.execute_child_workflow("Refund", order, run_timeout=HOUR, execution_timeout=MINUTE)  # expect
```

## Valid
```python
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client

MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str, seconds: float) -> None:
        patience = timedelta(seconds=seconds)
        await workflow.execute_activity(
            "charge",
            order,
            schedule_to_close_timeout=HOUR,
            start_to_close_timeout=HOUR,
            schedule_to_start_timeout=MINUTE,
            heartbeat_timeout=timedelta(seconds=20),
        )
        await workflow.execute_activity("charge", order, start_to_close_timeout=patience, heartbeat_timeout=MINUTE)
        await workflow.execute_child_workflow("Refund", order, run_timeout=MINUTE, execution_timeout=MINUTE)


async def start(client: Client) -> None:
    await client.start_workflow(
        Billing.run, args=["A-1", 90.0], id="A-1", task_queue="billing", start_delay=timedelta(0)
    )
```
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from temporal_lint import sdk
from temporal_lint.facts import ordinal
from temporal_lint.project import SdkCall, tolerates
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.values import UNKNOWN


class _Limit(NamedTuple):
    """`inner` lies within `outer`. The server cuts what is longer; `strict` says that as long as it is useless too."""

    inner: str
    outer: str
    strict: bool = False


_START = "start_to_close_timeout"
_BUDGET = "schedule_to_close_timeout"
# As the server's validation of commands and starts has it, in the order of its steps.
_LIMITS = (
    _Limit(_START, _BUDGET),
    _Limit("schedule_to_start_timeout", _BUDGET, strict=True),
    _Limit("heartbeat_timeout", _START, strict=True),
    _Limit("heartbeat_timeout", _BUDGET, strict=True),
    _Limit("run_timeout", "execution_timeout"),
)
# Zero is "not given" for the server; for the other lengths of time it is a value like any other.
_NOT_ZERO = frozenset((*(each.inner for each in _LIMITS), _BUDGET, "execution_timeout", "task_timeout"))
_NOT_NEGATIVE = _NOT_ZERO | {"start_delay", "rpc_timeout"}
_FAMILIES = frozenset(("activity", "child", "continue", "start", "signal", "query", "update"))


@rule("TMP109", Severity.ERROR)
def timeout_out_of_range(call: SdkCall) -> Iterator[Finding]:
    """Report each known timeout by itself, then those that do not fit together."""
    options = sdk.options(call.api)
    if options is None or call.family not in _FAMILIES or tolerates(call.module, call.node, "ValueError", "RPCError"):
        return
    lengths: dict[str, timedelta] = {}
    for name in sorted(options.durations & _NOT_NEGATIVE):
        length = _length(name, call)
        if length is None:
            continue
        if length < timedelta(0) or (not length and name in _NOT_ZERO):
            if _is_from_caller(call, name):
                yield _alone(name, length, call)
        else:
            lengths[name] = length
    reported: set[str] = set()
    for limit in _LIMITS:
        inner, outer = lengths.get(limit.inner), lengths.get(limit.outer)
        if inner is None or outer is None or reported & {limit.inner, limit.outer}:
            continue
        if (inner > outer or (limit.strict and inner == outer)) and _is_from_caller(call, limit.inner, limit.outer):
            reported.add(limit.inner)
            yield _together(limit, inner, outer, call)


def _length(name: str, call: SdkCall) -> timedelta | None:
    """The value of an option that is known; a bare 0, which the SDK takes for "not given", is no time at all."""
    bound = call.option(name)
    if bound is None:
        return None
    value = call.project.values.constant(bound.expression, bound.scope)
    if call.family == "activity" and value is not UNKNOWN and isinstance(value, (int, float)) and not value:
        return timedelta(0)
    return value if isinstance(value, timedelta) else None


def _is_from_caller(call: SdkCall, *names: str) -> bool:
    """Whether this call wrote one of the values; what a wrapper writes is reported in its body."""
    return not call.via or any(bound is not None and bound.here for bound in map(call.option, names))


def _place(call: SdkCall, *names: str) -> ast.expr:
    """The last of the values in the file that stands at the call, else the call."""
    bounds = [bound for bound in map(call.option, names) if bound is not None and bound.here]
    return max((bound.expression for bound in bounds), key=ordinal) if bounds else call.node


def _alone(name: str, length: timedelta, call: SdkCall) -> Finding:
    severity = None
    if length:
        effect = "the server refuses it"
        if call.family in ("activity", "child", "continue"):
            effect += ", and the workflow task is retried for ever"
        message = f"`{name}` is negative: {effect}."
    elif call.family == "activity" and _has_no_other(name, call):
        message = (
            f"`{name}` is zero, which is none: the SDK raises ValueError and the workflow task is retried for ever."
        )
    else:
        severity = Severity.WARNING
        message = f"`{name}` is zero, which the server reads as not given: there is no such limit."
    return Finding(
        call.module,
        _place(call, name),
        message,
        f"Give `{name}` the time that is meant, or leave it out.",
        severity=severity,
    )


def _has_no_other(name: str, call: SdkCall) -> bool:
    other = {_START: _BUDGET, _BUDGET: _START}.get(name)
    return other is not None and call.is_absent(other)


def _together(limit: _Limit, inner: timedelta, outer: timedelta, call: SdkCall) -> Finding:
    if inner == outer:
        message = f"`{limit.inner}` equals `{limit.outer}` ({inner}): it never fires first, so it detects nothing."
    else:
        effect = "and it never fires first" if limit.strict else "without a word"
        message = f"`{limit.inner}` ({inner}) is longer than `{limit.outer}` ({outer}): the server cuts it, {effect}."
    return Finding(
        call.module,
        _place(call, limit.inner, limit.outer),
        message,
        f"Make `{limit.inner}` shorter than `{limit.outer}`.",
        severity=Severity.WARNING if inner == outer else None,
    )
