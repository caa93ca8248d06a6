"""`ast.parse` in one thread at a time.

CPython counts the depth of a tree in one place for all threads (seen up to 3.12): two threads that make trees at once
may end with "SystemError: AST constructor recursion depth mismatch". pytest makes trees while it imports test modules
and shows failures; the sandbox imports test modules again in the threads of workflows, with and without the guard. The
guard's replays make it likely that both happen at once.
"""

from __future__ import annotations

import ast
import functools
import threading
from typing import Any


def one_at_a_time() -> None:
    """Let `ast.parse` wait for its turn, from now on. Doing it twice is doing it once."""
    original = ast.parse
    if hasattr(original, "_takes_turns"):
        return
    # reentrant: a finalizer that runs inside may parse something too
    turn = threading.RLock()

    @functools.wraps(original)
    def parse(*args: Any, **options: Any) -> Any:
        with turn:
            return original(*args, **options)

    parse._takes_turns = True  # type: ignore[attr-defined]
    ast.parse = parse
