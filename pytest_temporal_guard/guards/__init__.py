"""What a guard is: one module, whose docstring is its page.

A guard module has `SETTINGS` (the first one is its level, with the guard's name as key) and `judge(run, limits)`, which
yields a `Breach` for each thing that is wrong with a run. It may have `prepare(run, limits)`, a coroutine that measures
what the history does not tell, such as a replay; it runs once for each run before any guard judges. `OF_HISTORY = True`
says that it judges recorded histories too. Guards are loaded with the plugin, so nothing heavy is imported at the top.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_temporal_guard.settings import Limits, Setting, Value

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run


class Breach:
    """What a guard found: what was measured against which limit, the largest contributors, and what to change.

    `measured` and `advice` are sentences; `limit` is the setting that was passed, if it is one; `level` overrides the
    guard's own.
    """

    __slots__ = ("advice", "contributors", "level", "limit", "measured")

    def __init__(
        self,
        measured: str,
        advice: str,
        contributors: tuple[str, ...] = (),
        limit: Value | None = None,
        level: str | None = None,
    ) -> None:
        self.measured, self.advice, self.contributors = measured, advice, contributors
        self.limit, self.level = limit, level


class Guard:
    """A guard module as the plugin uses it."""

    __slots__ = ("judge", "name", "of_history", "page", "prepare", "settings")

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self.page: str = module.__doc__ or ""
        self.settings: tuple[Setting, ...] = module.SETTINGS
        self.judge: Callable[[Any, Limits], Iterator[Breach]] = module.judge
        self.prepare: Callable[[Any, Limits], Coroutine[Any, Any, None]] | None = getattr(module, "prepare", None)
        self.of_history: bool = getattr(module, "OF_HISTORY", False)


@cache
def all_guards() -> tuple[Guard, ...]:
    """Every guard, by name."""
    names = sorted(each.partition(".")[0] for each in os.listdir(__path__[0]) if each[0] not in "._")
    return tuple(Guard(name, import_module(f"{__name__}.{name}")) for name in names if name != "__init__")


def largest(items: Iterable[tuple[int, str]], top: int = 3) -> tuple[str, ...]:
    """The phrases of the largest figures: what contributes most to a breach."""
    return tuple(phrase for _, phrase in sorted(items, key=lambda each: -each[0])[:top])


def write(run: Run, breach: Breach) -> str:
    """A breach as a message for people: the run, what was measured, its limit, contributors, advice."""
    lines = [f"{run.title}: {breach.measured}"]
    if breach.limit is not None:
        lines[0] += f" Limit: {figure(breach.limit.value)} ({breach.limit.origin})."
    lines += [f"  - {each}" for each in breach.contributors]
    lines.append(f"  {breach.advice}")
    return "\n".join(lines)


def figure(value: Any) -> str:
    """A number with its thousands marked."""
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
