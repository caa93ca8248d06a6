"""What counts as an insert that adds rows again: SQLite is asked where it can be, tables of cases elsewhere."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temporal_lint.sql import HOLE, Effects, Insert, plain_inserts, same_table, tables_written

H = HOLE

HEADS = [
    "INSERT INTO t (k, v)",
    "insert into main . t(k, v)",
    'INSERT INTO "t" AS x (k, v)',
    "INSERT OR ABORT INTO t (k, v)",
    "INSERT OR FAIL INTO [t] ([k], `v`)",
    "/* INSERT OR IGNORE */ -- on conflict\n\tINSERT INTO t(k, v)",
    "WITH w(a) AS (SELECT 1), z AS (SELECT 2) INSERT INTO t (k, v)",
    "SELECT 'a;b'; INSERT INTO t (k, v)",
    "DELETE FROM s WHERE k > 99; INSERT INTO t (k, v)",
]
PROTECTED_HEADS = [
    "INSERT OR IGNORE INTO t (k, v)",
    "INSERT OR REPLACE INTO t (k, v)",
    "REPLACE INTO t (k, v)",
    "DELETE FROM t; INSERT INTO t (k, v)",
    "DELETE FROM main.t WHERE k < 100; INSERT INTO t (k, v)",
    "CREATE TEMP TABLE t (k UNIQUE, v); INSERT INTO t (k, v)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS t (k UNIQUE, v); INSERT INTO temp.t (k, v)",
    "DROP TABLE IF EXISTS t; CREATE TABLE t (k UNIQUE, v); INSERT INTO t (k, v)",
]
SOURCES = [
    "VALUES (1, 'a')",
    "VALUES (1, 'x; ON CONFLICT DO NOTHING'), (2, 'it''s (not)')",
    "SELECT k, v FROM s",
    "SELECT 1, 'a'",
    "SELECT k, v FROM s WHERE k IN (1, 2) OR EXISTS (SELECT 1 FROM s) ORDER BY k LIMIT 2",
    "SELECT s.k, s.v FROM s LEFT JOIN s AS o ON o.k = s.k WHERE s.k > 0",
    "SELECT k, v FROM s WHERE k NOT IN (7, 8)",
    "SELECT 1, 'a' UNION ALL SELECT 2, 'b'",
    "SELECT k, v FROM (SELECT k, v FROM s WHERE k = 1) AS q WHERE true",
    "SELECT k, v FROM s WHERE NOT EXISTS (SELECT 1 FROM t AS o WHERE o.k = s.k)",
    "SELECT k, v FROM s WHERE k NOT IN (SELECT k FROM t)",
    "SELECT s.k, s.v FROM s LEFT JOIN t AS o ON o.k = s.k WHERE o.k IS NULL",
    "SELECT k, v FROM s EXCEPT SELECT k, v FROM t",
    "SELECT k, v FROM s WHERE k > (SELECT coalesce(max(k), 0) FROM t)",
    "SELECT 1, 'a' FROM t WHERE k = 1 HAVING count(*) = 0",
    "SELECT k, v FROM s WHERE 0 = (SELECT count(*) FROM t)",
]
# Each run makes another key of the rows that are there: protection by key does not help.
GROWING = [
    "SELECT coalesce(max(k), 0) + 1, 'n' FROM t",
    "SELECT (SELECT count(*) FROM t) + 1, v FROM s WHERE k = 1",
    "VALUES ((SELECT count(*) FROM t), 'not exists')",
]
TAILS = [
    "",
    ";",
    " RETURNING k",
    " -- ON CONFLICT DO NOTHING",
    " ON CONFLICT DO NOTHING",
    " ON\nConflict (k) DO UPDATE SET v = excluded.v",
    " ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING v",
]


def _grows(script: str, key: str) -> bool | None:
    """Whether SQLite refuses the second run or holds more rows after it; None where it refuses the first."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript(f"CREATE TABLE t (k {key}, v); CREATE TABLE s (k, v)")
    database.executescript("INSERT INTO s VALUES (1, 'a'), (2, 'b')")
    sizes = []
    for run in range(2):
        try:
            database.executescript(script)
        except sqlite3.Error:
            return None if run == 0 else True
        database.execute("DROP TABLE IF EXISTS temp.t")
        sizes.append(database.execute("SELECT count(*) FROM main.t").fetchone()[0])
    return bool(sizes[1] > sizes[0])


@pytest.mark.parametrize("head", [*HEADS, *PROTECTED_HEADS])
def test_the_verdict_is_that_of_sqlite(head: str) -> None:
    scripts = [f"{head} {source}{tail}" for source, tail in product(SOURCES, TAILS)]
    if head in HEADS:
        scripts += [f"{head} {source}" for source in GROWING]
    asked = wrong = 0
    for script in scripts:
        if (grows := _grows(script, "UNIQUE")) is None:
            continue
        asked += 1
        listed = plain_inserts(script, None)
        if bool(listed) != grows or (listed and not _grows(script, "")):
            wrong += 1
            print(f"{script!r}: {listed}, SQLite says {grows}")
    assert asked >= len(SOURCES)
    assert wrong == 0


@pytest.mark.parametrize(
    "statement", ["INSERT INTO t DEFAULT VALUES", "WITH w AS (SELECT 1) INSERT INTO t DEFAULT VALUES;"]
)
def test_default_values_add_a_row_each_time(statement: str) -> None:
    assert _grows(statement, "UNIQUE")
    assert plain_inserts(statement, "sqlite") == (Insert("t", "INSERT"),)


PLAIN = [
    ("INSERT INTO t (a, b) VALUES (%s, %(b)s)", "t"),
    ("INSERT INTO t (a, b) VALUES (?, ?1), (:a, @p1), ($1, %s::jsonb)", "t"),
    ("INSERT INTO t (a) VALUES %s", "t"),
    (f"INSERT INTO {H} ({H}) VALUES ({H})", None),
    (f"INSERT INTO {H}.{H} ({H}, b) VALUES {H}", None),
    (f"INSERT INTO {H}.orders {H} VALUES ({H})", "orders"),
    (f"INSERT INTO events_{H} (a) VALUES (1)", None),
    (f"INSERT INTO {H}events (a) VALUES (1), {H}", None),
    ("INSERT INTO {} ({}) VALUES ({})", None),
    ("INSERT INTO %s (a) VALUES (%%s)", None),
    (f"INSERT INTO t (a) SELECT {H} FROM {H} WHERE x = {H} AND y > %s ORDER BY {H} LIMIT {H}", "t"),
    ("INSERT INTO t (a) SELECT a FROM s WHERE d BETWEEN %s AND %s AND e = ANY(%s) RETURNING id", "t"),
    (f"INSERT INTO t (a) VALUES (1) RETURNING {H}", "t"),
    ("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1)", "t"),
    ("WITH n AS (INSERT INTO t (a) VALUES (1) RETURNING id) SELECT id FROM n", "t"),
    ("BEGIN; INSERT INTO t VALUES (1); COMMIT", "t"),
    ("INSERT INTO t (a) VALUES ($q$ ON CONFLICT ' $q$)", "t"),
    ("INSERT LOW_PRIORITY INTO t SET a = 1, b = NOW()", "t"),
    ("INSERT t (a) VALUES (1)", "t"),
    ("SET NOCOUNT ON; INSERT INTO [db]..[T] WITH (TABLOCK) ([a]) OUTPUT inserted.id VALUES (@a)", "db.T"),
    ("INSERT INTO dbo.t (a) VALUES (1) SELECT SCOPE_IDENTITY()", "dbo.t"),
    ("INSERT TOP (5) INTO t SELECT TOP 5 a FROM s WITH (NOLOCK)", "t"),
    ("INSERT /*+ APPEND */ INTO t (a) VALUES (:1)", "t"),
    ("INSERT INTO `p.d.t` (a) SELECT a FROM UNNEST(@rows) AS a", "p.d.t"),
    ("INSERT INTO t (a) SELECT PARSE_JSON(%s)", "t"),
    ("INSERT INTO TABLE t PARTITION (d = '1') SELECT a FROM s", "t"),
    ("CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t VALUES (1)", "t"),
    ("CREATE TEMP TABLE x (a int); INSERT INTO x VALUES (1); INSERT INTO t SELECT a FROM x", "t"),
    ("INSERT INTO t VALUES (1); DELETE FROM t", "t"),
    ("INSERT INTO t (a) SELECT (SELECT max(a) + 1 FROM t), b FROM s", "t"),
]


@pytest.mark.parametrize(("text", "table"), PLAIN)
def test_an_unprotected_insert_is_listed(text: str, table: str | None) -> None:
    assert plain_inserts(text, None) == (Insert(table, "INSERT"),)


@pytest.mark.parametrize(("text", "table"), [case for case in PLAIN if "/*+" not in case[0]])
def test_spacing_and_comments_do_not_matter(text: str, table: str | None) -> None:
    spaced = re.sub(r" (?![^']*'[^']*$)", "\n -- ON CONFLICT (\n /* IGNORE ' */\t", text)
    assert plain_inserts(spaced, None) == (Insert(table, "INSERT"),)


@pytest.mark.parametrize("text", [text for text, _ in PLAIN if not re.search("RETURNING|;|SCOPE", text)])
def test_an_unknown_end_silences(text: str) -> None:
    assert plain_inserts(f"{text} {H}", None) == ()
    assert plain_inserts(f"{text}{{suffix}}", None) == ()


@pytest.mark.parametrize(
    "text",
    [
        "INSERT IGNORE INTO t VALUES (1)",
        "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
        "INSERT INTO t (a) VALUES (1) AS n ON DUPLICATE KEY UPDATE a = n.a",
        "INSERT INTO t SET a = 1 ON DUPLICATE KEY UPDATE a = 2",
        "INSERT /*! IGNORE */ INTO t VALUES (1)",
        "INSERT /*+ IGNORE_ROW_ON_DUPKEY_INDEX(t, pk) */ INTO t VALUES (1)",
        "INSERT INTO t SELECT a FROM s LOG ERRORS REJECT LIMIT UNLIMITED",
        "UPSERT INTO t VALUES (1)",
        "MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)",
        "INSERT OVERWRITE TABLE t SELECT a FROM s",
        "INSERT INTO t REPLACE WHERE d = 1 SELECT a FROM s",
        "INSERT INTO t (a) VALUES (1) IF NOT EXISTS",
        "INSERT INTO t (a) VALUES (1) USING TTL 5",
        "INSERT INTO t (a) SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM t WHERE a = 1)",
        "INSERT INTO t SELECT a FROM s LEFT ANTI JOIN t ON s.a = t.a",
        "INSERT INTO t SELECT a FROM s MINUS SELECT a FROM t",
        "INSERT INTO p.t SELECT a FROM s WHERE a <> ALL (SELECT a FROM t)",
        "INSERT INTO t SELECT a FROM s WHERE NOT (a IN (SELECT a FROM known))",
        "WITH new AS (SELECT a FROM s EXCEPT SELECT a FROM t) INSERT INTO t SELECT a FROM new",
        "INSERT INTO t WITH new AS (SELECT a FROM s WHERE a NOT IN (SELECT a FROM t)) SELECT a FROM new",
        "WITH u AS (UPDATE t SET a = 1 RETURNING *) INSERT INTO t SELECT 1 WHERE NOT EXISTS (SELECT * FROM u)",
        "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone",
        "WITH n AS (INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING RETURNING id) INSERT INTO u SELECT id FROM n",
        "TRUNCATE TABLE ONLY s, p.t; INSERT INTO t VALUES (1)",
        "CREATE OR REPLACE TABLE t (a int); INSERT INTO t VALUES (1)",
        "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS x AS SELECT 1; INSERT INTO x VALUES (1)",
        "SELECT a INTO TEMP x FROM s; INSERT INTO x VALUES (1)",
        "INSERT INTO #x VALUES (1)",
        "INSERT INTO @x VALUES (1)",
        "INSERT INTO t EXEC fill",
        "IF NOT EXISTS (SELECT 1 FROM t) BEGIN SELECT 1; INSERT INTO t VALUES (1); END",
        "BEGIN INSERT INTO t VALUES (1); EXCEPTION WHEN DUP_VAL_ON_INDEX THEN NULL; END;",
        "DECLARE n int; BEGIN INSERT INTO t VALUES (1); END",
        "CREATE TRIGGER g AFTER INSERT ON s BEGIN SELECT 1; INSERT INTO t VALUES (1); END",
        "DO $$ BEGIN INSERT INTO t VALUES (1); END $$",
        "PREPARE p AS INSERT INTO t VALUES ($1)",
        "EXPLAIN INSERT INTO t VALUES (1)",
        r"INSERT INTO t VALUES ('it\'s')",
    ],
)
def test_a_protected_or_unclear_insert_is_not(text: str) -> None:
    assert plain_inserts(text, None) == ()


@pytest.mark.parametrize(
    "text",
    [
        f"{H}",
        f"{H} INTO t VALUES (1)",
        f"INSERT {H} INTO t VALUES (1)",
        f"INSERT {H} t VALUES (1)",
        f"INSERT {H} VALUES (1)",
        f"INSERT INTO t {H}",
        f"INSERT INTO t (a) {H}",
        f"INSERT INTO {H}",
        f"INSERT INTO t VALUES (1){H}",
        f"INSERT INTO t VALUES {H}{H}",
        f"INSERT INTO t VALUES {H} {H} RETURNING id",
        f"INSERT INTO t SELECT {H}",
        f"INSERT INTO t SELECT a FROM s WHERE {H}",
        f"INSERT INTO t SELECT a FROM s WHERE a = 1 AND {H}",
        f"INSERT INTO t SELECT a FROM s{H}",
        f"INSERT INTO t SELECT a FROM ({H}) q",
        f"INSERT INTO t SELECT a FROM s WHERE a NOT IN ({H})",
        f"INSERT INTO t SELECT a FROM s {H} LIMIT 1",
        f"WITH x AS ({H}) INSERT INTO t SELECT a FROM x",
        f"WITH {H} INSERT INTO t SELECT a FROM x",
        f"{H}; INSERT INTO t VALUES (1)",
        f"{H} INSERT INTO t VALUES (1)",
        f"DELETE FROM {H}; INSERT INTO t VALUES (1)",
        f"DELETE FROM {H} WHERE a = 1; INSERT INTO {H} VALUES (1)",
    ],
)
def test_an_unknown_part_where_a_protection_fits_silences(text: str) -> None:
    assert plain_inserts(text, None) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INSERT",
        "Insert coin",
        "INSERT_FAILED",
        "Insert values into the form",
        "INSERT INTO queue failed",
        "INSERT INTO t VALUES (1) failed: duplicate key",
        "Running INSERT INTO t VALUES (1)",
        "INSERT INTO t (a, ...) VALUES (1, ...)",
        "INSERT INTO the table (see the docs) VALUES (x)",
        "INSERT INTO t (see docs) VALUES (x)",
        "INSERT INTO cart SELECT the items you want now",
        "INSERT INTO t (a) VALUES",
        "INSERT INTO t (a) VALUES (1",
        "INSERT INTO t (a) VALUES ('1",
        "mutation { insert(values: {a: 1}) { id } }",
        "Copy files from %s",
        "Copy rows from 'a' to 'b'",
        "copy rows from the old table",
        "COPY . /app",
    ],
)
def test_what_is_no_statement_is_silent(text: str) -> None:
    assert plain_inserts(text, None) == ()


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("COPY t FROM STDIN", "t"),
        ("copy public.t (a, b) from stdin with (format csv)", "public.t"),
        ("COPY t FROM '/data/t.csv' CSV HEADER", "t"),
        ("COPY t FROM 's3://bucket/t' IAM_ROLE 'arn'", "t"),
        (f"COPY t FROM {H} CREDENTIALS {H}", "t"),
        (f"COPY {H} ({H}) FROM STDIN {H}", None),
        ("CREATE TEMP TABLE x (a int); COPY x FROM STDIN; COPY t FROM STDIN", "t"),
    ],
)
def test_copy_into_a_table_is_listed(text: str, table: str | None) -> None:
    assert plain_inserts(text, None) == (Insert(table, "COPY"),)


@pytest.mark.parametrize(
    "text",
    ["COPY t TO STDOUT", "COPY (SELECT 1) TO '/data/t'", "COPY INTO t FROM @stage", "TRUNCATE t; COPY t FROM STDIN"],
)
def test_other_copies_are_not(text: str) -> None:
    assert plain_inserts(text, None) == ()


def test_several_statements_are_listed_in_order() -> None:
    script = "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1) ON CONFLICT DO NOTHING; COPY c FROM STDIN;"
    a, b = Insert("a", "INSERT"), Insert("b", "INSERT")
    assert plain_inserts(f"{script} INSERT INTO a VALUES (2)", None) == (a, Insert("c", "COPY"), a)
    assert plain_inserts("INSERT ALL INTO a (x) VALUES (1) INTO b VALUES (2) SELECT * FROM dual", "oracle") == (a, b)
    assert plain_inserts("INSERT ALL WHEN x THEN INTO a (x) VALUES (1) SELECT x FROM s", "oracle") == ()


def test_dialects() -> None:
    query = "INSERT INTO t SELECT a FROM s WHERE a > %s"
    for dialect in (None, "", "postgresql", "mssql", "MySQL", "bigquery", "spark", "nobody knows this"):
        assert plain_inserts(query, dialect) == (Insert("t", "INSERT"),), dialect
    for dialect in ("clickhouse", "cassandra"):
        assert plain_inserts(query, dialect) == (), dialect
    for clickhouse in ("SELECT a FROM s FINAL WHERE a = 1", "SELECT a FROM s WHERE a = {a:UInt8}"):
        assert plain_inserts(f"INSERT INTO t {clickhouse}", None) == (), clickhouse


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("SELECT 1", Effects()),
        ("CREATE TEMP TABLE a AS SELECT 1", Effects(created_temp=frozenset({"a"}))),
        ("SELECT x INTO #a FROM b", Effects(created_temp=frozenset({"#a"}))),
        ("DELETE FROM ONLY p.a USING b WHERE x = %s", Effects(deleted=frozenset({"p.a"}))),
        ("TRUNCATE a, b CASCADE", Effects(deleted=frozenset({"a", "b"}))),
        ("DROP TABLE IF EXISTS a", Effects(deleted=frozenset({"a"}))),
        ("CREATE TABLE IF NOT EXISTS a (x int)", Effects()),
        (f"DELETE FROM {H} WHERE x = {H}", Effects(deleted=frozenset({None}))),
        (
            "WITH g AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM g",
            Effects(deleted=frozenset({"a"}), inserted=frozenset({"b"})),
        ),
        (
            "REPLACE INTO a VALUES (1); MERGE INTO b USING c ON x WHEN MATCHED THEN DELETE; COPY d FROM STDIN",
            Effects(inserted=frozenset({"a", "b", "d"})),
        ),
        ("INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING", Effects(inserted=frozenset({"a"}))),
    ],
)
def test_tables_written(text: str, effects: Effects) -> None:
    assert tables_written(text) == effects


def test_names_of_one_table() -> None:
    assert same_table("t", "Public.T") and same_table("a.b.t", "b.t") and same_table(None, "t")
    assert not same_table("a.t", "b.t") and not same_table("t", "ot")


VOCABULARY = r"""
INSERT INTO t ( ) , ; VALUES SELECT FROM WHERE NOT EXISTS IN WITH AS ON CONFLICT COPY STDIN DELETE CREATE TEMP TABLE
DEFAULT SET = . .. 'a' ' " ` [ ] $$ $a$ /* */ -- %s :x ? {x} { } ALL TOP OUTPUT BY IF CASE - * # :: \
"""
WORDS = st.sampled_from([*VOCABULARY.split(), H, "\n"])


@given(st.one_of(st.text(), st.lists(WORDS, max_size=30).map(" ".join), st.lists(WORDS, max_size=30).map("".join)))
def test_no_text_raises(text: str) -> None:
    plain_inserts(f"INSERT INTO t {text}", None)
    plain_inserts(f"INSERT INTO t SELECT {text}", None)
    plain_inserts(f"{text} COPY FROM", None)
    tables_written(f"DELETE {text}")


@given(st.sampled_from([f"{head} {source}" for head, source in product(HEADS, SOURCES)]), st.data())
def test_a_cut_statement_neither_raises_nor_counts(script: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(script)))
    end = data.draw(st.integers(start, len(script)))
    plain_inserts(script[start:end], None)
    tables_written(script[start:end])
    assert plain_inserts(f"{script[:start]}\n{H} {H}", None) == ()


def test_only_the_beginning_of_a_long_text_counts() -> None:
    rows = "(1, 'a'), " * 10_000
    assert plain_inserts(f"INSERT INTO a VALUES (1); INSERT INTO b VALUES {rows} (1)", None) == (Insert("a", "INSERT"),)
    for width in range(65_490, 65_540):
        text = "INSERT INTO t SELECT x FROM s WHERE".ljust(width) + "y = 1 ON CONFLICT DO NOTHING"
        assert plain_inserts(text, None) == ()


@pytest.mark.parametrize(
    "unit",
    [
        *["(1, 'a'), ", "x", "insert ", "(", "{", "[", "'", "''", '"', "$a$b", "$", "/*", "-", "%(", ":", "a.", H],
        *["\\", "NOT ", "WITH a AS (", "SELECT ", "; INSERT INTO t SELECT 1", " UNION SELECT 1", "1 + "],
    ],
)
@pytest.mark.timeout(60)
def test_what_lies_behind_the_limit_is_not_read(unit: str) -> None:
    """A quadratic pattern over 2 MB would take hours."""
    for head in ("INSERT INTO t VALUES ", "INSERT INTO t SELECT ", "copy values "):
        text = head + unit * (2_000_000 // len(unit))
        assert plain_inserts(text, None) == plain_inserts(text[: 1 << 17], None)
        assert tables_written(text) == tables_written(text[: 1 << 17])


def test_sqlglot_is_imported_for_queries_only_and_says_nothing() -> None:
    script = """
import sys
from temporal_lint.sql import plain_inserts, tables_written
for text in ("Insert coin", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"):
    plain_inserts(text, None), tables_written(text)
assert "sqlglot" not in sys.modules
import logging
logging.basicConfig(level=0)
for text in ("SELECT 1", "SELECT FROM FROM", "SELECT a FROM s FOR SYSTEM_TIME x"):
    plain_inserts("INSERT INTO t " + text, "nobody")
assert "sqlglot" in sys.modules and not logging.getLogger("sqlglot").disabled
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
