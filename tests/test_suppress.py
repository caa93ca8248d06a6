"""What a suppression comment silences, and what is said of one that silences nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from temporal_lint import engine, rules
from temporal_lint.config import Settings
from temporal_lint.rule import Diagnostic, Edit
from temporal_lint.source import Source
from temporal_lint.suppress import Layout, Silencer

KNOWN = rules.load()


def finding(source: Source, what: str, code: str = "TMP101") -> Diagnostic:
    """A finding of a rule over the first place where `what` stands."""
    start = source.text.index(what)
    row, column = source.position(start)
    end_row, end_column = source.position(start + len(what))
    rule = next(rule for rule in KNOWN if rule.code == code)
    return Diagnostic(
        code, rule.name, rule.severity, "m", "a", str(source.path), row, column, end_row, end_column, ("line",)
    )


def silenced(text: str, what: str | None = "call", code: str = "TMP101", **settings: object) -> list[Diagnostic]:
    source = Source(Path("/p/app.py"), text)
    chosen = Settings(**settings)  # type: ignore[arg-type]
    given = [finding(source, what, code)] if what else []
    return Silencer(engine.select(KNOWN, chosen), chosen).silence(source, "app.py", given)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("call()  # temporal-lint: ignore[TMP101] told you", "told you"),
        ("call()  # temporal-lint: ignore[activity-missing-timeout]", ""),
        ("call()  # temporal-lint: ignore[TMP102, TMP101] - why", "why"),
        ("call()  # temporal-lint: ignore", ""),
        ("call()  # type: ignore  # temporal-lint:ignore[TMP101]  # more", ""),
        ("call()  # noqa: TMP101", ""),
        ("call()  # NOQA:E501,TMP101 because", "because"),
        ("call()  # noqa", ""),
        ("call(\n    1,\n)  # temporal-lint: ignore[TMP101]", ""),
        ("call(  # temporal-lint: ignore[TMP101]\n    1,\n)", ""),
        ("x = '''\n# '''; call()  # temporal-lint: ignore[TMP101]", ""),
        ("# temporal-lint: ignore-next[TMP101] why\n\n# more\ncall()", "why"),
        ("# temporal-lint: ignore-next[TMP101]\nx = [\n    call(),\n]", ""),
        ("x = 1\ncall()\n# temporal-lint: ignore-file[TMP101] old", "old"),
    ],
)
def test_comment_silences(text: str, reason: str) -> None:
    found = silenced(text, ignore=("TMP002",))
    assert [(one.code, one.suppressed) for one in found] == [("TMP101", reason)]


@pytest.mark.parametrize(
    "text",
    [
        "call()  # temporal-lint: ignore[TMP103]",
        "call()  # noqa: E501",
        "call('# temporal-lint: ignore[TMP101]')",
        "call('''\n# temporal-lint: ignore[TMP101]\n''')",
        "# temporal-lint: ignore[TMP101]\ncall()",
        "# temporal-lint: ignore-next[TMP101]\nx\ncall()",
        "call()\nx  # temporal-lint: ignore[TMP101]",
        "x = [\n    call(),\n    1,  # temporal-lint: ignore[TMP101]\n    2,\n]",
    ],
)
def test_comment_elsewhere_does_not(text: str) -> None:
    assert [one.suppressed for one in silenced(text) if one.code == "TMP101"] == [None]


def test_a_function_is_silenced_in_its_header_only() -> None:
    text = "def call(\n    x,\n):{}\n    y = 1{}\n    return y"
    comment = "  # temporal-lint: ignore[TMP202]"
    whole = text.format("", "")
    for header, body, expected in ((comment, "", ""), ("", comment, None)):
        written = text.format(header, body)
        source = Source(Path("/p/app.py"), written)
        one = finding(source, written, "TMP101")
        settings = Settings()
        comment_code = written.replace("TMP202", "TMP101")
        source = Source(Path("/p/app.py"), comment_code)
        found = Silencer(engine.select(KNOWN, settings), settings).silence(source, "app.py", [one])
        assert next(each.suppressed for each in found if each.code == "TMP101") == expected
    assert Layout(Source(Path("/p/app.py"), whole)).line_of(2) == (1, 3)


def fixed(text: str, found: list[Diagnostic]) -> str:
    edits: list[Edit] = [edit for one in found if one.fix and one.fix.applicability == "safe" for edit in one.fix.edits]
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.content + text[edit.end :]
    return text


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("other()  # temporal-lint: ignore[TMP101] why\n", "other()\n"),
        ("other()  # temporal-lint: ignore\n", "other()\n"),
        ("other()  # type: ignore  # temporal-lint: ignore[TMP101]\n", "other()  # type: ignore\n"),
        ("other()  # temporal-lint: ignore[TMP101]  # type: ignore\n", "other()  # type: ignore\n"),
        ("x\n  # temporal-lint: ignore-file[TMP101]\r\ny\n", "x\ny\n"),
        ("call()  # temporal-lint: ignore[TMP101, TMP103] why\n", "call()  # temporal-lint: ignore[TMP101] why\n"),
        ("call()  # noqa: TMP101,E501,TMP103\n", "call()  # noqa: TMP101,E501\n"),
        ("other()  # noqa: TMP101\n", "other()\n"),
        ("other()  # noqa: E501, TMP101\n", "other()  # noqa: E501\n"),
    ],
)
def test_unused_comment_is_reported_and_the_fix_rests(text: str, after: str) -> None:
    what = "call" if "call" in text else None
    found = [one for one in silenced(text, what) if one.code == "TMP002"]
    assert len(found) == 1
    assert fixed(text, found) == after
    assert not [one for one in silenced(after, what) if one.code == "TMP002"]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("other()  # temporal-lint: ignore[TMP101]", {"ignore": ("TMP101",)}),
        ("other()  # temporal-lint: ignore", {"select": ("TMP002", "TMP101")}),
        ("other()  # noqa", {}),
        ("other()  # noqa: E501, W291", {}),
        ("other()  # temporal-lint: ignore[TMP101]", {"ignore": ("TMP002",)}),
        ("other()  # temporal-lint: ignore-file[TMP002]  # temporal-lint: ignore[TMP101]", {}),
    ],
)
def test_comment_of_what_did_not_run_is_left_alone(text: str, settings: dict[str, object]) -> None:
    assert not [one for one in silenced(text, None, **settings) if one.suppressed is None and "TMP101" in one.message]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x  # temporal-lint: ignore[TMP1O1]", ["`TMP1O1`", "`TMP101`"]),
        ("x  # temporal-lint: ignore[activity-missing-timeuot]", ["`activity-missing-timeout`"]),
        ("x  # temporal-lint: ignroe[TMP101]", ["`ignroe`", "`ignore`"]),
        ("x  # temporal-lint: ignore[]", ["name no rule"]),
    ],
)
def test_invalid_comment_says_what_is_near(text: str, words: list[str]) -> None:
    found = [one for one in silenced(text, None) if one.code == "TMP003"]
    assert len(found) == 1
    for word in words:
        assert word in found[0].message + found[0].advice


def test_reason_is_asked_for_where_the_project_wants_it() -> None:
    bare = "call()  # temporal-lint: ignore[TMP101]"
    assert not [one for one in silenced(bare) if one.code == "TMP003"]
    for text, count in ((bare, 1), (f"{bare} because", 0), ("call()  # noqa: TMP101", 1), ("call()  # noqa: E501", 0)):
        found = silenced(text, require_suppression_reason=True)
        assert len([one for one in found if one.code == "TMP003"]) == count, text


def test_per_file_ignores_keep_the_finding_with_its_reason() -> None:
    assert silenced("call()", per_file_ignores={"*.py": ("TMP1",)})[0].suppressed == "per-file-ignores: *.py"
    assert silenced("call()", per_file_ignores={"tests/": ("TMP1",)})[0].suppressed is None
