"""Snapshots of what activities change, for the fixture `temporal_state` and the guard `idempotency`.

    @pytest.fixture
    def temporal_state(engine, tmp_path):
        return state.together(database=state.database(engine), exports=state.directory(tmp_path))

Each function here returns a callable that takes no arguments and gives a `Snapshot`; it may be called in any thread and
as often as wanted. The callable for an asynchronous engine is asynchronous. Any callable of your own does as well: what
it returns is compared by its values.
"""

from __future__ import annotations

import fnmatch
import hashlib
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_temporal_guard.wording import shorten

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    Probe: TypeAlias = Callable[[], "Snapshot"]
    AnyProbe: TypeAlias = Callable[[], "Snapshot | Awaitable[Snapshot]"]

MAX_ROWS = 10_000
"""Rows of a table that are kept one by one, about 400 bytes each. Of a longer table only a digest of all is kept."""
_BATCH = 1_000


class Part(NamedTuple):
    """A table, a directory or a log. `items` has what each thing in it looks like and how often it is there, by digest.

    `items` is None for a table that is too long; then `digest` and `size` are all that is known of it.
    """

    kind: str
    size: int
    digest: int
    items: Mapping[bytes, tuple[str, int]] | None


class Snapshot:
    """A state at one moment. Two are equal when the states are; `changes(later)` says what became different."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self.parts = dict(parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot) or self.parts.keys() != other.parts.keys():
            return False
        # the order of a table's rows means nothing, and the digest does not depend on it
        return all(part[:3] == other.parts[name][:3] for name, part in self.parts.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Snapshot {', '.join(f'{name}: {part.size}' for name, part in self.parts.items())}>"

    def changes(self, later: Snapshot) -> Iterator[str]:
        """One phrase for each row, file or call that was added or went away."""
        for name in sorted({*self.parts, *later.parts}):
            before, after = self.parts.get(name), later.parts.get(name)
            if before is None or after is None:
                part = before or after
                assert part is not None
                yield f"{name} {'appeared' if before is None else 'went away'}, with {part.size} {part.kind}s"
            elif before[:3] != after[:3]:
                yield from _changes(name, before, after)


def database(
    engine: Engine | AsyncEngine,
    *,
    tables: Iterable[str] | None = None,
    ignore_columns: Iterable[str] = (),
    schema: str | None = None,
    max_rows: int = MAX_ROWS,
) -> AnyProbe:
    """What is committed in the database of a SQLAlchemy engine.

    All tables of the schema (default: the connection's own), or only `tables`. `ignore_columns` are names of columns
    that may differ, such as `updated_at` or `orders.updated_at`. A table with more than `max_rows` rows is compared as
    a whole: that it changed is seen, not in which row. An asynchronous engine gives an asynchronous callable.
    """
    chosen = tuple(tables) if tables is not None else None
    ignored = frozenset(ignore_columns)

    def read(connection: Connection) -> Snapshot:
        from sqlalchemy import inspect as inspector
        from sqlalchemy import text

        names = chosen if chosen is not None else inspector(connection).get_table_names(schema=schema)
        quote = connection.dialect.identifier_preparer.quote
        parts = {}
        for name in names:
            source = f"{quote(schema)}.{quote(name)}" if schema else quote(name)
            found = connection.execution_options(yield_per=_BATCH).execute(text(f"SELECT * FROM {source}"))
            kept = _kept(name, tuple(found.keys()), ignored)
            rows = (tuple(row[index] for index in kept) for row in found)
            parts[f"table `{name}`"] = _part("row", map(_row, rows), max_rows)
        return Snapshot(parts)

    if hasattr(engine, "sync_engine"):
        asynchronous: Any = engine

        async def snapshot_async() -> Snapshot:
            async with asynchronous.connect() as connection:
                found: Snapshot = await connection.run_sync(read)
                return found

        return snapshot_async

    synchronous: Any = engine

    def snapshot() -> Snapshot:
        with synchronous.connect() as connection:
            return read(connection)

    return snapshot


def connection(
    connection: Any,
    *,
    tables: Iterable[str] | None = None,
    ignore_columns: Iterable[str] = (),
    max_rows: int = MAX_ROWS,
) -> Probe:
    """What a DB-API connection sees, its own open transaction included.

    All tables of the connection's own schema, as the catalogue of SQLite, PostgreSQL or MySQL lists them; `tables` are
    to be named for any other database. For `ignore_columns` and `max_rows` see `database`. A transaction that the
    reading itself opened is rolled back, so that nothing stays locked. Give it a connection of its own where activities
    use theirs from other threads. Raises ValueError for a database whose catalogue is not known, and TypeError for an
    asynchronous connection.
    """
    driver = type(connection).__module__.partition(".")[0].lower()
    if any(inspect.iscoroutinefunction(getattr(connection, each, None)) for each in ("execute", "commit")):
        raise TypeError(f"{type(connection).__name__} is asynchronous: give a synchronous connection, or a callable.")
    chosen = tuple(tables) if tables is not None else None
    if chosen is None and driver not in _CATALOGUES:
        raise ValueError(f"The catalogue of {driver!r} is not known: name the tables, tables=[...].")
    ignored = frozenset(ignore_columns)
    mark = "`" if driver in _MYSQL else '"'

    def snapshot() -> Snapshot:
        idle = _is_idle(connection)
        cursor = connection.cursor()
        try:
            if chosen is None:
                cursor.execute(_CATALOGUES[driver])
                names = [str(each[0]) for each in cursor.fetchall()]
            else:
                names = list(chosen)
            parts = {}
            for name in names:
                cursor.execute(f"SELECT * FROM {mark}{name.replace(mark, mark * 2)}{mark}")
                kept = _kept(name, tuple(each[0] for each in cursor.description), ignored)
                rows = (tuple(row[index] for index in kept) for row in _fetched(cursor))
                parts[f"table `{name}`"] = _part("row", map(_row, rows), max_rows)
            return Snapshot(parts)
        finally:
            cursor.close()
            if idle:
                connection.rollback()

    return snapshot


def directory(path: str | os.PathLike[str], *, ignore: Sequence[str] = ()) -> Probe:
    """The files below a directory: their relative names, sizes and contents. A directory that is not there is empty.

    `ignore` are globs for relative names (`*.log`, `cache/*`) or for the last part of a name.
    """
    root = Path(path)

    def files() -> Iterator[tuple[bytes, str]]:
        for folder, _, names in os.walk(root):
            for name in names:
                file = Path(folder, name)
                relative = file.relative_to(root).as_posix()
                if any(fnmatch.fnmatch(relative, each) or fnmatch.fnmatch(name, each) for each in ignore):
                    continue
                try:
                    content = _of_file(file)
                    size = file.stat().st_size
                except OSError:
                    # gone meanwhile, or a link to nothing: its name is all there is to compare
                    content, size = b"", 0
                yield _digest(relative.encode("utf-8", "surrogateescape") + b"\0" + content), f"{relative} ({size} B)"

    return lambda: Snapshot({f"directory {root.name}": _part("file", files(), MAX_ROWS)})


def calls(log: Iterable[Any], *, name: str = "calls") -> Probe:
    """The calls that a fake noted in a list: `mock.mock_calls`, or a list that the fake appends to."""

    def entries() -> Iterator[tuple[bytes, str]]:
        for each in list(log):
            shown = repr(freeze(each))
            yield _digest(shown.encode("utf-8", "surrogatepass")), shorten(repr(each))

    return lambda: Snapshot({name: _part("call", entries(), MAX_ROWS)})


def together(**parts: Any) -> AnyProbe:
    """Several states as one: `together(database=database(engine), mails=calls(outbox))`.

    Each is a callable or has a method `snapshot()`; with an asynchronous one among them the whole is asynchronous.
    """
    probes = {name: probe_of(each) for name, each in parts.items()}

    def joined(found: Mapping[str, Any]) -> Snapshot:
        whole: dict[str, Part] = {}
        for name, each in found.items():
            if isinstance(each, Snapshot):
                whole.update({f"{name}: {key}": part for key, part in each.parts.items()})
            else:
                shown = repr(freeze(each))
                whole[name] = _part("value", [(_digest(shown.encode("utf-8", "surrogatepass")), shorten(shown))], 1)
        return Snapshot(whole)

    def snapshot() -> Any:
        found = {name: probe() for name, probe in probes.items()}
        if not any(inspect.isawaitable(each) for each in found.values()):
            return joined(found)

        async def wait() -> Snapshot:
            return joined({name: await each if inspect.isawaitable(each) else each for name, each in found.items()})

        return wait()

    return snapshot


def probe_of(value: Any) -> Callable[[], Any]:
    """The callable that takes a snapshot. Raises TypeError for what has none."""
    if callable(getattr(value, "snapshot", None)):
        found: Callable[[], Any] = value.snapshot
        return found
    if callable(value):
        called: Callable[[], Any] = value
        return called
    raise TypeError(f"{shorten(repr(value))} is neither callable nor has a method `snapshot()`")


def freeze(value: Any, _above: tuple[int, ...] = ()) -> Any:
    """A copy that is compared by its values and does not change with the original.

    A list that a fake goes on appending to would else be equal to itself for ever.
    """
    if isinstance(value, Snapshot) or value is None or isinstance(value, (str, bytes, int, float, complex)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if id(value) in _above:
        return "<itself>"
    above = (*_above, id(value))
    if isinstance(value, Mapping):
        return {each: freeze(value[each], above) for each in value}
    if isinstance(value, (list, tuple)):
        return [freeze(each, above) for each in value]
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    cls: Any = type(value)
    if cls.__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return {"": cls.__qualname__, **freeze(vars(value), above)}
    # A type with a repr of its own tells its value by it. A copy would not do: many types have no `==` of their own.
    return repr(value)


def changes(before: Any, after: Any) -> list[str]:
    """What became different between two frozen states, as phrases; empty when they are equal."""
    if before == after:
        return []
    if isinstance(before, Snapshot) and isinstance(after, Snapshot):
        return list(before.changes(after))
    return list(_differences("state", before, after))


def _part(kind: str, found: Iterable[tuple[bytes, str]], max_items: int) -> Part:
    """Read through `found` once; memory is bounded by `max_items`."""
    items: dict[bytes, tuple[str, int]] | None = {}
    count = total = 0
    for digest, shown in found:
        count += 1
        # A sum does not depend on the order, and unlike an exclusive or it sees a row that is there twice.
        total = (total + int.from_bytes(digest, "big")) % 2**128
        if items is not None:
            items[digest] = (shown, items[digest][1] + 1 if digest in items else 1)
            if len(items) > max_items:
                items = None
    return Part(kind, count, total, items)


def _changes(name: str, before: Part, after: Part) -> Iterator[str]:
    if before.items is None or after.items is None:
        yield f"{name}: {before.size} {before.kind}s before, {after.size} after (too many to compare one by one)"
        return
    for digest, (shown, count) in after.items.items():
        more = count - (before.items[digest][1] if digest in before.items else 0)
        if more > 0:
            yield f"{name}: {before.kind} added{_times(more)}: {shown}"
    for digest, (shown, count) in before.items.items():
        less = count - (after.items[digest][1] if digest in after.items else 0)
        if less > 0:
            yield f"{name}: {before.kind} gone{_times(less)}: {shown}"


def _times(number: int) -> str:
    return "" if number == 1 else f" {number} times"


def _differences(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(each for each in after if each not in before)]:
            inner = f"{path}[{key!r}]"
            if key not in after:
                yield f"{inner}: gone: {shorten(repr(before[key]))}"
            elif key not in before:
                yield f"{inner}: added: {shorten(repr(after[key]))}"
            elif before[key] != after[key]:
                yield from _differences(inner, before[key], after[key])
    elif isinstance(before, (list, frozenset)) and isinstance(after, type(before)):
        old, new = list(before), list(after)
        yield from (f"{path}: added: {shorten(repr(each))}" for each in _without(new, old))
        yield from (f"{path}: gone: {shorten(repr(each))}" for each in _without(old, new))
        if len(old) == len(new) and not _without(new, old):
            yield f"{path}: another order: {shorten(repr(new))}"
    else:
        yield f"{path}: {shorten(repr(before))} became {shorten(repr(after))}"


def _without(items: list[Any], others: list[Any]) -> list[Any]:
    """The items that are not among the others, each of which takes away one."""
    left, others = [], list(others)
    for each in items:
        if each in others:
            others.remove(each)
        else:
            left.append(each)
    return left


def _row(values: tuple[Any, ...]) -> tuple[bytes, str]:
    plain = tuple(bytes(each) if isinstance(each, (memoryview, bytearray)) else each for each in values)
    text = repr(plain)
    return _digest(text.encode("utf-8", "surrogatepass")), shorten(text)


def _kept(table: str, columns: tuple[str, ...], ignored: frozenset[str]) -> list[int]:
    return [index for index, each in enumerate(columns) if not {each, f"{table}.{each}"} & ignored]


def _fetched(cursor: Any) -> Iterator[Any]:
    while rows := cursor.fetchmany(_BATCH):
        yield from rows


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _of_file(file: Path) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            found.update(piece)
    return found.digest()


_MYSQL = ("pymysql", "mysqldb", "mysql")
_STANDARD = "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = "
_CATALOGUES = {
    "sqlite3": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    **{each: f"{_STANDARD}current_schema()" for each in ("psycopg", "psycopg2", "pg8000")},
    **{each: f"{_STANDARD}database()" for each in _MYSQL},
}


def _is_idle(connection: Any) -> bool:
    """Whether no transaction is open, as far as the driver tells; a driver that does not is left alone."""
    info = getattr(connection, "info", None)
    status = getattr(info, "transaction_status", None)
    if status is not None:  # psycopg and psycopg2: 0 is idle
        return int(status) == 0 and not getattr(connection, "autocommit", False)
    return False
