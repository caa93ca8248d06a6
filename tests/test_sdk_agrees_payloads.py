"""The SDK's own converters refuse exactly what TMP201, TMP202 and TMP203 report, and write what TMP206 measures."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
import subprocess
import sys
import typing
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
import temporalio.common
from hypothesis import given
from hypothesis import strategies as st
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadConverter

from temporal_lint.rule import Severity
from temporal_lint.sizes import Sizes, _range_size
from tests.support import findings, project

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="the rows use enum.StrEnum")

DATA = Path(__file__).parent / "data"
Column = Literal["default", "pydantic"]
COLUMNS: tuple[Column, ...] = ("default", "pydantic")

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
IS_REFERENCE = sys.version_info[:2] == (3, 11)

# Values that TMP206 measures, and whether to the byte.
MEASURED: list[tuple[str, bool]] = [
    ("None", True),
    ("True", True),
    ("12345", True),
    ("1.5", True),
    ("'text'", True),
    (r"'umlaut \u00e4, emoji \U0001f600, \"quotes\" and \n'", True),
    ("b'raw'", True),
    ("'x' * 3_000_000", True),
    ("b'x' * 20_000_000", True),
    ("20_000_000 * 'x'", True),
    ("bytes(300_000)", True),
    ("bytes(20_000_000)", True),
    (r"[b'raw \x00\x0a', b'raw'] * 3", True),
    ("[b'ab', b'']", True),
    ("[0] * 500_000", True),
    ("['ab', 1] * 5_000_000", True),
    ("[1] * 0", True),
    ("list(range(-3, 1200, 7))", True),
    ("range(5)", True),
    ("[i for i in range(500_000)]", True),
    ("['row' for _ in range(3)]", True),
    ("[str(i) for i in range(3)]", False),
    ("{'a': [1, 2.5, None, {'b': (True, 'c')}], 'd': {1, 2}}", True),
    ("{1: 'a', 2: 'b'}", True),
    ("{i: 'value' for i in range(100)}", False),
    ("{'id': str(KEY), 'blob': 'x' * 1000}", False),
    ("dict(a='x' * 100, b=str(KEY))", False),
    ("f'{KEY} ' + 'x' * 1000", False),
    ("[str(KEY)] + ['x' * 1000]", False),
    ("DC(a=len(str(KEY)), b='x' * 1000)", False),
    (r"'\u00e4 number {}'.format(KEY).encode()", False),
    ("'x' * 1000 if KEY else 'y' * 2000", False),
]

# Any JSON that an annotation may be asked to decode. Empty containers would fit every container.
JSON: list[Any] = [5, 1.5, "s", True, [1], ["s"], {"a": 1}, "2026-01-02", "12345678-1234-5678-1234-567812345678"]

HEAD = """
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

async def connect():
    await Client.connect("localhost:7233"{converter})

@activity.defn
async def take(value): ...
"""
CONVERTERS = {"default": "", "pydantic": ", data_converter=pydantic_data_converter"}


def rows() -> list[dict[str, str]]:
    """The truth table: a value and an annotation, as expressions over payload_kinds.py, and the verdicts."""
    loaded: list[dict[str, str]] = json.loads((DATA / "payload_kinds.json").read_text(encoding="utf-8"))
    return loaded


@cache
def kinds() -> dict[str, Any]:
    """The namespace of payload_kinds.py."""
    spec = importlib.util.spec_from_file_location("payload_kinds", DATA / "payload_kinds.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["payload_kinds"] = module
    spec.loader.exec_module(module)
    return vars(module)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Coroutines that are never awaited, and advice on pydantic, are what the rows are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def payloads(column: Column) -> PayloadConverter:
    """The converter of a column."""
    return (DataConverter.default if column == "default" else pydantic_data_converter).payload_converter


def made(expression: str) -> Any:
    """The value of an expression, made anew: an iterator serves once."""
    return eval(expression, kinds())


def hint(expression: str) -> Any:
    """An annotation as a worker reads it from a function's signature."""
    exec(f"def probe(value: {expression}) -> None: ...", kinds())
    hints, _ = temporalio.common._type_hints_from_func(kinds()["probe"])
    assert hints is not None
    return hints[0]


def verdict(value: Any, annotation: Any, column: Column) -> str:
    """What comes of a value that is sent to a parameter with an annotation."""
    try:
        encoded = payloads(column).to_payloads([value])
    except Exception:
        return "encode-error"
    finally:
        if asyncio.iscoroutine(value):
            value.close()
    try:
        payloads(column).from_payloads(encoded, [annotation])
    except Exception:
        return "decode-error"
    return "carried"


def refused(row: dict[str, str], column: Column) -> bool:
    """Whether an annotation carries no value of its own type; where no row has one, no JSON at all."""
    annotation = hint(row["hint"])
    same = [each["value"] for each in rows() if each["hint"] == row["hint"]]
    own = [each for each in same if fits(made(each), annotation)]
    tried = [*map(made, own or same), *([] if own else JSON)]
    return all(verdict(value, annotation, column) != "carried" for value in tried)


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is what the annotation means, as far as isinstance can tell."""
    if annotation is object:
        return False
    try:
        if isinstance(value, str) and typing.get_args(annotation):
            return False
        return isinstance(value, typing.get_origin(annotation) or annotation)
    except TypeError:
        return False


def reported(code: str, body: str, column: Column) -> dict[str, Severity]:
    """The functions of a program with findings, each with the level of the first."""
    text = (DATA / "payload_kinds.py").read_text(encoding="utf-8")
    found: dict[str, Severity] = {}
    program = text + HEAD.format(converter=CONVERTERS[column]) + body
    for rule, finding in findings(program, code, python_version=PYTHON):
        functions = [each for each in finding.module.ancestors(finding.node) if isinstance(each, ast.AsyncFunctionDef)]
        found.setdefault(functions[-1].name, finding.severity or rule.severity)
    return found


@pytest.mark.parametrize("column", COLUMNS)
def test_rows_still_hold(column: Column) -> None:
    """The committed verdicts are those of the installed SDK."""
    if not IS_REFERENCE:
        pytest.skip("some verdicts depend on Python; they were taken on 3.11")
    wrong = {}
    for row in rows():
        expected = row[column] if row[column].endswith("error") else "carried"
        if verdict(made(row["value"]), hint(row["hint"]), column) != expected:
            wrong[row["kind"]] = expected
    assert not wrong


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("rule", ["TMP201", "TMP203"])
def test_values(rule: str, column: Column) -> None:
    """A value that is sent, or returned, is an error exactly where the SDK cannot encode it."""
    if rule == "TMP201":
        form = "async def row_{}():\n    await workflow.execute_activity(take, {})\n"
    else:
        form = "@activity.defn\nasync def row_{}():\n    return {}\n"
    body = "".join(form.format(index, row["value"]) for index, row in enumerate(rows()))
    found = reported(rule, body, column)
    missed, wrong = set(), set()
    for index, row in enumerate(rows()):
        is_error = found.get(f"row_{index}") is Severity.ERROR
        is_refused = verdict(made(row["value"]), Any, column) == "encode-error"
        if is_refused and not is_error:
            missed.add(row["kind"])
        elif is_error and not is_refused:
            wrong.add(row["kind"])
    assert not wrong
    assert not missed


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("rule", ["TMP202", "TMP203"])
def test_annotations(rule: str, column: Column) -> None:
    """A parameter, or a result, is reported exactly where nothing of its type gets through."""
    if rule == "TMP202":
        form = "@activity.defn\nasync def row_{}(value: {}) -> None: ...\n"
    else:
        # the annotation decodes the result only for a caller that names the function itself
        form = (
            "@activity.defn\nasync def row_{0}() -> {1}:\n    return await take(1)\n"
            "async def call_{0}():\n    await workflow.execute_activity(row_{0})\n"
        )
    body = "".join(form.format(index, row["hint"]) for index, row in enumerate(rows()))
    found = reported(rule, body, column)
    missed, wrong = set(), set()
    for index, row in enumerate(rows()):
        is_refused = refused(row, column)
        if is_refused and f"row_{index}" not in found:
            missed.add(row["hint"])
        elif not is_refused and f"row_{index}" in found:
            wrong.add(row["hint"])
    assert not wrong
    assert not missed


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("expression", "exact"), MEASURED)
def test_sizes(expression: str, exact: bool, column: Column) -> None:
    """A measured size is that of the SDK's own payload, or below it where parts are unknown."""
    linted = project((DATA / "payload_kinds.py").read_text(encoding="utf-8") + f"\nvalue = {expression}\n")
    module = linted.modules["app"]
    value = module.scope.bindings["value"][0].value
    assert value is not None
    size = Sizes(linted, column).measure(value, module.scope)
    assert size is not None
    if column == "pydantic" and expression == "range(5)":
        # refused: TMP201 speaks of it
        return
    payload = payloads(column).to_payloads([made(expression)])[0]
    assert size.exact is exact
    assert size.bytes == len(payload.data) if exact else 0 < size.bytes <= len(payload.data)


@given(st.integers(-2000, 2000), st.integers(-2000, 2000), st.sampled_from([-7, -1, 1, 2, 13]))
def test_range_sizes(start: int, stop: int, step: int) -> None:
    """The digits of a range are counted without making the list."""
    numbers = range(start, stop, step)
    assert _range_size(numbers) == len(json.dumps(list(numbers), separators=(",", ":")))


def test_table_is_that_of_the_installed_sdk() -> None:
    """What the linter ships of other packages' types is what the installed converters do."""
    tool = Path(__file__).parent.parent / "tools" / "serialization_table.py"
    done = subprocess.run([sys.executable, "-W", "ignore", str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
