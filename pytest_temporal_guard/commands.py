"""Two lists of a workflow's commands compared, and the first difference said in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any

from temporalio.bridge.proto.workflow_commands import WorkflowCommand

from pytest_temporal_guard.payloads import encoding_of
from pytest_temporal_guard.runs import Difference
from pytest_temporal_guard.wording import clipped, one_line

TERMINAL = (
    "complete_workflow_execution",
    "fail_workflow_execution",
    "cancel_workflow_execution",
    "continue_as_new_workflow_execution",
)
_CANCELS = (
    "request_cancel_activity",
    "request_cancel_local_activity",
    "request_cancel_nexus_operation",
    "cancel_timer",
    "cancel_child_workflow_execution",
    "cancel_signal_workflow",
)
# Tracing writes headers of its own in the first run only. Whether an activity may start eagerly is the worker's
# setting. The time at which a local activity was first scheduled is the machine's. A failure converter may put the
# message and the stack into the encoded attributes; stacks differ with the depth at which a runner calls.
_IGNORED = frozenset(
    (
        "headers",
        "nexus_header",
        "do_not_eagerly_execute",
        "original_schedule_time",
        "stack_trace",
        "encoded_attributes",
        "event_group_markers",
    )
)
_NAMES = {
    "schedule_activity": ("activity", "activity_type"),
    "schedule_local_activity": ("local activity", "activity_type"),
    "start_child_workflow_execution": ("child workflow", "workflow_type"),
    "signal_external_workflow_execution": ("signal", "signal_name"),
    "schedule_nexus_operation": ("Nexus operation", "operation"),
    "set_patch_marker": ("patch", "patch_id"),
    "update_response": ("answer to update", "protocol_instance_id"),
}
_PLAIN = {
    "start_timer": "timer",
    "complete_workflow_execution": "result of the workflow",
    "fail_workflow_execution": "failure of the workflow",
    "cancel_workflow_execution": "cancellation of the workflow",
    "continue_as_new_workflow_execution": "continue-as-new",
    "request_cancel_activity": "cancellation of an activity",
    "request_cancel_local_activity": "cancellation of a local activity",
    "request_cancel_nexus_operation": "cancellation of a Nexus operation",
    "cancel_timer": "cancellation of a timer",
    "cancel_child_workflow_execution": "cancellation of a child workflow",
    "cancel_signal_workflow": "cancellation of a signal",
    "request_cancel_external_workflow_execution": "cancellation of another workflow",
    "upsert_workflow_search_attributes": "change of search attributes",
    "modify_workflow_properties": "change of the memo",
}
_ARGUMENTS = ("arguments", "input", "args")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_WIDTH = 80

ADVICE = (
    "Take time from workflow.now(), ids from workflow.uuid4(), random numbers from workflow.random(), iterate over "
    "sorted(...) and not over a set, and keep state on the workflow's instance, not in globals."
)
_PRODUCTION = "A worker that has lost the run from its cache replays it, and goes on with other values than were sent."
_UNKNOWN = object()


def is_terminal(command: bytes) -> bool:
    """Whether a command ends its run."""
    return WorkflowCommand.FromString(command).WhichOneof("variant") in TERMINAL


def continues_as_new(command: bytes) -> bool:
    """Whether a command ends its run and starts the next link of its chain."""
    return WorkflowCommand.FromString(command).HasField("continue_as_new_workflow_execution")


def ends_nondeterministic(command: bytes) -> bool:
    """Whether a command ends its run with the SDK's own error for nondeterminism."""
    failure = WorkflowCommand.FromString(command).fail_workflow_execution.failure
    return failure.application_failure_info.type in ("NondeterminismError", "RestrictedWorkflowAccessError")


def counts(command: WorkflowCommand) -> bool:
    """Whether a replay gives the command again: answers to queries and refused updates are in no history."""
    kind = command.WhichOneof("variant")
    if kind == "update_response":
        return not command.update_response.HasField("rejected")
    return kind != "respond_to_query"


def tells_nondeterminism(command: WorkflowCommand) -> bool:
    """Whether a workflow fails with the very error, so that nothing is hidden."""
    if command.WhichOneof("variant") != "fail_workflow_execution":
        return False
    failure = command.fail_workflow_execution.failure
    while True:
        if failure.application_failure_info.type in ("RestrictedWorkflowAccessError", "NondeterminismError"):
            return True
        if "from inside a workflow" in failure.message:
            return True  # an error made of the message of the sandbox's
        if not failure.HasField("cause"):
            return False
        failure = failure.cause


def first_difference(
    first: Sequence[bytes],
    again: Sequence[bytes],
    parameters: Mapping[str, Sequence[str]],
    *,
    whole: bool = True,
) -> Difference | None:
    """How the commands of a replay (`again`) first differ from those of the first run; None if they are equal.

    Commands are serialised `WorkflowCommand`s. `parameters` names parameters of callees. With `whole` false, only as
    many commands are compared as both lists have.
    """
    if first == again:
        return None
    length = max(len(first), len(again)) if whole else min(len(first), len(again))
    pairs = zip_longest(_normal(first[:length]), _normal(again[:length]))
    for number, (one, other) in enumerate(pairs, start=1):
        if one is None or other is None or _title(one) != _title(other):
            return _other_command(number, one, other)
        for path, was, now in _fields(_body(one), _body(other)):
            return _other_value(one, path, was, now, parameters)
        for path, was, now in _fields(one.user_metadata, other.user_metadata):
            return _other_value(one, path, was, now, parameters)
    return None


def _normal(commands: Sequence[bytes]) -> list[WorkflowCommand]:
    """The commands; cancellations that stand together are sorted, for a TaskGroup asks for them in any order."""
    parsed = [WorkflowCommand.FromString(each) for each in commands]
    ordered: list[WorkflowCommand] = []
    for cancels, group in groupby(parsed, lambda each: each.WhichOneof("variant") in _CANCELS):
        together = list(group)
        if cancels:
            together.sort(key=lambda each: each.SerializeToString())
        ordered += together
    return ordered


def _body(command: WorkflowCommand) -> Any:
    return getattr(command, command.WhichOneof("variant") or "start_timer")


def _title(command: WorkflowCommand) -> str:
    """What a command is, as a phrase without an article: "activity `charge`"."""
    kind = command.WhichOneof("variant") or ""
    if kind == "update_response":
        return f"{command.update_response.WhichOneof('response')} update"
    if kind in _NAMES:
        noun, field = _NAMES[kind]
        return f"{noun} `{getattr(_body(command), field)}`"
    return _PLAIN.get(kind, kind.replace("_", " "))


def _fields(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The fields in which two messages of one type differ, by path; an absent one is None."""
    if one == other:
        return
    if one.DESCRIPTOR.full_name.endswith((".Payload", ".Duration", ".Timestamp")):
        yield path, one, other
        return
    for field in one.DESCRIPTOR.fields:
        if field.name in _IGNORED:
            continue
        inner = f"{path}.{field.name}" if path else field.name
        was, now = getattr(one, field.name), getattr(other, field.name)
        if field.message_type is None:
            if was != now and not (field.name == "message" and _ADDRESS.sub("", was) == _ADDRESS.sub("", now)):
                yield inner, was, now
        elif field.message_type.GetOptions().map_entry:
            for key in sorted({*was, *now}):
                yield from _pair(was.get(key), now.get(key), f"{inner}[{key!r}]")
        elif hasattr(was, "DESCRIPTOR"):
            yield from _pair(
                was if one.HasField(field.name) else None, now if other.HasField(field.name) else None, inner
            )
        else:
            for index, (left, right) in enumerate(zip_longest(was, now)):
                yield from _pair(left, right, f"{inner}[{index}]")


def _pair(was: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if was is None or now is None or not hasattr(was, "DESCRIPTOR"):
        if was != now:
            yield path, was, now
    else:
        yield from _fields(was, now, path)


def _other_command(number: int, one: WorkflowCommand | None, other: WorkflowCommand | None) -> Difference:
    was = _with_article(one) if one is not None else "nothing more"
    now = _with_article(other) if other is not None else "nothing more"
    return Difference(f"the first run's command {number} is {was}; in the replay it is {now}.", f"{_BRANCH} {ADVICE}")


_BRANCH = "The workflow stands still with a nondeterminism error as soon as a worker has to replay it."


def _with_article(command: WorkflowCommand) -> str:
    title = _title(command)
    if command.WhichOneof("variant") == "start_timer":
        return f"a timer of {_shown(command.start_timer.start_to_fire_timeout)}"
    if "`" in title:
        return title
    return f"the {title}" if title.endswith(("the workflow", "memo", "attributes")) else title


def _other_value(
    command: WorkflowCommand, path: str, was: Any, now: Any, parameters: Mapping[str, Sequence[str]]
) -> Difference:
    first, again = _shown(was), _shown(now)
    what = _what(command, path, parameters)
    return Difference(
        f"{what} was {first} in the first run and is {again} in the replay.",
        f"{_PRODUCTION} {_hint(first, again) or ADVICE}",
    )


def _what(command: WorkflowCommand, path: str, parameters: Mapping[str, Sequence[str]]) -> str:
    """Whose value a path leads to, as a phrase."""
    kind, title = command.WhichOneof("variant") or "", _title(command)
    field, _, rest = path.partition("[")
    if field in _ARGUMENTS and rest:
        callee = getattr(_body(command), _NAMES[kind][1]) if kind in _NAMES else ""
        index = int(rest.partition("]")[0])
        names = parameters.get(callee, ())
        name = f"`{names[index]}`" if index < len(names) else f"{index + 1}"
        return f"argument {name} of {title}"
    if kind == "start_timer" and field == "start_to_fire_timeout":
        return "the length of a timer"
    if kind == "complete_workflow_execution":
        return f"the {title}"
    if kind == "fail_workflow_execution":
        return f"the {title} ({path.removeprefix('failure.').replace('_', ' ')})"
    if kind == "update_response" and field == "completed":
        return "the result of an update"
    return f"the {path.replace('_', ' ')} of {_with_article(command)}"


def _shown(value: Any) -> str:
    """A value of a command for people: payloads decoded where they are text, shortened to 80 characters."""
    if value is None:
        return "absent"
    kind = getattr(getattr(value, "DESCRIPTOR", None), "full_name", "")
    if kind.endswith(".Payload"):
        text = _payload(value)
    elif kind.endswith(".Duration"):
        text = f"{value.ToTimedelta().total_seconds():g} s"
    elif kind.endswith(".Timestamp"):
        text = value.ToJsonString()
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = one_line(str(value))
    return clipped(text, _WIDTH)


def _payload(payload: Any) -> str:
    encoding = encoding_of(payload)
    if encoding == "binary/null":
        return "null"
    if "json" in encoding:
        return str(payload.data.decode(errors="replace"))
    return f"{len(payload.data)} bytes ({encoding or 'no encoding'}: {payload.data[:16].hex()})"


def _hint(first: str, again: str) -> str:
    """What the two values look like, as a sentence of advice; empty for what is not known."""
    if _UUID.search(first) and _UUID.search(again):
        return "The value holds a UUID: make it by workflow.uuid4()."
    one, other = _loaded(first), _loaded(again)
    if _is_time(first, one) and _is_time(again, other):
        return "The value looks like the time: take it from workflow.now()."
    if type(one) is type(other) and isinstance(one, (list, str)) and sorted(map(str, one)) == sorted(map(str, other)):
        return "The values differ in their order alone: iterate over sorted(...)."
    return ""


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return _UNKNOWN


def _is_time(text: str, value: Any) -> bool:
    """An ISO date, or seconds since 1970 of these decades; a JSON text may hold either."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return bool(_DATE.search(text))
    return 1.0e9 < number < 4.0e9 or 1.0e12 < number < 4.0e12
