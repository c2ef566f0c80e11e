"""Storage over a store that tells of changes later than it acknowledges them, as a distant one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.cache.watchcache import ResourceCache
from tiphys.store.contract import Event, Revision, StoreClosed, Watch
from tiphys.store.memory import MemoryStore

CONFIGS = SCHEME.of(core.ConfigMap)


class LateWatch:
    def __init__(self, watch: Watch, gate: asyncio.Event) -> None:
        self._watch = watch
        self._gate = gate

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        return self

    async def __anext__(self) -> Sequence[Event]:
        batch = await self._watch.__aiter__().__anext__()
        await self._gate.wait()
        return batch

    def close(self) -> None:
        self._watch.close()


class LateStore(MemoryStore):
    """Its watches give nothing while `gate` is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def watch(self, prefix: str, *, after: Revision) -> Watch:
        return LateWatch(await super().watch(prefix, after=after), self.gate)


@pytest.fixture
async def store() -> AsyncIterator[LateStore]:
    store = LateStore()
    await store.start()
    yield store
    await store.close()


def configs(storage: Storage) -> ResourceCache:
    (cache,) = [cache for cache in storage.caches() if cache.kind is CONFIGS]
    return cache


def config(name: str, **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


async def test_a_write_returns_when_the_caches_have_it(store: LateStore, storage: Storage) -> None:
    store.gate.clear()
    writing = asyncio.create_task(storage.create(CONFIGS, config("a")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.current_revision() == 1
    assert not writing.done()
    store.gate.set()
    entry = await writing
    assert storage.cache(CONFIGS).get("default", "a") is entry


async def test_a_stop_ends_the_wait(store: LateStore, storage: Storage) -> None:
    store.gate.clear()
    writing = asyncio.create_task(storage.create(CONFIGS, config("a")))
    for _ in range(20):
        await asyncio.sleep(0)
    await storage.close()
    with pytest.raises(StoreClosed):
        await writing
    with pytest.raises(StoreClosed):
        await storage.wait_for(99)


async def test_cancelled_waiters_are_forgotten(storage: Storage) -> None:
    waiting = asyncio.create_task(storage.wait_for(5))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert storage._waiting == []


async def test_typed_objects_are_decoded_once_per_revision(storage: Storage) -> None:
    source = TypedSource(storage)
    heard: list[tuple[str, str]] = []
    source.on_change(core.ConfigMap, lambda old, new: heard.append((str(old and old.data), str(new and new.data))))
    entry = await storage.create(CONFIGS, config("a", x="1"))
    first = source.get(core.ConfigMap, "default", "a")
    assert first is not None
    assert first is source.get(core.ConfigMap, "default", "a")
    await storage.update(CONFIGS, config("a", x="2"), expected=entry)
    second = source.get(core.ConfigMap, "default", "a")
    assert second is not None
    assert (first.data, second.data) == ({"x": "1"}, {"x": "2"})
    assert list(source.objects(core.ConfigMap)) == [second]
    assert list(source.objects(core.ConfigMap, "elsewhere")) == []
    assert heard == [("None", "{'x': '1'}"), ("{'x': '1'}", "{'x': '2'}")]


async def test_the_revision_is_not_stored_and_is_served(store: LateStore, storage: Storage) -> None:
    entry = await storage.create(CONFIGS, config("a", x="1"))
    found = await store.get("/registry/core/configmaps/default/a")
    assert found is not None
    assert b"resourceVersion" not in found.value
    codec = storage.cache(CONFIGS).codec
    assert codec.strip(entry.data) == found.value
    assert codec.decode(entry.data).metadata.resourceVersion == str(entry.revision)
    moved = codec.at(entry, 77)
    assert (moved.revision, codec.decode(moved.data).metadata.resourceVersion, codec.strip(moved.data)) == (77, "77", found.value)


async def test_a_start_begins_in_the_past_of_its_watchers(store: LateStore) -> None:
    first = Storage(store, SCHEME)
    await first.start()
    entry = await first.create(CONFIGS, config("a"))
    entry = await first.update(CONFIGS, config("a", x="1"), expected=entry)
    gone = await first.delete(CONFIGS, entry)
    await first.close()
    second = Storage(store, SCHEME)
    await second.start()
    assert second.revision == gone.revision
    assert second.cache(CONFIGS).get("default", "a") is None
    remembered = [(event.type, event.entry.revision) for event in configs(second)._since(0)]
    assert remembered == [("ADDED", 1), ("MODIFIED", 2), ("DELETED", 3)]
    await second.close()
    await store.compact(Revision(2))
    third = Storage(store, SCHEME)
    await third.start()
    assert [event.entry.revision for event in configs(third)._since(0)] == [3]
    await third.close()
