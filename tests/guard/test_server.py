"""Where servers are found, and that none outlives the process that started it, however that process ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pytest_temporal_guard import server
from pytest_temporal_guard.server import Kind, Location, SdkBinaries, Server, ServerError, locate, sdk_binaries

KINDS: tuple[Kind, ...] = ("time-skipping", "dev")
NAMES: dict[Kind, str] = {"time-skipping": "temporal-test-server", "dev": "temporal"}
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and shells")

START = """
import os, sys, time
from pytest_temporal_guard.server import Server, locate
server = Server(locate("time-skipping"))
"""


def program(path: Path, text: str = "#!/bin/sh\nexit 3\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextlib.contextmanager
def running(code: str) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A Python that starts a server, then runs `code`; and what it has started, once it has written a line."""
    command = [sys.executable, "-c", START + code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process, psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any server: no extra, an interpreter in an empty directory. Its directory."""
    monkeypatch.setattr(server, "_of_extra", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    (tmp_path / "tmp").mkdir()
    return tmp_path


# The order of precedence: each row is found although all rows below it are there too.
SOURCES = ("given", "variable", "beside this Python", "on PATH", "downloaded earlier", "downloaded by the SDK")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", range(len(SOURCES)), ids=SOURCES)
def test_precedence(nothing: Path, kind: Kind, first: int) -> None:
    name = NAMES[kind]
    version = server.metadata.version("temporalio")
    made = {
        "given": nothing / "given" / name,
        "variable": nothing / "variable" / name,
        "beside this Python": nothing / "venv" / "bin" / name,
        "on PATH": nothing / "path" / name,
        "downloaded earlier": nothing / "tmp" / f"{name.removesuffix('-server')}-sdk-python-{version}",
    }
    if kind == "time-skipping":
        made["downloaded earlier"] = nothing / "tmp" / f"temporal-test-server-sdk-python-{version}"
    present = {source: program(path) for source, path in made.items() if SOURCES.index(source) >= first}
    environ = {"PATH": str(nothing / "path"), "TMPDIR": str(nothing / "tmp")}
    if "variable" in present:
        environ["TEMPORAL_GUARD_SERVER"] = present["variable"]

    found = locate(kind, given=present.get("given"), origin="the ini file", environ=environ)

    assert found.path == present.get(SOURCES[first], "")
    assert found.is_download == (SOURCES[first] == "downloaded by the SDK")
    phrase = {"given": "from the ini file", "variable": "from TEMPORAL_GUARD_SERVER"}.get(
        SOURCES[first], SOURCES[first]
    )
    assert phrase in found.found


@pytest.mark.parametrize("kind", KINDS)
def test_the_extra_is_found_with_its_version(kind: Kind) -> None:
    found = locate(kind, environ={})
    distribution = f"{NAMES[kind]}-bin"
    assert found.version == server.metadata.version(distribution)
    assert found.found == f"{NAMES[kind]} {found.version} of {distribution}"
    assert os.access(found.path, os.X_OK)


@pytest.mark.parametrize("text", ["127.0.0.1:7233", "localhost:1", "[::1]:65535", "temporal.example.com:7233"])
def test_an_address_is_used_as_it_is(text: str) -> None:
    found = locate("time-skipping", given=text)
    assert (found.path, found.address, found.is_download) == ("", text, False)


def test_a_bare_name_is_looked_for_on_path(nothing: Path) -> None:
    path = program(nothing / "path" / "my-server")
    assert locate("dev", given="my-server", environ={"PATH": str(nothing / "path")}).path == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing/server", "`missing/server` is neither an existing program nor HOST:PORT"),
        ("localhost:", "`localhost:` is neither"),
        ("localhost:http", "`localhost:http` is neither"),
        (":7233", "`:7233` is neither"),
        ("localhost:0", "the port of `localhost:0` is not between 1 and 65535"),
        ("localhost:70000", "the port of `localhost:70000` is not between 1 and 65535"),
        ("directory", "`directory` is a directory"),
        ("file", "`file` is not executable"),
    ],
)
@pytest.mark.parametrize("origin", ["--temporal-guard-server", "TEMPORAL_GUARD_SERVER"])
def test_what_is_wrong_is_said(
    text: str, message: str, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    by_variable = origin == "TEMPORAL_GUARD_SERVER"
    with pytest.raises(ServerError) as caught:
        locate(
            "time-skipping",
            given=None if by_variable else text,
            environ={"TEMPORAL_GUARD_SERVER": text} if by_variable else {},
        )
    assert str(caught.value).startswith(f"{origin}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binaries_for_the_sdk(nothing: Path) -> None:
    environ = {"PATH": str(nothing / "path"), "TMPDIR": str(nothing / "tmp")}
    assert sdk_binaries(environ) == SdkBinaries(None, None)
    test_server = program(nothing / "path" / "temporal-test-server")
    cli = program(nothing / "path" / "temporal")
    assert sdk_binaries(environ) == SdkBinaries(test_server, cli)
    mine = program(nothing / "mine")
    assert sdk_binaries(environ, given=mine) == SdkBinaries(mine, cli)
    assert sdk_binaries(environ, given="localhost:7233") == SdkBinaries(test_server, cli)
    assert sdk_binaries({**environ, "TEMPORAL_GUARD_SERVER": mine}, kind="dev") == SdkBinaries(test_server, mine)


@pytest.mark.parametrize("kind", KINDS)
def test_starts_and_stops(kind: Kind) -> None:
    with Server(locate(kind)) as running:
        host, _, port = running.address.partition(":")
        socket.create_connection((host, int(port)), 5).close()
        assert running.alive
        assert running.trouble == ""
        if sys.platform != "win32":
            assert running.memory is not None and running.memory > 10_000_000
    assert not running.alive
    assert running.trouble == ""
    assert not psutil.pid_exists(running.pid)
    running.stop()


def test_the_log_is_kept_and_bounded(tmp_path: Path) -> None:
    assert "Temporal CLI" in server_log(lambda running: running.log_tail())
    assert server_log(lambda running: running.log_tail(1)).count("\n") == 0


def server_log(read: Callable[[Server], str]) -> str:
    with Server(locate("dev")) as running:
        wait_for(lambda: "Metrics" in running.log_tail(), "the dev server writes where it is")
        return read(running)


@on_posix
def test_a_program_that_ends_is_quoted(tmp_path: Path) -> None:
    path = program(tmp_path / "server", "#!/bin/sh\nfor i in 1 2 3; do echo line $i; done\necho bad >&2\nexit 3\n")
    with pytest.raises(ServerError) as caught:
        Server(locate("time-skipping", given=path))
    assert "ended with exit code 3" in str(caught.value)
    assert str(caught.value).endswith("Its last lines:\nline 1\nline 2\nline 3\nbad")


@on_posix
def test_a_program_that_cannot_run_is_quoted(tmp_path: Path) -> None:
    path = program(tmp_path / "server", "\x7fELF nonsense")
    with pytest.raises(ServerError, match="does not start"):
        Server(locate("time-skipping", given=path))


@on_posix
def test_a_program_that_does_not_serve_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_START_TIMEOUT", 0.2)
    path = program(tmp_path / "server", "#!/bin/sh\necho $$\nsleep 60\n")
    with pytest.raises(ServerError, match="does not serve within") as caught:
        Server(locate("time-skipping", given=path))
    pid = int(str(caught.value).splitlines()[-1])
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_is_taken_is_not_insisted_on(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free_ports = server._free_ports
        ports = [taken.getsockname()[1]]

        @contextlib.contextmanager
        def first_a_taken_one(number: int) -> Iterator[list[int]]:
            with free_ports(number) as free:
                yield [ports.pop(), *free[1:]] if ports else free

        monkeypatch.setattr(server, "_free_ports", first_a_taken_one)
        with Server(locate(kind)) as running:
            assert not ports
            assert running.alive
            assert not running.address.endswith(f":{taken.getsockname()[1]}")


def test_many_at_once_do_not_clash() -> None:
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(6) as threads:
        started = list(threads.map(lambda _: stack.enter_context(Server(locate("time-skipping"))), range(6)))
        assert len({each.address for each in started}) == 6
        # A thread that has started a server may end before it.
        threads.shutdown()
        time.sleep(0.05)
        assert all(each.alive for each in started)


def test_a_killed_server_is_told_with_its_log() -> None:
    with Server(locate("dev")) as running:
        wait_for(lambda: "Metrics" in running.log_tail(), "the dev server writes where it is")
        psutil.Process(running.pid).kill()
        wait_for(lambda: not running.alive, "the end is noticed")
        assert f"The dev server at {running.address} is gone" in running.trouble
        if sys.platform != "win32":
            assert "was killed by SIGKILL. Its last lines:\n" in running.trouble
        assert "Temporal CLI" in running.trouble


@on_posix
def test_a_script_around_the_server_leaves_nothing(tmp_path: Path) -> None:
    real = locate("time-skipping").path
    path = program(tmp_path / "server", f'#!/bin/sh\n"{real}" "$@"\necho over\n')
    with Server(locate("time-skipping", given=path)) as running:
        started = psutil.Process(running.pid).children()
        assert started
    wait_for(lambda: all_gone(started), "the server behind the script ends too")


@on_posix
def test_a_killed_process_leaves_no_server() -> None:
    with running("print('ready', flush=True)\ntime.sleep(60)") as (process, started):
        assert len(started) == 2  # the server and who watches it
        process.kill()
        wait_for(lambda: all_gone(started), "server and watcher end with a process that is killed")


@on_posix
def test_a_killed_process_with_a_forked_child_leaves_no_server() -> None:
    code = """
if os.fork() == 0:
    server.stop()
    time.sleep(2)
    os._exit(0)
time.sleep(0.2)
print('ready' if server.alive else 'a forked child has stopped the server', flush=True)
time.sleep(60)
"""
    with running(code) as (process, started):
        servers = [each for each in started if "python" not in each.name()]
        process.kill()
        wait_for(lambda: all_gone(servers), "the child's copy of the pipe does not keep the server")


@on_posix
def test_a_process_that_just_ends_leaves_no_server() -> None:
    with running("print('ready', flush=True)\nsys.stdin.read(0)\ntime.sleep(0.1)\nos._exit(1)") as (process, started):
        process.wait(10)
        wait_for(lambda: all_gone(started), "the server ends with its process")


@on_posix
def test_interrupt_lets_the_server_live_until_teardown() -> None:
    code = """
try:
    print('ready', flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.2)
    print(server.alive, flush=True)
    server.stop()
"""
    with running(code) as (process, started):
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=10)
        assert output == "True\n"
        assert all_gone(started)


def test_only_a_program_can_be_started() -> None:
    with pytest.raises(ValueError, match="path"):
        Server(Location("dev", "an address", address="localhost:7233"))


def test_loads_neither_the_sdk_nor_asyncio() -> None:
    code = "import sys, pytest_temporal_guard.server; print(*{'temporalio', 'asyncio', 'pytest'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_exit_is_calm_once() -> None:
    code = "import atexit\nfrom pytest_temporal_guard.server import exit_calmly\n"
    code += "exit_calmly()\nexit_calmly()\nprint(atexit._ncallbacks())"
    plain = "import atexit, pytest_temporal_guard.server\nprint(atexit._ncallbacks())"
    outputs = [
        int(subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True).stdout)
        for each in (code, plain)
    ]
    assert outputs[0] == outputs[1] + 1
