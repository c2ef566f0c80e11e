"""Storage of kinds: their keys in the store, the watch caches, and writes that are visible once they return.

Keys are `/registry/<group or core>/<plural>/[<namespace>/]<name>`; values are an object's JSON without resourceVersion.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, TypeVar

import msgspec

from tiphys.aio.clock import monotonic
from tiphys.api.machinery.scheme import Kind, Scheme, converted
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.cache.entry import Entry, StaleEntry
from tiphys.apiserver.cache.pages import Pages
from tiphys.apiserver.cache.served import ServedCache
from tiphys.apiserver.cache.store_metrics import StoreRequests
from tiphys.apiserver.cache.watchcache import ResourceCache
from tiphys.apiserver.cache.watchers import CacheEvent
from tiphys.store.contract import Compacted, Event, KeyValue, Revision, Store, StoreClosed, StoreError, Watch

log = logging.getLogger(__name__)

ROOT = "/registry/"
REPLAYED = 4_000
"""Changes before a start that watches can still go on from."""
LOADED = 1_000
"""Objects that are read from the store at once when the caches are filled."""
RETRY_SECONDS = 1.0
"""Between attempts to follow a store that reports trouble."""
T = TypeVar("T", bound=KubeObject)
AnyCache = ResourceCache | ServedCache
_CREATES, _UPDATES, _DELETES, _GETS = (StoreRequests(operation) for operation in ("create", "update", "delete", "get"))


def storage_prefix(kind: Kind[Any]) -> str:
    """The part of the keys that all objects of a kind share."""
    return f"{ROOT}{kind.group or 'core'}/{kind.plural}/"


class Storage:
    """All kinds over one store. Reads come from memory; writes go through the store and return when the caches have them."""

    def __init__(self, store: Store, scheme: Scheme) -> None:
        self.store = store
        self.scheme = scheme
        self._caches: dict[str, AnyCache] = {}
        self._by_prefix: dict[str, ResourceCache] = {}
        self._filling: dict[str, list[Event]] = {}
        self._fills = 0
        self._written: dict[int, tuple[bytes, KubeObject]] = {}
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._tie = count()
        self._watch: Watch | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._closed = False
        self.pages = Pages()
        self.revision = 0
        self.trouble = "the caches are not filled yet"
        """The reason why the caches do not follow the store, or ""."""
        served = [kind for kind in scheme if "get" in kind.verbs]
        for kind in served:
            if kind.stored is None:
                cache = ResourceCache(kind, storage_prefix(kind))
                self._caches[kind.ident] = self._by_prefix[cache.prefix] = cache
        for kind in served:
            if kind.stored is not None:
                self._serve(kind)

    async def start(self) -> None:
        """Fill the caches from the store and follow it.

        They begin with a recent state and receive later changes as usual, so that watches can resume after a restart.
        """
        newest = self.store.current_revision()
        await self._fill(Revision(max(newest - REPLAYED, 0)))
        self._feeding = asyncio.get_running_loop().create_task(self._feed(), name="storage-feed")
        await self.wait_for(newest)

    async def close(self) -> None:
        """Stop following, end all watches, and refuse what still waits."""
        self._closed = True
        self.end_watches()
        if self._watch is not None:
            self._watch.close()
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)
        waiting, self._waiting = self._waiting, []
        for _, _, reached in waiting:
            if not reached.done():
                reached.set_exception(StoreClosed("the server is shutting down"))

    def health(self) -> str:
        """Return the reason why writes fail or reads lag, or ""."""
        failure = self.store.failure
        return self.trouble if failure is None else str(failure)

    def end_watches(self) -> None:
        """End all watches, and those that are begun from now on at once."""
        for cache in self._by_prefix.values():
            cache.close()

    # --- kinds that come and go ---

    def _serve(self, kind: Kind[Any]) -> None:
        assert kind.stored is not None
        self._caches[kind.ident] = ServedCache(kind, kind.stored, self._by_prefix[storage_prefix(kind.hub)])

    async def add(self, kind: Kind[Any]) -> None:
        """Serve a kind from now on; on return its cache holds all its objects in the store. Raises StoreError.

        A kind that is stored as another one comes after that one. Adding a kind again takes its newest declaration over.
        """
        if kind.stored is not None:
            self._serve(kind)
            return
        prefix = storage_prefix(kind)
        while True:
            fills, missed = self._fills, self._filling.setdefault(prefix, [])
            try:
                page = await self.store.list(prefix)
                await self.wait_for(page.revision)
            finally:
                self._filling.pop(prefix, None)
            if fills == self._fills:
                break
        if prefix in self._by_prefix:  # It has served requests until now.
            self.remove(self._by_prefix[prefix].kind)
        cache = ResourceCache(kind, prefix)
        self._caches[kind.ident] = self._by_prefix[prefix] = cache
        cache.load([entry for item in page.items if (entry := self._read(item)) is not None], page.revision)
        for event in missed:
            if event.revision > page.revision:
                self._apply(event)

    def remove(self, kind: Kind[Any]) -> None:
        """Serve a kind no longer, nor those that are stored as it is: their watches end. What the store holds is left there."""
        cache = self._caches.pop(kind.ident, None)
        if isinstance(cache, ResourceCache):
            del self._by_prefix[cache.prefix]
            self._caches = {
                ident: other for ident, other in self._caches.items() if not (isinstance(other, ServedCache) and other.hub is cache)
            }
            cache.close()

    @staticmethod
    def _prefix_of(key: str) -> str:
        """`/registry/apps/deployments/` of `/registry/apps/deployments/default/web`, "" for keys that are not ours."""
        return key[: key.find("/", key.find("/", len(ROOT)) + 1) + 1]

    def cache(self, kind: Kind[Any]) -> AnyCache:
        """The cache of a kind that is served; raises KeyError for others."""
        return self._caches[kind.ident]

    def serves(self, cache: AnyCache) -> bool:
        """Return whether the cache is that of a kind that is still served."""
        return self._caches.get(cache.kind.ident) is cache

    def find(self, kind: Kind[Any]) -> ResourceCache | None:
        """The cache that holds the objects behind a kind, None for a kind that is not stored."""
        cache = self._caches.get(kind.ident)
        return cache.hub if isinstance(cache, ServedCache) else cache

    def caches(self) -> Iterable[ResourceCache]:
        """The caches of all stored kinds."""
        return self._by_prefix.values()

    # --- writes ---

    def key(self, kind: Kind[Any], namespace: str, name: str) -> str:
        prefix = self._caches[kind.ident].prefix
        return f"{prefix}{namespace}/{name}" if kind.namespaced else f"{prefix}{name}"

    async def create(self, kind: Kind[Any], obj: KubeObject, *, value: bytes = b"") -> Entry:
        """Store a new object; `value` is the object encoded, if it is that already. Raises store.KeyExists."""
        cache = self._caches[kind.ident]
        if isinstance(cache, ServedCache):
            return cache.show(await self.create(kind.hub, converted(obj, kind, kind.hub)))
        meta = obj.metadata
        value = value or cache.codec.encode_checked(obj)
        self._written[id(value)] = (value, obj)
        try:
            key = self.key(kind, meta.namespace, meta.name)
            request, started = _CREATES[cache.prefix], monotonic()
            try:
                revision = await self.store.create(key, value, ttl=kind.ttl(obj))
            except StoreError:
                request.failed(started)
                raise
            request.done(started)
            if self.revision < revision:
                await self._reached(revision)
            return self._entry_at(cache, value, revision, obj)
        finally:
            self._written.pop(id(value), None)

    async def update(self, kind: Kind[Any], obj: KubeObject, *, expected: Entry, value: bytes = b"") -> Entry:
        """Replace the object whose current state is `expected`; raises store.KeyMissing or store.RevisionMismatch.

        When nothing changes, nothing is written and `expected` is returned.
        """
        cache = self._caches[kind.ident]
        value = value or cache.codec.encode_checked(obj)
        if cache.codec.is_same(value, expected) and not isinstance(expected, StaleEntry):
            return expected
        if isinstance(cache, ServedCache):
            return cache.show(await self._replace(cache.hub, converted(obj, kind, kind.hub), expected.revision))
        return await self._replace(cache, obj, expected.revision, value)

    async def _replace(self, cache: ResourceCache, obj: KubeObject, expected: int, value: bytes = b"") -> Entry:
        meta = obj.metadata
        value = value or cache.codec.encode_checked(obj)
        self._written[id(value)] = (value, obj)
        try:
            key = self.key(cache.kind, meta.namespace, meta.name)
            request, started = _UPDATES[cache.prefix], monotonic()
            try:
                revision = await self.store.update(key, value, expected=Revision(expected))
            except StoreError:
                request.failed(started)
                raise
            request.done(started)
            if self.revision < revision:
                await self._reached(revision)
            return self._entry_at(cache, value, revision, obj)
        finally:
            self._written.pop(id(value), None)

    async def delete(self, kind: Kind[Any], expected: Entry) -> Entry:
        """Remove the object whose current state is `expected`; raises store.KeyMissing or store.RevisionMismatch.

        Returns the last state at the revision of the delete, as watchers see it.
        """
        key = self.key(kind, expected.namespace, expected.name)
        cache = self._caches[kind.ident]
        request, started = _DELETES[cache.prefix], monotonic()
        try:
            event = await self.store.delete(key, expected=Revision(expected.revision))
        except StoreError:
            request.failed(started)
            raise
        request.done(started)
        if self.revision < event.revision:
            await self._reached(event.revision)
        gone = cache.changed_at(event.revision) if isinstance(cache, ResourceCache) else None
        return gone if gone is not None else cache.codec.at(expected, event.revision)

    @staticmethod
    def _entry_at(cache: ResourceCache, value: bytes, revision: int, obj: KubeObject) -> Entry:
        """The entry of a write that the caches have reached; the cache may hold a newer one by now."""
        entry = cache.get(obj.metadata.namespace, obj.metadata.name)
        return entry if entry is not None and entry.revision == revision else cache.codec.entry(value, revision, obj)

    async def fresh(self, kind: Kind[Any], namespace: str, name: str) -> Entry | None:
        """The newest state by asking the store, after a write lost against somebody else's."""
        request, started = _GETS[self._caches[kind.ident].prefix], monotonic()
        try:
            item = await self.store.get(self.key(kind, namespace, name))
        except StoreError:
            request.failed(started)
            raise
        request.done(started)
        return None if item is None else self.entry_of(kind, item)

    def entry_of(self, kind: Kind[Any], item: KeyValue) -> Entry:
        """The entry for a key read from the store; most often the cache has it already."""
        cache = self._caches[kind.ident]
        if isinstance(cache, ServedCache):
            return cache.show(self.entry_of(kind.hub, item))
        namespace, _, name = item.key[len(cache.prefix) :].rpartition("/")
        known = cache.get(namespace, name)
        if known is not None and known.revision == item.mod_revision:
            return known
        return cache.codec.entry(item.value, item.mod_revision)

    # --- following the store ---

    async def wait_for(self, revision: int) -> None:
        """Return when the caches have reached `revision`. Raises StoreClosed when they never will."""
        if self.revision < revision:
            reached = self._reached(revision)
            try:
                await reached
            except asyncio.CancelledError:
                # The revision may be far ahead: a client can ask for any.
                self._waiting = [waiting for waiting in self._waiting if waiting[2] is not reached]
                heapq.heapify(self._waiting)
                raise

    def _reached(self, revision: int) -> asyncio.Future[None]:
        """A future that is done when the caches have reached `revision`, which they have not yet. Raises StoreClosed.

        Of a revision that is committed, and so on its way, it may be dropped at any time.
        """
        if self._closed:
            raise StoreClosed("the server is shutting down")
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, next(self._tie), reached))
        return reached

    async def _fill(self, then: Revision | None = None) -> None:
        """Take the newest state, or that of revision `then` or of the oldest that is remembered, and begin to follow from there.

        Listeners get the differences from the old state, watchers do not: their watches end, and their clients list again.
        """
        try:
            loaded, revision = await self._load(then)
        except Compacted as error:
            await self._fill(error.oldest if then is not None and error.oldest > then else None)
            return
        watch = await self.store.watch(ROOT, after=revision)
        if self._by_prefix.keys() - loaded.keys():  # A kind was added while this was read.
            watch.close()
            await self._fill()
            return
        self._watch = watch
        self._fills += 1
        for prefix, cache in self._by_prefix.items():
            cache.load(loaded[prefix], revision)
        self._advance(revision)
        self.trouble = ""

    async def _load(self, then: Revision | None) -> tuple[dict[str, list[Entry]], Revision]:
        """Everything by the prefix of its keys, at one revision. In pages: what the store answers is needed no more once it is read."""
        loaded: dict[str, list[Entry]] = {prefix: [] for prefix in self._by_prefix}
        start = ""
        while True:
            page = await self.store.list(ROOT, revision=then, start=start, limit=LOADED)
            then = page.revision
            for item in page.items:
                prefix = self._prefix_of(item.key)
                entry = self._read(item) if prefix in loaded else None
                if entry is not None:
                    loaded[prefix].append(entry)
            if not page.more:
                return loaded, then
            start = page.items[-1].key + "\0"

    def _read(self, item: KeyValue) -> Entry | None:
        """The entry of a stored object; one that cannot be understood, as after a downgrade, is left where it is and not served."""
        cache = self._by_prefix.get(self._prefix_of(item.key))
        try:
            return None if cache is None else cache.codec.entry(item.value, item.mod_revision)
        except (msgspec.MsgspecError, ValueError) as error:
            log.error("a stored object cannot be read and is not served", extra={"key": item.key, "error": str(error)})
            return None

    async def _feed(self) -> None:
        """Follow the store until it is closed, filling the caches anew whenever the thread is lost."""
        while True:
            try:
                if self.trouble:
                    await self._fill()
                assert self._watch is not None
                async for batch in self._watch:
                    self._take(batch)
                self.trouble = "the store was closed"
                return
            except Compacted:
                self.trouble = "the caches fell behind the store and are filled anew"
                log.warning(self.trouble, extra={"revision": self.revision})
            except StoreClosed:
                self.trouble = "the store was closed"
                return
            except Exception as error:  # Whatever it was, writes wait for this loop: it must not end.
                self.trouble = f"the store cannot be followed: {error}"
                log.warning("the store cannot be followed", exc_info=not isinstance(error, StoreError), extra={"error": str(error)})
                await asyncio.sleep(RETRY_SECONDS)

    def _take(self, batch: Sequence[Event]) -> None:
        for event in batch:
            self._apply(event)
        self._advance(batch[-1].revision)

    def _advance(self, revision: int) -> None:
        self.revision = revision
        while self._waiting and self._waiting[0][0] <= revision:
            reached = heapq.heappop(self._waiting)[2]
            if not reached.done():
                reached.set_result(None)

    def _apply(self, event: Event) -> None:
        prefix = self._prefix_of(event.key)
        cache = self._by_prefix.get(prefix)
        if self._filling and (missed := self._filling.get(prefix)) is not None:
            missed.append(event)
        if cache is None:
            return
        cache.received += 1
        namespace, _, name = event.key[len(cache.prefix) :].rpartition("/")
        previous = cache.get(namespace, name)
        if event.kind == "delete":
            if previous is None:
                return
            cache.apply(CacheEvent("DELETED", cache.codec.at(previous, event.revision), previous))
            return
        _, obj = self._written.get(id(event.value), (b"", None))
        try:
            entry = cache.codec.entry(event.value, event.revision, obj)
        except (msgspec.MsgspecError, ValueError) as error:
            log.error("a stored object cannot be read and is not served", extra={"key": event.key, "error": str(error)})
        else:
            cache.apply(CacheEvent("ADDED" if previous is None else "MODIFIED", entry, previous, cache.codec.at))
