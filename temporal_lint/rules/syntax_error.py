"""The file cannot be read as Python.

## What
Reports a file that uses Temporal, or that was named on the command line, and that cannot be read, decoded or parsed.
The other files are checked all the same.

## Why
Nothing in such a file was checked, and Python cannot import it either.
"""

from __future__ import annotations

from temporal_lint.rule import Severity, rule


@rule("TMP001", Severity.ERROR)
def syntax_error() -> None:
    """Reported by the run itself."""
