'''Activity code inserts rows that a retry inserts again.

## What
Reports SQL that adds rows without protection (`INSERT` with no `ON CONFLICT`, `ON DUPLICATE KEY`, `OR IGNORE`,
`IGNORE`, `WHERE NOT EXISTS`; also `COPY ... FROM`) where an activity, or a function that an activity reaches through
any number of calls, executes it. The statement is read from literals, f-strings, `.format`, `%`, `textwrap.dedent`,
`text()` and constants, in any module of the project.

Silent: a statement whose protection may stand in a part that is not known; a temporary table; rows of the same table
deleted or looked up earlier in the activity; a handler for the unique violation, in a context manager or decorator too;
a condition that only holds when the database has said that nothing is there yet (`rowcount`, an empty row); an activity
whose calls all allow one attempt; a statement that is rolled back in any case; a key made for idempotency; engines that
replace equal rows by themselves (ClickHouse).

## Why
Temporal runs an activity at least once. When a worker dies after the commit and before its answer reaches the server,
the next attempt inserts the same rows again, or fails for ever on the unique key that the first attempt filled.

## Invalid
```python
# file: store.py
import psycopg


class Store:
    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn)

    def add(self, name: str) -> None:
        self.connection.execute("INSERT INTO people (name) VALUES (%s)", (name,))  # expect
# file: activities.py
from temporalio import activity

from store import Store

store = Store("dbname=people")


@activity.defn
def add_person(name: str) -> None:
    store.add(name)
```

## Valid
```python
import sqlite3

from temporalio import activity


@activity.defn
def add_person(name: str) -> None:
    connection = sqlite3.connect("people.db")
    connection.execute("INSERT INTO people (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (name,))
```

```python
import sqlite3

from temporalio import activity


@activity.defn
def replace_scores(run: int, scores: list[int]) -> None:
    with sqlite3.connect("scores.db") as connection:
        connection.execute("DELETE FROM scores WHERE run = ?", (run,))
        connection.executemany("INSERT INTO scores (run, score) VALUES (?, ?)", [(run, score) for score in scores])
```

```python
import sqlite3


def add_person(name: str) -> None:
    """No activity reaches this function."""
    sqlite3.connect("people.db").execute("INSERT INTO people (name) VALUES (?)", (name,))
```

## Options
`sql-dialect` names the dialect where it cannot be told from the driver; `sql-execute` adds names of functions or
methods that execute the SQL text they are given.
'''

from __future__ import annotations

import re
from collections.abc import Iterator

from temporal_lint.facts import Call
from temporal_lint.project import Project, links
from temporal_lint.queries import Queries, is_prepared
from temporal_lint.repeats import is_repeatable
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.sql import plain_inserts

_IDEMPOTENCY_KEY = re.compile(r"idempot|dedup", re.IGNORECASE)


@rule("TMP301", Severity.ERROR)
def non_idempotent_insert(call: Call, project: Project) -> Iterator[Finding]:
    """Report the statement where it is executed, with the calls that lead there."""
    chain = project.activity_code.get(call.function) if call.function is not None else None
    if chain is None or call.function is None:
        return
    queries = Queries.of(project)
    for expression, text in queries.executed(call):
        inserts = plain_inserts(text, queries.dialect(call.module))
        if not inserts or _IDEMPOTENCY_KEY.search(text) or is_repeatable(call, chain, project):
            continue
        earlier = [each for step in (*chain, None) for each in queries.before(step, call)]
        insert = next((each for each in inserts if not is_prepared(each.table, earlier)), None)
        if insert is None:
            continue
        rows = f"rows in `{insert.table}`" if insert.table else "rows"
        yield Finding(
            call.module,
            expression,
            f"Activity code inserts {rows} with a plain {insert.verb}: when the attempt is lost after the commit, "
            "the retry inserts them again or fails on the unique key.",
            "Make the statement safe to repeat: a unique key with `ON CONFLICT ... DO NOTHING` or `DO UPDATE`, or "
            "delete the same keys first in the same transaction.",
            chain=links(chain, call.function, call.node),
        )
