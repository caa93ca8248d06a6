"""Definitions behind the rows of payload_kinds.json: what the SDK's converters are asked to carry."""

import abc
import array
import asyncio
import collections
import collections.abc
import contextvars
import datetime
import decimal
import email.message
import enum
import fractions
import functools
import http
import http.cookies
import io
import ipaddress
import itertools
import logging
import numbers
import os
import pathlib
import re
import socket
import sqlite3
import threading
import time
import traceback
import types
import typing
import urllib.parse
import uuid
import weakref
import xml.etree.ElementTree
import zoneinfo
from dataclasses import InitVar, dataclass, field
from typing import Any, Generic, NamedTuple, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import attr
import google.protobuf.timestamp_pb2
import numpy as np
import pandas as pd
import pydantic
import pydantic.dataclasses
import temporalio.api.common.v1
import temporalio.common
import typing_extensions

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)
NAIVE = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")
T = TypeVar("T")
UserId = NewType("UserId", int)
UUIDId = NewType("UUIDId", uuid.UUID)
NT = collections.namedtuple("NT", "a b")


class TNT(NamedTuple):
    a: int
    b: str


class TD(TypedDict):
    a: int
    b: str


class TDT(TypedDict):
    t: datetime.datetime


class TDX(typing_extensions.TypedDict):
    a: int
    b: str


class TDXT(typing_extensions.TypedDict):
    t: datetime.datetime


class TDNR(TypedDict):
    a: int
    b: typing_extensions.NotRequired[str]


class Plain:
    def __init__(self) -> None:
        self.x = 1


class PlainSlots:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 1


class Iter:
    def __iter__(self) -> typing.Iterator[int]:
        return iter([1, 2])


class HasDict:
    def dict(self) -> dict[str, int]:
        return {"a": 1}


class GetItem:
    def __getitem__(self, index: int) -> int:
        return [1, 2][index]


class HasToJson:
    def to_json(self) -> str:
        return "{}"


class Ctx:
    def __enter__(self) -> "Ctx":
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class Proto(Protocol):
    a: int


class MyExc(Exception):
    pass


class MyStr(str):
    pass


class MyInt(int):
    pass


class MyList(list):
    pass


class MyDict(dict):
    pass


class MyDT(datetime.datetime):
    pass


class Color(enum.Enum):
    RED = "red"


class Num(enum.Enum):
    ONE = 1


class E2(enum.Enum):
    X = enum.auto()


class SE(enum.StrEnum):
    A = "a"


class StrMix(str, enum.Enum):
    A = "a"


class IE(enum.IntEnum):
    A = 1


class Fl(enum.Flag):
    A = enum.auto()


class IFl(enum.IntFlag):
    A = 1
    B = 2


@dataclass
class DC:
    a: int
    b: str = "x"


@dataclass
class DCNested:
    d: DC
    l: list[DC]
    m: dict[str, DC]


@dataclass
class DCRich:
    t: datetime.datetime
    o: Optional[int]
    u: Optional[uuid.UUID]


@dataclass
class DCDecimal:
    v: decimal.Decimal


@dataclass
class DCSet:
    v: set[int]


@dataclass
class DCBytes:
    v: bytes


@dataclass
class DCTuple:
    v: tuple[int, str]


@dataclass
class DCDate:
    v: datetime.date


@dataclass
class DCTimedelta:
    v: datetime.timedelta


@dataclass
class DCPath:
    v: pathlib.Path


@dataclass
class DCLock:
    v: Any = field(default_factory=threading.Lock)


@dataclass
class DCPlain:
    v: Any


@dataclass
class DCBare:
    v: dict
    w: list


@dataclass
class DCTimeDict:
    v: dict


@dataclass
class DCIntKey:
    v: dict[int, str]


@dataclass(frozen=True)
class DCFrozen:
    a: int


@dataclass(slots=True)
class DCSlots:
    a: int


@dataclass
class DCInitVar:
    a: int
    b: InitVar[int] = 0


@dataclass
class DCNoInit:
    a: int
    b: int = field(init=False, default=7)


@dataclass
class DCEmpty:
    pass


@dataclass
class DCUnion:
    v: Union[int, str]


@dataclass
class DCUnionDC:
    v: Union[DC, DCFrozen]


@dataclass
class Box(Generic[T]):
    v: T


@dataclass
class DCBase:
    x: int


@dataclass
class DCChild(DCBase):
    y: int


@dataclass
class DCHasBase:
    v: DCBase


@dataclass
class DCEnum:
    v: Color


@dataclass
class DCStrEnum:
    v: SE


@dataclass
class DCStrMix:
    v: StrMix


@dataclass
class DCIntEnum:
    v: IE


@attr.s(auto_attribs=True)
class At:
    a: int


@attr.s(auto_attribs=True, frozen=True)
class AtF:
    a: int


class PM(pydantic.BaseModel):
    a: int
    b: str = "x"


class PMChild(PM):
    z: int


class PMRich(pydantic.BaseModel):
    t: datetime.datetime
    d: decimal.Decimal
    u: uuid.UUID


class PMNested(pydantic.BaseModel):
    p: PM
    l: list[PM]


class PMDC(pydantic.BaseModel):
    d: DC


@dataclass
class DCPM:
    v: PM


class PMRoot(pydantic.RootModel[list[int]]):
    pass


class PMSecret(pydantic.BaseModel):
    s: pydantic.SecretStr


class PMAlias(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    my_field: int = pydantic.Field(serialization_alias="myField", validation_alias="myField")


class PMArb(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    x: Plain


@pydantic.dataclasses.dataclass
class PDC:
    a: int


def gen() -> typing.Generator[int, None, None]:
    yield 1
    yield 2


def func() -> None:
    return None


async def coro() -> None:
    return None


def circular() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def deep(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def row() -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    found: sqlite3.Row = connection.execute("select 1").fetchone()
    return found


def cookie() -> http.cookies.SimpleCookie:
    made = http.cookies.SimpleCookie()
    made["a"] = "1"
    return made


def future() -> asyncio.Future:
    return asyncio.new_event_loop().create_future()


def match() -> re.Match[str]:
    found = re.match("a", "a")
    assert found is not None
    return found
