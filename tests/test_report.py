"""What reports look like, and that machines can read them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from temporal_lint import rules
from temporal_lint.report import Result, github, sarif, text
from temporal_lint.report import json as json_report
from temporal_lint.rule import Diagnostic, Edit, Fix, Frame, Severity
from temporal_lint.source import Source

ROOT = Path("/work dir/project")
TEXT = "import x\n\tcall(x,\n    y)\n"
SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))


def diagnostic(**changes: object) -> Diagnostic:
    values: dict[str, object] = {
        "code": "TMP101",
        "name": "activity-missing-timeout",
        "severity": Severity.ERROR,
        "message": "It is 100 % wrong.",
        "advice": "Write\nit right.",
        "path": str(ROOT / "app" / "a b.py"),
        "row": 2,
        "column": 2,
        "end_row": 3,
        "end_column": 7,
        "lines": ("\tcall(x,", "    y)"),
        "chain": (Frame("Flow.run", str(ROOT / "app" / "flow.py"), 7), Frame("helper", "/elsewhere/ü.py", 1)),
        "fix": Fix("safe", "Do it.", (Edit(9, 9, "await "),)),
    }
    return Diagnostic(**{**values, **changes})  # type: ignore[arg-type]


def result(*diagnostics: Diagnostic) -> Result:
    sources = {one.path: Source(Path(one.path), TEXT) for one in diagnostics}
    return Result(diagnostics, rules.load(), ROOT, 3, ["a note"], ["a trouble"], sources)


def test_full_shows_line_carets_advice_and_calls() -> None:
    assert "".join(text.full([diagnostic()], text.Style(ROOT))) == (
        "app/a b.py:2:2: error: TMP101 activity-missing-timeout [*]\n"
        "  |\n"
        "2 |     call(x,\n"
        "  |     ^^^^^^^\n"
        "  = It is 100 % wrong.\n"
        "  help: Write\nit right.\n"
        "  calls: Flow.run (app/flow.py:7) -> helper (/elsewhere/ü.py:1)\n"
    )


def test_concise_is_one_line_and_colour_is_asked_for() -> None:
    style = text.Style(ROOT.parent)
    plain = list(text.concise([diagnostic(fix=None, suppressed="")], style))
    assert plain == ["project/app/a b.py:2:2: error: TMP101 (suppressed) It is 100 % wrong."]
    assert "\x1b[" in next(text.concise([diagnostic()], text.Style(ROOT, color=True)))


@pytest.mark.parametrize(
    ("line", "column", "end_column", "width", "shown", "carets"),
    [
        ("ab = call()", 6, 12, 80, "ab = call()", "     ^^^^^^"),
        ("\tä = f()", 6, 9, 80, "    ä = f()", " " * 8 + "^^^"),
        ("x = '漢字', f()", 11, 14, 80, "x = '漢字', f()", " " * 12 + "^^^"),
        ("x = 'e\u0301', f()", 11, 14, 80, "x = 'e\u0301', f()", " " * 9 + "^^^"),
        ("x = '\x1b[31m'; f()", 14, 17, 80, "x = '\ufffd[31m'; f()", " " * 13 + "^^^"),
        ("", 1, 2, 80, "", "^"),
        ("ab", 3, 4, 80, "ab", "  ^"),
        (
            "a" * 30 + "call()" + "b" * 200,
            31,
            37,
            40,
            "..." + "a" * 11 + "call()" + "b" * 17 + "...",
            " " * 14 + "^" * 6,
        ),
    ],
)
def test_excerpt(line: str, column: int, end_column: int, width: int, shown: str, carets: str) -> None:
    one = diagnostic(row=1, end_row=1, column=column, end_column=end_column, lines=(line,))
    assert text.excerpt(one, width) == (shown, carets)


def test_summary_counts() -> None:
    assert text.summary(result()) == "All checks passed: 3 files checked."
    assert text.summary(result(diagnostic(suppressed="x"))) == "All checks passed: 3 files checked."
    warning = diagnostic(severity=Severity.WARNING, fix=None)
    found = text.summary(result(diagnostic(), warning, warning))
    assert found == "Found 1 error and 2 warnings in 1 file (for [*], the json and sarif reports hold the fix)."
    info = diagnostic(severity=Severity.INFO, fix=None)
    assert text.summary(result(info)) == "Found 0 errors, 0 warnings and 1 note in 1 file."
    assert list(text.statistics([diagnostic(), diagnostic()])) == ["2  TMP101  activity-missing-timeout"]


def test_json_has_ruffs_shape() -> None:
    one = diagnostic()
    assert json.loads(json_report.write(result(one), [one])) == [
        {
            "code": "TMP101",
            "name": "activity-missing-timeout",
            "severity": "error",
            "message": "It is 100 % wrong. Write\nit right.",
            "filename": one.path,
            "location": {"row": 2, "column": 2},
            "end_location": {"row": 3, "column": 7},
            "url": None,
            "chain": ["Flow.run (app/flow.py:7)", "helper (/elsewhere/ü.py:1)"],
            "fix": {
                "applicability": "safe",
                "message": "Do it.",
                "edits": [
                    {"location": {"row": 2, "column": 1}, "end_location": {"row": 2, "column": 1}, "content": "await "}
                ],
            },
        }
    ]


def test_sarif_fits_the_schema() -> None:
    found = [
        diagnostic(),
        diagnostic(fix=None, chain=(), severity=Severity.WARNING),
        diagnostic(suppressed="why"),
        diagnostic(suppressed="per-file-ignores: *", path="/elsewhere/ü.py", code="ACME1", severity=Severity.INFO),
        diagnostic(lines=(), row=1, column=1, end_row=1, end_column=2),
    ]
    document = json.loads(sarif.write(result(*found)))
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(document)
    run = document["runs"][0]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == "file:///work%20dir/project/"
    artifacts = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in run["results"]]
    assert artifacts[0] == {"uri": "app/a%20b.py", "uriBaseId": "SRCROOT"}
    assert artifacts[3] == {"uri": "file:///elsewhere/%C3%BC.py"}
    assert [one.get("suppressions", [{}])[0].get("kind") for one in run["results"]][:4] == [
        None,
        None,
        "inSource",
        "external",
    ]
    prints = [one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]]
    assert len(set(prints)) == len(prints)
    assert all("## Why" in rule["help"]["markdown"] for rule in run["tool"]["driver"]["rules"])


def test_sarif_fingerprint_outlives_a_move() -> None:
    moved = diagnostic(row=40, end_row=41)
    prints = [
        json.loads(sarif.write(result(one)))["runs"][0]["results"][0]["partialFingerprints"]
        for one in (diagnostic(), moved)
    ]
    assert prints[0] == prints[1]


def test_github_escapes() -> None:
    assert github.write([diagnostic()], ROOT) == (
        "::error title=TMP101 activity-missing-timeout,file=app/a b.py,line=2,endLine=3"
        "::app/a b.py:2:2: It is 100 %25 wrong. Write%0Ait right.\n"
    )
    odd = diagnostic(path=str(ROOT / "a,b:c.py"), end_row=2, severity=Severity.INFO)
    assert github.write([odd], ROOT).startswith(
        "::notice title=TMP101 activity-missing-timeout,file=a%2Cb%3Ac.py,line=2,"
    )
