"""Where a protobuf message holds payloads, and how they are encoded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

_PAYLOAD = "temporal.api.common.v1.Payload"


def walk(message: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The payloads of a message with the path to each: ("activity_task_scheduled_event_attributes.input[0]", payload).

    Headers, memos, search attributes and failures at any depth are included. About 12 microseconds for each event.
    """
    if message.DESCRIPTOR.full_name == _PAYLOAD:
        yield path, message
        return
    for name, kind in _fields(message.DESCRIPTOR):
        inner = f"{path}.{name}" if path else name
        if kind == "map":
            for key, value in getattr(message, name).items():
                yield from walk(value, f"{inner}[{key!r}]")
        elif kind == "repeated":
            # `Payloads` is a list and nothing else: `input[0]` says all that `input.payloads[0]` does
            outer = path if name == "payloads" else inner
            for index, value in enumerate(getattr(message, name)):
                yield from walk(value, f"{outer}[{index}]")
        elif message.HasField(name):
            yield from walk(getattr(message, name), inner)


def encoding_of(payload: Any) -> str:
    """How its data is encoded, as its converter says: "json/plain"; "" when it does not say."""
    return str(payload.metadata.get("encoding", b"").decode("ascii", "replace"))


@cache
def _fields(descriptor: Any) -> tuple[tuple[str, str], ...]:
    """The fields of a message type that may lead to a payload, with how they hold their messages."""
    return tuple(
        (field.name, _kind(field))
        for field in descriptor.fields
        if field.message_type is not None and _leads(field.message_type, frozenset())
    )


def _kind(field: Any) -> str:
    if field.message_type.GetOptions().map_entry:
        return "map"
    # `label` went away in protobuf 7, `is_repeated` came in 6
    repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
    return "repeated" if repeated else "single"


def _leads(descriptor: Any, seen: frozenset[str]) -> bool:
    if descriptor.full_name == _PAYLOAD:
        return True
    if descriptor.full_name in seen:
        return False
    seen |= {descriptor.full_name}
    return any(field.message_type is not None and _leads(field.message_type, seen) for field in descriptor.fields)
