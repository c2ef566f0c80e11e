"""Pacing of large objects, whose reconciles cost in proportion to their pods, while every pod causes events.

A reconcile that took a while is followed by a pause of a few times as long, in which events gather. Unless told otherwise, what is small is
never paused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tiphys.aio.clock import Clock
from tiphys.runtime import Key, Result

NOTICEABLE = 0.001
SHARE = 4.0
LONGEST = 1.0
"""Seconds of work below which there is no pause, pause per second of work, and maximum pause."""
ROUNDING = 1e-6
"""Seconds by which a timer may fire early: less than this is no pause left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Pauses after work, in seconds, except for `share`, which is the pause per second of work."""

    noticeable: float = NOTICEABLE
    share: float = SHARE
    shortest: float = 0.0
    longest: float = LONGEST


DEFAULT = Pace()


class Pacer:
    """Records when each key may be processed again."""

    def __init__(self, clock: Clock, pace: Pace = DEFAULT) -> None:
        self._clock = clock
        self._pace = pace
        self._free: dict[Key, float] = {}

    def pause(self, key: Key) -> Result | None:
        """Return the result of a reconcile that comes too early, None for one that may go on."""
        left = self.wait(key)
        return Result(left, early=True) if left else None

    def wait(self, key: Key) -> float:
        """Return the seconds until the key may be processed, 0 for now."""
        free = self._free.get(key)
        if free is None:
            return 0.0
        left = free - self._clock.monotonic()
        if left > ROUNDING:
            return left
        del self._free[key]
        return 0.0

    def forget(self, key: Key) -> None:
        """Let a key be worked on at once, for objects that are gone."""
        self._free.pop(key, None)

    @contextmanager
    def measure(self, key: Key) -> Iterator[None]:
        """Time the work; what raises is not followed by a pause."""
        started = self._clock.monotonic()
        yield
        now = self._clock.monotonic()
        pace, took = self._pace, now - started
        if took >= pace.noticeable:
            free = now + min(max(took * pace.share, pace.shortest), pace.longest)
            # After several pieces of work in one reconcile the longest pause counts.
            self._free[key] = max(self._free.get(key, 0.0), free)
