"""Kinds that are served over the storage of another one, and kinds that come and go while the server runs."""

from __future__ import annotations

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.events import v1 as events
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.cache.watchers import Watcher
from tiphys.store.contract import KeyExists, Page, Revision, RevisionMismatch
from tiphys.store.memory import MemoryStore

NEW, OLD = SCHEME.of(events.Event), SCHEME.of(core.Event)
CONFIGS = SCHEME.of(core.ConfigMap)


def event(name: str, note: str = "", namespace: str = "default", **labels: str) -> events.Event:
    return events.Event(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels), note=note, type="Normal", reason="Testing")


def old_event(name: str, message: str = "", namespace: str = "default") -> core.Event:
    return core.Event(metadata=ObjectMeta(name=name, namespace=namespace), message=message)


def config(name: str, **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def document(entry: Entry | None) -> dict[str, object]:
    assert entry is not None
    decoded: dict[str, object] = msgspec.json.decode(entry.data)
    return decoded


async def lines(watcher: Watcher) -> list[tuple[str, str, str]]:
    """The events that wait: type, apiVersion and note."""
    watcher.close()
    raw = b"".join([chunk async for chunk in watcher])
    parsed = [msgspec.json.decode(line) for line in raw.splitlines()]
    return [(line["type"], line["object"]["apiVersion"], line["object"].get("note", "")) for line in parsed]


async def test_objects_written_in_one_group_are_read_in_both_at_one_version(store: MemoryStore, storage: Storage) -> None:
    made = await storage.create(NEW, event("a", "hello", app="web"))
    there = storage.cache(OLD).get("default", "a")
    assert document(made)["apiVersion"] == "events.k8s.io/v1"
    assert document(made)["note"] == document(there)["message"] == "hello"
    assert document(there)["apiVersion"] == "v1"
    assert there is not None
    assert made.revision == there.revision
    assert storage.cache(NEW).get("default", "a") is made
    assert made.labels == {"app": "web"}
    assert made.fields["reason"] == there.fields["reason"] == "Testing"
    assert (await store.list("/registry/core/events/")).items[0].key == "/registry/core/events/default/a"
    with pytest.raises(KeyExists):
        await storage.create(OLD, old_event("a"))


async def test_updates_and_deletes_through_the_served_kind(storage: Storage) -> None:
    await storage.create(OLD, old_event("a", "one"))
    first = storage.cache(NEW).get("default", "a")
    assert first is not None
    codec = storage.cache(NEW).codec
    assert await storage.update(NEW, codec.decode(first.data), expected=first) is first
    changed = codec.decode(first.data)
    changed.note = "two"
    second = await storage.update(NEW, changed, expected=first)
    assert document(storage.cache(OLD).get("default", "a"))["message"] == document(second)["note"] == "two"
    with pytest.raises(RevisionMismatch):
        await storage.delete(NEW, first)
    gone = await storage.delete(NEW, second)
    assert gone.revision > second.revision
    assert document(gone)["note"] == "two"
    assert storage.cache(OLD).get("default", "a") is None
    assert storage.cache(NEW).get("default", "a") is None


async def test_lists_are_the_same_while_nothing_changes(storage: Storage) -> None:
    for name, namespace in (("b", "a"), ("a", "a-b"), ("a", "a")):
        await storage.create(OLD, old_event(name, namespace=namespace))
    cache = storage.cache(NEW)
    listed = cache.entries()
    assert [entry.key for entry in listed] == ["a-b/a", "a/a", "a/b"]
    assert cache.entries() is listed
    assert cache.entries("a") == listed[1:]
    await storage.create(OLD, old_event("c", namespace="a"))
    again = cache.entries()
    assert [entry.key for entry in again] == ["a-b/a", "a/a", "a/b", "a/c"]
    assert again[:3] == list(listed)
    assert all(after is before for after, before in zip(again, listed, strict=False))


async def test_watches_show_every_change_as_the_served_kind(storage: Storage) -> None:
    first = await storage.create(OLD, old_event("a", "one"))
    watcher, selecting, past = Watcher(None), Watcher(lambda entry: entry.fields["reason"] == "Testing"), Watcher(None)
    storage.cache(NEW).watch(watcher, after=None, namespace="default")
    storage.cache(NEW).watch(selecting, after=None)
    entry = await storage.create(NEW, event("b", "two"))
    wanted = storage.cache(NEW).codec.decode(entry.data)
    wanted.reason = "Other"
    await storage.update(NEW, wanted, expected=entry)
    await storage.delete(OLD, first)
    assert await lines(watcher) == [
        ("ADDED", "events.k8s.io/v1", "two"),
        ("MODIFIED", "events.k8s.io/v1", "two"),
        ("DELETED", "events.k8s.io/v1", "one"),
    ]
    assert [line[0] for line in await lines(selecting)] == ["ADDED", "DELETED"]
    storage.cache(NEW).watch(past, after=first.revision)
    assert [line[0] for line in await lines(past)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_closed_watchers_leave_the_stored_kind(storage: Storage) -> None:
    watcher = Watcher(None)
    storage.cache(NEW).watch(watcher, after=None)
    (hub,) = [cache for cache in storage.caches() if cache.kind is OLD]
    assert hub.watching == 1
    watcher.close()
    assert hub.watching == 0


async def test_typed_objects_and_listeners_see_the_served_kind(storage: Storage) -> None:
    source = TypedSource(storage)
    heard: list[tuple[str, str]] = []
    source.on_change(
        events.Event, lambda old, new: heard.append((old.note if old is not None else "-", new.note if new is not None else "-"))
    )
    entry = await storage.create(OLD, old_event("a", "one"))
    found = source.get(events.Event, "default", "a")
    assert found is not None
    assert found.note == "one"
    await storage.delete(OLD, entry)
    assert heard == [("-", "one"), ("one", "-")]


async def test_entries_read_from_the_store_are_converted(store: MemoryStore, storage: Storage) -> None:
    await storage.create(OLD, old_event("a", "one"))
    (item,) = (await store.list("/registry/core/events/")).items
    assert storage.entry_of(NEW, item) is storage.cache(NEW).get("default", "a")
    fresh = await storage.fresh(NEW, "default", "a")
    assert document(fresh)["note"] == "one"


async def test_a_kind_added_while_running_has_what_the_store_holds(store: MemoryStore) -> None:
    scheme = Scheme(kind for kind in SCHEME if kind is not CONFIGS)
    storage, other = Storage(store, scheme), Storage(store, SCHEME)
    await storage.start()
    await other.start()
    with pytest.raises(KeyError):
        storage.cache(CONFIGS)
    await other.create(CONFIGS, config("a", x="1"))
    await storage.add(CONFIGS)
    before = scheme.changes
    scheme.add(CONFIGS)
    assert scheme.changes == before + 1
    assert [entry.name for entry in storage.cache(CONFIGS).entries()] == ["a"]
    made = await storage.create(CONFIGS, config("b"))
    assert storage.cache(CONFIGS).get("default", "b") is made
    watcher = Watcher(None)
    storage.cache(CONFIGS).watch(watcher, after=None)
    storage.remove(CONFIGS)
    scheme.remove(CONFIGS)
    assert watcher.closed
    with pytest.raises(KeyError):
        storage.cache(CONFIGS)
    await other.create(CONFIGS, config("c"))
    await storage.add(CONFIGS)
    assert [entry.name for entry in storage.cache(CONFIGS).entries()] == ["a", "b", "c"]
    await storage.close()
    await other.close()


class SlowList(MemoryStore):
    """Changes come between a list and its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Storage] = []

    async def list(self, prefix: str, *, revision: Revision | None = None, start: str = "", limit: int = 0) -> Page:
        page = await super().list(prefix, revision=revision, start=start, limit=limit)
        for other in self.meanwhile:
            self.meanwhile = []
            kept = other.cache(CONFIGS).get("default", "kept")
            gone = other.cache(CONFIGS).get("default", "gone")
            assert kept is not None
            assert gone is not None
            await other.update(CONFIGS, config("kept", x="2"), expected=kept)
            await other.delete(CONFIGS, gone)
            await other.create(CONFIGS, config("late"))
        return page


async def test_nothing_that_happens_while_a_kind_is_added_is_lost() -> None:
    store = SlowList()
    await store.start()
    storage, other = Storage(store, Scheme(kind for kind in SCHEME if kind is not CONFIGS)), Storage(store, SCHEME)
    await storage.start()
    await other.start()
    for name in ("kept", "gone"):
        await other.create(CONFIGS, config(name))
    store.meanwhile = [other]
    await storage.add(CONFIGS)
    assert [(entry.name, b'"x":"2"' in entry.data) for entry in storage.cache(CONFIGS).entries()] == [("kept", True), ("late", False)]
    await storage.close()
    await other.close()
    await store.close()


async def test_served_kinds_come_and_go_with_the_stored_one(store: MemoryStore) -> None:
    storage = Storage(store, Scheme(kind for kind in SCHEME if kind not in (NEW, OLD)))
    await storage.start()
    await storage.add(OLD)
    await storage.add(NEW)
    await storage.create(NEW, event("a", "one"))
    assert document(storage.cache(OLD).get("default", "a"))["message"] == "one"
    storage.remove(NEW)
    assert storage.cache(OLD).get("default", "a") is not None
    await storage.add(NEW)
    storage.remove(OLD)
    with pytest.raises(KeyError):
        storage.cache(NEW)
    await storage.close()
