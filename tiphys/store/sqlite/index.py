"""Index of the live keys, in memory: conflict checks and lists are decided on it without touching the disk.

The writer thread changes it, after each commit and under `lock`; the reader thread plans its reads under `lock`. The writer thread may read
it without the lock, because nobody else writes.
"""

from __future__ import annotations

import threading
from bisect import bisect_left

from tiphys.store.contract import Compacted, FutureRevision, Revision

Entry = tuple[int, int, float | None]
"""Index entry of a live key: mod_revision, create_revision, deadline in unix seconds. A plain tuple: the garbage collector stops tracking
those, and there is one per key."""


class Index:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.live: dict[str, Entry] = {}
        self.revision = 0
        self.floor = 0
        """Revision before which history is forgotten. It rises before rows are deleted, so a read that passes the check is safe."""
        self._sorted: list[str] | None = None
        self._fresh: list[str] = []
        self._stale: set[str] = set()

    def check(self, revision: int | None) -> int:
        """Return the revision to read at; raises FutureRevision, Compacted. Call under `lock`."""
        if revision is None:
            return self.revision
        if revision > self.revision:
            raise FutureRevision(Revision(self.revision))
        if revision < self.floor:
            raise Compacted(Revision(self.floor))
        return revision

    def set(self, key: str, entry: Entry | None) -> None:
        """Record a committed write (None: a delete). Call under `lock`."""
        if entry is None:
            if self.live.pop(key, None) is not None and self._sorted is not None:
                self._stale.add(key)
                self._forget_order_if_costly()
            return
        if self._sorted is not None and key not in self.live:
            if key in self._stale:
                self._stale.remove(key)
            else:
                self._fresh.append(key)
                self._forget_order_if_costly()
        self.live[key] = entry

    def keys(self, prefix: str, start: str) -> list[str]:
        """Live keys that begin with `prefix`, from `start` on, in order. Call under `lock`."""
        ordered = self._in_order()
        low = bisect_left(ordered, max(prefix, start))
        end = _after_prefix(prefix)
        return ordered[low : bisect_left(ordered, end, low) if end else len(ordered)]

    def _in_order(self) -> list[str]:
        """Return the keys in order: sorting waits until somebody lists, and then merges the changes into the previous order."""
        if self._sorted is None:
            self._sorted = sorted(self.live)
        elif self._fresh or self._stale:
            stale = self._stale
            merged = [key for key in self._sorted if key not in stale] if stale else self._sorted
            merged += [key for key in self._fresh if key not in stale]
            merged.sort()
            self._sorted = merged
        self._fresh = []
        self._stale = set()
        return self._sorted

    def _forget_order_if_costly(self) -> None:
        """Drop the sorted order when noted changes pile up because nobody lists."""
        if len(self._fresh) + len(self._stale) > 10_000 + len(self.live) // 4:
            self._sorted = None
            self._fresh = []
            self._stale = set()


def _after_prefix(prefix: str) -> str:
    """Return the smallest string greater than all that begin with `prefix`; empty if there is none."""
    while prefix and ord(prefix[-1]) == 0x10FFFF:
        prefix = prefix[:-1]
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
