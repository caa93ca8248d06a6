"""Histories of a running cluster as files that pytest collects: `python -m pytest_temporal_guard export ID ...`."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pytest_temporal_guard import HISTORY_SUFFIX
from pytest_temporal_guard.server import exit_calmly
from pytest_temporal_guard.wording import one_line

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.service import RPCError

PATIENCE = 15.0  # seconds that a server has to answer the first call
_LONGEST_NAME = 120  # of the 255 bytes that file systems take, with room for the suffix and a run id

_REASONS = (
    ("Connection refused", "the connection is refused; is the server running there?"),
    ("dns error", "the name of the host is not known."),
    ("InvalidCertificate", "the server's certificate is not valid; see --tls-ca-file and --tls-server-name."),
    ("certificate", "the certificates are not accepted; see --tls-ca-file, --tls-cert-file and --tls-key-file."),
    ("InvalidContentType", "the server does not speak TLS; see --no-tls."),
    ("HTTP/2", "the server does not speak Temporal's protocol, or only over TLS; see --tls."),
    ("BrokenPipe", "the server closed the connection; it may ask for TLS, see --tls."),
)


class Trouble(Exception):
    """Why something cannot be exported, as one sentence."""


class Wanted(NamedTuple):
    """A run to export; without a run id the latest one."""

    workflow_id: str
    run_id: str | None = None


@click.command(name="export", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("workflow_ids", nargs=-1, metavar="[WORKFLOW_ID]...")
@click.option("--query", help="Export the workflows that a visibility query finds, such as \"WorkflowType='Order'\".")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Export at most N of what --query finds.",
)
@click.option("--run-id", help="The run of the one workflow id given; without it, the latest.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("histories"),
    show_default=True,
    help="The directory for the files.",
)
@click.option(
    "--payloads",
    type=click.Choice(["redact", "keep"]),
    default="redact",
    show_default=True,
    help="Whether arguments, results and messages of errors are replaced. Sizes and field names stay. A redacted "
    "history may not replay where a workflow branches on a value; export it with 'keep' then.",
)
@click.option("--profile", help="A profile of Temporal's configuration file. Default: TEMPORAL_PROFILE, or 'default'.")
@click.option("--address", metavar="HOST:PORT", help="Default: TEMPORAL_ADDRESS, the profile, or localhost:7233.")
@click.option("--namespace", help="Default: TEMPORAL_NAMESPACE, the profile, or 'default'.")
@click.option("--api-key", help="Better given as TEMPORAL_API_KEY, which other users of the machine do not see.")
@click.option("--tls/--no-tls", default=None, help="Default: as the profile says; on with an API key or certificates.")
@click.option("--tls-ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CA of the server.")
@click.option("--tls-cert-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="For mutual TLS.")
@click.option("--tls-key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="For mutual TLS.")
@click.option("--tls-server-name", help="The name that the server's certificate must have.")
def export(
    workflow_ids: tuple[str, ...],
    query: str | None,
    limit: int,
    run_id: str | None,
    output: Path,
    payloads: str,
    profile: str | None,
    **connection: Any,
) -> None:
    """Write the histories of workflows of a running cluster to DIR/<workflow id>.history.json.

    pytest collects such files: each is replayed against the project's workflows and judged by the guards. The cluster
    is found as by every Temporal client: the options, then TEMPORAL_* variables, then Temporal's configuration file.

    Exit code: 0 if all were written, 1 if some were not, 2 if there is no connection or an option is wrong.
    """
    if not workflow_ids and query is None:
        raise click.UsageError("Give a WORKFLOW_ID or a --query.")
    if run_id is not None and (len(workflow_ids) != 1 or query is not None):
        raise click.UsageError("--run-id goes with one WORKFLOW_ID and no --query.")
    try:
        options = _connection(profile, **connection)
        wanted = [Wanted(each, run_id) for each in dict.fromkeys(workflow_ids)]
        failed = asyncio.run(_export(options, wanted, query, limit, output, payloads == "redact"))
    except Trouble as trouble:
        click.echo(f"Error: {trouble}", err=True)
        failed = 2
    sys.exit(failed)


async def _export(
    options: dict[str, Any], wanted: list[Wanted], query: str | None, limit: int, output: Path, redacted: bool
) -> int:
    client = await _connect(options)
    if query is not None:
        wanted = [*wanted, *[each async for each in _found(client, query, limit)]]
        if not wanted:
            raise Trouble(f"The query finds no workflow in namespace {client.namespace}.")
    lines: list[tuple[str, bool]] = []
    names: set[str] = set()
    with _progress(len(wanted)) as advance:
        for each in wanted:
            try:
                lines += [(line, False) for line in await _write(client, each, output, names, redacted)]
            except Trouble as trouble:
                lines.append((f"Error: {each.workflow_id}: {trouble}", True))
            advance()
    for line, wrong in lines:
        click.echo(line, err=wrong)
    return int(any(wrong for _, wrong in lines))


async def _write(client: Client, wanted: Wanted, output: Path, names: set[str], redacted: bool) -> list[str]:
    """Fetch a history and write it; gives back what to tell of it."""
    from temporalio.client import WorkflowHistory
    from temporalio.service import RPCError

    from pytest_temporal_guard.redact import redact
    from pytest_temporal_guard.runs import write_history

    try:
        handle = client.get_workflow_handle(wanted.workflow_id, run_id=wanted.run_id)
        history = await handle.fetch_history()
    except RPCError as error:
        raise Trouble(_sentence(error, client.namespace)) from None
    events = list(history.events)
    opaque = redact(events) if redacted else 0
    run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id if events else ""
    name = file_name(wanted.workflow_id)
    if name.lower() in names:
        name = file_name(f"{wanted.workflow_id}.{(wanted.run_id or run_id)[:8]}")
    names.add(name.lower())
    try:
        path = write_history(WorkflowHistory(wanted.workflow_id, events), output / name)
    except OSError as error:
        raise Trouble(f"{output / name} cannot be written: {error.strerror or error}.") from None
    note = ""
    if opaque:
        some = "1 payload" if opaque == 1 else f"{opaque} payloads"
        note = f" ({some} of an encoding that only its codec reads: redacted, so the history may not replay)"
    return [f"{path}: {len(events):,} events{note}"]


def file_name(workflow_id: str) -> str:
    """A name that every file system takes, and that differs for different ids."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", workflow_id)[:_LONGEST_NAME].lstrip(".-")
    if safe != workflow_id:
        safe += "-" + sha256(workflow_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return safe + HISTORY_SUFFIX


async def _found(client: Client, query: str, limit: int) -> AsyncIterator[Wanted]:
    from temporalio.service import RPCError

    try:
        async for each in client.list_workflows(query, limit=limit):
            yield Wanted(each.id, each.run_id)
    except RPCError as error:
        raise Trouble(f"The query fails: {_sentence(error, client.namespace)}") from None


def _connection(profile: str | None, **given: Any) -> dict[str, Any]:
    """The arguments of `Client.connect`: options before variables before the configuration file."""
    options: dict[str, Any] = {}
    try:
        from temporalio.envconfig import ClientConfig
    except ImportError:
        if profile is not None:
            raise Trouble("--profile needs a newer temporalio, with its module envconfig.") from None
    else:
        try:
            options.update(ClientConfig.load_client_connect_config(profile=profile))
        except (RuntimeError, ValueError, OSError) as error:
            raise Trouble(f"Temporal's configuration cannot be read: {_with_stop(error)}") from None
    for key, name in (("address", "target_host"), ("namespace", "namespace"), ("api_key", "api_key")):
        if given[key] is not None:
            options[name] = given[key]
    options["tls"] = _tls(options, **given)
    return {"target_host": "localhost:7233", **options}


def _tls(options: dict[str, Any], **given: Any) -> Any:
    """False, True, or the SDK's TLSConfig."""
    from temporalio.service import TLSConfig

    if given["tls"] is False:
        return False
    changes = {
        field: given[key].read_bytes()
        for key, field in (
            ("tls_ca_file", "server_root_ca_cert"),
            ("tls_cert_file", "client_cert"),
            ("tls_key_file", "client_private_key"),
        )
        if given[key] is not None
    }
    if given["tls_server_name"] is not None:
        changes["domain"] = given["tls_server_name"]
    former = options.get("tls")
    if changes:
        return replace(former if isinstance(former, TLSConfig) else TLSConfig(), **changes)
    return former or given["tls"] or bool(options.get("api_key"))


async def _connect(options: dict[str, Any]) -> Client:
    from temporalio.client import Client
    from temporalio.service import RPCError

    target = options["target_host"]
    exit_calmly()
    try:
        return await asyncio.wait_for(Client.connect(**options), PATIENCE)
    except (asyncio.TimeoutError, TimeoutError):
        raise Trouble(f"No connection to {target}: no answer within {PATIENCE:.0f} seconds.") from None
    except RPCError as error:
        raise Trouble(f"No connection to {target}: {_sentence(error, options.get('namespace', 'default'))}") from None
    except (RuntimeError, ValueError, OSError) as error:
        reason = next((said for part, said in _REASONS if part in str(error)), _with_stop(error))
        raise Trouble(f"No connection to {target}: {reason}") from None


def _sentence(error: RPCError, namespace: str) -> str:
    from temporalio.service import RPCStatusCode

    said = _with_stop(error.message)
    if error.status == RPCStatusCode.NOT_FOUND:
        if "namespace" in error.message.lower():
            return f"there is no namespace {namespace}."
        return f"there is no such workflow in namespace {namespace}."
    if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return f"access to namespace {namespace} is refused: {said}"
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED):
        return f"the server does not answer: {said}"
    if error.status == RPCStatusCode.UNIMPLEMENTED:
        return f"this server does not do that (the time-skipping test server has no visibility): {said}"
    return said


def _with_stop(error: object) -> str:
    text = one_line(str(error))[:300]
    return text if text.endswith(".") else text + "."


def _progress(length: int) -> AbstractContextManager[Callable[[], Any]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return nullcontext(lambda: None)
    return _Bar(length)


class _Bar(AbstractContextManager[Callable[[], Any]]):
    def __init__(self, length: int) -> None:
        self.bar = click.progressbar(length=length, label="Exporting", file=sys.stderr, show_pos=True)

    def __enter__(self) -> Callable[[], Any]:
        bar = self.bar.__enter__()
        return lambda: bar.update(1)

    def __exit__(self, *raised: Any) -> None:
        self.bar.__exit__(*raised)
