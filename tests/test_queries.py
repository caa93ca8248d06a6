"""TMP301 beyond its page: how far an INSERT is followed, and what silences it."""

from __future__ import annotations

import ast

import pytest
from support import findings

HEAD = """
import asyncio, sqlite3, textwrap
from abc import ABC, abstractmethod
from functools import partial
from typing import Protocol
from sqlalchemy import text
from temporalio import activity

db = sqlite3.connect("x")
PLAIN = "INSERT INTO t (a) VALUES (?)"
"""

FOUND = {
    "in the activity": """
@activity.defn
def act(): db.execute(PLAIN)
""",
    "three calls below": """
def one(): two()
def two(): three()
def three(): db.execute(PLAIN)
@activity.defn
def act(): one()
""",
    "text handed to a helper": """
def run(sql, *args): db.execute(sql, args)
@activity.defn
def act(): run(PLAIN, 1)
""",
    "text handed on twice, wrapped": """
def outer(statement): inner(sql=statement)
def inner(*, sql): db.execute(text(sql))
@activity.defn
def act(): outer("INSERT INTO t SELECT 1")
""",
    "through an abstract store": """
class Store(ABC):
    @abstractmethod
    def save(self): ...
class Sqlite(Store):
    def save(self): db.execute(PLAIN)
class Acts:
    def __init__(self, store: Store): self.store = store
    @activity.defn
    def act(self): self.store.save()
""",
    "through a protocol": """
class Store(Protocol):
    def save(self) -> None: ...
class Sqlite(Store):
    def save(self): db.execute(PLAIN)
class Acts:
    def __init__(self, store: Store): self.store = store
    @activity.defn
    def act(self): self.store.save()
""",
    "in a thread": """
def work(): db.execute(PLAIN)
@activity.defn
async def act(): await asyncio.to_thread(work)
""",
    "in a base class": """
class Base:
    def write(self): db.execute(PLAIN)
class Acts(Base):
    @activity.defn
    def act(self): self.write()
""",
    "put together": """
TABLE = "t"
@activity.defn
def act(name):
    sql = f"INSERT INTO {TABLE} (a, b) " + "VALUES (?, ?)"
    db.executemany(textwrap.dedent(sql), [])
""",
    "another table is emptied": """
@activity.defn
def act():
    db.execute("DELETE FROM other")
    db.execute(PLAIN)
""",
    "emptied afterwards": """
@activity.defn
def act():
    db.execute(PLAIN)
    db.execute("DELETE FROM t")
""",
    "another error handled": """
@activity.defn
def act():
    try:
        db.execute(PLAIN)
    except TimeoutError:
        pass
""",
}

SILENT = {
    "no activity reaches it": "def run(): db.execute(PLAIN)",
    "upsert": "@activity.defn\ndef act(): db.execute(PLAIN + ' ON CONFLICT DO NOTHING')",
    "unknown end": "@activity.defn\ndef act(more): db.execute(PLAIN + more)",
    "emptied by the caller": """
def fill(): db.execute(PLAIN)
def clear(): db.execute("DELETE FROM t WHERE a = 1")
@activity.defn
def act():
    clear()
    fill()
""",
    "looked up": """
@activity.defn
def act():
    if not db.execute("SELECT 1 FROM t WHERE a = 1").fetchone():
        db.execute(PLAIN)
""",
    "temporary table": """
@activity.defn
def act():
    db.execute("CREATE TEMP TABLE t (a)")
    db.execute(PLAIN)
""",
    "duplicate handled by the caller": """
def fill(): db.execute(PLAIN)
@activity.defn
def act():
    try:
        fill()
    except sqlite3.IntegrityError:
        pass
""",
    "idempotency key": "@activity.defn\ndef act(): db.execute('INSERT INTO t (idempotency_key) VALUES (?)')",
    "no SQL": "@activity.defn\ndef act(): db.execute('insert coin to play')",
    "logged": "@activity.defn\ndef act(): activity.logger.info(PLAIN)",
    "helper that does not execute": """
def show(sql): print(sql)
@activity.defn
def act(): show(PLAIN)
""",
    "rebound parameter": """
def run(sql):
    sql = sql + " ON CONFLICT DO NOTHING"
    db.execute(sql)
@activity.defn
def act(): run(PLAIN)
""",
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_found(body: str) -> None:
    (found,) = findings(HEAD + body, "TMP301")
    assert found[1].chain[0].label.endswith((".act", "Acts.act"))
    ast.unparse(found[1].node)


@pytest.mark.parametrize("body", SILENT.values(), ids=SILENT)
def test_silent(body: str) -> None:
    assert not findings(HEAD + body, "TMP301")


def test_the_dialect_is_configured_or_that_of_the_driver() -> None:
    body = FOUND["in the activity"]
    assert findings(HEAD + body, "TMP301", sql_dialect="postgres")
    assert not findings(HEAD + body, "TMP301", sql_dialect="clickhouse")
    clickhouse = "import clickhouse_connect\nfrom temporalio import activity\ndb = clickhouse_connect.get_client()\n"
    insert = "@activity.defn\ndef act(): db.query('INSERT INTO t (a) VALUES (1)')\n"
    assert not findings(clickhouse + insert, "TMP301")


def test_more_functions_that_execute_sql() -> None:
    body = "import mydb\n@activity.defn\ndef act(): mydb.do(PLAIN)\n"
    assert not findings(HEAD + body, "TMP301")
    assert findings(HEAD + body, "TMP301", sql_execute=("mydb.do",))
    assert findings(HEAD + body, "TMP301", sql_execute=("do",))
