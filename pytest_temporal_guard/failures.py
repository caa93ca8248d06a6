"""A failure of the protocol as people read it, and what to change when it keeps a workflow from going on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_temporal_guard.runs import TaskFailure

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure

PAYLOADS_TOO_LARGE = "PayloadsTooLarge"


class _Remedy(NamedTuple):
    """`marks` are parts of a failure's type or message; the first remedy one of whose marks is found is the one."""

    marks: tuple[str, ...]
    advice: str


_REMEDIES = (
    _Remedy(
        (PAYLOADS_TOO_LARGE, "TMPRL1103", "exceeds size limit", "GrpcMessageTooLarge"),
        "A payload is larger than the server takes (2 MiB). Store the data and pass a reference to it (a key, an id, "
        "a path), or send less of it.",
    ),
    _Remedy(
        ("TMPRL1101", "DeadlockError"),
        "Workflow code must give way within two seconds. Move the work that blocks to an activity; wait with "
        "`workflow.sleep` or `workflow.wait_condition`.",
    ),
    _Remedy(
        ("Activity function ",),
        "Give the activity to the worker (`activities=[...]`), or correct the name or the task queue in the call.",
    ),
    _Remedy(
        ("Workflow class ",),
        "Give the workflow to the worker (`workflows=[...]`), or correct the name or the task queue in the call.",
    ),
    _Remedy(
        ("start_to_close_timeout or schedule_to_close_timeout",),
        "Give the call a `start_to_close_timeout`.",
    ),
    _Remedy(
        ("RestrictedWorkflowAccessError", "NondeterminismError", "TMPRL1100", "Nondeterminism"),
        "A workflow gives the same commands whenever it is replayed. Move what is not deterministic to an activity, "
        "or use what `temporalio.workflow` has for it (`now`, `random`, `uuid4`); pass harmless imports through the "
        "sandbox.",
    ),
    _Remedy(
        ("Failed encoding", "odec"),
        "Look at the payload codec of the client's data converter: it cannot encode or decode a payload.",
    ),
    _Remedy(
        ("Failed decoding",),
        "The value that was sent does not fit the annotated type. Send what the annotation says, or correct it.",
    ),
    _Remedy(
        ("serializ", "to_payload", "No converter", "no known converter", "JSON compliant"),
        "Pass a value that the data converter can encode (a dataclass of simple types, str instead of Decimal), or "
        "give the client a data converter that can (such as `pydantic_data_converter`).",
    ),
)
_OTHER = (
    "An error that is no `FailureError` fails the task of a workflow and not the workflow, and the server tries the "
    "task again until the code is mended. Mend it; where the workflow is to fail, raise `ApplicationError` or name the "
    "type in `workflow_failure_exception_types`."
)


def read(failure: Failure) -> TaskFailure:
    """The type, the message with those of its causes, and the stack of the innermost cause that has one."""
    kind, messages, stack = failure.application_failure_info.type or "Error", [failure.message], failure.stack_trace
    while failure.HasField("cause"):
        failure = failure.cause
        inner = failure.application_failure_info.type
        messages.append(f"{inner}: {failure.message}" if inner else failure.message)
        stack = failure.stack_trace or stack
    return TaskFailure(kind, ", because of ".join(each for each in messages if each), stack)


def advice(failure: TaskFailure) -> str:
    """What to change, so that it does not happen."""
    text = f"{failure.type}: {failure.message}"
    return next((each.advice for each in _REMEDIES if any(mark in text for mark in each.marks)), _OTHER)
