"""What an SQL text does to tables: which statements add rows again when they run again.

The answers lean to silence: a statement is named only when its whole shape is understood and no unknown part of it
could hold a protection. A small tokenizer settles everything but the query that feeds an INSERT ... SELECT; only
that is given to sqlglot, whose import costs more than reading a thousand statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from sqlglot import exp

HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in a text for each part that is only known when the program runs."""


@dataclass(frozen=True)
class Insert:
    """A statement that adds rows without protection. `table` is dotted, without quotes; None where unknown."""

    table: str | None
    verb: Literal["INSERT", "COPY"]


@dataclass(frozen=True)
class Effects:
    """The tables a text touches, None standing for one whose name is unknown.

    `created_temp`: made as temporary tables. `deleted`: deleted from, truncated, dropped or made anew, so that rows
    of an earlier run are gone. `inserted`: given rows, protected or not.
    """

    created_temp: frozenset[str | None] = frozenset()
    deleted: frozenset[str | None] = frozenset()
    inserted: frozenset[str | None] = frozenset()


def plain_inserts(text: str, dialect: str | None) -> tuple[Insert, ...]:
    """The statements of `text` that add rows, or are refused, when they run a second time.

    `dialect` is a name that sqlglot or SQLAlchemy knows, None where unknown; a name nobody knows counts as None.
    What is no SQL gives (). Only the first 64 Ki characters are read. Never raises.
    """
    if not _ADDS.search(text, 0, _LIMIT) or not _SOURCE.search(text, 0, _LIMIT):
        return ()
    name = _ALIASES.get((dialect or "").lower(), (dialect or "").lower())
    if name in _ENGINE_DECIDES or (not name and _CLICKHOUSE.search(text, 0, _LIMIT)):
        return ()
    return _plain(_cut(text), name)


def dialects() -> list[str]:
    """The names that `plain_inserts` knows, in lower case. Imports sqlglot."""
    import sqlglot

    return sorted({*sqlglot.Dialect.classes, *_ALIASES, *_ENGINE_DECIDES} - {""})


def tables_written(text: str) -> Effects:
    """The tables that `text` makes as temporary, empties or adds to. Reads as far as `plain_inserts`; never raises."""
    return _effects(_cut(text)) if _WRITES.search(text, 0, _LIMIT) else Effects()


def same_table(one: str | None, other: str | None) -> bool:
    """Whether two names can mean one table: `t` and `public.T` can, and None can mean any."""
    if one is None or other is None:
        return True
    left, right = one.lower().split("."), other.lower().split(".")
    shared = min(len(left), len(right))
    return left[-shared:] == right[-shared:]


# A longer text is data, not code; reading this much takes about 30 ms.
_LIMIT = 1 << 16
# Parentheses deeper than this are not given to sqlglot, which recurses; nor is a query of more tokens, which may
# have to be read in each dialect, at about 10 ms for a thousand.
_DEPTH = 60
_QUERY_TOKENS = 2000

_ADDS = re.compile(r"\b(?:INSERT|COPY)\b", re.IGNORECASE)
_SOURCE = re.compile(r"\b(?:VALUES?|SELECT|SET|FROM)\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(?:INSERT|COPY|REPLACE|MERGE|UPSERT|DELETE|TRUNCATE|DROP|CREATE|INTO)\b", re.IGNORECASE)

_ALIASES = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql", "cockroachdb": "postgres"}
# Here the engine of the table, not the statement, says whether an equal row replaces the old one.
_ENGINE_DECIDES = {"cassandra", "clickhouse", "doris", "starrocks"}
_CLICKHOUSE = re.compile(r"\{\w+:\s*[A-Z]\w*[(}]|\bFINAL\b|\bENGINE\s*=\s*\w*MergeTree|\bSETTINGS\b")
_TRIED = ("postgres", "mysql", "tsql", "snowflake", "bigquery")

_QUERY = {"SELECT", "WITH"}
_RESERVED = {"SELECT", "VALUES", "INTO", "FROM", "WHERE", "SET", "DEFAULT", "WITH"}
_CONDITIONS = {"WHERE", "AND", "OR", "NOT", "ON", "HAVING", "QUALIFY"}
_OPERAND_AFTER = {
    "SELECT", "DISTINCT", "ALL", "FROM", "JOIN", "IN", "LIKE", "ILIKE", "IS", "BETWEEN", "THEN", "ELSE", "WHEN",
    "CASE", "BY", "LIMIT", "OFFSET", "FETCH", "TOP", "INTERVAL", "AS", "VALUES", "ANY", "SOME", "ESCAPE",
    "ZONE", "DATE", "TIMESTAMP",
}  # fmt: skip
_HOLDS_QUERY = _CONDITIONS | {"FROM", "JOIN", "AS", "EXISTS", "UNION", "ALL", "LATERAL", ",", "("}
_COPY_OPTIONS = {
    "WITH", "(", "CSV", "BINARY", "DELIMITER", "DELIMITERS", "NULL", "HEADER", "QUOTE", "ESCAPE", "FORCE",
    "ENCODING", "FORMAT", "WHERE", "IAM_ROLE", "CREDENTIALS", "ACCESS_KEY_ID", "REGION", "JSON", "PARQUET",
}  # fmt: skip
_TRANSACTION = {"TRANSACTION", "TRAN", "WORK", "DEFERRED", "IMMEDIATE", "EXCLUSIVE", "CONCURRENT", "READ", "ISOLATION"}
_ROUTINES = {"FUNCTION", "PROCEDURE", "PROC", "TRIGGER", "PACKAGE", "RULE", "EVENT", "TASK"}
_TABLE_KINDS = {"OR", "REPLACE", "GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "TRANSIENT"}
_MEMORY_SCHEMAS = ("temp.", "pg_temp.")

_TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | --[^\n]* | \#[ \t][^\n]* | /\*(?!!|\+\s*IGNORE_ROW).*?\*/ )
    | (?P<string> '[^']*(?:''[^']*)*'(?!') | \$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$ )
    | (?P<quoted> "[^"]*(?:""[^"]*)*"(?!") | `[^`]*` | (?<![\w\])"])\[[^\[\]\n]*\] )
    | (?P<word> (?:HOLE(?=[\w$]) | [^\W\d] | \#{1,2}(?=\w)) (?:[\w$] | (?<=_)HOLE | HOLE(?=[\w$]))* )
    # The comments are text that MySQL runs, and the hint that lets Oracle skip known keys.
    | (?P<hole> HOLE | \{{1,3}[^{}\s'"]{0,99}\}{1,3} | /\*[!+].*?\*/ )
    | (?P<unclosed> (?:/\*|['"`]|\$(?:[^\W\d]\w*|)\$).* )
    | (?P<number> \d[\w.]* )
    | (?P<cast> :: )
    | (?P<param> %\(\w+\)s | %[sbt]\b | \?\d* | (?<![\w\])"]):\w+ | \$\d+ | @@?\w+ )
    | (?P<sign> \.\.\. | . )
    """.replace("HOLE", HOLE),
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


class _Unsure(Exception):
    """The statement is protected, or not understood well enough to say that it is not."""


class _Token(NamedTuple):
    """`key` is the upper-case word or the sign itself, "" for other kinds; `glued`: no space before it."""

    kind: str
    key: str
    text: str
    glued: bool


_END = _Token("end", "", "", False)


class _Part(NamedTuple):
    """One simple statement. `before` holds the WITH clause in front of it as far as it may be read from here;
    `writers` the names, in upper case, of the expressions in it that write."""

    tokens: Sequence[_Token]
    before: Sequence[_Token] = ()
    writers: frozenset[str] = frozenset()


class _Cursor:
    """Reads tokens from left to right; _Unsure where they are not what was expected."""

    def __init__(self, tokens: Sequence[_Token], at: int = 0) -> None:
        self.tokens = tokens
        self.at = at

    def peek(self, ahead: int = 0) -> _Token:
        """The token `ahead` places on; _END behind the last."""
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else _END

    def take(self, *keys: str) -> bool:
        """Step over one of `keys`, if it is next."""
        found = self.peek().key in keys
        self.at += found
        return found

    def expect(self, *keys: str) -> None:
        """Step over all of `keys`."""
        for key in keys:
            if not self.take(key):
                raise _Unsure

    def group(self) -> Sequence[_Token]:
        """Step over a pair of parentheses; the tokens between."""
        self.expect("(")
        start, depth = self.at, 1
        for index in range(start, len(self.tokens)):
            depth += {"(": 1, ")": -1}.get(self.tokens[index].key, 0)
            if not depth:
                self.at = index + 1
                return self.tokens[start:index]
        raise _Unsure

    def name(self) -> str | None:
        """Step over a table's or column's name; None where a part that counts is unknown."""
        parts = [self._piece()]
        while self.take("."):
            # T-SQL may leave the schema out: db..t
            self.take(".")
            parts.append(self._piece())
        while any(HOLE in part for part in parts):
            parts.pop(0)
        return ".".join(parts) or None

    def _piece(self) -> str:
        token = self.peek()
        if token.kind == "quoted":
            piece = token.text[1:-1].replace(token.text[-1] * 2, token.text[-1]) or HOLE
        elif token.kind == "word" and token.key not in _RESERVED:
            piece = token.text
        elif token.kind == "hole" or (token.kind == "param" and not token.text.startswith("@")):
            piece = HOLE
        else:
            raise _Unsure
        self.at += 1
        while self.peek().kind == "hole" and self.peek().glued:
            self.at += 1
            piece = HOLE
        return piece


def _cut(text: str) -> str:
    """The part of a text that is read, the statement at the cut left unclosed."""
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}\n/*"


def _tokens(text: str) -> Iterator[_Token]:
    glued = False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "skip":
            glued = False
            continue
        key = match[0].upper() if kind == "word" else match[0] if kind in ("sign", "cast") else ""
        yield _Token(kind, key, match[0], glued)
        glued = True


@lru_cache(maxsize=256)
def _parts(text: str) -> tuple[_Part, ...]:
    """The simple statements of a text in the order in which they run, the ones inside WITH before theirs."""
    # Whether a backslash hides the quote behind it is a setting of the server, and decides where each string ends.
    if "\\'" in text or '\\"' in text:
        return ()
    parts: list[_Part] = []
    statement: list[_Token] = []
    for token in (*_tokens(text), _Token("sign", ";", ";", False)):
        if token.key != ";":
            statement.append(token)
        elif statement:
            parts += _expand(statement)
            statement = []
    return tuple(parts)


def _expand(tokens: Sequence[_Token]) -> Iterator[_Part]:
    cursor = _Cursor(tokens)
    if not cursor.take("WITH"):
        yield _Part(tokens)
        return
    cursor.take("RECURSIVE")
    before: Sequence[_Token] = ()
    writers: frozenset[str] = frozenset()
    try:
        while True:
            name = cursor.name()
            if cursor.peek().key == "(":
                cursor.group()
            cursor.expect("AS")
            while cursor.take("NOT", "MATERIALIZED"):
                pass
            body = cursor.group()
            if body and body[0].key in ("INSERT", "DELETE", "UPDATE", "MERGE"):
                yield _Part(body, before, writers)
                writers |= {(name or HOLE).upper()}
            before = tokens[: cursor.at]
            if not cursor.take(","):
                break
    except _Unsure:
        return
    yield _Part(tokens[cursor.at :] or [_END], before, writers)


@lru_cache(maxsize=1024)
def _plain(text: str, dialect: str) -> tuple[Insert, ...]:
    found: list[Insert] = []
    fresh: list[str | None] = []
    for part in _parts(text):
        if part.tokens[0].kind == "hole" or _is_block(part.tokens):
            break
        created, deleted, _ = _changes(part)
        fresh += (*created, *deleted)
        verb = part.tokens[0].key
        try:
            if any(token.kind == "unclosed" or token.text in ("...", "…") for token in part.tokens):
                raise _Unsure
            if verb == "INSERT":
                found += (Insert(table, "INSERT") for table in _inserted(part, dialect) if not _holds(fresh, table))
            elif verb == "COPY":
                table = _copied(part)
                found += () if _holds(fresh, table) else (Insert(table, "COPY"),)
        except _Unsure:
            continue
    return tuple(found)


def _holds(fresh: Sequence[str | None], table: str | None) -> bool:
    """Whether an insert into `table` finds it without rows of an earlier run."""
    if table is not None and (table.lower().startswith(_MEMORY_SCHEMAS) or table.rpartition(".")[2].startswith("#")):
        return True
    return any(same_table(table, other) for other in fresh)


def _is_block(tokens: Sequence[_Token]) -> bool:
    """Whether procedural code starts here: what follows runs under conditions, with handlers, or only later."""
    cursor = _Cursor(tokens, 1)
    verb, following = tokens[0].key, cursor.peek()
    if verb == "BEGIN":
        return following is not _END and following.key not in _TRANSACTION
    if verb == "DECLARE":
        return not following.text.startswith("@")
    if verb == "CREATE":
        return any(token.key in _ROUTINES for token in tokens[1:6])
    return verb in ("IF", "WHILE", "LOOP", "FOR", "DO", "DELIMITER")


def _inserted(part: _Part, dialect: str) -> list[str | None]:
    """The tables of an unprotected INSERT."""
    cursor = _Cursor(part.tokens, 1)
    while cursor.take("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY"):
        pass
    if cursor.take("OR") and not cursor.take("ABORT", "FAIL", "ROLLBACK"):
        raise _Unsure
    if cursor.take("ALL", "FIRST"):
        return _inserted_many(part, cursor, dialect)
    if cursor.take("TOP"):
        cursor.group()
    if cursor.take("INTO"):
        cursor.take("TABLE")
    elif cursor.peek().kind == "hole":
        raise _Unsure
    table = cursor.name()
    if cursor.take("AS"):
        cursor.name()
    if cursor.peek().key == "WITH" and cursor.peek(1).key == "(":
        cursor.expect("WITH")
        cursor.group()
    if cursor.take("PARTITION"):
        cursor.group()
    if cursor.take("BY"):
        cursor.expect("NAME")
    _columns(cursor)
    if cursor.take("OVERRIDING"):
        cursor.take("SYSTEM", "USER")
        cursor.expect("VALUE")
    if cursor.take("OUTPUT"):
        while cursor.peek() is not _END and cursor.peek().key not in ("VALUES", "SELECT", "DEFAULT", "INTO"):
            cursor.at += 1
        if cursor.take("INTO"):
            cursor.name()
            _columns(cursor)
    if cursor.take("VALUES", "VALUE"):
        _rows(cursor)
    elif cursor.take("DEFAULT"):
        cursor.expect("VALUES")
    elif cursor.take("SET"):
        cursor.name()
        cursor.expect("=")
        if any(token.key in ("ON", "AS") for token in part.tokens) or _may_hide_clause(part.tokens[cursor.at - 1 :]):
            raise _Unsure
        return [table]
    else:
        _check_query(part, cursor, table, dialect)
        return [table]
    if cursor.peek() is not _END and cursor.peek().key not in ("RETURNING", "SELECT", "OPTION"):
        raise _Unsure
    return [table]


def _inserted_many(part: _Part, cursor: _Cursor, dialect: str) -> list[str | None]:
    """INSERT ALL INTO a ... INTO b ... query."""
    tables = []
    while cursor.take("INTO"):
        tables.append(cursor.name())
        _columns(cursor)
        if cursor.take("VALUES"):
            cursor.group()
    for table in tables:
        _check_query(part, cursor, table, dialect)
    return tables


def _columns(cursor: _Cursor) -> None:
    """Step over a list of columns, if there is one."""
    if cursor.peek().kind == "hole":
        cursor.at += 1
    if cursor.peek().key != "(" or cursor.peek(1).key in (*_QUERY, "("):
        return
    columns = _Cursor(cursor.group())
    columns.name()
    while columns.take(","):
        columns.name()
    if columns.peek() is not _END:
        raise _Unsure


def _rows(cursor: _Cursor) -> None:
    while True:
        cursor.take("ROW")
        if cursor.peek().kind in ("hole", "param"):
            cursor.at += 1
        else:
            cursor.group()
        if not cursor.take(","):
            return


def _copied(part: _Part) -> str | None:
    """The table of a COPY ... FROM. COPY INTO is none: Snowflake and Databricks load each file once."""
    if part.tokens[0].text == "Copy":
        raise _Unsure
    cursor = _Cursor(part.tokens, 1)
    cursor.take("BINARY")
    table = cursor.name()
    if cursor.peek().key == "(":
        _columns(cursor)
    cursor.expect("FROM")
    certain = cursor.take("STDIN")
    if not certain:
        cursor.take("PROGRAM")
        # "copy files from %s" is more often a message than a statement, unless an option follows.
        certain = cursor.peek().kind == "string"
        if not certain and cursor.peek().kind not in ("hole", "param"):
            raise _Unsure
        cursor.at += 1
    following = cursor.peek()
    if following.key not in _COPY_OPTIONS and not (certain and following.kind in ("end", "hole")):
        raise _Unsure
    return table


def _may_hide_clause(tokens: Sequence[_Token]) -> bool:
    """Whether an unknown part stands where a condition, a query or a further clause may stand.

    Where SQL wants an operand (behind a comma, an operator, FROM, LIMIT ...) an unknown part is taken for one.
    """
    for index, token in enumerate(tokens):
        if token.kind not in ("hole", "param"):
            continue
        before = tokens[index - 1] if index else _END
        earlier = tokens[index - 2].key if index > 1 else "("
        if before.kind in ("sign", "cast"):
            if before.key in (")", "]") or (before.key == "*" and earlier in ("SELECT", ".", "DISTINCT")):
                return True
            if token.kind == "hole" and before.key == "(":
                denied = earlier == "IN" and index > 2 and tokens[index - 3].key == "NOT"
                if denied or earlier in _HOLDS_QUERY:
                    return True
        elif before.key not in _OPERAND_AFTER and not (token.kind == "param" and before.key in _CONDITIONS):
            return True
        if before.key in ("SELECT", "DISTINCT") and index == len(tokens) - 1:
            return True
    return False


def _check_query(part: _Part, cursor: _Cursor, table: str | None, dialect: str) -> None:
    """_Unsure unless the rest is a query that gives its rows again after they were inserted."""
    query: list[_Token] = []
    depth = 0
    for token in part.tokens[cursor.at :]:
        depth += {"(": 1, ")": -1}.get(token.key, 0)
        if depth == 0 and token.key in ("RETURNING", "OPTION"):
            break
        if depth > _DEPTH:
            raise _Unsure
        query.append(token)
    whole = [*part.before, *query]
    if len(whole) > _QUERY_TOKENS:
        raise _Unsure
    keys = [token.key for token in whole]
    # A retry finds nothing to delete or to update, so such an expression feeds no rows then.
    if not part.writers.isdisjoint(token.text.strip('"`[]').upper() for token in query):
        raise _Unsure
    if not query or not (query[0].key in _QUERY or (query[0].key == "(" and keys[len(part.before) + 1] in _QUERY)):
        raise _Unsure
    if any(pair in (("ON", "CONFLICT"), ("ON", "DUPLICATE"), ("LOG", "ERRORS")) for pair in pairwise(keys)):
        raise _Unsure
    if _may_hide_clause(whole) or _is_guarded(_neutral(whole), table, dialect):
        raise _Unsure


def _neutral(tokens: Sequence[_Token]) -> str:
    """The tokens as text that every dialect of sqlglot reads alike: standard quotes, names for unknown parts."""
    out = []
    for token in tokens:
        text = token.text.replace(HOLE, "hole_")
        if token.kind in ("hole", "param"):
            text = "hole_" if token.kind == "hole" else "param_"
        elif token.kind == "quoted":
            text = '"' + text[1:-1].replace('"', "") + '"'
        elif token.kind == "string" and text.startswith("$"):
            text = "''"
        out.append(text if token.glued else f" {text}")
    return "".join(out)


@lru_cache(maxsize=1024)
def _is_guarded(query: str, table: str | None, dialect: str) -> bool:
    """Whether the query leaves out what the table holds already. _Unsure where it cannot be read."""
    from sqlglot import exp

    tree = _parse(query, dialect)
    if tree.find(exp.Except):
        return True
    # What the subquery reads may be a view of the table, or a list of its keys: any such denial counts.
    for denial in tree.find_all(exp.Not):
        denied = denial.this.unnest()
        if isinstance(denied, exp.Exists) or (isinstance(denied, exp.In) and denied.args.get("query")):
            return True
    joins = list(tree.find_all(exp.Join))
    if any(join.kind == "ANTI" or join.side == "ANTI" for join in joins):
        return True
    misses = any(isinstance(test.expression, exp.Null) for test in tree.find_all(exp.Is))
    if misses and any(join.side for join in joins):
        return True
    return any(_is_lookup(read) for read in tree.find_all(exp.Table) if _may_be(read, table))


def _may_be(read: exp.Table, table: str | None) -> bool:
    return table is None or "hole_" in read.name or same_table(read.name, table.rpartition(".")[2])


def _is_lookup(read: exp.Table) -> bool:
    """Whether a table is read to choose the rows, not as the rows themselves or as a value among them."""
    from sqlglot import exp

    lookup = False
    node: exp.Expr | None = read
    while node is not None and (parent := node.parent) is not None:
        if isinstance(parent, exp.Select):
            if node.arg_key == "expressions":
                return False
            lookup |= bool(parent.args.get("joins") or parent.args.get("having"))
        in_brackets = isinstance(parent, exp.Subquery) and parent.parent is not None
        lookup |= in_brackets or isinstance(parent, (exp.Join, exp.Where, exp.CTE))
        node = parent
    return lookup


def _parse(query: str, dialect: str) -> exp.Expr:
    import logging

    import sqlglot

    logger = logging.getLogger("sqlglot")
    was, logger.disabled = logger.disabled, True
    try:
        for name in dict.fromkeys((dialect, *_TRIED)):
            # Half a statement makes sqlglot raise almost anything, and an unknown dialect a ValueError.
            with suppress(Exception):
                return sqlglot.parse_one(query, read=name or None)
    finally:
        logger.disabled = was
    raise _Unsure


def _changes(part: _Part) -> tuple[list[str | None], list[str | None], list[str | None]]:
    """The tables that one statement makes as temporary ones, empties, and adds to."""
    created: list[str | None] = []
    deleted: list[str | None] = []
    added: list[str | None] = []
    cursor = _Cursor(part.tokens, 1)
    verb = part.tokens[0].key
    try:
        if verb in ("DELETE", "TRUNCATE", "DROP"):
            if verb == "DROP":
                cursor.expect("TABLE")
            while cursor.take("FROM", "TABLE", "IF", "EXISTS", "ONLY"):
                pass
            deleted.append(cursor.name())
            while verb != "DELETE" and cursor.take(","):
                deleted.append(cursor.name())
        elif verb == "CREATE":
            _create(cursor, created, deleted)
        elif verb in ("INSERT", "REPLACE", "MERGE", "UPSERT", "COPY"):
            while verb != "COPY" and cursor.peek() is not _END and not cursor.take("INTO"):
                cursor.at += 1
            cursor.take("TABLE")
            added.append(cursor.name())
        elif verb == "SELECT":
            keys = [token.key for token in part.tokens]
            if "INTO" in keys:
                cursor.at = keys.index("INTO") + 1
                temporary = cursor.take("TEMP", "TEMPORARY")
                cursor.take("TABLE")
                if temporary or cursor.peek().text.startswith("#"):
                    created.append(cursor.name())
    except _Unsure:
        pass
    return created, deleted, added


def _create(cursor: _Cursor, created: list[str | None], deleted: list[str | None]) -> None:
    temporary = False
    replaced = False
    while not cursor.take("TABLE"):
        word = cursor.peek().key
        temporary |= word in ("TEMP", "TEMPORARY")
        replaced |= word == "REPLACE"
        cursor.expect(word if word in _TABLE_KINDS else "TABLE")
    kept = cursor.take("IF")
    if kept:
        cursor.expect("NOT", "EXISTS")
    name = cursor.name()
    if temporary:
        created.append(name)
    elif replaced or not kept:
        deleted.append(name)


@lru_cache(maxsize=1024)
def _effects(text: str) -> Effects:
    changes = [_changes(part) for part in _parts(text)]
    created, deleted, added = (frozenset(name for change in changes for name in change[kind]) for kind in range(3))
    return Effects(created, deleted, added)
