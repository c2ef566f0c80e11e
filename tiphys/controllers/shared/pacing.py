"""Keeping large objects from taking all the time: their reconciles cost in proportion to their pods, and every pod makes events.

A reconcile that took a while is followed by a pause of a few times as long, in which events gather. What is small is never paused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tiphys.aio.clock import Clock
from tiphys.runtime import Key

NOTICEABLE = 0.001
SHARE = 4.0
LONGEST = 1.0
"""Seconds of work below which there is no pause, pause per second of work, and the longest pause."""


class Pacer:
    """Remembers when each key may be worked on again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free: dict[Key, float] = {}

    def wait(self, key: Key) -> float:
        """Seconds until the key may be worked on, 0 for now."""
        free = self._free.get(key)
        if free is None:
            return 0.0
        left = free - self._clock.monotonic()
        if left <= 0:
            del self._free[key]
        return max(left, 0.0)

    @contextmanager
    def measure(self, key: Key) -> Iterator[None]:
        """Time what is done without waiting for anything."""
        started = self._clock.monotonic()
        yield
        now = self._clock.monotonic()
        if now - started >= NOTICEABLE:
            self._free[key] = now + min((now - started) * SHARE, LONGEST)
