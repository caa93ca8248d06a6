"""One workflow run: its history, and what the workers of this process saw of it.

The history is the server's truth. Heartbeats, the attempts of an activity, the commands of a workflow and the failures
of its tasks are in no history (or only the last of them); they are observed in the worker. Times are `datetime`s in UTC
on the server's clock, which may be virtual; durations are `timedelta`s of that clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from temporalio.api.enums.v1 import EventType, TimeoutType

from pytest_temporal_guard.payloads import walk

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import Client, WorkflowHistory
    from temporalio.worker import Worker

    from pytest_temporal_guard.guards import Breach
    from pytest_temporal_guard.preserve import Bindings

# The dev server's per-workflow clock writes an event for each skip. Production has none, so none is counted.
TIME_SKIPPING_EVENT = 60

Outcome = Literal["completed", "failed", "timed out", "cancelled", "terminated", "continued as new", "running"]

_OUTCOMES: dict[int, Outcome] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "completed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continued as new",
}
CLOSED = frozenset(_OUTCOMES)
"""The types of the events that end a run."""
_ACTIVITY_ENDS: dict[int, Outcome] = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "completed",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "failed",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "timed out",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "cancelled",
}
ACTIVITY_ENDS = frozenset(_ACTIVITY_ENDS)
"""The types of the events that end an activity."""


class RunKey(NamedTuple):
    """What names a run among all servers of a test session."""

    target: str
    namespace: str
    workflow_id: str
    run_id: str

    @classmethod
    def of(cls, client: Client, workflow_id: str, run_id: str) -> RunKey:
        """That of a run which a client knows."""
        return cls(target_of(client), client.namespace, workflow_id, run_id)


def target_of(client: Client) -> str:
    """HOST:PORT of the server that a client is connected to."""
    return client.service_client.config.target_host


@dataclass(frozen=True)
class Beat:
    """One heartbeat: when, with what details, and how many bytes these are when encoded."""

    at: datetime
    details: tuple[Any, ...] = ()
    size: int = 0


@dataclass(frozen=True)
class Block:
    """The event loop stood still in an async activity, for how long, and the stack at that moment."""

    seconds: float
    stack: str


@dataclass
class Attempt:
    """One attempt of an activity, as its worker saw it. `end` is None while it runs.

    `virtual` says that its sleeps moved the server's clock. `resumed_from` are the heartbeat details it was given, and
    `read_details` tells, for an activity of `expect_resume`, whether it looked at them. `lost` says that the guard took
    its worker away, at its last beat.
    `server_start` is its start on the server's clock, which skipping sets apart from the clock of `start`.
    """

    activity: str
    activity_id: str
    number: int
    start: datetime
    end: datetime | None = None
    outcome: Outcome = "running"
    beats: list[Beat] = field(default_factory=list)
    heartbeat_timeout: timedelta | None = None
    is_async: bool = True
    is_local: bool = False
    virtual: bool = False
    resumed_from: tuple[Any, ...] = ()
    read_details: bool = False
    lost: bool = False
    blocks: list[Block] = field(default_factory=list)
    server_start: datetime | None = None

    @property
    def gaps(self) -> list[timedelta]:
        """The times without a beat: before the first, between two, and after the last."""
        points = [self.start, *(each.at for each in self.beats), *([self.end] if self.end else [])]
        return [later - earlier for earlier, later in pairwise(points)]

    @property
    def longest_gap(self) -> timedelta:
        """The longest of `gaps`; zero for an attempt that has just started."""
        return max(self.gaps, default=timedelta(0))

    @property
    def duration(self) -> timedelta | None:
        """From start to end."""
        return self.end - self.start if self.end else None


@dataclass(frozen=True)
class TaskFailure:
    """A workflow task that failed: the type of the error, its message and its stack."""

    type: str
    message: str
    stack: str = ""


@dataclass(frozen=True)
class Repeat:
    """What came of the second run of an activity whose first result was thrown away.

    `kind` is "state" (it changed the state), "result" (another result), "raised" (it failed), "snapshot" (the state
    could not be read), "beside" (another activity ran at the same time, so its changes are nobody's) or "left" (it was
    not run again). `details` are phrases: what changed, both results, the error, the reason.
    """

    activity: str
    activity_id: str
    kind: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.activity}: {self.kind}{': ' if self.details else ''}{'; '.join(self.details)}"


class Difference(NamedTuple):
    """What a replay did otherwise than the first run, and what to change; both are sentences."""

    measured: str
    advice: str


@dataclass
class Observed:
    """What the workers of this process saw of one run. Written by worker threads, read once the run is judged.

    `commands` are the workflow's commands so far, serialised, in order. `test` is the test that was running when the
    run was first seen. `parameters` names the parameters of the workflow and of the activities it may call.
    `bindings` are what the globals that the workflow may use were bound to when it began.
    `task_failures` are those in a row, `progress` the lengths of the history at which activations went well since.
    `activating` and `deadlocked` are the times (`time.monotonic`) at which the activation that runs began, and at which
    the SDK last gave one up.
    """

    key: RunKey
    workflow_type: str
    test: str | None = None
    parent: tuple[str, str] | None = None
    continued_from: str | None = None
    worker: Worker | None = None
    commands: list[bytes] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    task_failures: list[TaskFailure] = field(default_factory=list)
    swallowed: list[str] = field(default_factory=list)
    unfinished_handlers: list[str] = field(default_factory=list)
    not_idempotent: list[Repeat] = field(default_factory=list)
    replay: list[Difference] = field(default_factory=list)
    bindings: Bindings = field(default_factory=list)
    stuck: str | None = None
    stuck_told: bool = False
    progress: set[int] = field(default_factory=set)
    activating: float | None = None
    deadlocked: float | None = None

    @property
    def failing(self) -> bool:
        """Whether the last workflow task failed, and none has succeeded since."""
        return bool(self.task_failures) and not self.progress

    def advanced(self, length: int) -> None:
        """An activation at a history of so many events went well, and was no replay."""
        self.progress.add(length)

    def failed(self, failure: TaskFailure, length: int | None) -> None:
        """A task failed, at a history of so many events if that is known.

        One task may take several activations: those of the task that fails now do not part its failures from those
        before; an earlier task that went well does.
        """
        earlier = len(self.progress) > 1 if length is None else any(each < length for each in self.progress)
        if earlier:
            self.task_failures.clear()
        self.progress.clear()
        self.task_failures.append(failure)


@dataclass(frozen=True)
class Payload:
    """One payload in the history. `path` leads to it in its event; `what` says whose it is, as a phrase."""

    event_id: int
    event_type: str
    path: str
    what: str
    size: int


@dataclass
class ActivityRun:
    """One activity of a run, as scheduled: its timeouts, its attempts and how it ended.

    `attempts` is what workers of this process saw; `attempt_count` is the server's own number.
    """

    id: str
    type: str
    scheduled_event_id: int
    scheduled: datetime
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    maximum_attempts: int
    started: datetime | None = None
    closed: datetime | None = None
    outcome: Outcome = "running"
    timeout_type: str | None = None
    failure: str | None = None
    attempt_count: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def duration(self) -> timedelta | None:
        """From its schedule to its end, retries included; None while it runs."""
        return self.closed - self.scheduled if self.closed else None

    @property
    def heartbeats(self) -> list[Beat]:
        """The beats of all attempts, in order."""
        return [beat for attempt in self.attempts for beat in attempt.beats]


@dataclass(frozen=True)
class Timer:
    """A timer of the workflow: its length and whether it fired."""

    id: str
    duration: timedelta
    fired: bool


class Run:
    """A workflow run with its history. `history` is None when the server that had it is gone."""

    def __init__(
        self,
        observed: Observed,
        history: WorkflowHistory | None,
        *,
        parameters: dict[str, tuple[str, ...]] | None = None,
        result: Any = None,
        error: BaseException | None = None,
    ) -> None:
        self.observed = observed
        self.history = history
        self.result = result
        self.error = error
        self.children: list[Run] = []
        self.continued: list[Run] = []
        self.breaches: list[tuple[str, str, Breach]] = []  # guard, level, what it found
        self._parameters = parameters or {}

    @property
    def parameters(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the parameters of workflows and activities, by their names."""
        return self._parameters

    def __repr__(self) -> str:
        return f"<Run {self.workflow_type} {self.workflow_id} {self.outcome}, {len(self.events)} events>"

    @property
    def workflow_type(self) -> str:
        """The name of the workflow."""
        return self.observed.workflow_type

    @property
    def workflow_id(self) -> str:
        """Its id."""
        return self.observed.key.workflow_id

    @property
    def run_id(self) -> str:
        """The id of this run."""
        return self.observed.key.run_id

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.workflow_type} (id {self.workflow_id})"

    @cached_property
    def events(self) -> Sequence[HistoryEvent]:
        """The events of the history, without those that only time skipping makes."""
        history = self.history.events if self.history is not None else ()
        return [event for event in history if event.event_type != TIME_SKIPPING_EVENT]

    @cached_property
    def history_bytes(self) -> int:
        """The size of the events as the server stores them: their protobuf encoding."""
        return sum(event.ByteSize() for event in self.events)

    @property
    def outcome(self) -> Outcome:
        """How the run ended."""
        return _OUTCOMES.get(self.events[-1].event_type, "running") if self.events else "running"

    @property
    def closed(self) -> bool:
        """Whether the run has ended."""
        return self.outcome != "running"

    @cached_property
    def virtual_duration(self) -> timedelta:
        """From the first event to the last, on the server's clock."""
        return event_time(self.events[-1]) - event_time(self.events[0]) if self.events else timedelta(0)

    @cached_property
    def payloads(self) -> list[Payload]:
        """Every payload of every event, the largest first."""
        found = [
            Payload(event.event_id, type_name(event), path, self._whose(event, path), payload.ByteSize())
            for event in self.events
            for path, payload in walk(event)
        ]
        return sorted(found, key=lambda each: -each.size)

    @cached_property
    def activities(self) -> list[ActivityRun]:
        """The activities that the run scheduled, in order; local ones are in no history."""
        found: dict[int, ActivityRun] = {}
        for event in self.events:
            kind = event.event_type
            if kind == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                found[event.event_id] = _scheduled(event)
            elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                activity = found.get(started.scheduled_event_id)
                if activity is not None:
                    activity.started, activity.attempt_count = event_time(event), started.attempt
            elif kind in _ACTIVITY_ENDS:
                _close(found, event)
        by_id: dict[str, list[Attempt]] = {}
        for attempt in self.observed.attempts:
            by_id.setdefault(attempt.activity_id, []).append(attempt)
        for activity in found.values():
            activity.attempts = sorted(by_id.get(activity.id, []), key=lambda each: each.number)
        return list(found.values())

    @cached_property
    def timers(self) -> list[Timer]:
        """The timers that the run started, in order."""
        fired = {
            event.timer_fired_event_attributes.timer_id
            for event in self.events
            if event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
        }
        starts = [
            event.timer_started_event_attributes
            for event in self.events
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
        ]
        return [
            Timer(each.timer_id, each.start_to_fire_timeout.ToTimedelta(), each.timer_id in fired) for each in starts
        ]

    def save(self, path: str | Path) -> Path:
        """Write the history as JSON, as the CLI and the web UI export it; returns the path.

        A file that ends in `.history.json` is collected as a test: replayed, and judged by the guards. Raises
        ValueError when the history is not to be had.
        """
        if self.history is None:
            raise ValueError(f"The history of {self.title} is not to be had: its server is gone.")
        return write_history(self.history, Path(path))

    def _whose(self, event: HistoryEvent, path: str) -> str:
        """Whose payload it is, as a phrase."""
        attributes, _, rest = path.partition(".")
        field_name, _, index = rest.partition("[")
        body = getattr(event, attributes, None)
        if body is None:
            return path
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED and field_name == "input":
            return self._argument(body.activity_type.name, index, "activity")
        if event.event_type in _ACTIVITY_ENDS:
            scheduled = self._types_by_scheduled_event.get(body.scheduled_event_id, "?")
            part = {"result": "result", "details": "cancellation details", "failure": "failure"}.get(field_name, rest)
            return f"{part} of activity `{scheduled}`"
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED and field_name == "input":
            return self._argument(self.workflow_type, index, "workflow")
        if event.event_type == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED and field_name == "input":
            return self._argument(body.workflow_type.name, index, "child workflow")
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED and field_name == "input":
            return self._argument(body.signal_name, index, "signal")
        if event.event_type in _OUTCOMES:
            return f"{field_name} of workflow `{self.workflow_type}`"
        return f"`{field_name}` of {type_name(event)}"

    def _argument(self, callee: str, index: str, kind: str) -> str:
        position = int(index.rstrip("]")) if index.rstrip("]").isdigit() else 0
        names = self._parameters.get(callee, ())
        name = f"`{names[position]}`" if position < len(names) else f"{position + 1}"
        return f"argument {name} of {kind} `{callee}`"

    @cached_property
    def _types_by_scheduled_event(self) -> dict[int, str]:
        return {
            event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name
            for event in self.events
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        }


def write_history(history: WorkflowHistory, target: Path) -> Path:
    """Write a history as JSON, as the CLI and the web UI export it, and make its directory; returns the path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(history.to_json_dict(), indent=2, ensure_ascii=False)
    target.write_text(text + "\n", encoding="utf-8")
    return target


def type_name(event: HistoryEvent) -> str:
    """The event's type as the documentation names it: ACTIVITY_TASK_SCHEDULED."""
    try:
        return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
    except ValueError:
        return f"event type {event.event_type}"


def event_time(event: HistoryEvent) -> datetime:
    """When it was written, on the server's clock."""
    return event.event_time.ToDatetime().replace(tzinfo=timezone.utc)


def attributes_of(event: HistoryEvent) -> Any:
    """What an event has beside its type, its id and its time."""
    return getattr(event, event.WhichOneof("attributes") or "", None)


def _scheduled(event: HistoryEvent) -> ActivityRun:
    body = event.activity_task_scheduled_event_attributes
    return ActivityRun(
        id=body.activity_id,
        type=body.activity_type.name,
        scheduled_event_id=event.event_id,
        scheduled=event_time(event),
        start_to_close_timeout=body.start_to_close_timeout.ToTimedelta() or None,
        heartbeat_timeout=body.heartbeat_timeout.ToTimedelta() or None,
        maximum_attempts=body.retry_policy.maximum_attempts,
    )


def _close(found: dict[int, ActivityRun], event: HistoryEvent) -> None:
    attributes = attributes_of(event)
    activity = found.get(attributes.scheduled_event_id)
    if activity is None:
        return
    activity.closed, activity.outcome = event_time(event), _ACTIVITY_ENDS[event.event_type]
    if event.event_type in (EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT):
        failure = attributes.failure
        activity.failure = failure.message
        if failure.HasField("timeout_failure_info"):
            kind = TimeoutType.Name(failure.timeout_failure_info.timeout_type)
            activity.timeout_type = kind.removeprefix("TIMEOUT_TYPE_").lower().replace("_", " ")
