"""Findings as SARIF 2.1.0, for code scanning services."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from temporal_lint import __version__, pages
from temporal_lint.report import Result, sentence, shown_chain
from temporal_lint.rule import Diagnostic, Fix, Rule, Severity
from temporal_lint.suppress import PER_FILE

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_ROOT = "SRCROOT"


def write(result: Result) -> str:
    """One run with all findings, the suppressed ones too."""
    indices = {rule.code: number for number, rule in enumerate(result.rules)}
    seen: Counter[str] = Counter()
    run = {
        "tool": {
            "driver": {
                "name": "temporal-lint",
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in result.rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not result.troubles,
                "toolExecutionNotifications": [
                    *({"level": "error", "message": {"text": text}} for text in result.troubles),
                    *({"level": "note", "message": {"text": text}} for text in result.notes),
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"uri": result.root.as_uri().rstrip("/") + "/"}},
        "results": [_result(one, result, indices, seen) for one in result.diagnostics],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    page = pages.of(rule)
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": f"{page.title}."},
        "fullDescription": {"text": page.prose or page.title},
        "help": {"text": page.prose or page.title, "markdown": pages.markdown(rule)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.name]},
    }


def _result(one: Diagnostic, result: Result, indices: dict[str, int], seen: Counter[str]) -> dict[str, Any]:
    location = _artifact(one.path, result.root)
    document: dict[str, Any] = {
        "ruleId": one.code,
        "level": _LEVELS[one.severity],
        "message": {"text": sentence(one)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": location,
                    "region": _region((one.row, one.column), (one.end_row, one.end_column)),
                }
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(one, location["uri"], seen)},
    }
    if one.code in indices:
        document["ruleIndex"] = indices[one.code]
    if one.chain:
        document["properties"] = {"chain": shown_chain(one, result.root)}
    if one.suppressed is not None:
        kind = "external" if one.suppressed.startswith(PER_FILE) else "inSource"
        document["suppressions"] = [{"kind": kind, "justification": one.suppressed}]
    if one.fix is not None:
        document["fixes"] = [_fix(one, one.fix, location, result)]
    return document


def _fix(one: Diagnostic, fix: Fix, location: dict[str, str], result: Result) -> dict[str, Any]:
    source = result.sources[one.path]
    replacements = [
        {
            "deletedRegion": _region(source.position(edit.start), source.position(edit.end)),
            "insertedContent": {"text": edit.content},
        }
        for edit in fix.edits
    ]
    return {
        "description": {"text": fix.message},
        "artifactChanges": [{"artifactLocation": location, "replacements": replacements}],
    }


def _region(start: tuple[int, int], end: tuple[int, int]) -> dict[str, int]:
    return {"startLine": start[0], "startColumn": start[1], "endLine": end[0], "endColumn": end[1]}


def _artifact(path: str, root: Path) -> dict[str, str]:
    if Path(path).is_relative_to(root):
        return {"uri": quote(Path(path).relative_to(root).as_posix()), "uriBaseId": _ROOT}
    return {"uri": Path(path).as_uri()}


def _fingerprint(one: Diagnostic, uri: str, seen: Counter[str]) -> str:
    """A name for the finding that outlives changes elsewhere in the file: rule, file, text of the line, and a count."""
    text = "".join(one.lines[0].split()) if one.lines else ""
    digest = hashlib.sha256(f"{one.code}\0{uri}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"
