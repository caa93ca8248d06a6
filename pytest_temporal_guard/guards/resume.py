"""A long activity that loses its worker goes on where it was.

## What it asserts
Nothing until `expect_resume` names an activity, in the marker of a test or for the whole suite. A named activity then
loses its worker once, at the third heartbeat whose details are new; with two in all, before it tells its result. The
server hands the last details to the next attempt, and that one
- reads them: `activity.info().heartbeat_details`, and
- goes on from them: its first two beats are not those of the attempt that was lost.

An activity named there that does not heartbeat, or does so without details, breaks it too. One that has too little to
do in the test, a single beat, is told of (warn).

## Why
An activity that takes an hour and loses its worker after 59 minutes is run again. Heartbeat details are what the server
keeps of the first attempt; who does not read them starts over, does all its work twice, and never ends where workers
are replaced more often than once an hour.

## What to change
Heartbeat what to go on from (an index, a page token, the id of the last row), after the work that it stands for is
done, and begin with it:

    details = activity.info().heartbeat_details
    start = details[0] + 1 if details else 0
    for index in range(start, len(items)):
        await process(items[index])
        activity.heartbeat(index)

## Limits
That work which nobody tells by heartbeats is done twice is not seen. Details that differ in each attempt, such as
times, hide a new beginning, but not that they were not read. `finally` blocks of the lost attempt run, as they would
not if a process died; its `except` blocks do not. In an activity that runs in another process the reading of details is
not seen, and taken for granted. An activity with `maximum_attempts=1` is left alone, and so are local activities.
`temporal_guard.activity(fn).fail_after(beats=3)` does the same to an activity without a workflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import LEVEL, NAMES, Limits, Setting, level, names
from pytest_temporal_guard.wording import shorten

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import ActivityRun, Attempt, Run

SETTINGS = (
    Setting(
        "resume", level, LEVEL, "fail",
        "What becomes of a test whose activity, named by expect_resume, starts over after it lost its worker.",
    ),
    Setting(
        "expect_resume", names, NAMES, (),
        "Activities that lose their worker once, and are to go on from their last heartbeat.", ini="linelist",
    ),
)  # fmt: skip
_ADVICE = (
    "Begin with activity.info().heartbeat_details, and heartbeat what to go on from: an index, a page token, the id of "
    "the last row."
)


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Look at the named activities, once for each type."""
    expected = limits["expect_resume"].value
    told: set[str] = set()
    for activity in run.activities if expected else ():
        if activity.type in expected and activity.type not in told:
            for breach in _of_activity(activity):
                told.add(activity.type)
                yield breach


def _of_activity(activity: ActivityRun) -> Iterator[Breach]:
    attempts = activity.attempts
    lost = next((each for each in attempts if each.lost), None)
    if lost is None:
        yield from _not_lost(activity)
        return
    following = next((each for each in attempts if each.number == lost.number + 1), None)
    if following is None:
        return
    given = shorten(_shown(following.resumed_from))
    before, again = _distinct(lost), _distinct(following)
    twice = [each for each in again if each in before[:-1]]
    if not following.read_details:
        yield Breach(
            f"activity `{activity.type}` does not resume: its worker was lost after {len(lost.beats)} heartbeats, and "
            f"the next attempt never read what the last one left it, {given}.",
            _ADVICE,
            _repeated(twice),
        )
    elif len(again) > 1 and again[:2] == before[:2]:
        yield Breach(
            f"activity `{activity.type}` starts over: its worker was lost after {len(lost.beats)} heartbeats, the next "
            f"attempt was given what the last one left, {given}, and yet began again with the heartbeat "
            f"{shorten(_shown(again[0]))}.",
            _ADVICE,
            _repeated(twice),
        )


def _not_lost(activity: ActivityRun) -> Iterator[Breach]:
    """Why an attempt was not lost; nothing is said of one that did not end, or may not be tried again."""
    most = max(activity.attempts, key=lambda each: len(_distinct(each)), default=None)
    if most is None or activity.outcome != "completed" or activity.maximum_attempts == 1:
        return
    distinct = _distinct(most)
    if not most.beats:
        yield Breach(
            f"activity `{activity.type}` is to resume, but never heartbeats: an attempt that loses its worker leaves "
            "nothing to go on from.",
            _ADVICE,
        )
    elif distinct == [()]:
        yield Breach(
            f"activity `{activity.type}` is to resume, but its heartbeats have no details: an attempt that loses its "
            "worker leaves nothing to go on from.",
            _ADVICE,
        )
    elif len(distinct) == 1:
        yield Breach(
            f"activity `{activity.type}` is to resume, but all its heartbeats in this test have the details "
            f"{_shown(distinct[0])}, so it was not tried.",
            "Give it more to do in the test, and heartbeat what changes as the work goes on.",
            level="warn",
        )


def _distinct(attempt: Attempt) -> list[Any]:
    """The details of its beats, each once, in order."""
    from pytest_temporal_guard.state import freeze

    found: list[Any] = []
    for beat in attempt.beats:
        details = tuple(freeze(beat.details))
        if details not in found:
            found.append(details)
    return found


def _repeated(details: list[Any]) -> tuple[str, ...]:
    shown = ", ".join(_shown(each) for each in details[:5])
    more = f" and {len(details) - 5} more" if len(details) > 5 else ""
    return (f"done twice: {shorten(shown)}{more}",) if details else ()


def _shown(details: Any) -> str:
    return ", ".join(map(repr, details)) if details else "nothing"
