"""Runs of any length with histories of the server's own messages, for reports that no test could wait for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from pytest_temporal_guard.runs import Attempt, Beat, Observed, Run, RunKey
from pytest_temporal_guard.settings import Value

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
TIMEOUT = timedelta(seconds=30)
LIMITS: Any = {
    "max_history_events": Value(10_240, "the default"),
    "max_history_bytes": Value(10 * 1024**2, "the default"),
    "max_payload_bytes": Value(200_000, "the default"),
}


class _History:
    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        self.now = BEGIN

    def add(self, kind: str) -> HistoryEvent:
        number = EventType.Value(f"EVENT_TYPE_{kind}")
        event = HistoryEvent(event_id=len(self.events) + 1, event_type=number)
        event.event_time.FromDatetime(self.now)
        self.events.append(event)
        return event


def billing(workflow_id: str, events: int, test: str = "tests/test_billing.py::test_monthly") -> Run:
    """A run of about so many events: each day two activities, the first of which fails every seventh time."""
    history = _History()
    observed = Observed(RunKey("127.0.0.1:7233", "default", workflow_id, f"run of {workflow_id}"), "Billing", test)
    history.add("WORKFLOW_EXECUTION_STARTED").workflow_execution_started_event_attributes.input.payloads.add(
        data=b"x" * 120_000
    )
    day = 0
    while len(history.events) < events:
        day += 1
        for part in ("SCHEDULED", "STARTED", "COMPLETED"):
            history.add(f"WORKFLOW_TASK_{part}")
        _activity(history, observed, "charge_customer", day, fails=day % 7 == 1)
        _activity(history, observed, "send_invoice", day, fails=False)
        _timer(history, day)
    history.add("WORKFLOW_EXECUTION_COMPLETED")
    return Run(observed, WorkflowHistory(workflow_id, history.events))


def _activity(history: _History, observed: Observed, name: str, day: int, fails: bool) -> None:
    scheduled = history.add("ACTIVITY_TASK_SCHEDULED")
    body = scheduled.activity_task_scheduled_event_attributes
    body.activity_id, body.activity_type.name = f"{name}-{day}", name
    body.start_to_close_timeout.FromTimedelta(timedelta(minutes=5))
    body.heartbeat_timeout.FromTimedelta(TIMEOUT)
    body.input.payloads.add(data=b"y" * 100)
    if fails:  # it stops to beat, and is tried again
        beats = [Beat(history.now + timedelta(seconds=each)) for each in (8, 16, 24)]
        end = history.now + timedelta(seconds=75)
        observed.attempts.append(
            Attempt(name, body.activity_id, 1, history.now, end, "failed", beats, TIMEOUT, virtual=True)
        )
        history.now = end + timedelta(seconds=10)
    started = history.add("ACTIVITY_TASK_STARTED").activity_task_started_event_attributes
    started.scheduled_event_id, started.attempt = scheduled.event_id, 2 if fails else 1
    beats = [Beat(history.now + timedelta(seconds=each)) for each in (8, 16, 24, 32)]
    end = history.now + timedelta(seconds=40)
    observed.attempts.append(
        Attempt(name, body.activity_id, started.attempt, history.now, end, "completed", beats, TIMEOUT, virtual=True)
    )
    history.now = end
    completed = history.add("ACTIVITY_TASK_COMPLETED").activity_task_completed_event_attributes
    completed.scheduled_event_id = scheduled.event_id


def _timer(history: _History, day: int) -> None:
    started = history.add("TIMER_STARTED")
    body = started.timer_started_event_attributes
    body.timer_id = str(day)
    body.start_to_fire_timeout.FromTimedelta(timedelta(days=1))
    history.now += timedelta(days=1)
    fired = history.add("TIMER_FIRED").timer_fired_event_attributes
    fired.timer_id, fired.started_event_id = str(day), started.event_id
