"""A constant that is too large for a payload.

## What
Measures the values sent to activities, child workflows, signals, queries and updates, as heartbeat details or in a
memo, where they are literals or can be computed: `"x" * 3_000_000`, `bytes(300_000)`, module constants, containers,
constructor calls. Each is measured as the data converter would write it. An error above the server's 2 MiB, a warning
above `max-payload-bytes`; where a payload codec may compress it, a warning in any case. Silent where the client's
converter has an external storage.

## Why
Every payload is stored in the workflow's history and sent again on each replay. The server refuses one above 2 MiB: in
a workflow, the task fails and is retried for ever.

## Invalid
```python
from datetime import timedelta

from temporalio import activity, workflow

BLANK = b"\\0" * 3_000_000


@activity.defn
def fill() -> None:
    activity.heartbeat("." * 300_000)  # expect


@workflow.defn
class Labels:
    @workflow.run
    async def run(self, order: str) -> None:
        timeout = timedelta(seconds=10)
        await workflow.execute_activity("print", BLANK, start_to_close_timeout=timeout)  # expect
        label = {"id": order, "image": "x" * 250_000}
        await workflow.execute_activity("print", label, start_to_close_timeout=timeout)  # expect
        await workflow.execute_activity("sum", [0] * 500_000, start_to_close_timeout=timeout)  # expect
```

## Valid
```python
from datetime import timedelta

from temporalio import workflow


@workflow.defn
class Labels:
    @workflow.run
    async def run(self, order: str) -> None:
        timeout = timedelta(seconds=10)
        await workflow.execute_activity("print", b"\\0" * 100_000, start_to_close_timeout=timeout)
        await workflow.execute_activity("print", "s3://labels/blank.png", start_to_close_timeout=timeout)
        await workflow.execute_activity("print", order * 1_000_000, start_to_close_timeout=timeout)
```

## Options
`max-payload-bytes`: the size above which a payload is reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from temporal_lint.converters import Converters, sent
from temporal_lint.expected import expected_to_fail
from temporal_lint.project import Project, SdkCall
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.sizes import Size, Sizes

# The server's and the SDK's limit for one payload (limit.blobSize.error).
_REFUSED = 2 * 1024 * 1024
_KIB, _MIB = 1024, 1024 * 1024


@rule("TMP206", Severity.ERROR)
def payload_too_large(call: SdkCall, project: Project) -> Iterator[Finding]:
    """Report each payload by itself, where it stands at the call, else the call."""
    converters = Converters.of(project)
    if converters.has_part("external_storage", call.module):
        return
    converter = "json" if call.family == "stub" else converters.converter(call.module)
    limit = project.settings.max_payload_bytes
    sizes = Sizes(project, converter)
    for each in sent(call):
        size = sizes.measure(each.bound.expression, each.bound.scope)
        if size is None or size.bytes <= min(limit, _REFUSED) or expected_to_fail(call.module, call.node):
            continue
        refused = (
            size.bytes > _REFUSED and converter != "custom" and not converters.has_part("payload_codec", call.module)
        )
        why = (
            "more than the 2 MiB that the server takes, so the call can never succeed"
            if refused
            else f"more than the advised {_readable(limit)}, stored in the history and sent again on each replay"
        )
        yield Finding(
            call.module,
            call.place(each.bound),
            f"{each.label} of `{call.name}` is {_measured(size)} as a payload: {why}.",
            "Send a reference (a path, an object store's key, a database key) and load the data where it is used.",
            Severity.ERROR if refused else Severity.WARNING,
        )


def _measured(size: Size) -> str:
    return _readable(size.bytes) if size.exact else f"at least {_readable(size.bytes)}"


def _readable(size: int) -> str:
    """KiB or MiB with one digit, cut off so that no limit is passed by rounding; bytes below."""
    if size < _KIB:
        return f"{size} bytes"
    unit, name = (_MIB, "MiB") if size >= _MIB else (_KIB, "KiB")
    whole, tenth = divmod(size * 10 // unit, 10)
    return f"{whole}.{tenth} {name}" if tenth else f"{whole} {name}"
