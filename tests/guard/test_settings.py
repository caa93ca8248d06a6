"""Marker, command line, ini, default: which of them wins, and what a wrong one is told."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from pytest_temporal_guard.settings import flag, level, names, seconds, size

PLACES = ("marker", "command line", "ini")
PROBE = """
import pytest
from pytest_temporal_guard.plugin import SETTINGS

{marker}
def test_probe(request):
    found = request.config.stash[SETTINGS].of("max_history_events", request.node)
    print(f"value={{found.value}} origin={{found.origin}}")
"""


@pytest.mark.parametrize("given", [c for n in range(4) for c in itertools.combinations(PLACES, n)], ids=" and ".join)
def test_precedence(pytester: pytest.Pytester, given: tuple[str, ...]) -> None:
    """Every combination of places: the first of marker, command line and ini wins, else the default."""
    values = {"marker": 111, "command line": 222, "ini": 333}
    marker = "@pytest.mark.temporal_guard(max_history_events=111)" if "marker" in given else ""
    pytester.makepyfile(PROBE.format(marker=marker))
    pytester.makeini("[pytest]\n" + ("temporal_guard_max_history_events = 333\n" if "ini" in given else ""))
    options = ["--temporal-guard-max-history-events=222"] if "command line" in given else []
    output = pytester.runpytest("-s", *options).stdout.str()
    first = next((each for each in PLACES if each in given), None)
    assert f"value={values[first] if first else 10_240} " in output
    origins = {
        "marker": "the marker temporal_guard(max_history_events=...)",
        "command line": "--temporal-guard-max-history-events on the command line",
        "ini": "temporal_guard_max_history_events in tox.ini",
        None: "the default",
    }
    assert f"origin={origins[first]}" in output


def test_nearest_marker_wins(pytester: pytest.Pytester) -> None:
    """A function's marker counts before its class's, and that before its module's."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_temporal_guard.plugin import SETTINGS
        pytestmark = pytest.mark.temporal_guard(max_history_events=1, max_activities=7)

        @pytest.mark.temporal_guard(max_history_events=2)
        class TestIt:
            @pytest.mark.temporal_guard(max_history_events=3)
            def test_it(self, request):
                settings = request.config.stash[SETTINGS]
                assert settings.of("max_history_events", request.node).value == 3
                assert settings.of("max_payload_bytes", request.node).value == 200_000
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "ini", "told"),
    [
        (
            ["--temporal-guard-max-history-events=many"],
            "",
            "--temporal-guard-max-history-events on the command line: 'many' is not allowed; write a whole number, "
            "at least 1.",
        ),
        (["--temporal-guard-max-history-events=0"], "", "'0' is not allowed; write a whole number, at least 1."),
        (["--temporal-guard-history=maybe"], "", "'maybe' is not allowed; write off, warn or fail."),
        (["--temporal-guard-server-kind=cloud"], "", "'cloud' is not allowed; write time-skipping or dev."),
        ([], "temporal_guard_max_payload_bytes = 12 parsecs", "temporal_guard_max_payload_bytes in tox.ini: "),
        ([], "temporal_guard = perhaps", "temporal_guard in tox.ini: 'perhaps' is not allowed; write true or false."),
        (["--temporal-guard", "--temporal-guard-server=/no/such/server"], "", "/no/such/server"),
    ],
)
def test_wrong_values(pytester: pytest.Pytester, options: list[str], ini: str, told: str) -> None:
    """One sentence with the place, the value and what is allowed; exit code 4; no traceback."""
    pytester.makepyfile("def test_it(): pass")
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = pytester.runpytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("max_history_event=1", "the marker temporal_guard does not take the keyword 'max_history_event'; it takes"),
        ("server='x'", "does not take the keyword 'server'"),
        ("3", "does not take the argument 3"),
        ("max_payload_bytes='lots'", "'lots' is not allowed; write a number of bytes"),
    ],
)
def test_wrong_markers(pytester: pytest.Pytester, marker: str, told: str) -> None:
    """A wrong marker ends the run while collecting, and names the test's place."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.temporal_guard({marker})\ndef test_it(): pass")
    result = pytester.runpytest()
    assert result.ret != 0
    assert told in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [(1, 1), ("200000", 200_000), ("200 KB", 200_000), ("2MiB", 2_097_152), ("1.5 mb", 1_500_000), ("10_000", 10_000)],
)
def test_sizes(written: object, bytes_: int) -> None:
    assert size(written) == bytes_


@pytest.mark.parametrize(
    ("written", "span"),
    [(1, 1.0), (0.25, 0.25), ("100 ms", 0.1), ("10min", 600.0), ("2h", 7200.0), (timedelta(minutes=2), 120.0)],
)
def test_spans(written: object, span: float) -> None:
    assert seconds(written) == pytest.approx(span)


@pytest.mark.parametrize("parse", [size, seconds])
@pytest.mark.parametrize("written", [0, -1, True, "", "ten", "1 league", "-5s", None])
def test_no_quantities(parse: object, written: object) -> None:
    with pytest.raises(ValueError):
        parse(written)  # type: ignore[operator]


def test_words() -> None:
    assert level(True) == "fail"
    assert level(False) == "off"
    assert level(" warn ") == "warn"
    assert flag("ON") and not flag("no")
    assert names("charge, refund\nship") == ("charge", "refund", "ship")
    assert names(test_words) == ("test_words",)


def test_every_setting_is_documented(pytester: pytest.Pytester) -> None:
    """`--help` shows each option with its default, `--markers` the marker, `--fixtures` a text for each fixture."""
    from pytest_temporal_guard.plugin import of_guards
    from pytest_temporal_guard.settings import SESSION

    shown = pytester.runpytest("--help").stdout.str()
    for setting in (*SESSION, *of_guards()):
        assert setting.option in shown
        assert setting.name in shown
        assert setting.help.endswith(".")
    assert "temporal_guard(**limits)" in pytester.runpytest("--markers").stdout.str()
    fixtures = pytester.runpytest("--fixtures").stdout.str()
    for name in ("temporal_server", "temporal_env", "temporal_client", "temporal_guard"):
        assert name in fixtures
    assert (
        "no docstring available"
        not in fixtures.split("fixtures defined from pytest_temporal_guard")[-1].split("fixtures defined from")[0]
    )
