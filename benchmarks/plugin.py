"""What the pytest plugin costs a suite that never touches Temporal: `python benchmarks/plugin.py`.

Prints the milliseconds that loading it takes beside pytest, the fastest of many processes, and the ratio to loading
pytest itself. The aim is below 5 ms.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path

ROUNDS = 25
PROBE = """
import time
began = time.perf_counter()
import pytest, _pytest.config
loaded = time.perf_counter()
import pytest_temporal_guard.plugin as plugin
parser = _pytest.config.argparsing.Parser(_ispytest=True)
plugin.pytest_addoption(parser)
print(loaded - began, time.perf_counter() - loaded)
"""


def main() -> None:
    """Measure and print."""
    # as pip leaves an installed package; a checkout may run where Python writes no bytecode
    compileall.compile_dir(Path(__file__).parent.parent / "pytest_temporal_guard", quiet=1)
    rounds = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
        rounds.append([float(each) * 1000 for each in done.stdout.split()])
    pytest_ms, plugin_ms = (min(each) for each in zip(*rounds, strict=True))
    print(f"pytest {pytest_ms:.1f} ms, the plugin {plugin_ms:.1f} ms beside it: ratio {plugin_ms / pytest_ms:.3f}")


if __name__ == "__main__":
    main()
