"""Every option of the guard, once: its key, type, default and sentence; and where a value comes from.

A setting with key `max_payload_bytes` is the keyword `max_payload_bytes` of the marker `temporal_guard`, the option
`--temporal-guard-max-payload-bytes` and the ini value `temporal_guard_max_payload_bytes`. The first of marker, command
line and ini that gives a value wins, else the default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import pytest

MARKER = "temporal_guard"
LEVELS = ("off", "warn", "fail")

_UNITS = {
    "": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3,
}  # fmt: skip
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = r"\s*(\d+(?:_\d+)*(?:\.\d+)?)\s*([a-zA-Z]*)\s*"


class Setting:
    """One option. `parse` turns what was written into a value or raises ValueError; `allowed` says what it takes.

    `help` is one sentence. `scope` is "test" for what a marker may set, "session" for what holds for the whole run.
    `ini` is pytest's type of the ini value. `option` is its name on the command line, `name` that in an ini file and
    its destination on the command line.
    """

    # No NamedTuple or dataclass here and in `guards`: making one takes a tenth of what loading the plugin may take.
    __slots__ = ("allowed", "default", "flag", "help", "ini", "key", "name", "option", "parse", "scope")

    def __init__(
        self,
        key: str,
        parse: Callable[[Any], Any],
        allowed: str,
        default: Any,
        help: str,
        scope: str = "test",
        ini: str = "string",
        flag: bool = False,
    ) -> None:
        self.key, self.parse, self.allowed, self.default, self.help = key, parse, allowed, default, help
        self.scope, self.ini, self.flag = scope, ini, flag
        self.option = "--temporal-guard" + (f"-{key.replace('_', '-')}" if key else "")
        self.name = "temporal_guard" + (f"_{key}" if key else "")


class Value:
    """The value in force and where it comes from, as a phrase: "the default", "the marker", ..."""

    __slots__ = ("origin", "value")

    def __init__(self, value: Any, origin: str) -> None:
        self.value, self.origin = value, origin


def level(written: Any) -> str:
    """off, warn or fail; True and False of a marker mean fail and off."""
    word = {True: "fail", False: "off"}.get(written, written) if isinstance(written, bool) else str(written).strip()
    if word not in LEVELS:
        raise ValueError
    return str(word)


def count(written: Any) -> int:
    """A whole number, at least 1."""
    return _whole(written, 1)


def number_of(written: Any) -> int:
    """A whole number, at least 0."""
    return _whole(written, 0)


def _whole(written: Any, least: int) -> int:
    number = int(written)
    if isinstance(written, (bool, float)) or number < least:
        raise ValueError
    return number


def size(written: Any) -> int:
    """Bytes: 200000, "200 KB" (1000), "10 MiB" (1024)."""
    if isinstance(written, bool):
        raise ValueError
    found = re.fullmatch(_QUANTITY, str(written))
    if not found or found[2].lower() not in _UNITS:
        raise ValueError
    bytes_ = int(float(found[1]) * _UNITS[found[2].lower()])
    if bytes_ < 1:
        raise ValueError
    return bytes_


def seconds(written: Any) -> float:
    """Seconds: 0.1, "100 ms", "10 min"; a timedelta too."""
    if hasattr(written, "total_seconds"):
        written = written.total_seconds()
    if isinstance(written, bool):
        raise ValueError
    found = re.fullmatch(_QUANTITY, str(written))
    if not found or found[2].lower() not in _SECONDS:
        raise ValueError
    span = float(found[1]) * _SECONDS[found[2].lower()]
    if span <= 0:
        raise ValueError
    return span


def flag(written: Any) -> bool:
    """true or false."""
    if isinstance(written, bool):
        return written
    word = str(written).strip().lower()
    if word not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError
    return word in ("true", "1", "yes", "on")


def text(written: Any) -> str:
    """Any text but the empty one."""
    if not isinstance(written, str) or not written.strip():
        raise ValueError
    return written.strip()


def names(written: Any) -> tuple[str, ...]:
    """Names: a list, or text with one name on a line or commas between; functions stand for their names."""
    if isinstance(written, str):
        written = re.split(r"[,\n]", written)
    if callable(written):
        written = [written]
    if not isinstance(written, Iterable):
        raise ValueError
    found = [each.strip() if isinstance(each, str) else _name_of(each) for each in written]
    return tuple(each for each in found if each)


def report_files(written: Any) -> tuple[str, ...]:
    """Names of files whose ending says what is written to them."""
    found = names(written)
    if any(not each.lower().endswith((".json", ".html")) for each in found):
        raise ValueError
    return found


def _name_of(function: Any) -> str:
    # The SDK hangs an activity's definition on the function; its name may differ from the function's.
    definition = getattr(function, "__temporal_activity_definition", None)
    name = getattr(definition, "name", None) or getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise ValueError
    return name


def one_of(*words: str) -> Callable[[Any], str]:
    """A parser that takes these words only."""

    def parse(written: Any) -> str:
        if written not in words:
            raise ValueError
        return str(written)

    return parse


LEVEL = "off, warn or fail"
COUNT = "a whole number, at least 1"
SIZE = "a number of bytes, at least 1, such as 200000, 200KB or 10MiB"
SECONDS = "a positive number of seconds, such as 0.1, 100ms, 10min or 2h"
NAMES = "names of activities"

SESSION = (
    Setting(
        "", flag, "true or false", False,
        "Record every workflow run of the suite, whatever client or worker it uses, and judge it by the guards.",
        "session", flag=True,
    ),
    Setting(
        "server", text, "a path or HOST:PORT", None,
        "The Temporal server of the fixtures: the path of a binary, or HOST:PORT of one that runs.",
        "session",
    ),
    Setting(
        "server_kind", one_of("time-skipping", "dev"), "time-skipping or dev", "time-skipping",
        "The kind of server that the fixtures use: the time-skipping test server, or the dev server with a clock of "
        "its own for each workflow.",
        "session",
    ),
    Setting(
        "virtual_time", flag, "true or false", False,
        "Run the activities of unmodified tests in virtual time too: their sleeps move the server's clock, and the "
        "server judges their heartbeats.",
        "session", flag=True,
    ),
    Setting(
        "report", report_files, "files that end in .json or .html", (),
        "Write all runs with their figures to FILE (.json or .html); may be given several times.",
        "session", ini="linelist",
    ),
)  # fmt: skip


# Set where the options of the guards are declared, and not only those of the whole run.
DECLARED = pytest.StashKey[bool]()


class Settings:
    """The settings of one pytest run.

    `of(setting, item)` gives the value for a test. Raises `pytest.UsageError` that names the place and what is allowed.
    """

    def __init__(
        self, config: pytest.Config, session: Iterable[Setting], more: Callable[[], Iterable[Setting]]
    ) -> None:
        """`session` are the settings of the whole run, `more` gives the others when they are first asked for."""
        self.config = config
        self._session: Mapping[str, Setting] = {each.key: each for each in session}
        self._more = more

    @cached_property
    def by_key(self) -> Mapping[str, Setting]:
        """Every setting by its key."""
        return {**self._session, **{each.key: each for each in self._more()}}

    def of(self, key: str, item: pytest.Item | None = None) -> Value:
        """The value in force for a test (None: for the whole run) and its origin."""
        setting = self._session.get(key) or self.by_key[key]
        if item is not None and setting.scope == "test":
            for mark in item.iter_markers(MARKER):
                if setting.key in mark.kwargs:
                    return self._parsed(setting, mark.kwargs[setting.key], f"the marker {MARKER}({setting.key}=...)")
        given = self.config.getoption(setting.name, default=None)
        if given is not None and given != []:
            return self._parsed(setting, given, f"{setting.option} on the command line")
        written = self.config.getini(setting.name) if self._is_declared(key) else None
        if written is not None and written != "" and written != []:
            return self._parsed(setting, written, f"{setting.name} in {self._ini_name()}")
        return Value(setting.default, "the default")

    def _is_declared(self, key: str) -> bool:
        return key in self._session or DECLARED in self.config.stash

    def check(self, item: pytest.Item | None = None) -> None:
        """Refuse what is wrong at once, and not when a guard first looks."""
        if item is None:
            asks = self.of("").value or DECLARED in self.config.stash
            for key in self.by_key if asks else self._session:
                self.of(key)
            return
        known = [key for key, each in self.by_key.items() if each.scope == "test"]
        for mark in item.iter_markers(MARKER):
            wrong = [each for each in mark.kwargs if each not in known]
            if mark.args or wrong:
                what = f"the keyword {wrong[0]!r}" if wrong else f"the argument {mark.args[0]!r}"
                raise pytest.UsageError(
                    f"{item.nodeid}: the marker {MARKER} does not take {what}; it takes the keywords "
                    f"{', '.join(known)}."
                )
        for key in known:
            self.of(key, item)

    def _parsed(self, setting: Setting, written: Any, origin: str) -> Value:
        try:
            return Value(setting.parse(written), origin)
        except (ValueError, TypeError, OverflowError):
            raise pytest.UsageError(f"{origin}: {written!r} is not allowed; write {setting.allowed}.") from None

    def _ini_name(self) -> str:
        path = self.config.inipath
        return path.name if path is not None else "the ini file"


class Limits:
    """The settings in force for one test, as guards ask for them: `limits["max_payload_bytes"].value`."""

    def __init__(self, settings: Settings, item: pytest.Item | None) -> None:
        self._settings, self._item = settings, item
        self._found: dict[str, Value] = {}

    def __getitem__(self, key: str) -> Value:
        if key not in self._found:
            self._found[key] = self._settings.of(key, self._item)
        return self._found[key]


def register(parser: pytest.Parser, settings: Iterable[Setting]) -> None:
    """Declare the options and ini values."""
    group = parser.getgroup("temporal-guard", "Temporal workflows: history, payloads, heartbeats, replay, idempotency")
    for setting in settings:
        default = f" Default: {shown(setting.default)}." if setting.default not in (None, (), False) else ""
        described = f"{setting.help}{default}".replace("%", "%%")
        if setting.flag:
            group.addoption(setting.option, dest=setting.name, action="store_true", default=None, help=described)
        else:
            repeated = setting.parse in (names, report_files)
            group.addoption(
                setting.option, dest=setting.name, default=None, help=described,
                action="append" if repeated else "store", metavar=_metavar(setting),
            )  # fmt: skip
        parser.addini(setting.name, f"{setting.help}{default}", type=setting.ini, default=None)  # type: ignore[arg-type]


def _metavar(setting: Setting) -> str:
    by_parser: dict[Any, str] = {level: "LEVEL", count: "N", number_of: "N", size: "BYTES", seconds: "SECONDS"}
    return by_parser.get(setting.parse, "FILE" if setting.key == "report" else "NAME")


def shown(value: Any) -> str:
    """A default as `--help` and the pages write it."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "_") if value >= 10_000 else f"{value:g}"
    return str(value)
