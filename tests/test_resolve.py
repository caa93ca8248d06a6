"""Names and types across modules: certain, or no answer."""

from __future__ import annotations

import ast

import pytest
from support import project

from temporal_lint.facts import Class, Function, Module
from temporal_lint.resolve import External, Type, Variable


def symbol(files: dict[str, str] | str) -> str | None:
    joined = project(files)
    facts = joined.modules["app"]
    call = next(each for each in facts.calls if ast.unparse(each.node.func) == "ask")
    found = joined.resolver.resolve(call.node.args[0], call.scope)
    if isinstance(found, External):
        return found.dotted
    if isinstance(found, (Function, Class)):
        return f"{found.module.name}:{found.qualname}"
    if isinstance(found, Module):
        return f"module {found.name}"
    return "variable" if isinstance(found, Variable) else None


def value_type(files: dict[str, str] | str) -> Type | None:
    joined = project(files)
    facts = joined.modules["app"]
    call = next(each for each in facts.calls if ast.unparse(each.node.func) == "ask")
    return joined.resolver.infer(call.node.args[0], call.scope)


LIBRARY = {
    "lib/__init__.py": "from .deep import thing as shown, Box\nfrom . import deep\n__all__ = ['shown']\n",
    "lib/deep.py": (
        "from temporalio import workflow as wf\ndef thing(): ...\n"
        "class Box:\n    SIZE = 3\n    class Inner: ...\n    def put(self): ...\n"
        "run = wf.execute_activity\n"
    ),
    "lib/stars.py": "from lib.deep import *\n",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from temporalio import workflow\nask(workflow.execute_activity)", "temporalio.workflow.execute_activity"),
        ("import temporalio.workflow as w\nask(w.sleep)", "temporalio.workflow.sleep"),
        ("import temporalio.workflow\nask(temporalio.workflow.sleep)", "temporalio.workflow.sleep"),
        ("from temporalio.workflow import *\nask(execute_activity)", "temporalio.workflow.execute_activity"),
        ("from lib import shown\nask(shown)", "lib.deep:thing"),
        ("import lib.deep\nask(lib.deep.Box)", "lib.deep:Box"),
        ("from lib import deep\nask(deep.Box.put)", "lib.deep:Box.put"),
        ("from lib import deep\nask(deep.Box.Inner)", "lib.deep:Box.Inner"),
        ("from lib.stars import Box\nask(Box)", "lib.deep:Box"),
        ("from lib.stars import *\nask(thing)", "lib.deep:thing"),
        ("from lib.deep import run\nask(run)", "temporalio.workflow.execute_activity"),
        ("from lib.deep import missing\nask(missing)", None),
        ("import lib\nask(lib)", "module lib"),
        ("ask(open)", "builtins.open"),
        ("def open(): ...\nask(open)", "app:open"),
        ("from unknown import *\nask(open)", None),
        ("ask(nowhere)", None),
        ("try:\n    import a\nexcept ImportError:\n    a = None\nask(a)", "variable"),
        ("from lib import Box\nb = Box()\nask(b.put)", "lib.deep:Box.put"),
        ("from lib import Box\ndef f(b: 'Box'):\n    ask(b.put)", "lib.deep:Box.put"),
        ("from lib import Box\ndef f(b: Box | None):\n    ask(b.put)", "lib.deep:Box.put"),
        ("from lib import Box\nclass A:\n    def __init__(self):\n        self.b = Box()\n"
         "    def g(self):\n        ask(self.b.put)", "lib.deep:Box.put"),
        ("from lib import Box\nclass A(Box):\n    def g(self):\n        ask(self.put)", "lib.deep:Box.put"),
        ("from temporalio import workflow\ndef f(workflow):\n    ask(workflow.sleep)", None),
        ("from temporalio.client import Client\nasync def f():\n    c = await Client.connect('')\n"
         "    ask(c.start_workflow)",
         "temporalio.client.Client.start_workflow"),
        ("from temporalio.client import Client\ndef f(c: Client):\n    h = c.get_workflow_handle('')\n"
         "    ask(h.signal)",
         "temporalio.client.WorkflowHandle.signal"),
        ("from temporalio import workflow\nask(workflow.random().choice)", "random.Random.choice"),
    ],
)  # fmt: skip
def test_symbols(text: str, expected: str | None) -> None:
    answer = symbol({**LIBRARY, "app.py": text})
    if text.endswith("random().choice)"):
        # a method of what a call returns is never a name of the SDK
        assert answer is None or not answer.startswith("temporalio.")
    else:
        assert answer == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ask('x')", "builtins.str"),
        ("x = 1\nask(x)", "builtins.int"),
        ("x = 1\nx = 'a'\nask(x)", "builtins.str"),
        ("def f(c):\n    x = 1\n    if c:\n        x = 'a'\n    ask(x)", "typing.Union"),
        ("def f(c):\n    if c:\n        x = 1\n    else:\n        x = c\n    ask(x)", None),
        ("def f():\n    x = 1\n    for _ in ():\n        ask(x)\n        x = 'a'", "typing.Union"),
        ("def f(x):\n    ask(x)", None),
        ("def f(x: int):\n    ask(x)", "builtins.int"),
        ("def f(x: 'list[int]'):\n    ask(x[0])", "builtins.int"),
        ("import threading\nask(threading.Lock())", "threading.Lock"),
        ("ask(open('f'))", "io.IOBase"),
        ("with open('f') as h:\n    ask(h)", "io.IOBase"),
        ("ask(lambda: 1)", "types.LambdaType"),
        ("ask(x for x in ())", "types.GeneratorType"),
        ("def g():\n    yield 1\nask(g())", "types.GeneratorType"),
        ("async def g(): ...\nask(g())", "types.CoroutineType"),
        ("async def g() -> int: ...\nasync def f():\n    ask(await g())", "builtins.int"),
        ("def g():\n    return 'a'\nask(g())", "builtins.str"),
        ("def g(): ...\nask(g)", "types.FunctionType"),
        ("import json\nask(json)", None),
        ("class C: ...\nask(C())", "app.C"),
        ("class C: ...\nask(C)", "builtins.type"),
        ("import enum\nclass E(enum.Enum):\n    A = 1\nask(E.A)", "app.E"),
        ("import enum\nclass E(enum.Enum):\n    A = 1\nask(E.A.value)", "builtins.int"),
        ("from typing import NewType\nN = NewType('N', int)\ndef f(x: N):\n    ask(x)", "builtins.int"),
        ("from typing import Annotated\ndef f(x: Annotated[str, 1]):\n    ask(x)", "builtins.str"),
        ("ask('a'.encode().decode())", "builtins.str"),
        ("ask(1 + 2.0)", "builtins.float"),
        ("ask('%s' % 1)", "builtins.str"),
        ("a = b\nb = a\nask(a)", None),
        ("ask(unknown())", None),
    ],
)
def test_types(text: str, expected: str | None) -> None:
    found = value_type(text)
    assert (found.name if found else None) == expected


def test_cycles_of_modules_and_classes_end() -> None:
    files = {
        "a.py": "from b import x\nfrom b import *\nclass A(B): ...\n",
        "b.py": "from a import x\nfrom a import *\nclass B(A): ...\n",
        "app.py": "from a import x, A\nask(x)\nask(A().y)\n",
    }
    joined = project(files)
    for call in joined.modules["app"].calls:
        for argument in call.node.args:
            joined.resolver.resolve(argument, call.scope)
            joined.resolver.infer(argument, call.scope)


def test_ancestors_are_in_the_order_of_the_bases() -> None:
    chain = "".join(f"class C{n}(C{n - 1}): ...\n" for n in range(1, 3_000))
    text = "class Top(Exception): ...\nclass Left(Top): ...\nclass Right(Top): ...\nclass Both(Left, Right): ...\n"
    joined = project(f"{text}class C0(Both): ...\n{chain}")
    classes = {each.name: each for each in joined.modules["app"].classes}
    for _ in range(2):
        order, external, complete = joined.resolver.ancestors(classes["C2999"])
        assert [each.name for each in order[-6:]] == ["C1", "C0", "Both", "Left", "Right", "Top"]
        assert len(order) == 3_004 and external == ["builtins.Exception"] and complete
        for each in classes.values():
            joined.resolver.ancestors(each)
    assert [each.name for each in joined.resolver.ancestors(classes["Both"])[0]] == ["Both", "Left", "Right", "Top"]
    assert len(joined.resolver.heirs(classes["Top"])) == 3_003
