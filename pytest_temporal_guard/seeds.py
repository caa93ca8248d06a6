"""Replays in processes with other hash seeds: they find orders that depend on the hashes of strings.

A process is started when it is first needed, serves all tests of the session, and ends with it: it reads requests from
its standard input, one JSON object on a line, and ends when that is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import importlib
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from pytest_temporal_guard.commands import first_difference
from pytest_temporal_guard.replay import Agreed, Plan, Replayed, ReplayFault, replay
from pytest_temporal_guard.runs import Difference, Run

# A process has to import the SDK and the workflow's module first.
_PATIENCE = 30.0
# Seeds tried to tell an order that depends on the seed from a process that differs in something else. Two elements
# have one order or the other: that five seeds agree by chance has a probability of 3 %.
_TRIALS = 5
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pytest_temporal_guard.seeds import serve; serve()"
)

ADVICE = (
    "Iterate over sorted(...) where an order reaches a command: the order of a set of strings, and all that is derived "
    "from hash(), is another one in each process."
)


class Answer(NamedTuple):
    """What a process found: the commands of its replay, and the SDK's message if the history does not fit."""

    commands: list[bytes]
    failure: str | None


async def check_seeds(run: Run, agreed: Agreed, count: int) -> None:
    """Replay a run in `count` processes and note in `run.observed.replay` the first difference.

    Raises ReplayFault where the run cannot be replayed in another process; for each workflow that is said once.
    """
    first, plan = agreed
    request = _request(run, plan)
    if request is None:
        return
    for seed in _seeds(count):
        answer = await _ask(seed, request)
        difference = _difference(run, first, answer)
        if difference is None:
            continue
        for other in _seeds(count + _TRIALS)[count:]:
            if await _ask(other, request) != answer:
                run.observed.replay.append(difference)
                return
        _told.add(_name(plan.workflow))
        raise ReplayFault(
            f"{run.title}: a replay in another process gives other commands, whatever its hash seed; "
            "it is not compared, for something besides the seed differs there: what a conftest or a test sets up."
        )


def _difference(run: Run, first: Sequence[bytes], answer: Answer) -> Difference | None:
    found = first_difference(first, answer.commands, run.parameters, whole=answer.failure is None)
    if found is not None:
        return Difference(f"with another hash seed {found.measured}", ADVICE)
    if answer.failure is not None:
        return Difference(f"with another hash seed its history does not replay: {answer.failure}", ADVICE)
    return None


def _seeds(count: int) -> list[int]:
    """That many seeds; not the session's own."""
    own = os.environ.get("PYTHONHASHSEED")
    return [each for each in range(1, count + 2) if str(each) != own][:count]


_told: set[str] = set()


def _request(run: Run, plan: Plan) -> dict[str, Any] | None:
    """What a process needs to replay the run. None where that was said to be impossible before."""
    cls = plan.workflow
    if _name(cls) in _told:
        return None
    reason = None
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__ or not _is_importable(cls):
        reason = f"{_name(cls)} cannot be imported by its name"
    else:
        try:
            pickled = pickle.dumps(plan.options)
        except Exception as error:
            reason = f"the worker's interceptors or converters cannot be taken to another process ({error})"
    if reason is not None:
        _told.add(_name(cls))
        raise ReplayFault(f"{run.workflow_type} is not replayed with other hash seeds: {reason}")
    assert run.history is not None
    return {
        "path": sys.path,
        "module": cls.__module__,
        "name": cls.__qualname__,
        "options": _text(pickled),
        "workflow_id": run.workflow_id,
        "events": [_text(each.SerializeToString()) for each in run.history.events],
    }


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_importable(cls: type) -> bool:
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


class _Process:
    """One process with a hash seed."""

    def __init__(self, seed: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.lock = threading.Lock()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request; blocks. Raises ValueError or OSError when the process is gone."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with self.lock:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
            return answer

    def stop(self) -> None:
        """End it."""
        with suppress(OSError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


_processes: dict[int, _Process] = {}


async def _ask(seed: int, request: dict[str, Any]) -> Answer:
    process = _processes.get(seed)
    if process is None:
        if not _processes:
            atexit.register(stop)
        process = _processes[seed] = _Process(seed)
    loop = asyncio.get_running_loop()
    try:
        answer = await asyncio.wait_for(loop.run_in_executor(None, process.ask, request), _PATIENCE)
    except (OSError, ValueError, asyncio.TimeoutError):
        _processes.pop(seed).stop()
        raise ReplayFault(f"{request['name']}: the process with hash seed {seed} does not answer") from None
    if answer["fault"] is not None:
        raise ReplayFault(f"{request['name']}, replayed with hash seed {seed}: {answer['fault']}")
    return Answer([_bytes(each) for each in answer["commands"]], answer["failure"])


def stop() -> None:
    """End all processes."""
    while _processes:
        _processes.popitem()[1].stop()


def serve() -> None:
    """Answer requests until standard input is closed. The body of a process."""
    out = os.fdopen(os.dup(1), "wb")
    # what the user's code prints is no answer
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    loop = asyncio.SelectorEventLoop()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            replayed = loop.run_until_complete(_serve_one(request))
            answer = {
                "commands": [_text(each) for each in replayed.commands],
                "failure": replayed.nondeterminism or replayed.task_failure,
                "fault": None,
            }
            if replayed.failure is not None and answer["failure"] is None:
                answer["fault"] = str(replayed.failure)
        except Exception as error:
            answer = {"commands": [], "failure": None, "fault": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


async def _serve_one(request: dict[str, Any]) -> Replayed:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.client import WorkflowHistory
    from temporalio.worker import UnsandboxedWorkflowRunner

    sys.path[:] = request["path"]
    workflow: Any = importlib.import_module(request["module"])
    for part in request["name"].split("."):
        workflow = getattr(workflow, part)
    # A process of its own needs no sandbox: its modules are nobody else's.
    plan = Plan(
        workflow, pickle.loads(_bytes(request["options"])), UnsandboxedWorkflowRunner(), UnsandboxedWorkflowRunner()
    )
    events = [HistoryEvent.FromString(_bytes(each)) for each in request["events"]]
    return await replay(WorkflowHistory(request["workflow_id"], events), plan)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
