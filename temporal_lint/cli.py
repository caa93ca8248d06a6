"""The command line. What takes long to import is imported by the command that needs it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from temporal_lint import __version__
from temporal_lint.config import OUTPUT_FORMATS, ConfigError

if TYPE_CHECKING:
    from temporal_lint.report import Result
    from temporal_lint.report.text import Style
    from temporal_lint.rule import Diagnostic
    from temporal_lint.run import Request

Command = TypeVar("Command", bound=Callable[..., None])

FINDINGS, TROUBLE = 1, 2
PIPE_WIDTH = 120


def main() -> None:
    """Run a command. Exit code 0: clean, 1: findings, 2: trouble, told in one sentence."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        commands(prog_name="temporal-lint")
    except ConfigError as error:
        _complain(str(error))
        sys.exit(TROUBLE)
    except OSError as error:
        # a full disk behind standard output, a working directory that is gone
        _complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
        _drop_output()
        sys.exit(TROUBLE)
    except Exception as error:
        if os.environ.get("TEMPORAL_LINT_DEBUG"):
            raise
        _complain(
            f"temporal-lint itself failed: {type(error).__name__}: {error}. This is a bug; please report it with what "
            "TEMPORAL_LINT_DEBUG=1 prints."
        )
        sys.exit(TROUBLE)


def _drop_output() -> None:
    """Forget what standard output does not take: Python would try again at its end, and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    click.echo(f"temporal-lint: {text}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="temporal-lint")
def commands() -> None:
    """Find mistakes in code on the Temporal Python SDK, over the whole project."""


_SELECTORS = (
    ("--select", "Run these rules (codes, names, prefixes, ALL) in place of those the configuration selects."),
    ("--extend-select", "Run these rules too."),
    ("--ignore", "Do not run these rules."),
    ("--extend-ignore", "Do not run these rules either."),
)


def _selectors(command: Command) -> Command:
    for name, text in reversed(_SELECTORS):
        command = click.option(name, multiple=True, metavar="RULES", help=text)(command)
    return command


def _paths(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Path, ...]:
    # Path("") would be this directory, and an empty variable of a script would check all of it
    if "" in values:
        raise click.BadParameter("a path is empty.")
    return tuple(map(Path, values))


@commands.command(short_help="Check files and directories.")
@click.argument("paths", nargs=-1, type=click.Path(allow_dash=True), callback=_paths)
@_selectors
@click.option("--per-file-ignores", multiple=True, metavar="GLOB:RULES", help="Ignore rules in files; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these files too; repeatable.")
@click.option("--force-exclude", is_flag=True, help="Leave out excluded files even when they are named.")
@click.option("--no-gitignore", is_flag=True, help="Look at files that .gitignore names.")
@click.option("--output-format", type=click.Choice(OUTPUT_FORMATS), help="How to print findings.")
@click.option("--output", multiple=True, metavar="FORMAT:FILE", help="Write findings to a file as well; repeatable.")
@click.option("--statistics", is_flag=True, help="Print how often each rule was found, not the findings.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even when there are findings.")
@click.option("-q", "--quiet", is_flag=True, help="Print findings only.")
@click.option("--show-files", is_flag=True, help="Print the files that would be checked, and stop.")
@click.option("--show-settings", is_flag=True, help="Print the settings and where they come from, and stop.")
@click.option("--show-suppressed", is_flag=True, help="Print suppressed findings as well.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Take the settings from this file.")
@click.option("--isolated", is_flag=True, help="Read no configuration file.")
@click.option("--stdin-filename", type=click.Path(path_type=Path), help="The path of what `-` reads.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="When to use colours.")
def check(paths: tuple[Path, ...], output: tuple[str, ...], color: str, **options: Any) -> None:
    """Check the files in PATHS (default: this directory; `-`: standard input).

    The whole project around them is read; only findings in PATHS are reported.
    """
    from temporal_lint import run

    request = _request(paths, options)
    if options["show_files"] or options["show_settings"]:
        _show(request, options["show_settings"])
        return
    targets = [_target(one) for one in output]
    configuration, selection = run.configure(request)
    result = run.check(request, configuration, selection)
    shown = list(result.diagnostics) if options["show_suppressed"] else result.live
    format_name = options["output_format"] or configuration.settings.output_format
    _print(result, shown, format_name, color, options["statistics"], options["quiet"])
    for name, file in targets:
        text = _rendered(result, shown, name, _style(Path.cwd(), "never"))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}.") from None
    for trouble in result.troubles:
        _complain(trouble)
    if result.troubles:
        sys.exit(TROUBLE)
    if result.live and not options["exit_zero"]:
        sys.exit(FINDINGS)


def _request(paths: tuple[Path, ...], options: dict[str, Any]) -> Request:
    from temporal_lint.run import Request

    here = Path.cwd()
    stdin = None
    if Path("-") in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` reads standard input and stands alone.")
        if sys.stdin is None:
            raise click.UsageError("`-` reads standard input, which is closed.")
        paths = (options["stdin_filename"] or Path("stdin.py"),)
        if paths[0].is_dir():
            raise click.UsageError(f"--stdin-filename names a file, and `{paths[0]}` is a directory.")
        stdin = sys.stdin.buffer.read()
    elif options["stdin_filename"]:
        raise click.UsageError("--stdin-filename goes with the path `-`.")
    return Request(
        directory=here,
        paths=tuple(Path(os.path.abspath(path)) for path in paths),
        stdin=stdin,
        config=options["config"],
        isolated=options["isolated"],
        force_exclude=options["force_exclude"],
        overrides={
            "select": _words(options["select"]),
            "extend_select": _words(options["extend_select"]),
            "ignore": _words(options["ignore"]),
            "extend_ignore": _words(options["extend_ignore"]),
            "extend_exclude": _words(options["exclude"]),
            "per_file_ignores": _per_file(options["per_file_ignores"]),
            "respect_gitignore": False if options["no_gitignore"] else None,
        },
    )


def _words(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _per_file(values: Iterable[str]) -> dict[str, tuple[str, ...]] | None:
    table: dict[str, tuple[str, ...]] = {}
    for value in values:
        glob, colon, selectors = value.rpartition(":")
        if not colon or not glob or not selectors:
            raise click.UsageError(f"--per-file-ignores takes GLOB:RULES, not `{value}`.")
        table[glob] = (*table.get(glob, ()), *_words([selectors]))
    return table or None


def _target(value: str) -> tuple[str, Path]:
    name, colon, file = value.partition(":")
    if not colon or not file or name not in OUTPUT_FORMATS:
        raise click.UsageError(
            f"--output takes FORMAT:FILE with a format of {', '.join(OUTPUT_FORMATS)}, not `{value}`."
        )
    return name, Path(file)


def _style(base: Path, color: str) -> Style:
    from temporal_lint.report.text import Style

    terminal = sys.stdout.isatty()
    if color == "auto":
        colored = not os.environ.get("NO_COLOR") and (bool(os.environ.get("FORCE_COLOR")) or terminal)
    else:
        colored = color == "always"
    return Style(base, colored, shutil.get_terminal_size().columns if terminal else PIPE_WIDTH)


def _print(
    result: Result, shown: list[Diagnostic], format_name: str, color: str, statistics: bool, quiet: bool
) -> None:
    from temporal_lint.report import text

    if not quiet:
        for note in result.notes:
            click.echo(f"note: {note}", err=True)
    if statistics:
        click.echo("".join(f"{line}\n" for line in text.statistics(shown)), nl=False)
    else:
        # click would strip the colours that were asked for when the output is no terminal.
        click.echo(_rendered(result, shown, format_name, _style(Path.cwd(), color)), nl=False, color=True)
    if not quiet and format_name in ("full", "concise"):
        click.echo(text.summary(result))


def _rendered(result: Result, shown: list[Diagnostic], format_name: str, style: Style) -> str:
    from temporal_lint.report import github, json, sarif, text

    if format_name == "json":
        return json.write(result, shown)
    if format_name == "sarif":
        return sarif.write(result)
    if format_name == "github":
        return github.write(shown, style.base)
    lines = text.full(shown, style) if format_name == "full" else text.concise(shown, style)
    return "".join(f"{line}\n" for line in lines)


def _show(request: Request, settings: bool) -> None:
    from temporal_lint import run

    configuration, _ = run.configure(request)
    if settings:
        click.echo(f"# root: {configuration.root}\n# file: {configuration.file or 'none'}")
        for one in fields(configuration.settings):
            value = getattr(configuration.settings, one.name)
            click.echo(f"{one.name.replace('_', '-')} = {json.dumps(value, default=vars)}")
        return
    found = run.find_files(request, configuration)
    for path in found.checked:
        click.echo(str(path))
    for trouble in found.troubles:
        _complain(trouble)
    if found.troubles:
        sys.exit(TROUBLE)


@commands.command()
@click.argument("word", metavar="CODE|NAME", required=False)
@click.option("--all", "everything", is_flag=True, help="Print the pages of all rules.")
def rule(word: str | None, everything: bool) -> None:
    """Print the page of a rule."""
    from temporal_lint import config, pages, rules

    known = rules.load()
    if everything == (word is not None):
        raise click.UsageError("Name one rule, or ask for --all.")
    chosen = [one for one in known if everything or word in (one.code, one.name)]
    if not chosen:
        hint = config.nearest(str(word), [text for one in known for text in (one.code, one.name)])
        raise ConfigError(f"There is no rule `{word}`.{hint}")
    click.echo("\n".join(pages.markdown(one) for one in chosen), nl=False)


@commands.command("rules")
def list_rules() -> None:
    """List the rules: code, name, level, fix, title."""
    from temporal_lint import rules
    from temporal_lint.report import text

    for line in text.table(rules.load()):
        click.echo(line)


@commands.command("config-schema")
def config_schema() -> None:
    """Print the JSON Schema of the configuration."""
    from temporal_lint import config

    click.echo(json.dumps(config.json_schema(), indent=2))
