"""The fixtures. They are synchronous, so they work in every kind of test and in every event loop.

Part of the plugin itself, so nothing heavy is imported at the top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_temporal_guard.process import session_of

if TYPE_CHECKING:
    from temporalio.client import Client

    from pytest_temporal_guard.bench import Bench
    from pytest_temporal_guard.environment import DevEnvironment, GuardEnvironment
    from pytest_temporal_guard.keeper import TemporalServer


@pytest.fixture(scope="session")
def temporal_server(pytestconfig: pytest.Config) -> Iterator[TemporalServer]:
    """A Temporal server for this pytest process: `temporal_server.address` is HOST:PORT.

    The time-skipping test server by default, the dev server with `--temporal-guard-server-kind dev`. It is started when
    first used, replaced when it has died, and gone when pytest ends.
    """
    server = session_of(pytestconfig).server
    yield server
    server.stop()


@pytest.fixture
def temporal_env(temporal_server: TemporalServer) -> GuardEnvironment | DevEnvironment:
    """A `temporalio.testing.WorkflowEnvironment` with time skipping, for any event loop.

    Timers of workflows take no time while a result is awaited; `await temporal_env.sleep(...)` moves the clock.
    """
    return temporal_server.environment()


@pytest.fixture
def temporal_client(temporal_env: GuardEnvironment | DevEnvironment) -> Client:
    """The `temporalio.client.Client` of `temporal_env`, for tests that make their own workers."""
    return temporal_env.client


@pytest.fixture
def temporal_state() -> None:
    """The state that a second run of an activity must not change; none, unless a suite overrides this fixture.

    An override returns a callable, or an object with a method `snapshot()`, synchronous or not; the module
    `pytest_temporal_guard.state` has some. It is used by tests for which the guard `idempotency` is on.
    """


@pytest.fixture
def temporal_guard(request: pytest.FixtureRequest, temporal_server: TemporalServer) -> Iterator[Bench]:
    """Runs workflows under the guards, with activities in virtual time, and tells what happened in them.

    async with temporal_guard.worker(workflows=[Order], activities=[charge]) as worker:
        run = await worker.run(Order.run, "order-1")
    assert run.result == "paid"
    assert [each.type for each in run.activities] == ["charge"]

    `await temporal_guard.activity(charge).run("order-1", heartbeat_timeout=30)` runs one activity without a workflow.
    """
    from pytest_temporal_guard.bench import Bench

    bench = Bench(session_of(request.config), temporal_server, request.node)
    yield bench
    bench.close()
