"""Snapshots see what changed and nothing else, on real databases and directories."""

from __future__ import annotations

import asyncio
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from pytest_temporal_guard import state

if TYPE_CHECKING:
    from postgres_cluster import Cluster

pytest_plugins = ["postgres_cluster"]


def changed(probe: Callable[[], Any], change: Callable[[], Any]) -> list[str]:
    """What a probe says of a change."""
    before = state.freeze(probe())
    assert before == state.freeze(probe())
    change()
    after = state.freeze(probe())
    found = state.changes(before, after)
    assert (before == after) == (not found)
    return found


@pytest.fixture
def sqlite(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC, at TEXT)")
    connection.execute('CREATE TABLE "odd ""name" (data BLOB)')
    connection.execute("INSERT INTO item VALUES (1, 'pen', 1.5, 'monday'), (2, 'ink', 4, 'monday')")
    return connection


def test_connection_sqlite(sqlite: sqlite3.Connection) -> None:
    probe = state.connection(sqlite)
    assert changed(probe, lambda: sqlite.execute("INSERT INTO item VALUES (3, 'pad', 2, 'friday')")) == [
        "table `item`: row added: (3, 'pad', 2, 'friday')"
    ]
    assert changed(probe, lambda: sqlite.execute("UPDATE item SET price = 5 WHERE id = 2")) == [
        "table `item`: row added: (2, 'ink', 5, 'monday')",
        "table `item`: row gone: (2, 'ink', 4, 'monday')",
    ]
    assert changed(probe, lambda: sqlite.execute("UPDATE item SET price = 5 WHERE id = 2")) == []
    assert changed(probe, lambda: sqlite.execute("""INSERT INTO "odd ""name" VALUES (x'00'), (x'00')""")) == [
        "table `odd \"name`: row added 2 times: (b'\\x00',)"
    ]
    assert changed(probe, lambda: sqlite.execute("CREATE TABLE more (id INT)")) == [
        "table `more` appeared, with 0 rows"
    ]


def test_choice_of_tables_and_columns(sqlite: sqlite3.Connection) -> None:
    everywhere = state.connection(sqlite, ignore_columns=["at"])
    one_table = state.connection(sqlite, tables=["item"], ignore_columns=["item.at", "item.price"])
    other_table = state.connection(sqlite, ignore_columns=["other.at"])
    assert changed(everywhere, lambda: sqlite.execute("UPDATE item SET at = 'sunday'")) == []
    assert changed(one_table, lambda: sqlite.execute("UPDATE item SET at = 'today', price = 0")) == []
    assert changed(one_table, lambda: sqlite.execute("""INSERT INTO "odd ""name" VALUES (x'01')""")) == []
    assert len(changed(other_table, lambda: sqlite.execute("UPDATE item SET at = 'now'"))) == 4


def test_database_sqlite(sqlite: sqlite3.Connection, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    probe: Any = state.database(engine, ignore_columns=["at"])
    assert changed(probe, lambda: sqlite.execute("""INSERT INTO "odd ""name" VALUES (x'02')""")) == [
        "table `odd \"name`: row added: (b'\\x02',)"
    ]
    sqlite.execute("BEGIN")
    assert changed(probe, lambda: sqlite.execute("DELETE FROM item WHERE id = 1")) == []
    assert changed(probe, lambda: sqlite.execute("COMMIT")) == ["table `item`: row gone: (1, 'pen', 1.5)"]


def test_postgresql(postgres: Cluster) -> None:
    with psycopg.connect(postgres.conninfo, autocommit=True) as own:
        own.execute("CREATE SCHEMA audit")
        own.execute('CREATE TABLE "Order" (id INT PRIMARY KEY, lines JSONB, data BYTEA, at TIMESTAMPTZ DEFAULT now())')
        own.execute("CREATE TABLE audit.entry (id INT)")
        add = """INSERT INTO "Order" (id, lines, data) VALUES (%s, '{"b": 1, "a": [2]}', 'xy')"""
        row = "(1, {'a': [2], 'b': 1}, b'xy')"
        engine = create_engine(postgres.url)
        probe: Any = state.database(engine, ignore_columns=["at"])
        assert changed(probe, lambda: own.execute(add, [1])) == [f"table `Order`: row added: {row}"]
        audit: Any = state.database(engine, schema="audit")
        assert changed(audit, lambda: own.execute("INSERT INTO audit.entry VALUES (7)")) == [
            "table `entry`: row added: (7,)"
        ]
        with psycopg.connect(postgres.conninfo) as other:
            seen = state.connection(other, ignore_columns=["at"])
            assert changed(seen, lambda: own.execute(add, [2])) == [
                f"table `Order`: row added: {row.replace('(1', '(2')}"
            ]
            # its own transaction is not open any more, so nobody waits for it
            own.execute("SET lock_timeout = '2s'")
            own.execute('ALTER TABLE "Order" ADD COLUMN note TEXT')
            # what the user's own transaction wrote stays
            other.execute(add, [3])
            assert changed(seen, lambda: other.execute(add, [4])) != []
            other.commit()
            assert other.execute('SELECT count(*) FROM "Order"').fetchone() == (4,)

        async def asynchronous() -> None:
            async_engine = create_async_engine(postgres.url)
            probe: Any = state.database(async_engine, tables=["Order"])
            before = await probe()
            own.execute('DELETE FROM "Order" WHERE id > 1')
            assert [each.split(":")[1] for each in state.changes(before, await probe())] == [" row gone"] * 3
            both: Any = state.together(database=probe, calls=state.calls([1]))
            assert (await both()).parts.keys() == {"database: table `Order`", "calls: calls"}
            await async_engine.dispose()

        asyncio.run(asynchronous())
        with pytest.raises(TypeError, match="AsyncConnection is asynchronous"):
            state.connection(asyncio.run(psycopg.AsyncConnection.connect(postgres.conninfo)))
        engine.dispose()


def test_unknown_database() -> None:
    class Connection:
        pass

    with pytest.raises(ValueError, match=r"The catalogue of '\w+' is not known: name the tables, tables=\[\.\.\.\]"):
        state.connection(Connection())


def test_long_table(sqlite: sqlite3.Connection) -> None:
    """A long table is compared as a whole, in little memory and whatever the order of its rows."""
    sqlite.execute("CREATE TABLE long (id INT, text TEXT)")
    sqlite.execute("BEGIN")
    sqlite.executemany("INSERT INTO long VALUES (?, ?)", ((each, "x" * 500) for each in range(20_000)))
    sqlite.execute("COMMIT")
    probe = state.connection(sqlite, tables=["long"], max_rows=1_000)
    tracemalloc.start()
    probe()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 20,000 rows of 500 bytes are 10 MB
    assert peak < 2_500_000
    assert changed(probe, lambda: sqlite.execute("UPDATE long SET text = 'y' WHERE id = 11234")) == [
        "table `long`: 20000 rows before, 20000 after (too many to compare one by one)"
    ]

    def rewrite() -> None:
        sqlite.execute("CREATE TABLE copy AS SELECT * FROM long ORDER BY id DESC")
        sqlite.execute("DELETE FROM long")
        sqlite.execute("INSERT INTO long SELECT * FROM copy")

    assert changed(probe, rewrite) == []


def test_directory(tmp_path: Path) -> None:
    root = tmp_path / "out"
    probe = state.directory(root, ignore=["*.log", "cache/*"])

    def write(name: str, content: str) -> Callable[[], Any]:
        def act() -> None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)

        return act

    assert changed(probe, write("a.csv", "one")) == ["directory out: file added: a.csv (3 B)"]
    assert changed(probe, write("a.csv", "one")) == []
    assert changed(probe, write("a.csv", "two")) == [
        "directory out: file added: a.csv (3 B)",
        "directory out: file gone: a.csv (3 B)",
    ]
    assert changed(probe, write("deep/er/b.csv", "")) == ["directory out: file added: deep/er/b.csv (0 B)"]
    assert changed(probe, write("deep/x.log", "")) == []
    assert changed(probe, write("cache/y", "")) == []
    assert changed(probe, lambda: (root / "link").symlink_to("nowhere")) == ["directory out: file added: link (0 B)"]
    assert changed(probe, lambda: (root / "a.csv").unlink()) == ["directory out: file gone: a.csv (3 B)"]


def test_calls() -> None:
    fake = mock.Mock()
    probe = state.calls(fake.mock_calls, name="mails")
    assert changed(probe, lambda: None) == []
    assert changed(lambda: state.calls(fake.mock_calls, name="mails")(), lambda: fake.send("a", to=1)) == [
        "mails: call added: call.send('a', to=1)"
    ]
    log: list[Any] = []
    assert changed(state.calls(log), lambda: log.append("a" * 500)) == [
        f"calls: call added: '{'a' * 105} ... {'a' * 39}'"
    ]


def test_together(tmp_path: Path) -> None:
    log: list[Any] = []
    balance = {"eur": 5}
    probe: Any = state.together(files=state.directory(tmp_path), log=state.calls(log), balance=lambda: balance)

    def change() -> None:
        log.append(1)
        balance["eur"] = 6

    assert changed(probe, change) == [
        "balance: value added: {'eur': 6}",
        "balance: value gone: {'eur': 5}",
        "log: calls: call added: 1",
    ]
    with pytest.raises(TypeError, match="3 is neither callable nor has a method"):
        state.together(wrong=3)


class Account:
    def __init__(self) -> None:
        self.balance = 1
        self.itself = self


@pytest.mark.parametrize(
    "value, change, said",
    [
        ([1, 1], lambda value: value.append(1), ["state: added: 1"]),
        ([1, 2], lambda value: value.reverse(), ["state: another order: [2, 1]"]),
        ({"a": {"b": [1]}}, lambda value: value["a"]["b"].clear(), ["state['a']['b']: gone: 1"]),
        ({"a": 1}, lambda value: value.update(a=2, c=3), ["state['a']: 1 became 2", "state['c']: added: 3"]),
        ({1, 2}, lambda value: value.discard(1), ["state: gone: 1"]),
        (Account(), lambda value: setattr(value, "balance", 2), ["state['balance']: 1 became 2"]),
        ([Account()], lambda value: None, []),
        (bytearray(b"a"), lambda value: value.append(98), ["state: b'a' became b'ab'"]),
    ],
)
def test_own_values(value: Any, change: Callable[[Any], Any], said: list[str]) -> None:
    """A state that is a live object is compared by what it was."""
    assert changed(lambda: value, lambda: change(value)) == said
