"""A RetryPolicy that the SDK refuses.

## What
Reports a `RetryPolicy(...)` whose constants the SDK refuses: a negative `initial_interval`, `maximum_interval` or
`maximum_attempts`, a `backoff_coefficient` below 1, a `maximum_interval` shorter than `initial_interval` (1 second by
default). Also `non_retryable_error_types` that holds classes: it takes names.

Silent with `maximum_attempts=1`, where the SDK checks no number, and where a value is not known.

## Why
The policy is checked when it is used, not when it is made: the workflow task that schedules the activity fails with
`ValueError` or `TypeError` and is retried for ever, so the workflow hangs without a failure to be seen.

## Invalid
```python
from datetime import timedelta

from temporalio.common import RetryPolicy

FIRST = timedelta(minutes=2)

shrinking = RetryPolicy(backoff_coefficient=0.5)  # expect
backwards = RetryPolicy(initial_interval=FIRST, maximum_interval=FIRST / 2)  # expect
below_default = RetryPolicy(maximum_interval=timedelta(milliseconds=500))  # expect
negative = RetryPolicy(timedelta(seconds=-1))  # expect
unlimited = RetryPolicy(maximum_attempts=-1)  # expect
```

```python
from temporalio.common import RetryPolicy


class CardDeclined(Exception):
    pass


policy = RetryPolicy(
    maximum_attempts=5,
    non_retryable_error_types=[
        ValueError,  # expect
        CardDeclined,  # expect
        "KeyError",
    ],
)
```

## Fixed
```python
from temporalio.common import RetryPolicy


class CardDeclined(Exception):
    pass


policy = RetryPolicy(
    maximum_attempts=5,
    non_retryable_error_types=[
        ValueError.__name__,  # expect
        CardDeclined.__name__,  # expect
        "KeyError",
    ],
)
```

## Valid
```python
from datetime import timedelta

from temporalio.common import RetryPolicy

ERRORS = ["ValueError"]


def policy(attempts: int) -> RetryPolicy:
    return RetryPolicy(maximum_attempts=attempts, backoff_coefficient=0.5)


once = RetryPolicy(maximum_attempts=1, backoff_coefficient=0.5)
steady = RetryPolicy(initial_interval=timedelta(0), backoff_coefficient=1.0, maximum_interval=timedelta(0))
equal = RetryPolicy(maximum_interval=timedelta(seconds=1), maximum_attempts=0)
named = RetryPolicy(non_retryable_error_types=[ValueError.__name__, *ERRORS])
```

## Fix safety
Safe: a class in the list becomes its `__name__`, which is the name the SDK compares. Numbers are left to you.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from temporal_lint.facts import Class
from temporal_lint.project import SdkCall, tolerates
from temporal_lint.resolve import External
from temporal_lint.rule import Finding, Fix, Severity, rule
from temporal_lint.values import UNKNOWN, Bound

if TYPE_CHECKING:
    from temporal_lint.edits import Editor

_ERRORS = "non_retryable_error_types"
# The SDK's defaults of the fields that it checks.
_DEFAULTS: dict[str, Any] = {
    "initial_interval": timedelta(seconds=1),
    "backoff_coefficient": 2.0,
    "maximum_interval": None,
    "maximum_attempts": 0,
}


@rule("TMP111", Severity.ERROR, fix="safe")
def retry_policy_invalid(call: SdkCall) -> Iterator[Finding]:
    """Report what the SDK's own check of a policy refuses."""
    if call.api != "temporalio.common.RetryPolicy" or tolerates(call.module, call.node, "ValueError", "TypeError"):
        return
    refused = _refused({name: _value(name, call) for name in _DEFAULTS})
    if refused is not None:
        name, trouble, advice = refused
        bound = call.option(name)
        yield Finding(
            call.module,
            bound.expression if bound is not None and bound.here else call.node,
            f"The SDK refuses a policy with {trouble}: it raises ValueError when the policy is used, and a workflow "
            "task that uses it is retried for ever.",
            advice,
        )
    errors = call.option(_ERRORS)
    for each in (call.project.elements(errors) or ()) if errors is not None else ():
        name_of_class = _class_name(each, call)
        if name_of_class is not None:
            yield Finding(
                call.module,
                call.place(each),
                f"`{_ERRORS}` holds the class `{name_of_class}`, but it takes names: the SDK raises TypeError when "
                "the policy is used, and a workflow task that uses it is retried for ever.",
                f'Write the name, "{name_of_class}" or `{name_of_class}.__name__`.',
                fix=partial(_fix, each.expression) if each.here else None,
            )


def _value(name: str, call: SdkCall) -> Any:
    """The value of a field; UNKNOWN where it cannot be told."""
    bound = call.option(name)
    if bound is not None:
        return call.project.values.constant(bound.expression, bound.scope)
    return UNKNOWN if call.open_keywords or call.open_positional else _DEFAULTS[name]


def _refused(values: dict[str, Any]) -> tuple[str, str, str] | None:
    """The field that the SDK refuses, what is wrong with it, and what to write: the checks of the SDK in its order.

    A value that is UNKNOWN, or of a type that the field does not have, is not judged.
    """
    initial, maximum = values["initial_interval"], values["maximum_interval"]
    backoff, attempts = values["backoff_coefficient"], values["maximum_attempts"]
    if not isinstance(attempts, int) or attempts == 1:
        return None
    zero = timedelta(0)
    longer = "Give an interval of zero or more."
    if isinstance(initial, timedelta) and initial < zero:
        return "initial_interval", f"`initial_interval` {_seconds(initial)}", longer
    if isinstance(backoff, (int, float)) and backoff < 1:
        advice = "Give a coefficient of 1 (a steady interval) or more."
        return "backoff_coefficient", f"`backoff_coefficient` {backoff:g}, below 1", advice
    if isinstance(maximum, timedelta) and maximum < zero:
        return "maximum_interval", f"`maximum_interval` {_seconds(maximum)}", longer
    if isinstance(maximum, timedelta) and maximum and isinstance(initial, timedelta) and maximum < initial:
        trouble = f"`maximum_interval` {_seconds(maximum)} below `initial_interval` {_seconds(initial)}"
        return "maximum_interval", trouble, "Give a `maximum_interval` of at least `initial_interval`."
    if attempts < 0:
        return "maximum_attempts", f"`maximum_attempts` {attempts}", "Give 0 for no limit, or a positive number."
    return None


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():g} s"


def _class_name(bound: Bound, call: SdkCall) -> str | None:
    """The name of the class that an element stands for, where it is certain to be one."""
    symbol = call.project.resolver.resolve(bound.expression, bound.scope)
    if isinstance(bound.expression, ast.Subscript):
        return None
    if isinstance(symbol, Class):
        return symbol.name
    if not isinstance(symbol, External):
        return None
    owner, _, name = symbol.dotted.rpartition(".")
    if owner == "builtins":
        return name if isinstance(getattr(builtins, name, None), type) else None
    # a name in class case straight in a module; a member of a class (`Kind.NotFound`) may be a string
    is_class = name.endswith(("Error", "Exception")) and owner.rpartition(".")[2].islower()
    return name if is_class else None


def _fix(expression: ast.expr, editor: Editor) -> Fix | None:
    return editor.fix("safe", "Write the name of the class", editor.insert_after(expression, ".__name__"))
