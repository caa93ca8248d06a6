"""What one module declares and calls: scopes, bindings, functions, classes and calls, gathered in one walk.

Nothing here looks at another module or knows Temporal; `resolve` joins modules, `project` adds the meaning.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from temporal_lint.graph import is_test
from temporal_lint.source import Source

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
ScopeNode = (
    ast.Module | ast.ClassDef | FunctionNode | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
)
ScopeKind = Literal["module", "class", "function", "comprehension"]
BindingKind = Literal["import", "function", "class", "assign", "unpack", "parameter", "opaque"]

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
# methods that change a container
MUTATORS = frozenset(
    [
        *("update", "setdefault", "pop", "popitem", "clear", "append", "extend", "insert", "remove", "sort", "reverse"),
        *("add", "discard"),
    ]
)


@dataclass(eq=False)
class Binding:
    """One way in which a name gets its value.

    `value` is the expression it is assigned (the context manager of a `with`, wrapped in `entered`); `origin` the
    dotted name behind an import; `index` the place in an unpacked tuple. An "opaque" binding (loop target, except
    clause, augmented assignment, `del`, match) can hold anything.
    """

    kind: BindingKind
    node: ast.AST
    scope: Scope
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    origin: str = ""
    index: int | None = None
    entered: bool = False


@dataclass(eq=False)
class Scope:
    """A namespace of Python: a module, class, function (lambdas included) or comprehension."""

    kind: ScopeKind
    node: ScopeNode
    module: Module
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    outer_names: dict[str, Literal["global", "nonlocal"]] = field(default_factory=dict)
    function: Function | None = None
    cls: Class | None = None

    def holder(self, name: str) -> Scope | None:
        """The scope in which `name`, read here, is bound: Python's own order, class scopes hidden from inner ones."""
        scope: Scope | None = self
        while scope is not None:
            declared = scope.outer_names.get(name)
            if declared == "global":
                return self.module.scope if name in self.module.scope.bindings else None
            if declared is None and name in scope.bindings and (scope.kind != "class" or scope is self):
                return scope
            scope = scope.parent
        return None

    @property
    def class_around(self) -> Class | None:
        """The nearest class whose body holds this scope."""
        return next((each.cls for each in self.enclosing() if each.cls is not None), None)

    def enclosing(self) -> Iterator[Scope]:
        """This scope and those around it, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


@dataclass(eq=False)
class Parameter:
    """A parameter of a function, in the order of the signature; `kind` as in `inspect`, shortened."""

    name: str
    kind: Literal["positional-only", "positional", "var-positional", "keyword-only", "var-keyword"]
    annotation: ast.expr | None
    default: ast.expr | None
    node: ast.arg


@dataclass(eq=False)
class Function:
    """A `def` or `async def`. `scope` is its own namespace, `outer` the one it is defined in."""

    node: FunctionNode
    module: Module
    scope: Scope
    outer: Scope
    qualname: str
    cls: Class | None
    parameters: tuple[Parameter, ...]
    calls: list[Call] = field(default_factory=list)
    returned: list[ast.expr | None] = field(default_factory=list)
    yields: bool = False

    @property
    def name(self) -> str:
        """The name after `def`."""
        return self.node.name

    @property
    def is_async(self) -> bool:
        """Whether it is written with `async def`."""
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def label(self) -> str:
        """How messages and chains call it: the qualified name with its module."""
        return f"{self.module.name}.{self.qualname}"

    def decorated(self, name: str) -> bool:
        """Whether a decorator is the plain built-in `name` (staticmethod, classmethod, property)."""
        return any(isinstance(each, ast.Name) and each.id == name for each in self.node.decorator_list)

    @property
    def bound_parameters(self) -> tuple[Parameter, ...]:
        """The parameters that a caller fills: without `self` or `cls` of a method."""
        is_bound = self.cls is not None and not self.decorated("staticmethod")
        if is_bound and self.parameters and self.parameters[0].kind in ("positional", "positional-only"):
            return self.parameters[1:]
        return self.parameters


@dataclass(eq=False)
class Class:
    """A class statement. `scope` is its body's namespace."""

    node: ast.ClassDef
    module: Module
    scope: Scope
    outer: Scope
    qualname: str
    methods: dict[str, Function] = field(default_factory=dict)
    # `self.x = value` in any method: name -> bindings in the method's scope
    attributes: dict[str, list[Binding]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name after `class`."""
        return self.node.name

    @property
    def dotted(self) -> str:
        """Module and qualified name."""
        return f"{self.module.name}.{self.qualname}"


@dataclass(eq=False)
class Call:
    """A call expression, the scope it is evaluated in and the function whose body holds it (None at module level)."""

    node: ast.Call
    scope: Scope
    module: Module
    function: Function | None


@dataclass(eq=False)
class Import:
    """One name brought in by an import statement: `dotted` is absolute; `node` the alias, or the statement for `*`."""

    dotted: str
    node: ast.alias
    statement: ast.Import | ast.ImportFrom
    scope: Scope
    # the module part of `from module import name`, else the whole dotted name
    source: str
    star: bool = False


@dataclass(eq=False)
class Module:
    """The facts of one file. `name` is its dotted module name."""

    name: str
    is_package: bool
    source: Source
    tree: ast.Module
    scope: Scope = field(init=False)
    functions: list[Function] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    # last parts of the names of containers that the module changes in place: `x[...] = 1`, `x += y`, `x.append(y)`
    changed: set[str] = field(default_factory=set)
    # maximal attribute chains (`a.b.c`, not the `a.b` in it) with the scope they are read in
    attributes: list[tuple[ast.Attribute, Scope]] = field(default_factory=list)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    function_of: dict[ast.AST, Function] = field(default_factory=dict)
    class_of: dict[ast.AST, Class] = field(default_factory=dict)

    @cached_property
    def is_test(self) -> bool:
        """Whether it belongs to a test suite, by the names pytest and unittest use."""
        return is_test(self.source.path, self.name)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around `node`, innermost first, ending with the module."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    def scope_at(self, node: ast.AST) -> Scope:
        """The innermost scope around `node`."""
        return next(self.scopes[each] for each in self.ancestors(node) if each in self.scopes)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds `node` (itself, if it is one)."""
        current: ast.AST = node
        while not isinstance(current, ast.stmt):
            current = self.parents[current]
        return current


def gather(source: Source, name: str, is_package: bool) -> Module:
    """Parse `source` and collect its facts. Raises SourceError where it cannot be parsed."""
    # rules import this module; a run that parses nothing must not pay for libcst
    from temporal_lint import tree

    module = Module(name, is_package, source, tree.parse(source))
    _Gatherer(module).run()
    return module


def dotted_name(expression: ast.expr) -> str | None:
    """`a.b.c` of a chain of names, None of anything else."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return None
    parts.append(expression.id)
    return ".".join(reversed(parts))


def last_name(expression: ast.AST) -> str:
    """`c` of `a.b.c` and of `c`, "" of anything but a name or an attribute."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def decorator_target(decorator: ast.expr) -> ast.expr:
    """What stands behind the `@`: `defn` of `@defn` and of `@defn(name="x")`."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def ordinal(node: ast.AST) -> int:
    """The place of a node in its file's order of evaluation: source order, what a node holds before the node."""
    number: int = getattr(node, "at", 0)
    return number


# fields that hold no child: contexts and operators are shared singletons, the rest are plain values
_NO_CHILDREN = frozenset(
    [
        *("ctx", "op", "ops", "id", "attr", "arg", "name", "asname", "kind", "module", "level", "conversion"),
        *("is_async", "simple", "rest", "type_comment", "type_ignores"),
    ]
)
_CHILD_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {
    ast.Constant: (),
    ast.MatchSingleton: (),
    ast.Global: (),
    ast.Nonlocal: (),
}


def children(node: ast.AST) -> list[ast.AST]:
    """The direct child nodes in field order (expression contexts and operators left out)."""
    names = _CHILD_FIELDS.get(node.__class__)
    if names is None:
        names = tuple(each for each in node._fields if each not in _NO_CHILDREN)
        _CHILD_FIELDS[node.__class__] = names
    found: list[ast.AST] = []
    for name in names:
        value = getattr(node, name, None)
        if value.__class__ is list:
            # a dict display has None for the key of `**`, a call's defaults None for a parameter without
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


class _Gatherer:
    """The walk: an explicit stack of (node, scope, function, class whose body this is)."""

    def __init__(self, module: Module) -> None:
        self.module = module
        module.scope = Scope("module", module.tree, module, None)
        module.scopes[module.tree] = module.scope

    def run(self) -> None:
        module = self.module
        parents = module.parents
        stack: list[tuple[ast.AST, Scope, Function | None]] = [
            (statement, module.scope, None) for statement in reversed(module.tree.body)
        ]
        for statement in module.tree.body:
            parents[statement] = module.tree
        handlers: dict[type[ast.AST], Callable[[Any, Scope, Function | None], None]] = {
            ast.Call: self._call,
            ast.Attribute: self._attribute,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Assign: self._assign,
            ast.AnnAssign: self._annotated,
            ast.AugAssign: self._augmented,
            ast.NamedExpr: self._walrus,
            ast.For: self._loop,
            ast.AsyncFor: self._loop,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.ExceptHandler: self._handler,
            ast.comprehension: self._comprehension,
            ast.Delete: self._delete,
            ast.Global: self._declaration,
            ast.Nonlocal: self._declaration,
            ast.Return: self._return,
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
            ast.MatchAs: self._match,
            ast.MatchStar: self._match,
            ast.MatchMapping: self._match,
        }
        while stack:
            node, scope, function = stack.pop()
            kind = node.__class__
            if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                self._push(stack, self._function(node, scope, function))  # type: ignore[arg-type]
                continue
            if kind is ast.ClassDef:
                self._push(stack, self._class(node, scope, function))  # type: ignore[arg-type]
                continue
            if kind is ast.Lambda:
                self._push(stack, self._lambda(node, scope, function))  # type: ignore[arg-type]
                continue
            if kind in COMPREHENSIONS:
                scope = Scope("comprehension", node, self.module, scope)  # type: ignore[arg-type]
                module.scopes[node] = scope
            handler = handlers.get(kind)
            if handler is not None:
                handler(node, scope, function)
            elif kind is ast.Name or kind is ast.Constant:
                continue
            for child in reversed(children(node)):
                parents[child] = node
                stack.append((child, scope, function))

    @staticmethod
    def _push(
        stack: list[tuple[ast.AST, Scope, Function | None]], items: list[tuple[ast.AST, Scope, Function | None]]
    ) -> None:
        items.reverse()
        stack.extend(items)

    def _bind(self, scope: Scope, name: str, binding: Binding) -> None:
        declared = scope.outer_names.get(name)
        if declared == "global":
            scope = self.module.scope
        elif declared == "nonlocal" and scope.parent is not None:
            scope = scope.parent.holder(name) or scope
        scope.bindings.setdefault(name, []).append(binding)

    def _qualname(self, scope: Scope, name: str) -> str:
        parts = [name]
        for outer in scope.enclosing():
            if isinstance(outer.node, (*FUNCTIONS, ast.ClassDef)):
                parts.append(outer.node.name)
        return ".".join(reversed(parts))

    def _function(
        self, node: FunctionNode, scope: Scope, function: Function | None
    ) -> list[tuple[ast.AST, Scope, Function | None]]:
        module = self.module
        own = Scope("function", node, module, scope)
        module.scopes[node] = own
        cls = scope.cls if scope.kind == "class" else None
        parameters = _parameters(node.args)
        fact = Function(node, module, own, scope, self._qualname(scope, node.name), cls, parameters)
        own.function = fact
        module.functions.append(fact)
        module.function_of[node] = fact
        if cls is not None:
            cls.methods[node.name] = fact
        self._bind(scope, node.name, Binding("function", node, scope))
        for parameter in parameters:
            binding = Binding("parameter", parameter.node, own, parameter.default, parameter.annotation)
            own.bindings.setdefault(parameter.name, []).append(binding)
        for statement in node.body:
            # declared first: a `global` anywhere in the body holds for all of it
            if isinstance(statement, (ast.Global, ast.Nonlocal)):
                self._declaration(statement, own, fact)
        parents = module.parents
        parents[node.args] = node
        pushed: list[tuple[ast.AST, Scope, Function | None]] = []
        for child in [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]:
            parents[child] = node
            pushed.append((child, scope, function))
        for child in node.body:
            parents[child] = node
            pushed.append((child, own, fact))
        return pushed

    def _class(
        self, node: ast.ClassDef, scope: Scope, function: Function | None
    ) -> list[tuple[ast.AST, Scope, Function | None]]:
        module = self.module
        own = Scope("class", node, module, scope)
        module.scopes[node] = own
        fact = Class(node, module, own, scope, self._qualname(scope, node.name))
        own.cls = fact
        module.classes.append(fact)
        module.class_of[node] = fact
        self._bind(scope, node.name, Binding("class", node, scope))
        pushed: list[tuple[ast.AST, Scope, Function | None]] = []
        for child in [*node.decorator_list, *node.bases, *node.keywords]:
            module.parents[child] = node
            pushed.append((child, scope, function))
        for child in node.body:
            module.parents[child] = node
            pushed.append((child, own, function))
        return pushed

    def _lambda(
        self, node: ast.Lambda, scope: Scope, function: Function | None
    ) -> list[tuple[ast.AST, Scope, Function | None]]:
        own = Scope("function", node, self.module, scope)
        self.module.scopes[node] = own
        for parameter in _parameters(node.args):
            binding = Binding("parameter", parameter.node, own, parameter.default)
            own.bindings.setdefault(parameter.name, []).append(binding)
        self.module.parents[node.args] = node
        self.module.parents[node.body] = node
        return [(node.args, scope, function), (node.body, own, function)]

    def _call(self, node: ast.Call, scope: Scope, function: Function | None) -> None:
        call = Call(node, scope, self.module, function)
        self.module.calls.append(call)
        if function is not None:
            function.calls.append(call)
        if isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            self.module.changed.add(last_name(node.func.value))

    def _attribute(self, node: ast.Attribute, scope: Scope, function: Function | None) -> None:
        if not isinstance(self.module.parents.get(node), ast.Attribute):
            self.module.attributes.append((node, scope))

    def _import(self, node: ast.Import, scope: Scope, function: Function | None) -> None:
        for alias in node.names:
            # `import a.b` binds `a`; `import a.b as c` binds a.b
            name, origin = (alias.asname, alias.name) if alias.asname else ((alias.name.split(".")[0],) * 2)
            self._bind(scope, name, Binding("import", alias, scope, origin=origin))
            self.module.imports.append(Import(alias.name, alias, node, scope, alias.name))

    def _import_from(self, node: ast.ImportFrom, scope: Scope, function: Function | None) -> None:
        source = absolute(self.module.name, self.module.is_package, node.module, node.level)
        if source is None:
            for alias in node.names:
                self._bind(scope, alias.asname or alias.name, Binding("opaque", alias, scope))
            return
        for alias in node.names:
            if alias.name == "*":
                self.module.imports.append(Import(source, alias, node, scope, source, star=True))
                continue
            origin = f"{source}.{alias.name}"
            self._bind(scope, alias.asname or alias.name, Binding("import", alias, scope, origin=origin))
            self.module.imports.append(Import(origin, alias, node, scope, source))

    def _targets(
        self, scope: Scope, target: ast.expr, node: ast.AST, value: ast.expr | None, entered: bool = False
    ) -> None:
        """Bind an assignment's target; `value` None stands for a value that cannot be told."""
        stack: list[tuple[ast.expr, ast.expr | None, int | None]] = [(target, value, None)]
        while stack:
            current, held, index = stack.pop()
            if isinstance(current, ast.Starred):
                current, held = current.value, None
            if isinstance(current, (ast.Tuple, ast.List)):
                stack.extend(_unpacked(current, held, whole=current is target))
                continue
            kind: BindingKind = "opaque" if held is None else "assign" if index is None else "unpack"
            binding = Binding(kind, node, scope, held, index=index, entered=entered)
            if isinstance(current, ast.Name):
                self._bind(scope, current.id, binding)
            elif isinstance(current, ast.Attribute):
                self._attribute_binding(scope, current, binding)
            elif isinstance(current, ast.Subscript):
                self.module.changed.add(last_name(current.value))

    def _attribute_binding(self, scope: Scope, target: ast.Attribute, binding: Binding) -> None:
        """`self.x = value`: an attribute of the class around it."""
        if not isinstance(target.value, ast.Name) or target.value.id not in ("self", "cls"):
            return
        owner = scope.class_around
        if owner is not None:
            owner.attributes.setdefault(target.attr, []).append(binding)

    def _assign(self, node: ast.Assign, scope: Scope, function: Function | None) -> None:
        for target in node.targets:
            self._targets(scope, target, node, node.value)

    def _annotated(self, node: ast.AnnAssign, scope: Scope, function: Function | None) -> None:
        binding = Binding("assign", node, scope, node.value, node.annotation)
        if isinstance(node.target, ast.Name):
            self._bind(scope, node.target.id, binding)
        elif isinstance(node.target, ast.Attribute):
            self._attribute_binding(scope, node.target, binding)
        elif isinstance(node.target, ast.Subscript):
            self.module.changed.add(last_name(node.target.value))

    def _augmented(self, node: ast.AugAssign, scope: Scope, function: Function | None) -> None:
        self._targets(scope, node.target, node, None)
        self.module.changed.add(last_name(node.target))

    def _walrus(self, node: ast.NamedExpr, scope: Scope, function: Function | None) -> None:
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        self._targets(scope, node.target, node, node.value)

    def _loop(self, node: ast.For | ast.AsyncFor, scope: Scope, function: Function | None) -> None:
        self._targets(scope, node.target, node, None)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope, function: Function | None) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                value = item.context_expr if isinstance(item.optional_vars, (ast.Name, ast.Attribute)) else None
                self._targets(scope, item.optional_vars, node, value, entered=True)

    def _handler(self, node: ast.ExceptHandler, scope: Scope, function: Function | None) -> None:
        if node.name:
            self._bind(scope, node.name, Binding("opaque", node, scope, annotation=node.type, entered=True))

    def _comprehension(self, node: ast.comprehension, scope: Scope, function: Function | None) -> None:
        self._targets(scope, node.target, node, None)

    def _delete(self, node: ast.Delete, scope: Scope, function: Function | None) -> None:
        for target in node.targets:
            self._targets(scope, target, node, None)

    def _declaration(self, node: ast.Global | ast.Nonlocal, scope: Scope, function: Function | None) -> None:
        for name in node.names:
            scope.outer_names[name] = "global" if isinstance(node, ast.Global) else "nonlocal"

    def _return(self, node: ast.Return, scope: Scope, function: Function | None) -> None:
        if function is not None:
            function.returned.append(node.value)

    def _yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope, function: Function | None) -> None:
        if function is not None and scope.node is function.node:
            function.yields = True

    def _match(
        self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping, scope: Scope, function: Function | None
    ) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self._bind(scope, name, Binding("opaque", node, scope))


def _unpacked(
    target: ast.Tuple | ast.List, value: ast.expr | None, whole: bool
) -> list[tuple[ast.expr, ast.expr | None, int | None]]:
    """Each element of an unpacking target with what it receives: its own expression, or the value and an index."""
    elements = value.elts if isinstance(value, (ast.Tuple, ast.List)) else None
    if any(isinstance(each, ast.Starred) for each in (*target.elts, *(elements or ()))):
        return [(each, None, None) for each in target.elts]
    if elements is not None:
        return [(each, elements[i] if i < len(elements) else None, None) for i, each in enumerate(target.elts)]
    nested = (ast.Tuple, ast.List)
    return [
        (each, value if whole and not isinstance(each, nested) else None, i if whole and value is not None else None)
        for i, each in enumerate(target.elts)
    ]


def absolute(module: str, is_package: bool, name: str | None, level: int) -> str | None:
    """The absolute dotted name of `from <level dots><name> import …` in `module`; None beyond the top."""
    if level == 0:
        return name
    parts = module.split(".")
    drop = level - 1 if is_package else level
    if drop > len(parts):
        return None
    base = parts[: len(parts) - drop]
    return ".".join([*base, *([name] if name else [])]) or None


def _parameters(arguments: ast.arguments) -> tuple[Parameter, ...]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    defaults.extend(arguments.defaults)
    found: list[Parameter] = []
    for index, (arg, default) in enumerate(zip(positional, defaults, strict=True)):
        only = index < len(arguments.posonlyargs)
        found.append(Parameter(arg.arg, "positional-only" if only else "positional", arg.annotation, default, arg))
    if arguments.vararg:
        found.append(
            Parameter(arguments.vararg.arg, "var-positional", arguments.vararg.annotation, None, arguments.vararg)
        )
    for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(arg.arg, "keyword-only", arg.annotation, default, arg))
    if arguments.kwarg:
        found.append(Parameter(arguments.kwarg.arg, "var-keyword", arguments.kwarg.annotation, None, arguments.kwarg))
    return tuple(found)
