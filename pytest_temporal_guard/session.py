"""One pytest process: which test runs belong to, when histories are fetched, what the guards say of a test."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_temporal_guard import recorder as recording
from pytest_temporal_guard.guards import Breach, all_guards, write
from pytest_temporal_guard.keeper import TemporalServer
from pytest_temporal_guard.parsing import one_at_a_time
from pytest_temporal_guard.recorder import Recorder
from pytest_temporal_guard.redo import Asked, Injector
from pytest_temporal_guard.runs import CLOSED, Beat, Observed, Run, RunKey, target_of
from pytest_temporal_guard.settings import Limits, Settings
from pytest_temporal_guard.sidecar import Sidecar
from pytest_temporal_guard.watchdog import Watchdog
from pytest_temporal_guard.watchdog import install as watch_waits

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHistory
    from temporalio.testing import WorkflowEnvironment
    from temporalio.worker import Interceptor

    from pytest_temporal_guard.virtual import VirtualAttempt


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
        self.watchdog = Watchdog(self.recorder, self.sidecar)
        self.injector = Injector(self.recorder, self._history_of)
        self.recorder.around_spy.append(self.injector.interceptors)
        self.server = TemporalServer(settings, self.sidecar)
        self._time_skipping_targets: set[str] = set()
        self._clients: dict[tuple[str, str], Client] = {}
        self._histories: dict[RunKey, WorkflowHistory] = {}
        self._judged: dict[RunKey, bool] = {}
        self._gone: set[str] = set()

    def install(self) -> None:
        """Put the hooks on the SDK's workers and clients in place."""
        one_at_a_time()
        recording.install(self.recorder)
        watch_waits(self.watchdog)
        virtual = self.settings.of("virtual_time").value
        if virtual and self._virtual_time_of_suite not in self.recorder.interceptors:
            self.recorder.interceptors.append(self._virtual_time_of_suite)

    def begin(self, item: pytest.Item | None) -> None:
        """From here on runs belong to this test; to none, and are not recorded, when it is None."""
        self.recorder.test = item.nodeid if item is not None else None
        self.injector.begin(self._asked(item) if item is not None else None)
        if item is not None:
            recording.install(self.recorder)
            watch_waits(self.watchdog)
            limits = Limits(self.settings, item)
            self.watchdog.begin(limits["stuck"].value, limits["stuck_after"].value)
            self.recorder.loops.begin(limits["loop"].value != "off", limits["max_blocking"].value)

    def end(self, item: pytest.Item) -> None:
        """No run belongs to this test any more."""
        self.recorder.forget([each.key for each in self._runs_of(item.nodeid)])
        self.recorder.test = None
        self.injector.begin(None)
        self._histories.clear()
        self._judged.clear()

    def judge(self, item: pytest.Item) -> Verdict:
        """Fetch the histories of the test's runs and let the guards judge those that are new, or have ended since."""
        limits = Limits(self.settings, item)
        runs = [each for each in self.collect(item.nodeid) if not self._judged.get(each.observed.key)]
        verdict = Verdict(runs, [], [])
        for run in runs:
            known = run.observed.key in self._judged
            self._judged[run.observed.key] = run.closed
            if known and not run.closed:
                continue
            self._judge_run(run, limits, verdict)
        return verdict

    def trouble(self, item: pytest.Item) -> str:
        """Why a server that the test's workflows ran on is gone; "" if none is."""
        targets = {each.key.target: None for each in self._runs_of(item.nodeid)}
        return "\n".join(filter(None, map(self.server.trouble, targets)))

    def stop(self) -> None:
        """The end of the pytest process."""
        recording.uninstall()
        self.server.stop()
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

    def _asked(self, item: pytest.Item) -> Asked | None:
        """What a test wants its activities to suffer."""
        limits = Limits(self.settings, item)
        repeat = limits["idempotency"].value != "off"
        resume = frozenset(limits["expect_resume"].value if limits["resume"].value != "off" else ())
        if not repeat and not resume:
            return None
        skip = frozenset(limits["idempotency_skip"].value)
        # looked up late: the fixture is set up after the test has begun
        return Asked(
            item.nodeid, repeat, skip, resume, lambda: (getattr(item, "funcargs", None) or {}).get("temporal_state")
        )

    async def _history_of(self, observed: Observed) -> WorkflowHistory | None:
        """The history of a run so far, for code in any event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self._fetch, [observed])
        return self._histories.get(observed.key)

    def _message(self, guard: str, run: Run, breach: Breach) -> str:
        return f"temporal guard: {guard}\n{write(run, breach)}"

    def _runs_of(self, test: str) -> list[Observed]:
        return [each for each in list(self.recorder.runs.values()) if each.test == test]

    def virtual_time(self, environment: WorkflowEnvironment, client: Client) -> Interceptor:
        """An interceptor that puts the activities of a worker under virtual time, and tells the recorder of them."""
        from pytest_temporal_guard.virtual import VirtualTime

        return VirtualTime(environment, client=client, on_attempt=self._attempt_ended)

    def use_local_servers(self) -> None:
        """Let the environments that tests make use the servers of this machine."""
        from pytest_temporal_guard.local_servers import use_local_servers

        use_local_servers(self.settings, self._time_skipping_targets.add)

    def _virtual_time_of_suite(self, client: Client) -> list[Interceptor]:
        """Virtual time for a worker of an unmodified test, where the test's server has a clock that can be moved."""
        if target_of(client) not in self._time_skipping_targets:
            return []
        from temporalio.testing import WorkflowEnvironment

        return [self.virtual_time(WorkflowEnvironment.from_client(client), client)]

    def collect(self, test: str) -> list[Run]:
        """The runs of a test with their histories, related to one another. Waits for the server."""
        observed = self._runs_of(test)
        self._fetch([each for each in observed if not self._has_all(each.key) and each.key.target not in self._gone])
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

    def _has_all(self, key: RunKey) -> bool:
        """Whether the history that was fetched is that of a closed run."""
        history = self._histories.get(key)
        return history is not None and bool(history.events) and history.events[-1].event_type in CLOSED

    def _attempt_ended(self, virtual: VirtualAttempt) -> None:
        """What virtual time saw of an attempt is what counts: its times are the server's."""
        with self.recorder.guarded("an attempt in virtual time"):
            observed = self.recorder.by_run_id(virtual.workflow_run_id)
            if observed is None:
                return
            for attempt in observed.attempts:
                if attempt.activity_id == virtual.activity_id and attempt.number == virtual.attempt:
                    attempt.virtual, attempt.start, attempt.end = True, virtual.started, virtual.ended
                    if virtual.outcome != "completes asynchronously":
                        attempt.outcome = virtual.outcome
                    # the recorder's interceptor saw the same beats, but for those sent while it had ended
                    sizes = iter([each.size for each in attempt.beats])
                    attempt.beats = [
                        Beat(virtual.started + timedelta(seconds=beat.seconds), beat.details, next(sizes, 0))
                        for beat in virtual.beats
                    ]
            if virtual.error is not None:
                self.recorder.fault(f"virtual time of activity {virtual.activity_type}: {virtual.error}")

    def _fetch(self, observed: list[Observed]) -> None:
        observed = [each for each in observed if not self.server.trouble(each.key.target)]
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
