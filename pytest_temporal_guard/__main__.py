"""`python -m pytest_temporal_guard`: what the guard does outside of pytest."""

from __future__ import annotations

import click

from pytest_temporal_guard.export import export
from pytest_temporal_guard.pages import guards


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The Temporal guard's tools beside pytest."""


main.add_command(export)
main.add_command(guards)

if __name__ == "__main__":
    main(prog_name="python -m pytest_temporal_guard")
