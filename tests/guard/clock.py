"""A time-skipping server whose clock moves only as far as its workflows need."""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import temporalio.client
from google.protobuf.empty_pb2 import Empty
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.testing import WorkflowEnvironment


class _Pump:
    def __init__(self, client):
        self.client, self.users, self.task = client, 0, None

    async def run(self):
        step = 60.0
        while self.users:
            request = SleepRequest()
            request.duration.FromTimedelta(timedelta(seconds=step))
            await self.client.test_service.unlock_time_skipping_with_sleep(request, timeout=timedelta(days=1))
            step = min(step * 4, 86400 * 365)

    async def __aenter__(self):
        self.users += 1
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.run())

    async def __aexit__(self, *_):
        self.users -= 1
        if not self.users and self.task and not self.task.done():
            await asyncio.wait({self.task}, timeout=2)


class _Handle(temporalio.client.WorkflowHandle):
    async def result(self, **options: Any) -> Any:
        async with self.pump:
            return await super().result(**options)


class _Outbound(temporalio.client.OutboundInterceptor):
    def __init__(self, next, pump):
        super().__init__(next)
        self.pump = pump

    async def start_workflow(self, input):
        handle = await super().start_workflow(input)
        handle.__class__ = _Handle
        handle.pump = self.pump
        return handle


class _Interceptor(temporalio.client.Interceptor):
    def __init__(self, pump):
        self.pump = pump

    def intercept_client(self, next):
        return _Outbound(next, self.pump)


class Environment(WorkflowEnvironment):
    async def get_current_time(self, handle=None):
        return (await self.client.test_service.get_current_time(Empty())).time.ToDatetime()

    async def sleep(self, duration):
        request = SleepRequest()
        request.duration.FromTimedelta(timedelta(seconds=duration))
        await self.client.test_service.unlock_time_skipping_with_sleep(request)


@asynccontextmanager
async def start() -> AsyncIterator[WorkflowEnvironment]:
    path = shutil.which("temporal-test-server", path=sysconfig.get_path("scripts"))
    v1 = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=path)
    config = v1.client.config()
    pump = _Pump(v1.client)
    config["interceptors"] = [_Interceptor(pump)]
    try:
        yield Environment(temporalio.client.Client(**config))
    finally:
        await v1.shutdown()
