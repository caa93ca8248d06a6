"""What the fixture `temporal_guard` gives: workers whose runs can be looked at."""

from __future__ import annotations

import asyncio
import concurrent.futures
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Interceptor, Worker

from pytest_temporal_guard.alone import ActivityUnderTest, is_async
from pytest_temporal_guard.environment import DevEnvironment, GuardEnvironment
from pytest_temporal_guard.keeper import TemporalServer
from pytest_temporal_guard.runs import Run, RunKey

if TYPE_CHECKING:
    from pytest_temporal_guard.session import GuardSession


class Bench:
    """The fixture `temporal_guard`. `env` and `client` are those of the test."""

    def __init__(self, session: GuardSession, server: TemporalServer, item: pytest.Item) -> None:
        self._session = session
        self._server = server
        self._item = item
        self._executors: list[concurrent.futures.Executor] = []

    @cached_property
    def env(self) -> GuardEnvironment | DevEnvironment:
        """The environment that the workers run in."""
        return self._server.environment()

    @property
    def client(self) -> Client:
        """Its client."""
        return self.env.client

    @property
    def runs(self) -> list[Run]:
        """All runs of this test so far, children and links of chains included."""
        return self._session.collect(self._item.nodeid)

    def activity(self, function: Callable[..., Any]) -> ActivityUnderTest:
        """One activity in virtual time, without a workflow and without a server."""
        return ActivityUnderTest(function)

    @asynccontextmanager
    async def worker(
        self,
        *,
        workflows: Sequence[type[Any]] = (),
        activities: Sequence[Callable[..., Any]] = (),
        task_queue: str | None = None,
        client: Client | None = None,
        **options: Any,
    ) -> AsyncIterator[GuardedWorker]:
        """A worker for these workflows and activities, for as long as the block lasts.

        The task queue is made up unless given, synchronous activities get an executor, and all other options of
        `temporalio.worker.Worker` pass through. On the time-skipping server the sleeps of activities take no time.
        """
        used = client or self.client
        queue = task_queue or f"temporal-guard-{uuid.uuid4()}"
        if "activity_executor" not in options and any(not is_async(each) for each in activities):
            # as many threads as the worker has slots: a thread less, and virtual time waits for it
            slots = options.get("max_concurrent_activities") or 100
            executor = concurrent.futures.ThreadPoolExecutor(slots, thread_name_prefix="temporal-guard-activity")
            self._executors.append(executor)
            options["activity_executor"] = executor
        interceptors: list[Interceptor] = list(options.pop("interceptors", ()))
        if isinstance(self.env, GuardEnvironment):
            interceptors.append(self._session.virtual_time(self.env, used))
        worker = Worker(
            used, task_queue=queue, workflows=workflows, activities=activities, interceptors=interceptors, **options
        )
        async with worker:
            yield GuardedWorker(self, used, queue)

    def close(self) -> None:
        """Let the threads of synchronous activities go."""
        for executor in self._executors:
            executor.shutdown(wait=False, cancel_futures=True)

    async def _collect(self, key: RunKey) -> Run:
        # a thread, so that the worker of this loop goes on
        runs = await asyncio.get_running_loop().run_in_executor(None, self._session.collect, self._item.nodeid)
        return next(each for each in runs if each.observed.key == key)


class GuardedWorker:
    """A running worker. `client` and `task_queue` are what it polls."""

    def __init__(self, bench: Bench, client: Client, task_queue: str) -> None:
        self._bench = bench
        self.client = client
        self.task_queue = task_queue

    async def run(self, workflow: Any, *args: Any, id: str | None = None, **options: Any) -> Run:
        """Run a workflow to its end. `workflow` and `options` are those of `Client.start_workflow`.

        Its result is `Run.result`; a workflow that fails has its `WorkflowFailureError` in `Run.error`. The result and
        the history are those of the first run; `Run.continued` has the links of a chain, and `Run.result` the result
        of its end. Raises `StuckWorkflowError` when it makes no progress.
        """
        given: dict[str, Any] = {"args": args} if args else {}
        handle = await self.client.start_workflow(
            workflow, id=id or f"{_name(workflow)}-{uuid.uuid4()}", task_queue=self.task_queue, **given, **options
        )
        result, error = None, None
        try:
            result = await handle.result()
        except WorkflowFailureError as failure:
            error = failure
        run = await self._bench._collect(RunKey.of(self.client, handle.id, handle.first_execution_run_id or ""))
        run.result, run.error = result, error
        return run


def _name(workflow: Any) -> str:
    return workflow if isinstance(workflow, str) else str(getattr(workflow, "__qualname__", "workflow")).split(".")[0]
