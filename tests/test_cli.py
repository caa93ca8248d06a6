"""The command line end to end: exit codes, selection, formats, and inputs that are wrong in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

FLOW = """from temporalio import workflow


@workflow.defn
class Flow:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity("send", 1)
"""


def lint(directory: Path, *arguments: str, stdin: bytes | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "temporal_lint", *arguments],
        cwd=directory,
        input=stdin,
        capture_output=True,
        env={**clean, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUTF8": "1", **env},
    )
    text = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in text.stdout + text.stderr, text.stderr
    return text


def codes(directory: Path, *arguments: str, stdin: bytes | None = None) -> list[str]:
    done = lint(directory, "check", "--output-format", "json", *arguments, stdin=stdin)
    return [one["code"] for one in json.loads(done.stdout)]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.temporal-lint]\n")
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "clean.py").write_text("import os\n")
    return tmp_path


def test_exit_codes(app: Path) -> None:
    assert lint(app, "check").returncode == 1
    assert lint(app, "check", "--exit-zero").returncode == 0
    clean = lint(app, "check", "clean.py")
    assert (clean.returncode, clean.stdout) == (0, "All checks passed: 1 file checked.\n")
    assert lint(app, "check", "nope.py", "clean.py").returncode == 2
    assert lint(app, "check", "--no-such-option").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], ["TMP101"]),
        (["--select", "TMP102"], []),
        (["--select", "activity-missing-timeout"], ["TMP101"]),
        (["--select", "ALL", "--ignore", "TMP1", "--extend-select", "TMP101"], ["TMP101"]),
        (["--ignore", "TMP1"], []),
        (["--ignore", "TMP1", "--extend-select", "TMP101"], ["TMP101"]),
        (["--ignore", "ALL"], []),
        (["--select", "TMP101", "--ignore", "TMP101"], []),
        (["--per-file-ignores", "flow.py:TMP101,TMP2"], []),
        (["--per-file-ignores", "flow.py:TMP101", "--show-suppressed"], ["TMP101"]),
        (["--exclude", "flow.py"], []),
        (["flow.py", "--exclude", "flow.py"], ["TMP101"]),
        (["flow.py", "--exclude", "flow.py", "--force-exclude"], []),
    ],
)
def test_selection(app: Path, arguments: list[str], found: list[str]) -> None:
    assert codes(app, *arguments) == found


def test_an_info_rule_runs_when_it_is_named(app: Path) -> None:
    (app / "flow.py").write_text(FLOW.replace("1)", "1, start_to_close_timeout=__import__('x').y)"))
    assert codes(app) == []
    assert codes(app, "--extend-select", "TMP112") == ["TMP112"]
    assert codes(app, "--select", "ALL") == ["TMP112"]
    (app / "pyproject.toml").write_text('[tool.temporal-lint.severity]\nunbounded-retries = "warning"\n')
    assert codes(app) == ["TMP112"]


def test_levels_of_the_configuration(app: Path) -> None:
    (app / "pyproject.toml").write_text('[tool.temporal-lint.severity]\nTMP101 = "warning"\n')
    assert json.loads(lint(app, "check", "--output-format", "json").stdout)[0]["severity"] == "warning"
    (app / "pyproject.toml").write_text('[tool.temporal-lint.severity]\nTMP101 = "off"\n')
    assert codes(app) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('selct = ["TMP1"]', ["pyproject.toml", "`selct`", "`select`"]),
        ('select = ["TMP1O1"]', ["pyproject.toml", "`TMP1O1`", "`select`", "`TMP101`"]),
        ('rules = ["nope.py"]', ["nope.py", "rules"]),
        ('output-format = "fulll"', ["full, concise, json, sarif, github", "`full`"]),
    ],
)
def test_wrong_configuration_is_one_sentence(app: Path, table: str, words: list[str]) -> None:
    (app / "pyproject.toml").write_text(f"[tool.temporal-lint]\n{table}\n")
    done = lint(app, "check")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout
    for word in words:
        assert word in done.stderr


def test_standard_input_stands_for_its_file(app: Path) -> None:
    fixed = FLOW.replace("1)", "1, start_to_close_timeout=__import__('x').y)").encode()
    assert codes(app, "-", "--stdin-filename", "flow.py", stdin=fixed) == []
    assert codes(app, "-", "--stdin-filename", "new.py", stdin=FLOW.encode()) == ["TMP101"]
    assert codes(app, "-", stdin=b"x = (") == ["TMP001"]
    assert lint(app, "check", "-", "flow.py", stdin=b"").returncode == 2


def test_outputs_and_formats(app: Path) -> None:
    done = lint(app, "check", "--output-format", "concise", "--output", "sarif:out/x.sarif", "--output", "json:x.json")
    assert done.stdout.startswith("flow.py:8:15: error: TMP101 ")
    assert json.loads((app / "out/x.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "TMP101"
    assert json.loads((app / "x.json").read_text())[0]["filename"] == str(app / "flow.py")
    assert lint(app, "check", "--output-format", "github").stdout.startswith("::error title=TMP101 ")
    assert lint(app, "check", "--output", "xml:x").returncode == 2
    assert lint(app, "check", "--statistics", "-q").stdout == "1  TMP101  activity-missing-timeout\n"


def test_colour(app: Path) -> None:
    assert "\x1b[" not in lint(app, "check").stdout
    assert "\x1b[" in lint(app, "check", FORCE_COLOR="1").stdout
    assert "\x1b[" not in lint(app, "check", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" in lint(app, "check", "--color", "always", NO_COLOR="1").stdout
    assert "\x1b[" not in lint(app, "check", "--color", "never", FORCE_COLOR="1").stdout


def test_an_empty_path_is_refused(app: Path) -> None:
    done = lint(app, "check", "")
    assert done.returncode == 2 and "a path is empty" in done.stderr


def test_notes_are_of_what_was_asked_for(app: Path) -> None:
    (app / "lost").mkdir()
    (app / "lost" / "link.py").symlink_to("nowhere.py")
    assert "link.py" not in lint(app, "check", "flow.py").stderr
    assert "link.py" in lint(app, "check", "flow.py", "lost").stderr


def test_the_project_around_a_file_is_read(app: Path) -> None:
    (app / "acts.py").write_text("from temporalio import activity\n\n\n@activity.defn\ndef send(a: int) -> None: ...\n")
    (app / "flow.py").write_text(
        FLOW.replace('"send"', "send").replace("workflow\n\n", "workflow\n\nfrom acts import send\n", 1)
    )
    (app / "other.py").write_text(FLOW)
    shown = lint(app, "check", "flow.py", "--output-format", "concise", "-q", "--ignore", "TMP101")
    assert shown.stdout == ""
    (app / "acts.py").write_text("from temporalio import activity\n\n\n@activity.defn\ndef send() -> None: ...\n")
    assert codes(app, "flow.py", "--ignore", "TMP101") == ["TMP107"]


def test_broken_files_are_one_finding_each(app: Path) -> None:
    use = b"from temporalio import workflow\n"
    broken = {
        "nul.py": use + b"x = '\0'\n",
        "syntax.py": use + b"def f(:\n",
        "encoding.py": b"# coding: nonsense\n" + use,
        "latin.py": use + b"x = '\xe9'\n",
        "deep.py": use + b"x = " + b"(" * 3000 + b")" * 3000 + b"\n",
        "chain.py": use + b"x = a" + b".b()" * 20000 + b"\n",
    }
    fine = {
        "bom.py": b"\xef\xbb\xbf" + use.replace(b"\n", b"\r\n"),
        "empty.py": b"",
        "python2.py": b"print 'x'\n",
        "big.py": use + b"x = [\n" + b"    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',\n" * 100_000 + b"]\n",
    }
    for name, data in {**broken, **fine}.items():
        (app / name).write_bytes(data)
    (app / "dangling.py").symlink_to("nowhere.py")
    (app / "loop.py").symlink_to("loop.py")
    (app / "dir.py").mkdir()
    os.mkfifo(app / "pipe.py")
    done = lint(app, "check", "--output-format", "json")
    found = [(Path(one["filename"]).name, one["code"]) for one in json.loads(done.stdout)]
    assert sorted(found) == sorted([("flow.py", "TMP101"), *((name, "TMP001") for name in broken)])
    assert done.returncode == 1
    for name in ("dangling.py", "loop.py", "dir.py", "pipe.py"):
        assert done.stderr.count(f"/{name} ") == 1
    assert codes(app, "python2.py") == ["TMP001"]
    assert codes(app, "syntax.py", "--select", "TMP101") == ["TMP001"]
    assert codes(app, "syntax.py", "--ignore", "TMP001") == []


RULE = '''"""A rule of one's own.

## What
Reports it.

## Why
Because.
"""

from temporal_lint.facts import Call
from temporal_lint.rule import Finding, Severity, rule


@rule("{code}", Severity.ERROR)
def {name}(call: Call):
    {body}
'''


def own_rule(app: Path, body: str, code: str = "ACME1", name: str = "own_rule", file: str = "own_rule.py") -> None:
    (app / file).write_text(RULE.format(code=code, name=name, body=body))
    (app / "pyproject.toml").write_text(f'[tool.temporal-lint]\nrules = ["{file}"]\n')


def test_rules_of_ones_own(app: Path) -> None:
    own_rule(app, 'yield Finding(call.module, call.node, "m", "a")')
    assert "ACME1" in codes(app, "--select", "ACME1", "flow.py")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("yield 1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3); yield", "SystemExit"),
        ("yield 'text'", "it yields str, not Finding"),
        ("import ast; yield Finding(call.module, ast.Pass(), 'm', 'a')", "has no place in"),
    ],
)
def test_a_rule_that_fails_is_blamed_and_the_others_go_on(app: Path, body: str, words: str) -> None:
    own_rule(app, body)
    done = lint(app, "check", "flow.py")
    assert done.returncode == 2 and "TMP101" in done.stdout
    assert "ACME1" in done.stderr and "flow.py" in done.stderr and words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"code": "TMP101"}, "TMP101"),
        ({"name": "other"}, "own-rule"),
        ({"name": "wall_clock", "file": "own_rule.py"}, "own-rule"),
        ({"body": "this is no Python"}, "SyntaxError"),
        ({"body": "pass\n\nimport sys\nsys.exit(3)"}, "SystemExit"),
        ({"code": "acme one"}, "letters and then digits"),
    ],
)
def test_rule_file_that_breaks_the_contract_is_refused(app: Path, changes: dict[str, str], word: str) -> None:
    own_rule(app, **{"body": "return iter(())", **changes})
    done = lint(app, "check")
    assert done.returncode == 2 and word in done.stderr and "own_rule.py" in done.stderr


def test_show_files_and_settings(app: Path) -> None:
    assert lint(app, "check", "--show-files").stdout.split() == [str(app / "clean.py"), str(app / "flow.py")]
    shown = lint(app, "check", "--show-settings", "--select", "TMP1").stdout
    assert f"# root: {app}" in shown and 'select = ["TMP1"]' in shown and "max-payload-bytes = 204800" in shown


def test_rule_rules_and_schema(tmp_path: Path) -> None:
    page = lint(tmp_path, "rule", "TMP001").stdout
    assert page == lint(tmp_path, "rule", "syntax-error").stdout and page.startswith("# syntax-error (TMP001)")
    wrong = lint(tmp_path, "rule", "sintax-error")
    assert wrong.returncode == 2 and "`syntax-error`" in wrong.stderr
    listed = lint(tmp_path, "rules").stdout.splitlines()
    assert len(listed) == lint(tmp_path, "rule", "--all").stdout.count("\nLevel: ")
    jsonschema.Draft7Validator.check_schema(json.loads(lint(tmp_path, "config-schema").stdout))
    assert lint(tmp_path, "--version").stdout.startswith("temporal-lint, version ")
