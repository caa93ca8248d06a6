"""The Python and the release of the SDK that a project's own files name; a range, or a broken file, names none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from temporal_lint import target
from temporal_lint.config import Settings
from tests.support import findings


def completed(root: Path, files: dict[str, str], **given: str) -> tuple[str | None, str | None]:
    """The versions of Python and of the SDK for a project of files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    settings = target.completed(Settings(**given), root)
    return settings.python_version, settings.sdk_version


LOCK = '[[package]]\nname = "temporalio"\nversion = "1.8.0"\n'


@pytest.mark.parametrize(
    ("files", "release"),
    [
        ({}, None),
        ({"uv.lock": LOCK}, "1.8.0"),
        ({"poetry.lock": LOCK}, "1.8.0"),
        ({"uv.lock": LOCK + LOCK.replace("1.8.0", "1.10.0")}, "1.8.0"),
        ({"uv.lock": LOCK, "requirements.txt": "temporalio==1.4.0\n"}, "1.8.0"),
        ({"uv.lock": LOCK.replace("temporalio", "other")}, None),
        ({"uv.lock": '[[package]]\nname = "temporalio"\n'}, None),
        ({"uv.lock": "[[temporalio"}, None),
        ({"uv.lock": 'package = "temporalio"\n'}, None),
        ({"requirements.txt": "# ours\ntemporalio[pydantic] == 1.4.0  # pinned\n"}, "1.4.0"),
        ({"requirements-dev.txt": "temporalio==1.4.0 --hash=sha256:0\n"}, "1.4.0"),
        ({"requirements/base.txt": "temporalio==1.4\n"}, "1.4"),
        ({"requirements.txt": "temporalio>=1.4.0\ntemporalio-extra==1.0\n"}, None),
        ({"requirements.txt": "temporalio==1.4.0rc1\n"}, "1.4.0"),
        ({"requirements.txt": "-r base.txt\n", "base.txt": "-c requirements.txt\ntemporalio==1.24.0\n"}, "1.24.0"),
        ({"requirements.txt": "-r missing.txt\n"}, None),
        ({"requirements-dev.in": "temporalio ~= 1.24.0\n"}, "1.24.0"),
        ({"requirements.lock": "temporalio==1.24.0\n"}, "1.24.0"),
        ({"constraints.txt": "temporalio>=1.4,<1.30 ; python_version > '3'\n"}, "1.29"),
        ({"requirements.txt": "temporalio<1.30.2\n"}, "1.30"),
        ({"requirements.txt": "temporalio<=1.8.2\n"}, "1.8.2"),
        ({"requirements.txt": "temporalio~=1.24\n"}, None),
        ({"requirements.txt": "temporalio>=1.4,<2.0\n"}, None),
        ({"requirements.txt": "temporalio<1.99\n"}, None),
        ({"requirements.txt": "temporalio  # <1.4\n"}, None),
        ({"Pipfile.lock": '{"default": {"temporalio": {"version": "==1.24.0"}}}'}, "1.24.0"),
        ({"Pipfile.lock": '{"temporalio": ['}, None),
        ({"pyproject.toml": '[project]\ndependencies = ["temporalio==1.9.0"]\n'}, "1.9.0"),
        ({"pyproject.toml": '[project]\ndependencies = ["temporalio>=1.9,<2"]\n'}, None),
        ({"pyproject.toml": '[dependency-groups]\ndev = ["temporalio===1.9.0", {include-group = "x"}]\n'}, "1.9.0"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\ntemporalio = "1.9.0"\n'}, "1.9.0"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\ntemporalio = "^1.9.0"\n'}, None),
        ({"pyproject.toml": '[tool.poetry.dependencies]\ntemporalio = {version = "1.9.0"}\n'}, "1.9.0"),
        ({"pyproject.toml": "project = 1\n"}, None),
    ],
)
def test_sdk(tmp_path: Path, files: dict[str, str], release: str | None) -> None:
    assert completed(tmp_path, files) == (None, release)


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.10"\n'}, "3.10"),
        ({"pyproject.toml": '[project]\nrequires-python = "<4, >=3.9"\n'}, "3.9"),
        ({"pyproject.toml": '[project]\nrequires-python = "~=3.11"\n'}, "3.11"),
        ({"pyproject.toml": '[project]\nrequires-python = "==3.11.*"\n'}, "3.11"),
        ({"pyproject.toml": '[project]\nrequires-python = "<3.13"\n'}, None),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.12"\n'}, "3.12"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9 || ^3.12"\n'}, None),
        ({".python-version": "3.12.4\n"}, "3.12"),
        ({".python-version": "3.12", "pyproject.toml": '[project]\nrequires-python = ">=3.9"\n'}, "3.12"),
        ({".python-version": "system\n"}, None),
    ],
)
def test_python(tmp_path: Path, files: dict[str, str], python: str | None) -> None:
    assert completed(tmp_path, files) == (python, None)


def test_the_configuration_decides(tmp_path: Path) -> None:
    files = {"uv.lock": LOCK, ".python-version": "3.12"}
    assert completed(tmp_path, files, python_version="3.10", sdk_version="1.30.0") == ("3.10", "1.30.0")


def test_what_is_no_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").mkdir()
    os.mkfifo(tmp_path / "requirements.txt")
    assert completed(tmp_path, {}) == (None, None)


def test_releases_compare() -> None:
    assert target.release("1.10.0") > target.release("1.9.3")  # type: ignore[operator]
    assert target.release(None) is None


OLD = """
from temporalio import workflow
from temporalio.client import Client
from temporalio.runtime import TelemetryConfig, TracingConfig
from temporalio.worker import Worker
from temporalio.worker._workflow import _WorkflowSpec
from temporalio.workflow import _runtime_of_old, NoSuchName

def main(client: Client) -> None:
    Worker(client, task_queue="q", workflows=[], build_id="1")
    TelemetryConfig(tracing=None, no_such_option=1)
"""


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (None, ["TMP114", "TMP114", "TMP122", "TMP122", "TMP122", "TMP123"]),
        ("1.35.0", ["TMP114", "TMP114", "TMP122", "TMP122", "TMP122", "TMP123"]),
        ("1.14.0", ["TMP114", "TMP114", "TMP122", "TMP122", "TMP123"]),
        ("1.2.0", ["TMP114", "TMP122"]),
    ],
)
def test_an_older_release_is_judged_by_what_it_had(release: str | None, expected: list[str]) -> None:
    found = findings(OLD, "TMP114", "TMP122", "TMP123", sdk_version=release)
    assert sorted(rule.code for rule, _ in found) == expected


def test_projects_below_a_root_that_says_nothing(tmp_path: Path) -> None:
    """The oldest of several counts; a root that says it itself is believed."""
    files = {
        "one/requirements.txt": "temporalio==1.24.0\n",
        "libs/two/pyproject.toml": '[project]\nrequires-python = ">=3.11"\ndependencies = ["temporalio==1.20.0"]\n',
        ".hidden/requirements.txt": "temporalio==1.0.0\n",
        "node_modules/x/requirements.txt": "temporalio==1.0.0\n",
    }
    assert completed(tmp_path, files) == ("3.11", "1.20.0")
    assert completed(tmp_path, {"requirements.txt": "temporalio==1.30.0\n"})[1] == "1.30.0"
