"""The one server of a pytest process: started when first asked for, renewed when it has died or drifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from pytest_temporal_guard.server import Kind, Location, Server, ServerError, exit_calmly, locate
from pytest_temporal_guard.settings import Settings
from pytest_temporal_guard.sidecar import Sidecar

if TYPE_CHECKING:
    from pytest_temporal_guard.environment import DevEnvironment, GuardEnvironment


def found_server(settings: Settings) -> str:
    """Which server the settings lead to, as a phrase. `pytest.UsageError` for one that cannot be had."""
    given = settings.of("server")
    try:
        return locate(cast(Kind, settings.of("server_kind").value), given=given.value, origin=given.origin).found
    except ServerError as error:
        raise pytest.UsageError(str(error)) from None


class TemporalServer:
    """What the fixture `temporal_server` gives. One server for all tests of a process, renewed between tests.

    `address` is HOST:PORT, `kind` is "time-skipping" or "dev", `found` says where it comes from.
    """

    def __init__(self, settings: Settings, sidecar: Sidecar) -> None:
        self.kind: Kind = cast(Kind, settings.of("server_kind").value)
        self._given = settings.of("server")
        self._sidecar = sidecar
        self._location: Location | None = None
        self._server: Server | None = None
        self._troubles: dict[str, str] = {}

    @property
    def location(self) -> Location:
        """Where the server is. `pytest.UsageError` for one that cannot be had."""
        if self._location is None:
            try:
                self._location = locate(self.kind, given=self._given.value, origin=self._given.origin)
            except ServerError as error:
                raise pytest.UsageError(str(error)) from None
        return self._location

    @property
    def address(self) -> str:
        """HOST:PORT. Starts the server when it does not run; `pytest.fail` with one sentence when it cannot be had."""
        if self.location.address:
            return self.location.address
        if self._server is None or self.trouble(self._server.address):
            self._start()
        assert self._server is not None
        return self._server.address

    def trouble(self, address: str) -> str:
        """Why the server at an address is gone, with its last log lines; "" for one that is there, or not ours."""
        if self._server is not None and self._server.trouble:
            self._troubles[self._server.address] = self._server.trouble
        return self._troubles.get(address, "")

    def environment(self) -> GuardEnvironment | DevEnvironment:
        """An environment for one test, on a server whose clock and memory are in order."""
        from pytest_temporal_guard.environment import connect, connect_dev

        try:
            if self.kind == "dev":
                return self._sidecar.call(connect_dev(self.address))
            environment = self._sidecar.call(connect(self.address))
            memory = self._server.memory if self._server is not None else None
            if self._server is not None and self._sidecar.call(environment.needs_renewal(memory)):
                self.stop()
                environment = self._sidecar.call(connect(self.address))
            return environment
        except ServerError as error:
            pytest.fail(str(error), pytrace=False)

    def stop(self) -> None:
        """End the server. The next use starts another."""
        server, self._server = self._server, None
        if server is not None:
            self._sidecar.forget(server.address)
            server.stop()

    def _start(self) -> None:
        exit_calmly()
        try:
            location = self.location
            if location.is_download:
                from pytest_temporal_guard.environment import download

                location = self._location = self._sidecar.call(download(self.kind), timeout=120)
            self._server = Server(location)
        except ServerError as error:
            pytest.fail(str(error), pytrace=False)
