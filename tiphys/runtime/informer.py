"""Informers: one list-watch and one cache per collection, shared by all who read it."""

from __future__ import annotations

import asyncio
import builtins
import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import TaskSet, cancel_and_wait, supervise
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.client.frames import WatchEvent
from tiphys.client.listwatch import ListWatch
from tiphys.runtime.cache import Cache, Handler, IndexFn
from tiphys.runtime.key import Key

T = TypeVar("T", bound=KubeObject)
Transform = Callable[[T], T]

RESTART = BackoffPolicy(first=1.0, cap=60.0)


def without_managed_fields(obj: T) -> T:
    """Drop managedFields, often half of an object; the default transform. The server keeps them when an update leaves them out."""
    obj.metadata.managedFields = []
    return obj


class Selection(msgspec.Struct, frozen=True):
    """Collection that an informer follows."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    labels: str = ""
    fields: str = ""

    @property
    def is_whole(self) -> bool:
        """True if it covers every object of its namespace (or of all)."""
        return not self.labels and not self.fields


class Informer(Generic[T]):
    """A cached collection. Objects read from it are shared: READ ONLY, copy before changing.

    `revision` is the newest resource version it has seen, 0 before the first list.
    """

    def __init__(
        self, client: Client, kind: Kind[T], selection: Selection, *, clock: Clock, rng: random.Random, transform: Transform[T] | None
    ) -> None:
        self.kind = kind
        self.selection = selection
        self.revision = 0
        self._cache: Cache[T] = Cache()
        self._synced = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._clock = clock
        self._rng = rng
        self._listwatch = ListWatch(
            client,
            kind,
            self,
            namespace=selection.namespace,
            labels=selection.labels,
            fields=selection.fields,
            clock=clock,
            rng=rng,
            transform=transform,
        )

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def synced(self) -> bool:
        """True once the first list has arrived."""
        return self._synced.is_set()

    def get(self, key: Key) -> T | None:
        """Return the object, or None."""
        return self._cache.get(key)

    def list(self, namespace: str = "") -> builtins.list[T]:
        """Return all objects, or those of a namespace."""
        return self._cache.list(namespace)

    def by_index(self, index: str, value: str) -> builtins.list[T]:
        """Return the objects for which an index has the value; KeyError for an unknown index."""
        return self._cache.by_index(index, value)

    def add_index(self, name: str, fn: IndexFn[T]) -> None:
        """Add an index; harmless when the same is there already, ValueError when the name is taken."""
        self._cache.add_index(name, fn)

    def subscribe(self, handler: Handler[T]) -> None:
        """Subscribe to every change, beginning with the present objects; see `Cache.subscribe`."""
        self._cache.subscribe(handler)

    async def wait_synced(self) -> None:
        """Wait until the first list has arrived."""
        await self._synced.wait()

    async def wait_for(self, revision: int) -> None:
        """Wait until the cache is at least as new as the revision (an int, as resource versions of one server can be compared)."""
        if self.revision >= revision:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (revision, future)
        self._waiting.append(entry)
        try:
            await future
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    async def run(self) -> None:
        """Follow the collection until cancelled; the factory does this."""
        backoff = Backoff(RESTART, self._rng)
        await supervise(f"informer {self.kind.resource}", self._listwatch.run, clock=self._clock, backoff=backoff)

    # What the list-watch calls.

    def replace(self, items: builtins.list[T], resource_version: str) -> None:
        self._cache.replace(items)
        self.advance(resource_version)
        self._synced.set()

    def change(self, event: WatchEvent[T]) -> None:
        if event.type == "DELETED":
            self._cache.drop(event.object)
        else:
            self._cache.put(event.object)
        self.advance(event.object.metadata.resourceVersion)

    def advance(self, resource_version: str) -> None:
        if not resource_version.isdigit():
            return
        # After a relist the server may be at an older version (a restored backup): believe it.
        self.revision = int(resource_version)
        if self._waiting:
            for revision, future in self._waiting:
                if revision <= self.revision and not future.done():
                    future.set_result(None)


class InformerFactory:
    """Factory and runner of informers: the same selection always returns the same informer.

    `transform` slims objects before they are kept; the first caller's is used. Before `start` informers are only declared; after it
    a new one starts at once.
    """

    def __init__(self, client: Client, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self._client = client
        self._clock = clock or LoopClock()
        self._rng = rng or random.Random()
        self._informers: dict[tuple[Selection, type[Any]], Informer[Any]] = {}
        self._running: dict[tuple[Selection, type[Any]], asyncio.Task[None]] = {}
        self._tasks = TaskSet()
        self._started = False

    def of(
        self,
        type_: type[T] | Kind[T],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        transform: Transform[T] | None = without_managed_fields,
    ) -> Informer[T]:
        """Return the informer of a type (or Kind), in one namespace or all, with selectors."""
        kind = self._client.kind_of(type_)
        selection = Selection(kind.group, kind.version, kind.plural, namespace, labels, fields)
        ident = (selection, kind.type)
        informer = self._informers.get(ident)
        if informer is None:
            informer = Informer(self._client, kind, selection, clock=self._clock, rng=self._rng, transform=transform)
            self._informers[ident] = informer
            if self._started:
                self._run(ident)
        return informer

    def start(self) -> None:
        """Start all informers, on the running loop. Doing it twice is harmless."""
        self._started = True
        for ident in self._informers:
            if ident not in self._running:
                self._run(ident)

    async def stop(self) -> None:
        """Stop all informers; their caches stay readable."""
        self._started = False
        await self._tasks.close()
        self._running.clear()
        self._tasks = TaskSet()

    async def release(self, informer: Informer[Any]) -> None:
        """Stop and forget one informer, for kinds that are no longer served."""
        ident = (informer.selection, informer.kind.type)
        self._informers.pop(ident, None)
        task = self._running.pop(ident, None)
        if task is not None:
            await cancel_and_wait(task)

    async def wait_synced(self) -> None:
        """Wait until every informer known now has its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def run(self) -> None:
        """Start, and stop when cancelled."""
        self.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.stop()

    def _run(self, ident: tuple[Selection, type[Any]]) -> None:
        informer = self._informers[ident]
        self._running[ident] = self._tasks.spawn(informer.run(), name=f"informer {informer.kind.resource}")
