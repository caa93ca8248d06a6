"""One pytest process: which test runs belong to, when histories are fetched, what the guards say of a test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_temporal_guard import recorder as hooks
from pytest_temporal_guard.guards import Breach, all_guards, write
from pytest_temporal_guard.recorder import Recorder
from pytest_temporal_guard.runs import Observed, Run, RunKey
from pytest_temporal_guard.settings import Limits, Settings
from pytest_temporal_guard.sidecar import Sidecar

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHistory


class Verdict(NamedTuple):
    """What is said of one test: its runs, what fails it, what warns of it."""

    runs: list[Run]
    failures: list[str]
    warnings: list[str]


class GuardSession:
    """The state of the guard in one pytest process."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.sidecar = Sidecar()
        self.recorder = Recorder()
        self.recorder.before_shutdown = self._server_goes_down
        self.recorder.on_client = self._client_seen
        self._clients: dict[tuple[str, str], Client] = {}
        self._histories: dict[RunKey, WorkflowHistory] = {}
        self._judged: dict[RunKey, bool] = {}
        self._gone: set[str] = set()

    def begin(self, item: pytest.Item) -> None:
        """From here on runs belong to this test."""
        hooks.install(self.recorder)
        self.recorder.test = item.nodeid

    def end(self, item: pytest.Item) -> None:
        """No run belongs to this test any more."""
        self.recorder.forget([each.key for each in self._runs_of(item.nodeid)])
        self.recorder.test = None
        self._histories.clear()
        self._judged.clear()

    def judge(self, item: pytest.Item) -> Verdict:
        """Fetch the histories of the test's runs and let the guards judge those that are new, or have ended since."""
        limits = Limits(self.settings, item)
        runs = [each for each in self._collect(item.nodeid) if not self._judged.get(each.observed.key)]
        verdict = Verdict(runs, [], [])
        for run in runs:
            known = run.observed.key in self._judged
            self._judged[run.observed.key] = run.closed
            if known and not run.closed:
                continue
            self._judge_run(run, limits, verdict)
        return verdict

    def stop(self) -> None:
        """The end of the pytest process."""
        hooks.uninstall()
        self.sidecar.stop()

    def _judge_run(self, run: Run, limits: Limits, verdict: Verdict) -> None:
        active = [each for each in all_guards() if limits[each.name].value != "off"]
        for guard in active:
            if guard.prepare is not None:
                with self.recorder.guarded(f"the guard {guard.name}"):
                    self.sidecar.call(guard.prepare(run, limits), timeout=60)
        for guard in active:
            with self.recorder.guarded(f"the guard {guard.name}"):
                for breach in guard.judge(run, limits):
                    level = breach.level or limits[guard.name].value
                    run.breaches.append((guard.name, level, breach))
                    told = verdict.warnings if level == "warn" else verdict.failures
                    told.append(self._message(guard.name, run, breach))

    def _message(self, guard: str, run: Run, breach: Breach) -> str:
        return f"temporal guard: {guard}\n{write(run, breach)}"

    def _runs_of(self, test: str) -> list[Observed]:
        return [each for each in list(self.recorder.runs.values()) if each.test == test]

    def _collect(self, test: str) -> list[Run]:
        """The runs of a test with their histories, related to one another."""
        observed = self._runs_of(test)
        self._fetch([each for each in observed if not self._judged.get(each.key) and each.key.target not in self._gone])
        runs = {
            each.key: Run(each, self._histories.get(each.key), parameters=self.recorder.parameters) for each in observed
        }
        by_run_id = {each.run_id: each for each in runs.values()}
        for run in runs.values():
            parent = by_run_id.get(run.observed.parent[1]) if run.observed.parent else None
            if parent is not None:
                parent.children.append(run)
            former = by_run_id.get(run.observed.continued_from or "")
            if former is not None:
                former.continued.append(run)
        return list(runs.values())

    def _fetch(self, observed: list[Observed]) -> None:
        if not observed:
            return
        with self.recorder.guarded("fetching histories"):
            self.sidecar.call(self._fetch_all(observed), timeout=30)

    async def _fetch_all(self, observed: list[Observed]) -> None:
        limit = asyncio.Semaphore(8)

        async def fetch(one: Observed) -> None:
            key = one.key
            async with limit:
                like = one.worker.client if one.worker is not None else self._clients.get((key.target, key.namespace))
                with self.recorder.guarded(f"fetching the history of {key.workflow_id}"):
                    client = await self.sidecar.client(key.target, key.namespace, like)
                    handle = client.get_workflow_handle(key.workflow_id, run_id=key.run_id)
                    history = await asyncio.wait_for(handle.fetch_history(), 10)
                    self._histories[key] = history

        await asyncio.gather(*map(fetch, observed))

    def _client_seen(self, target: str, client: Any) -> None:
        self._clients[(target, client.namespace)] = client
        self._gone.discard(target)

    def _server_goes_down(self, target: str) -> None:
        self._fetch([each for each in list(self.recorder.runs.values()) if each.key.target == target])
        self.sidecar.forget(target)
        self._gone.add(target)
