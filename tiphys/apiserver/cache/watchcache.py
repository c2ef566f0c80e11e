"""The newest state of every object of a kind, and the recent past as a ring of events ("Efficient detection of changes", API Concepts).

    store log --> Feed --> ResourceCache.apply --> entries, ring, watchers

The feed applies events in revision order on the event loop. A write waits until the cache has reached its revision, so a client always
reads what it wrote, and every read is at least as new as every acknowledged write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tiphys.api.machinery.errors import Gone
from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.cache.entry import Entry, entry_codec
from tiphys.apiserver.cache.watchers import CacheEvent, Reader

log = logging.getLogger(__name__)

RING_EVENTS = 8_192
RING_BYTES = 16 << 20

Listener = Callable[[Entry | None, Entry | None], None]


class ResourceCache:
    """All objects of one kind at the newest revision, their recent changes, and those who watch."""

    def __init__(self, kind: Kind[Any], prefix: str = "") -> None:
        self.kind = kind
        self.prefix = prefix
        """Prefix of these objects' keys in the store."""
        self.received = 0
        """Number of changes received from the store."""
        self.codec = entry_codec(kind)
        self.revision = 0
        self._namespaces: dict[str, dict[str, Entry]] = {}
        self._sorted: dict[str, list[Entry]] = {}
        self._ring: deque[CacheEvent] = deque()
        self._ring_bytes = 0
        self._forgotten = 0
        self._watchers: dict[str, dict[Reader, None]] = {}
        self._listeners: list[Listener] = []
        self._closed = False
        self.listed: tuple[str, int, bytes] | None = None
        """The last list of a namespace (or "") that was rendered, and its version: good until something changes."""
        self.packed: tuple[bytes, asyncio.Future[bytes]] | None = None
        """The bytes of `listed`, and their gzip stream."""

    def load(self, entries: Iterable[Entry], revision: int) -> None:
        """Take the state read at `revision`; events up to it are not known. Listeners get the differences; watches end."""
        before = self._namespaces
        self._namespaces, self._sorted = {}, {}
        self.listed = self.packed = None
        for entry in entries:
            self._namespaces.setdefault(entry.namespace, {})[entry.name] = entry
        self.revision = self._forgotten = revision
        self._ring.clear()
        self._ring_bytes = 0
        self._end_watches()
        for old in [entry for objects in before.values() for entry in objects.values()]:
            new = self.get(old.namespace, old.name)
            if new is None or new.revision != old.revision:
                self._tell(old, new)
        for new in [entry for objects in self._namespaces.values() for entry in objects.values()]:
            if new.name not in before.get(new.namespace, ()):
                self._tell(None, new)

    def get(self, namespace: str, name: str) -> Entry | None:
        objects = self._namespaces.get(namespace)
        return None if objects is None else objects.get(name)

    def changed_at(self, revision: int) -> Entry | None:
        """Return what the newest change made of its object, if it was at this revision."""
        entry = self._ring[-1].entry if self._ring else None
        return entry if entry is not None and entry.revision == revision else None

    def __len__(self) -> int:
        return sum(len(objects) for objects in self._namespaces.values())

    @property
    def watching(self) -> int:
        """Number of watches."""
        return sum(len(readers) for readers in self._watchers.values())

    def entries(self, namespace: str = "") -> Sequence[Entry]:
        """Entries in the order of the store's keys: of one namespace, or with "" of all."""
        cached = self._sorted.get(namespace)
        if cached is None:
            if namespace or not self.kind.namespaced:
                objects = self._namespaces.get(namespace, {})
                cached = [objects[name] for name in sorted(objects)]
            else:
                # In keys a slash follows the namespace: "a-b/" comes before "a/".
                ordered = sorted(self._namespaces, key=lambda ns: ns + "/")
                cached = [entry for ns in ordered for entry in self.entries(ns)]
            self._sorted[namespace] = cached
        return cached

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(old, new)` on the event loop for every change from now on."""
        self._listeners.append(listener)

    def _tell(self, old: Entry | None, new: Entry | None) -> None:
        for listener in self._listeners:
            try:
                listener(old, new)
            except Exception:
                log.exception("a listener failed", extra={"resource": self.kind.resource})

    def apply(self, event: CacheEvent) -> None:
        """Take in the next change; the feed calls this in revision order."""
        entry = event.entry
        namespace = entry.namespace
        objects = self._namespaces.get(namespace)
        if objects is None:
            objects = self._namespaces[namespace] = {}
        if event.type == "DELETED":
            objects.pop(entry.name, None)
            if not objects:
                del self._namespaces[namespace]
        else:
            objects[entry.name] = entry
        self._sorted.pop(namespace, None)
        self._sorted.pop("", None)
        self.listed = self.packed = None
        self.revision = entry.revision
        self._remember(event)
        if self._listeners:
            self._tell(event.previous, None if event.type == "DELETED" else entry)
        if self._watchers:
            for scope in ("", namespace) if namespace else ("",):
                for watcher in tuple(self._watchers.get(scope, ())):
                    watcher.offer(event)
            event.dispatched()

    def _remember(self, event: CacheEvent) -> None:
        self._ring.append(event)
        self._ring_bytes += len(event.entry.data)
        while len(self._ring) > RING_EVENTS or self._ring_bytes > RING_BYTES:
            gone = self._ring.popleft()
            self._ring_bytes -= len(gone.entry.data)
            self._forgotten = gone.entry.revision

    def watch(self, watcher: Reader, *, after: int | None, namespace: str = "") -> None:
        """Attach a watcher to a namespace or to all: events after revision `after` first, or none of the past with None.

        Raises Gone when some of those events are forgotten.
        """
        if after is not None:
            if after < self._forgotten:
                raise Gone(f"too old resource version: {after} ({self._forgotten})")
            for event in self._since(after):
                if not namespace or event.entry.namespace == namespace:
                    watcher.offer(event)
        if self._closed:
            watcher.close()
        if watcher.closed:
            return
        readers = self._watchers.setdefault(namespace, {})
        readers[watcher] = None

        def left() -> None:
            readers.pop(watcher, None)
            if not readers and self._watchers.get(namespace) is readers:
                del self._watchers[namespace]

        watcher.on_close = left

    def _since(self, after: int) -> list[CacheEvent]:
        """The remembered events with a newer revision, oldest first; walks back from the newest, since most watches resume there."""
        newer: list[CacheEvent] = []
        for event in reversed(self._ring):
            if event.entry.revision <= after:
                break
            newer.append(event)
        newer.reverse()
        return newer

    def _end_watches(self) -> None:
        for readers in tuple(self._watchers.values()):
            for watcher in tuple(readers):
                watcher.close()

    def close(self) -> None:
        """End all watches, and those that are begun later at once."""
        self._closed = True
        self._end_watches()
