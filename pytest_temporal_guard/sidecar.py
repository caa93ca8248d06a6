"""A thread with a loop and clients of its own, to ask servers while tests do what they like with theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from temporalio.client import Client

T = TypeVar("T")


class Sidecar:
    """Runs coroutines in its own thread. `call` waits for the result; `spawn` does not. Thread-safe."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Client] = {}

    def call(self, work: Coroutine[Any, Any, T], timeout: float = 10.0) -> T:
        """The result of a coroutine; TimeoutError after `timeout` seconds."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine in the background."""
        asyncio.run_coroutine_threadsafe(work, self._running())

    async def client(self, target: str, namespace: str, like: Client | None = None) -> Client:
        """A client for a server and namespace, with the credentials of `like`; to be awaited in this thread only."""
        key = (target, namespace)
        if key not in self._clients:
            from temporalio.client import Client

            given: dict[str, Any] = {}
            if like is not None:
                config = like.service_client.config
                given = {"tls": config.tls, "api_key": config.api_key, "rpc_metadata": config.rpc_metadata}
            self._clients[key] = await Client.connect(target, namespace=namespace, **given)
        return self._clients[key]

    def forget(self, target: str) -> None:
        """Drop the clients of a server that goes away."""
        for key in [each for each in list(self._clients) if each[0] == target]:
            self._clients.pop(key, None)

    def stop(self) -> None:
        """End the thread."""
        loop, self._loop = self._loop, None
        self._clients.clear()
        if loop is not None:
            loop.call_soon_threadsafe(self._end, loop)
            if self._thread is not None:
                self._thread.join(2)
            # an open one is a ResourceWarning, which fails a suite that turns warnings into errors
            if not loop.is_running():
                loop.close()

    @staticmethod
    def _end(loop: asyncio.AbstractEventLoop) -> None:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        # a cancelled task needs some turns of the loop to end, and Python complains of one that is left
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda ended: loop.stop())

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                # A suite may have set another event loop policy; the SDK needs no more than selectors.
                self._loop = asyncio.SelectorEventLoop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="temporal-guard", daemon=True)
                self._thread.start()
            return self._loop
