"""A run in plain data: what reports are made of, and what travels from a worker of pytest-xdist to the controller.

Only str, int, float, bool, None, list and dict with str keys. Sizes are bytes, spans are seconds. A time that is named
`at` or ends in `_at` counts from the run's first event on the server's clock, which may be virtual. `schema.json` says
the same formally. Long runs are abridged, so that a report of hundreds of them can still be opened: `omitted` tells how
many of each kind are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, overload

import pytest
from temporalio.api.enums.v1 import EventType

from pytest_temporal_guard.runs import ActivityRun, Attempt, Run, attributes_of, event_time, type_name
from pytest_temporal_guard.settings import Limits, Settings

Data = dict[str, Any]

# Chosen so that a report of 500 runs with 10,000 events each stays below 40 MB; tests hold it to that.
MOST_EVENTS = 400
MOST_BINS = 80
MOST_ACTIVITIES = 60
MOST_ATTEMPTS = 20
MOST_BEATS = 60
MOST_OTHERS = 60
LARGEST_PAYLOADS = 10

_FIGURES = (
    ("history_events", "max_history_events"),
    ("history_bytes", "max_history_bytes"),
    ("payload_bytes", "max_payload_bytes"),
)
_CHILD_ENDS = {
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: "completed",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: "timed out",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: "failed",
}
_PROPERTY = "temporal_guard."
_TOLD = pytest.StashKey[dict[str, Data]]()


def describe(item: pytest.Item, report: pytest.TestReport, runs: Iterable[Run], settings: Settings) -> list[Data]:
    """The runs of a test in plain data, in full only if a report file is asked for. Sets the properties for JUnit."""
    limits = Limits(settings, item)
    detail = bool(settings.of("report").value)
    found = [run_data(each, limits, detail=detail) for each in runs]
    told = item.stash.setdefault(_TOLD, {})
    told.update({each["run_id"]: each for each in found})
    properties = [(_PROPERTY + name, value) for name, value in junit_properties(list(told.values())).items()]
    for holder in (item, report):
        kept = [each for each in holder.user_properties if not str(each[0]).startswith(_PROPERTY)]
        holder.user_properties[:] = [*kept, *properties]
    return found


def junit_properties(runs: list[Data]) -> dict[str, str]:
    """What JUnit XML tells of the runs of one test; the largest figures, so that a dashboard can plot them."""
    return {
        "runs": str(len(runs)),
        "max_history_events": str(max(each["events"] for each in runs)),
        "max_history_bytes": str(max(each["bytes"] for each in runs)),
        "max_payload_bytes": str(max(each["payloads"]["largest_bytes"] for each in runs)),
        "activities": str(sum(each["activities"]["count"] for each in runs)),
        "breaches": str(sum(len(each["breaches"]) for each in runs)),
    }


def run_data(run: Run, limits: Limits, *, detail: bool = True) -> Data:
    """A run in plain data. Without `detail` only the figures of a summary, and `detail` is None."""
    key, payloads, activities = run.observed.key, run.payloads, run.activities
    local = _local_activities(run)
    measured = {
        "history_events": len(run.events),
        "history_bytes": run.history_bytes,
        "payload_bytes": payloads[0].size if payloads else 0,
    }
    clock = _Clock(run)
    return {
        "test": run.observed.test or "",
        "workflow": run.workflow_type,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "namespace": key.namespace,
        "server": key.target,
        "parent": run.observed.parent[0] if run.observed.parent else None,
        "parent_run_id": run.observed.parent[1] if run.observed.parent else None,
        "continued_from": run.observed.continued_from,
        "has_history": run.history is not None,
        "outcome": run.outcome,
        "start": clock.zero.isoformat() if clock.zero else None,
        "virtual_seconds": _seconds(run.virtual_duration),
        "events": measured["history_events"],
        "bytes": measured["history_bytes"],
        "payloads": {
            "count": len(payloads),
            "bytes": sum(each.size for each in payloads),
            "largest_bytes": measured["payload_bytes"],
        },
        "activities": {
            "count": len(activities) + len(local),
            "attempts": sum(max(each.attempt_count, len(each.attempts)) for each in activities)
            + sum(map(len, local.values())),
        },
        "limits": {
            figure: {
                "value": measured[figure],
                "limit": limits[setting].value,
                "origin": limits[setting].origin,
                "share": round(measured[figure] / limits[setting].value, 4),
            }
            for figure, setting in _FIGURES
        },
        "breaches": [
            {
                "guard": guard,
                "level": level,
                "measured": breach.measured,
                "contributors": list(breach.contributors),
                "advice": breach.advice,
                "limit": breach.limit.value if breach.limit and _is_number(breach.limit.value) else None,
                "origin": breach.limit.origin if breach.limit else None,
            }
            for guard, level, breach in run.breaches
        ],
        "detail": _detail(run, clock, local) if detail else None,
    }


class _Clock:
    """Times of a run as seconds from its first event."""

    def __init__(self, run: Run) -> None:
        starts = [each.server_start or each.start for each in run.observed.attempts]
        self.zero = event_time(run.events[0]) if run.events else min(starts, default=None)

    def at(self, time: datetime | None) -> float | None:
        return None if time is None or self.zero is None else round((time - self.zero).total_seconds(), 6)

    def in_attempt(self, attempt: Attempt, time: datetime | None) -> float | None:
        """A time that a worker took, put on the server's clock."""
        if time is None or attempt.virtual or attempt.server_start is None:
            return self.at(time)
        return self.at(attempt.server_start + (time - attempt.start))


def _detail(run: Run, clock: _Clock, local: dict[str, list[Attempt]]) -> Data:
    activities = _most_telling(run.activities)
    timers, children = _timers(run, clock), _children(run, clock)
    locals_ = [_local_activity(attempts, clock) for attempts in local.values()][:MOST_ACTIVITIES]
    whole = len(run.events) <= MOST_EVENTS
    return {
        "events": [
            {"id": each.event_id, "type": type_name(each), "at": clock.at(event_time(each)), "bytes": each.ByteSize()}
            for each in (run.events if whole else ())
        ],
        "bins": [] if whole else _bins(run, clock),
        "event_types": dict(Counter(map(type_name, run.events)).most_common()),
        "payloads": [
            {
                "event": each.event_id,
                "event_type": each.event_type,
                "path": each.path,
                "what": each.what,
                "bytes": each.size,
            }
            for each in run.payloads[:LARGEST_PAYLOADS]
        ],
        "activities": [_activity(each, clock) for each in activities] + locals_,
        "activity_types": _by_type(run, local),
        "timers": timers[:MOST_OTHERS],
        "children": children[:MOST_OTHERS],
        "task_failures": [{"type": each.type, "message": each.message} for each in run.observed.task_failures[:10]],
        "omitted": {
            "events": 0 if whole else len(run.events),
            "activities": len(run.activities) + len(local) - len(activities) - len(locals_),
            "timers": max(0, len(timers) - MOST_OTHERS),
            "children": max(0, len(children) - MOST_OTHERS),
        },
    }


def _bins(run: Run, clock: _Clock) -> list[Data]:
    """A long history in equal numbers of events: times of much activity, however short, stay apart from idle ones."""
    size = -(-len(run.events) // MOST_BINS)
    bins = []
    for first in range(0, len(run.events), size):
        part = run.events[first : first + size]
        bins.append(
            {
                "at": clock.at(event_time(part[0])),
                "until": clock.at(event_time(part[-1])),
                "first": part[0].event_id,
                "events": len(part),
                "bytes": sum(each.ByteSize() for each in part),
                "types": dict(Counter(map(type_name, part)).most_common()),
            }
        )
    return bins


def _most_telling(activities: list[ActivityRun]) -> list[ActivityRun]:
    """As many as are shown, in their order: first those that failed, were tried again or beat, then the longest."""

    def weight(activity: ActivityRun) -> tuple[bool, bool, bool, timedelta]:
        return (
            activity.outcome not in ("completed", "running"),
            activity.attempt_count > 1,
            bool(activity.heartbeats),
            activity.duration or timedelta(0),
        )

    chosen = sorted(activities, key=weight, reverse=True)[:MOST_ACTIVITIES]
    return sorted(chosen, key=lambda each: each.scheduled_event_id)


def _activity(activity: ActivityRun, clock: _Clock) -> Data:
    return {
        "id": activity.id,
        "type": activity.type,
        "local": False,
        "scheduled_at": clock.at(activity.scheduled),
        "started_at": clock.at(activity.started),
        "closed_at": clock.at(activity.closed),
        "outcome": activity.outcome,
        "failure": activity.failure or None,
        "timeout_type": activity.timeout_type,
        "start_to_close_timeout": _seconds(activity.start_to_close_timeout),
        "heartbeat_timeout": _seconds(activity.heartbeat_timeout),
        "maximum_attempts": activity.maximum_attempts,
        "attempt_count": max(activity.attempt_count, len(activity.attempts)),
        "longest_gap": _longest_gap(activity.attempts),
        "attempts": [_attempt(each, clock) for each in activity.attempts[-MOST_ATTEMPTS:]],
    }


def _local_activities(run: Run) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for attempt in run.observed.attempts:
        if attempt.is_local:
            found.setdefault(attempt.activity_id, []).append(attempt)
    return found


def _local_activity(attempts: list[Attempt], clock: _Clock) -> Data:
    first, last = attempts[0], attempts[-1]
    return {
        "id": first.activity_id,
        "type": first.activity,
        "local": True,
        "scheduled_at": clock.in_attempt(first, first.start),
        "started_at": clock.in_attempt(last, last.start),
        "closed_at": clock.in_attempt(last, last.end),
        "outcome": last.outcome,
        "failure": None,
        "timeout_type": None,
        "start_to_close_timeout": None,
        "heartbeat_timeout": None,
        "maximum_attempts": 0,
        "attempt_count": len(attempts),
        "longest_gap": None,
        "attempts": [_attempt(each, clock) for each in attempts[-MOST_ATTEMPTS:]],
    }


def _attempt(attempt: Attempt, clock: _Clock) -> Data:
    return {
        "number": attempt.number,
        "start_at": clock.in_attempt(attempt, attempt.start),
        "end_at": clock.in_attempt(attempt, attempt.end),
        "outcome": attempt.outcome,
        "beats": [clock.in_attempt(attempt, each.at) for each in attempt.beats[:MOST_BEATS]],
        "beat_count": len(attempt.beats),
        "beat_bytes": max((each.size for each in attempt.beats), default=0),
        "longest_gap": _longest_gap([attempt]),
        "resumed": bool(attempt.resumed_from),
        "virtual": attempt.virtual,
    }


def _longest_gap(attempts: list[Attempt]) -> float | None:
    """The longest time without a beat, where beats are expected."""
    gaps = [each.longest_gap for each in attempts if each.beats or each.heartbeat_timeout]
    return _seconds(max(gaps)) if gaps else None


def _by_type(run: Run, local: dict[str, list[Attempt]]) -> list[Data]:
    """The figures of each type of activity, the most frequent first."""
    found: dict[str, Data] = {}

    def of(name: str) -> Data:
        empty = {"type": name, "count": 0, "attempts": 0, "failed": 0, "longest": 0.0, "seconds": 0.0}
        return found.setdefault(name, empty)

    def add(row: Data, attempts: int, failed: bool, span: timedelta | None) -> None:
        seconds = _seconds(span) or 0.0
        row["count"] += 1
        row["attempts"] += attempts
        row["failed"] += failed
        row["longest"] = max(row["longest"], seconds)
        row["seconds"] = round(row["seconds"] + seconds, 6)

    for each in run.activities:
        attempts = max(each.attempt_count, len(each.attempts))
        add(of(each.type), attempts, each.outcome in ("failed", "timed out"), each.duration)
    for tried in local.values():
        add(of(tried[0].activity), len(tried), tried[-1].outcome == "failed", tried[-1].duration)
    return sorted(found.values(), key=lambda each: -each["count"])


def _timers(run: Run, clock: _Clock) -> list[Data]:
    found: dict[int, Data] = {}
    for event in run.events:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            body = event.timer_started_event_attributes
            seconds = _seconds(body.start_to_fire_timeout.ToTimedelta())
            row = {"id": body.timer_id, "seconds": seconds, "at": clock.at(event_time(event)), "end_at": None}
            found[event.event_id] = {**row, "outcome": "running"}
        elif event.event_type in (EventType.EVENT_TYPE_TIMER_FIRED, EventType.EVENT_TYPE_TIMER_CANCELED):
            fired = event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
            ended = event.timer_fired_event_attributes if fired else event.timer_canceled_event_attributes
            if ended.started_event_id in found:
                outcome = "fired" if fired else "cancelled"
                found[ended.started_event_id].update(end_at=clock.at(event_time(event)), outcome=outcome)
    return list(found.values())


def _children(run: Run, clock: _Clock) -> list[Data]:
    found: dict[int, Data] = {}
    for event in run.events:
        kind = event.event_type
        if kind == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            body = event.start_child_workflow_execution_initiated_event_attributes
            row = {"workflow": body.workflow_type.name, "workflow_id": body.workflow_id, "run_id": None}
            found[event.event_id] = {**row, "at": clock.at(event_time(event)), "end_at": None, "outcome": "running"}
        elif kind == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED or kind in _CHILD_ENDS:
            attributes = attributes_of(event)
            child = found.get(attributes.initiated_event_id)
            if child is None:
                continue
            if kind in _CHILD_ENDS:
                child.update(end_at=clock.at(event_time(event)), outcome=_CHILD_ENDS[kind])
            else:
                child["run_id"] = attributes.workflow_execution.run_id
    return list(found.values())


@overload
def _seconds(span: timedelta) -> float: ...
@overload
def _seconds(span: None) -> None: ...
@overload
def _seconds(span: timedelta | None) -> float | None: ...
def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 6)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
