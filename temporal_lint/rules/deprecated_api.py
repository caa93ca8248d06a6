"""A part of the Temporal SDK that is deprecated.

## What
Reports imports, attributes and arguments that the SDK itself calls deprecated, with what to use instead. Attributes of
objects count where the object's SDK type is certain (`workflow.info().search_attributes`). Silent where the project
locks or pins a release of the SDK that lacks what to use instead (`sdk-version`).

## Why
A deprecated name goes away in a later release, and what replaces it usually says more: typed search attributes are
checked, worker deployments replace build ids.

## Invalid
```python
from temporalio import converter, workflow
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.workflow import VersioningIntent  # expect


@workflow.defn
class Billing:
    @workflow.run
    async def run(self) -> None:
        workflow.logger.info("%s", workflow.info().search_attributes)  # expect


def worker(client: Client) -> Worker:
    return Worker(
        client,
        task_queue="billing",
        workflows=[Billing],
        build_id="2024-11",  # expect
    )


def encoding() -> str:
    return converter.default().payload_converter.to_payload(1).metadata["encoding"].decode()  # expect
```

## Fixed
```python
from temporalio import converter, workflow
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.workflow import VersioningIntent  # expect


@workflow.defn
class Billing:
    @workflow.run
    async def run(self) -> None:
        workflow.logger.info("%s", workflow.info().search_attributes)  # expect


def worker(client: Client) -> Worker:
    return Worker(
        client,
        task_queue="billing",
        workflows=[Billing],
        build_id="2024-11",  # expect
    )


def encoding() -> str:
    return converter.DataConverter.default.payload_converter.to_payload(1).metadata["encoding"].decode()  # expect
```

## Valid
```python
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, other: Any) -> None:
        workflow.logger.info("%s %s", workflow.info().typed_search_attributes, other.search_attributes)


def worker(client: Client) -> Worker:
    return Worker(client, task_queue="billing", workflows=[Billing])
```

## Fix safety
Safe, and offered only where one name replaces another and nothing else changes.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from temporal_lint import sdk
from temporal_lint.facts import Module, Scope
from temporal_lint.project import Project
from temporal_lint.resolve import External
from temporal_lint.rule import Finding, Fix, Severity, rule

if TYPE_CHECKING:
    from temporal_lint.edits import Editor


@rule("TMP123", Severity.WARNING, fix="safe")
def deprecated_api(module: Module, project: Project) -> Iterator[Finding]:
    """Report imports, then attributes, then arguments of calls."""
    if project.is_sdk:
        return
    for each in module.imports:
        if isinstance(each.statement, ast.ImportFrom) and (
            found := sdk.deprecated(each.dotted, release=project.sdk_release)
        ):
            yield Finding(module, each.node, _message(each.dotted), found.advice)
    for chain, scope in module.attributes:
        yield from _attributes(chain, scope, module, project)
    for call in project.sdk_calls(module):
        for name, keyword in call.written.items():
            found = sdk.deprecated(call.api, name, project.sdk_release)
            bound = call.option(name) if found is not None else None
            if found is not None and bound is not None and bound.expression is keyword.value:
                yield Finding(module, keyword, _message(f"{call.api}({name}=...)"), found.advice)


def _attributes(chain: ast.Attribute, scope: Scope, module: Module, project: Project) -> Iterator[Finding]:
    node: ast.expr = chain
    while isinstance(node, ast.Attribute):
        dotted = _dotted(node, scope, project)
        found = sdk.deprecated(dotted, release=project.sdk_release) if dotted is not None else None
        if dotted is not None and found is not None:
            yield Finding(module, node, _message(dotted), found.advice, fix=_fix(node, dotted, found, module))
        node = node.value


def _dotted(node: ast.Attribute, scope: Scope, project: Project) -> str | None:
    """The name of what an attribute reads, where it is the SDK's."""
    symbol = project.resolver.resolve(node, scope)
    return symbol.dotted if isinstance(symbol, External) and symbol.dotted.startswith("temporalio.") else None


def _message(dotted: str) -> str:
    return f"`{sdk.canonical(dotted)}` is deprecated and may be gone with the next upgrade of the SDK."


def _fix(
    node: ast.Attribute, dotted: str, found: sdk.Deprecation, module: Module
) -> Callable[[Editor], Fix | None] | None:
    """Write the new name behind the same module; None where it lies elsewhere, or where `default` is not called."""
    owner = sdk.canonical(dotted).rpartition(".")[0]
    if found.rename is None or not found.rename.startswith(f"{owner}."):
        return None
    name = found.rename.removeprefix(f"{owner}.")
    if not found.uncall:
        return partial(_replace, node, node.value, name)
    call = module.parents.get(node)
    if not isinstance(call, ast.Call) or call.func is not node or call.args or call.keywords:
        return None
    return partial(_replace, call, node.value, name)


def _replace(replaced: ast.AST, base: ast.expr, name: str, editor: Editor) -> Fix | None:
    return editor.fix("safe", f"Use `{name}`", editor.replace(replaced, f"{editor.text(base)}.{name}"))
