"""`python -m pytest_temporal_guard export` against real servers."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from pytest_temporal_guard.export import _sentence, file_name
from pytest_temporal_guard.payloads import walk
from pytest_temporal_guard.redact import _redact_payload

APP = Path(__file__).parents[1] / "fixtures" / "guard" / "export"
sys.path.insert(0, str(APP))
import billing  # noqa: E402

ADA = file_name("billing/ada:1")


def beside(name: str) -> str:
    found = Path(sys.executable).with_name(name)
    return str(found) if found.exists() else shutil.which(name) or pytest.fail(f"{name} is missing")


@pytest.fixture(scope="module")
def dev_server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [beside("temporal"), "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
    command += ["--search-attribute", "CustomKeywordField=Keyword"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"127.0.0.1:{port}"
    try:
        asyncio.run(populate(address, attributes=True))
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def skipping_server(sdk_server: str) -> str:
    asyncio.run(populate(sdk_server, attributes=False))
    return sdk_server


async def populate(address: str, attributes: bool) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client = await Client.connect(address)
            break
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
    await billing.start(client, attributes)


def export(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL")}
    return subprocess.run(
        [sys.executable, "-m", "pytest_temporal_guard", "export", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
        env={**kept, "TEMPORAL_CONFIG_FILE": str(cwd / "none.toml"), **environment},
    )  # fmt: skip


def replay(path: Path) -> None:
    async def run() -> None:
        history = WorkflowHistory.from_json("any", path.read_text(encoding="utf-8"))
        await Replayer(workflows=[billing.Billing, billing.Branching]).replay_workflow(history)

    asyncio.run(run())


def sizes(path: Path) -> list[int]:
    history = WorkflowHistory.from_json("any", path.read_text(encoding="utf-8"))
    # maps, such as the details of a marker, have no order
    return sorted(payload.ByteSize() for event in history.events for _, payload in walk(event))


@pytest.mark.parametrize("server", ["dev_server", "skipping_server"])
def test_histories_are_redacted_and_replay(server: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = request.getfixturevalue(server)
    kept = export(tmp_path, "billing/ada:1", "--address", address, "--payloads", "keep", "-o", "kept")
    assert (kept.returncode, kept.stderr) == (0, "")
    redacted = export(tmp_path, "billing/ada:1", "branching", "--address", address)
    assert (redacted.returncode, redacted.stderr) == (0, "")
    assert redacted.stdout.splitlines()[0].startswith(f"histories/{ADA}: ")

    original, shape = tmp_path / "kept" / ADA, tmp_path / "histories" / ADA
    replay(original)
    replay(shape)
    # payloads are base64 in the file; look into them too
    for path, expected in ((original, set(billing.SECRETS)), (shape, set())):
        history = WorkflowHistory.from_json("any", path.read_text(encoding="utf-8"))
        said = b"\n".join(event.SerializeToString() for event in history.events).decode("latin-1")
        assert {each for each in billing.SECRETS if each in said or each in path.read_text("utf-8")} == expected
    assert sizes(shape) == sizes(original)
    assert "per_day" in shape.read_text() or any(
        b"per_day" in payload.data
        for event in WorkflowHistory.from_json("any", shape.read_text()).events
        for _, payload in walk(event)
    )
    with pytest.raises(NondeterminismError):  # the page says so: a branch on a text goes the other way
        replay(tmp_path / "histories" / "branching.history.json")


def test_what_cannot_be_exported_is_told_in_a_sentence(dev_server: str, tmp_path: Path) -> None:
    some = export(tmp_path, "branching", "no-such", "--address", dev_server)
    assert some.returncode == 1
    assert some.stderr == "Error: no-such: there is no such workflow in namespace default.\n"
    assert (tmp_path / "histories" / "branching.history.json").exists()

    namespace = export(tmp_path, "branching", "--address", dev_server, "--namespace", "nowhere")
    assert namespace.returncode == 1
    assert namespace.stderr == "Error: branching: there is no namespace nowhere.\n"

    (tmp_path / "file").touch()
    place = export(tmp_path, "branching", "--address", dev_server, "-o", "file/below")
    assert place.returncode == 1
    assert place.stderr == ("Error: branching: file/below/branching.history.json cannot be written: Not a directory.\n")


def test_without_a_connection(dev_server: str, tmp_path: Path) -> None:
    refused = export(tmp_path, "any", "--address", "127.0.0.1:9")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "Error: No connection to 127.0.0.1:9: the connection is refused; is the server running there?\n"
    )
    secure = export(tmp_path, "any", "--address", dev_server, "--tls")
    assert secure.returncode == 2
    assert secure.stderr.startswith(f"Error: No connection to {dev_server}: ") and secure.stderr.count("\n") == 1
    config = tmp_path / "broken.toml"
    config.write_text("[profile")
    broken = export(tmp_path, "any", TEMPORAL_CONFIG_FILE=str(config))
    assert broken.returncode == 2
    assert broken.stderr.startswith("Error: Temporal's configuration cannot be read: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give a WORKFLOW_ID or a --query."),
        (("a", "b", "--run-id", "c"), "--run-id goes with one WORKFLOW_ID and no --query."),
        (("a", "--payloads", "some"), "'some' is not one of 'redact', 'keep'."),
        (("a", "--tls-ca-file", "missing.pem"), "'missing.pem' does not exist."),
        (("a", "--limit", "0"), "0 is not in the range x>=1."),
    ],
)
def test_wrong_options(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    found = export(tmp_path, *arguments)
    assert found.returncode == 2
    assert said in found.stderr


def test_the_environment_and_the_profile_say_where_the_cluster_is(dev_server: str, tmp_path: Path) -> None:
    assert export(tmp_path, "branching", TEMPORAL_ADDRESS=dev_server).returncode == 0
    config = tmp_path / "temporal.toml"
    config.write_text(f'[profile.staging]\naddress = "{dev_server}"\nnamespace = "nowhere"\n')
    profile = ("--profile", "staging")
    found = export(tmp_path, "branching", *profile, TEMPORAL_CONFIG_FILE=str(config))
    assert found.stderr == "Error: branching: there is no namespace nowhere.\n"
    option = export(tmp_path, "branching", *profile, "--namespace", "default", TEMPORAL_CONFIG_FILE=str(config))
    assert option.returncode == 0


def test_a_query_finds_workflows(dev_server: str, skipping_server: str, tmp_path: Path) -> None:
    deadline = time.monotonic() + 10
    while True:  # visibility follows a moment later
        found = export(tmp_path, "--query", "WorkflowType='Branching'", "--address", dev_server)
        if found.returncode == 0 or time.monotonic() > deadline:
            break
    assert found.stdout.startswith("histories/branching.history.json: ")
    none = export(tmp_path, "--query", "WorkflowType='None'", "--address", dev_server)
    assert (none.returncode, none.stderr) == (2, "Error: The query finds no workflow in namespace default.\n")
    wrong = export(tmp_path, "--query", "What=", "--address", dev_server)
    assert wrong.returncode == 2 and wrong.stderr.startswith("Error: The query fails: ")
    unable = export(tmp_path, "--query", "WorkflowType='Branching'", "--address", skipping_server)
    assert unable.returncode == 2 and "Traceback" not in unable.stderr


def test_a_terminal_gets_a_progress_bar(dev_server: str, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "pytest_temporal_guard", "export", "branching", "--address", dev_server]
    subprocess.run(command, cwd=tmp_path, stderr=slave, stdout=subprocess.DEVNULL, timeout=60, check=True)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert "Exporting" in shown and "1/1" in shown


def test_file_names_are_safe_and_differ() -> None:
    ids = ["order-1", "order/1", "order:1", "../../etc/passwd", ".hidden", "", "\u00fc" * 300, "a b", "-rf"]
    names = [file_name(each) for each in ids]
    assert names[0] == "order-1.history.json"
    assert len(set(names)) == len(ids)
    assert all("/" not in each and not each.startswith(("..", "-rf")) and len(each) < 160 for each in names)


@pytest.mark.parametrize("size", [0, 1, 6, 7, 133, 134, 135, 136, 5000, 200_000])
def test_a_binary_message_keeps_its_size_and_can_be_read(size: int) -> None:
    from temporalio.api.common.v1 import WorkflowExecution

    payload = Payload(metadata={"encoding": b"binary/protobuf"}, data=b"s" * size)
    assert _redact_payload(payload)
    assert len(payload.data) == (size if size >= 6 else 0)
    assert WorkflowExecution.FromString(payload.data).workflow_id == ""


def test_what_only_a_codec_reads_is_zeroed_and_told() -> None:
    payload = Payload(metadata={"encoding": b"binary/encrypted", "key": b"k-1"}, data=b"cipher")
    assert not _redact_payload(payload)
    assert (payload.data, payload.metadata["key"]) == (bytes(6), bytes(3))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (RPCStatusCode.PERMISSION_DENIED, "access to namespace pay is refused: no such key."),
        (RPCStatusCode.UNAUTHENTICATED, "access to namespace pay is refused: no such key."),
        (RPCStatusCode.UNAVAILABLE, "the server does not answer: no such key."),
        (RPCStatusCode.INTERNAL, "no such key."),
    ],
)
def test_each_refusal_is_a_sentence(status: RPCStatusCode, said: str) -> None:
    assert _sentence(RPCError("no such\n key", status, b""), "pay") == said


def test_json_of_every_kind_keeps_its_shape() -> None:
    value = {"name": "Ada", "n": [1, 2.5, None, True, ""], "1": 2, "a@b": {}, "at": "2021-03-04T05:06:07Z"}
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())
    size = len(payload.data)
    assert _redact_payload(payload) and len(payload.data) == size
    assert json.loads(payload.data) == {
        "name": "x", "n": [0, 0.0, None, True, ""], "2": 0, "xx3": {}, "at": "1970-01-01T00:00:00Z",
    }  # fmt: skip
