"""TMP301: what stands around an INSERT and makes it safe to repeat, and what only looks so."""

from __future__ import annotations

import pytest
from support import findings

HEAD = """
import contextlib
import psycopg
from datetime import timedelta
from psycopg import errors
from temporalio import activity, workflow
from temporalio.common import RetryPolicy

DUPLICATES = (errors.UniqueViolation,)

@contextlib.contextmanager
def once():
    try:
        yield
    except errors.UniqueViolation:
        pass

def again(function):
    def inner(*args):
        try:
            return function(*args)
        except errors.UniqueViolation:
            return None
    return inner

def is_known(db, key):
    return db.execute("SELECT 1 FROM seen WHERE id = %s", (key,)).fetchone() is not None

def add(db, key):
    db.execute("INSERT INTO ledger (id) VALUES (%s)", (key,))

@again
def add_once(db, key):
    db.execute("INSERT INTO ledger (id) VALUES (%s)", (key,))

@activity.defn
def work(db: str, key: str) -> None:
"""
CALLER = """
@workflow.defn
class Flow:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            work, args=["", ""], start_to_close_timeout=timedelta(seconds=1), retry_policy=RetryPolicy(OPTIONS)
        )
"""

REPEATABLE = [
    "with contextlib.suppress(errors.UniqueViolation):\n    add(db, key)",
    "with once():\n    add(db, key)",
    "add_once(db, key)",
    "try:\n    add(db, key)\nexcept DUPLICATES:\n    pass",
    "try:\n    add(db, key)\nexcept psycopg.Error as error:\n    if error.sqlstate != '23505':\n        raise",
    "try:\n    add(db, key)\nexcept Exception as error:\n    if 'duplicate key' not in str(error):\n        raise",
    "if is_known(db, key):\n    return\nadd(db, key)",
    "if not is_known(db, key):\n    add(db, key)",
    "row = db.execute('SELECT 1 FROM seen').fetchone()\nif row is not None:\n    return\nadd(db, key)",
    "row = db.execute('SELECT 1 FROM seen').fetchone()\nif row:\n    pass\nelse:\n    add(db, key)",
    "if (row := db.execute('SELECT 1 FROM seen').fetchone()) is None and key:\n    add(db, key)",
    "made = db.execute('INSERT OR IGNORE INTO seen VALUES (1)')\nif made.rowcount == 0:\n    return\nadd(db, key)",
    "done = db.execute(\"UPDATE seen SET s = 1 WHERE s = 0\")\nif done.rowcount == 1:\n    add(db, key)",
    "if activity.info().attempt == 1:\n    add(db, key)",
    "add(db, key)\ndb.rollback()",
]  # fmt: skip
NOT_REPEATABLE = [
    "add(db, key)",
    "add(db, key)\ndb.commit()",
    "with contextlib.suppress(KeyError):\n    add(db, key)",
    "try:\n    add(db, key)\nexcept psycopg.OperationalError:\n    raise",
    "try:\n    add(db, key)\nexcept Exception:\n    db.rollback()\n    raise",
    "if key:\n    add(db, key)",
    "if is_known(db, key):\n    add(db, key)",
    "if not is_known(db, key):\n    return\nadd(db, key)",
    "row = db.execute('SELECT 1 FROM users').fetchone()\nif row is None:\n    raise ValueError\nadd(db, key)",
    "row = db.execute('SELECT 1 FROM users').fetchone()\nif row:\n    add(db, key)",
    "row = db.execute('SELECT 1 FROM users').fetchone()\nif not row or key:\n    add(db, key)",
]


def count(body: str, more: str = "") -> int:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return len(findings(HEAD + indented + more, "TMP301"))


@pytest.mark.parametrize("body", REPEATABLE)
def test_repeatable(body: str) -> None:
    assert count(body) == 0


@pytest.mark.parametrize("body", NOT_REPEATABLE)
def test_not_repeatable(body: str) -> None:
    assert count(body) == 1


@pytest.mark.parametrize(("options", "found"), [("maximum_attempts=1", 0), ("maximum_attempts=2", 1), ("", 1)])
def test_an_activity_that_is_tried_once(options: str, found: int) -> None:
    assert count("add(db, key)", CALLER.replace("OPTIONS", options)) == found
