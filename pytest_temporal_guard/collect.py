"""Recorded histories (`*.history.json`) as tests: each is replayed against the workflows of the project.

A file is what the CLI, the web UI or `Run.save` writes. Its one item, `replay`, fails with one sentence that says why:
the file is no history, a newer server wrote it, nobody knows the workflow, its code is no longer that of the history,
or a guard finds its history or a payload too large.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_temporal_guard import HISTORY_SUFFIX, TemporalGuardWarning
from pytest_temporal_guard.guards import all_guards, write
from pytest_temporal_guard.process import SETTINGS, session_of
from pytest_temporal_guard.settings import Limits, Settings
from pytest_temporal_guard.wording import one_line

if TYPE_CHECKING:
    from temporalio.client import WorkflowHistory
    from temporalio.converter import DataConverter

    from pytest_temporal_guard.replay import Replayed
    from pytest_temporal_guard.runs import Run

_INI = "temporal_guard_workflows"


class HistoryError(Exception):
    """Why a recorded history fails; a sentence, or several lines of a guard."""


class HistoryFile(pytest.File):
    """A recorded history."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its one item."""
        yield HistoryItem.from_parent(self, name="replay")


class HistoryItem(pytest.Item):
    """The replay of a recorded history."""

    def runtest(self) -> None:
        """Replay and judge."""
        if find_spec("temporalio") is None:
            pytest.skip("temporalio is not installed")
        settings = self.config.stash[SETTINGS]
        limits = Limits(settings, self)
        told: dict[str, list[str]] = {"warn": [], "fail": []}
        run = _read(self.path)
        level = limits["replay"].value
        if level != "off" and not _is_link_of_server(run):
            found = self._replay(run, settings)
            if found is not None:
                told[level].append(found)
        for guard in all_guards():
            level = limits[guard.name].value
            if guard.of_history and level != "off":
                told[level] += [write(run, breach) for breach in guard.judge(run, limits)]
        for message in told["warn"]:
            self.warn(TemporalGuardWarning(message))
        if told["fail"]:
            raise HistoryError("\n\n".join(told["fail"]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The reason alone; a traceback says nothing about a history."""
        if isinstance(excinfo.value, HistoryError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is; warnings want a line."""
        return self.path, 0, f"{self.path.name}::{self.name}"

    def _replay(self, run: Run, settings: Settings) -> str | None:
        assert run.history is not None
        workflow = _find(run.workflow_type, settings.of("workflows").value, self.config.rootpath)
        converter = _converter(settings.of("data_converter").value)
        sidecar = session_of(self.config).sidecar
        replayed = sidecar.call(_replay(run.history, workflow, converter), timeout=60)
        if replayed.nondeterminism is not None:
            return (
                f"{run.title}: {workflow.__qualname__} of {workflow.__module__} does not replay this history: "
                f"{replayed.nondeterminism}. Keep the old path for runs that are under way, by workflow.patched(), "
                "or record the history anew where none is."
            )
        if replayed.task_failure is not None:
            return f"{run.title}: its workflow task fails in the replay: {replayed.task_failure}"
        if replayed.failure is not None:
            return f"{run.title}: the history cannot be replayed: {replayed.failure}"
        return None


def _is_link_of_server(run: Run) -> bool:
    """Whether the time-skipping server ended the run so that it retries, or that cron starts again: whatever the
    workflow's own last command was, such a history replays nowhere. A run that continues as new itself never waits."""
    last = run.events[-1]
    return last.workflow_execution_continued_as_new_event_attributes.HasField("backoff_start_interval")


async def _replay(history: WorkflowHistory, workflow: type, converter: DataConverter) -> Replayed:
    """Replay in the sandbox; where that is what fails, without it, for its restrictions are a worker's to say."""
    from temporalio.worker import UnsandboxedWorkflowRunner
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

    from pytest_temporal_guard.replay import Plan, ReplayFault, replay

    options = {"data_converter": converter, "namespace": "default"}
    try:
        replayed = await replay(
            history, Plan(workflow, options, SandboxedWorkflowRunner(), UnsandboxedWorkflowRunner())
        )
        if replayed.failure is None or replayed.nondeterminism is not None:
            return replayed
    except ReplayFault as error:
        # without a cause it is a replay that hangs, and would hang again
        if error.__cause__ is None:
            raise HistoryError(f"{history.workflow_id}: {error}.") from None
    try:
        return await replay(history, Plan(workflow, options, UnsandboxedWorkflowRunner(), UnsandboxedWorkflowRunner()))
    except ReplayFault as error:
        raise HistoryError(f"{history.workflow_id}: the history cannot be replayed: {error}.") from None


def _read(path: Path) -> Run:
    """The history of a file as a run. Raises HistoryError."""
    from google.protobuf.json_format import ParseError
    from temporalio.client import WorkflowHistory

    from pytest_temporal_guard.runs import Observed, Run, RunKey

    try:
        written = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise HistoryError(f"{path.name} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise HistoryError(f"{path.name} is not JSON: {error}.") from None
    if isinstance(written, list):
        written = {"events": written}
    events = written.get("events") if isinstance(written, dict) else None
    if not isinstance(events, list) or not events:
        raise HistoryError(
            f'{path.name} holds no events; a history has the form {{"events": [...]}}, as '
            "`temporal workflow show --output json` writes it."
        )
    fallback = path.name.removesuffix(HISTORY_SUFFIX)
    try:
        history = WorkflowHistory.from_json(fallback, {"events": events})
    except (ParseError, ValueError, TypeError, AttributeError) as error:
        raise HistoryError(_unreadable(path.name, error)) from None
    _check_events(path.name, history, events)
    started = history.events[0].workflow_execution_started_event_attributes
    history = WorkflowHistory(started.workflow_id or fallback, history.events)
    key = RunKey(str(path), "default", history.workflow_id, started.original_execution_run_id)
    return Run(Observed(key, started.workflow_type.name), history)


def _unreadable(name: str, error: Exception) -> str:
    text = one_line(str(error))
    if "no field named" in text or "Invalid enum value" in text:
        return _too_new(name, text)
    return f"{name} is not a workflow history: {text}."


def _too_new(name: str, what: str) -> str:
    from importlib.metadata import version

    return f"{name} is newer than temporalio {version('temporalio')} can read, upgrade temporalio: {what}."


def _check_events(name: str, history: WorkflowHistory, written: list[Any]) -> None:
    """Refuse what the SDK's core would panic at."""
    from temporalio.api.enums.v1 import EventType

    from pytest_temporal_guard.replay import broken

    first = history.events[0]
    if not first.HasField("workflow_execution_started_event_attributes"):
        raise HistoryError(
            f"{name} does not begin with the start of a workflow, but with event {first.event_id}; export it whole."
        )
    known = set(EventType.values()) - {EventType.EVENT_TYPE_UNSPECIFIED}
    for event, text in zip(history.events, written, strict=True):
        if event.event_type not in known and not event.worker_may_ignore:
            what = f"event {event.event_id} has the unknown type {text.get('eventType', event.event_type)}"
            raise HistoryError(_too_new(name, what))
    flaw = broken(history)
    if flaw is not None:
        raise HistoryError(f"{name} is not whole: {flaw}; export it again.")


def _find(workflow_type: str, places: Iterable[str], root: Path) -> type:
    """The class of a type of workflow. Raises HistoryError where there is none, or more than one."""
    named = tuple(places)
    if named and str(root) not in sys.path:
        # the last place, so that it hides nothing: pytest itself adds only the directories of tests and conftests
        sys.path.append(str(root))
    classes = _unique(cls for place in named for cls in _of_place(place)) if named else _unique(_imported(root))
    by_name: dict[str | None, list[type]] = {}
    for cls in classes:
        by_name.setdefault(cls.__temporal_workflow_definition.name, []).append(cls)  # type: ignore[attr-defined]
    found = by_name.get(workflow_type) or by_name.get(None) or []
    if len(found) > 1:
        # a test's own double of a workflow is not what the history is of
        found = [each for each in found if not _is_test(each.__module__)] or found
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(f"{each.__module__}:{each.__qualname__}" for each in found)
        raise HistoryError(f"Several classes are the workflow `{workflow_type}` ({where}); name one of them in {_INI}.")
    known = ", ".join(sorted(each for each in by_name if each)) or "none"
    place = f"the {_INI} of the ini file ({', '.join(named)})" if named else "what is imported so far"
    raise HistoryError(
        f"No workflow class is named `{workflow_type}` in {place}; known are: {known}. Name the module of the workflow "
        f"in the ini value {_INI}."
    )


def _is_test(module: str) -> bool:
    last = module.rpartition(".")[2]
    return last.startswith("test_") or last.endswith("_test") or last == "conftest"


def _unique(classes: Iterable[type]) -> list[type]:
    """Each class once, also one that is imported under two names."""
    found: dict[tuple[str, str], type] = {}
    for cls in classes:
        module = sys.modules.get(cls.__module__)
        found.setdefault((getattr(module, "__file__", None) or cls.__module__, cls.__qualname__), cls)
    return list(found.values())


def _workflows(module: ModuleType) -> Iterator[type]:
    """The workflow classes that a module defines."""
    for value in list(vars(module).values()):
        if inspect.isclass(value) and value.__module__ == module.__name__ and _is_workflow(value):
            yield value


def _is_workflow(cls: type) -> bool:
    return "__temporal_workflow_definition" in vars(cls)


def _imported(root: Path) -> Iterator[type]:
    """The workflow classes of the project that collection and conftests have imported."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and "site-packages" not in path and Path(path).is_relative_to(root):
            yield from _workflows(module)


def _of_place(place: str) -> Iterator[type]:
    """The workflow classes of MODULE, PACKAGE or MODULE:CLASS."""
    name, _, attribute = place.partition(":")
    module = _import(name, place)
    if attribute:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if not inspect.isclass(found) or not _is_workflow(found):
            raise HistoryError(f"{_INI}: {place} is not a workflow class.")
        yield found
        return
    yield from _workflows(module)
    for each in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        if not each.name.endswith(".__main__"):
            yield from _workflows(_import(each.name, place))


def _import(name: str, place: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        raise HistoryError(f"{_INI}: {place}: {name} cannot be imported: {type(error).__name__}: {error}.") from None


def _converter(place: str | None) -> DataConverter:
    """The data converter of MODULE:NAME; the SDK's by default."""
    from temporalio.converter import DataConverter

    if place is None:
        return DataConverter.default
    name, _, attribute = place.partition(":")
    try:
        found: Any = import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise HistoryError(
            f"temporal_guard_data_converter: {place} cannot be imported: {type(error).__name__}: {error}."
        ) from None
    if not isinstance(found, DataConverter):
        raise HistoryError(f"temporal_guard_data_converter: {place} is not a DataConverter.")
    return found
