"""Where kinds meet the store: keys, the watch caches, and writes that are visible once they return.

Keys are `/registry/<group or core>/<plural>/[<namespace>/]<name>`; values are an object's JSON without resourceVersion.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, TypeVar

from tiphys.api.meta.v1 import KubeObject
from tiphys.api.scheme import Kind, Scheme
from tiphys.apiserver.entry import Entry
from tiphys.apiserver.watchcache import Listener, ResourceCache
from tiphys.apiserver.watchers import CacheEvent
from tiphys.store.contract import Event, KeyValue, Revision, Store, Watch

ROOT = "/registry/"
T = TypeVar("T", bound=KubeObject)


def storage_prefix(kind: Kind[Any]) -> str:
    """The part of the keys that all objects of a kind share."""
    return f"{ROOT}{kind.group or 'core'}/{kind.plural}/"


class Storage:
    """All kinds over one store. Reads come from memory; writes go through the store and return when the caches have them."""

    def __init__(self, store: Store, scheme: Scheme) -> None:
        self.store = store
        self.scheme = scheme
        self._caches: dict[str, ResourceCache] = {}
        self._by_prefix: dict[str, ResourceCache] = {}
        self._written: dict[int, tuple[bytes, KubeObject]] = {}
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._tie = count()
        self._watch: Watch | None = None
        self._feeding: asyncio.Task[None] | None = None
        self.revision = 0
        for kind in scheme:
            if kind.storage_group == "" and "get" in kind.verbs:
                cache = ResourceCache(kind)
                self._caches[kind.resource] = self._by_prefix[storage_prefix(kind)] = cache

    async def start(self) -> None:
        """Fill the caches from the store and follow it."""
        page = await self.store.list(ROOT)
        loaded: dict[str, list[Entry]] = {prefix: [] for prefix in self._by_prefix}
        for item in page.items:
            prefix = self._prefix_of(item.key)
            if prefix in loaded:
                loaded[prefix].append(self._by_prefix[prefix].codec.entry(item.value, item.mod_revision))
        for prefix, cache in self._by_prefix.items():
            cache.load(loaded[prefix], page.revision)
        self.revision = page.revision
        self._watch = await self.store.watch(ROOT, after=page.revision)
        self._feeding = asyncio.get_running_loop().create_task(self._feed(self._watch), name="storage-feed")

    async def close(self) -> None:
        """Stop following and end all watches."""
        for cache in self._caches.values():
            cache.close()
        if self._watch is not None:
            self._watch.close()
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)

    @staticmethod
    def _prefix_of(key: str) -> str:
        """`/registry/apps/deployments/` of `/registry/apps/deployments/default/web`."""
        return key[: key.index("/", key.index("/", len(ROOT)) + 1) + 1]

    def cache(self, kind: Kind[Any]) -> ResourceCache:
        """The cache of a kind that is stored."""
        return self._caches[kind.resource]

    def caches(self) -> Iterable[ResourceCache]:
        """The caches of all stored kinds."""
        return self._caches.values()

    # --- writes ---

    @staticmethod
    def key(kind: Kind[Any], namespace: str, name: str) -> str:
        return f"{storage_prefix(kind)}{namespace}/{name}" if kind.namespaced else f"{storage_prefix(kind)}{name}"

    async def create(self, kind: Kind[Any], obj: KubeObject) -> Entry:
        """Store a new object; raises store.KeyExists."""
        meta = obj.metadata
        value = self._caches[kind.resource].codec.encode(obj)
        self._written[id(value)] = (value, obj)
        try:
            revision = await self.store.create(self.key(kind, meta.namespace, meta.name), value, ttl=kind.ttl(obj))
            return await self._visible(kind, meta.namespace, meta.name, value, revision, obj)
        finally:
            self._written.pop(id(value), None)

    async def update(self, kind: Kind[Any], obj: KubeObject, *, expected: Entry) -> Entry:
        """Replace the object whose current state is `expected`; raises store.KeyMissing or store.RevisionMismatch.

        When nothing changes, nothing is written and `expected` is returned.
        """
        meta = obj.metadata
        codec = self._caches[kind.resource].codec
        value = codec.encode(obj)
        if codec.splice(value, expected.revision) == expected.data:
            return expected
        self._written[id(value)] = (value, obj)
        try:
            key = self.key(kind, meta.namespace, meta.name)
            revision = await self.store.update(key, value, expected=Revision(expected.revision))
            return await self._visible(kind, meta.namespace, meta.name, value, revision, obj)
        finally:
            self._written.pop(id(value), None)

    async def delete(self, kind: Kind[Any], expected: Entry) -> Entry:
        """Remove the object whose current state is `expected`; raises store.KeyMissing or store.RevisionMismatch.

        Returns the last state at the revision of the delete, as watchers see it.
        """
        key = self.key(kind, expected.namespace, expected.name)
        event = await self.store.delete(key, expected=Revision(expected.revision))
        await self.wait_for(event.revision)
        return self._caches[kind.resource].codec.at(expected, event.revision)

    async def _visible(self, kind: Kind[Any], namespace: str, name: str, value: bytes, revision: int, obj: KubeObject) -> Entry:
        await self.wait_for(revision)
        cache = self._caches[kind.resource]
        entry = cache.get(namespace, name)
        return entry if entry is not None and entry.revision == revision else cache.codec.entry(value, revision, obj)

    async def fresh(self, kind: Kind[Any], namespace: str, name: str) -> Entry | None:
        """The newest state by asking the store, after a write lost against somebody else's."""
        found = await self.store.get(self.key(kind, namespace, name))
        return None if found is None else self._caches[kind.resource].codec.entry(found.value, found.mod_revision)

    def entry_of(self, kind: Kind[Any], item: KeyValue) -> Entry:
        """The entry for a key read from the store."""
        return self._caches[kind.resource].codec.entry(item.value, item.mod_revision)

    # --- following the store ---

    async def wait_for(self, revision: int) -> None:
        """Return when the caches have reached `revision`."""
        if self.revision < revision:
            reached = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (revision, next(self._tie), reached))
            await reached

    async def _feed(self, watch: Watch) -> None:
        async for batch in watch:
            for event in batch:
                self._apply(event)
            self.revision = batch[-1].revision
            while self._waiting and self._waiting[0][0] <= self.revision:
                reached = heapq.heappop(self._waiting)[2]
                if not reached.done():
                    reached.set_result(None)

    def _apply(self, event: Event) -> None:
        cache = self._by_prefix.get(self._prefix_of(event.key))
        if cache is None:
            return
        namespace, _, name = event.key[len(storage_prefix(cache.kind)) :].rpartition("/")
        previous = cache.get(namespace, name)
        if event.kind == "delete":
            if previous is None:
                return
            cache.apply(CacheEvent("DELETED", cache.codec.at(previous, event.revision), previous))
        else:
            _, obj = self._written.get(id(event.value), (b"", None))
            entry = cache.codec.entry(event.value, event.revision, obj)
            cache.apply(CacheEvent("ADDED" if previous is None else "MODIFIED", entry, previous, cache.codec.at))


class TypedSource:
    """Typed objects over the caches, for authorisers and admission: decoded once per revision and kind, and only where asked for."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._decoded: dict[str, dict[str, tuple[int, Any]]] = {}

    def _typed(self, cache: ResourceCache, entry: Entry) -> Any:
        known = self._decoded.get(cache.kind.resource)
        if known is None:
            known = self._decoded[cache.kind.resource] = {}
            cache.subscribe(self._forgetter(known))
        found = known.get(entry.key)
        if found is None or found[0] != entry.revision:
            found = known[entry.key] = (entry.revision, cache.codec.decode(entry.data))
        return found[1]

    def _cache(self, type_: type[Any]) -> ResourceCache | None:
        """The cache of a type; types that are not served have no objects and never change."""
        try:
            return self._storage.cache(self._storage.scheme.of(type_))
        except KeyError:
            return None

    @staticmethod
    def _forgetter(known: dict[str, tuple[int, Any]]) -> Listener:
        def forget(old: Entry | None, new: Entry | None) -> None:
            changed = new or old
            if changed is not None:
                known.pop(changed.key, None)

        return forget

    def get(self, type_: type[T], namespace: str, name: str) -> T | None:
        """The object, read-only, or None."""
        cache = self._cache(type_)
        entry = None if cache is None else cache.get(namespace, name)
        return None if cache is None or entry is None else self._typed(cache, entry)

    def objects(self, type_: type[T], namespace: str = "") -> Iterable[T]:
        """All objects of a type (in a namespace), read-only."""
        cache = self._cache(type_)
        if cache is None:
            return []
        return [self._typed(cache, entry) for entry in cache.entries(namespace)]

    def on_change(self, type_: type[T], callback: Callable[[T | None, T | None], None], *, field: str = "") -> None:
        """Call `callback(old, new)` for every change of a type; with `field` only where that selectable field changes."""
        cache = self._cache(type_)
        if cache is None:
            return
        decode = cache.codec.decode

        def changed(old: Entry | None, new: Entry | None) -> None:
            if field and old is not None and new is not None and old.fields[field] == new.fields[field]:
                return
            callback(
                None if old is None else decode(old.data),
                None if new is None else decode(new.data),
            )

        cache.subscribe(changed)
