"""Store in memory: the contract in its simplest form, for tests and short-lived clusters."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

from tiphys.aio.clock import Clock, LoopClock
from tiphys.store.contract import (
    Compacted,
    Event,
    FutureRevision,
    KeyExists,
    KeyMissing,
    KeyValue,
    Page,
    Revision,
    RevisionMismatch,
    StoreClosed,
    StoreError,
    StoreFailed,
    Watch,
)
from tiphys.store.expiry import Deadline, Deadlines
from tiphys.store.failure import FailureLatch
from tiphys.store.watches import WatchHub

LOOK_SECONDS = 30.0
"""Most seconds between looks at deadlines while there are any: somebody may have set the clock."""


class MemoryStore:
    """Store made of two Python containers: the live keys, and a log of events with the values they replaced.

    `keep_revisions` bounds the log (it is trimmed at twice that length). It wakes up for deadlines only: virtual time passes quickly.
    """

    def __init__(self, *, clock: Clock | None = None, keep_revisions: int = 10_000, watch_buffer: int = 10_000) -> None:
        self._clock = clock or LoopClock()
        self._keep = keep_revisions
        self._live: dict[str, KeyValue] = {}
        self._log: list[tuple[Event, KeyValue | None]] = []
        self._revision = 0
        self._floor = 0
        self._watch_buffer = watch_buffer
        self._hub = WatchHub(buffer=watch_buffer)
        self._deadlines = Deadlines()
        self._sooner = asyncio.Event()
        self._failure = FailureLatch()
        self._expiry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store. A closed one is opened again with what it held, as after a restart."""
        if self._expiry is not None:
            if not self._expiry.done():
                raise StoreError("the store is already started")
            self._hub = WatchHub(buffer=self._watch_buffer)
        self._expiry = asyncio.create_task(self._expire_forever(), name="tiphys-store-expiry")

    async def close(self) -> None:
        if self._expiry is not None and not self._expiry.done():
            self._expiry.cancel()
            await asyncio.wait([self._expiry])
        self._hub.close()

    @property
    def failure(self) -> StoreFailed | None:
        return self._failure.failure

    async def failed(self) -> StoreFailed:
        return await self._failure.wait()

    def current_revision(self) -> Revision:
        return Revision(self._revision)

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> Revision:
        self._check_open(key)
        if key in self._live:
            raise KeyExists(key)
        revision = self._commit("create", key, value, self._revision + 1).revision
        if ttl is not None:
            self._deadlines.add(deadline := Deadline(self._clock.now().timestamp() + ttl, key, revision))
            if self._deadlines.soonest() == deadline.at:
                self._sooner.set()
        return revision

    async def get(self, key: str, *, revision: Revision | None = None) -> KeyValue | None:
        self._check_open(key)
        undone = self._undone(self._at(revision))
        return undone[key] if key in undone else self._live.get(key)

    async def list(self, prefix: str, *, revision: Revision | None = None, start: str = "", limit: int = 0) -> Page:
        self._check_open()
        at = self._at(revision)
        undone = self._undone(at)
        found = [item for key, item in self._live.items() if key.startswith(prefix) and key >= start and key not in undone]
        found += [item for key, item in undone.items() if item is not None and key.startswith(prefix) and key >= start]
        found.sort(key=lambda item: item.key)
        remaining = len(found) - limit if limit and len(found) > limit else 0
        return Page(found[:limit] if limit else found, at, remaining > 0, remaining)

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        self._check_open(key)
        return self._commit("update", key, value, self._matching(key, expected).create_revision).revision

    async def delete(self, key: str, *, expected: Revision | None = None) -> Event:
        self._check_open(key)
        return self._commit("delete", key, b"", self._matching(key, expected).create_revision)

    async def watch(self, prefix: str, *, after: Revision) -> Watch:
        self._check_open()
        if after < self._floor:
            raise Compacted(Revision(self._floor))
        return self._hub.join(prefix, after, self._replay)

    async def compact(self, revision: Revision) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(Revision(self._revision))
        if revision > self._floor:
            del self._log[: self._index_after(revision)]
            self._floor = revision

    def _check_open(self, key: str = "-") -> None:
        if self._expiry is None or self._expiry.done():
            raise StoreClosed("the store is not open")
        if not key:
            raise ValueError("a key must not be empty")

    def _matching(self, key: str, expected: int | None) -> KeyValue:
        current = self._live.get(key)
        if current is None:
            raise KeyMissing(key)
        if expected is not None and current.mod_revision != expected:
            raise RevisionMismatch(current)
        return current

    def _commit(self, kind: str, key: str, value: bytes, create_revision: int) -> Event:
        self._revision += 1
        revision, created = Revision(self._revision), Revision(create_revision)
        before = self._live.get(key)
        if kind == "delete":
            assert before is not None
            event = Event("delete", key, b"", revision, created, before.value)
            del self._live[key]
        else:
            event = Event("create" if kind == "create" else "update", key, value, revision, created)
            self._live[key] = KeyValue(key, value, created, revision)
        self._log.append((event, before))
        if len(self._log) > 2 * self._keep:
            del self._log[: -self._keep]
            self._floor = self._log[0][0].revision - 1
        self._hub.publish((event,), revision)
        return event

    def _at(self, revision: int | None) -> Revision:
        at = self._revision if revision is None else revision
        if at > self._revision:
            raise FutureRevision(Revision(self._revision))
        if at < self._floor:
            raise Compacted(Revision(self._floor))
        return Revision(at)

    def _index_after(self, revision: int) -> int:
        return bisect_right(self._log, revision, key=lambda entry: entry[0].revision)

    def _undone(self, revision: int) -> dict[str, KeyValue | None]:
        """Return the state at `revision` of the keys that changed since: their state before the first of these changes."""
        undone: dict[str, KeyValue | None] = {}
        for event, before in self._log[self._index_after(revision) :]:
            undone.setdefault(event.key, before)
        return undone

    async def _replay(self, prefix: str, after: int, upto: int) -> tuple[Sequence[Event], int]:
        if after < self._floor:
            raise Compacted(Revision(self._floor))
        entries = self._log[self._index_after(after) : self._index_after(upto)]
        return [event for event, _ in entries if event.key.startswith(prefix)], upto

    async def _expire_forever(self) -> None:
        while True:
            soonest = self._deadlines.soonest()
            wait = None if soonest is None else min(max(soonest - self._clock.now().timestamp(), 0.001), LOOK_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._sooner.wait()
            self._sooner.clear()
            for deadline in self._deadlines.pop_due(self._clock.now().timestamp()):
                current = self._live.get(deadline.key)
                if current is not None and current.create_revision == deadline.create_revision:
                    self._commit("delete", deadline.key, b"", current.create_revision)
