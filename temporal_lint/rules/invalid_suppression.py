"""A suppression comment names no rule, or lacks its reason.

## What
Reports a `# temporal-lint: ...` comment with a word or a rule that does not exist, and one without a reason where
the configuration asks for reasons.

## Why
A misspelt suppression suppresses nothing, and its author believes that it does.

## Options
- `require-suppression-reason`: whether each suppression must say why.
"""

from __future__ import annotations

from temporal_lint.rule import Severity, rule


@rule("TMP003", Severity.WARNING)
def invalid_suppression() -> None:
    """Reported with the comments of a file."""
