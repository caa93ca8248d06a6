"""Every rule's page holds: what it calls invalid is reported, what it calls valid is not, and its fixes are its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import ROOT, project

from temporal_lint import engine, pages, rules
from temporal_lint.config import Settings
from temporal_lint.pages import Block
from temporal_lint.rule import Diagnostic, Edit, Rule, Severity

KNOWN = rules.load()
CHECKED = [rule for rule in KNOWN if rule.check is not None]
EVERYTHING = engine.select(KNOWN, Settings(select=("ALL",)))


def diagnose(block: dict[str, str]) -> list[Diagnostic]:
    joined = project(block)
    troubles: list[str] = []
    found = [one for module in joined.modules.values() for one in engine.diagnose(joined, module, EVERYTHING, troubles)]
    assert not troubles
    return found


def relative(one: Diagnostic) -> str:
    return Path(one.path).relative_to(ROOT).as_posix()


def fixed(files: dict[str, str], rule: Rule) -> dict[str, str]:
    """The files after all fixes of one rule, applied from the end; an edit that two fixes share counts once."""
    result = dict(files)
    edits: dict[str, set[Edit]] = {}
    for one in diagnose(files):
        if one.code == rule.code and one.fix is not None:
            edits.setdefault(relative(one), set()).update(one.fix.edits)
    for path, each in edits.items():
        for edit in sorted(each, key=lambda edit: (edit.start, edit.end), reverse=True):
            result[path] = result[path][: edit.start] + edit.content + result[path][edit.end :]
    return result


def numbered(heading: str, checked: list[Rule]) -> list[object]:
    return [
        pytest.param(rule, block, id=f"{rule.code}-{number}")
        for rule in checked
        for number, block in enumerate(pages.of(rule).blocks(heading))
    ]


@pytest.mark.parametrize("rule", KNOWN, ids=lambda rule: rule.code)
def test_page_has_its_sections(rule: Rule) -> None:
    page = pages.of(rule)
    assert 0 < len(page.title) <= 80
    assert set(page.sections) <= set(pages.HEADINGS)
    assert set(pages.REQUIRED) <= set(page.sections)
    if rule.check is not None:
        assert page.blocks("Invalid") and page.blocks("Valid")
    if rule.fix is not None:
        assert "Fix safety" in page.sections


@pytest.mark.parametrize(("rule", "block"), numbered("Invalid", CHECKED))
def test_invalid_block_is_reported_on_the_marked_lines_and_no_other(rule: Rule, block: Block) -> None:
    expected = {(path, row) for path, row, name in block.expected if name in ("", rule.name, rule.code)}
    assert expected
    assert {(relative(one), one.row) for one in diagnose(dict(block.files)) if one.code == rule.code} == expected


@pytest.mark.parametrize(("rule", "block"), numbered("Valid", CHECKED))
def test_valid_block_is_silent(rule: Rule, block: Block) -> None:
    loud = [one for one in diagnose(dict(block.files)) if one.code == rule.code or one.severity is Severity.ERROR]
    assert not loud


@pytest.mark.parametrize(
    "rule", [rule for rule in CHECKED if pages.of(rule).blocks("Fixed")], ids=lambda rule: rule.code
)
def test_fix_makes_the_fixed_blocks_and_then_rests(rule: Rule) -> None:
    results = []
    for block in pages.of(rule).blocks("Invalid"):
        before = dict(block.files)
        after = fixed(before, rule)
        if after != before:
            results.append(after)
            assert fixed(after, rule) == after
    assert results == [dict(block.files) for block in pages.of(rule).blocks("Fixed")]


@pytest.mark.parametrize("rule", CHECKED, ids=lambda rule: rule.code)
def test_rule_declares_the_fixes_it_makes(rule: Rule) -> None:
    """What the rule declares is the boldest of its fixes: "unsafe" where one of them is."""
    made = {
        one.fix.applicability
        for block in pages.of(rule).blocks("Invalid")
        for one in diagnose(dict(block.files))
        if one.code == rule.code and one.fix is not None
    }
    assert made <= ({"safe", rule.fix} if rule.fix else set())
    assert bool(made) == (rule.fix is not None)
