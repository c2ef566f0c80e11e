"""The newest state of every object of a kind, and the recent past as a ring of events ("Efficient detection of changes", API Concepts).

    store log --> Feed --> ResourceCache.apply --> entries, ring, watchers

The feed applies events in revision order on the event loop. A write waits until the cache has reached its revision, so a client always
reads what it wrote, and every read is at least as new as every acknowledged write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tiphys.api.errors import Gone
from tiphys.api.scheme import Kind
from tiphys.apiserver.entry import Entry, EntryCodec
from tiphys.apiserver.watchers import CacheEvent, Watcher

RING_EVENTS = 8_192
RING_BYTES = 16 << 20

Listener = Callable[[Entry | None, Entry | None], None]


class ResourceCache:
    """All objects of one kind at the newest revision, their recent changes, and those who watch."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind
        self.codec = EntryCodec(kind)
        self.revision = 0
        self._namespaces: dict[str, dict[str, Entry]] = {}
        self._sorted: dict[str, list[Entry]] = {}
        self._ring: deque[CacheEvent] = deque()
        self._ring_bytes = 0
        self._forgotten = 0
        self._watchers: set[Watcher] = set()
        self._listeners: list[Listener] = []

    def load(self, entries: Iterable[Entry], revision: int) -> None:
        """Start from a list read at `revision`; events up to it are not known."""
        for entry in entries:
            self._namespaces.setdefault(entry.namespace, {})[entry.name] = entry
        self.revision = self._forgotten = revision

    def get(self, namespace: str, name: str) -> Entry | None:
        objects = self._namespaces.get(namespace)
        return None if objects is None else objects.get(name)

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._namespaces.values())

    def entries(self, namespace: str = "") -> Sequence[Entry]:
        """Entries in key order: of one namespace, or with "" of all."""
        cached = self._sorted.get(namespace)
        if cached is None:
            if namespace or not self.kind.namespaced:
                objects = self._namespaces.get(namespace, {})
                cached = [objects[name] for name in sorted(objects)]
            else:
                cached = [entry for ns in sorted(self._namespaces) for entry in self.entries(ns)]
            self._sorted[namespace] = cached
        return cached

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(old, new)` on the event loop for every change from now on."""
        self._listeners.append(listener)

    def apply(self, event: CacheEvent) -> None:
        """Take in the next change; the feed calls this in revision order."""
        entry = event.entry
        objects = self._namespaces.setdefault(entry.namespace, {})
        if event.type == "DELETED":
            objects.pop(entry.name, None)
        else:
            objects[entry.name] = entry
        self._sorted.pop(entry.namespace, None)
        self._sorted.pop("", None)
        self.revision = entry.revision
        self._remember(event)
        for listener in self._listeners:
            listener(event.previous, None if event.type == "DELETED" else entry)
        for watcher in tuple(self._watchers) if self._watchers else ():
            watcher.offer(event)

    def _remember(self, event: CacheEvent) -> None:
        self._ring.append(event)
        self._ring_bytes += len(event.entry.data)
        while len(self._ring) > RING_EVENTS or self._ring_bytes > RING_BYTES:
            gone = self._ring.popleft()
            self._ring_bytes -= len(gone.entry.data)
            self._forgotten = gone.entry.revision

    def watch(self, watcher: Watcher, *, after: int | None) -> None:
        """Attach a watcher: events after revision `after` first, or none of the past with None.

        Raises Gone when some of those events are forgotten.
        """
        if after is not None:
            if after < self._forgotten:
                raise Gone(f"too old resource version: {after} ({self._forgotten})")
            for event in self._since(after):
                watcher.offer(event)
        if not watcher.closed:
            self._watchers.add(watcher)
            watcher.on_close = lambda: self._watchers.discard(watcher)

    def _since(self, after: int) -> list[CacheEvent]:
        """The remembered events with a newer revision, oldest first; walks back from the newest, since most watches resume there."""
        newer: list[CacheEvent] = []
        for event in reversed(self._ring):
            if event.entry.revision <= after:
                break
            newer.append(event)
        newer.reverse()
        return newer

    def close(self) -> None:
        """End all watches."""
        for watcher in tuple(self._watchers):
            watcher.close()
