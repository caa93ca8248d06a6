"""The configuration: `[tool.temporal-lint]` of the nearest `pyproject.toml`, or a `temporal-lint.toml`.

Every key is declared once, as a field of Settings with its default, its JSON Schema and one sentence. The checking of
a file, the published schema and the documentation are all read from there.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

OUTPUT_FORMATS = ("full", "concise", "json", "sarif", "github")
_REPOSITORY = (".git", ".hg")
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", ".gitignore")
LEVELS = ("error", "warning", "info", "off")

Schema = Mapping[str, Any]


class ConfigError(Exception):
    """A configuration that cannot be used. The message is for people: file, key, what is allowed."""


def nearest(word: str, words: Sequence[str]) -> str:
    """A hint " Did you mean ...?" with the nearest of `words`, "" where none is near."""
    if same := next((one for one in words if one.casefold() == word.casefold()), None):
        return f" Did you mean `{same}`?"
    near = difflib.get_close_matches(word, words, n=len(words) or 1, cutoff=0.6)
    if not near:
        return ""

    def likeness(other: str) -> tuple[float, int]:
        # Codes of one length are often equally like; the one with most characters in their place is meant.
        in_place = sum(one == another for one, another in zip(word, other, strict=False))
        return difflib.SequenceMatcher(None, other, word).ratio(), in_place

    return f" Did you mean `{max((one for one in words if one in near), key=likeness)}`?"


def globs(patterns: Iterable[str], key: str) -> GitIgnoreSpec:
    """The matcher of globs as in .gitignore. Raises ConfigError for one that is none, naming the setting `key`."""
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise ConfigError(f"A glob of `{key}` cannot be used: {error}.") from None


def _key(default: Any, sentence: str, schema: Schema) -> Any:
    metadata = {"schema": {**schema, "description": sentence}}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


_STRING: Schema = {"type": "string", "minLength": 1}
_STRINGS: Schema = {"type": "array", "items": _STRING}
_BOOLEAN: Schema = {"type": "boolean"}
_PYTHON: Schema = {"type": "string", "pattern": r"\d+\.\d+", "examples": ["3.12"]}
_RELEASE: Schema = {"type": "string", "pattern": r"\d+(\.\d+)+", "examples": ["1.8.0"]}
_WORD_OR_INDEX: Schema = {"anyOf": [_STRING, {"type": "integer", "minimum": 0}]}


@dataclass(frozen=True)
class Wrapper:
    """A callable of the project or a library that calls an activity for its caller."""

    call: str = _key(MISSING, "The dotted name of the function or method.", _STRING)
    activity: str | int = _key(
        0, "Its parameter that is the activity, by name or index (without self).", _WORD_OR_INDEX
    )
    args: tuple[str | int, ...] | None = _key(
        None,
        "Its parameters, by name or index, that become the activity's arguments, in order; when absent, "
        "the positional arguments after the activity.",
        {"type": "array", "items": _WORD_OR_INDEX},
    )
    sets: tuple[str, ...] = _key((), "The options of the activity call that it sets itself.", _STRINGS)


def _object(shape: type, required: Sequence[str] = ()) -> Schema:
    properties = {_toml_name(one): one.metadata["schema"] for one in fields(shape)}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _toml_name(one: Field[Any]) -> str:
    return one.name.replace("_", "-")


PROFILES: Mapping[str, Mapping[str, Any]] = {
    # Atlan's application SDK: `@task` on a method of an `App` makes an activity of it, timeouts are its options.
    "atlan": {
        "activity-decorators": ["application_sdk.app.task.task", "application_sdk.app.task"],
    },
}


@dataclass(frozen=True)
class Settings:
    """What the configuration says; lists are tuples, tables are mappings."""

    select: tuple[str, ...] = _key(
        (),
        "The rules to run: codes, names, prefixes of codes or ALL; when empty, all errors and warnings.",
        _STRINGS,
    )
    ignore: tuple[str, ...] = _key((), "The rules not to run; the longest selector that fits a rule decides.", _STRINGS)
    extend_select: tuple[str, ...] = _key((), "Rules to run beside those of `select`.", _STRINGS)
    extend_ignore: tuple[str, ...] = _key((), "Rules not to run, beside those of `ignore`.", _STRINGS)
    severity: Mapping[str, str] = _key(
        {},
        "The level of a rule, by code or name; `off` turns it off.",
        {"type": "object", "additionalProperties": {"type": "string", "enum": list(LEVELS)}},
    )
    per_file_ignores: Mapping[str, tuple[str, ...]] = _key(
        {},
        "For each glob (as in .gitignore, from the project's root): the rules not to report in those files.",
        {"type": "object", "additionalProperties": _STRINGS},
    )
    exclude: tuple[str, ...] = _key(
        (
            ".git",
            ".hg",
            ".svn",
            ".venv",
            "venv",
            ".tox",
            ".nox",
            ".eggs",
            ".mypy_cache",
            ".pytest_cache",
            ".ruff_cache",
            ".hypothesis",
            "__pycache__",
            "__pypackages__",
            "node_modules",
            "site-packages",
            "build",
            "dist",
        ),
        "Globs (as in .gitignore) of files and directories not to look at.",
        _STRINGS,
    )
    extend_exclude: tuple[str, ...] = _key((), "Globs to exclude beside those of `exclude`.", _STRINGS)
    respect_gitignore: bool = _key(True, "Leave out what .gitignore names.", _BOOLEAN)
    src: tuple[str, ...] = _key((), "Directories, from the project's root, that imports start from.", _STRINGS)
    python_version: str | None = _key(
        None, "The oldest Python that the project runs on; when absent, what its own files say.", _PYTHON
    )
    sdk_version: str | None = _key(
        None, "The release of temporalio that the project uses; when absent, what its lock file or pin says.", _RELEASE
    )
    max_payload_bytes: int = _key(
        200 * 1024,
        "The encoded size of a payload, in bytes, above which it is reported.",
        {"type": "integer", "minimum": 1},
    )
    default_timeout_seconds: int = _key(
        60, "The start_to_close_timeout, in seconds, that a fix inserts.", {"type": "integer", "minimum": 1}
    )
    require_suppression_reason: bool = _key(False, "A suppression comment must give its reason.", _BOOLEAN)
    sql_dialect: str | None = _key(
        None, "The SQL dialect, as sqlglot names it; when absent it is guessed from the imports.", _STRING
    )
    sql_execute: tuple[str, ...] = _key(
        (), "More functions that execute SQL: dotted names, or bare names of methods.", _STRINGS
    )
    rules: tuple[str, ...] = _key(
        (), "Files with rules of your own, from the directory of the configuration.", _STRINGS
    )
    wrappers: tuple[Wrapper, ...] = _key(
        (),
        "Callables that call an activity for their caller.",
        {"type": "array", "items": _object(Wrapper, ["call"])},
    )
    activity_decorators: tuple[str, ...] = _key(
        (), "Dotted names of decorators that make an activity, beside activity.defn.", _STRINGS
    )
    workflow_decorators: tuple[str, ...] = _key(
        (), "Dotted names of decorators that make a workflow, beside workflow.defn.", _STRINGS
    )
    run_decorators: tuple[str, ...] = _key(
        (), "Dotted names of decorators that mark a run method, beside workflow.run.", _STRINGS
    )
    profiles: tuple[str, ...] = _key(
        (),
        "Built-in descriptions of wrappers and decorators of a library.",
        {"type": "array", "items": {"type": "string", "enum": sorted(PROFILES)}},
    )
    output_format: str = _key("full", "How findings are printed.", {"type": "string", "enum": list(OUTPUT_FORMATS)})


@dataclass(frozen=True)
class Configuration:
    """Settings and where they come from: `root` is the project's root, `file` is None where no file was found."""

    settings: Settings
    root: Path
    file: Path | None = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the table, every key with its default and its sentence."""
    schema: dict[str, Any] = dict(_object(Settings))
    schema["properties"] = {
        _toml_name(one): {**one.metadata["schema"], **_json_default(default(one))} for one in fields(Settings)
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "temporal-lint", **schema}


def _json_default(value: Any) -> dict[str, Any]:
    return {} if value is None else {"default": list(value) if isinstance(value, tuple) else value}


def default(one: Field[Any]) -> Any:
    """The default of a key."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def parse(table: Mapping[str, Any], where: str) -> Settings:
    """Settings of a table; `where` names its file in a ConfigError. Profiles come first, so lists add to them."""
    values = _checked(table, _object(Settings), where, "")
    merged: dict[str, Any] = {}
    for profile in values.get("profiles", ()):
        for key, items in PROFILES[profile].items():
            merged[key] = (*merged.get(key, ()), *_checked(items, _object(Settings)["properties"][key], where, key))
    for key, value in values.items():
        merged[key] = (*merged[key], *value) if key in merged else value
    return Settings(**{key.replace("-", "_"): value for key, value in merged.items()})


def _checked(value: Any, schema: Schema, where: str, key: str) -> Any:
    """`value` with lists as tuples and wrapper tables as Wrapper; ConfigError where it does not fit `schema`."""
    if "anyOf" in schema:
        kinds = [one["type"] for one in schema["anyOf"]]
        chosen = next((one for one in schema["anyOf"] if _is(value, one["type"])), None)
        if chosen is None:
            raise ConfigError(f"{where}: `{key}` must be {' or '.join(map(_article, kinds))}, not {_shown(value)}.")
        return _checked(value, chosen, where, key)
    kind = schema["type"]
    if not _is(value, kind):
        raise ConfigError(f"{where}: `{key}` must be {_article(kind)}, not {_shown(value)}.")
    if kind == "array":
        return tuple(_checked(item, schema["items"], where, f"{key}[{n}]") for n, item in enumerate(value))
    if kind == "object":
        return _checked_table(value, schema, where, key)
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        hint = nearest(value, allowed)
        raise ConfigError(f"{where}: `{key}` is {_shown(value)}; it must be one of {', '.join(allowed)}.{hint}")
    if "minimum" in schema and value < schema["minimum"]:
        raise ConfigError(f"{where}: `{key}` is {value}; it must be at least {schema['minimum']}.")
    if "minLength" in schema and not value:
        raise ConfigError(f"{where}: `{key}` must not be empty.")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise ConfigError(f"{where}: `{key}` is {_shown(value)}; it must look like `{schema['examples'][0]}`.")
    return value


def _checked_table(table: Mapping[str, Any], schema: Schema, where: str, key: str) -> Any:
    inside = f"{key}." if key else ""
    properties = schema.get("properties")
    if properties is None:
        rest = schema["additionalProperties"]
        return {name: _checked(value, rest, where, f"{inside}{name}") for name, value in table.items()}
    for name in table:
        if name not in properties:
            hint = nearest(name, list(properties)) or f" Known keys: {', '.join(properties)}."
            raise ConfigError(f"{where}: there is no key `{inside}{name}`.{hint}")
    for name in schema["required"]:
        if name not in table:
            raise ConfigError(f"{where}: `{inside}{name}` is missing.")
    checked = {name: _checked(value, properties[name], where, f"{inside}{name}") for name, value in table.items()}
    return Wrapper(**checked) if key.startswith("wrappers[") else checked


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": (list, tuple),
    "object": Mapping,
}


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _article(kind: str) -> str:
    words = {"string": "a string", "integer": "a whole number", "boolean": "true or false", "array": "a list"}
    return words.get(kind, "a table")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if isinstance(value, str) else repr(value)


def load(start: Path, explicit: Path | None = None, isolated: bool = False) -> Configuration:
    """The configuration for files below the directory `start`, an absolute path.

    The root is the directory of the nearest file with our table, else the nearest repository, else (a copy without
    its history, as in an image) the nearest directory that looks like the top of a project, else `start`. An
    `explicit` file gives settings only; `isolated` reads no file. Raises ConfigError.
    """
    own = next(_tables(start), None) if not isolated else None
    root = own[0].parent if own else _nearest(start, _REPOSITORY) or _nearest(start, _PROJECT) or start
    if explicit is not None and not isolated:
        return Configuration(parse(_table(explicit, must_be_ours=True) or {}, str(explicit)), root, explicit)
    if own is None:
        return Configuration(Settings(), root)
    return Configuration(parse(own[1], str(own[0])), root, own[0])


def _tables(start: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for directory in (start, *start.parents):
        for name in ("temporal-lint.toml", "pyproject.toml"):
            file = directory / name
            if file.is_file() and (table := _table(file, must_be_ours=name == "temporal-lint.toml")) is not None:
                yield file, table


def _table(file: Path, must_be_ours: bool) -> Mapping[str, Any] | None:
    """Our table of a file. None where a pyproject.toml, or a broken file that need not be ours, has none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if file.exists() and not file.is_file():
        # reading a pipe would wait for a writer
        kind = "a directory" if file.is_dir() else "no regular file"
        raise ConfigError(f"{file}: the file cannot be read: it is {kind}.")
    try:
        data = file.read_bytes()
        if not must_be_ours and b"temporal-lint" not in data:
            return None
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: the file cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}."
        ) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: the file is not valid TOML: {error}.") from None
    tools = document.get("tool", {})
    table: Mapping[str, Any] | None = tools.get("temporal-lint") if isinstance(tools, dict) else None
    if table is None and file.name != "pyproject.toml" and must_be_ours:
        return dict(document)
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{file}: `tool.temporal-lint` must be a table.")
    return table


def _nearest(start: Path, marks: Sequence[str]) -> Path | None:
    """The nearest directory from `start` upwards that holds one of `marks`."""
    return next((one for one in (start, *start.parents) if any((one / mark).exists() for mark in marks)), None)


def override(settings: Settings, **values: Any) -> Settings:
    """`settings` with what the command line gave; None and empty tuples mean "not given".

    `select` on the command line sets aside what the file selects and ignores: it names what to run now.
    """
    given = {key: value for key, value in values.items() if value not in (None, ())}
    if "select" in given:
        settings = replace(settings, extend_select=(), ignore=(), extend_ignore=())
    return replace(settings, **given)
