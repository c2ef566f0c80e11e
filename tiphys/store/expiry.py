"""Deadlines of keys with a time to live, soonest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple


class Deadline(NamedTuple):
    """`at` is in unix seconds; `create_revision` names the life of the key that ends, so that a key made anew is left alone."""

    at: float
    key: str
    create_revision: int


class Deadlines:
    """Heap of deadlines. Those of keys deleted early stay until they are due, and then find nothing to delete."""

    def __init__(self, deadlines: Iterable[Deadline] = ()) -> None:
        self._heap = list(deadlines)
        heapq.heapify(self._heap)

    def add(self, deadline: Deadline) -> None:
        heapq.heappush(self._heap, deadline)

    def soonest(self) -> float | None:
        """Return the time of the next deadline in unix seconds, None without any."""
        return self._heap[0].at if self._heap else None

    def pop_due(self, now: float) -> list[Deadline]:
        """Remove and return the deadlines that are due at `now`."""
        due = []
        while self._heap and self._heap[0].at <= now:
            due.append(heapq.heappop(self._heap))
        return due
