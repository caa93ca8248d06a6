"""Modules joined: what a name stands for, and of which type a value is, through imports, re-exports and classes.

Every answer is either certain or missing: a name bound in several ways that disagree, a dynamic value, an unknown
import gives None (or a Variable that lists all its bindings), never a guess.
"""

from __future__ import annotations

import ast
import builtins
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from temporal_lint import sdk
from temporal_lint.facts import LOOPS, Binding, Class, Function, Module, Scope, decorator_target, last_name, ordinal
from temporal_lint.known import ELEMENTS, ENTERED_SELF, LITERALS, METHODS, RETURNS, STUBS, normal
from temporal_lint.writes import Writes

Find = Callable[[str, str], "str | None"]
T = TypeVar("T")

_BUILTINS = frozenset(dir(builtins))
_BUILTIN_TYPES = frozenset(name for name in _BUILTINS if isinstance(getattr(builtins, name), type))
# No sane chain of aliases, re-exports and attribute types is deeper; a cycle of modules ends here.
_MAX_DEPTH = 60
# Answers cut short are not kept, so what leads to many of them is asked again and again: twice as often per name.
_MAX_CUTS = 1_000


@dataclass(frozen=True)
class External:
    """Something outside the project, or a built-in, by its dotted name."""

    dotted: str


@dataclass(frozen=True, eq=False)
class Variable:
    """A name that holds a value: every binding that may reach the place it was asked for."""

    bindings: tuple[Binding, ...]
    owner: Class | None = None

    @property
    def assigned(self) -> tuple[ast.expr, Binding] | None:
        """The value and the binding of a name that one plain assignment binds and nothing else; None of any other."""
        if len(self.bindings) != 1:
            return None
        binding = self.bindings[0]
        plain = binding.kind == "assign" and binding.value is not None and not binding.entered
        return (binding.value, binding) if plain and binding.value is not None else None


Symbol = Function | Class | Module | External | Variable


def label(symbol: Symbol | None) -> str:
    """The dotted name of a function or of something external, as the configuration writes it; "" of anything else."""
    if isinstance(symbol, External):
        return symbol.dotted
    return symbol.label if isinstance(symbol, Function) else ""


@dataclass(frozen=True)
class Type:
    """The type of a value. `name` is dotted (`builtins.list`, `threading.Lock`, `app.models.Order`, `typing.Union`);
    `args` its type arguments, None where one is unknown; `cls` the project's class behind the name;
    `symbol` what a function, class or module object is itself.
    """

    name: str
    args: tuple[Type | None, ...] = ()
    cls: Class | None = None
    symbol: Symbol | None = None


def union(types: Iterable[Type | None]) -> Type | None:
    """One type for all alternatives; None as soon as one of them is unknown."""
    found: list[Type] = []
    for each in types:
        if each is None:
            return None
        for part in alternatives(each):
            if part is None:
                return None
            if part not in found:
                found.append(part)
    if not found:
        return None
    return found[0] if len(found) == 1 else Type("typing.Union", tuple(found))


def alternatives(found: Type | None) -> tuple[Type | None, ...]:
    """The members of a union, or the one type itself; None stands for one that is not known."""
    return found.args if found is not None and found.name == "typing.Union" else (found,)


NONE = Type("builtins.NoneType")
_COMPARED = Type("builtins.bool")


class Resolver:
    """Resolution over the modules of a project. `find` maps a dotted module name, as written in a module, to the
    name of the project's module it means (None: not the project's); `writes` says what other code may write."""

    def __init__(self, modules: dict[str, Module], find: Find, writes: Writes) -> None:
        self.modules = modules
        self.writes = writes
        self._find = find
        self._symbols: dict[ast.AST, Symbol | None] = {}
        self._types: dict[ast.AST, Type | None] = {}
        self._active: set[tuple[ast.AST, str]] = set()
        self._ancestors: dict[Class, tuple[list[Class], list[str], bool]] = {}
        self._members: dict[tuple[Module | Class | Scope, str], Symbol | None] = {}
        self._below: dict[Class, list[Class]] | None = None
        # how often a cycle or the depth cut a question short: an answer found meanwhile is not kept
        self._cuts = 0
        self._cuts_before = 0

    # ---- names -------------------------------------------------------------------------------------------------

    def resolve(self, expression: ast.expr, scope: Scope) -> Symbol | None:
        """What `expression`, evaluated in `scope`, stands for; None where that is not certain."""
        if expression in self._symbols:
            return self._symbols[expression]
        return self._ask("symbol", self._symbols, self._resolve, expression, scope)

    def _ask(
        self,
        question: str,
        answers: dict[ast.AST, T],
        find: Callable[[ast.expr, Scope], T],
        expression: ast.expr,
        scope: Scope,
    ) -> T | None:
        """The answer of `find`, kept unless a cycle or the depth cut the search short; None in a cycle."""
        key = (expression, question)
        if not self._active:
            self._cuts_before = self._cuts
        cut_often = self._cuts - self._cuts_before > _MAX_CUTS
        if key in self._active or len(self._active) > _MAX_DEPTH or cut_often:
            self._cuts += 1
            return None
        cuts = self._cuts
        self._active.add(key)
        try:
            found = find(expression, scope)
        finally:
            self._active.discard(key)
        if self._cuts == cuts or not self._active:
            answers[expression] = found
        return found

    def dotted(self, expression: ast.expr, scope: Scope) -> str | None:
        """The dotted name of the external thing that `expression` stands for, under its canonical name."""
        symbol = self.resolve(expression, scope)
        return symbol.dotted if isinstance(symbol, External) else None

    def _resolve(self, expression: ast.expr, scope: Scope) -> Symbol | None:
        if isinstance(expression, ast.Name):
            return self._name(expression, scope)
        if isinstance(expression, ast.Attribute):
            return self._attribute(expression, scope)
        if isinstance(expression, ast.NamedExpr):
            return self.resolve(expression.value, scope)
        if isinstance(expression, ast.Subscript):
            base = self.resolve(expression.value, scope)
            return base if isinstance(base, (Class, External)) else None
        return None

    def _name(self, name: ast.Name, scope: Scope) -> Symbol | None:
        holder = scope.holder(name.id)
        if holder is None:
            return self._unbound(name.id, scope.module)
        bindings = reaching(holder, name, scope)
        if bindings is not holder.bindings[name.id]:
            return self._bound(name.id, bindings, holder)
        return self._kept(holder, name.id, lambda: self._bound(name.id, bindings, holder))

    def _kept(self, owner: Module | Class | Scope, name: str, find: Callable[[], Symbol | None]) -> Symbol | None:
        """What `find` answers for a name of a module, class or scope, asked once."""
        key = (owner, name)
        if key in self._members:
            return self._members[key]
        cuts = self._cuts
        found = find()
        if self._cuts == cuts:
            self._members[key] = found
        return found

    def _unbound(self, name: str, module: Module, seen: frozenset[str] = frozenset()) -> Symbol | None:
        unknown_star = False
        for each in reversed([entry for entry in module.imports if entry.star]):
            target = self._module(each.source, module)
            if target is not None:
                if target.name in seen:
                    self._cuts += 1
                else:
                    found = self.member(target, name, seen | {module.name})
                    if found is not None and not name.startswith("_"):
                        return found
            else:
                exists = sdk.exists(each.source, name)
                if exists:
                    return self._external(f"{each.source}.{name}")
                unknown_star = unknown_star or exists is None
        return External(f"builtins.{name}") if name in _BUILTINS and not unknown_star else None

    def _bound(self, name: str, bindings: list[Binding], holder: Scope) -> Symbol | None:
        bindings = [each for each in bindings if not _is_overload(each)]
        symbols = [self._binding_symbol(each) for each in bindings]
        first = symbols[0] if symbols else None
        if first is not None and all(_same(first, each) for each in symbols):
            return first
        if symbols and all(isinstance(each, Function) for each in symbols):
            # a property's setter, a later definition of the same name: the last one stands
            nodes = [each.node for each in bindings]
            if all(holder.module.parents.get(node) is holder.node for node in nodes):
                return symbols[-1]
        if all(each.kind == "import" for each in bindings):
            return None
        owner = holder.cls if holder.kind == "class" else None
        return self._variable(name, bindings, owner, is_local=holder.kind == "function")

    def _variable(self, name: str, bindings: list[Binding], owner: Class | None, is_local: bool = False) -> Variable:
        """A Variable with these bindings, and with an unknown one where they are placeholders of what others write."""
        if not is_local and self.writes.may_replace(name, bindings, owner):
            bindings = [*bindings, _unknown_like(bindings[0])]
        return Variable(tuple(bindings), owner)

    def _binding_symbol(self, binding: Binding) -> Symbol | None:
        module = binding.scope.module
        if binding.kind == "import":
            return self.lookup(binding.origin, module)
        if binding.kind == "function":
            return module.function_of.get(binding.node)
        if binding.kind == "class":
            return module.class_of.get(binding.node)
        is_alias = binding.kind == "assign" and isinstance(binding.value, (ast.Name, ast.Attribute))
        if is_alias and binding.value is not None and not binding.entered:
            found = self.resolve(binding.value, binding.scope)
            return found if isinstance(found, (Function, Class, Module, External)) else None
        return None

    def lookup(self, dotted: str, importer: Module) -> Symbol | None:
        """What the absolute name `dotted` means in `importer`: the project first, the SDK always external."""
        if dotted.split(".", 1)[0] == "temporalio":
            return self._external(dotted)
        parts = dotted.split(".")
        for size in range(len(parts), 0, -1):
            module = self._module(".".join(parts[:size]), importer)
            if module is None:
                continue
            symbol: Symbol | None = module
            for part in parts[size:]:
                symbol = self._step(symbol, part)
                if symbol is None:
                    return None
            return symbol
        return self._external(dotted)

    def _module(self, dotted: str, importer: Module) -> Module | None:
        name = self._find(dotted, importer.name)
        return self.modules.get(name) if name is not None else None

    @staticmethod
    def _external(dotted: str) -> External:
        return External(sdk.canonical(dotted) if dotted.startswith("temporalio.") else dotted)

    def _step(self, symbol: Symbol | None, name: str) -> Symbol | None:
        if isinstance(symbol, Module):
            return self.member(symbol, name)
        if isinstance(symbol, Class):
            return self.class_member(symbol, name)
        if isinstance(symbol, External):
            return self._external(f"{symbol.dotted}.{name}")
        return None

    def member(self, module: Module, name: str, seen: frozenset[str] = frozenset()) -> Symbol | None:
        """The attribute `name` of a project module: its own binding, a star import's, or a submodule."""
        if seen:
            return self._member(module, name, seen)
        return self._kept(module, name, lambda: self._member(module, name, seen))

    def _member(self, module: Module, name: str, seen: frozenset[str]) -> Symbol | None:
        bindings = module.scope.bindings.get(name)
        if bindings:
            # `from . import name` in a package's own __init__ binds the submodule of that name
            own = [each for each in bindings if each.origin != f"{module.name}.{name}"]
            if own:
                marker = (bindings[0].node, f"member {name}")
                if marker in self._active:
                    self._cuts += 1
                    return None
                self._active.add(marker)
                try:
                    return self._bound(name, own, module.scope)
                finally:
                    self._active.discard(marker)
        found = self._find(f"{module.name}.{name}", module.name)
        if found is not None and found in self.modules:
            return self.modules[found]
        if any(each.star for each in module.imports):
            star = self._unbound(name, module, seen)
            return None if isinstance(star, External) and star.dotted.startswith("builtins.") else star
        return None

    def _attribute(self, expression: ast.Attribute, scope: Scope) -> Symbol | None:
        base = self.resolve(expression.value, scope)
        if isinstance(base, Module):
            return self.member(base, expression.attr)
        if isinstance(base, Class):
            return self.class_member(base, expression.attr)
        if isinstance(base, External):
            return self._external(f"{base.dotted}.{expression.attr}")
        if isinstance(base, Function):
            return None
        if isinstance(base, Variable) and base.owner is not None and self.is_enum(base.owner):
            return base if expression.attr in ("value", "_value_") else None
        value = self.infer(expression.value, scope)
        if value is None:
            return None
        if value.name == "typing.Union":
            parts = [each for each in value.args if each is not None and each != NONE]
            if len(parts) != 1:
                return None
            value = parts[0]
        if value.cls is not None:
            return self._instance_member(value.cls, expression.attr)
        if isinstance(value.symbol, Class):
            # `cls` of a class method: the class itself or one below it
            return self._instance_member(value.symbol, expression.attr)
        return self._external(f"{value.name}.{expression.attr}") if "." in value.name else None

    # ---- classes -----------------------------------------------------------------------------------------------

    def ancestors(self, cls: Class) -> tuple[list[Class], list[str], bool]:
        """The class with its project bases in lookup order, the dotted names of external bases, and whether all
        bases are known."""
        known = self._ancestors.get(cls)
        if known is not None:
            return known
        cuts = self._cuts
        order: dict[Class, None] = {}
        external: list[str] = []
        complete = True
        queue = deque([cls])
        while queue:
            current = queue.popleft()
            if current in order:
                continue
            above = self._ancestors.get(current)
            if above is not None and not queue and order.keys().isdisjoint(above[0]):
                # a class with one base has the ancestors of that base
                order.update(dict.fromkeys(above[0]))
                external.extend(above[1])
                complete = complete and above[2]
                break
            order[current] = None
            for base in current.node.bases:
                symbol = self.resolve(base.value if isinstance(base, ast.Subscript) else base, current.outer)
                if isinstance(symbol, Class):
                    queue.append(symbol)
                elif isinstance(symbol, External):
                    external.append(normal(symbol.dotted))
                else:
                    complete = False
        answer = (list(order), external, complete)
        if self._cuts == cuts or not self._active:
            self._ancestors[cls] = answer
        return answer

    def is_subclass(self, cls: Class, *names: str) -> bool:
        """Whether one of the external bases of `cls` is one of these dotted names."""
        return any(base in names for base in self.ancestors(cls)[1])

    def is_enum(self, cls: Class) -> bool:
        """Whether `cls` is an enumeration."""
        return any(base.startswith("enum.") for base in self.ancestors(cls)[1])

    def class_member(self, cls: Class, name: str) -> Symbol | None:
        """The attribute `name` of a class or its instances, through its project bases."""
        return self._kept(cls, name, lambda: self._class_member(cls, name))

    def _class_member(self, cls: Class, name: str) -> Symbol | None:
        order, external, _ = self.ancestors(cls)
        for index, each in enumerate(order):
            bindings = [b for b in each.scope.bindings.get(name, []) if not _is_overload(b)]
            if bindings and all(binding.kind in ("function", "class") for binding in bindings):
                return self._bound(name, bindings, each.scope)
            attributes = each.attributes.get(name) or [
                # what a constructor above stores in the instance hides what the class itself holds
                binding
                for above in order[index + 1 :]
                for binding in above.attributes.get(name, [])
                if bindings
            ]
            if bindings or attributes:
                return self._variable(name, [*bindings, *attributes], each)
        for base in external:
            if base.startswith("temporalio.") and sdk.method(base, name):
                return self._external(f"{base}.{name}")
        return None

    def heirs(self, cls: Class) -> list[Class]:
        """The project's classes below a class, at any depth."""
        if self._below is None:
            # asked anew from here, so that the answer does not depend on who asked first
            active, self._active, self._below = self._active, set(), {}
            below: dict[Class, list[Class]] = {}
            for module in self.modules.values():
                for each in module.classes:
                    for base in self.ancestors(each)[0][1:]:
                        below.setdefault(base, []).append(each)
            self._active, self._below = active, below
        return self._below.get(cls, [])

    def _instance_member(self, cls: Class, name: str) -> Symbol | None:
        """The attribute `name` of something that is a `cls` or of a class below it: a Variable lists what each of
        these classes binds it to."""
        return self._kept(cls, f"self.{name}", lambda: self._find_instance_member(cls, name))

    def _find_instance_member(self, cls: Class, name: str) -> Symbol | None:
        own = self.class_member(cls, name)
        if not isinstance(own, Variable):
            return own
        bindings = dict.fromkeys(own.bindings)
        for heir in self.heirs(cls):
            other = self.class_member(heir, name)
            if other is not own:
                found = other.bindings if isinstance(other, Variable) else ()
                bindings.update(dict.fromkeys(found or (Binding("opaque", heir.node, heir.scope),)))
        of_class = any(each.scope.kind == "class" for each in own.bindings) and not self.is_enum(cls)
        if of_class and any(self.writes.fills(*self.ancestors(each)) for each in (cls, *self.heirs(cls))):
            bindings[_unknown_like(own.bindings[0])] = None
        return own if len(bindings) == len(own.bindings) else Variable(tuple(bindings), own.owner)

    # ---- types -------------------------------------------------------------------------------------------------

    def infer(self, expression: ast.expr, scope: Scope) -> Type | None:
        """The type of the value of `expression` in `scope`; None where it is not certain."""
        if expression in self._types:
            return self._types[expression]
        return self._ask("type", self._types, self._infer, expression, scope)

    def _infer(self, expression: ast.expr, scope: Scope) -> Type | None:
        simple = LITERALS.get(type(expression))
        if simple is not None:
            return Type(simple)
        if isinstance(expression, ast.Constant):
            return NONE if expression.value is None else Type(f"builtins.{type(expression.value).__name__}")
        if isinstance(expression, (ast.List, ast.Set, ast.Tuple)):
            return self._display(expression, scope)
        if isinstance(expression, (ast.ListComp, ast.SetComp)):
            inner = self.infer(expression.elt, scope.module.scopes.get(expression, scope))
            return Type(
                "builtins.list" if isinstance(expression, ast.ListComp) else "builtins.set", (inner,) if inner else ()
            )
        if isinstance(expression, (ast.Name, ast.Attribute)):
            return self._value_of(expression, scope)
        if isinstance(expression, ast.Call):
            return self._returned(expression, scope)
        if isinstance(expression, ast.Await):
            return self._awaited(self.infer(expression.value, scope))
        if isinstance(expression, ast.IfExp):
            return union([self.infer(expression.body, scope), self.infer(expression.orelse, scope)])
        if isinstance(expression, ast.NamedExpr):
            return self.infer(expression.value, scope)
        if isinstance(expression, ast.BoolOp):
            return union(self.infer(each, scope) for each in expression.values)
        if isinstance(expression, ast.UnaryOp):
            if isinstance(expression.op, ast.Not):
                return _COMPARED
            inner = self.infer(expression.operand, scope)
            return inner if inner and inner.name in ("builtins.int", "builtins.float", "builtins.complex") else None
        if isinstance(expression, ast.BinOp):
            return self._arithmetic(expression, scope)
        if isinstance(expression, ast.Subscript):
            return self._item(expression, scope)
        return None

    def _display(self, expression: ast.List | ast.Set | ast.Tuple, scope: Scope) -> Type:
        name = {ast.List: "builtins.list", ast.Set: "builtins.set", ast.Tuple: "builtins.tuple"}[type(expression)]
        if any(isinstance(each, ast.Starred) for each in expression.elts):
            return Type(name)
        elements = [self.infer(each, scope) for each in expression.elts]
        if name == "builtins.tuple":
            return Type(name, tuple(elements))
        common = union(elements)
        return Type(name, (common,) if common else ())

    def _value_of(self, expression: ast.Name | ast.Attribute, scope: Scope) -> Type | None:
        symbol = self.resolve(expression, scope)
        if isinstance(symbol, Function):
            if isinstance(expression, ast.Attribute) and symbol.decorated("property"):
                return self.returns(symbol)
            if any(not _keeps_function(each) for each in symbol.node.decorator_list):
                return None
            return Type("types.FunctionType", symbol=symbol)
        if isinstance(symbol, Class):
            return Type("builtins.type", symbol=symbol)
        if isinstance(symbol, Module):
            return Type("types.ModuleType", symbol=symbol)
        if isinstance(symbol, Variable):
            if symbol.owner is not None and self.is_enum(symbol.owner):
                if isinstance(expression, ast.Attribute) and expression.attr in ("value", "_value_"):
                    return union(self.binding_type(each) for each in symbol.bindings)
                return Type(symbol.owner.dotted, cls=symbol.owner)
            return union(self.binding_type(each) for each in symbol.bindings)
        if isinstance(symbol, External):
            return self._external_value(symbol.dotted)
        return None

    @staticmethod
    def _external_value(dotted: str) -> Type | None:
        if not dotted.startswith("temporalio."):
            return None
        owner, _, name = dotted.rpartition(".")
        info = sdk.class_info(owner)
        if info is not None and name in info.members:
            return Type(info.dotted)
        return _sdk_type(sdk.attribute_type(owner, name))

    def binding_type(self, binding: Binding) -> Type | None:
        """The type a name gets by this binding."""
        annotated = self.annotation(binding.annotation, binding.scope) if binding.annotation is not None else None
        if binding.kind == "parameter":
            return annotated or self._receiver(binding)
        if binding.kind == "assign" and binding.value is not None:
            found = self.infer(binding.value, binding.scope)
            if binding.entered:
                return self._entered(found)
            return found if found is not None and (annotated is None or found != NONE) else annotated
        if binding.kind == "unpack" and binding.value is not None and binding.index is not None:
            found = self.infer(binding.value, binding.scope)
            if found and found.name == "builtins.tuple" and binding.index < len(found.args):
                return found.args[binding.index]
            return None
        if binding.kind == "assign":
            return annotated
        if isinstance(binding.node, ast.ExceptHandler) and binding.entered and annotated is not None:
            return Type("builtins.BaseException")
        symbol = self._binding_symbol(binding)
        if isinstance(symbol, Function):
            return Type("types.FunctionType", symbol=symbol)
        if isinstance(symbol, Class):
            return Type("builtins.type", symbol=symbol)
        return None

    def _receiver(self, binding: Binding) -> Type | None:
        function = binding.scope.function
        if function is None or function.cls is None or function.decorated("staticmethod") or not function.parameters:
            return None
        if function.parameters[0].node is not binding.node:
            return None
        if function.decorated("classmethod") or function.name in ("__new__", "__init_subclass__"):
            return Type("builtins.type", symbol=function.cls)
        return Type(function.cls.dotted, cls=function.cls)

    def _entered(self, manager: Type | None) -> Type | None:
        if manager is None:
            return None
        if manager.cls is not None:
            for name in ("__aenter__", "__enter__"):
                method = self.class_member(manager.cls, name)
                if isinstance(method, Function):
                    if method.returned and all(
                        isinstance(each, ast.Name) and each.id == "self" for each in method.returned
                    ):
                        return manager
                    return self.returns(method)
            return None
        return manager if manager.name in ENTERED_SELF else None

    def returns(self, function: Function) -> Type | None:
        """What calling `function` gives once awaited: its annotation, else what all its returns agree on."""
        if function.node.returns is not None:
            if isinstance(function.node.returns, ast.Name) and function.node.returns.id == "Self" and function.cls:
                return Type(function.cls.dotted, cls=function.cls)
            return self.annotation(function.node.returns, function.outer)
        if function.yields or not function.returned:
            return None
        found = [self.infer(each, function.scope) if each is not None else NONE for each in function.returned]
        heirs = self.heirs(function.cls) if function.cls is not None else []
        overrides = [heir.methods[function.name] for heir in heirs if function.name in heir.methods]
        return union([*found, *(self.returns(each) for each in overrides)])

    def _returned(self, call: ast.Call, scope: Scope) -> Type | None:
        if isinstance(call.func, ast.Attribute) and call.func.attr in STUBS and call.args:
            interface = self.resolve(call.args[0], scope)
            return Type(interface.dotted, cls=interface) if isinstance(interface, Class) else None
        symbol = self.resolve(call.func, scope)
        if symbol is None or isinstance(symbol, Variable):
            value = self.infer(call.func, scope)
            symbol = value.symbol if value is not None and value.name == "builtins.type" else None
            if symbol is None:
                return self._method_result(call, scope)
        if isinstance(symbol, Class):
            if self.is_subclass(symbol, "typing.TypedDict"):
                return Type("builtins.dict")
            return Type(symbol.dotted, cls=symbol)
        if isinstance(symbol, Function):
            if symbol.yields:
                if symbol.node.decorator_list:
                    return None
                return Type("types.AsyncGeneratorType" if symbol.is_async else "types.GeneratorType")
            if any(not _keeps_function(each) for each in symbol.node.decorator_list):
                return None
            result = self.returns(symbol)
            return Type("types.CoroutineType", (result,)) if symbol.is_async else result
        if isinstance(symbol, External):
            return self._external_call(symbol.dotted, call, scope) or self._method_result(call, scope)
        return None

    def _external_call(self, dotted: str, call: ast.Call, scope: Scope) -> Type | None:
        if dotted in RETURNS:
            return Type(RETURNS[dotted])
        if dotted.startswith("temporalio."):
            if sdk.class_info(dotted) is not None:
                return Type(sdk.canonical(dotted))
            signature = sdk.signature(dotted)
            inner = _sdk_type(signature.returns) if signature else None
            return Type("types.CoroutineType", (inner,)) if signature and signature.is_coroutine else inner
        if dotted in ("typing.cast", "cast") and len(call.args) == 2:
            return self.annotation(call.args[0], scope)
        head, _, last = dotted.rpartition(".")
        if head == "builtins":
            # `super()` and `type(x)` give what the place and the argument say
            return Type(dotted) if last not in ("super", "type") and last in _BUILTIN_TYPES else None
        # an external name in class case, called, gives an instance of itself; whether that means anything is
        # for the tables of known types to say
        return Type(dotted) if last[:1].isupper() else None

    def _method_result(self, call: ast.Call, scope: Scope) -> Type | None:
        if not isinstance(call.func, ast.Attribute):
            return None
        base = self.infer(call.func.value, scope)
        if base is None:
            return None
        known = METHODS.get(base.name, {}).get(call.func.attr)
        return Type(known) if known else None

    @staticmethod
    def _awaited(coroutine: Type | None) -> Type | None:
        if coroutine is not None and coroutine.name in ("types.CoroutineType", "asyncio.Task") and coroutine.args:
            return coroutine.args[0]
        return None

    def _arithmetic(self, expression: ast.BinOp, scope: Scope) -> Type | None:
        left, right = self.infer(expression.left, scope), self.infer(expression.right, scope)
        if left is None:
            return None
        if left.name == "builtins.str" and isinstance(expression.op, ast.Mod):
            return left
        if right is None:
            return None
        numbers = ["builtins.int", "builtins.float", "builtins.complex"]
        if left.name in numbers and right.name in numbers:
            if isinstance(expression.op, ast.Div) and "builtins.complex" not in (left.name, right.name):
                return Type("builtins.float")
            return Type(max(left.name, right.name, key=numbers.index))
        if (
            isinstance(expression.op, ast.Add)
            and left.name == right.name
            and left.name in ("builtins.str", "builtins.bytes", "builtins.list")
        ):
            return left if left == right else Type(left.name)
        if (
            isinstance(expression.op, ast.Mult)
            and left.name in ("builtins.str", "builtins.bytes", "builtins.list")
            and right.name == "builtins.int"
        ):
            return left
        return None

    def _item(self, expression: ast.Subscript, scope: Scope) -> Type | None:
        base = self.infer(expression.value, scope)
        if base is not None and (element := ELEMENTS.get(base.name)):
            sliced = isinstance(expression.slice, ast.Slice)
            return Type("builtins.list", (Type(element),)) if sliced else Type(element)
        if base is None or isinstance(expression.slice, ast.Slice):
            return base if base and base.name in ("builtins.list", "builtins.str", "builtins.bytes") else None
        if base.name == "builtins.list" and len(base.args) == 1:
            return base.args[0]
        if base.name == "builtins.dict" and len(base.args) == 2:
            return base.args[1]
        if base.name == "builtins.tuple" and isinstance(expression.slice, ast.Constant):
            index = expression.slice.value
            if isinstance(index, int) and -len(base.args) <= index < len(base.args):
                return base.args[index]
        return Type("builtins.str") if base.name == "builtins.str" else None

    # ---- annotations -------------------------------------------------------------------------------------------

    def annotation(self, expression: ast.expr, scope: Scope, depth: int = 0) -> Type | None:
        """The type that an annotation names; None where a part of it cannot be resolved at the top."""
        if depth > _MAX_DEPTH:
            return None
        if isinstance(expression, ast.Constant):
            if expression.value is None:
                return NONE
            if isinstance(expression.value, str):
                try:
                    parsed = ast.parse(expression.value.strip(), mode="eval").body
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    return None
                return self.annotation(parsed, scope, depth + 1)
            return None
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitOr):
            return self._union_annotation([expression.left, expression.right], scope, depth)
        if isinstance(expression, ast.Subscript):
            return self._generic(expression, scope, depth)
        if not isinstance(expression, (ast.Name, ast.Attribute)):
            return None
        symbol = self.resolve(expression, scope)
        if isinstance(symbol, Class):
            return Type(symbol.dotted, cls=symbol)
        if isinstance(symbol, External):
            name = normal(symbol.dotted)
            return Type(name)
        if isinstance(symbol, Variable) and len(symbol.bindings) == 1:
            binding = symbol.bindings[0]
            if binding.kind == "assign" and binding.value is not None and symbol.owner is None:
                return self._alias(binding.value, binding.scope, depth)
        return None

    def _alias(self, value: ast.expr, scope: Scope, depth: int) -> Type | None:
        if isinstance(value, ast.Call):
            made = self.dotted(value.func, scope)
            if made is not None and normal(made) == "typing.NewType" and len(value.args) == 2:
                return self.annotation(value.args[1], scope, depth + 1)
            if made is not None and normal(made) == "typing.TypedDict":
                return Type("builtins.dict")
            return None
        return self.annotation(value, scope, depth + 1)

    def _union_annotation(self, members: list[ast.expr], scope: Scope, depth: int) -> Type:
        parts: list[Type | None] = []
        for each in members:
            found = self.annotation(each, scope, depth + 1)
            parts.extend(alternatives(found))
        return Type("typing.Union", tuple(parts))

    def _generic(self, expression: ast.Subscript, scope: Scope, depth: int) -> Type | None:
        base = self.annotation(expression.value, scope, depth + 1)
        if base is None:
            return None
        inner = expression.slice
        arguments = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
        if base.name == "typing.Optional":
            return self._union_annotation([*arguments, ast.Constant(None)], scope, depth)
        if base.name == "typing.Union":
            return self._union_annotation(arguments, scope, depth)
        if base.name in (
            "typing.Annotated",
            "typing.Required",
            "typing.NotRequired",
            "typing.ReadOnly",
            "typing.Final",
            "dataclasses.InitVar",
        ):
            return self.annotation(arguments[0], scope, depth + 1)
        if base.name in ("typing.Literal", "collections.abc.Callable", "builtins.type"):
            return base
        return Type(base.name, tuple(self.annotation(each, scope, depth + 1) for each in arguments), base.cls)


def _sdk_type(annotation: str | None) -> Type | None:
    """The type behind a printed annotation of the SDK, its arguments dropped; None for Any, unions and unknown."""
    name = (annotation or "").split("[", 1)[0]
    if name == "None":
        return NONE
    if sdk.class_info(name) is not None or name.startswith("datetime."):
        return Type(normal(name))
    return Type(f"builtins.{name}") if name in ("str", "int", "float", "bool", "bytes") else None


# by the last part of their name
_KEEPS_FUNCTION = frozenset(
    ("staticmethod", "classmethod", "defn", "abstractmethod", "override", "final", "wraps", "lru_cache", "cache")
)


def _keeps_function(decorator: ast.expr) -> bool:
    """Whether a decorator is known to hand back something that is called the same way."""
    return last_name(decorator_target(decorator)) in _KEEPS_FUNCTION


def _unknown_like(binding: Binding) -> Binding:
    """Some value of the same annotation, if there is one."""
    return Binding("assign", binding.node, binding.scope, annotation=binding.annotation)


def _is_overload(binding: Binding) -> bool:
    if not isinstance(binding.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    return any(last_name(each) == "overload" for each in binding.node.decorator_list)


def _same(first: Symbol, second: Symbol | None) -> bool:
    return first is second or (isinstance(first, External) and first == second)


def reaching(holder: Scope, name: ast.Name, scope: Scope) -> list[Binding]:
    """The bindings of `name` in `holder` that may reach its use: all of them, unless the last assignment that
    surely runs before the use hides the earlier ones."""
    bindings = holder.bindings[name.id]
    module = holder.module
    if (
        len(bindings) == 1
        or holder.kind not in ("function", "module")
        or scope is not holder
        or name not in module.parents
    ):
        return bindings
    use = ordinal(name)
    around = set(module.ancestors(name))
    statement = module.statement(name)
    loops = [each for each in around if isinstance(each, LOOPS)]
    before: list[Binding] = []
    after: list[Binding] = []
    for binding in bindings:
        if binding.node is not statement and (binding.node in around or ordinal(binding.node) < use):
            before.append(binding)
        elif any(loop in module.ancestors(binding.node) for loop in loops):
            # bound behind the use, it reaches it in the next turn
            after.append(binding)
    for index in range(len(before) - 1, -1, -1):
        node = before[index].node
        surely = before[index].kind == "parameter" or node in around
        if not surely and isinstance(node, ast.stmt):
            surely = _runs_before(node, module.parents.get(node), statement, around)
        if surely:
            return [*before[index:], *after]
    return [*before, *after] or bindings


def runs_before(block: ast.stmt, node: ast.AST, module: Module) -> bool:
    """Whether a statement has surely run where `node` is reached: it stands before, in a block around `node`."""
    around = set(module.ancestors(node))
    is_earlier = block not in around and ordinal(block) < ordinal(node)
    return is_earlier and _runs_before(block, module.parents.get(block), module.statement(node), around)


def _runs_before(block: ast.stmt, parent: ast.AST | None, statement: ast.stmt, around: set[ast.AST]) -> bool:
    """Whether `block` is an earlier statement of a block that holds the use: then it has run."""
    if parent is None or parent not in around:
        return False
    for name in ("body", "orelse", "finalbody", "handlers"):
        siblings = getattr(parent, name, None)
        if isinstance(siblings, list) and block in siblings:
            # the use must lie in the same list of statements: `else` does not follow `if`
            return any(each is statement or each in around for each in siblings)
    return False
