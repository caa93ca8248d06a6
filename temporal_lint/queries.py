"""The SQL that code executes: by a driver's method, or through helpers of the project that hand it on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from temporal_lint.facts import Call, Function, Module, Parameter, last_name, ordinal
from temporal_lint.project import Project, Step
from temporal_lint.sql import same_table, tables_written

# Methods of DB-API drivers, asyncpg, SQLAlchemy and the usual wrappers around them that take SQL first.
_EXECUTES = frozenset(
    [
        *("execute", "executemany", "executescript", "execute_async", "execute_many", "exec_driver_sql"),
        *("execute_query", "execute_sql", "copy_expert", "copy", "query", "run_query", "raw", "scalar", "scalars"),
        *("fetch", "fetchrow", "fetchval", "fetch_all", "fetch_one", "fetch_val", "fetchone", "fetchall"),
    ]
)
_TEXT_KEYWORDS = frozenset(["query", "sql", "statement", "operation", "stmt", "command"])
_DRIVERS = {
    "asyncpg": "postgres", "psycopg": "postgres", "psycopg2": "postgres", "pg8000": "postgres", "aiopg": "postgres",
    "sqlite3": "sqlite", "aiosqlite": "sqlite", "pymysql": "mysql", "MySQLdb": "mysql", "aiomysql": "mysql",
    "mysql": "mysql", "clickhouse_connect": "clickhouse", "clickhouse_driver": "clickhouse", "asynch": "clickhouse",
    "pyodbc": "tsql", "pymssql": "tsql", "oracledb": "oracle", "cx_Oracle": "oracle", "snowflake": "snowflake",
}  # fmt: skip
# A helper that only hands its SQL on is followed this many calls deep.
_HANDED_ON = 4


class Queries:
    """The SQL of a project; `of(project)` makes one for each project and keeps it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._executed: dict[Call, list[tuple[ast.expr, str]]] = {}
        self._hands_on: dict[tuple[Function, str, int], bool] = {}
        self._dialects: dict[Module, str | None] = {}

    @classmethod
    def of(cls, project: Project) -> Queries:
        """The queries of `project`."""
        return project.kept(cls)

    def executed(self, call: Call) -> list[tuple[ast.expr, str]]:
        """The SQL texts that a call executes, each with the expression at the call that brings it."""
        found = self._executed.get(call)
        if found is None:
            texts = (
                (expression, self.project.values.text(expression, call.scope))
                for expression in self._arguments(call, _HANDED_ON)
            )
            found = self._executed[call] = [(expression, text) for expression, text in texts if text is not None]
        return found

    def before(self, step: Step | None, call: Call) -> Iterator[str]:
        """The SQL executed earlier in one function of the chain to `call`, and in functions called directly there.

        `step` is the link that leaves that function; None stands for the function that makes the call itself.
        """
        function, until = (step.caller, step.call) if step is not None else (call.function, call)
        if function is None:
            return
        for other in function.calls:
            if ordinal(other.node) >= ordinal(until.node):
                continue
            yield from (text for _, text in self.executed(other))
            callee = self.project.resolver.resolve(other.node.func, other.scope)
            if isinstance(callee, Function) and callee is not call.function:
                for inner in callee.calls:
                    yield from (text for _, text in self.executed(inner))

    def dialect(self, module: Module) -> str | None:
        """The configured dialect, else that of the driver a module imports; ClickHouse where only another module
        shows it."""
        if self.project.settings.sql_dialect is not None:
            return self.project.settings.sql_dialect
        if module not in self._dialects:
            own = next(_drivers(module), None)
            if own is None and any("clickhouse" in _drivers(each) for each in self.project.modules.values()):
                own = "clickhouse"
            self._dialects[module] = own
        return self._dialects[module]

    def _arguments(self, call: Call, depth: int) -> list[ast.expr]:
        """The arguments of a call that are executed as SQL."""
        func = call.node.func
        callee = self.project.resolver.resolve(func, call.scope)
        if isinstance(callee, Function):
            if not depth:
                return []
            return [
                expression
                for parameter, expression in _pairs(call, callee)
                if self._is_handed_on(callee, parameter.name, depth - 1)
            ]
        name, configured = last_name(func), self.project.settings.sql_execute
        executes = name in _EXECUTES or name in configured
        if not executes and configured:
            executes = self.project.resolver.dotted(func, call.scope) in configured
        if not executes:
            return []
        named = [each.value for each in call.node.keywords if each.arg in _TEXT_KEYWORDS]
        return [*call.node.args[:1], *named]

    def _is_handed_on(self, function: Function, parameter: str, depth: int) -> bool:
        """Whether a function executes what it is given for a parameter."""
        key = (function, parameter, depth)
        if key not in self._hands_on:
            self._hands_on[key] = False
            bindings = function.scope.bindings.get(parameter, [])
            self._hands_on[key] = len(bindings) == 1 and any(
                isinstance(expression, ast.Name) and expression.id == parameter
                for inner in function.calls
                for expression in _unwrapped(self._arguments(inner, depth))
            )
        return self._hands_on[key]


def is_prepared(table: str | None, earlier: list[str]) -> bool:
    """Whether SQL executed earlier emptied the table, made it as a temporary one, or looked its rows up."""
    looked_up = None
    if table is not None:
        name = re.escape(table.rpartition(".")[2])
        looked_up = re.compile(rf"\bFROM\s+[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?{name}\b", re.IGNORECASE)
    for text in earlier:
        effects = tables_written(text)
        if any(same_table(table, each) for each in (*effects.deleted, *effects.created_temp)):
            return True
        if looked_up is not None and looked_up.search(text):
            return True
    return False


def _drivers(module: Module) -> Iterator[str]:
    """The dialects of the drivers that a module imports, in order."""
    for each in module.imports:
        dialect = _DRIVERS.get(each.source.partition(".")[0])
        if dialect is not None:
            yield dialect


def _unwrapped(expressions: list[ast.expr]) -> Iterator[ast.expr]:
    """`sql` of `text(sql)` as well as of `sql`."""
    for expression in expressions:
        yield expression
        if isinstance(expression, ast.Call):
            yield from expression.args[:1]


def _pairs(call: Call, callee: Function) -> Iterator[tuple[Parameter, ast.expr]]:
    """Each parameter that the call fills, with what it is given."""
    slots = [each for each in callee.bound_parameters if each.kind in ("positional", "positional-only")]
    for parameter, expression in zip(slots, call.node.args, strict=False):
        if isinstance(expression, ast.Starred):
            return
        yield parameter, expression
    names = {each.name: each for each in callee.bound_parameters}
    for keyword in call.node.keywords:
        if keyword.arg in names:
            yield names[keyword.arg], keyword.value
