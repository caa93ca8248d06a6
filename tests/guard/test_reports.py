"""What is told of runs: the terminal's section, JUnit properties, the JSON report; alone and under pytest-xdist."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from pytest_temporal_guard.reports.figures import share
from pytest_temporal_guard.reports.terminal import _HEADINGS, _line, _widths
from pytest_temporal_guard.wording import bytes_text, span_text

APP = Path(__file__).parents[1] / "fixtures" / "guard" / "reports"
SERVER = Path(sys.executable).with_name("temporal-test-server")

pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for each in APP.glob("*.py"):
        shutil.copy(each, pytester.path)
    monkeypatch.setenv("TEMPORAL_TEST_SERVER", str(SERVER if SERVER.exists() else shutil.which("temporal-test-server")))
    monkeypatch.setenv("COLUMNS", "80")
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)


def section(result: pytest.RunResult) -> list[str]:
    lines = result.stdout.lines
    start = next(i for i, line in enumerate(lines) if line.startswith("=") and " temporal guard " in line)
    end = next(i for i, line in enumerate(lines) if i > start and line.startswith("="))
    return lines[start + 1 : end]


def properties(path: Path) -> dict[str, dict[str, str]]:
    cases = ElementTree.parse(path).iter("testcase")
    return {
        str(case.get("name")): {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
        for case in cases
    }


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_everything_is_told(suite: pytest.Pytester, workers: tuple[str, ...]) -> None:
    result = run(
        suite, "--temporal-guard", "--temporal-guard-report", "out/report.json", "--junitxml", "junit.xml", *workers
    )
    result.assert_outcomes(passed=3, failed=1, warnings=1)

    told = section(result)
    assert told[0].split() == list(_HEADINGS)
    assert all(len(line) <= 80 for line in told[:8])
    rows = [line.split() for line in told[1:8]]
    assert sorted(row[1] for row in rows) == ["Chain"] * 3 + ["Order"] * 2 + ["Parcel"] * 2
    # nearest to a limit first: three times the payload's, then five events where three are allowed
    assert [row[1] for row in rows[:4]] == ["Order", "Chain", "Chain", "Chain"]
    assert rows[0][2:3] + rows[0][-1:] == ["26", "completed"] and "2 d 3 h" in told[1]
    assert [row[-1] for row in rows[1:4]].count("continued") == 2
    assert told[8].startswith("7 runs in 3 tests: 4 breaches, 87 events, 12.")
    assert told[9].startswith("warning: test_order_with_a_large_label: Order: the result of activity `pack` has 3,0")
    assert told[10] == f"report: {suite.path / 'out' / 'report.json'}"
    assert len(told) == 11  # no faults

    junit = properties(suite.path / "junit.xml")
    assert junit["test_without_a_workflow"] == {}
    chain = junit["test_chain"]
    assert int(chain.pop("temporal_guard.max_history_bytes")) > 400
    assert chain == {
        "temporal_guard.runs": "3",
        "temporal_guard.max_history_events": "5",
        "temporal_guard.max_payload_bytes": "27",
        "temporal_guard.activities": "0",
        "temporal_guard.breaches": "3",
    }
    assert junit["test_order"]["temporal_guard.activities"] == "2"

    report = json.loads((suite.path / "out" / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema())
    check_report(report)


def schema() -> Any:
    return json.loads((files("pytest_temporal_guard.reports") / "schema.json").read_text(encoding="utf-8"))


def check_report(report: dict[str, Any]) -> None:
    assert report["version"] == 1 and report["faults"] == []
    totals = report["totals"]
    assert (totals["runs"], totals["tests"], totals["breaches"], totals["warnings"]) == (7, 3, 4, 1)
    by_id = {(each["workflow_id"], each["workflow"]): each for each in report["runs"]}
    order = by_id["order/</script><b>1", "Order"]
    assert order["test"] == "test_orders.py::test_order" and order["outcome"] == "completed"
    assert order["limits"]["history_events"] == {
        "value": 26, "limit": 10240, "origin": "the default", "share": round(26 / 10240, 4),
    }  # fmt: skip
    hour, day = 3600, 86400
    assert order["virtual_seconds"] == pytest.approx(2 * day + 3 * hour, abs=5)
    detail = order["detail"]
    assert sum(each["bytes"] for each in detail["events"]) == order["bytes"] and len(detail["events"]) == 26
    charge, pack = detail["activities"]
    # the retries of the skipped hours lie where the server put them, not where this machine's clock was
    assert [each["outcome"] for each in charge["attempts"]] == ["failed", "failed", "completed"]
    assert [each["start_at"] for each in charge["attempts"]] == pytest.approx([0, hour, 3 * hour], abs=2)
    assert len(pack["attempts"][0]["beats"]) == 3 and pack["heartbeat_timeout"] == 10
    beats = [pack["attempts"][0]["start_at"], *pack["attempts"][0]["beats"], pack["attempts"][0]["end_at"]]
    assert beats == sorted(beats) and beats[0] >= pack["scheduled_at"]
    (child,) = detail["children"]
    parcel = by_id["order/</script><b>1/parcel", "Parcel"]
    assert (child["run_id"], parcel["parent_run_id"]) == (parcel["run_id"], order["run_id"])
    (timer,) = parcel["detail"]["timers"]
    assert (timer["seconds"], timer["outcome"]) == (2 * day, "fired")
    warned = by_id["order-2", "Order"]["breaches"]
    assert [(each["guard"], each["level"], each["limit"]) for each in warned] == [("payload", "warn", 1000)]
    chain = [each for each in report["runs"] if each["workflow"] == "Chain"]
    assert {each["continued_from"] for each in chain} - {None} <= {each["run_id"] for each in chain}


def test_nothing_is_told_where_there_are_no_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_nothing():
            loaded = [name for name in sys.modules if name.startswith("pytest_temporal_guard.reports.")]
            assert not loaded and "temporalio" not in sys.modules
        """
    )
    result = pytester.runpytest_subprocess("--junitxml", "junit.xml")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*temporal guard*")
    assert properties(pytester.path / "junit.xml") == {"test_nothing": {}}


def test_a_report_that_is_asked_for_is_written_without_runs(suite: pytest.Pytester) -> None:
    found = run(
        suite, "--temporal-guard-report", "a.json", "--temporal-guard-report", "b.html", "-k", "without_a_workflow"
    )
    assert found.ret == 0
    report = json.loads((suite.path / "a.json").read_text())
    jsonschema.validate(report, schema())
    assert report["runs"] == []
    assert "No test started a workflow." in (suite.path / "b.html").read_text()


def test_collecting_alone_overwrites_no_report(suite: pytest.Pytester) -> None:
    (suite.path / "a.json").write_text("of yesterday")
    run(suite, "--temporal-guard", "--temporal-guard-report", "a.json", "--collect-only")
    assert (suite.path / "a.json").read_text() == "of yesterday"


def test_a_file_that_cannot_be_written_costs_no_other(suite: pytest.Pytester) -> None:
    (suite.path / "file").touch()
    result = run(
        suite, "--temporal-guard", "--temporal-guard-report", "file/a.json", "--temporal-guard-report", "b.html",
        "-k", "without_a_workflow",
    )  # fmt: skip
    assert result.ret == 0
    assert section(result) == [
        f"The report {suite.path / 'file' / 'a.json'} cannot be written: File exists.",
        f"report: {suite.path / 'b.html'}",
    ]


def test_another_ending_is_refused(suite: pytest.Pytester) -> None:
    result = run(suite, "--temporal-guard-report", "report.xml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --temporal-guard-report on the command line: ?'report.xml'? is not allowed; "
            "write files that end in .json or .html."
        ]
    )


def test_a_fault_of_the_guard_is_told_once(suite: pytest.Pytester) -> None:
    """As a warning, which fails no test even where warnings are errors."""
    suite.makeconftest(
        """
        from pytest_temporal_guard.guards import history
        from pytest_temporal_guard import guards
        def broken(run, limits):
            raise RuntimeError("of no use")
            yield
        guards.all_guards.cache_clear()
        history.judge = broken
        """
    )
    result = run(suite, "--temporal-guard")
    # one of the warnings is the suite's own
    result.assert_outcomes(passed=4, warnings=2)
    told = [line.strip().partition(":0: ")[2] for line in result.outlines if "of no use" in line]
    assert told == [
        "TemporalGuardWarning: The guard itself failed, which no test is blamed for: the guard history: RuntimeError: "
        "of no use"
    ]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_columns_fit_the_terminal(width: int) -> None:
    row = ("t" * 90, "W" * 60, "10,240", "10.0 MiB", "1.9 MiB", "1,000", "364 d 23 h", "completed")
    widths = _widths([_HEADINGS, row], width)
    assert len(_line(row, widths)) < width
    assert min(widths[:2]) >= 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.0125, "12 ms"), (1, "1 s"), (3.24, "3.2 s"), (59.94, "59.9 s"), (60, "1 min"),
        (3599, "59 min 59 s"), (3600, "1 h"), (86400 + 7200, "1 d 2 h"), (10 * 31_536_000, "10 y"),
    ],
)  # fmt: skip
def test_spans_are_written_in_two_units(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (102_400, "100 KiB"),
        (10 * 1024**2, "10.0 MiB"),
        (2**41, "2048 GiB"),
    ],
)
def test_sizes_are_written_in_binary_units(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_the_share_is_that_of_the_nearest_limit() -> None:
    assert share({"limits": {"a": {"share": 0.2}, "b": {"share": 1.5}}}) == 1.5
