"""What the pages of TMP101 to TMP109 cannot show: whose mistake it is, legacy code, settings, fixes withheld."""

from __future__ import annotations

import ast

import pytest
from support import findings, project

from temporal_lint.edits import Editor, apply
from temporal_lint.rule import Fix, Severity
from temporal_lint.spans import Spans

HEAD = """\
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client

T = timedelta(minutes=1)

@activity.defn
async def charge(order: str, amount: int = 1, note: str = "") -> None: ...

"""


def reported(text: str, *codes: str, **settings: object) -> list[tuple[str, str]]:
    """The code of each finding with the source of its node."""
    return [(rule.code, ast.unparse(found.node)) for rule, found in findings(text, *codes, **settings)]


def fixes(text: str, code: str, **settings: object) -> list[Fix | None]:
    """The fixes of the findings of one rule, None for a finding without one."""
    module = next(iter(project(text).modules.values()))
    editor = Editor(module.tree, module.source, Spans(module.source))
    return [found.fix(editor) if found.fix else None for _, found in findings(text, code, **settings)]


def fixed(text: str, code: str, **settings: object) -> str:
    """The text after the one fix of a rule."""
    [fix] = fixes(text, code, **settings)
    assert fix is not None
    return apply(text, fix.edits)


# ---- whose mistake it is


@pytest.mark.parametrize(
    ("body", "callers"),
    [
        ("workflow.execute_activity(name, args=args)", 0),
        ("workflow.execute_activity(name, args=args, start_to_close_timeout=timeout)", 1),
        ("workflow.execute_activity(name, args=args, start_to_close_timeout=timeout or T)", 0),
        ("workflow.execute_activity(name, args=args, start_to_close_timeout=timeout if timeout else T)", 0),
    ],
)
def test_a_missing_timeout_belongs_to_the_wrapper_or_to_its_caller(body: str, callers: int) -> None:
    wrapper = f"async def call(name, *args, timeout=None):\n    await {body}\n"
    inside = len(reported(HEAD + wrapper, "TMP101"))
    everything = reported(HEAD + wrapper + "async def use():\n    await call('any', 1)\n", "TMP101")
    assert len(everything) - inside == callers


def test_two_wrappers_deep_the_outermost_caller_is_reported_once() -> None:
    text = HEAD + (
        "async def inner(name, arg, timeout=None):\n"
        "    await workflow.execute_activity(name, arg, start_to_close_timeout=timeout)\n"
        "async def outer(name, arg, limit=None):\n"
        "    await inner(name, arg, timeout=limit)\n"
        "async def use():\n"
        "    await outer('any', 1)\n"
        "    await outer('any', 1, T)\n"
    )
    assert reported(text, "TMP101") == [("TMP101", "outer('any', 1)")]


@pytest.mark.parametrize("code", ["TMP102", "TMP103", "TMP104", "TMP105", "TMP106", "TMP108", "TMP109"])
def test_a_mistake_in_a_wrapper_is_not_repeated_at_its_callers(code: str) -> None:
    mistakes = {
        "TMP102": "name, arg, schedule_to_close_timeout=T",
        "TMP103": "name, customer=arg, start_to_close_timeout=T",
        "TMP104": "name, arg, more, start_to_close_timeout=T",
        "TMP105": "name, arg, args=[more], start_to_close_timeout=T",
        "TMP106": "name, args='ab', start_to_close_timeout=T",
        "TMP108": "name, arg, start_to_close_timeout=seconds",
        "TMP109": "name, arg, start_to_close_timeout=T, heartbeat_timeout=2 * T",
    }
    head = "async def call(name, arg=None, more=None, seconds: int = 5):"
    wrapper = f"{head}\n    await workflow.execute_activity({mistakes[code]})\n"
    assert len(reported(HEAD + wrapper + "async def use():\n    await call('any', 1, 2, 30)\n", code)) == 1


def test_what_a_caller_gives_through_a_wrapper_is_reported_there() -> None:
    text = HEAD + (
        "async def call(name, arg, timeout, beat):\n"
        "    await workflow.execute_activity(name, arg, start_to_close_timeout=timeout, heartbeat_timeout=beat)\n"
        "async def use():\n"
        "    await call('any', 1, 30, None)\n"
        "    await call('any', 1, T, T * 2)\n"
    )
    assert reported(text, "TMP108", "TMP109") == [("TMP108", "30"), ("TMP109", "T * 2")]
    assert fixes(text, "TMP108") == [None]


@pytest.mark.parametrize(
    "call",
    [
        "workflow.execute_activity(charge, 'A', timeout=T)",
        "workflow.execute_activity(charge, 'A', start_to_close=T)",
        "workflow.execute_activity(charge, 'A', 3, note='x', start_to_close_timeout=T)",
        "workflow.execute_activity(charge, 'A', 3, args=[4], start_to_close_timeout=T)",
        "workflow.execute_activity(charge, 'A', args='bc', start_to_close_timeout=T)",
        "workflow.execute_activity(charge, 'A', start_to_close_timeout=-T, heartbeat_timeout=T)",
    ],
)
def test_one_mistake_is_one_finding(call: str) -> None:
    codes = ("TMP101", "TMP103", "TMP104", "TMP105", "TMP106", "TMP107", "TMP108", "TMP109", "TMP114")
    assert len(reported(f"{HEAD}async def use():\n    await {call}\n", *codes)) == 1


@pytest.mark.parametrize("manager", ["pytest.raises(ValueError)", "contextlib.suppress(ValueError)"])
def test_a_test_of_the_refusal_is_no_finding(manager: str) -> None:
    text = (
        f"import contextlib, pytest\n{HEAD}async def use():\n"
        f"    with {manager}:\n        await workflow.execute_activity(charge, 'A')\n"
    )
    assert reported(text, "TMP101") == []


# ---- the legacy SDK

LEGACY = """\
from datetime import timedelta
from temporal.activity_method import activity_method
from temporal.workflow import Workflow

class Greetings:
    @activity_method(task_queue="q"{timeout})
    async def compose(self, greeting: str, name: str) -> str: ...

class GreetingsImpl(Greetings):
    async def compose(self, greeting: str, name: str) -> str:
        return greeting + name

class Greeter:
    def __init__(self):
        self.greetings: Greetings = Workflow.new_activity_stub(Greetings{options})
"""


@pytest.mark.parametrize(
    ("timeout", "options", "count"),
    [
        ("", "", 1),
        (", start_to_close_timeout=None", "", 1),
        (", heartbeat_timeout=timedelta(seconds=5)", "", 1),
        (", start_to_close_timeout=timedelta(seconds=60)", "", 0),
        (", **DEFAULTS", "", 0),
        ("", ", activity_options=OPTIONS", 0),
        ("", ", None, OPTIONS", 0),
    ],
)
def test_a_legacy_activity_without_a_timeout_is_reported_where_it_is_declared(
    timeout: str, options: str, count: int
) -> None:
    assert len(reported(LEGACY.format(timeout=timeout, options=options), "TMP101")) == count


def test_a_legacy_implementation_called_directly_takes_keywords() -> None:
    text = LEGACY.format(timeout=", start_to_close_timeout=timedelta(1)", options="") + (
        "    async def greet(self, impl: GreetingsImpl):\n"
        "        await impl.compose(greeting='Hello', name='you')\n"
        "        await self.greetings.compose(greeting='Hello', name='you')\n"
    )
    assert [code for code, _ in reported(text, "TMP103")] == ["TMP103"]
    assert "self.greetings.compose('Hello', 'you')" in fixed(text, "TMP103")


# ---- fixes


def test_the_fix_of_a_missing_timeout_writes_the_configured_one() -> None:
    text = HEAD + "async def use():\n    await workflow.execute_activity(charge, 'A')\n"
    assert "'A', start_to_close_timeout=timedelta(seconds=900))" in fixed(text, "TMP101", default_timeout_seconds=900)


@pytest.mark.parametrize(
    ("call", "after"),
    [
        ("charge, note='x', order='A', start_to_close_timeout=T", None),
        ("charge, amount=3, start_to_close_timeout=T", None),
        ("charge, order='A', args=[3], start_to_close_timeout=T", None),
        ("charge, order='A', wrong=1, start_to_close_timeout=T", None),
        ("charge, order='A', **T.options", None),
        ("charge, start_to_close_timeout=T, amount=3, order='A'", "charge, start_to_close_timeout=T, args=['A', 3]"),
        (
            "charge, 'A', amount=3, note='x', start_to_close_timeout=T",
            "charge, args=['A', 3, 'x'], start_to_close_timeout=T",
        ),
    ],
)
def test_arguments_by_keyword_move_only_where_their_order_is_known(call: str, after: str | None) -> None:
    text = f"{HEAD}async def use():\n    await workflow.execute_activity({call})\n"
    if after is None:
        assert fixes(text, "TMP103") == [None]
    else:
        assert f"execute_activity({after})" in fixed(text, "TMP103")


def test_a_comment_between_the_arguments_makes_a_fix_unsafe() -> None:
    plain = """\
async def use():
    await workflow.execute_activity(
        charge,
        'A',
        3,
        start_to_close_timeout=T,
    )
"""
    for text, applicability in ((plain, "safe"), (plain.replace("'A',", "'A',  # the order"), "unsafe")):
        [fix] = fixes(HEAD + text, "TMP104")
        assert fix is not None and fix.applicability == applicability


@pytest.mark.parametrize("value", ["'30s'", "TIMEOUT_MS", "settings.wait_minutes", "hours * 3600"])
def test_a_number_of_another_unit_is_not_taken_for_seconds(value: str) -> None:
    text = (
        f"{HEAD}TIMEOUT_MS = 500\nclass Settings:\n    wait_minutes: int\n"
        "async def use(settings: Settings, hours: int):\n"
        f"    await workflow.execute_activity(charge, 'A', start_to_close_timeout={value})\n"
    )
    assert fixes(text, "TMP108") == [None]


@pytest.mark.parametrize(
    ("args", "applicability"),
    [("('ab')", "safe"), ("'ab'", "unsafe"), ("7", "safe"), ("{'a': 1}", "unsafe"), ("{1, 2}", None)],
)
def test_the_list_around_one_argument_is_safe_where_nothing_else_was_meant(
    args: str, applicability: str | None
) -> None:
    text = (
        f"{HEAD}async def use():\n    await workflow.execute_activity('any', args={args}, start_to_close_timeout=T)\n"
    )
    [fix] = fixes(text, "TMP106")
    assert (fix.applicability if fix else None) == applicability


# ---- levels


@pytest.mark.parametrize(
    ("options", "severity"),
    [
        ("start_to_close_timeout=T, heartbeat_timeout=T", Severity.WARNING),
        ("start_to_close_timeout=T, heartbeat_timeout=2 * T", None),
        ("start_to_close_timeout=T, heartbeat_timeout=timedelta()", Severity.WARNING),
        ("start_to_close_timeout=timedelta()", None),
        ("schedule_to_close_timeout=T, heartbeat_timeout=2 * T", None),
    ],
)
def test_what_loses_nothing_but_a_guard_is_a_warning(options: str, severity: Severity | None) -> None:
    text = f"{HEAD}async def use():\n    await workflow.execute_activity(charge, 'A', {options})\n"
    assert [found.severity for _, found in findings(text, "TMP109")] == [severity]


def test_a_budget_without_a_bound_for_one_attempt_is_left_alone_in_tests() -> None:
    text = f"{HEAD}async def use():\n    await workflow.execute_activity(charge, 'A', schedule_to_close_timeout=T)\n"
    assert len(findings({"app.py": text}, "TMP102")) == 1
    assert findings({"tests/test_app.py": text}, "TMP102") == []


# ---- whose word it is ----------------------------------------------------------------------------------------------

WRAPPER = """
async def run1(activity, argument, *, timeout=None):
    return await workflow.execute_activity(activity, argument, start_to_close_timeout=timeout)

async def flow():
    await run1(charge, "order"GIVEN)
"""


@pytest.mark.parametrize(("given", "code"), [("", "TMP101"), (", timeout=30", "TMP108")])
def test_advice_uses_the_words_of_the_function_that_is_called(given: str, code: str) -> None:
    [(_, found)] = findings(HEAD + WRAPPER.replace("GIVEN", given), code)
    assert "`timeout=timedelta(...)`" in found.advice


# ---- values that a class or program fills in -----------------------------------------------------------------------

BASE = """
class Base:
    timeout = None

    async def flow(self):
        await workflow.execute_activity(charge, "order", start_to_close_timeout=self.timeout)

class Other: ...
"""


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ("", 1),
        ("class Heir(Base): timeout = T", 0),
        ("class Heir(Other): timeout = T", 1),
        ("class Heir(Base):\n    def __init__(self): self.timeout = T", 0),
        ("class Mixin: timeout = T\nclass Heir(Mixin, Base): ...", 0),
        ("class Heir(Base):\n    @property\n    def timeout(self): return T", 0),
        ("def configure(base):\n    base.timeout = T", 0),
        ("def configure(base):\n    base.other = T", 1),
    ],
)
def test_an_attribute_is_what_any_class_below_makes_it(more: str, count: int) -> None:
    assert len(reported(HEAD + BASE + more, "TMP101")) == count
