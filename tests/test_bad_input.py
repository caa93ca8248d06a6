"""What users have in their trees and on their command lines that no linter wants: one answer each, the rest goes on.

Each command runs with a limit of time, prints no traceback, exits with 0, 1 or 2, and leaves every file as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 60.0  # seconds for one command; each takes less than 5
USE = "from temporalio import activity, workflow\n"
FLOW = USE + "\n\nasync def flow() -> None:\n    await workflow.execute_activity('send', 1)\n"
# The start of every command: unlike `python -m`, it does not put the working directory before the library.
START = "import sys; del sys.path[0]; sys.path.insert(0, sys.argv.pop(1)); from temporal_lint.cli import main; main()"


def lint(
    directory: Path, *arguments: str, stdin: bytes | None = b"", stdout: int = subprocess.PIPE, **env: str
) -> subprocess.CompletedProcess[str]:
    before = _contents(directory)
    done = subprocess.run(
        [sys.executable, "-B", "-c", START, str(Path(__file__).parents[1]), "check", *arguments],
        cwd=directory,
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=LIMIT,
        env={**os.environ, "PYTHONUTF8": "1", **env},
    )
    text = subprocess.CompletedProcess(done.args, done.returncode, (done.stdout or b"").decode(), done.stderr.decode())
    assert "Traceback" not in text.stdout + text.stderr and "This is a bug" not in text.stderr, text.stderr
    assert text.returncode in (0, 1, 2)
    assert _contents(directory) == before
    return text


def findings(directory: Path, *arguments: str, stdin: bytes = b"") -> list[tuple[str, str]]:
    """The findings as (file name, code), in order."""
    done = lint(directory, "--output-format", "json", *arguments, stdin=stdin)
    assert done.returncode == 1 or done.stdout == "[]\n", done.stderr
    return [(Path(one["filename"]).name, one["code"]) for one in json.loads(done.stdout)]


def _contents(directory: Path) -> dict[Path, str]:
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write(directory: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


BROKEN: dict[str, str | bytes] = {
    "ascii.py": "# coding: ascii\n" + FLOW + "# café\n",
    "ctrl_z.py": FLOW + "\x1a",
    "decorated.py": USE + "@" + "a." * 20_000 + "b\ndef f(): pass\n",
    "deep_if.py": USE + "".join(" " * depth + "if 1:\n" for depth in range(200)) + " " * 200 + "pass\n",
    "escape.py": "# coding: raw_unicode_escape\n" + FLOW + "# \\ud800\n",
    "hex.py": "# coding: hex\n" + FLOW,
    "latin.py": FLOW.encode() + b"# caf\xe9\n",
    "plus.py": USE + "x = " + " + ".join(["a"] * 3000) + "\n",
    "punycode.py": "# coding: punycode\n" + FLOW,
    "python2.py": USE + "print 'x'\n",
    "surrogate.py": FLOW.encode() + b"x = '\xed\xa0\x80'\n",
    "undefined.py": "# coding: undefined\n" + FLOW,
    "unknown.py": "# coding: klingon\n" + FLOW,
}
WHOLE: dict[str, str | bytes] = {
    "bom.py": b"\xef\xbb\xbf" + FLOW.encode(),
    "cr.py": FLOW.replace("\n", "\r"),
    "crlf.py": FLOW.replace("\n", "\r\n"),
    "form_feed.py": "\f" + FLOW.replace("\n\n", "\n\f\n"),
    "latin_declared.py": b"# coding: latin-1\n" + FLOW.encode() + b"# caf\xe9\n",
    "long_line.py": FLOW + "# " + "x" * 2_000_000 + "\n",
    "no_newline.py": FLOW.rstrip("\n"),
    "pep646.py": FLOW + "def f[*Ts](*a: *Ts) -> None: x[*a]\n",
    "pep654.py": FLOW + "try:\n    pass\nexcept* OSError:\n    pass\n",
    "pep695.py": FLOW + "type A[T: int, **P] = list[T]\nclass C[T = int]: ...\n",
    "pep701.py": FLOW + "f'{f'{'a'}'}'\n",
    "pep750.py": FLOW + "t'{a!r:>{w}}'\n",
    "pep758.py": FLOW + "try:\n    pass\nexcept A, B:\n    pass\n",
    "tabs.py": FLOW.replace("    ", "\t"),
    "wide.py": FLOW + "D = {" + ", ".join(f"'k{n}': [{n}]" for n in range(10_000)) + "}\n",
}


def test_each_broken_file_is_one_finding_and_the_others_are_checked(tmp_path: Path) -> None:
    write(
        tmp_path, {**BROKEN, **WHOLE, "python2_without_temporal.py": "print 'x'\n", "empty.py": "", "blank.py": " \n"}
    )
    expected = [*((name, "TMP001") for name in BROKEN), *((name, "TMP101") for name in WHOLE)]
    assert sorted(findings(tmp_path)) == sorted(expected)
    # UTF-16 holds no import that the search over bytes could see; named, it is looked at
    write(tmp_path, {"utf16.py": FLOW.encode("utf-16")})
    assert findings(tmp_path, "utf16.py") == [("utf16.py", "TMP001")]


CYCLES: dict[str, str] = {
    "self": "x = x\na = b\nb = a\nL = L[0]\nT = (T, T)\nD = {**D, 'd': D}\nX = f'{X}{X}'\nf = f()\nfor i in i: i = i\n"
    "@activity.defn\ndef act(p: x, q: a, r: L, s: T) -> D: return p\n"
    "async def flow():\n    await workflow.execute_activity(act, X, args=T, start_to_close_timeout=a, **D)\n"
    "    await workflow.execute_activity(X, X, start_to_close_timeout=x)\n",
    "heirs": "class A(A): ...\nclass B(C): ...\nclass C(B): ...\nclass M(metaclass=M): ...\nclass G(*G, **G): ...\n"
    "@activity.defn\ndef act(a: A, b: B, c: C, g: G) -> M: ...\n",
    "decorators": "def d(f): return d(d)(f)\n@d\ndef e(f): return e\n@f\n@d(e)\ndef f(x): return f\n"
    "@f\n@activity.defn\n@f.f\ndef g(f): return g\n@workflow.defn\n@g\nclass W:\n    @workflow.run\n    @W.run\n"
    "    async def run(self): await w(g, 1)\ndef w(*a, **k): return v(*a, **k)\ndef v(*a, **k): return w(*a, **k)\n",
    "types": "from dataclasses import dataclass\nfrom typing import *\nJ = Union[str, List['J']]\nA = List['A']\n"
    "U = Union['U', 'U']\ntype R = list[R] | R\nT = TypeVar('T', bound='T')\nN = NewType('N', 'N')\n"
    "@dataclass\nclass Node:\n    next: 'Node | None'\n    other: 'Other[Other]'\n"
    "@dataclass\nclass Other(Generic[T]):\n    node: Node\nclass D(TypedDict):\n    d: 'D'\n"
    "@activity.defn\ndef act(j: J, a: A, u: U, r: R, t: T, n: N, x: Node, d: D) -> Node: return act(Node(), J, A)\n",
}


def test_names_that_lead_to_themselves_come_to_an_end(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.py": USE + text for name, text in CYCLES.items()})
    assert lint(tmp_path).returncode in (0, 1)


DOUBLES = {
    "list": ("{1} = [{0}, {0}]", "1"),
    "tuple": ("{1} = ({0}, {0})", "unknown"),
    "dict": ("{1} = {{'a': {0}, 'b': {0}}}", "1"),
    "splat": ("{1} = {{**{0}, **{0}}}", "unknown"),
    "text": ("{1} = f'{{{0}}}{{{0}}}'", "'x'"),
    "hole": ("{1} = f'{{{0}}}'", "unknown"),
    "sum": ("{1} = {0} + {0}", "1"),
    "choice": ("{1} = {0} if unknown else {0}", "1"),
    "item": ("{1} = {0}[{0}]", "unknown"),
    "function": ("def {1}(): return f'{{{0}()}}{{{0}()}}'", "unknown"),
    "model": ("@dataclass\nclass {1}:\n    a: {0}\n    b: {0}", "int"),
    "named_tuple": ("class {1}(NamedTuple):\n    a: {0}\n    b: {0}", "int"),
}
LAST = "n30"
USES = f"""
@activity.defn
def act(cursor, value: {LAST}) -> {LAST}:
    cursor.execute({LAST})
    cursor.execute({LAST}())
    return {LAST}


async def flow():
    await workflow.execute_activity({LAST}, {LAST}, start_to_close_timeout={LAST}, **{LAST})
    await workflow.execute_activity(act, args=[None, {LAST}()])
"""


def test_what_doubles_with_each_line_does_not_double_the_time(tmp_path: Path) -> None:
    """Thirty lines of `b = [a, a]` are a billion elements."""
    head = USE + "from dataclasses import dataclass\nfrom typing import NamedTuple\n"
    for name, (step, first) in DOUBLES.items():
        steps = [step.format(f"n{number}", f"n{number + 1}") for number in range(30)]
        write(tmp_path, {f"{name}.py": "\n".join([head, f"n0 = {first}", *steps, USES])})
    assert {name for name, code in findings(tmp_path) if code == "TMP101"} == {f"{name}.py" for name in DOUBLES}


def test_modules_in_circles_and_under_names_of_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "circle/a.py": USE + "from b import *\nfrom b import x as y\n@activity.defn\ndef act(p: y) -> y: ...\n",
            "circle/b.py": "from a import *\nfrom a import y as x\nimport a, b\n",
            "star/__init__.py": "from . import *\nfrom .m import *\nfrom star import *\n",
            "star/m.py": USE + "from . import *\n__all__ = [*__all__]\n@activity.defn\ndef act(x: Foo) -> Bar: ...\n",
            **{
                f"shadow/{name}.py": FLOW + f"import {name}\nfrom {name} import *\n"
                for name in ("types", "typing", "dataclasses", "activity", "workflow", "temporalio")
            },
            **{f"service{n}/workflow.py": FLOW + "from activity import act\n" for n in range(5)},
            **{
                f"service{n}/activity.py": USE + f"@activity.defn\ndef act({', '.join('abcd'[:n])}): ...\n"
                for n in range(5)
            },
        },
    )
    found = findings(tmp_path)
    # `workflow` is the SDK's module in the services, and not in the module of that name, which imports itself
    assert found.count(("workflow.py", "TMP101")) == 5
    assert {code for _, code in found} == {"TMP101"}
    # from within, where Python itself would take these files for its library
    assert {code for _, code in findings(tmp_path / "shadow")} == {"TMP101"}


def test_odd_paths_are_told_once_and_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"app/flow.py": FLOW, "app/folder.py/x.py": "", "outside/x.py": FLOW})
    app = tmp_path / "app"
    for number in range(50):
        (app / f"broken{number:02}.py").symlink_to("nowhere.py")
    (app / "loop.py").symlink_to("loop.py")
    (app / "up").symlink_to("..")
    (app / "memory.py").symlink_to("/proc/self/mem")
    (app / "zero.py").symlink_to("/dev/zero")
    os.mkfifo(app / "pipe.py")
    done = lint(app, "--isolated", "--output-format", "concise")
    assert done.returncode == 1 and "flow.py:5:11: error: TMP101" in done.stdout
    notes = done.stderr.splitlines()
    assert len([note for note in notes if "broken" in note]) == 1
    assert "broken00.py is a symbolic link to a file that does not exist. The same holds for 49 more paths." in (
        done.stderr
    )
    assert all(note.startswith("note: ") for note in notes) and len(notes) == 5
    for name in ("broken00.py", "loop.py", "pipe.py", "zero.py", "nowhere.py"):
        named = lint(app, name, "flow.py", "--isolated", "--output-format", "concise")
        assert named.returncode == 2 and "TMP101" in named.stdout
        assert len([line for line in named.stderr.splitlines() if not line.startswith("note: ")]) == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"pyproject.toml": "[tool]\ntemporal-lint = 1\n"}, "must be a table"),
        ({"pyproject.toml": "[tool.temporal-lint\n"}, "not valid TOML"),
        ({"pyproject.toml": b"[tool.temporal-lint]\n# \xff\n"}, "not UTF-8"),
        ({"temporal-lint.toml": "slect = []"}, "`select`"),
        ({"temporal-lint.toml": "select = 'TMP101'"}, "must be a list"),
        ({"temporal-lint.toml": "select = ['tmp101']"}, "Did you mean `TMP101`?"),
        ({"temporal-lint.toml": "max-payload-bytes = true"}, "a whole number"),
        ({"temporal-lint.toml": "severity = {TMP101 = 'eror'}"}, "Did you mean `error`?"),
        ({"temporal-lint.toml": "wrappers = [{}]"}, "`wrappers[0].call` is missing"),
        ({"temporal-lint.toml": "exclude = ['!']"}, "`exclude`"),
        ({"temporal-lint.toml": "per-file-ignores = {'!' = ['TMP101']}"}, "`per-file-ignores`"),
        ({"temporal-lint.toml": "rules = ['nope.py']"}, "nope.py"),
        ({"temporal-lint.toml": "sql-dialect = 'postgress'"}, "Did you mean `postgres`?"),
        ({"temporal-lint.toml": "sql-dialect = 'klingon'"}, "one of athena, bigquery,"),
        ({"temporal-lint.toml": "python-version = '3'"}, "it must look like `3.12`"),
        ({"temporal-lint.toml": "sdk-version = 'newest'"}, "it must look like `1.8.0`"),
    ],
)
def test_wrong_configuration_is_one_sentence(tmp_path: Path, files: dict[str, str | bytes], words: str) -> None:
    write(tmp_path, {**files, "flow.py": FLOW})
    done = lint(tmp_path)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("temporal-lint: ") and done.stderr.count("\n") == 1 and words in done.stderr


def test_a_configuration_that_is_no_file(tmp_path: Path) -> None:
    write(tmp_path, {"flow.py": FLOW, "folder/x.py": ""})
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "no regular file"), ("folder", "a directory"), ("nowhere", "No such file")):
        done = lint(tmp_path, "--config", name)
        assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1 and words in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "(x): int = 1\n",
        f"\n\ndef total(y):\n    return {' + '.join(['y'] * 1500)}\n",
        "\n\ndef level(y):\n    if y == 0:\n        pass\n"
        + "".join(f"    elif y == {n}:\n        pass\n" for n in range(1500)),
    ],
)
def test_what_python_accepts_is_no_syntax_error(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"flow.py": FLOW + text})
    assert findings(tmp_path) == [("flow.py", "TMP101")]


@pytest.mark.parametrize("content", ["", "[tool.temporal-lint]\n", "[project\n", b"\xff\n"])
def test_a_configuration_that_says_nothing_to_us_changes_nothing(tmp_path: Path, content: str | bytes) -> None:
    write(tmp_path, {"pyproject.toml": content, "flow.py": FLOW})
    assert findings(tmp_path) == [("flow.py", "TMP101")]


def test_standard_input_that_cannot_be_had(tmp_path: Path) -> None:
    write(tmp_path, {"folder/x.py": ""})
    assert findings(tmp_path, "-", "--stdin-filename", "no/such/folder/flow.py", stdin=FLOW.encode()) == [
        ("flow.py", "TMP101")
    ]
    folder = lint(tmp_path, "-", "--stdin-filename", "folder")
    assert folder.returncode == 2 and "is a directory" in folder.stderr


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, {"flow.py": FLOW})
    (tmp_path / "folder").mkdir()
    for target in ("json:folder", "json:flow.py/x.json", "json:/proc/x.json"):
        done = lint(tmp_path, "-q", "--output", target)
        assert done.returncode == 2 and "cannot be written" in done.stderr
    for unbuffered in ("", "1") if Path("/dev/full").exists() else ():
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            done = lint(tmp_path, stdout=full, PYTHONUNBUFFERED=unbuffered)
        finally:
            os.close(full)
        assert (done.returncode, done.stderr) == (2, "temporal-lint: No space left on device.\n")


def test_a_tree_without_python_is_said_to_be_one(tmp_path: Path) -> None:
    assert lint(tmp_path).stdout == "There is no Python file to check.\n"


def test_the_repository_of_a_git_hook_is_not_taken_for_that_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, {"hook/other.py": "", "app/flow.py": FLOW, "app/made.py": FLOW, "app/.gitignore": "made.py\n"})
    for name in ("hook", "app"):
        subprocess.run(["git", "init", "-q", str(tmp_path / name)], check=True)
    git = str(tmp_path / "hook" / ".git")
    done = lint(tmp_path / "app", "--show-files", GIT_DIR=git, GIT_INDEX_FILE=f"{git}/index")
    assert done.stdout.split() == [str(tmp_path / "app" / "flow.py")]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# noqa", []),
        ("#noqa:tmp101", []),
        ("# noqa: E501, TMP101 because", []),
        ("# type: ignore  # noqa: TMP101", []),
        ("# noqa: E501", ["TMP101"]),
        ("# ruff: noqa", ["TMP101"]),
        ("# temporal-lint: ignore[TMP101]  # temporal-lint: ignore[activity-missing-timeout]", []),
        ("# temporal-lint: ignore[tmp101]", ["TMP101", "TMP003"]),
        ("# temporal-lint: ignore[]", ["TMP101", "TMP003"]),
        ("# temporal-lint: ignore[TMP101", ["TMP101", "TMP003"]),
        ("# temporal-lint: ignroe[TMP101]", ["TMP101", "TMP003"]),
        ("# temporal-lint:", ["TMP101", "TMP003"]),
        ("# temporal-lint: ignore[TMP101, TMP113]", ["TMP002"]),
    ],
)
def test_comments_that_are_nearly_right(tmp_path: Path, comment: str, expected: list[str]) -> None:
    write(tmp_path, {"flow.py": FLOW.rstrip("\n") + f"  {comment}\n"})
    assert [code for _, code in findings(tmp_path)] == expected
