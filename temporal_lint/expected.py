"""Where an error is expected: what a `try` or a test says about the code inside it."""

from __future__ import annotations

import ast

from temporal_lint.facts import Module, dotted_name

_RAISES = ("raises", "assertRaises", "assertRaisesRegex")


def tolerates(module: Module, node: ast.AST, *errors: str) -> bool:
    """Whether one of these errors (bare names) is expected at `node`: by a handler, `suppress`, a test's `raises`.

    A handler must name the error itself; a `with` may also name Exception or BaseException.
    """
    inner = node
    for outer in module.ancestors(node):
        expects = False
        if isinstance(outer, ast.Try) and inner in outer.body:
            types = [handler.type for handler in outer.handlers if handler.type is not None]
            expects = any(_last_names(each) & {*errors} for each in types)
        elif isinstance(outer, (ast.With, ast.AsyncWith)) and inner in outer.body:
            wanted = {*errors, "Exception", "BaseException"}
            expects = any(_expects(item.context_expr, wanted) for item in outer.items)
        if expects:
            return True
        inner = outer
    return False


def expected_to_fail(module: Module, node: ast.AST) -> bool:
    """Whether a test expects the code around `node` to raise, or a handler names the error that encoding raises."""
    for each in module.ancestors(node):
        if isinstance(each, (ast.With, ast.AsyncWith)):
            for item in each.items:
                manager = item.context_expr
                if isinstance(manager, ast.Call) and (dotted_name(manager.func) or "").endswith(_RAISES):
                    return True
    return tolerates(module, node, "TypeError")


def _expects(manager: ast.expr, errors: set[str]) -> bool:
    if not isinstance(manager, ast.Call) or not manager.args:
        return False
    name = (dotted_name(manager.func) or "").rpartition(".")[2]
    expected = set().union(*(_last_names(each) for each in manager.args))
    return name in ("raises", "assertRaises", "assertRaisesRegex", "suppress") and bool(expected & errors)


def _last_names(expression: ast.expr) -> set[str]:
    """The last part of each dotted name of an `except` clause or a tuple of classes."""
    parts = expression.elts if isinstance(expression, ast.Tuple) else [expression]
    return {(dotted_name(each) or "").rpartition(".")[2] for each in parts}
