"""Servers that the SDK has started for a test end with this process, even when it is killed.

The SDK ends its server when the environment is shut down, and when the process ends in order. After a SIGKILL (an
xdist worker, a container out of memory) the server would stay. Nothing is done on Windows.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

# It reads a process id and a port a line, for as long as this process lives. A process that is another one by then is
# left alone: its command line does not tell of the server and its port.
_WATCH = """
servers=
while read -r pid port; do servers="$servers $pid:$port"; done
for each in $servers; do
    pid=${each%:*}
    line=$(tr '\\0' ' ' < "/proc/$pid/cmdline" || ps -p "$pid" -o args=)
    case $line in *temporal*${each#*:}*) kill -s KILL "$pid" ;; esac
done
"""

_lock = threading.Lock()
_watcher: subprocess.Popen[bytes] | None = None


def end_with_this_process(port: int) -> None:
    """See to it that the server that this process has started on a port does not outlive it."""
    global _watcher
    if sys.platform == "win32":
        return
    found = [pid for pid, line in _children() if "temporal" in line and str(port) in line.split()]
    if not found:
        return
    with _lock:
        if _watcher is None:
            _watcher = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert _watcher.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            _watcher.stdin.write("".join(f"{pid} {port}\n" for pid in found).encode())
            _watcher.stdin.flush()


def _let_go_in_child() -> None:
    global _watcher
    if _watcher is not None and _watcher.stdin is not None:
        # else the watcher would wait for the end of the child too; closing the raw file writes nothing
        os.close(_watcher.stdin.fileno())
        _watcher.stdin = None
    _watcher = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _children() -> Iterator[tuple[int, str]]:
    """The processes that this one has started, with their command lines."""
    own = os.getpid()
    if sys.platform == "linux":
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, IndexError, ValueError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    # the name of the program, in brackets, may hold anything
                    parent = int(file.read().rpartition(b")")[2].split()[1])
                if parent == own:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        yield int(name), file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["ps", "-A", "-o", "pid=,ppid=,args="]
        for line in subprocess.run(command, capture_output=True, check=True, timeout=5).stdout.decode().splitlines():
            pid, parent_, arguments = line.split(None, 2)
            if int(parent_) == own:
                yield int(pid), arguments
