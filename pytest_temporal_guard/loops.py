"""Notices that an event loop stands still in the code of an async activity.

One thread for all loops asks each loop that hosts async activities for a sign of life, a hundred times a second. A loop
that gives none for too long is looked at twice; when the same activity is on its stack both times, that activity blocks
it. While no async activity runs the thread sleeps.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from pytest_temporal_guard import stacks
from pytest_temporal_guard.runs import Attempt, Block

_TICK = 0.01
# A second look that comes too soon tells nothing of a pause of the whole process.
_BETWEEN_LOOKS = 0.02
# Lines of the stack that are kept.
_LINES = 4

_attempt: ContextVar[Attempt | None] = ContextVar("temporal_guard_attempt", default=None)


class _Loop:
    """What is known of one event loop: its thread, its activities by the frame of their interceptor, its last sign."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.attempts: dict[FrameType, Attempt] = {}
        self.asked: float | None = None
        self.lost = 0.0
        self.suspect: Attempt | None = None
        self.looked = 0.0
        self.stack = ""
        self.sure = False

    def answer(self) -> None:
        """The sign of life, given in the loop's thread."""
        self.settle()
        self.asked = None

    def settle(self) -> None:
        """The loop goes on: keep what was seen while it did not."""
        if self.sure and self.suspect is not None and self.asked is not None:
            self.suspect.blocks.append(Block(time.monotonic() - self.asked - self.lost, self.stack))
        self.suspect, self.sure, self.lost = None, False, 0.0


class LoopWatch:
    """Watches the loops of async activities. `threshold` is in seconds; `guarded` keeps the faults of its thread."""

    def __init__(self, guarded: Callable[[str], AbstractContextManager[None]]) -> None:
        self.enabled = True
        self.threshold = 0.1
        self._guarded = guarded
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._lock = threading.Lock()
        self._active = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, enabled: bool, threshold: float) -> None:
        """What holds for the test that begins."""
        self.enabled, self.threshold = enabled, threshold

    def enter(self, attempt: Attempt, frame: FrameType) -> None:
        """An async activity begins in the running loop; `frame` is on the stack whenever its code runs."""
        if not self.enabled:
            return
        _attempt.set(attempt)
        loop = asyncio.get_running_loop()
        with self._lock:
            state = self._loops.get(loop)
            if state is None:
                state = self._loops[loop] = _Loop(loop)
            state.attempts[frame] = attempt
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="temporal-guard-loops", daemon=True)
                self._thread.start()
        self._active.set()

    def leave(self, frame: FrameType) -> None:
        """It has ended."""
        loop = asyncio.get_running_loop()
        with self._lock:
            state = self._loops.get(loop)
            if state is None:
                return
            attempt = state.attempts.pop(frame, None)
            if attempt is not None and state.suspect is attempt:
                state.settle()
                state.asked = None
            if not state.attempts:
                del self._loops[loop]
                if not self._loops:
                    self._active.clear()

    def _watch(self) -> None:
        while True:
            self._active.wait()
            began = time.monotonic()
            time.sleep(_TICK)
            now = time.monotonic()
            # The time by which this thread woke too late is time that the loop's thread may not have had either.
            # A thread that computes gives way at each switch interval only; that is no pause.
            late = max(0.0, now - began - _TICK - 2 * sys.getswitchinterval())
            with self._guarded("watching event loops"), self._lock:
                for state in list(self._loops.values()):
                    self._tick(state, now, late)

    def _tick(self, state: _Loop, now: float, late: float) -> None:
        if state.asked is None:
            state.lost = 0.0
            state.asked = now
            try:
                state.loop.call_soon_threadsafe(self._answered, state)
            except RuntimeError:  # closed
                self._loops.pop(state.loop, None)
            return
        state.lost += late
        if now - state.asked - state.lost < self.threshold or state.sure:
            return
        frame = sys._current_frames().get(state.thread)
        attempt = _whose(state, frame)
        if attempt is None:
            state.suspect = None
        elif state.suspect is not attempt:
            state.suspect, state.looked = attempt, now
        elif now - state.looked >= _BETWEEN_LOOKS:
            state.sure = True
            state.stack = "\n".join(str(each) for each in stacks.innermost(stacks.of_frame(frame), _LINES))

    def _answered(self, state: _Loop) -> None:
        with self._lock:
            state.answer()


def _whose(state: _Loop, frame: FrameType | None) -> Attempt | None:
    """The activity whose code a loop's thread is in."""
    while frame is not None:
        if frame in state.attempts:
            return state.attempts[frame]
        frame = frame.f_back
    # A task that the activity has started has inherited its context; tasks tell theirs since Python 3.12.
    task: Any = asyncio.current_task(state.loop)
    if task is None or not hasattr(task, "get_context"):
        return None
    found: Attempt | None = task.get_context().get(_attempt)
    return found if any(each is found for each in state.attempts.values()) else None
