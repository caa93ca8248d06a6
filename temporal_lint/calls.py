"""The calls of the SDK in a project, with splats unfolded and the project's own wrappers seen through."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from temporal_lint import sdk
from temporal_lint.definitions import Definitions
from temporal_lint.facts import Call, Function, Module, dotted_name
from temporal_lint.resolve import External, Symbol, label
from temporal_lint.sdkcall import FAMILIES, Family, SdkCall
from temporal_lint.values import Bound

if TYPE_CHECKING:
    from temporal_lint.config import Wrapper as WrapperSettings


@dataclass(eq=False)
class Wrapper:
    """A project function that hands its own parameters to an API call."""

    function: Function
    inner: SdkCall


class Calls(Definitions):
    """Definitions, and the calls between them."""

    @cached_property
    def _sdk_calls(self) -> dict[Module, list[SdkCall]]:
        return {}

    @cached_property
    def _wrappers(self) -> dict[Function, list[Wrapper]]:
        return {}

    @cached_property
    def _helpers(self) -> dict[Function, list[Wrapper]]:
        return {}

    @cached_property
    def _wrapping(self) -> set[Function]:
        """Functions whose wrappers are being asked for: a recursive one is no wrapper."""
        return set()

    def sdk_calls(self, module: Module) -> list[SdkCall]:
        """The API calls of a module, those made through the project's wrappers included."""
        found = self._sdk_calls.get(module)
        if found is None:
            found = [each for call in module.calls for each in self.expand(call)]
            self._sdk_calls[module] = found
        return found

    def made_by(self, bound: Bound) -> SdkCall | None:
        """The call of the SDK that gives a value (`RetryPolicy(...)`), followed through names; else None."""
        made = self.followed(bound)
        if not isinstance(made.expression, ast.Call):
            return None
        calls = self.expand(Call(made.expression, made.scope, made.scope.module, made.scope.function))
        return calls[0] if calls and not calls[0].via else None

    def expand(self, call: Call) -> list[SdkCall]:
        """The API calls that a call makes: itself, or those behind the project's wrapper that it calls."""
        symbol = self.resolver.resolve(call.node.func, call.scope)
        name = label(symbol)
        if name in self._configured:
            return [self._configured_call(call, self._configured[name], symbol)]
        if isinstance(symbol, External):
            if symbol.dotted.startswith("temporalio."):
                direct = self._direct(call, symbol.dotted)
                return [direct] if direct is not None else []
            return []
        if isinstance(symbol, Function):
            if isinstance(call.node.func, ast.Attribute) and self._is_behind_stub(symbol):
                return [self._stub(call, symbol)]
            return [self._through(call, wrapper) for wrapper in self.wrappers(symbol)]
        return []

    @cached_property
    def _configured(self) -> dict[str, WrapperSettings]:
        return {each.call: each for each in self.settings.wrappers}

    def _configured_call(self, call: Call, wrapper: WrapperSettings, symbol: Symbol | None) -> SdkCall:
        """The activity call behind a wrapper that the configuration describes."""
        api = "temporalio.workflow.execute_activity"
        outer = self._bind(call, api, "activity", sdk.signature(api))
        names = [each.name for each in symbol.bound_parameters] if isinstance(symbol, Function) else []

        def taken(which: str | int) -> Bound | None:
            index = which if isinstance(which, int) else names.index(which) if which in names else None
            if index is not None and index < len(outer.positional):
                return outer.positional[index]
            name = which if isinstance(which, str) else names[which] if which < len(names) else str(which)
            return outer.keywords.pop(name, None)

        target = taken(wrapper.activity)
        if wrapper.args is None:
            first = wrapper.activity + 1 if isinstance(wrapper.activity, int) else 1
            payloads = list(outer.positional[first:])
        else:
            payloads = [bound for bound in map(taken, wrapper.args) if bound is not None]
        if payloads and "args" not in outer.keywords and all(each.scope is call.scope for each in payloads):
            outer.keywords["args"] = Bound(ast.List([each.expression for each in payloads], ast.Load()), call.scope)
        for option in wrapper.sets:
            # a name that resolves to nothing: given, of unknown value
            outer.keywords.setdefault(option, Bound(ast.Name(f"<{option}>", ast.Load()), call.scope, False))
        outer.positional = (target,) if target is not None else ()
        outer.open_positional = outer.open_positional or target is None
        outer.via = (symbol,) if isinstance(symbol, Function) else ()
        outer.configured = True
        return outer

    def _direct(self, call: Call, dotted: str) -> SdkCall | None:
        signature = sdk.signature(dotted)
        if signature is None or signature.kind == "property":
            return None
        return self._bind(call, dotted, FAMILIES.get(dotted, "other"), signature)

    def _is_behind_stub(self, method: Function) -> bool:
        """Whether a method is a legacy interface's; its implementation has no decorator and is called as any method."""
        if method.cls is None or not method.node.decorator_list:
            return False
        activity = self.activity_of.get(method)
        is_activity = activity is not None and activity.legacy
        return is_activity or any(self.is_legacy_handler(each, method.outer) for each in method.node.decorator_list)

    def _stub(self, call: Call, function: Function) -> SdkCall:
        bound = self._bind(call, "temporal.stub", "stub", None)
        bound.stub = function
        return bound

    def _bind(self, call: Call, dotted: str, family: Family, signature: sdk.Signature | None) -> SdkCall:
        positional: list[Bound] = []
        open_positional = False
        for each in call.node.args:
            if not isinstance(each, ast.Starred):
                positional.append(Bound(each, call.scope))
                continue
            inner = self.elements(Bound(each.value, call.scope))
            if inner is None:
                open_positional = True
                break
            positional.extend(inner)
        keywords: dict[str, Bound] = {}
        open_keywords = False
        for keyword in call.node.keywords:
            if keyword.arg is not None:
                keywords[keyword.arg] = Bound(keyword.value, call.scope)
                continue
            splat = self.values.keys(keyword.value, call.scope)
            for name, bound in splat.entries.items():
                keywords.setdefault(name, bound)
            open_keywords = open_keywords or not splat.complete
        return SdkCall(
            self, call, dotted, family, signature, tuple(positional), keywords, open_positional, open_keywords
        )

    def wrappers(self, function: Function) -> list[Wrapper]:
        """The API calls in a function that are made with the function's own parameters as target or options."""
        known = self._wrappers.get(function)
        if known is not None:
            return known
        if function in self._wrapping:
            return []
        self._wrapping.add(function)
        try:
            found = [
                Wrapper(function, inner)
                for call in function.calls
                for inner in self.expand(call)
                if inner.family in ("activity", "child", "start", "signal", "update", "query")
                and self._forwards(function, inner)
            ]
        finally:
            self._wrapping.discard(function)
        # what several calls do with one parameter cannot be told apart at the caller
        self._wrappers[function] = found if len(found) == 1 else []
        return self._wrappers[function]

    def _forwards(self, function: Function, inner: SdkCall) -> bool:
        if not self._is_plain(function):
            return False
        names = {each.name for each in function.bound_parameters}
        target = inner.target_bound
        return target is not None and isinstance(target.expression, ast.Name) and target.expression.id in names

    def through_helper(self, call: Call) -> list[SdkCall]:
        """The activity calls of a project function that fixes the activity and takes options from its caller.

        Unlike `expand`, which follows functions that take the activity itself.
        """
        symbol = self.resolver.resolve(call.node.func, call.scope)
        if not isinstance(symbol, Function) or not self._is_plain(symbol):
            return []
        if symbol not in self._helpers:
            names = {each.name for each in symbol.bound_parameters}
            self._helpers[symbol] = [
                Wrapper(symbol, inner)
                for inside in symbol.calls
                for inner in self.expand(inside)
                if inner.family == "activity" and not self._forwards(symbol, inner) and _options_from(inner, names)
            ]
        return [self._through(call, wrapper) for wrapper in self._helpers[symbol]]

    def arguments(self, function: Function, call: Call) -> dict[str, Bound]:
        """What a call gives the parameters of a project function, by name; defaults where it gives nothing."""
        return self._fill(function, self._bind(call, "", "other", None))[0]

    def _is_plain(self, function: Function) -> bool:
        """Whether only the project's own code calls a function."""
        return function not in self.activity_of and function not in self.handlers_of

    def _through(self, call: Call, wrapper: Wrapper) -> SdkCall:
        """The inner call of a wrapper with the caller's arguments in the place of the wrapper's parameters."""
        received = self._received(self._bind(call, "", "other", None), wrapper)
        via = (wrapper.function, *wrapper.inner.via)
        return replace(received, call=call, via=via, stub=None, configured=False, inner=wrapper.inner)

    def _received(self, outer: SdkCall, wrapper: Wrapper) -> SdkCall:
        """What the API receives when the wrapper is called with the arguments of `outer`, one wrapper at a time: a
        `*args` is handed to the next wrapper's parameters, and not to the API's."""
        inner = wrapper.inner
        if inner.inner is None:
            return self._handed_on(outer, wrapper.function, inner)
        between = self._handed_on(outer, wrapper.function, self._bind(inner.call, "", "other", None))
        return self._received(between, Wrapper(inner.via[0], inner.inner))

    def _handed_on(self, outer: SdkCall, function: Function, inner: SdkCall) -> SdkCall:
        """`inner`, a call in the body of `function`, with the arguments of `outer` in the place of the parameters."""
        given, rest_positional, rest_keywords = self._fill(function, outer)
        own = function.scope.bindings
        # a variadic that the wrapper binds anew no longer holds what the caller gave
        kinds = {each.kind: each.name for each in function.parameters if len(own[each.name]) == 1}
        variadic = kinds.get("var-positional")
        scopes = {each.scope for each in rest_positional}
        if variadic is not None and not outer.open_positional and len(scopes) < 2:
            display = ast.List([each.expression for each in rest_positional], ast.Load())
            given[variadic] = Bound(display, scopes.pop() if scopes else outer.call.scope)
        positional = [self._substitute(bound, function, given, variadic) for bound in inner.positional]
        keywords = {name: self._substitute(bound, function, given, variadic) for name, bound in inner.keywords.items()}
        open_positional = outer.open_positional
        splats = [each.value for each in inner.node.keywords if each.arg is None]
        rest = kinds.get("var-keyword")
        hands_on = rest is not None and any(isinstance(each, ast.Name) and each.id == rest for each in splats)
        open_keywords = inner.open_keywords
        if hands_on and rest is not None and _uses(function, rest) == 1:
            keywords = {**rest_keywords, **keywords}
            open_keywords = len(splats) != 1
        elif hands_on or rest_keywords:
            # the wrapper may take keywords out or add its own
            open_keywords = True
        if inner.open_positional:
            stars = [each for each in inner.node.args if isinstance(each, ast.Starred)]
            is_rest = isinstance(stars[0].value, ast.Name) and stars[0].value.id == variadic
            if len(stars) == 1 and is_rest and inner.node.args[-1] is stars[0]:
                positional.extend(rest_positional)
            else:
                open_positional = True
        return replace(
            inner,
            positional=tuple(positional),
            keywords=keywords,
            open_positional=open_positional,
            open_keywords=open_keywords or outer.open_keywords,
        )

    @staticmethod
    def _is_rest(expression: ast.expr, variadic: str) -> bool:
        if (
            isinstance(expression, ast.Call)
            and len(expression.args) == 1
            and dotted_name(expression.func) in ("list", "tuple")
        ):
            expression = expression.args[0]
        if (
            isinstance(expression, (ast.List, ast.Tuple))
            and len(expression.elts) == 1
            and isinstance(expression.elts[0], ast.Starred)
        ):
            expression = expression.elts[0].value
        return isinstance(expression, ast.Name) and expression.id == variadic

    @staticmethod
    def _fill(function: Function, outer: SdkCall) -> tuple[dict[str, Bound], list[Bound], dict[str, Bound]]:
        """The caller's arguments by the wrapper's parameter, and what its `*args` and `**kwargs` collect."""
        given: dict[str, Bound] = {}
        slots = [each for each in function.bound_parameters if each.kind in ("positional", "positional-only")]
        for parameter, bound in zip(slots, outer.positional, strict=False):
            given[parameter.name] = bound
        named = {each.name: each for each in function.bound_parameters if each.kind in ("positional", "keyword-only")}
        rest = {name: bound for name, bound in outer.keywords.items() if name not in named}
        given.update({name: bound for name, bound in outer.keywords.items() if name in named})
        for parameter in function.bound_parameters:
            is_open = outer.open_keywords or (outer.open_positional and parameter.kind != "keyword-only")
            if parameter.default is not None and parameter.name not in given and not is_open:
                given[parameter.name] = Bound(parameter.default, function.outer, False)
        return given, list(outer.positional[len(slots) :]), rest

    def _substitute(self, bound: Bound, function: Function, given: dict[str, Bound], variadic: str | None) -> Bound:
        """What the caller gave in the place of a parameter, or of a list of all that is in `*args`."""
        expression = bound.expression
        if bound.scope is not function.scope:
            return Bound(expression, bound.scope, False)
        if variadic in given and self._is_rest(expression, variadic):
            return given[variadic]
        if isinstance(expression, ast.Name) and expression.id in given:
            bindings = function.scope.bindings.get(expression.id, [])
            # only a parameter that the wrapper never rebinds is what the caller gave
            if len(bindings) == 1 and bindings[0].kind == "parameter":
                return given[expression.id]
        return Bound(expression, bound.scope, False)


def _uses(function: Function, name: str) -> int:
    """How often the body of a function names one of its parameters."""
    return sum(isinstance(node, ast.Name) and node.id == name for each in function.node.body for node in ast.walk(each))


def _options_from(call: SdkCall, names: set[str]) -> bool:
    """Whether an option of a call is one of these names."""
    options = (bound.expression for name, bound in call.keywords.items() if name not in ("arg", "args"))
    return any(isinstance(each, ast.Name) and each.id in names for each in options)
