"""Imports, what they mean, and which files matter."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest

from temporal_lint.graph import Import, ModuleIndex, imports, reach

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a.b as c, d", [Import(0, "a.b"), Import(0, "d")]),
        ("from a import b as c, d", [Import(0, "a", ("b", "d"))]),
        ("from a import (  # (one)\n    b,  # two)\n    c as d,\n)\n", [Import(0, "a", ("b", "c"))]),
        ("from a import(b)", [Import(0, "a", ("b",))]),
        (
            "from . import b\nfrom .. a import c\nfrom.x import*",
            [Import(1, "", ("b",)), Import(2, "a", ("c",)), Import(1, "x")],
        ),
        ("from a \\\n  import b, \\\n  c", [Import(0, "a", ("b", "c"))]),
        ("if x: import a; from b import c; y = 1", [Import(0, "a"), Import(0, "b", ("c",))]),
        (
            "def f():\n\timport a\r\n\tfrom b import c\rimport d",
            [Import(0, "a"), Import(0, "b", ("c",)), Import(0, "d")],
        ),
        ("\ufeffimport a", [Import(0, "a")]),
        ("from ä import ö", [Import(0, "ä", ("ö",))]),
        ("importance = 1\nfrom_x = 2\nx.import_ = 3", []),
        ("from a import (b, c", [Import(0, "a", ("b", "c"))]),
    ],
)
def test_every_form_of_import(text: str, found: list[Import]) -> None:
    assert list(imports(text.encode())) == found


def test_no_import_of_the_standard_library_is_missed() -> None:
    for path in Path(sysconfig.get_paths()["stdlib"]).glob("*.py"):
        data = path.read_bytes()
        expected = set()
        for node in ast.walk(ast.parse(data)):
            if isinstance(node, ast.Import):
                expected |= {Import(0, alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = tuple(alias.name for alias in node.names if alias.name != "*")
                expected.add(Import(node.level, node.module or "", names))
        assert expected <= set(imports(data)), path


def index(*paths: str, src: tuple[str, ...] = (), root: Path = ROOT) -> ModuleIndex:
    return ModuleIndex([root / path for path in paths], root, src)


@pytest.mark.parametrize(
    ("dotted", "importer", "meant"),
    [
        ("activities", "hello.workflow", "hello.activities"),
        ("activities", "other.workflow", "other.activities"),
        ("activities", "main", None),
        ("hello.activities", "other.workflow", "hello.activities"),
        ("app.store", "backend.app.main", "backend.app.store"),
        ("app.store", "backend.tool", "backend.app.store"),
        ("backend.app.store", "main", "backend.app.store"),
        ("lib.core", "hello.workflow", "packages.lib.src.lib.core"),
        ("app", "backend.tool", "backend.app"),
        ("temporalio.workflow", "hello.workflow", None),
        ("types", "backend.app.main", None),
        ("helper", "backend.app.main", "backend.app.helper"),
        ("nowhere", "main", None),
    ],
)
def test_a_name_means_the_nearest_module(dotted: str, importer: str, meant: str | None) -> None:
    modules = index(
        "main.py",
        "hello/activities.py",
        "hello/workflow.py",
        "other/activities.py",
        "other/workflow.py",
        "backend/tool.py",
        "backend/app/__init__.py",
        "backend/app/main.py",
        "backend/app/store.py",
        "backend/app/types.py",
        "backend/app/helper.py",
        "packages/lib/src/lib/core.py",
        "hello/temporalio/workflow.py",
    )
    assert modules.find(dotted, importer) == meant


def test_what_lies_beside_a_script_comes_before_another_distribution(tmp_path: Path) -> None:
    for path in ("far/pyproject.toml", "far/workflows.py", "near/__init__.py", "near/run.py", "near/workflows.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    modules = index(
        "far/workflows.py", "near/__init__.py", "near/run.py", "near/workflows.py", "main.py", root=tmp_path
    )
    assert modules.find("workflows", "near.run") == "near.workflows"
    assert modules.find("workflows", "main") == "far.workflows"


def test_two_places_that_fit_alike_mean_nothing() -> None:
    modules = index("one/src/lib/core.py", "two/src/lib/core.py", "main.py", "one/main.py")
    assert modules.find("lib.core", "main") is None
    assert modules.find("lib.core", "one.main") == "one.src.lib.core"


def test_configured_source_roots_count() -> None:
    assert index("python/lib/core.py", "python2/lib/core.py", "main.py").find("lib.core", "main") is None
    paths = ("python/lib/core.py", "python2/lib/core.py", "main.py")
    assert index(*paths, src=("python",)).find("lib.core", "main") == "python.lib.core"


def test_root_that_is_a_package_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    modules = index("__init__.py", "store.py", "main.py", root=tmp_path / "app")
    assert modules.find("app.store", "main") == "store"
    assert modules.find("app", "main") == "__init__"


def test_a_file_and_a_package_of_one_name_are_both_kept() -> None:
    modules = index("a.py", "a/__init__.py")
    assert modules.paths["a"] == ROOT / "a/__init__.py"
    assert set(modules.paths.values()) == {ROOT / "a.py", ROOT / "a/__init__.py"}


def reached(texts: dict[str, str], *libraries: str) -> set[str]:
    files = {ROOT / path: text.encode() for path, text in texts.items()}
    found = reach(ModuleIndex(files, ROOT), files.__getitem__, libraries)
    return {path.relative_to(ROOT).as_posix() for path in found.files}


def test_reach_takes_users_what_they_import_and_their_callers() -> None:
    assert reached(
        {
            "app/wrap.py": "import temporalio.workflow",
            "app/deep.py": "from . import store",
            "app/user.py": "from temporalio import activity\nfrom .deep import x",
            "app/store.py": "import os",
            "app/caller.py": "def f():\n    from app.wrap import call",
            "app/stranger.py": "import app.store",
            "app/far.py": "from app import caller",
        }
    ) == {"app/wrap.py", "app/deep.py", "app/user.py", "app/store.py", "app/caller.py"}


def test_reach_knows_the_legacy_sdk_and_configured_libraries_but_not_local_packages() -> None:
    assert reached({"a.py": "from temporal.workflow import workflow_method"}) == {"a.py"}
    assert reached({"temporal/workflow.py": "", "a.py": "from temporal.workflow import x"}) == set()
    assert reached({"a.py": "from acme.tasks import task"}, "acme") == {"a.py"}
    assert reached({"acme/__init__.py": "", "a.py": "import acme"}, "acme") == set()
