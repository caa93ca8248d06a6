"""The pages of the guards: `python -m pytest_temporal_guard guards [NAME]`."""

from __future__ import annotations

import difflib

import click

from pytest_temporal_guard.guards import Guard, all_guards
from pytest_temporal_guard.settings import Setting, shown


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Print the pages of all guards.")
def guards(names: tuple[str, ...], every: bool) -> None:
    """List the guards, or print the pages of those named: what they assert, why, what to change, their options."""
    known = {each.name: each for each in all_guards()}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are {', '.join(known)}."
            raise click.UsageError(f"No guard is called {name!r}.{hint}")
    wanted = list(known) if every else list(names)
    if not wanted:
        width = max(map(len, known))
        for guard in known.values():
            click.echo(f"{guard.name:{width}}  {guard.page.strip().splitlines()[0]}")
    click.echo("\n\n".join(page(known[name]) for name in wanted), nl=bool(wanted))


def page(guard: Guard) -> str:
    """The page of a guard as Markdown: its docstring and its options."""
    first, _, rest = guard.page.strip().partition("\n")
    options = "\n".join(_option(each) for each in guard.settings)
    return f"# {guard.name}\n\n{first}\n{rest.rstrip()}\n\n## Options\n{options}"


def _option(setting: Setting) -> str:
    default = shown(setting.default) if setting.default not in (None, ()) else "none"
    return f"- `{setting.key}` ({setting.allowed}; default: {default}): {setting.help}"
