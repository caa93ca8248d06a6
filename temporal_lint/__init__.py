"""A whole-project linter for code on the Temporal Python SDK."""

__version__ = "0.1.0"
