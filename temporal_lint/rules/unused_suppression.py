"""A suppression comment suppresses nothing.

## What
Reports `# temporal-lint: ignore[...]` and the codes of this linter in `# noqa: ...` where the rule they name, being
switched on, found nothing there. Comments that name rules which are switched off are left alone.

## Why
A comment that outlives its reason hides the next mistake on that line.

## Fix safety
Safe: only the comment, or the one code in it, is deleted.
"""

from __future__ import annotations

from temporal_lint.rule import Severity, rule


@rule("TMP002", Severity.WARNING, fix="safe")
def unused_suppression() -> None:
    """Reported when all rules have spoken."""
