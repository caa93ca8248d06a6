"""What a class of the project is to a data converter: a dataclass, a model, an enumeration, or a stranger."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from temporal_lint.facts import Class, Function, Scope
from temporal_lint.known import normal
from temporal_lint.project import Project
from temporal_lint.verdicts import family, types


@dataclass(frozen=True)
class Field:
    """A field of a dataclass, model, TypedDict or NamedTuple. `required` is whether a TypedDict always has the key."""

    name: str
    annotation: ast.expr
    scope: Scope
    default: ast.expr | None = None
    in_init: bool = True
    required: bool = True


Kind = Literal[
    "plain", "dataclass", "model", "root", "text", "enum", "flag", "typed-dict", "named-tuple", "other", "unknown"
]  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What a class of the project is to a converter.

    `text` is an enumeration of str or int; `other` inherits from a known type outside, `base`, which of a TypedDict is
    the one of `typing` or of `typing_extensions`. `decodes` and
    `encodes` say that the default converter finds a method of the class that it would use; `validates` the same of
    pydantic. `open` is whether a value annotated with it may be of another class.
    """

    kind: Kind
    fields: tuple[Field, ...] = ()
    base: str = ""
    encodes: bool = False
    decodes: bool = False
    validates: bool = False
    open: bool = False


class Shapes:
    """The shapes of the classes of a project; `of(project)` makes one for each project and keeps it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.resolver = project.resolver
        self._shapes: dict[Class, Shape] = {}

    @classmethod
    def of(cls, project: Project) -> Shapes:
        """The shapes of `project`."""
        return project.kept(cls)

    def shape(self, cls: Class) -> Shape:
        """What a class of the project is to a converter."""
        found = self._shapes.get(cls)
        if found is None:
            found = self._shapes[cls] = self._shape(cls)
        return found

    def _shape(self, cls: Class) -> Shape:
        order, bases, complete = self.resolver.ancestors(cls)
        decorators = {name for each in order for name in self._decorators(each)}
        if not complete or not decorators <= _DECORATORS or _has_metaclass(order):
            return Shape("unknown")
        names = {name for each in order for name in (*each.scope.bindings, *each.attributes)}
        if any(name.startswith("__temporal") for name in names):
            return Shape("unknown")
        shape = self._kind(cls, order, [base for base in bases if base not in _NEUTRAL], decorators)
        open_names = names & {"__getattr__", "__getattribute__"}
        return replace(
            shape,
            encodes=bool(open_names or names & {"__iter__", "dict"}),
            decodes=shape.decodes or bool(names & {"__iter__", "parse_obj"}),
            validates=any(name.startswith(("__pydantic", "__get_pydantic")) for name in names) or bool(open_names),
            open="typing.Protocol" in bases
            or any(_is_abstract(each) for one in order for each in one.methods.values()),
        )

    def _kind(self, cls: Class, order: list[Class], bases: list[str], decorators: set[str]) -> Shape:
        if any(base.startswith("enum.") for base in bases):
            mixed = set(bases) & {"enum.StrEnum", "enum.IntEnum", "enum.IntFlag", "builtins.str", "builtins.int"}
            if mixed:
                return Shape("text")
            kinds: dict[tuple[str, ...], Kind] = {("enum.Enum",): "enum", ("enum.Flag",): "flag"}
            return Shape(kinds.get(tuple(sorted(set(bases))), "unknown"))
        if "typing.TypedDict" in bases:
            return Shape("typed-dict", self._typed_dict_fields(order), base=self._typed_dict_base(order))
        if bases == ["typing.NamedTuple"]:
            return Shape("named-tuple", self._fields(order))
        if set(bases) & _MODELS:
            return self._model(order) if set(bases) <= _MODELS else Shape("unknown")
        if set(bases) & _ROOTS:
            return Shape("root", decodes=self._root_is_no_mapping(cls))
        if decorators & _DATACLASSES:
            fields = self._fields([each for each in order if set(self._decorators(each)) & _DATACLASSES])
            return Shape("dataclass", fields) if not bases else Shape("unknown")
        if not bases:
            return Shape("plain")
        families = {family(base) for base in bases}
        if len(families) == 1 and (base := families.pop()) in types() and base not in _WIDE:
            return Shape("other", base=base)
        return Shape("unknown")

    def _decorators(self, cls: Class) -> Iterator[str]:
        for each in cls.node.decorator_list:
            target = each.func if isinstance(each, ast.Call) else each
            yield self.resolver.dotted(target, cls.outer) or "?"

    def is_iterable(self, cls: Class) -> bool:
        """Whether a class object, not its instances, may be iterable: the converter would send its members."""
        order, bases, complete = self.resolver.ancestors(cls)
        return not complete or _has_metaclass(order) or any(base.startswith("enum.") for base in bases)

    def _fields(self, order: list[Class]) -> tuple[Field, ...]:
        """The annotated names of classes, base classes first, as `dataclasses` orders them."""
        found: dict[str, Field] = {}
        for cls in reversed(order):
            for statement in cls.node.body:
                if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                    continue
                outer = self._outer_annotation(statement.annotation, cls.scope)
                if outer in ("typing.ClassVar", "dataclasses.InitVar", "dataclasses.KW_ONLY"):
                    continue
                value = statement.value
                options = {each.arg: each.value for each in value.keywords} if isinstance(value, ast.Call) else {}
                init = options.get("init")
                in_init = not (isinstance(init, ast.Constant) and init.value is False)
                name = statement.target.id
                found[name] = Field(name, statement.annotation, cls.scope, value, in_init)
        return tuple(found.values())

    def _outer_annotation(self, annotation: ast.expr, scope: Scope) -> str:
        outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        if isinstance(outer, ast.Constant) and isinstance(outer.value, str):
            return f"typing.{outer.value.partition('[')[0].rpartition('.')[2]}"
        dotted = self.resolver.dotted(outer, scope) if isinstance(outer, (ast.Name, ast.Attribute)) else None
        return normal(dotted) if dotted else ""

    def _typed_dict_fields(self, order: list[Class]) -> tuple[Field, ...]:
        partial = {
            each
            for each in order
            for keyword in each.node.keywords
            if keyword.arg == "total" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is True)
        }
        fields = self._fields(order)
        optional = {
            each for each in fields if self._outer_annotation(each.annotation, each.scope) == "typing.NotRequired"
        }
        return tuple(replace(each, required=each not in optional and each.scope.cls not in partial) for each in fields)

    def _typed_dict_base(self, order: list[Class]) -> str:
        """The `TypedDict` that a class is made with, as it was imported."""
        named = (self.resolver.dotted(base, each.outer) or "" for each in order for base in each.node.bases)
        return next((each for each in named if normal(each) == "typing.TypedDict"), "")

    def _model(self, order: list[Class]) -> Shape:
        """A pydantic model: unknown where it has a say in how it is written."""
        for cls in order:
            for method in cls.methods.values():
                if method.name in ("dict", "model_dump", "__iter__") or any(
                    "serializer" in ast.unparse(each) or "computed_field" in ast.unparse(each)
                    for each in method.node.decorator_list
                ):
                    return Shape("unknown")
            settings = [each for each in cls.node.body if not isinstance(each, ast.AnnAssign)]
            if any("use_enum_values" in ast.dump(each) for each in settings):
                return Shape("unknown")
        fields = [
            each
            for each in self._fields(order)
            if not each.name.startswith("_")
            and each.name != "model_config"
            and not (isinstance(each.default, ast.Call) and any(k.arg == "exclude" for k in each.default.keywords))
            and self._outer_annotation(each.annotation, each.scope) != "typing.Annotated"
        ]
        return Shape("model", tuple(fields), decodes=True)

    def _root_is_no_mapping(self, cls: Class) -> bool:
        for base in cls.node.bases:
            if isinstance(base, ast.Subscript):
                root = self.resolver.annotation(base.slice, cls.outer)
                return root is not None and root.name in _ROOT_VALUES
        return False


def _has_metaclass(order: list[Class]) -> bool:
    keywords = [keyword for each in order for keyword in each.node.keywords if keyword.arg in (None, "metaclass")]
    return any(ast.unparse(each.value) not in ("ABCMeta", "abc.ABCMeta") for each in keywords)


def _is_abstract(method: Function) -> bool:
    return any("abstract" in ast.unparse(each) for each in method.node.decorator_list)


# Bases that add nothing a converter looks at.
_NEUTRAL = frozenset(("builtins.object", "typing.Generic", "typing.Protocol", "abc.ABC"))
# Bases whose heirs may be anything.
_WIDE = frozenset(("builtins.object", "builtins.type", "collections.abc.Callable", "collections.abc.Awaitable"))
_DATACLASSES = frozenset(("dataclasses.dataclass", "pydantic.dataclasses.dataclass"))
_DECORATORS = _DATACLASSES | {
    "attr.s", "attr.attrs", "attr.define", "attr.frozen", "attr.mutable", "attr.dataclass", "attrs.define",
    "attrs.frozen", "attrs.mutable", "functools.total_ordering", "typing.final", "typing_extensions.final",
    "typing.runtime_checkable", "typing_extensions.runtime_checkable", "enum.unique", "temporalio.workflow.defn",
}  # fmt: skip
_MODELS = frozenset(("pydantic.BaseModel", "pydantic.main.BaseModel"))
_ROOTS = frozenset(("pydantic.RootModel",))
_ROOT_VALUES = frozenset(
    f"builtins.{name}" for name in ("list", "tuple", "set", "frozenset", "str", "int", "float", "bool")
)
