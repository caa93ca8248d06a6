"""Write `temporal_lint/data/sdk.json`: what the linter knows of the Temporal SDK, read from the installed one.

Run `python tools/sdk_tables.py` after an upgrade of `temporalio`; `--check` compares instead of writing, prints the
difference and exits 1 where there is one. The shape of the file is told in `temporal_lint/sdk.py`, its only reader.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import collections.abc
import dataclasses
import difflib
import enum
import importlib
import importlib.metadata
import inspect
import itertools
import json
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

TABLE = Path(__file__).resolve().parent.parent / "temporal_lint" / "data" / "sdk.json"

# What needs an optional package of its own is named in the table but not read: the table must not depend on what else
# is installed. `temporalio.api` (protobuf) and `temporalio.bridge` (Rust) are no part of what users write.
CLOSED = ("temporalio.api", "temporalio.bridge", "temporalio.contrib")
OPENED = ("temporalio.contrib.pydantic", "temporalio.contrib.workflow_streams")

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "po",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "pos",
    inspect.Parameter.VAR_POSITIONAL: "var",
    inspect.Parameter.KEYWORD_ONLY: "kw",
    inspect.Parameter.VAR_KEYWORD: "varkw",
}


class Replacement(NamedTuple):
    """What to write instead of a deprecated name.

    `advice` is one sentence. `rename` is the new dotted name where nothing else changes; with `uncall`, it is the value
    that the old name had to be called for.
    """

    advice: str
    rename: str = ""
    uncall: bool = False


_DEPLOYMENT = Replacement("Use Worker Deployment versioning (`Worker(deployment_config=...)`) instead.")
_TYPED = Replacement("Use `typed_search_attributes` instead.")
_TYPED_KEYS = Replacement("Use typed search attributes (`SearchAttributeKey`, `TypedSearchAttributes`) instead.")
_UNRELIABLE = Replacement("Do not rely on it: the SDK does not always set it.")

# Reviewed by hand: every name (or `function:parameter`) that the SDK's own docstrings call deprecated, and what they
# say to use. `deprecated()` fails where the SDK and this table disagree, in either direction. No rename where the new
# name gives another type or another value: `Info.namespace` is set where `Info.workflow_namespace` is None.
REPLACEMENTS: dict[str, Replacement] = {
    "temporalio.activity.Info.workflow_namespace": Replacement("Use `namespace` instead."),
    "temporalio.client.Client.get_worker_build_id_compatibility": _DEPLOYMENT,
    "temporalio.client.Client.get_worker_task_reachability": _DEPLOYMENT,
    "temporalio.client.Client.update_worker_build_id_compatibility": _DEPLOYMENT,
    "temporalio.client.ScheduleActionStartWorkflow.untyped_search_attributes": _TYPED,
    "temporalio.client.ScheduleDescription.search_attributes": _TYPED,
    "temporalio.client.ScheduleListDescription.search_attributes": _TYPED,
    "temporalio.client.WorkflowExecution.search_attributes": _TYPED,
    "temporalio.converter.ActivitySerializationContext.activity_task_queue": _UNRELIABLE,
    "temporalio.converter.ActivitySerializationContext.activity_type": _UNRELIABLE,
    "temporalio.converter.decode_search_attributes": _TYPED_KEYS,
    "temporalio.converter.default": Replacement(
        "Use `DataConverter.default` instead.", "temporalio.converter.DataConverter.default", uncall=True
    ),
    "temporalio.converter.encode_search_attribute_values": _TYPED_KEYS,
    "temporalio.worker.SlotReserveContext.worker_build_id": Replacement("Use `worker_deployment_version` instead."),
    "temporalio.worker.Worker.__init__:build_id": Replacement("Use `deployment_config` instead."),
    "temporalio.worker.Worker.__init__:max_concurrent_activity_task_polls": Replacement(
        "Use `activity_task_poller_behavior` instead."
    ),
    "temporalio.worker.Worker.__init__:max_concurrent_workflow_task_polls": Replacement(
        "Use `workflow_task_poller_behavior` instead."
    ),
    "temporalio.worker.Worker.__init__:use_worker_versioning": Replacement("Use `deployment_config` instead."),
    "temporalio.workflow.Info.get_current_build_id": Replacement("Use `get_current_deployment_version` instead."),
    "temporalio.workflow.Info.search_attributes": _TYPED,
    "temporalio.workflow.VersioningIntent": _DEPLOYMENT,
    "temporalio.workflow.continue_as_new:versioning_intent": _DEPLOYMENT,
    "temporalio.workflow.start_activity:versioning_intent": _DEPLOYMENT,
    "temporalio.workflow.start_child_workflow:versioning_intent": _DEPLOYMENT,
}

# Docstrings that say "deprecated" of one form of the argument (a plain dict of search attributes), not of the name.
FORM_ONLY = re.compile(r"form of (this|attributes) is\s+deprecated", re.IGNORECASE)


def main(argv: list[str] | None = None) -> int:
    """Write or check the table; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the installed SDK, write nothing")
    arguments = parser.parse_args(argv)
    if not arguments.check:
        TABLE.write_text(render(build()), encoding="utf-8")
        return 0
    if lines := difference():
        print("\n".join(lines))
        print(f"{TABLE.name} is not what the installed SDK gives: run `python tools/sdk_tables.py`.")
        return 1
    return 0


def difference() -> list[str]:
    """The unified difference from the committed table to the installed SDK's; empty where they are equal."""
    committed = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    installed = render(build()).splitlines()
    return list(difflib.unified_diff(committed, installed, "committed", "installed", lineterm="", n=0))


def render(table: dict[str, Any]) -> str:
    """JSON with one line for each entry of each section, so that a new SDK shows as a readable difference."""
    sections = []
    for name, section in sorted(table.items()):
        if isinstance(section, dict):
            lines = ",\n".join(f"{json.dumps(key)}:{_compact(section[key])}" for key in sorted(section))
            sections.append(f"{json.dumps(name)}:{{\n{lines}\n}}")
        elif isinstance(section, list):
            lines = ",\n".join(_compact(item) for item in section)
            sections.append(f"{json.dumps(name)}:[\n{lines}\n]")
        else:
            sections.append(f"{json.dumps(name)}:{json.dumps(section)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def build() -> dict[str, Any]:
    """The whole table, from the installed SDK."""
    names = Names(_modules())
    functions: dict[str, Any] = {}
    classes: dict[str, Any] = {}
    options: dict[str, Any] = {}
    none_returning: list[str] = []
    for dotted, value in sorted(names.objects.items()):
        if isinstance(value, type):
            classes[dotted] = _class(names, dotted, value)
            members = _members(dotted, value)
        else:
            members = iter([Member(dotted, value, "function", value.__module__, None)])
        for member in members:
            functions[member.dotted] = entry = _function(names, member)
            if entry["returns"] == "None" and member.kind != "property" and not member.dotted.endswith(".__init__"):
                none_returning.append(member.dotted)
            if found := _options(names, member):
                options[member.dotted] = found
        if typing.is_typeddict(value):
            keys: dict[str, str] = classes[dotted]["attributes"]
            options[dotted] = _keyword_options({name: (text, True) for name, text in keys.items()})
    return {
        "version": importlib.metadata.version("temporalio"),
        # The sandbox's list depends on it: `random` grew in 3.12, `os.path` is allowed from 3.14 on.
        "python": ".".join(map(str, sys.version_info[:2])),
        "functions": functions,
        "classes": classes,
        "modules": {module.__name__: _attributes(module) for module in names.modules},
        "unread": sorted(_unread()),
        "aliases": names.aliases,
        "options": options,
        "none_returning": sorted(none_returning),
        "deprecated": deprecated(names, functions),
        "restricted": _restricted(),
    }


class Names:
    """The names that users write for the SDK's classes and functions.

    `objects` maps each canonical dotted name to its class or function; `aliases` every other dotted name to the
    canonical one. The SDK defines much in private modules (`temporalio.workflow._activities`) and re-exports it: the
    canonical name is the one in the public package that the defining module lies in.
    """

    def __init__(self, modules: list[types.ModuleType]) -> None:
        self.modules = modules
        self.objects: dict[str, Any] = {}
        self.aliases: dict[str, str] = {}
        self._canonical: dict[int, str] = {}
        found: dict[int, tuple[Any, list[str]]] = {}
        for module in modules:
            for name, value in vars(module).items():
                if isinstance(value, (type, types.FunctionType)) and value.__module__.startswith("temporalio."):
                    found.setdefault(id(value), (value, []))[1].append(f"{module.__name__}.{name}")
        for identity, (value, dotted) in found.items():
            home = _public_part(value.__module__)
            canonical = min(dotted, key=lambda name: (name != f"{home}.{value.__name__}", len(name), name))
            self._canonical[identity] = canonical
            self.objects[canonical] = value
            self.aliases.update({name: canonical for name in dotted if name != canonical})
        # Private classes matter only where a public one inherits from them.
        public = [value for name, value in self.objects.items() if not _is_private(name)]
        inherited = {base for value in public if isinstance(value, type) for base in value.__mro__}
        self.objects = {
            name: value for name, value in self.objects.items() if not _is_private(name) or value in inherited
        }
        self.aliases = {name: known for name, known in self.aliases.items() if known in self.objects}

    def of(self, value: Any) -> str:
        """The dotted name of a class or function, bare for builtins and for what typing spells."""
        if (known := self._canonical.get(id(value))) is not None:
            return known
        module, name = value.__module__, getattr(value, "__qualname__", None) or value.__name__
        if module in ("builtins", "typing", "typing_extensions", "collections.abc", "abc"):
            return str(name)
        home = _public_part(module) or module.lstrip("_")
        return f"{re.sub(r'[.][a-z_]+_pb2$', '', home)}.{name}"

    def annotation(self, value: Any, module: str, owner: str | None) -> str:
        """An annotation as text, every class in it by its dotted name; `owner` stands for `Self`. "" where unknown."""
        if value is inspect.Signature.empty:
            return ""
        if isinstance(value, typing.ForwardRef):
            value = value.__forward_arg__
        text = value if isinstance(value, str) else _spelled(value)
        scope = {**vars(builtins), **vars(sys.modules[module])}
        return ast.unparse(_Dotted(self, scope, owner).visit(ast.parse(text.strip(), mode="eval")))


class _Dotted(ast.NodeTransformer):
    """Replaces each name of an annotation by the dotted name of what it stands for."""

    def __init__(self, names: Names, scope: dict[str, Any], owner: str | None) -> None:
        self.names, self.scope, self.owner = names, scope, owner

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._resolved(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._resolved(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node.value).endswith("Literal"):
            return ast.Subscript(ast.Name("Literal"), node.slice)
        return self.generic_visit(node)

    def _resolved(self, node: ast.Name | ast.Attribute) -> ast.AST:
        text = ast.unparse(node)
        if text.rpartition(".")[2] == "Self" and self.owner:
            return ast.Name(self.owner)
        try:
            value = eval(text, self.scope)
        except (NameError, AttributeError):
            return node
        if value is None:
            return node
        if isinstance(value, (type, types.FunctionType)):
            return ast.Name(self.names.of(value))
        return ast.Name(text.rpartition(".")[2]) if text.startswith(("typing.", "typing_extensions.")) else node


def _spelled(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return "None" if annotation is type(None) else f"{annotation.__module__}.{annotation.__qualname__}"
    return str(annotation)


def _is_private(dotted: str) -> bool:
    return dotted.rpartition(".")[2].startswith("_")


def _public_part(module: str) -> str:
    parts = module.split(".")
    private = next((place for place, part in enumerate(parts) if part.startswith("_")), len(parts))
    return ".".join(parts[:private])


@cache
def _found() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The dotted names of the modules to read, and of those that exist and are not read."""
    import temporalio

    read, unread = ["temporalio"], list[str]()
    waiting: list[tuple[Iterable[str], str]] = [(temporalio.__path__, "temporalio.")]
    while waiting:
        path, prefix = waiting.pop()
        for found in pkgutil.iter_modules(path, prefix):
            if found.name.rpartition(".")[2].startswith("_"):
                continue
            closed = found.name.startswith(CLOSED) and not found.name.startswith(OPENED)
            (unread if closed else read).append(found.name)
            if found.ispkg and not found.name.startswith(("temporalio.api", "temporalio.bridge")):
                folder = found.name.rpartition(".")[2]
                waiting.append(([f"{parent}/{folder}" for parent in path], found.name + "."))
    return tuple(sorted(read)), tuple(sorted(unread))


def _modules() -> list[types.ModuleType]:
    return [importlib.import_module(name) for name in _found()[0]]


def _unread() -> tuple[str, ...]:
    return _found()[1]


def _attributes(module: types.ModuleType) -> list[list[str]]:
    """Every name of a module, public ones and private ones, submodules included whether imported or not."""
    names = {name for name in vars(module) if not (name.startswith("__") and name.endswith("__"))}
    names.update(found.name for found in pkgutil.iter_modules(getattr(module, "__path__", [])))
    return [sorted(name for name in names if name.startswith("_") is private) for private in (False, True)]


class Member(NamedTuple):
    """A function, or something of a class that is called or read like one."""

    dotted: str
    value: Any
    kind: str
    module: str
    owner: str | None


def _members(dotted: str, owner: type) -> Iterator[Member]:
    """What a class itself defines: public methods and properties, and `__init__`."""
    for name, value in sorted(vars(owner).items()):
        if name.startswith("_") and name != "__init__":
            continue
        kind = "method"
        if isinstance(value, (staticmethod, classmethod)):
            kind, value = type(value).__name__, value.__func__
        elif isinstance(value, property):
            kind, value = "property", value.fget
        if isinstance(value, types.FunctionType):
            yield Member(f"{dotted}.{name}", value, kind, owner.__module__, dotted)


def _parameters(member: Member) -> list[inspect.Parameter]:
    """The parameters that a caller passes: without `self` and `cls`."""
    parameters = list(inspect.signature(member.value).parameters.values())
    return parameters[1:] if member.kind in ("method", "classmethod", "property") else parameters


def _function(names: Names, member: Member) -> dict[str, Any]:
    signature = inspect.signature(member.value)
    returns = names.annotation(signature.return_annotation, member.module, member.owner)
    is_async = inspect.iscoroutinefunction(inspect.unwrap(member.value))
    entry: dict[str, Any] = {
        "kind": member.kind,
        "params": [
            [each.name, KINDS[each.kind], int(each.default is each.empty and "var" not in KINDS[each.kind])]
            for each in _parameters(member)
        ],
        "returns": returns,
    }
    if is_async:
        entry["async"] = 1
    elif _is_awaitable(names, returns):
        entry["awaitable"] = 1
    return entry


def _is_awaitable(names: Names, returns: str) -> bool:
    head = returns.partition("[")[0]
    if head in ("Awaitable", "Coroutine", "asyncio.Task", "asyncio.Future"):
        return True
    value = names.objects.get(head)
    return isinstance(value, type) and issubclass(value, collections.abc.Awaitable)


def _class(names: Names, dotted: str, value: type) -> dict[str, Any]:
    """Bases, attributes (name to annotation, "" where there is none) and members of an enumeration."""
    attributes: dict[str, str] = {}
    for name, text in inspect.get_annotations(value).items():
        attributes[name] = names.annotation(text, value.__module__, dotted)
    is_enum = issubclass(value, enum.Enum)
    for name, member in vars(value).items():
        if isinstance(member, property) and member.fget:
            returns = inspect.signature(member.fget).return_annotation
            attributes[name] = names.annotation(returns, value.__module__, dotted)
        elif not callable(member) and not isinstance(member, (staticmethod, classmethod)) and not is_enum:
            attributes.setdefault(name, "")
    for name in _assigned(value):
        attributes.setdefault(name, "")
    entry: dict[str, Any] = {
        "attributes": {name: attributes[name] for name in sorted(attributes) if not name.startswith("_")},
        "bases": [names.of(typing.get_origin(base) or base) for base in value.__bases__ if base is not object],
    }
    if issubclass(value, enum.Enum):
        entry["members"] = [member.name for member in value]
    if dataclasses.is_dataclass(value):
        entry["dataclass"] = 1
    if any("__getattr__" in vars(base) for base in value.__mro__):
        entry["open"] = 1
    return entry


def _assigned(value: type) -> Iterator[str]:
    """The attributes that `__init__` sets on the instance."""
    node = _class_node(value)
    for function in node.body if node else ():
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and function.name == "__init__":
            for target in ast.walk(function):
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.ctx, ast.Store)
                    and ast.unparse(target.value) == "self"
                ):
                    yield target.attr


@cache
def _class_nodes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _class_node(value: type) -> ast.ClassDef | None:
    return _class_nodes(value.__module__).get(value.__name__)


def _options(names: Names, member: Member) -> dict[str, Any] | None:
    keywords = {}
    for each in _parameters(member):
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD):
            text = names.annotation(each.annotation, member.module, member.owner)
            keywords[each.name] = (text, each.kind is each.KEYWORD_ONLY or member.dotted.endswith(".__init__"))
    found = _keyword_options(keywords)
    return found if found["durations"] or found["retry_policies"] else None


def _keyword_options(keywords: dict[str, tuple[str, bool]]) -> dict[str, Any]:
    """Of keywords with their annotation and whether they are options: their names, durations and retry policies."""
    return {
        "names": sorted(name for name, (_, is_option) in keywords.items() if is_option and name != "args"),
        # What also takes seconds as a number (`workflow.sleep`) is no duration that must be a timedelta.
        "durations": sorted(
            name for name, (text, _) in keywords.items() if re.fullmatch(r"datetime\.timedelta( \| None)?", text)
        ),
        "retry_policies": sorted(
            name for name, (text, _) in keywords.items() if re.search(r"\btemporalio\.common\.RetryPolicy\b", text)
        ),
    }


def deprecated(names: Names, functions: dict[str, Any]) -> dict[str, Any]:
    """Deprecated names with what to use instead; ValueError where REPLACEMENTS is not what the docstrings say."""
    documented = set(documented_deprecations(names))
    if unknown := sorted(documented ^ set(REPLACEMENTS)):
        raise ValueError(f"Review these in REPLACEMENTS, the SDK and the table disagree: {', '.join(unknown)}.")
    found = dict(REPLACEMENTS)
    # The docstrings of the other workflow functions only point at `start_activity` for what the parameter means.
    for dotted, function in functions.items():
        is_public_call = dotted.startswith("temporalio.workflow.") and function["kind"] == "function"
        if is_public_call and any(name == "versioning_intent" for name, _, _ in function["params"]):
            found[f"{dotted}:versioning_intent"] = _DEPLOYMENT
    return {
        dotted: {"advice": new.advice}
        | ({"rename": new.rename} if new.rename else {})
        | ({"uncall": 1} if new.uncall else {})
        for dotted, new in found.items()
    }


def documented_deprecations(names: Names) -> Iterator[str]:
    """What the SDK's docstrings call deprecated: names, and parameters as `function:parameter`."""
    for dotted, value in names.objects.items():
        if isinstance(value, type):
            if ".. deprecated::" in (value.__doc__ or ""):
                yield dotted
            for name, text in _attribute_docstrings(value):
                if re.search(r"\bdeprecated(::|,| and)", text, re.IGNORECASE):
                    yield f"{dotted}.{name}"
            members = _members(dotted, value)
        else:
            members = iter([Member(dotted, value, "function", value.__module__, None)])
        for member in members:
            text = member.value.__doc__ or ""
            if ".. deprecated::" in text:
                yield member.dotted
            for name, described in _argument_docstrings(text, {each.name for each in _parameters(member)}):
                if re.search(r"\bdeprecated\b", described, re.IGNORECASE) and not FORM_ONLY.search(described):
                    yield f"{member.dotted}:{name}"


def _attribute_docstrings(value: type) -> Iterator[tuple[str, str]]:
    node = _class_node(value)
    body = node.body if node else []
    for statement, following in itertools.pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            yield ast.unparse(statement.target), str(following.value.value)


def _argument_docstrings(docstring: str, parameters: set[str]) -> Iterator[tuple[str, str]]:
    """The parameters described under `Args:`, each with its description."""
    _, _, described = inspect.cleandoc(docstring).partition("Args:\n")
    for entry in re.split(r"^ {4}(?=\w)", described, flags=re.MULTILINE):
        name, _, text = entry.partition(":")
        if name in parameters:
            yield name, re.split(r"^\S", text, maxsplit=1, flags=re.MULTILINE)[0]


def _restricted() -> dict[str, Any]:
    """What the sandbox refuses by default: dotted name to when ("runtime" or "always") and how.

    How: "access" to touch it, "use" to call it, "warn" a warning for a call, "allowed" an exception from a `*`.
    """
    from temporalio.worker.workflow_sandbox import SandboxRestrictions

    restricted: dict[str, Any] = {}
    waiting = [("", "always", SandboxRestrictions.invalid_module_members_default)]
    while waiting:
        path, when, matcher = waiting.pop()
        prefix = f"{path}." if path else ""
        # A matcher that holds only at run time makes all below it hold only then.
        when = "runtime" if matcher.only_runtime else when
        if matcher.match_self:
            restricted[path.removesuffix(".__call__")] = [when, "warn" if matcher.leaf_warning else "access"]
        for how, found in (("access", matcher.access), ("use", matcher.use), ("allowed", matcher.exclude)):
            restricted.update({prefix + name: [when, how] for name in found})
        waiting.extend((prefix + name, when, child) for name, child in matcher.children.items())
    return restricted


if __name__ == "__main__":
    sys.exit(main())
