"""Commands compared without a server: what counts as a difference, and how it is said."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.converter import default

from pytest_temporal_guard.commands import first_difference


def _activity(*arguments: Any, **fields: Any) -> bytes:
    command = WorkflowCommand()
    activity = command.schedule_activity
    activity.activity_type = "charge"
    activity.arguments.extend(default().payload_converter.to_payloads(arguments))
    for name, value in fields.items():
        setattr(activity, name, value)
    return command.SerializeToString()


def _cancel(seq: int) -> bytes:
    command = WorkflowCommand()
    command.request_cancel_activity.seq = seq
    return command.SerializeToString()


def _fail(message: str, stack: str = "") -> bytes:
    command = WorkflowCommand()
    command.fail_workflow_execution.failure.message = message
    command.fail_workflow_execution.failure.stack_trace = stack
    return command.SerializeToString()


def test_what_is_no_difference() -> None:
    """Order of cancellations, stacks, addresses of objects, eager execution, headers."""
    header = WorkflowCommand.FromString(_activity(1))
    header.schedule_activity.headers["span"].data = b"x"
    one = [_activity(1), _cancel(1), _cancel(2), _fail("<A object at 0x7f01> failed", "here")]
    other = [header.SerializeToString(), _cancel(2), _cancel(1), _fail("<A object at 0x7f02> failed", "there")]
    assert first_difference(one, other, {}) is None
    assert first_difference([_activity(1)], [_activity(1, do_not_eagerly_execute=True)], {}) is None
    assert first_difference([_activity(1)], [_activity(1), _cancel(1)], {}, whole=False) is None


@pytest.mark.parametrize(
    ("one", "other", "measured"),
    [
        (
            [_activity("a", {"b": 1})],
            [_activity("a", {"b": 2})],
            'argument 2 of activity `charge` was {"b":1} in the first run and is {"b":2} in the replay.',
        ),
        (
            [_activity("x" * 200)],
            [_activity(b"\0\1")],
            f'argument 1 of activity `charge` was "{"x" * 76}... in the first run and is 2 bytes (binary/plain: 0001) '
            "in the replay.",
        ),
        (
            [_activity(None)],
            [_activity()],
            "argument 1 of activity `charge` was null in the first run and is absent in the replay.",
        ),
        (
            [_activity(1), _cancel(1)],
            [_activity(1)],
            "the first run's command 2 is cancellation of an activity; in the replay it is nothing more.",
        ),
        (
            [_fail("a")],
            [_fail("b")],
            'the failure of the workflow (message) was "a" in the first run and is "b" in the replay.',
        ),
    ],
)
def test_how_a_difference_is_said(one: list[bytes], other: list[bytes], measured: str) -> None:
    """Values are decoded where they are JSON, and shortened to 80 characters."""
    found = first_difference(one, other, {})
    assert found is not None
    assert found.measured == measured


def test_hints() -> None:
    """A value's looks tell what to use."""
    named = {"charge": ("order",)}
    pairs = {
        "workflow.uuid4()": ("6f1c0b52-6e0f-4a53-9d9c-0c6f3b0b8b6e", "7f1c0b52-6e0f-4a53-9d9c-0c6f3b0b8b6e"),
        "workflow.now()": ("2026-01-01T10:00:00", "2026-01-01T10:00:01"),
        "workflow.now() ": (1795507039.5, 1795507039.6),
        "sorted(...)": (["a", "b"], ["b", "a"]),
    }
    for hint, (was, now) in pairs.items():
        found = first_difference([_activity(was)], [_activity(now)], named)
        assert found is not None
        assert "argument `order` of activity `charge`" in found.measured
        assert hint.strip() in found.advice
        assert "globals" not in found.advice
