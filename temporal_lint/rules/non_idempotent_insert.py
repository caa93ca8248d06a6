'''Activity code inserts rows that a retry inserts again.

## What
Reports SQL that adds rows without protection (`INSERT` with no `ON CONFLICT`, `ON DUPLICATE KEY`, `OR IGNORE`,
`IGNORE`, `WHERE NOT EXISTS`; also `COPY ... FROM`) where an activity, or a function that an activity reaches through
any number of calls, executes it. The statement is read from literals, f-strings, `.format`, `%`, `textwrap.dedent`,
`text()` and constants, in any module of the project.

Silent: a statement whose protection may stand in a part that is not known; a temporary table; rows of the same table
deleted or looked up earlier in the activity; a handler for the unique violation; a key made for idempotency; engines
that replace equal rows by themselves (ClickHouse).

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

import ast
import re
from collections.abc import Iterator

from temporal_lint.facts import Call, Function, Module, Parameter, ordinal
from temporal_lint.project import Project, Step
from temporal_lint.rule import Finding, Severity, rule
from temporal_lint.sql import plain_inserts, same_table, tables_written

_EXECUTES = frozenset(
    "execute executemany executescript execute_async execute_many exec_driver_sql execute_query execute_sql copy_expert "
    "query run_query raw fetch fetchrow fetchval fetch_all fetch_one fetch_val fetchone fetchall scalar scalars copy".split()
)
_TEXT_KEYWORDS = ("query", "sql", "statement", "operation", "stmt", "command")
_DRIVERS = {
    "asyncpg": "postgres", "psycopg": "postgres", "psycopg2": "postgres", "pg8000": "postgres", "aiopg": "postgres",
    "sqlite3": "sqlite", "aiosqlite": "sqlite", "pymysql": "mysql", "MySQLdb": "mysql", "aiomysql": "mysql",
    "mysql": "mysql", "clickhouse_connect": "clickhouse", "clickhouse_driver": "clickhouse", "asynch": "clickhouse",
    "pyodbc": "tsql", "pymssql": "tsql", "oracledb": "oracle", "cx_Oracle": "oracle", "snowflake": "snowflake",
}  # fmt: skip
_HANDLES_DUPLICATES = re.compile(r"Unique|Integrity|Duplicate|Conflict|AlreadyExists")
_IDEMPOTENCY_KEY = re.compile(r"idempot|dedup", re.IGNORECASE)
# A helper that only hands its SQL on is followed this many calls deep.
_HANDED_ON = 4


@rule("TMP301", Severity.ERROR)
def non_idempotent_insert(call: Call, project: Project) -> Iterator[Finding]:
    """Report the statement where it is executed, with the calls that lead there."""
    chain = project.activity_code.get(call.function) if call.function is not None else None
    if chain is None or call.function is None:
        return
    for expression, text in _executed(call, project):
        dialect = project.settings.sql_dialect or _dialect(call.module, project)
        inserts = plain_inserts(text, dialect)
        if not inserts or _IDEMPOTENCY_KEY.search(text) or _duplicates_handled(call, chain, project):
            continue
        earlier = [each for step in (*chain, None) for each in _texts_before(step, call, project)]
        table = next((each.table for each in inserts if not _prepared(each.table, earlier)), "")
        if table == "":
            continue
        rows = f"rows in `{table}`" if table else "rows"
        yield Finding(
            call.module,
            expression,
            f"Activity code inserts {rows} with a plain {inserts[0].verb}: when the attempt is lost after the commit, "
            "the retry inserts them again or fails on the unique key.",
            "Make the statement safe to repeat: a unique key with `ON CONFLICT ... DO NOTHING` or `DO UPDATE`, or delete "
            "the same keys first in the same transaction.",
            chain=_labels(chain, call.function),
        )


def _labels(chain: tuple[Step, ...], function: Function) -> tuple[str, ...]:
    """The functions from the activity to the one that executes the statement."""
    return (*(step.caller.label for step in chain), function.label)


def _executed(call: Call, project: Project) -> list[tuple[ast.expr, str]]:
    """The SQL texts that a call executes, each with the expression at the call that brings it."""
    found: list[tuple[ast.expr, str]] = []
    for expression in _sql_arguments(call, project, _HANDED_ON):
        text = project.values.text(expression, call.scope)
        if text is not None:
            found.append((expression, text))
    return found


def _sql_arguments(call: Call, project: Project, depth: int) -> list[ast.expr]:
    """The arguments of a call that are executed as SQL: by a driver's method, or by a helper that hands them on."""
    func = call.node.func
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    callee = project.resolver.resolve(func, call.scope)
    if isinstance(callee, Function):
        return [
            expression
            for parameter, expression in _pairs(call, callee)
            if depth and _executes(callee, parameter, project, depth - 1)
        ]
    configured = project.settings.sql_execute
    if name not in _EXECUTES and name not in configured and project.resolver.dotted(func, call.scope) not in configured:
        return []
    named = [each.value for each in call.node.keywords if each.arg in _TEXT_KEYWORDS]
    return [*call.node.args[:1], *named]


def _executes(function: Function, parameter: Parameter, project: Project, depth: int) -> bool:
    bindings = function.scope.bindings.get(parameter.name, [])
    return len(bindings) == 1 and any(
        isinstance(expression, ast.Name) and expression.id == parameter.name
        for inner in function.calls
        for expression in _unwrapped(_sql_arguments(inner, project, depth))
    )


def _unwrapped(expressions: list[ast.expr]) -> Iterator[ast.expr]:
    """`sql` of `text(sql)` and `sql.strip()` as well as of `sql`."""
    for expression in expressions:
        yield expression
        if isinstance(expression, ast.Call):
            yield from expression.args[:1]


def _pairs(call: Call, callee: Function) -> Iterator[tuple[Parameter, ast.expr]]:
    slots = [each for each in callee.bound_parameters if each.kind in ("positional", "positional-only")]
    for parameter, expression in zip(slots, call.node.args, strict=False):
        if isinstance(expression, ast.Starred):
            return
        yield parameter, expression
    names = {each.name: each for each in callee.bound_parameters}
    for keyword in call.node.keywords:
        if keyword.arg in names:
            yield names[keyword.arg], keyword.value


def _texts_before(step: Step | None, call: Call, project: Project) -> Iterator[str]:
    """The SQL executed earlier in one function of the chain, in functions it calls directly as well.

    `step` is the link that leaves that function; None stands for the function that executes the insert itself.
    """
    function, until = (step.caller, step.call) if step is not None else (call.function, call)
    if function is None:
        return
    for other in function.calls:
        if ordinal(other.node) >= ordinal(until.node):
            continue
        yield from (text for _, text in _executed(other, project))
        callee = project.resolver.resolve(other.node.func, other.scope)
        if isinstance(callee, Function) and callee is not call.function:
            for inner in callee.calls:
                yield from (text for _, text in _executed(inner, project))


def _prepared(table: str | None, earlier: list[str]) -> bool:
    """Whether earlier SQL emptied the table, made it as a temporary one, or looked the rows up."""
    for text in earlier:
        effects = tables_written(text)
        if any(same_table(table, each) for each in (*effects.deleted, *effects.created_temp)):
            return True
        if table is not None and re.search(
            rf"\bFROM\s+[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?{re.escape(table.rpartition('.')[2])}\b", text, re.IGNORECASE
        ):
            return True
    return False


def _duplicates_handled(call: Call, chain: tuple[Step, ...], project: Project) -> bool:
    """Whether a `try` around the statement, or around a call that leads to it, handles a duplicate key."""
    for each in (call, *(step.call for step in chain)):
        inner: ast.AST = each.node
        for outer in each.module.ancestors(each.node):
            if isinstance(outer, ast.Try) and inner in outer.body:
                for handler in outer.handlers:
                    if handler.type is not None and _HANDLES_DUPLICATES.search(ast.unparse(handler.type)):
                        return True
            inner = outer
    return False


def _dialect(module: Module, project: Project) -> str | None:
    """The dialect of the driver that a module imports; ClickHouse where only another module shows it."""
    own = [_DRIVERS[root] for each in module.imports if (root := each.source.split(".", 1)[0]) in _DRIVERS]
    if own:
        return own[0]
    everywhere = {each.source.split(".", 1)[0] for other in project.modules.values() for each in other.imports}
    return "clickhouse" if any(_DRIVERS.get(root) == "clickhouse" for root in everywhere) else None
