"""The flow of a run, from paths to a Result: discover, reach, gather, join, judge, silence."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporal_lint import config, engine, graph, rules, sql, target
from temporal_lint.config import ConfigError, Configuration, Settings
from temporal_lint.discover import Discovered, common_root, discover
from temporal_lint.report import Result
from temporal_lint.rule import Diagnostic
from temporal_lint.source import UTF16, Source, SourceError
from temporal_lint.suppress import Silencer

if TYPE_CHECKING:
    from temporal_lint.facts import Module


@dataclass(frozen=True)
class Request:
    """What to check and how. `paths` are absolute, and none means `directory`.

    `stdin` is the content of the one file in `paths`, in place of what the disk holds. `overrides` are settings of
    the command line, by field of Settings.
    """

    directory: Path
    paths: tuple[Path, ...] = ()
    stdin: bytes | None = None
    config: Path | None = None
    isolated: bool = False
    force_exclude: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)


def configure(request: Request) -> tuple[Configuration, engine.Selection]:
    """The configuration and the rules of a run. Raises ConfigError."""
    paths = request.paths or (request.directory,)
    found = config.load(common_root(paths), request.config, request.isolated)
    settings = config.override(found.settings, **request.overrides)
    start = found.file.parent if found.file else found.root
    known = rules.load([start / path for path in settings.rules])
    try:
        engine.select(known, found.settings)
        if found.settings.sql_dialect is not None:
            _check_dialect(found.settings.sql_dialect)
    except ConfigError as error:
        raise ConfigError(f"{found.file}: {error}") from None
    return Configuration(target.completed(settings, found.root), found.root, found.file), engine.select(known, settings)


def _check_dialect(name: str) -> None:
    """ConfigError where sqlglot knows no such dialect; only a configuration that names one pays for the import."""
    known = sql.dialects()
    if name.lower() not in known:
        raise ConfigError(
            f"`sql-dialect` is `{name}`; it must be one of {', '.join(known)}.{config.nearest(name, known)}"
        )


def find_files(request: Request, configuration: Configuration) -> Discovered:
    """The files of a run."""
    paths = request.paths or (request.directory,)
    if request.stdin is not None:
        found = discover([], configuration.root, configuration.settings)
        return Discovered(list(paths), sorted({*found.project, *paths}), set(paths), found.notes)
    return discover(paths, configuration.root, configuration.settings, request.force_exclude)


def check(request: Request, configuration: Configuration, selection: engine.Selection) -> Result:
    """Run the rules. Whatever is wrong with a single file is a finding, a note or a trouble."""
    found = find_files(request, configuration)
    with _without_collector():
        return _check(request, configuration, selection, found)


def _check(request: Request, configuration: Configuration, selection: engine.Selection, found: Discovered) -> Result:
    settings, root = configuration.settings, configuration.root
    reader = _Reader({request.paths[0]: request.stdin} if request.stdin is not None else {})
    troubles = list(found.troubles)

    index = graph.ModuleIndex(found.project, root, settings.src)
    reach = graph.reach(index, reader.read, _libraries(settings))
    wanted = sorted({*reach.files, *found.named, *reader.failed})

    checked = set(found.checked)
    sources: dict[str, Source] = {}
    diagnostics: dict[Path, list[Diagnostic]] = {}
    modules: list[Module] = []
    for path in wanted if reach.users or found.named or reader.failed else ():
        try:
            modules.append(_gather(reader.source(path), index.names[path], index))
        except SourceError as error:
            if path in checked and selection.is_active(engine.SYNTAX_ERROR):
                sources[str(path)] = reader.fallback(path)
                diagnostics[path] = [_syntax_error(sources[str(path)], error, selection)]
        except Exception as error:
            troubles.append(engine.blame(f"{path} could not be looked at", error))

    if modules and reach.users:
        from temporal_lint.project import Project

        known = set(wanted)
        beside = [each for each in reach.beside if each not in known and not graph.is_test(each, index.names[each])]
        project = Project(modules, settings, index.find, partial(graph.written_names, beside, reader.read))
        for module in modules:
            if module.source.path in checked:
                sources[str(module.source.path)] = module.source
                diagnostics[module.source.path] = engine.diagnose(project, module, selection, troubles)
    silencer = Silencer(selection, settings)
    return Result(
        diagnostics=[
            one
            for path in sorted(diagnostics)
            for one in silencer.silence(sources[str(path)], _relative(path, root), diagnostics[path])
        ],
        rules=selection.active,
        root=root,
        files=len(found.checked),
        notes=found.notes,
        troubles=troubles,
        sources=sources,
    )


class _Reader:
    """Reads files, standard input in place of one of them.

    `failed` are those that the disk refused, and those in UTF-16, whose imports nobody can read.
    """

    def __init__(self, given: Mapping[Path, bytes]) -> None:
        self.given = given
        self.failed: set[Path] = set()

    def read(self, path: Path) -> bytes:
        """The bytes of a file; OSError where they cannot be had."""
        try:
            data = self.given[path] if path in self.given else path.read_bytes()
        except OSError:
            self.failed.add(path)
            raise
        if data.startswith(UTF16):
            self.failed.add(path)
        return data

    def source(self, path: Path) -> Source:
        """A file as text; SourceError where that is impossible."""
        return Source.decode(path, self.given[path]) if path in self.given else Source.read(path)

    def fallback(self, path: Path) -> Source:
        """A file that is no proper text, as far as it can be shown."""
        try:
            return Source(path, self.read(path).decode("utf-8", "replace").removeprefix("\ufeff"))
        except OSError:
            return Source(path, "")


def _gather(source: Source, name: str, index: graph.ModuleIndex) -> Module:
    from temporal_lint.facts import gather

    return gather(source, name, name in index.packages)


def _syntax_error(source: Source, error: SourceError, selection: engine.Selection) -> Diagnostic:
    rule = next(rule for rule in selection.active if rule.code == engine.SYNTAX_ERROR)
    return Diagnostic(
        code=rule.code,
        name=rule.name,
        severity=selection.levels.get(rule.code, rule.severity),
        message=error.message,
        advice="Nothing in this file was checked; correct it, or exclude it.",
        path=str(source.path),
        row=error.line,
        column=error.column,
        end_row=error.line,
        end_column=error.column + 1,
        lines=(source.line(error.line),) if source.text else (),
    )


def _libraries(settings: Settings) -> set[str]:
    """The top-level packages that the configuration says to wrap Temporal."""
    names: Sequence[str] = (
        *(wrapper.call for wrapper in settings.wrappers),
        *settings.activity_decorators,
        *settings.workflow_decorators,
        *settings.run_decorators,
    )
    return {name.partition(".")[0] for name in names}


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix().lstrip("/")


@contextmanager
def _without_collector() -> Iterator[None]:
    """Trees have no garbage cycles worth looking for, and looking costs up to 40 % of the time."""
    if sys.flags.interactive or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
