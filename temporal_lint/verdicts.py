"""What the SDK's data converters do with types of other packages, and the words in which that is said.

Truth is `data/serialization.json`, made by `tools/serialization_table.py`, which runs the SDK's own converters. Its
`types` maps a dotted type to three words, one letter for each question: `r` refused, `c` carried, `d` carried by
draining the value (an iterator, an open file), `-` it depends. The first word is the default converter's, the second
the pydantic converter's: the value itself, in a container, in a dataclass field, as a key of a dict, the type as an
annotation, and as the annotation of a dict's keys. The third is `json.JSONEncoder`'s: the value, and as a key. What is
not in the table is not known.
"""

from __future__ import annotations

import builtins
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from temporal_lint.converters import Converter
from temporal_lint.resolve import Type

_TABLE = Path(__file__).parent / "data" / "serialization.json"

# Where a value stands, and what an annotation is of; the place of each letter in a word of the table.
Place = Literal["value", "element", "field", "key"]
Annotated = Literal["annotation", "annotation of keys"]
_PLACES: dict[Place | Annotated, int] = {
    "value": 0, "element": 1, "field": 2, "key": 3, "annotation": 4, "annotation of keys": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """What cannot be carried. `path` leads from the whole to it (`.lock`, `[2]`, `["key"]`; "" is the whole itself);
    `what` names it as a phrase; `advice` says what to send instead.

    `drained` marks what is carried after all, but used up by encoding it; `in_keys` what stands in a key of a dict;
    `unsendable` what could be decoded, from a dict for example, and not be encoded.
    """

    path: str
    what: str
    advice: str
    drained: bool = False
    in_keys: bool = False
    unsendable: bool = False

    def as_key(self) -> Refusal:
        """The same as (a part of) a key of the dict that is looked at."""
        return replace(self, what=f"a dict key that is {self.what}", advice=STRING_KEYS, in_keys=True)

    @property
    def is_part(self) -> bool:
        """Whether it is held by what was asked about, and not that itself."""
        return bool(self.path) or self.in_keys

    def inside(self, step: str) -> Refusal:
        """The same, seen from one level up."""
        return replace(self, path=step + self.path)

    @property
    def phrase(self) -> str:
        """What it is and where."""
        return f"{self.what} (at `{self.path}`)" if self.path else self.what


@cache
def types() -> dict[str, list[str]]:
    """The table: the words of each type."""
    loaded: dict[str, list[str]] = json.loads(_TABLE.read_text(encoding="utf-8"))["types"]
    return loaded


def letter(name: str, converter: Converter, place: Place | Annotated) -> str:
    """The table's letter for a type. "-" for unknown types."""
    words = types().get(name)
    if words is None:
        return "-"
    index = _PLACES[place]
    if converter == "json":
        return words[2][1 if place == "key" else 0]
    if converter == "default":
        return words[0][index]
    if converter == "pydantic":
        return words[1][index]
    letters = {words[0][index], words[1][index]}
    return letters.pop() if len(letters) == 1 else "d" if letters == {"r", "d"} else "-"


def family(name: str) -> str:
    """The table's name for a type: exceptions are all alike, and so are protobuf messages."""
    if name in types():
        return name
    head, _, last = name.rpartition(".")
    found = getattr(builtins, last, None) if head == "builtins" else None
    if (isinstance(found, type) and issubclass(found, BaseException)) or head == "temporalio.exceptions":
        return "builtins.BaseException"
    is_message = head.startswith("temporalio.api.") and ".enums." not in head and last[:1].isupper()
    return "google.protobuf.empty_pb2.Empty" if is_message else name


def article(found: Type) -> str:
    """How a sentence names a value of a type."""
    known = _PHRASES.get(found.name)
    if known is not None:
        return known
    if found.name in ("builtins.BaseException", "builtins.Exception"):
        return "an exception"
    if family(found.name) == "builtins.BaseException":
        return f"an exception, `{found.name.rpartition('.')[2]}`"
    name = found.name.removeprefix("builtins.")
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} `{name}`"


def advice(name: str, converter: Converter) -> str:
    if name in _ADVICE:
        return _ADVICE[name]
    if converter == "default" and letter(name, "pydantic", "value") == "c":
        return f"Send it as text or a number, or connect clients and workers with `{_PYDANTIC}`, which carries it."
    if converter == "json":
        return LEGACY
    if name.split(".", 1)[0] in ("numpy", "pandas", "polars", "pyarrow"):
        return "Send plain Python values (`.item()`, `.tolist()`), or store the data and send a reference to it."
    return _RESOURCE


_PYDANTIC = "pydantic_data_converter"
CONNECT_PYDANTIC = f"Connect clients and workers with `{_PYDANTIC}`."
PLAIN = "Make it a dataclass of plain fields, or send the values it is made of."
LEGACY = "Send what JSON knows: numbers, text, lists and dicts of them."
ENUM = "Derive the enumeration from `str` or `int` as well, or send the member's `.value`."
EXCEPTION = "Send `str(error)` or the facts it carries; to fail, raise it."
CYCLE = "Send it without the cycle, such as the ids of what it refers to."
DEPTH = "Send a flat list and the order or the parents of its elements."
SURROGATE = "Send bytes, or text that UTF-8 can encode."
TYPED_DICT = "Take `TypedDict` from `typing_extensions`."
STRING_KEYS = "Use text for all keys of the dict."
FILE = "Send the path, or read the file and send its content."
GENERATOR = "Send a list of its elements."
_RESOURCE = "Create it where it is used and send only the data needed to do so."
_FUNCTION = "Send data, such as a name that the receiver maps to the function."
_COROUTINE = "Await it first and send the result."

DRAINED = dict.fromkeys(
    (
        "io.IOBase", "io.RawIOBase", "io.BufferedIOBase", "io.TextIOBase", "io.TextIOWrapper", "io.BufferedReader",
        "io.BytesIO", "io.StringIO", "typing.IO", "typing.TextIO", "typing.BinaryIO",
    ),
    FILE,
)  # fmt: skip
_ADVICE = {
    **DRAINED,
    **dict.fromkeys(
        (
            "types.FunctionType", "types.LambdaType", "types.MethodType", "types.BuiltinFunctionType",
            "functools.partial", "collections.abc.Callable", "builtins.type", "types.ModuleType",
            "operator.itemgetter", "operator.attrgetter",
        ),
        _FUNCTION,
    ),
    **dict.fromkeys(
        (
            "types.CoroutineType", "collections.abc.Coroutine", "collections.abc.Awaitable", "asyncio.Future",
            "asyncio.Task", "temporalio.workflow.ActivityHandle",
        ),
        _COROUTINE,
    ),
    **dict.fromkeys(("types.GeneratorType", "types.AsyncGeneratorType"), GENERATOR),
    "builtins.BaseException": EXCEPTION,
    "builtins.object": "Name the type that is sent, such as a dataclass, or `Any`.",
    "types.SimpleNamespace": PLAIN,
}  # fmt: skip
_PHRASES = {
    "types.FunctionType": "a function",
    "types.LambdaType": "a lambda",
    "types.MethodType": "a method",
    "types.BuiltinFunctionType": "a function",
    "types.CoroutineType": "a coroutine that nothing awaited",
    "types.GeneratorType": "a generator",
    "types.AsyncGeneratorType": "an asynchronous generator",
    "types.ModuleType": "a module",
    "builtins.type": "a class",
    "io.IOBase": "an open file",
    "builtins.ellipsis": "`...`",
}
