"""An activity that is run twice does what it does once.

## What it asserts
Each activity of a test that asks for it is run to its end, its result is thrown away, and it is run again.
- The second run does not change the state: the value of the fixture `temporal_state` is the same before and after it.
- The second run does not fail.
- Both runs have the same result (warn), but for those that `idempotency_results_may_differ` names.

It is off unless a test has the marker `temporal_guard(idempotency=True)` or the suite is run with
`--temporal-guard-idempotency=fail`. Without `temporal_state` only failures and results are judged:

    from pytest_temporal_guard import state

    @pytest.fixture
    def temporal_state(engine):
        return state.database(engine, ignore_columns=["updated_at"])

## Why
The server runs an activity at least once, not exactly once. A worker that is killed, loses its network or is too slow
after it has charged the card and before it has told so has its activity run again, on another worker: the card is
charged twice.

## What to change
Give what the activity writes a key that both runs share, and write it only if it is not there: an upsert, or a unique
key whose violation is success. `activity.info()` has one: `f"{info.workflow_run_id}-{info.activity_id}"` is the same in
all attempts. Most services take an idempotency key. Write files under a name that does not depend on the attempt. Make
ids and times in the workflow (`workflow.uuid4()`, `workflow.now()`) and pass them on. An activity that must not run
twice says so: `RetryPolicy(maximum_attempts=1)`.

## Limits
Left alone are local activities, activities that `idempotency_skip` names, an activity whose last attempt it is
(`maximum_attempts=1` is at-most-once by declaration), one whose `schedule_to_close_timeout` is nearly used up, one that
fails or is cancelled in its first run, and one that completes asynchronously. Only one activity runs at a time, so that
a change belongs to the one that ran; an activity that waits for another one is let in after a second, and the changes
of both are not judged (warn). A change that the test itself makes meanwhile is taken for the activity's. A second run
that fails gives the workflow the first result. Interceptors of the test around the guard's see one failed attempt of
type `TemporalGuardRedo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import LEVEL, NAMES, Limits, Setting, level, names

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting(
        "idempotency", level, LEVEL, "off",
        "Run each activity twice, as the server may do, and what becomes of a test whose activity does not bear it.",
    ),
    Setting("idempotency_skip", names, NAMES, (), "Activities that are not run twice.", ini="linelist"),
    Setting(
        "idempotency_results_may_differ", names, NAMES, (),
        "Activities whose second run may have another result than the first.", ini="linelist",
    ),
)  # fmt: skip

_SHOWN = 5
_KEY = (
    'Write under a key that both runs share, such as f"{info.workflow_run_id}-{info.activity_id}" of activity.info(), '
    "and only if it is not there yet (an upsert, an idempotency key). "
)
_TOLD = {
    "state": (
        "its second run changed the state. The server may run it twice, when a worker is lost before it tells the "
        "result.",
        _KEY + "An activity that must not run twice has RetryPolicy(maximum_attempts=1).",
        None,
    ),
    "raised": (
        "its second run failed, after the first had done the work. In production it would be tried again and fail "
        "again, until its retries or timeouts end, though the work is done.",
        "Take work that is already done for success: an upsert, or a unique key whose violation means done.",
        None,
    ),
    "result": (
        "its second run had another result.",
        "Make ids and times in the workflow (workflow.uuid4(), workflow.now()) and pass them on, or return what the "
        "first run stored; declare it by idempotency_results_may_differ if it does not matter.",
        "warn",
    ),
    "snapshot": (
        "the state was not to be had, so nothing is known of what its second run changed.",
        "Make the fixture `temporal_state` return a callable, or an object with snapshot(), that works in the thread "
        "of the worker's event loop.",
        None,
    ),
    "beside": (
        "it ran beside another activity that did not end meanwhile, so what its second run changed is not judged.",
        "Test it in a workflow or a test where it runs alone.",
        "warn",
    ),
}


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Tell what second runs did, once for each activity and kind of trouble."""
    may_differ = limits["idempotency_results_may_differ"].value
    told: set[tuple[str, str]] = set()
    for each in run.observed.not_idempotent:
        tolerated = each.kind == "result" and each.activity in may_differ
        if each.kind not in _TOLD or tolerated or (each.activity, each.kind) in told:
            continue
        told.add((each.activity, each.kind))
        measured, advice, own = _TOLD[each.kind]
        more = len(each.details) - _SHOWN
        details = (*each.details[:_SHOWN], *([f"and {more} more"] if more > 0 else []))
        yield Breach(f"activity `{each.activity}` was run twice: {measured}", advice, details, level=own)
