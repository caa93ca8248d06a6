"""The rules: one file each, found by looking. Adding a file adds a rule, deleting the file deletes it."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from temporal_lint.config import ConfigError
from temporal_lint.rule import Rule

GROUP = "temporal_lint.rules"


def load(extra: Sequence[Path] = ()) -> tuple[Rule, ...]:
    """All rules, by code: our own, those of installed distributions (entry points of GROUP), those of `extra` files.

    Raises ConfigError, naming the file, where one cannot be loaded or does not keep the contract of a rule file.
    """
    rules: dict[str, Rule] = {}
    places: dict[str, str] = {}
    for module in _modules(extra):
        rule = _rule_of(module)
        place = module.__file__ or module.__name__
        for what, taken in (("code", rule.code), ("name", rule.name)):
            if taken in places:
                raise ConfigError(f"{place}: the {what} `{taken}` belongs to {places[taken]} already.")
            places[taken] = place
        rules[rule.code] = rule
    return tuple(rules[code] for code in sorted(rules))


def _modules(extra: Sequence[Path]) -> Iterator[ModuleType]:
    yield from _package(sys.modules[__name__])
    for point in entry_points(group=GROUP):
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"The rules of the entry point `{point.name}` cannot be loaded: {error}.") from error
        if not isinstance(loaded, ModuleType):
            raise ConfigError(f"The entry point `{point.name}` of {GROUP} must name a module or a package.")
        if hasattr(loaded, "__path__"):
            yield from _package(loaded)
        else:
            yield loaded
    for path in extra:
        yield _file(path)


def _package(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{found.name}"
        try:
            yield importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise ConfigError(f"The rule {name} cannot be loaded: {type(error).__name__}: {error}.") from error


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file of rules (key `rules`).")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: a file of rules must end in .py (key `rules`).")
    module = importlib.util.module_from_spec(spec)
    # typing.get_type_hints looks a function's module up by its name.
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path}: the file of rules cannot be loaded: {type(error).__name__}: {error}.") from error
    finally:
        if before is None:
            del sys.modules[path.stem]
        else:
            sys.modules[path.stem] = before
    return module


def _rule_of(module: ModuleType) -> Rule:
    place = module.__file__ or module.__name__
    own: Iterable[Rule] = (value for value in vars(module).values() if isinstance(value, Rule))
    found = list(own)
    if len(found) != 1:
        raise ConfigError(f"{place}: a rule file holds one function decorated with @rule, not {len(found)}.")
    expected = module.__name__.rpartition(".")[2].replace("_", "-")
    if found[0].name != expected:
        raise ConfigError(f"{place}: the rule is named `{found[0].name}`; by its file it must be `{expected}`.")
    return found[0]
