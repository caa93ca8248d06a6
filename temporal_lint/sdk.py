"""What the linter knows of the Temporal SDK: signatures, names, options, deprecations; never imports `temporalio`.

The tables in `data/` are generated (`tools/sdk_tables.py`, `tools/sdk_history.py`) and read at the first question.
Every question takes the dotted name that users write, `temporalio.workflow.execute_activity`; where one object is
reachable under several names, any of them will do. None always means: the tables do not know, so stay silent.

Shape of `sdk.json`: `functions` {dotted: {kind, params: [[name, kind, required]], returns, async?, awaitable?}},
`classes` {dotted: {attributes: {name: annotation}, bases, members?, dataclass?, open?}}, `modules` {dotted: [public
names, private names]}, `unread` modules that exist and are not described, `aliases` {dotted: canonical dotted},
`options` {dotted: {names, durations, retry_policies}}, `none_returning` [dotted], `deprecated` {dotted or
dotted:parameter: {advice, rename?, uncall?}}, `restricted` {dotted: [when, how]}, and the `version` and the `python`
that were read. Shape of `sdk_history.json`: `releases` read, and `names` {dotted or dotted:parameter: [first release
or "", first release without it or ""]}; what came or went together with its module, class or function is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

ParameterKind = Literal["po", "pos", "var", "kw", "varkw"]

_DATA = Path(__file__).parent / "data"

# Packages to which other distributions add modules (`temporalio.openai_agents`).
_EXTENDED = ("temporalio", "temporalio.contrib")

# Bases outside the SDK that give a class no public attribute.
_BARE_BASES = frozenset({"Generic", "Protocol", "ABC", "object"})


@dataclass(frozen=True)
class Parameter:
    """One parameter of a signature.

    "po" is positional only, "pos" positional or keyword, "var" `*args`, "kw" keyword only, "varkw" `**kwargs`.
    """

    name: str
    kind: ParameterKind
    required: bool


@dataclass(frozen=True)
class Binding:
    """What Python would say of a call: all empty where the call fits."""

    surplus: int = 0
    unexpected: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the call raises no TypeError."""
        return not (self.surplus or self.unexpected or self.repeated or self.missing)


@dataclass(frozen=True)
class Signature:
    """A callable of the SDK as the caller sees it, without `self` or `cls`.

    `returns` is the annotation with dotted names, after awaiting where `is_coroutine`; "" where there is none.
    `is_awaitable` says that a plain call gives a task or another awaitable (`workflow.start_activity`).
    """

    dotted: str
    kind: Literal["function", "method", "classmethod", "staticmethod", "property"]
    parameters: tuple[Parameter, ...]
    returns: str
    is_coroutine: bool
    is_awaitable: bool
    returns_none: bool

    @cached_property
    def keywords(self) -> tuple[str, ...]:
        """The names that may be given by keyword, in the order of the signature."""
        return tuple(each.name for each in self.parameters if each.kind in ("pos", "kw"))

    @property
    def positional_limit(self) -> int | None:
        """How many arguments may be positional; None where any number may."""
        if any(each.kind == "var" for each in self.parameters):
            return None
        return sum(each.kind in ("po", "pos") for each in self.parameters)

    def accepts_keyword(self, name: str) -> bool:
        """Whether `name=` raises no TypeError."""
        return name in self.keywords or any(each.kind == "varkw" for each in self.parameters)

    def bind(
        self, positional: int, keywords: Iterable[str], *, more_positional: bool = False, more_keywords: bool = False
    ) -> Binding:
        """What is wrong with a call of that many positional arguments and those keywords.

        `more_positional` and `more_keywords` say that the call has a `*splat` or a `**splat` of unknown content:
        then nothing is reported as missing.
        """
        given = tuple(keywords)
        limit = self.positional_limit
        ordered = [each for each in self.parameters if each.kind in ("po", "pos")]
        filled = {each.name for each in ordered[:positional] if each.kind == "pos"}
        reached = {each.name for each in ordered[:positional]} | set(given)
        is_open = more_positional or more_keywords
        return Binding(
            surplus=max(0, positional - limit) if limit is not None else 0,
            unexpected=tuple(name for name in given if not self.accepts_keyword(name)),
            repeated=tuple(name for name in given if name in filled),
            missing=()
            if is_open
            else tuple(each.name for each in self.parameters if each.required and each.name not in reached),
        )


@dataclass(frozen=True)
class ClassInfo:
    """A class of the SDK. `attributes` maps public attributes and properties to their annotation, "" for none.

    `bases` are dotted, bare for builtins and typing; `members` are those of an enumeration, in order. `is_open` says
    that it answers for any attribute (`__getattr__`).
    """

    dotted: str
    bases: tuple[str, ...]
    attributes: Mapping[str, str]
    members: tuple[str, ...]
    is_dataclass: bool
    is_open: bool


@dataclass(frozen=True)
class Options:
    """Keyword options of a call, or keys of a TypedDict.

    `durations` must be a timedelta, `retry_policies` a RetryPolicy; both may also hold what callers pass by position.
    """

    names: frozenset[str]
    durations: frozenset[str]
    retry_policies: frozenset[str]


@dataclass(frozen=True)
class Deprecation:
    """`advice` is one sentence. `rename` is the new dotted name where nothing else changes.

    With `uncall`, the new name is the value that the old one had to be called for.
    """

    advice: str
    rename: str | None
    uncall: bool


@dataclass(frozen=True)
class History:
    """Releases of a name: `since` the first that has it, `removed` the first without it, of the releases read.

    None: it was there in the oldest release read; it is still there in the newest. Only some releases are read
    (`releases()`), so the change may have come one earlier.
    """

    since: str | None
    removed: str | None


@dataclass(frozen=True)
class Restriction:
    """What the sandbox does about a dotted name, or about all names below it (`os.*`).

    "access" refuses to touch it, "use" to call it, "warn" warns of a call, "allowed" is an exception from a `*`.
    `at_runtime`: only while a workflow runs, not while its module is imported.
    """

    how: Literal["use", "access", "warn", "allowed"]
    at_runtime: bool


def version() -> str:
    """The release of the SDK that the tables describe."""
    return str(_table()["version"])


def python() -> str:
    """The release of Python ("3.11") that the tables were read with."""
    return str(_table()["python"])


def modules() -> frozenset[str]:
    """The public modules that the tables describe."""
    return frozenset(_table()["modules"])


def functions() -> Iterator[str]:
    """The canonical dotted names of all functions and methods, constructors as `Class.__init__`."""
    return iter(_table()["functions"])


def names(owner: str) -> frozenset[str]:
    """The public names of a module, or of a class with what it inherits from the SDK; empty if unknown."""
    table = _table()
    if owner in table["modules"]:
        return frozenset(table["modules"][owner][0])
    lineage = list(_lineage(owner))
    found = {dotted.rpartition(".")[2] for dotted in table["functions"] if dotted.rpartition(".")[0] in lineage}
    for each in lineage:
        found.update(table["classes"][each]["attributes"], table["classes"][each].get("members", ()))
    return frozenset(name for name in found if not name.startswith("_"))


def classes() -> Iterator[str]:
    """The canonical dotted names of all classes."""
    return iter(_table()["classes"])


def is_subclass(class_dotted: str, base_dotted: str) -> bool:
    """Whether a class of the SDK is, or inherits from, another one."""
    return canonical(base_dotted) in _lineage(class_dotted)


@cache
def canonical(dotted: str) -> str:
    """The one name of what `dotted` means, also for members (`module.Alias.member`); the name itself if unknown."""
    aliases: dict[str, str] = _table()["aliases"]
    head, tail = dotted, ""
    while head:
        if head in aliases:
            return aliases[head] + tail
        head, dot, last = head.rpartition(".")
        tail = dot + last + tail
    return dotted


@cache
def exists(module: str, attribute: str) -> bool | None:
    """Whether `from module import attribute` works; None where the tables do not describe the module.

    Private names count: what exists but starts with an underscore exists.
    """
    table = _table()
    if f"{module}.{attribute}" in table["unread"] or f"{module}.{attribute}" in table["modules"]:
        return True
    if attribute.startswith("__"):
        return None
    if module in _EXTENDED and attribute.islower():
        return None
    if module not in table["modules"]:
        return None
    return any(attribute in names for names in table["modules"][module])


@cache
def signature(dotted: str) -> Signature | None:
    """The signature of a function, of a method (inherited ones too), or of a class's constructor."""
    dotted = canonical(dotted)
    if dotted in _table()["classes"]:
        return method(dotted, "__init__")
    if dotted in _table()["functions"]:
        return _signature(dotted)
    owner, _, name = dotted.rpartition(".")
    return method(owner, name) if owner in _table()["classes"] else None


@cache
def method(class_dotted: str, name: str) -> Signature | None:
    """A method or property of a class or of its bases."""
    found = next((each for each in _lineage(class_dotted) if f"{each}.{name}" in _table()["functions"]), None)
    return _signature(f"{found}.{name}") if found else None


@cache
def class_info(dotted: str) -> ClassInfo | None:
    """A class by its dotted name, without what it inherits."""
    dotted = canonical(dotted)
    if (entry := _table()["classes"].get(dotted)) is None:
        return None
    return ClassInfo(
        dotted,
        tuple(entry["bases"]),
        entry["attributes"],
        tuple(entry.get("members", ())),
        bool(entry.get("dataclass")),
        bool(entry.get("open")),
    )


def attribute_type(class_dotted: str, name: str) -> str | None:
    """The annotation of an attribute or property of a class or of its bases."""
    for each in _lineage(class_dotted):
        if found := _table()["classes"][each]["attributes"].get(name):
            return str(found)
    return None


@cache
def class_has(class_dotted: str, name: str) -> bool | None:
    """Whether a class or its instances have a public attribute; None where a base outside the SDK may give it."""
    lineage = list(_lineage(class_dotted))
    if not lineage or name.startswith("_"):
        return None
    table = _table()
    for each in lineage:
        entry = table["classes"][each]
        if name in entry["attributes"] or name in entry.get("members", ()) or f"{each}.{name}" in table["functions"]:
            return True
    if any("open" in table["classes"][each] for each in lineage):
        return None
    if any("members" in table["classes"][each] for each in lineage) and name.isupper():
        return False
    bases = {base for each in lineage for base in table["classes"][each]["bases"]}
    return False if bases <= _BARE_BASES | set(lineage) else None


@cache
def options(dotted: str) -> Options | None:
    """The options of a call, a constructor or a TypedDict; None where there is no duration and no retry policy."""
    dotted = canonical(dotted)
    table = _table()["options"]
    if (entry := table.get(dotted)) is None:
        found = signature(dotted)
        entry = table.get(found.dotted) if found else None
    if entry is None:
        return None
    return Options(frozenset(entry["names"]), frozenset(entry["durations"]), frozenset(entry["retry_policies"]))


@cache
def deprecated(dotted: str, parameter: str | None = None, release: tuple[int, ...] | None = None) -> Deprecation | None:
    """Whether the SDK calls a name, or a parameter of a callable, deprecated; to a project on an older `release` only
    where what the advice names is there already."""
    dotted = canonical(dotted)
    if parameter is not None:
        found = signature(dotted)
        dotted = f"{found.dotted if found else dotted}:{parameter}"
    if (entry := _table()["deprecated"].get(dotted)) is None:
        return None
    if release is not None and not _has_successor(dotted, entry.get("rename") or entry["advice"], release):
        return None
    return Deprecation(entry["advice"], entry.get("rename"), bool(entry.get("uncall")))


def _has_successor(dotted: str, advice: str, release: tuple[int, ...]) -> bool:
    """Whether a release has the dotted name that is the advice, or all names that it puts between backticks, as far as
    the history tells."""
    names = _history()["names"]
    if " " not in advice:
        return _numbers(names.get(advice, ("",))[0]) <= release
    owner = re.split(r"[.:](?=\w+$)", dotted)[0]
    for word in re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", advice))):
        own = [key for key in (f"{owner}.{word}", f"{owner}:{word}") if key in names]
        keys = own or [key for key in names if key.endswith((f".{word}", f":{word}"))]
        added = [_numbers(names[key][0]) for key in keys]
        if added and min(added) > release:
            return False
    return True


def _numbers(release: str) -> tuple[int, ...]:
    """A release as numbers that compare; () of "", which is older than all."""
    return tuple(int(part) for part in release.split(".")) if release else ()


def history(dotted: str, parameter: str | None = None) -> History | None:
    """When a module, a name, a class member or a parameter of a callable came and went.

    None where the releases read neither added nor removed it: it was always there, or never.
    """
    names = _history()["names"]
    for name in (dotted, canonical(dotted)):
        keys = [name] if parameter is None else [f"{name}:{parameter}", f"{name}.__init__:{parameter}"]
        if key := next((each for each in keys if each in names), None):
            since, removed = names[key]
            return History(since or None, removed or None)
    return None


def had(release: tuple[int, ...] | None, dotted: str, parameter: str | None = None) -> bool:
    """Whether `release` had, or may have had, a name or a parameter that the tables' release has not.

    What left between two releases that were read counts as there, and so does a private name: nobody recorded those.
    A release with features newer than the tables' may have anything.
    """
    if release is None:
        return False
    tables = _numbers(version())
    if release[:2] > tables[:2]:
        return True
    if release >= tables:
        return False
    if parameter is None and dotted.rpartition(".")[2].startswith("_"):
        return True
    past = history(dotted, parameter)
    return past is not None and past.removed is not None and release < _numbers(past.removed)


def releases() -> tuple[str, ...]:
    """The releases that `history` knows, oldest first."""
    return tuple(_history()["releases"])


@cache
def restricted() -> Mapping[str, Restriction]:
    """What the sandbox refuses by default, by dotted name; builtins under `__builtins__`."""
    return {name: Restriction(how, when == "runtime") for name, (when, how) in _table()["restricted"].items()}


def _lineage(class_dotted: str) -> Iterator[str]:
    """A class and the SDK classes it inherits from, nearest first."""
    classes = _table()["classes"]
    waiting, seen = [canonical(class_dotted)], set()
    while waiting:
        dotted = waiting.pop(0)
        if dotted in classes and dotted not in seen:
            seen.add(dotted)
            yield dotted
            waiting.extend(classes[dotted]["bases"])


@cache
def _signature(dotted: str) -> Signature:
    entry = _table()["functions"][dotted]
    return Signature(
        dotted,
        entry["kind"],
        tuple(Parameter(name, kind, bool(required)) for name, kind, required in entry["params"]),
        entry["returns"],
        "async" in entry,
        "awaitable" in entry,
        dotted in _none_returning(),
    )


@cache
def _none_returning() -> frozenset[str]:
    return frozenset(_table()["none_returning"])


@cache
def _table() -> dict[str, Any]:
    return _load("sdk.json")


@cache
def _history() -> dict[str, Any]:
    return _load("sdk_history.json")


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_DATA / name).read_text(encoding="utf-8"))
    return loaded
