"""Write `temporal_lint/data/serialization.json`: what the SDK's data converters do with types of other packages.

Run it with the SDK, pydantic and as many of the packages named below as there are:

    python tools/serialization_table.py            # write the table
    python tools/serialization_table.py --merge    # on another Python: what differs from the table becomes unknown
    python tools/serialization_table.py --check    # exit 1 and name the types that this SDK treats differently

Types of packages that are not installed keep the answer of the last run that had them. The shape of the table is
described in `temporal_lint/verdicts.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.metadata
import json
import re
import sqlite3
import sys
import uuid
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "temporal_lint" / "data" / "serialization.json"
REFUSED, CARRIED, DRAINED, UNKNOWN = "r", "c", "d", "-"

_PACKAGES = ("temporalio", "pydantic", "numpy", "pandas")

# Decoding to an abstract type is tried with each of these. Empty containers would fit any container.
_JSON = [5, 1.5, "s", True, [1], ["s"], {"a": 1}, "2026-01-02", "P1D", "1.2.3.4", str(uuid.UUID(int=1))]

# Dotted name -> expressions that make values of exactly this type: none for an abstract type, whose values say
# nothing; several where the answer depends on the value. `new(cls)` is an instance that was never initialised.
TYPES: dict[str, tuple[str, ...]] = {
    "builtins.NoneType": ("None",),
    "builtins.bool": ("True",),
    "builtins.int": ("5",),
    "builtins.float": ("1.5",),
    "builtins.str": ("'s'",),
    "builtins.bytes": ("b'ab'",),
    "builtins.bytearray": ("bytearray(b'ab')",),
    "builtins.memoryview": ("memoryview(b'ab')",),
    "builtins.complex": ("1j",),
    "builtins.list": ("[1]",),
    "builtins.tuple": ("(1,)",),
    "builtins.set": ("{1}",),
    "builtins.frozenset": ("frozenset({1})",),
    "builtins.dict": ("{'a': 1}",),
    "builtins.object": (),
    "builtins.type": ("Holder", "int", "dict"),
    "builtins.range": ("range(3)",),
    "builtins.slice": ("slice(1)",),
    "builtins.property": ("property()",),
    "builtins.map": ("map(str, [1])",),
    "builtins.filter": ("filter(None, [1])",),
    "builtins.zip": ("zip([1])",),
    "builtins.enumerate": ("enumerate('a')",),
    "builtins.reversed": ("reversed([1])",),
    "builtins.ellipsis": ("...",),
    "builtins.BaseException": ("BaseException()", "ValueError('x')", "KeyError('x')"),
    "builtins.Exception": ("Exception()", "ValueError('x')"),
    "types.EllipsisType": ("...",),
    "types.FunctionType": ("print_nothing",),
    "types.LambdaType": ("lambda: None",),
    "types.MethodType": ("Holder(1).__eq__",),
    "types.BuiltinFunctionType": ("len",),
    "types.GeneratorType": ("(x for x in [1])",),
    "types.AsyncGeneratorType": ("generate()",),
    "types.CoroutineType": ("wait()",),
    "types.ModuleType": ("types",),
    "types.SimpleNamespace": ("types.SimpleNamespace(a=1)",),
    "types.MappingProxyType": ("types.MappingProxyType({'a': 1})",),
    "types.TracebackType": (),
    "types.FrameType": (),
    "types.CodeType": ("wait.__code__",),
    "decimal.Decimal": ("decimal.Decimal('1.1')",),
    "fractions.Fraction": ("fractions.Fraction(1, 3)",),
    "numbers.Number": (),
    "datetime.datetime": ("datetime.datetime(2026, 1, 2)",),
    "datetime.date": ("datetime.date(2026, 1, 2)",),
    "datetime.time": ("datetime.time(1)",),
    "datetime.timedelta": ("datetime.timedelta(1)",),
    "datetime.timezone": ("datetime.timezone.utc",),
    "datetime.tzinfo": ("datetime.tzinfo()", "datetime.timezone.utc"),
    "zoneinfo.ZoneInfo": ("zoneinfo.ZoneInfo('UTC')",),
    "time.struct_time": ("time.gmtime(0)",),
    "uuid.UUID": ("uuid.UUID(int=1)",),
    "pathlib.Path": ("pathlib.Path('x')",),
    "pathlib.PosixPath": ("pathlib.PosixPath('x')",),
    "pathlib.PurePath": ("pathlib.PurePath('x')",),
    "pathlib.PurePosixPath": ("pathlib.PurePosixPath('x')",),
    "pathlib.PureWindowsPath": ("pathlib.PureWindowsPath('x')",),
    "os.PathLike": (),
    "os.stat_result": ("os.stat('/')",),
    "ipaddress.IPv4Address": ("ipaddress.IPv4Address('1.2.3.4')",),
    "ipaddress.IPv6Address": ("ipaddress.IPv6Address('::1')",),
    "ipaddress.IPv4Network": ("ipaddress.IPv4Network('1.2.3.0/30')",),
    "ipaddress.IPv6Network": ("ipaddress.IPv6Network('::/126')",),
    "re.Pattern": ("re.compile('a')",),
    "re.Match": ("re.match('a', 'a')",),
    "enum.Enum": (),
    "enum.Flag": (),
    "enum.IntEnum": (),
    "enum.StrEnum": (),
    "enum.IntFlag": (),
    "http.HTTPStatus": ("http.HTTPStatus.OK",),
    "http.HTTPMethod": ("http.HTTPMethod.GET",),
    "collections.deque": ("collections.deque([1])",),
    "collections.defaultdict": ("collections.defaultdict(int, a=1)",),
    "collections.OrderedDict": ("collections.OrderedDict(a=1)",),
    "collections.Counter": ("collections.Counter('a')",),
    "collections.ChainMap": ("collections.ChainMap({'a': 1})",),
    "collections.UserDict": ("collections.UserDict({'a': 1})",),
    "collections.UserList": ("collections.UserList([1])",),
    "collections.UserString": ("collections.UserString('s')",),
    "array.array": ("array.array('i', [1])",),
    "collections.abc.Iterable": (),
    "collections.abc.Iterator": ("iter([1])",),
    "collections.abc.Generator": ("(x for x in [1])",),
    "collections.abc.Sequence": (),
    "collections.abc.MutableSequence": (),
    "collections.abc.Collection": (),
    "collections.abc.Reversible": (),
    "collections.abc.Container": (),
    "collections.abc.Sized": (),
    "collections.abc.Hashable": (),
    "collections.abc.Mapping": (),
    "collections.abc.MutableMapping": (),
    "collections.abc.MutableSet": (),
    "typing.AbstractSet": (),
    "collections.abc.KeysView": ("{'a': 1}.keys()",),
    "collections.abc.ValuesView": ("{'a': 1}.values()",),
    "collections.abc.ItemsView": ("{'a': 1}.items()",),
    "collections.abc.Callable": ("lambda: None", "len", "functools.partial(len)"),
    "collections.abc.Awaitable": ("wait()", "future()"),
    "collections.abc.Coroutine": ("wait()",),
    "collections.abc.AsyncIterable": ("generate()",),
    "collections.abc.AsyncIterator": ("generate()",),
    "collections.abc.AsyncGenerator": ("generate()",),
    "contextlib.AbstractContextManager": (),
    "contextlib.AbstractAsyncContextManager": (),
    "contextlib.ExitStack": ("contextlib.ExitStack()",),
    "contextlib.AsyncExitStack": ("contextlib.AsyncExitStack()",),
    "typing.Any": (),
    "typing.LiteralString": (),
    "typing.SupportsInt": (),
    "typing.SupportsFloat": (),
    "typing.SupportsIndex": (),
    "typing.IO": ("open('/dev/null')", "open('/dev/null', 'rb')"),
    "typing.TextIO": ("open('/dev/null')",),
    "typing.BinaryIO": ("open('/dev/null', 'rb')",),
    "io.IOBase": ("open('/dev/null')", "open('/dev/null', 'rb')", "io.StringIO('a')"),
    "io.RawIOBase": ("open('/dev/null', 'rb', buffering=0)",),
    "io.BufferedIOBase": ("io.BytesIO(b'a')", "open('/dev/null', 'rb')"),
    "io.TextIOBase": ("io.StringIO('a')", "open('/dev/null')"),
    "io.TextIOWrapper": ("open('/dev/null')",),
    "io.BufferedReader": ("open('/dev/null', 'rb')",),
    "io.BytesIO": ("io.BytesIO(b'a')",),
    "io.StringIO": ("io.StringIO('a')",),
    "tempfile.TemporaryDirectory": ("new(tempfile.TemporaryDirectory)",),
    "zipfile.ZipFile": ("new(zipfile.ZipFile)",),
    "csv.DictReader": ("csv.DictReader(['a', '1'])",),
    "itertools.chain": ("itertools.chain([1])",),
    "itertools.islice": ("itertools.islice([1], 1)",),
    "itertools.product": ("itertools.product([1])",),
    "itertools.groupby": ("itertools.groupby([1])",),
    "functools.partial": ("functools.partial(len)",),
    "operator.itemgetter": ("operator.itemgetter(0)",),
    "operator.attrgetter": ("operator.attrgetter('a')",),
    "logging.Logger": ("logging.getLogger('x')",),
    "logging.LoggerAdapter": ("logging.LoggerAdapter(logging.getLogger('x'), {})",),
    "logging.Handler": ("logging.Handler()",),
    "logging.LogRecord": ("logging.makeLogRecord({})",),
    "random.Random": ("random.Random(1)",),
    "random.SystemRandom": ("random.SystemRandom()",),
    "hashlib.sha256": ("hashlib.sha256()",),
    "hashlib.sha1": ("hashlib.sha1()",),
    "hashlib.md5": ("hashlib.md5()",),
    "contextvars.ContextVar": ("contextvars.ContextVar('x')",),
    "contextvars.Context": ("contextvars.copy_context()",),
    "weakref.ReferenceType": ("weakref.ref(Holder)",),
    "weakref.ref": ("weakref.ref(Holder)",),
    "argparse.Namespace": ("argparse.Namespace(a=1)",),
    "argparse.ArgumentParser": ("argparse.ArgumentParser()",),
    "configparser.ConfigParser": ("configparser.ConfigParser()",),
    "string.Template": ("string.Template('a')",),
    "inspect.Signature": ("inspect.signature(wait)",),
    "email.message.Message": ("email.message.Message()",),
    "email.message.EmailMessage": ("email.message.EmailMessage()",),
    "http.client.HTTPConnection": ("http.client.HTTPConnection('x')",),
    "urllib.request.Request": ("urllib.request.Request('http://x')",),
    "urllib.parse.ParseResult": ("urllib.parse.urlparse('http://x')",),
    "urllib.parse.SplitResult": ("urllib.parse.urlsplit('http://x')",),
    "xml.etree.ElementTree.Element": ("xml.etree.ElementTree.Element('a')",),
    "xml.etree.ElementTree.ElementTree": ("xml.etree.ElementTree.ElementTree()",),
    "threading.Lock": ("threading.Lock()",),
    "threading.RLock": ("threading.RLock()",),
    "threading.Condition": ("threading.Condition()",),
    "threading.Event": ("threading.Event()",),
    "threading.Semaphore": ("threading.Semaphore()",),
    "threading.BoundedSemaphore": ("threading.BoundedSemaphore()",),
    "threading.Barrier": ("threading.Barrier(1)",),
    "threading.Thread": ("threading.Thread()",),
    "threading.Timer": ("threading.Timer(1, len)",),
    "threading.local": ("threading.local()",),
    "queue.Queue": ("queue.Queue()",),
    "queue.SimpleQueue": ("queue.SimpleQueue()",),
    "queue.PriorityQueue": ("queue.PriorityQueue()",),
    "multiprocessing.Lock": ("multiprocessing.Lock()",),
    "multiprocessing.Process": ("multiprocessing.Process()",),
    "multiprocessing.Queue": (),
    "concurrent.futures.Future": ("concurrent.futures.Future()",),
    "concurrent.futures.Executor": ("concurrent.futures.Executor()",),
    "concurrent.futures.ThreadPoolExecutor": ("concurrent.futures.ThreadPoolExecutor(1)",),
    "concurrent.futures.ProcessPoolExecutor": ("concurrent.futures.ProcessPoolExecutor(1)",),
    "asyncio.Lock": ("asyncio.Lock()",),
    "asyncio.Event": ("asyncio.Event()",),
    "asyncio.Condition": ("asyncio.Condition()",),
    "asyncio.Semaphore": ("asyncio.Semaphore()",),
    "asyncio.BoundedSemaphore": ("asyncio.BoundedSemaphore()",),
    "asyncio.Queue": ("asyncio.Queue()",),
    "asyncio.PriorityQueue": ("asyncio.PriorityQueue()",),
    "asyncio.Future": ("future()",),
    "asyncio.Task": ("future()",),
    "asyncio.TaskGroup": ("asyncio.TaskGroup()",),
    "asyncio.Timeout": ("asyncio.Timeout(None)",),
    "asyncio.AbstractEventLoop": ("asyncio.new_event_loop()",),
    "asyncio.StreamReader": ("new(asyncio.StreamReader)",),
    "asyncio.StreamWriter": ("new(asyncio.StreamWriter)",),
    "asyncio.subprocess.Process": ("new(asyncio.subprocess.Process)",),
    "socket.socket": ("socket.socket()",),
    "ssl.SSLContext": ("ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)",),
    "subprocess.Popen": ("new(subprocess.Popen)",),
    "subprocess.CompletedProcess": ("subprocess.CompletedProcess([], 0)",),
    "sqlite3.Connection": ("sqlite3.connect(':memory:')",),
    "sqlite3.Cursor": ("sqlite3.connect(':memory:').cursor()",),
    "sqlite3.Row": ("row()",),
    "traceback.FrameSummary": ("traceback.FrameSummary('f', 1, 'n')",),
    "traceback.StackSummary": ("traceback.extract_stack()",),
    "google.protobuf.message.Message": (),
    "google.protobuf.timestamp_pb2.Timestamp": ("google.protobuf.timestamp_pb2.Timestamp(seconds=1)",),
    "google.protobuf.duration_pb2.Duration": ("google.protobuf.duration_pb2.Duration(seconds=1)",),
    "google.protobuf.empty_pb2.Empty": ("google.protobuf.empty_pb2.Empty()",),
    "temporalio.api.common.v1.Payload": ("temporalio.api.common.v1.Payload(data=b'x')",),
    "temporalio.common.RawValue": (
        "temporalio.common.RawValue(temporalio.api.common.v1.Payload(metadata={'encoding': b'json/plain'}, data=b'1'))",
    ),
    "temporalio.common.RetryPolicy": ("temporalio.common.RetryPolicy()",),
    "temporalio.common.SearchAttributeKey": ("temporalio.common.SearchAttributeKey.for_text('a')",),
    "temporalio.client.Client": ("new(temporalio.client.Client)",),
    "temporalio.client.WorkflowHandle": ("new(temporalio.client.WorkflowHandle)",),
    "temporalio.client.WorkflowUpdateHandle": ("new(temporalio.client.WorkflowUpdateHandle)",),
    "temporalio.client.ScheduleHandle": ("new(temporalio.client.ScheduleHandle)",),
    "temporalio.client.AsyncActivityHandle": ("new(temporalio.client.AsyncActivityHandle)",),
    "temporalio.workflow.ActivityHandle": ("future()",),
    "temporalio.workflow.ChildWorkflowHandle": ("future()",),
    "temporalio.workflow.ExternalWorkflowHandle": ("new(temporalio.workflow.ExternalWorkflowHandle)",),
    "temporalio.worker.Worker": ("new(temporalio.worker.Worker)",),
    "temporalio.testing.WorkflowEnvironment": ("new(temporalio.testing.WorkflowEnvironment)",),
    "temporalio.testing.ActivityEnvironment": ("new(temporalio.testing.ActivityEnvironment)",),
    "temporalio.exceptions.ApplicationError": ("temporalio.exceptions.ApplicationError('x')",),
    "temporalio.exceptions.ActivityError": ("new(temporalio.exceptions.ActivityError)",),
    "pydantic.SecretStr": ("pydantic.SecretStr('s')",),
    "pydantic.SecretBytes": ("pydantic.SecretBytes(b's')",),
    "pydantic.HttpUrl": ("pydantic.HttpUrl('http://x')",),
    "pydantic.AnyUrl": ("pydantic.AnyUrl('http://x')",),
    "pydantic.AnyHttpUrl": ("pydantic.AnyHttpUrl('http://x')",),
    "numpy.ndarray": ("numpy.array([1])", "numpy.array([1.5])"),
    "numpy.int64": ("numpy.int64(1)",),
    "numpy.int32": ("numpy.int32(1)",),
    "numpy.uint8": ("numpy.uint8(1)",),
    "numpy.float64": ("numpy.float64(1.5)",),
    "numpy.float32": ("numpy.float32(1.5)",),
    "numpy.bool_": ("numpy.bool_(True)",),
    "numpy.str_": ("numpy.str_('a')",),
    "numpy.datetime64": ("numpy.datetime64('2026-01-01')",),
    "numpy.timedelta64": ("numpy.timedelta64(1, 'D')",),
    "numpy.random.Generator": ("numpy.random.default_rng(1)",),
    "pandas.DataFrame": ("pandas.DataFrame({'a': [1]})", "pandas.DataFrame({1: [1]})"),
    "pandas.Series": ("pandas.Series([1])",),
    "pandas.Timestamp": ("pandas.Timestamp('2026-01-01')",),
    "pandas.Index": ("pandas.Index([1])",),
    "pandas.Timedelta": ("pandas.Timedelta(1)",),
    "pandas.api.typing.NAType": ("pandas.NA",),
    "pandas.api.typing.NaTType": ("pandas.NaT",),
    "polars.DataFrame": ("polars.DataFrame({'a': [1]})",),
    "polars.LazyFrame": ("polars.LazyFrame({'a': [1]})",),
    "pyarrow.Table": ("pyarrow.table({'a': [1]})",),
    "PIL.Image.Image": ("PIL.Image.new('1', (1, 1))",),
    "sqlalchemy.Engine": ("sqlalchemy.create_engine('sqlite://')",),
    "sqlalchemy.engine.Engine": ("sqlalchemy.create_engine('sqlite://')",),
    "sqlalchemy.Connection": ("new(sqlalchemy.Connection)",),
    "sqlalchemy.engine.Connection": ("new(sqlalchemy.engine.Connection)",),
    "sqlalchemy.MetaData": ("sqlalchemy.MetaData()",),
    "sqlalchemy.orm.sessionmaker": ("sqlalchemy.orm.sessionmaker()",),
    "sqlalchemy.ext.asyncio.AsyncEngine": ("new(sqlalchemy.ext.asyncio.AsyncEngine)",),
    "sqlalchemy.ext.asyncio.async_sessionmaker": ("sqlalchemy.ext.asyncio.async_sessionmaker()",),
    "psycopg.Connection": ("new(psycopg.Connection)",),
    "psycopg.AsyncConnection": ("new(psycopg.AsyncConnection)",),
    "psycopg2.extensions.connection": ("new(psycopg2.extensions.connection)",),
    "psycopg_pool.ConnectionPool": ("new(psycopg_pool.ConnectionPool)",),
    "psycopg_pool.AsyncConnectionPool": ("new(psycopg_pool.AsyncConnectionPool)",),
    "asyncpg.Connection": ("new(asyncpg.Connection)",),
    "asyncpg.Pool": ("new(asyncpg.Pool)",),
    "asyncpg.pool.Pool": ("new(asyncpg.pool.Pool)",),
    "aiosqlite.Connection": ("new(aiosqlite.Connection)",),
    "redis.Redis": ("redis.Redis()",),
    "redis.StrictRedis": ("redis.StrictRedis()",),
    "redis.asyncio.Redis": ("redis.asyncio.Redis()",),
    "requests.Session": ("requests.Session()",),
    "httpx.Client": ("httpx.Client()",),
    "httpx.AsyncClient": ("httpx.AsyncClient()",),
    "httpx.Response": ("httpx.Response(200)",),
    "aiohttp.ClientSession": ("new(aiohttp.ClientSession)",),
    "aiohttp.ClientResponse": ("new(aiohttp.ClientResponse)",),
    "botocore.client.BaseClient": ("boto3.client('s3', region_name='us-east-1')",),
    "boto3.Session": ("boto3.Session()",),
    "boto3.session.Session": ("boto3.session.Session()",),
}


@dataclasses.dataclass
class Holder:
    """A dataclass around a value: the SDK copies what a field holds, which some values do not survive."""

    value: Any


def new(cls: type) -> Any:
    """An instance whose constructor did not run: enough for an encoder that asks for type and attributes only."""
    if issubclass(cls, Iterable) or isinstance(getattr(cls, "dict", None), Callable):
        raise TypeError(f"{cls}: the encoder would look inside, so this needs a real value")
    return cls.__new__(cls)


def print_nothing() -> None:
    """A function as a value."""


async def wait() -> None:
    """A coroutine function."""


async def generate() -> Any:
    """An asynchronous generator."""
    yield 1


def future() -> asyncio.Future[int]:
    """A future that is not done."""
    return asyncio.new_event_loop().create_future()


def row() -> sqlite3.Row:
    """A row of a database."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    found: sqlite3.Row = connection.execute("select 1").fetchone()
    return found


def main() -> int:
    """Write the table, or compare it with the installed SDK."""
    warnings.simplefilter("ignore")
    old = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {"types": {}}
    types: dict[str, list[str]] = {}
    changed: list[str] = []
    for dotted in sorted(TYPES):
        found = answers(dotted)
        known = old["types"].get(dotted)
        if found is not None and known is not None and any(_differs(*pair) for pair in zip(found, known, strict=True)):
            changed.append(f"{dotted}: {' '.join(known)} became {' '.join(found)}")
        if found is not None and known is not None and "--merge" in sys.argv:
            found = [_merged(*pair) for pair in zip(found, known, strict=True)]
        if (kept := found or known) is not None:
            types[dotted] = kept
    if "--check" in sys.argv:
        print("\n".join(changed) or "The table agrees with the installed SDK.")
        return 1 if changed else 0
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    if "--merge" in sys.argv:
        versions = old["versions"]
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in types.items())
    TABLE.write_text(f'{{\n "versions": {json.dumps(versions)},\n "types": {{\n{lines}\n }}\n}}\n', encoding="utf-8")
    return 0


def _merged(found: str, known: str) -> str:
    return "".join(one if one == other else UNKNOWN for one, other in zip(found, known, strict=True))


def _differs(found: str, known: str) -> bool:
    return any(one != other and UNKNOWN not in (one, other) for one, other in zip(found, known, strict=True))


def answers(dotted: str) -> list[str] | None:
    """The table's entry of a type, computed on the installed SDK; None where its package is not installed."""
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.converter import DataConverter

    names = _names(dotted, TYPES[dotted])
    if names is None or names["it"] is None or not _exists(TYPES[dotted], names):
        return None
    entry = []
    for converter in (DataConverter.default, pydantic_data_converter):
        payloads = converter.payload_converter

        def encode(value: Any, payloads: Any = payloads) -> Any:
            return payloads.to_payloads([value])

        entry.append(
            _agreed(dotted, names, lambda value, encode=encode: encode(value))
            + _agreed(dotted, names, lambda value, encode=encode: encode([value]))
            + _agreed(dotted, names, lambda value, encode=encode: encode(Holder(value)))
            + _agreed(dotted, names, lambda value, encode=encode: encode({value: 1}), hashed=True)
            + _annotation(dotted, names, payloads)
            + _key_annotation(dotted, names, payloads)
        )
    as_key = _agreed(dotted, names, lambda value: json.dumps({value: 1}), hashed=True)
    return [*entry, _agreed(dotted, names, json.dumps) + as_key]


def _names(dotted: str, expressions: tuple[str, ...]) -> dict[str, Any] | None:
    """What the expressions of a type need; `it` is the type itself, None where Python has no name for it."""
    names: dict[str, Any] = {**globals()}
    for text in (dotted, *expressions):
        for word in re.findall(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.sub(r"'[^']*'", "''", text)):
            parts = word.split(".")
            if parts[0] in ("builtins", *names):
                continue
            for size in range(1, len(parts) + 1):
                try:
                    importlib.import_module(".".join(parts[:size]))
                except ImportError:
                    if size == 1:
                        return None
                    break
            names[parts[0]] = sys.modules[parts[0]]
    try:
        owner, _, last = dotted.rpartition(".")
        names["it"] = getattr(importlib.import_module(owner), last)
    except (AttributeError, ImportError):
        unnamed = {"builtins.NoneType": type(None), "builtins.ellipsis": type(...)}
        names["it"] = unnamed.get(dotted) or _nested(names, dotted)
    return names


def _nested(names: dict[str, Any], dotted: str) -> Any:
    try:
        return eval(dotted, names)
    except (AttributeError, NameError):
        return None


def _exists(expressions: tuple[str, ...], names: dict[str, Any]) -> bool:
    """False where this Python is too old for the type."""
    try:
        for expression in expressions:
            eval(expression, names)
    except AttributeError:
        return False
    return True


def _agreed(dotted: str, names: dict[str, Any], encode: Callable[[Any], Any], *, hashed: bool = False) -> str:
    """The one letter for all values of the type; UNKNOWN where they disagree or there are none."""
    found = set()
    for expression in TYPES[dotted]:
        value = eval(expression, names)
        if hashed:
            try:
                hash(value)
            except TypeError:
                return UNKNOWN
        found.add(_letter(value, encode))
        if asyncio.iscoroutine(value):
            value.close()
    return found.pop() if len(found) == 1 else UNKNOWN


def _letter(value: Any, encode: Callable[[Any], Any]) -> str:
    try:
        is_iterator = iter(value) is value
    except Exception:
        is_iterator = False
    try:
        encode(value)
    except Exception:
        return REFUSED
    return DRAINED if is_iterator else CARRIED


def _annotation(dotted: str, names: dict[str, Any], payloads: Any) -> str:
    """Whether an annotation takes what a value of its type is encoded to; without such values, any JSON at all."""
    hint = names["it"]
    if hint is None or (not isinstance(hint, type) and not dotted.startswith(("typing.", "collections."))):
        return UNKNOWN
    for value in [eval(expression, names) for expression in TYPES[dotted]] or _JSON:
        try:
            # in a list: on their own, None and bytes pass any annotation
            payloads.from_payloads(payloads.to_payloads([[value]]), [list[hint]])
            return CARRIED
        except Exception:
            pass
        try:
            if value is not None and not isinstance(value, bytes):
                payloads.from_payloads(payloads.to_payloads([value]), [hint])
                return CARRIED
        except Exception:
            pass
    return REFUSED


def _key_annotation(dotted: str, names: dict[str, Any], payloads: Any) -> str:
    """Whether an annotation of a dict's keys takes what keys of its type are encoded to, or any text at all."""
    hint = names["it"]
    values = [eval(expression, names) for expression in TYPES[dotted]]
    if not isinstance(hint, type) or any(getattr(type(each), "__hash__", None) is None for each in values):
        return UNKNOWN
    for key in values + [each for each in _JSON if isinstance(each, str)]:
        try:
            payloads.from_payloads(payloads.to_payloads([{key: 1}]), [dict[hint, int]])
            return CARRIED
        except Exception:
            pass
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
