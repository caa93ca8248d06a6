"""A name that the Temporal SDK does not have.

## What
Reports imports and attributes that do not exist: of modules (`workflow.ApplicationError`), of classes and enumerations
(`ParentClosePolicy.ABANDONED`), and of objects whose SDK type is certain (`handle.results()` on a `WorkflowHandle`).
Names that an older release had count as missing, and the release that dropped them is named, unless the project locks
or pins such a release (`sdk-version`). Names that came after the project's release are not reported. What exists is
read from tables that come with the linter; the SDK need not be installed. A project that asks for a newer release than
the tables' may use any name.

Silent: private names that exist; a variable that only looks like the module; names behind `TYPE_CHECKING`, a check of
a version, `hasattr`, `try` with `ImportError` or `AttributeError`; annotations that are never evaluated; attributes
that the project itself sets; a repository that holds the SDK.

## Why
Python finds out only when the line runs. In a workflow, `AttributeError` fails the workflow task, which is retried for
ever; names on error paths (`raise workflow.ApplicationError(...)`) hide until the error they were to report.

## Invalid
```python
from temporalio import workflow
from temporalio.client import Client, RetryPolicy  # expect
from temporalio.workflow import ParentClosePolicy


@workflow.defn
class Billing:
    @workflow.run
    async def run(self, order: str) -> None:
        if not order:
            raise workflow.ApplicationError("no order")  # expect
        workflow.logger.info("order %s", workflow.info().workflow_name)  # expect
        await workflow.start_child_workflow("Ship", order, parent_close_policy=ParentClosePolicy.ABANDONED)  # expect


async def show(order: str) -> None:
    client = await Client.connect("localhost:7233")
    handle = client.get_workflow_handle(order)
    print(await handle.results())  # expect
```

## Valid
```python
from typing import TYPE_CHECKING, Any

import temporalio
from temporalio import workflow
from temporalio.client import Client

if TYPE_CHECKING:
    from temporalio.client import SomethingOfTomorrow

try:
    from temporalio.workflow import uuid8
except ImportError:
    uuid8 = None


class Billing:
    def total(self, workflow: Any) -> int:
        return workflow.amount


def identifier() -> str:
    if hasattr(workflow, "uuid9"):
        return str(workflow.uuid9())
    return str(workflow.uuid4())


def later() -> Any:
    if temporalio.__version__ >= "9":
        return workflow.something_new()
    return workflow.info().workflow_type


def label(client: Client) -> str:
    client.nickname = "billing"
    return client.nickname
```
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from temporal_lint import sdk
from temporal_lint.facts import Import, Module, Scope, dotted_name
from temporal_lint.project import Project, tolerates
from temporal_lint.resolve import NONE, External, alternatives
from temporal_lint.rule import Finding, Severity, rule

_IMPORT_ERRORS = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
# What every class object has from its metaclass.
_OF_CLASSES = frozenset(("mro", "register"))
# How alike a module's name must be to one of the SDK's: other distributions may add modules to the package.
_MISSPELT = 0.75


@rule("TMP122", Severity.ERROR)
def api_does_not_exist(module: Module, project: Project) -> Iterator[Finding]:
    """Report imports, then the first missing name of each chain of attributes."""
    if project.is_sdk:
        return
    for each in module.imports:
        missing = _missing_import(each)
        if missing is None or tolerates(module, each.node, *_IMPORT_ERRORS):
            continue
        if sdk.had(project.sdk_release, ".".join(missing)):
            continue
        if not _is_guarded(module, each.node):
            yield _finding(module, each.node, *missing, "ImportError when this module is imported", project)
    for chain, scope in module.attributes:
        found = _first_missing(chain, scope, project)
        if found is None:
            continue
        node, owner = found
        if tolerates(module, node, "AttributeError") or _is_guarded(module, node) or _is_probed(module, node.attr):
            continue
        if sdk.had(project.sdk_release, f"{owner}.{node.attr}"):
            continue
        if not _is_unevaluated(module, node, scope) and not _is_set(project, node.attr):
            yield _finding(module, node, owner, node.attr, "AttributeError when this line runs", project)


def _missing_import(each: Import) -> tuple[str, str] | None:
    """The module of the SDK and the name that it lacks."""
    if not each.source.startswith("temporalio"):
        return None
    parts = each.source.split(".")
    for size in range(1, len(parts)):
        if _lacks(".".join(parts[:size]), parts[size]):
            return ".".join(parts[:size]), parts[size]
    name = each.node.name
    if isinstance(each.statement, ast.ImportFrom) and not each.star and _lacks(each.source, name):
        return each.source, name
    return None


def _lacks(module: str, name: str) -> bool:
    exists = sdk.exists(module, name)
    if exists is None and module in sdk.modules() and not name.startswith("_"):
        known = [each.rpartition(".")[2] for each in sdk.modules() if each.rpartition(".")[0] == module]
        return bool(difflib.get_close_matches(name, known, 1, _MISSPELT)) and name not in known
    return exists is False


def _first_missing(chain: ast.Attribute, scope: Scope, project: Project) -> tuple[ast.Attribute, str] | None:
    """The innermost attribute of a chain that does not exist, with the module or class that lacks it."""
    links: list[ast.Attribute] = [chain]
    while isinstance(links[-1].value, ast.Attribute):
        links.append(links[-1].value)
    for link in reversed(links):
        owner = _owner_without(link, scope, project)
        if owner is not None:
            return link, owner
    return None


def _owner_without(node: ast.Attribute, scope: Scope, project: Project) -> str | None:
    base = project.resolver.resolve(node.value, scope)
    if isinstance(base, External):
        if not base.dotted.startswith("temporalio"):
            return None
        if sdk.class_info(base.dotted) is not None:
            lacks = sdk.class_has(base.dotted, node.attr) is False and node.attr not in _OF_CLASSES
            return base.dotted if lacks else None
        if sdk.exists(base.dotted, node.attr) is False:
            return base.dotted
    kind = project.resolver.infer(node.value, scope)
    if kind is None:
        return None
    kinds = [each for each in alternatives(kind) if each != NONE]
    given = [each.name if each is not None and each.cls is None else "" for each in kinds]
    if not given or not all(_instances_lack(name, node.attr) for name in given) or _is_narrowed(node, scope.module):
        return None
    return sdk.canonical(given[0])


def _instances_lack(class_dotted: str, name: str) -> bool:
    """Whether neither the class nor one of the SDK's subclasses, which the object may be of, has the attribute."""
    if not class_dotted.startswith("temporalio.") or sdk.class_has(class_dotted, name) is not False:
        return False
    return all(sdk.class_has(each, name) is False for each in sdk.classes() if sdk.is_subclass(each, class_dotted))


def _is_narrowed(node: ast.Attribute, module: Module) -> bool:
    """Whether the module asks for the class of this very expression: then it may be of a subclass of its own."""
    text = ast.dump(node.value)
    asked = (
        call.node.args[0]
        for call in module.calls
        if isinstance(call.node.func, ast.Name) and call.node.func.id in ("isinstance", "issubclass") and call.node.args
    )
    subjects = (each.subject for each in module.ancestors(node) if isinstance(each, ast.Match))
    return any(ast.dump(each) == text for each in (*asked, *subjects))


def _is_guarded(module: Module, node: ast.AST) -> bool:
    """Whether it lies under a test of TYPE_CHECKING or of a version."""
    tests = (each.test for each in module.ancestors(node) if isinstance(each, (ast.If, ast.IfExp)))
    names = (
        (each.id if isinstance(each, ast.Name) else each.attr).lower()
        for test in tests
        for each in ast.walk(test)
        if isinstance(each, (ast.Name, ast.Attribute))
    )
    return any(name == "type_checking" or "version" in name for name in names)


def _is_unevaluated(module: Module, node: ast.AST, scope: Scope) -> bool:
    """Whether it is part of an annotation that Python does not evaluate."""
    inner = node
    for outer in module.ancestors(node):
        if isinstance(outer, (ast.stmt, ast.arg)):
            break
        inner = outer
    is_annotation = inner in (getattr(outer, "annotation", None), getattr(outer, "returns", None))
    if isinstance(outer, ast.AnnAssign) and scope.kind == "function":
        return is_annotation
    return is_annotation and any(each.dotted == "__future__.annotations" for each in module.imports)


def _is_probed(module: Module, name: str) -> bool:
    """Whether the module asks with `hasattr` or `getattr` if something has an attribute of this name."""
    return any(
        dotted_name(call.node.func) in ("hasattr", "getattr")
        and any(isinstance(each, ast.Constant) and each.value == name for each in call.node.args)
        for call in module.calls
    )


def _is_set(project: Project, name: str) -> bool:
    """Whether the project assigns an attribute of this name to anything."""
    return any(
        attribute.attr == name and not isinstance(attribute.ctx, ast.Load)
        for module in project.modules.values()
        for attribute, _ in module.attributes
    )


def _finding(module: Module, node: ast.AST, owner: str, name: str, error: str, project: Project) -> Finding:
    release = ".".join(map(str, project.sdk_release)) if project.sdk_release is not None else sdk.version()
    past = sdk.history(f"{owner}.{name}")
    removed = past.removed if past is not None else None
    if removed is not None:
        message = f"Release {removed} of the SDK removed `{owner}.{name}`: {error}."
    else:
        message = f"The SDK (release {release}) has no `{owner}.{name}`: {error}."
    return Finding(module, node, message, _advice(owner, name, removed))


def _advice(owner: str, name: str, removed: str | None) -> str:
    homes = sorted((each for each in sdk.modules() if name in sdk.names(each)), key=_remoteness)
    if homes:
        return f"Use `{sdk.canonical(f'{homes[0]}.{name}')}`."
    near = difflib.get_close_matches(name, sorted(sdk.names(owner)), 1, 0.7)
    if near:
        return f"Did you mean `{near[0]}`?"
    if removed is not None:
        return f"See the release notes of {removed} for what took its place."
    return f"Look for it in the SDK's documentation of `{owner}`."


def _remoteness(module: str) -> tuple[bool, int, str]:
    """Everyday modules first."""
    return module.startswith(("temporalio.contrib", "temporalio.nexus")), module.count("."), module
