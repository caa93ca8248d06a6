"""The environments that tests make themselves start the servers of this machine, and download none."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any, cast

from temporalio.testing import WorkflowEnvironment

from pytest_temporal_guard.orphans import end_with_this_process
from pytest_temporal_guard.server import Kind, sdk_binaries
from pytest_temporal_guard.settings import Settings


def use_local_servers(settings: Settings, time_skipping_started: Callable[[str], None]) -> None:
    """Wrap `WorkflowEnvironment.start_time_skipping` and `start_local`, once for a process.

    A test that names a binary gets that one. One that names a version to download gets it when it is there already,
    else the server of this machine.
    `time_skipping_started` is told HOST:PORT of each time-skipping server: only these have a clock that can be moved.
    """
    given = settings.of("server")
    found = sdk_binaries(given=given.value, origin=given.origin, kind=cast(Kind, settings.of("server_kind").value))
    _wrap("start_time_skipping", "test_server", found.test_server, time_skipping_started)
    _wrap("start_local", "dev_server", found.dev_server, lambda target: None)


def _wrap(name: str, prefix: str, path: str | None, started: Callable[[str], None]) -> None:
    original: Any = getattr(WorkflowEnvironment, name)
    if hasattr(original, "__wrapped__"):
        return
    program = {"test_server": "temporal-test-server", "dev_server": "temporal"}[prefix]

    @functools.wraps(original.__func__)
    async def start(cls: type[WorkflowEnvironment], *args: Any, **options: Any) -> WorkflowEnvironment:
        version = options.get(f"{prefix}_download_version", "default")
        folder = options.get("download_dest_dir") or tempfile.gettempdir()
        # where and under which name the SDK keeps a version that it has downloaded
        downloaded = os.path.exists(os.path.join(folder, f"{program}-{version}"))
        if path is not None and not downloaded and options.get(f"{prefix}_existing_path") is None:
            options[f"{prefix}_existing_path"] = path
        environment: WorkflowEnvironment = await original.__func__(cls, *args, **options)
        target = environment.client.service_client.config.target_host
        end_with_this_process(int(target.rpartition(":")[2]))
        started(target)
        return environment

    setattr(WorkflowEnvironment, name, classmethod(start))
