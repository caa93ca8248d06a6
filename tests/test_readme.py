"""What the README and CONTRIBUTING show is what happens."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import project

from temporal_lint import config, engine, pages, rules, run
from temporal_lint.config import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOP = ROOT / "tests" / "fixtures" / "shop"
FIVE_KINDS = {"TMP101", "TMP103", "TMP201", "TMP206", "TMP301"}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^(?:````|```){language}\n(.*?)^(?:````|```)$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def printed() -> subprocess.CompletedProcess[str]:
    """The linter's half of the first command, run as written."""
    command = blocks(README, "sh")[0].strip().rpartition("&& .venv/bin/temporal-lint ")[2]
    return subprocess.run(
        [sys.executable, "-m", "temporal_lint", *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_first_command_shows_all_five_kinds(printed: subprocess.CompletedProcess[str]) -> None:
    assert printed.returncode == 1
    assert printed.stderr == ""
    findings = printed.stdout.split("\n\n")
    found = {match[0] for each in findings for match in re.findall(r"(TMP\d{3}) ([\w-]+)", each)}
    assert found == FIVE_KINDS
    for each in findings[:-1]:
        assert re.search(r"^ *\| +\^+$", each, re.MULTILINE), each
        assert re.search(r"^ +help: ", each, re.MULTILINE), each


def test_the_sample_is_printed_by_the_first_command(printed: subprocess.CompletedProcess[str]) -> None:
    (sample,) = blocks(README, "text")
    assert sample.strip() in printed.stdout


def test_the_second_command_is_what_ci_runs() -> None:
    command = blocks(README, "sh")[1].strip()
    assert command.endswith(".venv/bin/python -m pytest")
    assert "block == 2" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    (example,) = blocks(README, "toml")
    (tmp_path / "pyproject.toml").write_text(example, encoding="utf-8")
    found = config.load(tmp_path, None, False)
    assert found.file == tmp_path / "pyproject.toml"
    assert found.settings.wrappers[0].call == "company.temporal.run"


def test_the_suppression_silences(tmp_path: Path) -> None:
    (line,) = blocks(README, "python")
    head = "from temporalio import workflow\nfrom app import ping\n\nasync def f():\n    "
    (tmp_path / "app.py").write_text(
        "from temporalio import activity\n@activity.defn\nasync def ping(): ...\n", encoding="utf-8"
    )
    (tmp_path / "flow.py").write_text(head + line, encoding="utf-8")
    request = run.Request(directory=tmp_path)
    result = run.check(request, *run.configure(request))
    assert [(each.code, each.suppressed) for each in result.diagnostics] == [("TMP101", "the interceptor sets it")]


def test_commands_and_files_that_the_documents_name_exist() -> None:
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:tests|tools|temporal_lint|benchmarks)/[\w/.-]+)`", text):
            assert (ROOT / name).exists() or "cron_without_id" in name, f"{document} names {name}"
    for command in re.findall(r"`temporal-lint ([\w-]+)", README):
        helped = subprocess.run(
            [sys.executable, "-m", "temporal_lint", command, "--help"], capture_output=True, check=False
        )
        assert helped.returncode == 0, command


def test_a_rule_needs_one_file_and_nothing_else(tmp_path: Path) -> None:
    """CONTRIBUTING's promise, with a rule given by configuration, as users add theirs."""
    text = (
        '"""Orders are not to be called this.\n\n## What\nx\n\n## Why\nx\n"""\n\n'
        "from __future__ import annotations\n\nfrom collections.abc import Iterator\n\n"
        "from temporal_lint.project import SdkCall\nfrom temporal_lint.rule import Finding, Severity, rule\n\n\n"
        '@rule("ACME001", Severity.WARNING)\ndef cron_without_id(call: SdkCall) -> Iterator[Finding]:\n'
        '    """Report every activity call."""\n    if call.family == "activity":\n'
        '        yield Finding(call.module, call.node, "Message.", "Advice.")\n'
    )
    shutil.copytree(SHOP, tmp_path / "shop")
    (tmp_path / "shop" / "cron_without_id.py").write_text(text, encoding="utf-8")
    settings = tmp_path / "shop" / "pyproject.toml"
    settings.write_text(
        settings.read_text(encoding="utf-8") + 'rules = ["cron_without_id.py"]\nselect = ["ACME"]\n', encoding="utf-8"
    )
    request = run.Request(directory=tmp_path / "shop")
    result = run.check(request, *run.configure(request))
    assert {each.code for each in result.diagnostics} == {"ACME001"}
    assert len(result.diagnostics) == 4


def test_the_rule_that_contributing_shows_keeps_its_page(tmp_path: Path) -> None:
    document = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^````python\n(.*?)^````$", document, re.MULTILINE | re.DOTALL)
    (tmp_path / "cron_without_id.py").write_text(text, encoding="utf-8")
    (shown,) = [each for each in rules.load([tmp_path / "cron_without_id.py"]) if each.name == "cron-without-id"]
    for block in (*pages.of(shown).blocks("Invalid"), *pages.of(shown).blocks("Valid")):
        troubles: list[str] = []
        joined = project(dict(block.files))
        (module,) = joined.modules.values()
        found = engine.diagnose(joined, module, engine.select([shown], Settings()), troubles)
        assert [each.row for each in found] == [row for _, row, _ in block.expected] and not troubles


def test_every_rule_of_the_readme_exists() -> None:
    words = {word for each in rules.load() for word in (each.code, each.name)}
    for code in re.findall(r"TMP\d{3}", README):
        assert code in words
