"""A workflow does the same when it is replayed.

## What it asserts
The history of each run that has ended is replayed by its own worker's workflows, interceptors and data converter. The
replay gives the same commands as the first run, with the same arguments, results, ids, timers, timeouts, task queues
and failures.

With `--temporal-guard-hash-seeds N` the replay runs again in N processes with other hash seeds. That finds an order
that depends on the hashes of strings: of a set, for example.

## Why
A worker that no longer has a run in its cache (a restart, a deployment, a full cache) replays the run from its
history. If the code then comes to other commands, the workflow task fails again and again with a nondeterminism error
and the run stands still. The SDK compares only the kinds, names and ids of commands: another argument, timer, timeout
or task queue goes unnoticed, and the workflow goes on with a value that nobody has ever sent.

## What to change
Take time from `workflow.now()`, ids from `workflow.uuid4()`, random numbers from `workflow.random()`. Iterate over
`sorted(...)` and not over a set. Keep state on the instance of the workflow, not in globals or in class attributes.
Read settings and the environment in an activity, or pass them as arguments.

## Limits
Runs that are still open at the end of their test are not replayed, nor are those whose worker is in another process.
Headers are not compared (tracing writes other ones on purpose), nor are stack traces, nor the order of cancellations
that are asked for together. The time-skipping server puts an update
that comes together with a signal in an order that nobody can replay; such a history is not judged. A workflow that
needs what a test patches only while it runs is replayed without it:
switch the guard off for such a test, `@pytest.mark.temporal_guard(replay="off")`. What a replay changes in the modules
of the workflow is undone, as far as it is held in variables, attributes and containers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.settings import LEVEL, Limits, Setting, level, names, number_of, text

if TYPE_CHECKING:
    from pytest_temporal_guard.runs import Run

SETTINGS = (
    Setting("replay", level, LEVEL, "fail", "What becomes of a test whose workflow does something else in a replay."),
    Setting(
        "hash_seeds", number_of, "a whole number, at least 0", 0,
        "Processes with other hash seeds in which each run is replayed too, to find orders that depend on hashes.",
        "session",
    ),
    Setting(
        "workflows", names, "modules, packages, or MODULE:CLASS", (),
        "Where the workflows of recorded histories (*.history.json) are: modules, packages, or MODULE:CLASS. "
        "Without it: all of the project that is imported.",
        "session", ini="linelist",
    ),
    Setting(
        "data_converter", text, "MODULE:NAME", None,
        "The data converter of recorded histories (*.history.json), as MODULE:NAME, where it is not the SDK's.",
        "session",
    ),
)  # fmt: skip


async def prepare(run: Run, limits: Limits) -> None:
    """Replay the run and note what differs."""
    from pytest_temporal_guard.replay import check

    agreed = await check(run)
    processes = limits["hash_seeds"].value
    if agreed is not None and processes:
        from pytest_temporal_guard.seeds import check_seeds

        await check_seeds(run, agreed, processes)


def judge(run: Run, limits: Limits) -> Iterator[Breach]:
    """Tell what differed."""
    for difference in run.observed.replay:
        yield Breach(difference.measured, difference.advice)
