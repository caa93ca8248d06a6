"""Activities one at a time, so that what changes while one runs is its own doing."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import deque

# Seconds without any activity ending, after which one that waits for its turn stops waiting: the others may wait for it
_STALL = 1.0


class Turns:
    """One activity at a time, whatever loop or thread it runs in, first come first served.

    An activity that waits for another one must not wait for its turn too. So who sees nothing end for a second, or has
    waited for as long as it may, goes in beside those that are inside; all of them are then `shared`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: set[Turn] = set()
        self._waiting: deque[Turn] = deque()
        self._ended = 0

    async def enter(self, patience: float) -> Turn:
        """Wait for a turn, `patience` seconds at most. To be given back by `leave`."""
        turn = Turn()
        with self._lock:
            if not self._inside:
                self._inside.add(turn)
                return turn
            self._waiting.append(turn)
        # A thread's clock: the one of the event loop may be a virtual one.
        timer = self._watch(turn, patience, self._ended)
        try:
            await asyncio.wrap_future(turn.woken)
        except asyncio.CancelledError:
            self.leave(turn)
            raise
        finally:
            timer.set()
        return turn

    def leave(self, turn: Turn) -> None:
        """The turn is over; the next one begins."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            self._inside.discard(turn)
            self._ended += 1
            if not self._inside and self._waiting:
                self._admit(self._waiting.popleft())

    def _admit(self, turn: Turn) -> None:
        self._inside.add(turn)
        if turn.woken.set_running_or_notify_cancel():
            turn.woken.set_result(None)

    def _watch(self, turn: Turn, patience: float, ended: int) -> threading.Event:
        done = threading.Event()

        def watch() -> None:
            left, seen = patience, ended
            while left > 0:
                pause = min(_STALL, left)
                if done.wait(pause):
                    return
                left -= pause
                if self._ended == seen:
                    break
                seen = self._ended
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                    for each in (turn, *self._inside):
                        each.shared = True
                    self._admit(turn)

        threading.Thread(target=watch, name="temporal-guard-turn", daemon=True).start()
        return done


class Turn:
    """The turn of one activity. `shared` says that another one ran at the same time."""

    def __init__(self) -> None:
        self.shared = False
        self.woken: concurrent.futures.Future[None] = concurrent.futures.Future()
