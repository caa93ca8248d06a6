"""No payload is too large: not an argument, a result, a memo, a failure or the details of a heartbeat.

## What it asserts
Each payload in each event of a run, and the details of each heartbeat, has at most `max_payload_bytes` bytes as the
server stores it: after the data converter and the codec.

## Why
The server refuses a payload above 2 MiB: the workflow task fails and is retried for ever. Smaller ones add up: all of
them stand in the history, are sent to every worker that replays it, and count towards its limit of 50 MiB.

## What to change
Store the data elsewhere and pass a reference to it: a key of an object store, the id of a row, a path that all workers
see; or give the client's data converter an external storage.

## Limits
The default, 200 KB, leaves room below the 256 KB at which older servers warn. Payloads that a codec or an external
storage has made small are measured small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach, figure
from pytest_temporal_guard.settings import LEVEL, SIZE, Limits, Setting, level, size

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting("payload", level, LEVEL, "fail", "What becomes of a test whose workflow sends too large a payload."),
    Setting(
        "max_payload_bytes", size, SIZE, 200_000,
        "Bytes that one payload may have; the server refuses one above 2 MiB.",
    ),
)  # fmt: skip
OF_HISTORY = True
_ADVICE = "Store the data and pass a reference to it (a key, an id, a path), or send less of it."


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Compare the largest payload, and the largest details of a heartbeat, with the limit."""
    limit = limits["max_payload_bytes"]
    large = [each for each in run.payloads if each.size > limit.value]
    if large:
        first = large[0]
        more = "" if len(large) == 1 else f" It is the largest of {len(large)} that are too large."
        yield Breach(
            f"the {first.what} has {figure(first.size)} bytes (event {first.event_id}, {first.event_type}).{more}",
            _ADVICE,
            tuple(
                f"{figure(each.size)} bytes: {each.what} (event {each.event_id}, `{each.path}`)"
                for each in run.payloads[:3]
            ),
            limit,
        )
    beats = [(beat.size, attempt) for attempt in run.observed.attempts for beat in attempt.beats]
    size_, attempt = max(beats, key=lambda each: each[0], default=(0, None))
    if attempt is not None and size_ > limit.value:
        yield Breach(
            f"the heartbeat details of activity `{attempt.activity}` have {figure(size_)} bytes.", _ADVICE, (), limit
        )
