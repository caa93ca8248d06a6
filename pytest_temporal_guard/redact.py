"""Takes what is said out of a history and leaves its shape, so that it can be kept beside tests.

What is replaced: the data of every payload (arguments, results, signals, memos, headers, search attributes, details),
messages and stacks of failures, reasons of cancellations and terminations. What stays: event types and times, names of
workflows, activities, signals and queues, ids, identities of workers, types of errors, names of fields.

Each payload keeps its size, so that the guards measure what was there. In JSON, fields, list lengths, true, false and
null stay; text becomes "x", a number 0; dates and UUIDs become other ones, so that they still decode. A key that does
not look like the name of a field is taken for data and becomes a number. A protobuf message becomes an empty one, other
bytes become zeros.

A replay of such a history needs its commands to be the same. They are not where the workflow branches on a text or
number, loops by one, or decodes what is no longer valid (an enumeration, an encrypted payload). Such a replay fails
with a nondeterminism or decoding error that the original history does not give; export with the payloads then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_temporal_guard.payloads import encoding_of, walk
from pytest_temporal_guard.runs import attributes_of

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload
    from temporalio.api.history.v1 import HistoryEvent

WORD = "redacted"

_FAILURE = "temporal.api.failure.v1.Failure"
_KEPT_METADATA = ("encoding", "messageType", "type")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_DIGIT = re.compile(r"\d")
# What the SDK's core writes for itself in a marker; it reads it back when it replays.
_CORE_MARKERS = ("core_local_activity", "core_patch")
_PATCHES = "['TemporalChangeVersion']"
# A field number that no message of Temporal or a user has: parsers skip it, so it can fill a message up.
_PADDING_TAG = b"\xfa\xff\xff\xff\x0f"


def redact(events: Iterable[HistoryEvent]) -> int:
    """Redact events in place; gives back how many payloads a replay can no longer decode."""
    opaque = 0
    for event in events:
        for path, payload in list(walk(event)):
            if not _is_core_s(event, path):
                opaque += not _redact_payload(payload)
        for failure in _failures(event):
            failure.message = failure.message and WORD
            failure.stack_trace = ""
        _redact_reasons(event)
    return opaque


def _is_core_s(event: HistoryEvent, path: str) -> bool:
    marker = event.marker_recorded_event_attributes.marker_name
    return path.endswith(_PATCHES) or (marker in _CORE_MARKERS and "['result']" not in path)


def _redact_payload(payload: Payload) -> bool:
    """Replace the data, keep the size; False if nothing of it can be decoded any more."""
    size, encoding = len(payload.data), encoding_of(payload)
    decodable = True
    if encoding == "json/plain":
        payload.data = _padded(_json(payload.data), size)
    elif encoding == "json/protobuf":
        payload.data = _padded(b"{}", size)
    elif encoding == "binary/protobuf":
        payload.data = _filled_message(size)
    elif encoding in ("binary/plain", "binary/null"):
        payload.data = bytes(size)
    else:
        payload.data, decodable = bytes(size), size == 0
    for key, value in payload.metadata.items():
        if key not in _KEPT_METADATA:
            payload.metadata[key] = bytes(len(value))
    return decodable


def _padded(data: bytes, size: int) -> bytes:
    return data.ljust(size)


def _json(data: bytes) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return b"null"
    text = json.dumps(_shape(value), separators=(",", ":")).encode()
    # Keys that are numbers of few digits can make it longer; the size goes before the shape then.
    return text if len(text) <= len(data) else b"null"


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        shaped: dict[str, Any] = {}
        for key, inner in value.items():
            filler = "0" if key.isdigit() else "x"
            name = key if _FIELD_NAME.fullmatch(key) else str(len(shaped)).rjust(len(key), filler)
            while name in shaped:
                name += filler
            shaped[name] = _shape(inner)
        return shaped
    if isinstance(value, list):
        return [_shape(each) for each in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    return 0.0 if isinstance(value, float) else 0


def _text(value: str) -> str:
    if _UUID.fullmatch(value):
        return "00000000-0000-0000-0000-000000000000"
    if _DATE.fullmatch(value):
        return "1970-01-01" + _DIGIT.sub("0", value[10:])
    return "x" if value else ""


def _filled_message(size: int) -> bytes:
    """A protobuf message without known fields of `size` bytes; of none where `size` is too small for a field."""
    for width in range(1, 6):
        rest = size - len(_PADDING_TAG) - width
        if 0 <= rest < 128**width:
            return _PADDING_TAG + _varint(rest, width) + bytes(rest)
    return b""


def _varint(number: int, width: int) -> bytes:
    """A number in exactly so many bytes: leading zeros are allowed, and let every size be reached."""
    parts = [number >> 7 * place & 0x7F | 0x80 for place in range(width)]
    return bytes([*parts[:-1], parts[-1] & 0x7F])


def _failures(message: Any) -> Iterator[Any]:
    if message.DESCRIPTOR.full_name == _FAILURE:
        yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for each in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _failures(each)


def _redact_reasons(event: HistoryEvent) -> None:
    body = attributes_of(event)
    if body is None:
        return
    for field, value in body.ListFields():
        if field.name in ("reason", "cause") and isinstance(value, str) and value:
            setattr(body, field.name, WORD)
