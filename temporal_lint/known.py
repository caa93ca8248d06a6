"""What is known of the standard library and of common packages: names that mean the same, and what calls give."""

from __future__ import annotations

import ast

# typing's deprecated aliases, and other second names of one thing
_SAME = {
    "typing.List": "builtins.list", "typing.Dict": "builtins.dict", "typing.Set": "builtins.set",
    "typing.FrozenSet": "builtins.frozenset", "typing.Tuple": "builtins.tuple", "typing.Type": "builtins.type",
    "typing.Text": "builtins.str", "typing.Deque": "collections.deque", "typing.DefaultDict": "collections.defaultdict",
    "typing.OrderedDict": "collections.OrderedDict", "types.NoneType": "builtins.NoneType",
    "types.UnionType": "typing.Union", "asyncio.locks.Lock": "asyncio.Lock",
    "collections.abc.Set": "typing.AbstractSet",
}  # fmt: skip
# abstract classes that typing repeats
_ABSTRACT = frozenset(
    (
        "AsyncGenerator", "AsyncIterable", "AsyncIterator", "Awaitable", "Buffer", "ByteString", "Callable",
        "Collection", "Container", "Coroutine", "Generator", "Hashable", "ItemsView", "Iterable", "Iterator",
        "KeysView", "Mapping", "MutableMapping", "MutableSequence", "MutableSet", "Reversible", "Sequence", "Sized",
        "ValuesView",
    )
)  # fmt: skip

# what calls give, by the type of the result; a class of the standard library, called, gives an instance of itself
_GIVE: dict[str, tuple[str, ...]] = {
    "io.IOBase": ("builtins.open", "io.open", "tempfile.NamedTemporaryFile", "tempfile.TemporaryFile"),
    "collections.abc.Iterator": ("builtins.iter",),
    "builtins.str": (
        "builtins.input", "builtins.repr", "builtins.hex", "builtins.chr", "builtins.format", "builtins.ascii",
        "builtins.bin", "json.dumps", "tempfile.mkdtemp", "builtins.oct",
    ),
    "builtins.int": ("builtins.len", "builtins.id", "builtins.hash", "builtins.ord"),
    "builtins.list": ("builtins.sorted", "builtins.dir"),
    "builtins.bool": (
        "builtins.isinstance", "builtins.any", "builtins.all", "builtins.callable", "builtins.issubclass",
        "builtins.hasattr",
    ),
    "builtins.float": ("time.time", "time.monotonic"),
    "uuid.UUID": ("uuid.uuid1", "uuid.uuid3", "uuid.uuid4", "uuid.uuid5", "uuid.uuid7"),
    "datetime.datetime": (
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.fromisoformat",
        "datetime.datetime.fromtimestamp", "datetime.datetime.strptime", "datetime.datetime.combine",
        "datetime.datetime",
    ),
    "datetime.date": ("datetime.date", "datetime.date.today", "datetime.date.fromisoformat"),
    "datetime.time": ("datetime.time",),
    "datetime.timedelta": ("datetime.timedelta",),
    "re.Pattern": ("re.compile",),
    "pathlib.Path": ("pathlib.Path.cwd", "pathlib.Path.home"),
    "sqlite3.Connection": ("sqlite3.connect",),
    "psycopg.Connection": ("psycopg.connect",),
    "psycopg2.extensions.connection": ("psycopg2.connect",),
    "socket.socket": ("socket.create_connection",),
    "logging.Logger": ("logging.getLogger",),
    "asyncio.Task": ("asyncio.create_task",),
    "asyncio.Future": ("asyncio.ensure_future",),
    "asyncio.AbstractEventLoop": ("asyncio.get_event_loop", "asyncio.get_running_loop", "asyncio.new_event_loop"),
    "threading.Thread": ("threading.current_thread",),
    "subprocess.CompletedProcess": ("subprocess.run",),
    "pandas.DataFrame": (
        "pandas.read_csv", "pandas.read_parquet", "pandas.read_sql", "pandas.read_json", "pandas.read_excel",
    ),
    "numpy.ndarray": ("numpy.array", "numpy.zeros", "numpy.ones", "numpy.arange"),
    "sqlalchemy.Engine": ("sqlalchemy.create_engine",),
    "functools.partial": ("functools.partial",),
    "builtins.NoneType": ("builtins.exec", "builtins.print", "builtins.setattr", "builtins.delattr"),
    "builtins.dict": ("builtins.vars", "builtins.globals", "builtins.locals"),
    "builtins.tuple": ("builtins.divmod",),
    "traceback.StackSummary": ("traceback.extract_stack", "traceback.extract_tb", "traceback.StackSummary.extract"),
}  # fmt: skip
RETURNS = {call: result for result, calls in _GIVE.items() for call in calls}
"""The type that a call of an external function gives, by the function's dotted name."""

# methods of str that give a str
_OF_STR = (
    "capitalize", "casefold", "center", "expandtabs", "format", "join", "ljust", "lower", "lstrip", "removeprefix",
    "removesuffix", "replace", "rjust", "rstrip", "strip", "swapcase", "title", "translate", "upper", "zfill",
)  # fmt: skip
METHODS: dict[str, dict[str, str]] = {
    "builtins.str": {**dict.fromkeys(_OF_STR, "builtins.str"), "encode": "builtins.bytes"},
    "builtins.bytes": {"decode": "builtins.str"},
    "datetime.datetime": {
        "isoformat": "builtins.str", "date": "datetime.date", "time": "datetime.time", "timestamp": "builtins.float",
        "strftime": "builtins.str", "replace": "datetime.datetime", "astimezone": "datetime.datetime",
    },
    "datetime.date": {"isoformat": "builtins.str"},
    "datetime.timedelta": {"total_seconds": "builtins.float"},
    "pathlib.Path": {
        "read_text": "builtins.str", "read_bytes": "builtins.bytes", "as_posix": "builtins.str",
        "resolve": "pathlib.Path", "open": "io.IOBase", "exists": "builtins.bool",
    },
    "builtins.dict": {
        "keys": "collections.abc.KeysView", "values": "collections.abc.ValuesView",
        "items": "collections.abc.ItemsView",
    },
    "sqlite3.Connection": {"cursor": "sqlite3.Cursor", "execute": "sqlite3.Cursor"},
    "psycopg.Connection": {"cursor": "psycopg.Cursor"},
    "psycopg2.extensions.connection": {"cursor": "psycopg2.extensions.cursor"},
}  # fmt: skip
"""The type that a method gives, by the type of its object: enough for the usual chains before an activity call."""

ELEMENTS = {"traceback.StackSummary": "traceback.FrameSummary"}
"""What lists of a type of their own hold; a slice of them is a plain list."""

LITERALS: dict[type[ast.expr], str] = {
    ast.JoinedStr: "builtins.str",
    ast.Lambda: "types.LambdaType",
    ast.GeneratorExp: "types.GeneratorType",
    ast.Dict: "builtins.dict",
    ast.DictComp: "builtins.dict",
}
"""The type of the value of an expression of each of these kinds."""

STUBS = frozenset(("new_activity_stub", "new_workflow_stub", "new_workflow_stub_from_workflow_id"))
"""The legacy SDK's factories: a stub has the methods of the interface it is made for."""

ENTERED_SELF = frozenset(
    (
        "concurrent.futures.ThreadPoolExecutor", "io.IOBase", "psycopg.Connection", "socket.socket",
        "sqlite3.Connection", "zipfile.ZipFile",
    )
)  # fmt: skip
"""Context managers whose `with` gives the manager itself."""


def normal(dotted: str) -> str:
    """One dotted name for each type, however it was imported."""
    if dotted.startswith("typing_extensions."):
        dotted = "typing." + dotted.removeprefix("typing_extensions.")
    head, _, last = dotted.rpartition(".")
    if head == "typing" and last in _ABSTRACT:
        dotted = f"collections.abc.{last}"
    return _SAME.get(dotted, dotted)
