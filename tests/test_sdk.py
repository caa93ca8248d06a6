"""The SDK's tables against the SDK itself, and the questions that rules ask of them."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import itertools
import json
import re
import subprocess
import sys
import typing
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from temporal_lint import sdk

pytest.importorskip("temporalio")

ROOT = Path(__file__).resolve().parent.parent
HISTORY = json.loads((ROOT / "temporal_lint" / "data" / "sdk_history.json").read_text(encoding="utf-8"))
FUNCTIONS = sorted(sdk.functions())
NONE_RETURNING = [dotted for dotted in FUNCTIONS if (found := sdk.signature(dotted)) and found.returns_none]


@functools.cache
def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def live(dotted: str) -> Any:
    """The object of the installed SDK that a dotted name means; a property gives its getter."""
    module = max((each for each in sdk.modules() if dotted.startswith(f"{each}.")), key=len)
    value = functools.reduce(getattr, dotted.removeprefix(f"{module}.").split("."), importlib.import_module(module))
    return value.fget if isinstance(value, property) else value


def known(dotted: str) -> sdk.Signature:
    found = sdk.signature(dotted)
    assert found, dotted
    return found


def is_unbound(dotted: str) -> bool:
    return known(dotted).kind in ("method", "property")


@pytest.mark.skipif(
    ".".join(map(str, sys.version_info[:2])) != sdk.python(), reason="the table is read with another Python"
)
def test_table_is_the_installed_sdk() -> None:
    assert tool("sdk_tables").difference() == []


def test_check_shows_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    tables = tool("sdk_tables")
    stale = tmp_path / "sdk.json"
    stale.write_text(tables.TABLE.read_text(encoding="utf-8").replace('"version":"', '"version":"0.'), encoding="utf-8")
    monkeypatch.setattr(tables, "TABLE", stale)
    assert tables.main(["--check"]) == 1
    assert '-"version":"0.' in capsys.readouterr().out


def test_reading_needs_no_sdk_and_no_parser() -> None:
    code = (
        "import sys; from temporal_lint import sdk; assert not sdk._table.cache_info().currsize;"
        "assert sdk.signature('temporalio.worker.Worker') and sdk.history('temporalio.nexus');"
        "print(sorted({'temporalio', 'libcst'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("dotted", FUNCTIONS[::7])
def test_signature_is_that_of_the_live_object(dotted: str) -> None:
    value, found = live(dotted), known(dotted)
    expected = list(inspect.signature(value).parameters.values())[int(is_unbound(dotted)) :]
    assert [each.name for each in found.parameters] == [each.name for each in expected]
    assert [each.kind for each in found.parameters] == [tool("sdk_tables").KINDS[each.kind] for each in expected]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    assert [each.required for each in found.parameters] == [
        each.default is each.empty and each.kind not in variable for each in expected
    ]
    assert found.is_coroutine is inspect.iscoroutinefunction(value)


@pytest.mark.parametrize("dotted", NONE_RETURNING)
def test_what_returns_none_says_so_in_every_overload(dotted: str) -> None:
    value = live(dotted)
    value = getattr(value, "__func__", value)
    # typing.get_overloads is new in 3.11; where it is missing the implementation speaks for all.
    overloads: list[Any] = getattr(typing, "get_overloads", lambda _: [])(value)
    assert {str(each.__annotations__["return"]) for each in (value, *overloads)} <= {"None", "<class 'NoneType'>"}


@pytest.mark.parametrize(
    "dotted",
    ["workflow.wait_condition", "workflow.sleep", "activity.heartbeat", "client.WorkflowHandle.signal"],
)
def test_famous_calls_return_none(dotted: str) -> None:
    assert known(f"temporalio.{dotted}").returns_none


@pytest.mark.parametrize(
    "dotted", ["workflow.execute_activity", "workflow.continue_as_new", "workflow.patched", "worker.Worker"]
)
def test_other_calls_do_not(dotted: str) -> None:
    assert not known(f"temporalio.{dotted}").returns_none


CALLS = [
    "temporalio.workflow.execute_activity",
    "temporalio.workflow.start_local_activity_method",
    "temporalio.workflow.sleep",
    "temporalio.activity.heartbeat",
    "temporalio.client.Client.start_workflow",
    "temporalio.client.Client.connect",
    "temporalio.client.WorkflowHandle.signal",
    "temporalio.common.RetryPolicy.__init__",
    "temporalio.worker.Worker.__init__",
    "temporalio.exceptions.ApplicationError.__init__",
]


@pytest.mark.parametrize("dotted", CALLS)
def test_bind_agrees_with_python(dotted: str) -> None:
    signature = inspect.signature(live(dotted))
    receiver = (None,) * is_unbound(dotted)
    found = known(dotted)
    words = [*found.keywords[:4], *found.keywords[-2:], "no_such_option"]
    required = [each.name for each in found.parameters if each.required and each.kind == "kw"]
    for positional, size in itertools.product(range(4), range(3)):
        for chosen in itertools.combinations(words, size):
            given = {*chosen, *required}
            try:
                signature.bind(*receiver, *range(positional), **dict.fromkeys(given))
                fits = True
            except TypeError:
                fits = False
            assert found.bind(positional, given).fits is fits, (positional, given)


def test_bind_says_what_is_wrong() -> None:
    start = known("temporalio.client.Client.start_workflow")
    assert start.positional_limit == 2
    assert start.bind(3, ["id", "arg", "taskqueue"]) == sdk.Binding(1, ("taskqueue",), ("arg",), ("task_queue",))
    assert start.bind(1, [], more_keywords=True).fits
    assert not start.bind(1, ["nope"], more_keywords=True).fits
    assert known("temporalio.exceptions.ApplicationError").positional_limit is None


def test_how_a_call_is_awaited() -> None:
    assert known("temporalio.workflow.execute_activity").is_coroutine
    started = known("temporalio.workflow.start_activity")
    assert (started.is_coroutine, started.is_awaitable) == (False, True)
    assert known("temporalio.workflow.start_child_workflow").is_coroutine
    assert not known("temporalio.workflow.info").is_awaitable


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("temporalio.client.Client.connect", "temporalio.client.Client"),
        ("temporalio.client.Client.start_workflow", "temporalio.client.WorkflowHandle[Any, Any]"),
        ("temporalio.workflow.start_activity", "temporalio.workflow.ActivityHandle[Any]"),
        ("temporalio.workflow.now", "datetime.datetime"),
        ("temporalio.workflow.info", "temporalio.workflow.Info"),
    ],
)
def test_what_a_call_gives(dotted: str, expected: str) -> None:
    assert known(dotted).returns == expected


def test_no_private_module_shows_in_a_name_or_type() -> None:
    for dotted in FUNCTIONS:
        found = known(dotted)
        text = f"{dotted} {found.returns}"
        assert not re.search(r"\._[a-z]|_pb2", text), text


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("temporalio.workflow", "execute_activity", True),
        ("temporalio.workflow", "_Definition", True),
        ("temporalio.workflow", "_context", True),
        ("temporalio.workflow", "ApplicationError", False),
        ("temporalio.workflow", "RetryPolicy", False),
        ("temporalio.workflow", "_no_such_name", False),
        ("temporalio", "workflow", True),
        ("temporalio", "contrib", True),
        ("temporalio", "Client", False),
        ("temporalio", "openai_agents", None),
        ("temporalio.contrib", "opentelemetry", True),
        ("temporalio.contrib.opentelemetry", "TracingInterceptor", None),
        ("temporalio.api.common.v1", "Payload", None),
        ("asyncio", "sleep", None),
    ],
)
def test_exists(module: str, name: str, expected: bool | None) -> None:
    assert sdk.exists(module, name) is expected


def test_every_listed_name_can_be_imported() -> None:
    for module in sdk.modules():
        loaded = importlib.import_module(module)
        for name in dir(loaded):
            assert sdk.exists(module, name) in (True, None), f"{module}.{name}"


def test_one_object_has_one_name() -> None:
    for alias, name in sdk._table()["aliases"].items():
        assert live(alias) is live(name)
        assert sdk.canonical(alias) == name == sdk.canonical(name)
    assert sdk.canonical("temporalio.client.RPCError.status") == "temporalio.service.RPCError.status"
    assert sdk.canonical("my.own.Client") == "my.own.Client"


def test_classes() -> None:
    info = sdk.class_info("temporalio.workflow.ParentClosePolicy")
    assert info and "ABANDON" in info.members
    assert sdk.class_has("temporalio.workflow.ParentClosePolicy", "ABANDON") is True
    assert sdk.class_has("temporalio.workflow.ParentClosePolicy", "DETACH") is False
    assert sdk.class_has("temporalio.client.Client", "start_workflow") is True
    assert sdk.class_has("temporalio.client.Client", "run_workflow") is False
    assert sdk.class_has("temporalio.exceptions.ApplicationError", "with_traceback") is None
    assert sdk.class_has("temporalio.nowhere.Client", "connect") is None
    assert sdk.attribute_type("temporalio.workflow.Info", "workflow_id") == "str"
    policy = sdk.class_info("temporalio.common.RetryPolicy")
    assert policy and policy.is_dataclass and policy.attributes["initial_interval"] == "datetime.timedelta"


def test_no_live_attribute_is_denied() -> None:
    for dotted in sdk._table()["classes"]:
        for name in dir(live(dotted)):
            assert sdk.class_has(dotted, name) is not False, f"{dotted}.{name}"


def test_inherited_methods_are_found() -> None:
    found = sdk.method("temporalio.exceptions.TimeoutError", "cause")
    assert found and found.dotted == "temporalio.exceptions.TemporalError.cause" and found.kind == "property"
    assert sdk.signature("temporalio.exceptions.TimeoutError.cause") == found
    assert sdk.method("temporalio.exceptions.TimeoutError", "no_such_method") is None


def test_options() -> None:
    timeouts = {"schedule_to_close_timeout", "schedule_to_start_timeout", "start_to_close_timeout"}
    remote, local = (sdk.options(f"temporalio.workflow.execute_{kind}activity") for kind in ("", "local_"))
    assert remote and remote.durations == timeouts | {"heartbeat_timeout"} and remote.retry_policies == {"retry_policy"}
    assert local and local.durations == timeouts | {"local_retry_threshold"} and "heartbeat_timeout" not in local.names
    assert "args" not in remote.names and "arg" not in remote.names
    config = sdk.options("temporalio.workflow.ActivityConfig")
    assert config and config.durations == remote.durations and config.retry_policies == remote.retry_policies
    policy, worker = sdk.options("temporalio.common.RetryPolicy"), sdk.options("temporalio.worker.Worker")
    assert policy and policy.durations == {"initial_interval", "maximum_interval"}
    assert worker and "graceful_shutdown_timeout" in worker.durations
    # These also take seconds as a number.
    assert sdk.options("temporalio.workflow.sleep") is None
    assert sdk.options("temporalio.workflow.wait_condition") is None


def test_options_are_keywords_of_the_call() -> None:
    for dotted, entry in sdk._table()["options"].items():
        if found := sdk.signature(dotted):
            assert {*entry["names"], *entry["durations"], *entry["retry_policies"]} <= set(found.keywords), dotted


def test_deprecated_names_exist_and_parameters_are_taken() -> None:
    deprecated = sdk._table()["deprecated"]
    assert deprecated
    for key, entry in deprecated.items():
        dotted, _, parameter = key.partition(":")
        owner, _, name = dotted.rpartition(".")
        if parameter:
            assert known(dotted).accepts_keyword(parameter), key
        else:
            assert sdk.class_has(owner, name) or sdk.exists(owner, name), key
        if rename := entry.get("rename"):
            assert live(rename) is not None
        assert entry["advice"].endswith(".") and "\n" not in entry["advice"]


def test_deprecated() -> None:
    found = sdk.deprecated("temporalio.worker.Worker", "build_id")
    assert found and found.rename is None and "deployment_config" in found.advice
    assert sdk.deprecated("temporalio.workflow.execute_activity", "versioning_intent")
    assert sdk.deprecated("temporalio.worker.Worker", "task_queue") is None
    assert sdk.deprecated("temporalio.workflow.deprecate_patch") is None
    assert sdk.deprecated("temporalio.converter.DataConverter.default") is None


def test_a_rename_changes_nothing_else() -> None:
    for key, entry in sdk._table()["deprecated"].items():
        if "rename" in entry:
            old = live(key)
            assert (old() if "uncall" in entry else old) is live(entry["rename"])


def test_warning_and_table_agree_on_search_attributes() -> None:
    """The SDK warns of the dictionary form only, so the parameter itself is not deprecated."""
    common = importlib.import_module("temporalio.common")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        common._warn_on_deprecated_search_attributes({"key": ["value"]})
    assert [each.category for each in caught] == [DeprecationWarning]
    assert sdk.deprecated("temporalio.client.Client.start_workflow", "search_attributes") is None


def test_restricted() -> None:
    found = sdk.restricted()
    assert found["time.time"] == sdk.Restriction("use", True)
    assert found["random.random"] == sdk.Restriction("use", False)
    assert found["os.*"].at_runtime and found["os.path"].at_runtime
    assert found["os.stat"].how == "allowed"
    assert found["asyncio.wait"].how == "warn"


def test_restricted_is_what_the_sandbox_matches() -> None:
    sandbox = importlib.import_module("temporalio.worker.workflow_sandbox")
    from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext

    matcher = sandbox.SandboxRestrictions.invalid_module_members_default
    for name, restriction in sdk.restricted().items():
        path = name.split(".")
        for at_runtime in (True, False):
            context = RestrictionContext()
            context.is_runtime = at_runtime
            called = [*path, "__call__"] if restriction.how == "warn" else path
            matched = matcher.match_access(context, *called, include_use=restriction.how == "use")
            assert matched is (restriction.how != "allowed" and (at_runtime or not restriction.at_runtime)), name


def test_history() -> None:
    assert sdk.history("temporalio.nexus") == sdk.History("1.14.0", None)
    assert sdk.history("temporalio.runtime.TracingConfig") == sdk.History(None, "1.4.0")
    assert sdk.history("temporalio.workflow.execute_activity") is None
    assert sdk.history("temporalio.workflow.no_such_name") is None
    assert sdk.history("temporalio.workflow.execute_activity", "priority") == sdk.History("1.12.0", None)
    assert sdk.history("temporalio.worker.Worker", "deployment_config") == sdk.History("1.12.0", None)
    assert sdk.releases()[0] == "1.0.0"


def test_what_an_older_release_had() -> None:
    tracing, summary = "temporalio.runtime.TracingConfig", "temporalio.workflow.execute_child_workflow"
    assert sdk.had((1, 2, 0), tracing)
    assert not sdk.had((1, 4, 0), tracing)
    assert not sdk.had(None, tracing)
    assert sdk.had((1, 12), summary, "summary")
    assert not sdk.had((1, 30, 0), summary, "summary")
    assert not sdk.had((1, 2, 0), "temporalio.workflow.no_such_name")
    assert sdk.had((1, 2, 0), "temporalio.workflow._no_such_name")
    assert not sdk.had((1, 35, 0), "temporalio.workflow._no_such_name")


def test_a_release_without_the_successor_is_not_told_of_it() -> None:
    worker, info = "temporalio.worker.Worker", "temporalio.workflow.Info.search_attributes"
    assert sdk.deprecated(worker, "build_id", (1, 10, 0)) is None
    assert sdk.deprecated(worker, "build_id", (1, 12, 0))
    assert sdk.deprecated(info, release=(1, 2, 0)) is None
    assert sdk.deprecated(info, release=(1, 4, 0))
    assert sdk.deprecated("temporalio.workflow.VersioningIntent", release=(1, 10, 0)) is None
    assert sdk.deprecated("temporalio.converter.default", release=(1, 0, 0))


def test_history_ends_at_the_release_of_the_table() -> None:
    assert sdk.releases()[-1] == sdk.version()


def test_history_agrees_with_the_table() -> None:
    for key, (_, removed) in HISTORY["names"].items():
        dotted, _, parameter = key.partition(":")
        owner, _, name = dotted.rpartition(".")
        if parameter:
            found = sdk.signature(dotted)
            there = found.accepts_keyword(parameter) if found else None
        else:
            there = sdk.class_has(owner, name) if sdk.class_info(owner) else sdk.exists(owner, name)
        assert there is None or there is not bool(removed), key


def test_history_reads_source_without_importing_it() -> None:
    history = tool("sdk_history")
    text = (
        "from typing import TYPE_CHECKING, Any\n"
        "from ._inner import Thing as Renamed\n"
        "from temporalio.other import helper\n"
        "if TYPE_CHECKING:\n    from temporalio.types import Hidden\n"
        "try:\n    VALUE = 1\nexcept ImportError:\n    pass\n"
        "def run(one, *, two): ...\n"
    )
    inner = "class Base:\n    def inherited(self, x): ...\nclass Thing(Base):\n    field: int\n    _private = 1\n"
    modules = {
        "temporalio.pkg": history.Source("temporalio.pkg", True, ast.parse(text)),
        "temporalio.pkg._inner": history.Source("temporalio.pkg._inner", False, ast.parse(inner)),
    }
    names = {"", ".Renamed", ".Renamed.field", ".Renamed.inherited", ".Renamed.inherited:x"}
    names |= {".VALUE", ".helper", ".run", ".run:one", ".run:two"}
    assert history.names_of(modules) == {f"temporalio.pkg{name}" for name in names}
