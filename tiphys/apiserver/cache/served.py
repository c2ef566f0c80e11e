"""A kind that is kept as another one: the cache of the stored kind, seen in another group or version.

    ResourceCache (stored kind) --from_stored--> ServedCache (served kind) --> get, entries, watch, ...

Nothing is converted before somebody asks in this version. What was converted is remembered until the object changes, so a list costs the
conversion of what is new in it, and an event is converted once for all who watch in this version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tiphys.api.machinery.scheme import Kind, Stored
from tiphys.apiserver.cache.entry import Entry, EntryCodec, StaleEntry
from tiphys.apiserver.cache.watchcache import Listener, ResourceCache
from tiphys.apiserver.cache.watchers import CacheEvent, Reader

SPARE = 64
"""Number of converted entries that may be kept beyond the number of objects; further ones belong to deleted objects."""


class ServedCache:
    """All objects of a stored kind, as another kind, with the interface of a `ResourceCache`."""

    def __init__(self, kind: Kind[Any], stored: Stored[Any], hub: ResourceCache) -> None:
        self.kind = kind
        self.hub = hub
        self.prefix = hub.prefix
        self.codec = EntryCodec(kind)
        self._from_stored = stored.from_stored
        self._shown: dict[tuple[str, str], tuple[Entry, Entry]] = {}
        self._sorted: dict[str, tuple[Sequence[Entry], Sequence[Entry]]] = {}
        self._last: tuple[CacheEvent, CacheEvent] | None = None
        self.listed: tuple[str, int, bytes] | None = None
        """The last list of a namespace (or "") that was rendered, and its version: good until something changes."""
        self.packed: tuple[bytes, asyncio.Future[bytes]] | None = None
        """The bytes of `listed`, and their gzip stream."""

    @property
    def revision(self) -> int:
        return self.hub.revision

    def __len__(self) -> int:
        return len(self.hub)

    def show(self, entry: Entry) -> Entry:
        """An entry of the stored kind as one of this kind, at the same revision."""
        place = (entry.namespace, entry.name)
        known = self._shown.get(place)
        if known is not None and known[0] is entry:
            return known[1]
        obj = self._from_stored(self.hub.codec.decode(entry.data))
        shown = self.codec.entry(self.codec.encode(obj), entry.revision, obj)
        if isinstance(entry, StaleEntry):
            shown = StaleEntry(shown.namespace, shown.name, shown.revision, shown.data, shown.labels, shown.fields)
        if self.hub.get(*place) is entry:
            if len(self._shown) > 2 * len(self.hub) + SPARE:
                self._shown.clear()
            self._shown[place] = (entry, shown)
        return shown

    def get(self, namespace: str, name: str) -> Entry | None:
        entry = self.hub.get(namespace, name)
        return None if entry is None else self.show(entry)

    def entries(self, namespace: str = "") -> Sequence[Entry]:
        """Entries in the order of the store's keys: of one namespace, or with "" of all. The same list while nothing changes."""
        stored = self.hub.entries(namespace)
        known = self._sorted.get(namespace)
        if known is None or known[0] is not stored:
            if len(self._sorted) > SPARE:
                self._sorted.clear()
            known = self._sorted[namespace] = (stored, [self.show(entry) for entry in stored])
        return known[1]

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(old, new)` on the event loop for every change from now on."""

        def tell(old: Entry | None, new: Entry | None) -> None:
            listener(None if old is None else self.show(old), None if new is None else self.show(new))

        self.hub.subscribe(tell)

    def watch(self, watcher: Reader, *, after: int | None, namespace: str = "") -> None:
        """Attach a watcher to a namespace or to all; raises Gone, as the stored kind's cache does."""
        self.hub.watch(_Converting(watcher, self._event), after=after, namespace=namespace)

    def _event(self, event: CacheEvent) -> CacheEvent:
        if self._last is None or self._last[0] is not event:
            previous = None if event.previous is None else self.show(event.previous)
            if event.type == "DELETED" and previous is not None:
                entry = self.codec.at(previous, event.entry.revision)
            else:
                entry = self.show(event.entry)
            self._last = event, CacheEvent(event.type, entry, previous, self.codec.at)
        return self._last[1]


class _Converting:
    """A reader of the stored kind's events that hands them on as events of the served kind."""

    def __init__(self, reader: Reader, convert: Callable[[CacheEvent], CacheEvent]) -> None:
        self._reader = reader
        self._convert = convert

    @property
    def closed(self) -> bool:
        return self._reader.closed

    @property
    def on_close(self) -> Callable[[], None]:
        return self._reader.on_close

    @on_close.setter
    def on_close(self, left: Callable[[], None]) -> None:
        self._reader.on_close = left

    def offer(self, event: CacheEvent) -> None:
        if not self._reader.closed:
            self._reader.offer(self._convert(event))

    def close(self) -> None:
        self._reader.close()
