"""An activity that is to heartbeat does so in time.

## What it asserts
- An activity that is called with a `heartbeat_timeout` is at no time without a beat for longer than that (fail).
- It is at no time without one for longer than a third of it (warn): beats get lost and workers get slow, and three
  beats in each interval leave room for that.
- An activity that takes `long_activity` or longer has a `heartbeat_timeout` (warn).
- An activity that heartbeats has a `heartbeat_timeout` (warn).

## Why
A worker that dies says nothing. Without heartbeats the server waits for the whole `start_to_close_timeout` before it
tries again: hours, for an activity that may take hours. With heartbeats that come too late it gives up an attempt that
is alive, and runs the activity twice at once. Heartbeats without a timeout detect nothing, and bring no cancellation.

## What to change
Heartbeat in each turn of the loop that does the work, or from a task beside it, at least three times in each
`heartbeat_timeout`; give `heartbeat_timeout` in the call of the activity.

## Limits
With the fixture `temporal_guard`, or `--temporal-guard-virtual-time`, the sleeps of activities take no time and the
server itself judges: an attempt that fails to beat is timed out and retried, by the server's own rules. Otherwise the
heartbeats of a test are judged as they happened, and a test's fakes rarely take as long as the real thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import LEVEL, SECONDS, Limits, Setting, level, seconds

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import ActivityRun, Attempt, Run

SETTINGS = (
    Setting("heartbeat", level, LEVEL, "fail", "What becomes of a test whose activity heartbeats too late."),
    Setting(
        "long_activity", seconds, SECONDS, 600.0,
        "Seconds that an activity may take without a heartbeat_timeout.",
    ),
)  # fmt: skip

# The seeds of the project ask for three beats in each interval.
_BEATS_PER_TIMEOUT = 3


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Look at each activity that the run scheduled, once for each type of activity and kind of trouble."""
    told: set[tuple[str, str]] = set()
    for activity in run.activities:
        for kind, breach in _of_activity(activity, limits):
            if (activity.type, kind) not in told:
                told.add((activity.type, kind))
                yield breach


def _of_activity(activity: ActivityRun, limits: Limits) -> Iterator[tuple[str, Breach]]:
    timeout = activity.heartbeat_timeout
    attempts = [each for each in activity.attempts if not each.is_local]
    if timeout is None:
        yield from _without_timeout(activity, limits)
        return
    allowed = timeout.total_seconds()
    late = next((each for each in attempts if _is_late(each, allowed)), None)
    if late is not None or activity.timeout_type == "heartbeat":
        told = f"attempt {late.number} had {_gap(late):,.1f} s without one" if late else "the server timed it out"
        yield (
            "late",
            Breach(
                f"activity `{activity.type}` heartbeats too late: {told}, and its heartbeat_timeout is {allowed:g} s.",
                "Heartbeat at least three times in each heartbeat_timeout, from the loop that does the work or from "
                "a task beside it.",
                _gaps(late) if late else (),
            ),
        )
        return
    slow = next((each for each in attempts if _gap(each) > allowed / _BEATS_PER_TIMEOUT), None)
    if slow is not None:
        yield (
            "slow",
            Breach(
                f"activity `{activity.type}` heartbeats seldom: attempt {slow.number} had {_gap(slow):,.1f} s without "
                f"one, more than a third of its heartbeat_timeout of {allowed:g} s.",
                "Heartbeat at least three times in each heartbeat_timeout.",
                _gaps(slow),
                level="warn",
            ),
        )


def _without_timeout(activity: ActivityRun, limits: Limits) -> Iterator[tuple[str, Breach]]:
    long_ = limits["long_activity"]
    longest = max((each.duration.total_seconds() for each in activity.attempts if each.duration), default=0.0)
    if activity.heartbeats:
        yield (
            "untimed",
            Breach(
                f"activity `{activity.type}` heartbeats, but is called without heartbeat_timeout: a lost worker is "
                "not noticed, and no cancellation is delivered.",
                "Give heartbeat_timeout in the call of the activity.",
                level="warn",
            ),
        )
    elif longest >= long_.value:
        yield (
            "long",
            Breach(
                f"activity `{activity.type}` took {longest:,.0f} s and has no heartbeat_timeout: a lost worker is "
                "noticed only after its start_to_close_timeout.",
                "Heartbeat in it, and give heartbeat_timeout in its call.",
                limit=long_,
                level="warn",
            ),
        )


def _is_late(attempt: Attempt, allowed: float) -> bool:
    # The server's timer starts some milliseconds before the attempt does, so an attempt that it has timed out looks
    # that much short of the timeout.
    timed_out = attempt.outcome == "timed out" and _gap(attempt) > allowed * 0.95
    return timed_out or _gap(attempt) >= allowed


def _gap(attempt: Attempt) -> float:
    return attempt.longest_gap.total_seconds()


def _gaps(attempt: Attempt) -> tuple[str, ...]:
    """The longest gaps, by when they began, without those that are nothing beside the longest."""
    points = [attempt.start, *(each.at for each in attempt.beats)]
    gaps = sorted(zip(attempt.gaps, points, strict=False), key=lambda each: -each[0].total_seconds())[:3]
    return tuple(
        f"{gap.total_seconds():,.1f} s from {(begin - attempt.start).total_seconds():,.1f} s after its start"
        for gap, begin in gaps
        if gap >= gaps[0][0] / 10
    )
