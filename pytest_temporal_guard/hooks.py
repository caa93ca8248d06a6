"""Where the code of an activity meets virtual time: the functions of `time`, and the loop that it runs on.

Both ask `current` who drives the code that calls them, and do what they always do where nobody does. `sleeps` says what
becomes virtual by them, and what does not.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import functools
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_temporal_guard.sleeps import Driver

REAL_MONOTONIC = time.monotonic
REAL_PERF_COUNTER = time.perf_counter
REAL_SLEEP = time.sleep
REAL_START = threading.Thread.start
REAL_WAIT = threading.Event.wait

current: contextvars.ContextVar[Driver | None] = contextvars.ContextVar("temporal_guard_virtual_time", default=None)


# The hooks on a loop: attributes of the one loop, which its class's methods and the compiled tasks find first.

_hooked: collections.Counter[asyncio.AbstractEventLoop] = collections.Counter()


def can_hook(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the timers of this loop can be made virtual; those of compiled loops such as uvloop's cannot."""
    return isinstance(loop, asyncio.BaseEventLoop)


def hook(loop: asyncio.AbstractEventLoop) -> None:
    """Let a loop ask the driver of the code that calls it. Each call needs one of `unhook`."""
    _hooked[loop] += 1
    if _hooked[loop] > 1:
        return
    own_time, own_soon, own_at = loop.time, loop.call_soon, loop.call_at
    own_future, own_run = loop.create_future, loop.run_in_executor
    own_reader, own_no_reader = loop.add_reader, loop.remove_reader

    def time_() -> float:
        driver = current.get()
        return own_time() if driver is None else driver.monotonic()

    def call_soon(
        callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        driver = current.get() if context is None else context.get(current)
        if driver is not None:
            driver.changed()
        return own_soon(callback, *args, context=context)

    def call_at(
        when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        driver = current.get()
        if driver is None:
            return own_at(when, callback, *args, context=context)
        if driver.ended:
            return own_at(own_time() + when - driver.monotonic(), callback, *args, context=context)
        return driver.call_at(when, callback, args, context)

    def create_future() -> asyncio.Future[Any]:
        future = own_future()
        driver = current.get()
        if driver is not None:
            driver.future_made(future, sys._getframe(1).f_globals.get("__name__", ""))
        return future

    def run_in_executor(executor: Any, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        driver = current.get()
        if driver is None or driver.ended:
            return own_run(executor, function, *args)
        return driver.run_in_executor(own_run, executor, function, args)

    def add_reader(fd: Any, callback: Callable[..., Any], *args: Any) -> Any:
        driver = current.get()
        if driver is not None:
            driver.reader(fd, True)
        return own_reader(fd, callback, *args)

    def remove_reader(fd: Any) -> bool:
        driver = current.get()
        if driver is not None:
            driver.reader(fd, False)
        return own_no_reader(fd)

    hooks: dict[str, Any] = {
        "time": time_,
        "call_soon": call_soon,
        "call_at": call_at,
        "create_future": create_future,
        "run_in_executor": run_in_executor,
        "add_reader": add_reader,
        "remove_reader": remove_reader,
    }
    for name in _OPENERS:
        hooks[name] = _opener(getattr(loop, name))
    vars(loop).update(hooks)


# methods of a loop that return a pair with the transport first
_OPENERS = (
    "create_connection",
    "create_datagram_endpoint",
    "create_unix_connection",
    "connect_read_pipe",
    "subprocess_exec",
    "subprocess_shell",
)


def _opener(own: Callable[..., Any]) -> Callable[..., Any]:
    async def opened(*args: Any, **options: Any) -> Any:
        pair = await own(*args, **options)
        driver = current.get()
        if driver is not None:
            driver.transport_made(pair[0])
        return pair

    return opened


def unhook(loop: asyncio.AbstractEventLoop) -> None:
    """Undo one `hook`; the last one leaves the loop as it was."""
    _hooked[loop] -= 1
    if _hooked[loop] > 0:
        return
    del _hooked[loop]
    names = ("time", "call_soon", "call_at", "create_future", "run_in_executor", "add_reader", "remove_reader")
    for name in (*names, *_OPENERS):
        vars(loop).pop(name, None)


# The patches of `time`.


def _reader(name: str) -> Callable[[], Any]:
    original = _ORIGINALS[name]
    read = name.removesuffix("_ns")

    def virtual() -> Any:
        driver = current.get()
        if driver is None:
            return original()
        value = getattr(driver, read)()
        return int(value * 1e9) if name.endswith("_ns") else value

    return functools.update_wrapper(virtual, original)


def _sleep(seconds: float, /) -> None:
    driver = current.get()
    if driver is None:
        REAL_SLEEP(seconds)
    else:
        driver.sleep(seconds)


_CLOCKS = ("monotonic", "time", "perf_counter")
_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(time, name) for clock in _CLOCKS for name in (clock, f"{clock}_ns")
}
_PATCHES: dict[str, Callable[..., Any]] = {name: _reader(name) for name in _ORIGINALS}
_ORIGINALS["sleep"] = REAL_SLEEP
_PATCHES["sleep"] = functools.update_wrapper(_sleep, REAL_SLEEP)
_REPLACEMENT = {id(original): _PATCHES[name] for name, original in _ORIGINALS.items()}

# The patches of `threading`: helpers that an activity starts in its own context, to heartbeat beside its work.


def _start(thread: threading.Thread) -> None:
    driver = current.get()
    # `Thread(target=copy_context().run, ...)`, and what Python 3.14 takes as `Thread(context=...)`
    target = getattr(thread, "_target", None)
    for context in (getattr(target, "__self__", None), getattr(thread, "_context", None)):
        if driver is not None and isinstance(context, contextvars.Context) and context.get(current) is driver:
            driver.helper_starts(thread)
            break
    REAL_START(thread)


def _wait(event: threading.Event, timeout: float | None = None) -> bool:
    driver = current.get()
    if driver is None or timeout is None or sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] in _OWN:
        return REAL_WAIT(event, timeout)
    return driver.wait_for(event, timeout)


_HELPERS: tuple[tuple[type, str, Callable[..., Any], Callable[..., Any]], ...] = (
    (threading.Thread, "start", REAL_START, functools.update_wrapper(_start, REAL_START)),
    (threading.Event, "wait", REAL_WAIT, functools.update_wrapper(_wait, REAL_WAIT)),
)

# Code of these keeps real time also when it runs for an activity: their waits are real.
_OWN = frozenset({*sys.stdlib_module_names, "temporalio", "pytest_temporal_guard", "pytest", "_pytest", "pluggy"})

_lock = threading.Lock()
_users = 0
_places: list[tuple[types.ModuleType, str, Any]] = []
_swept: weakref.WeakKeyDictionary[types.ModuleType, tuple[str, ...]] = weakref.WeakKeyDictionary()


def install() -> None:
    """Patch `time`, and the modules that hold its functions by name. Each call needs one of `uninstall`."""
    global _users
    with _lock:
        _users += 1
        if _users > 1:
            return
        for name, patch in _PATCHES.items():
            setattr(time, name, patch)
        for owner, name, _, patch in _HELPERS:
            setattr(owner, name, patch)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] not in _OWN and isinstance(module, types.ModuleType):
                _sweep(module)


def _sweep(module: types.ModuleType) -> None:
    names = _swept.get(module)
    if names is None:
        names = tuple(key for key, value in list(vars(module).items()) if id(value) in _REPLACEMENT)
        _swept[module] = names
    for key in names:
        value = vars(module).get(key)
        if id(value) in _REPLACEMENT:
            _places.append((module, key, value))
            setattr(module, key, _REPLACEMENT[id(value)])


def uninstall() -> None:
    """Undo one `install`; the last one puts the originals back."""
    global _users
    with _lock:
        _users -= 1
        if _users > 0:
            return
        for name, original in _ORIGINALS.items():
            setattr(time, name, original)
        for owner, name, original, _ in _HELPERS:
            setattr(owner, name, original)
        while _places:
            module, key, value = _places.pop()
            if vars(module).get(key) is _REPLACEMENT[id(value)]:
                setattr(module, key, value)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """The patches for the length of a block."""
    install()
    try:
        yield
    finally:
        uninstall()
