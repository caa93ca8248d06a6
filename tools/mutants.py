"""Break working Temporal code on purpose and count what the linter finds.

    python tools/mutants.py DIRECTORY [DIRECTORY ...]

Each activity call of each project is broken in the ways that the product is named for: its timeouts deleted, an
argument turned into a keyword, a value that cannot be serialised or a 3 MB one passed, an INSERT put two calls below
the activity; once at the call itself ("direct") and once through local names, helpers of other modules, option
dictionaries and injected services ("helpers"). Prints found/made for each kind; exits 1 below 99 % and 90 %.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from temporal_lint import edits, facts
from temporal_lint.config import Settings
from temporal_lint.converters import Converters
from temporal_lint.discover import discover
from temporal_lint.edits import Editor
from temporal_lint.engine import judge
from temporal_lint.facts import Function, Module
from temporal_lint.graph import ModuleIndex, reach
from temporal_lint.project import Project, SdkCall
from temporal_lint.repeats import is_tried_once
from temporal_lint.rule import Edit, Rule
from temporal_lint.rules import load
from temporal_lint.source import Source, SourceError
from temporal_lint.spans import Spans

DIRECT_SHARE = 0.99
HELPER_SHARE = 0.90
_TIMEOUTS = ("start_to_close_timeout", "schedule_to_close_timeout")
_SUPPORT = "temporal_lint_mutants"
_SUPPORT_TEXT = """
import threading


class Plain:
    def __init__(self):
        self.x = 1


def make_lock():
    return threading.Lock()


def make_handle():
    handle = open("data.bin", "rb")
    return handle


def rows():
    for number in range(3):
        yield number


BIG = "x" * (3 * 1000 * 1000)
LOCK = threading.Lock()
"""
# what is passed instead of the first argument, and whether that is the thing itself or comes through a helper
_REFUSED = {
    "lock": ("__import_threading.Lock()", True),
    "lambda": ("(lambda: 0)", True),
    "open file": ("open('data.bin')", True),
    "generator": ("(number for number in range(3))", True),
    "plain object": (f"{_SUPPORT}.Plain()", True),
    "3 MB": ("'x' * 3_000_000", True),
    "lock from a helper": (f"{_SUPPORT}.make_lock()", False),
    "open file from a helper": (f"{_SUPPORT}.make_handle()", False),
    "generator function": (f"{_SUPPORT}.rows()", False),
    "lock in a constant": (f"{_SUPPORT}.LOCK", False),
    "lock in a list of a dict": (f"{{'a': [1, {_SUPPORT}.LOCK]}}", False),
    "3 MB constant": (f"{_SUPPORT}.BIG", False),
}


@dataclass
class Loaded:
    """A project, its modules by name and the way names are found."""

    modules: dict[str, Module]
    find: Callable[[str, str], str | None]

    def project(self, replaced: dict[str, Module]) -> Project:
        """The project with some modules replaced or added."""
        known = {**self.modules, **replaced}
        return Project(
            known.values(),
            Settings(),
            lambda dotted, importer: dotted if dotted in replaced else self.find(dotted, importer),
        )


@dataclass
class Tally:
    """How many mutants of a kind were made and found; `missed` shows where not."""

    made: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)


def read_project(root: Path) -> Loaded:
    """Everything under `root` that matters to Temporal."""
    settings = Settings()
    discovered = discover([root], root, settings)
    index = ModuleIndex(discovered.project, root)
    modules: dict[str, Module] = {}
    for path in reach(index, Path.read_bytes).files:
        name = index.names[path]
        try:
            modules[name] = facts.gather(Source.read(path), name, name in index.packages)
        except SourceError:
            continue
    return Loaded(modules, index.find)


class Bench:
    """All mutants of one project."""

    def __init__(self, loaded: Loaded, rules: dict[str, Rule], tallies: dict[tuple[str, bool], Tally]) -> None:
        self.loaded = loaded
        self.rules = rules
        self.tallies = tallies
        self.base = loaded.project({})
        self.support = facts.gather(Source(Path("/mutants.py"), _SUPPORT_TEXT), _SUPPORT, False)

    def run(self) -> None:
        """Make and judge every kind."""
        for through in (False, True):
            calls = self._calls(through)
            self._break("timeout deleted", not through, calls, "TMP101", self._without_timeout)
            self._break("argument by keyword", not through, calls, "TMP103", self._by_keyword)
            for kind, (text, direct) in _REFUSED.items():
                code = "TMP206" if "3 MB" in kind else "TMP201"
                self._break(kind, direct and not through, calls, code, lambda c, e, t=text: self._with_value(c, e, t))
            if not through:
                for kind, (text, direct) in _REFUSED.items():
                    if direct:
                        code = "TMP206" if "3 MB" in kind else "TMP201"
                        self._break(
                            f"{kind} in a local name",
                            False,
                            calls,
                            code,
                            lambda c, e, t=text: self._with_local(c, e, t),
                        )
        self._inserts(direct=True)
        self._inserts(direct=False)

    def _calls(self, through: bool) -> dict[str, list[SdkCall]]:
        """The activity calls whose target is known, by module: made directly, or through the project's wrappers."""
        found: dict[str, list[SdkCall]] = {}
        for module in self.loaded.modules.values():
            if module.is_test:
                continue
            for call in self.base.sdk_calls(module):
                if call.family == "activity" and bool(call.via) is through and call.function is not None:
                    found.setdefault(module.name, []).append(call)
        return found

    def _break(
        self,
        kind: str,
        direct: bool,
        calls: dict[str, list[SdkCall]],
        code: str,
        mutate: Callable[[SdkCall, Editor], list[Edit] | None],
    ) -> None:
        """Break every call of every module at once (they do not touch each other) and look for each finding."""
        replaced: dict[str, Module] = {_SUPPORT: self.support}
        wanted: dict[str, list[int]] = {}
        for name, here in calls.items():
            module = self.loaded.modules[name]
            editor = Editor(module.tree, module.source, Spans(module.source))
            changes: list[Edit] = []
            broken: list[int] = []
            order = {call.node: index for index, call in enumerate(module.calls)}
            for call in here:
                made = mutate(call, editor)
                if made and not _overlaps(made, changes):
                    changes.extend(made)
                    broken.append(order[call.node])
            if not broken:
                continue
            text = _with_imports(edits.apply(module.source.text, changes))
            replaced[name] = facts.gather(Source(module.source.path, text), name, module.is_package)
            wanted[name] = broken
        project = self.loaded.project(replaced)
        tally = self.tallies.setdefault((kind, direct), Tally())
        for name, broken in wanted.items():
            module = replaced[name]
            troubles: list[str] = []
            hit = {
                id(finding.node): finding.node for _, finding in judge(project, module, [self.rules[code]], troubles)
            }
            held = {ancestor for node in hit.values() for ancestor in (node, *module.ancestors(node))}
            # the calls of a file keep their order: mutants only add calls inside the arguments, and helpers in front
            targets = [each for each in self._activity_calls(project, module)]
            tally.made += len(broken)
            positions = {
                call.node: index
                for index, call in enumerate(self._activity_calls(self.base, self.loaded.modules[name]))
            }
            original = self.loaded.modules[name].calls
            for index in broken:
                place = positions.get(original[index].node)
                node = targets[place].node if place is not None and place < len(targets) else None
                statement = module.statement(node) if node is not None else None
                if node in held or (statement is not None and statement in held):
                    tally.found += 1
                else:
                    tally.missed.append(f"{name}: {ast.unparse(original[index].node)[:160]}")

    @staticmethod
    def _activity_calls(project: Project, module: Module) -> list[SdkCall]:
        return [each for each in project.sdk_calls(module) if each.family == "activity"]

    @staticmethod
    def _without_timeout(call: SdkCall, editor: Editor) -> list[Edit] | None:
        given = [call.written[name] for name in _TIMEOUTS if name in call.written]
        # options that come from elsewhere keep their timeout: nothing is broken there
        if not given or call.open_keywords or any(call.option(n) and n not in call.written for n in _TIMEOUTS):
            return None
        if call.via and not all(call.is_absent(name) or name in call.written for name in _TIMEOUTS):
            return None
        return list(editor.delete_arguments(call.node, given))

    @staticmethod
    def _by_keyword(call: SdkCall, editor: Editor) -> list[Edit] | None:
        if call.via or call.function is None or not call.payloads or not all(each.here for each in call.payloads):
            return None
        names = [each.name for each in call.function.bound_parameters]
        if len(names) < len(call.payloads) or len(call.positional) > 2:
            return None
        if call.signature is None or any(call.signature.accepts_keyword(name) for name in names):
            # `args=` is an option of the call itself
            return None
        args = call.written.get("args")
        if args is not None:
            pairs = zip(names, call.payloads, strict=False)
            return [editor.replace(args, ", ".join(f"{name}={editor.text(each.expression)}" for name, each in pairs))]
        if "arg" in call.written:
            return None
        return [editor.insert_before(call.payloads[0].expression, f"{names[0]}=")]

    def _with_value(self, call: SdkCall, editor: Editor, text: str) -> list[Edit] | None:
        if Converters.of(self.base).converter(call.module) == "custom":
            # the project's own converter may carry anything
            return None
        if not call.payloads or not call.payloads[0].here or call.payloads[0].expression not in call.module.parents:
            return None
        return [editor.replace(call.payloads[0].expression, text)]

    def _with_local(self, call: SdkCall, editor: Editor, text: str) -> list[Edit] | None:
        made = self._with_value(call, editor, "mutated_value")
        statement = call.module.statement(call.node)
        if made is None or not isinstance(statement, (ast.Expr, ast.Assign, ast.Return, ast.AnnAssign)):
            return None
        start, _ = editor.spans.whole(statement)
        line = editor.source.text.rfind("\n", 0, start) + 1
        indent = editor.source.text[line:start]
        if indent.strip():
            return None
        return [*made, Edit(start, start, f"mutated_value = {text}\n{indent}")]

    def _inserts(self, direct: bool) -> None:
        """An INSERT two calls below each activity: in a class made on the spot, or in an injected service."""
        kind = "INSERT two calls below" if direct else "INSERT in an injected service"
        store: list[str] = ["import sqlite3\n"]
        replaced: dict[str, Module] = {}
        places: list[Function] = []
        for name, module in self.loaded.modules.items():
            if module.is_test:
                continue
            changes: list[Edit] = []
            editor: Editor | None = None
            for function in module.functions:
                activity = self.base.activity_of.get(function)
                if activity is None or activity.legacy or not function.node.body:
                    continue
                if is_tried_once(function, self.base):
                    # no retry, so no second INSERT
                    continue
                editor = editor or Editor(module.tree, module.source, Spans(module.source))
                number = len(places)
                first = next((each for each in function.node.body if not _is_docstring(each)), None)
                if first is None:
                    continue
                start, _ = editor.spans.whole(first)
                line = editor.source.text.rfind("\n", 0, start) + 1
                indent = editor.source.text[line:start]
                if indent.strip():
                    continue
                store.append(_store(number))
                called = (
                    f"{_SUPPORT}_store.Store{number}().save()"
                    if direct
                    else f"{_SUPPORT}_store.Service{number}({_SUPPORT}_store.Store{number}()).work()"
                )
                changes.append(Edit(start, start, f"{called}\n{indent}"))
                places.append(function)
            if changes:
                text = f"import {_SUPPORT}_store\n" + edits.apply(module.source.text, changes)
                text = _future_first(module.source.text, text, f"import {_SUPPORT}_store\n", changes)
                replaced[name] = facts.gather(Source(module.source.path, text), name, module.is_package)
        store_name = f"{_SUPPORT}_store"
        replaced[store_name] = facts.gather(Source(Path("/store.py"), "".join(store)), store_name, False)
        project = self.loaded.project(replaced)
        troubles: list[str] = []
        found = list(judge(project, replaced[store_name], [self.rules["TMP301"]], troubles))
        where = {finding.chain[-1].label for _, finding in found}
        tally = self.tallies.setdefault((kind, direct), Tally())
        tally.made += len(places)
        for number, function in enumerate(places):
            if f"{store_name}.Store{number}._write" in where:
                tally.found += 1
            else:
                tally.missed.append(function.label)


def _store(number: int) -> str:
    return f"""
class Store{number}:
    def __init__(self):
        self.connection = sqlite3.connect("mutants.db")

    def save(self):
        self._write("x")

    def _write(self, name):
        with self.connection as connection:
            connection.execute("INSERT INTO mutants{number} (name) VALUES (?)", (name,))


class Service{number}:
    def __init__(self, store: Store{number}):
        self.store = store

    def work(self):
        self.store.save()
"""


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _overlaps(made: list[Edit], others: list[Edit]) -> bool:
    return any(one.start < other.end and other.start < one.end for one in made for other in others)


def _with_imports(text: str) -> str:
    """The text with the imports that mutants use, behind everything so that nothing else moves."""
    ending = "" if text.endswith("\n") else "\n"
    return f"{text}{ending}import threading as __import_threading\nimport {_SUPPORT}\n"


def _future_first(original: str, text: str, line: str, changes: list[Edit]) -> str:
    """Put the import last where the file starts with a docstring or a `__future__` import."""
    body = edits.apply(original, changes)
    return body + ("" if body.endswith("\n") else "\n") + line


def main(arguments: list[str]) -> int:
    """Run over the directories; print the table; 1 where a share is too low."""
    rules = {each.code: each for each in load()}
    tallies: dict[tuple[str, bool], Tally] = {}
    for argument in arguments:
        Bench(read_project(Path(argument).resolve()), rules, tallies).run()
    low = False
    for direct, share in ((True, DIRECT_SHARE), (False, HELPER_SHARE)):
        chosen = {kind: tally for (kind, is_direct), tally in tallies.items() if is_direct is direct}
        made, found = (sum(getattr(each, what) for each in chosen.values()) for what in ("made", "found"))
        print(f"{'direct' if direct else 'through helpers'}: {found}/{made} = {found / max(made, 1):.1%}")
        for kind, tally in chosen.items():
            print(f"  {kind:32} {tally.found:5}/{tally.made:<5}")
            for line in _sample(tally.missed):
                print(f"      missed {line}")
        low = low or found < share * made
    return 1 if low else 0


def _sample(missed: list[str]) -> Iterator[str]:
    yield from missed[:4]
    if len(missed) > 4:
        yield f"... and {len(missed) - 4} more"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
