"""Informers, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client import listwatch, partial_kind
from tiphys.client.listwatch import TRANSITIONS, Outcome, State
from tiphys.runtime import Informer, InformerFactory, Key
from tiphys.testing import eventually
from tiphys.testing.calls import Call
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import pod

pytestmark = pytest.mark.looptime


@pytest.fixture
async def informers(api: MemoryApi) -> AsyncIterator[InformerFactory]:
    factory = InformerFactory(api.client(), clock=api.clock, rng=random.Random(1))
    factory.start()
    yield factory
    await factory.stop()


def name_of(obj: core.Pod | None) -> str | None:
    return obj.metadata.name if obj is not None else None


def names(informer: Informer[core.Pod]) -> list[str]:
    return sorted(obj.metadata.name for obj in informer.list())


async def test_an_informer_lists_then_follows(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    await client.create(pod("a"))
    seen: list[tuple[str | None, str | None]] = []
    informer = informers.of(core.Pod)
    informer.subscribe(lambda old, new: seen.append((name_of(old), name_of(new))))
    await informer.wait_synced()
    assert names(informer) == ["a"]
    made = await client.create(pod("b"))
    made.metadata.labels["x"] = "y"
    await client.update(made)
    await client.delete(core.Pod, "a", "default")
    await informer.wait_for(api.revision)
    assert names(informer) == ["b"]
    assert informer.get(Key("default", "a")) is None
    assert seen == [(None, "a"), (None, "b"), ("b", "b"), ("a", None)]
    assert informers.of(core.Pod) is informer


async def test_indexes_follow_changes_and_cover_what_was_there(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    await client.create(pod("a", node="n1"))
    informer = informers.of(core.Pod)
    await informer.wait_synced()
    informer.add_index("node", lambda obj: (obj.spec.nodeName,) if obj.spec and obj.spec.nodeName else ())
    await client.create(pod("b", node="n1"))
    await client.create(pod("c"))
    moved = api.get(core.Pod, "a", "default")
    assert moved.spec is not None
    moved.spec.nodeName = "n2"
    api.add(moved)
    await informer.wait_for(api.revision)
    assert [obj.metadata.name for obj in informer.by_index("node", "n1")] == ["b"]
    assert [obj.metadata.name for obj in informer.by_index("node", "n2")] == ["a"]
    await client.delete(core.Pod, "b", "default", grace=0)
    await informer.wait_for(api.revision)
    assert informer.by_index("node", "n1") == []
    with pytest.raises(KeyError):
        informer.by_index("nothing", "")
    with pytest.raises(ValueError, match="different index"):
        informer.add_index("node", lambda obj: ())


async def test_selection_namespace_and_transform(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    await client.create(pod("a", labels={"app": "x"}))
    api.add_namespace("other")
    await client.create(pod("b", "other", labels={"app": "x"}))
    await client.create(pod("c"))

    def slim(obj: core.Pod) -> core.Pod:
        obj.spec = core.PodSpec()
        return obj

    selected = informers.of(core.Pod, namespace="default", labels="app=x", transform=slim)
    everything = informers.of(core.Pod)
    await informers.wait_synced()
    assert names(selected) == ["a"]
    assert selected.list()[0].spec == core.PodSpec()
    assert [obj.metadata.name for obj in everything.list("other")] == ["b"]
    assert [obj.metadata.name for obj in everything.list("nowhere")] == []


async def test_a_broken_watch_resumes_without_listing_again(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    informer = informers.of(core.Pod)
    await informer.wait_synced()
    await eventually(lambda: api.faults.watches)
    api.faults.end_watches(error=ConnectionResetError("cut"))
    await client.create(pod("a"))
    await eventually(lambda: names(informer) == ["a"])
    assert sum(call.verb == "list" for call in api.calls) == 1


async def test_bookmarks_spare_a_list_after_compaction(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    informer = informers.of(core.Node)
    await informer.wait_synced()
    await eventually(lambda: api.faults.watches)
    await client.create(pod("other-kind"))
    await asyncio.sleep(61)  # A bookmark comes every minute.
    await eventually(lambda: informer.revision == api.revision)
    await api.compact()
    await eventually(lambda: sum(call.verb == "watch" for call in api.calls) >= 2)
    await client.create(core.Node(metadata=ObjectMeta(name="n")))
    await eventually(lambda: len(informer) == 1)
    assert sum(call.verb == "list" for call in api.calls) == 1


async def test_gone_lists_again_and_tells_the_differences(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    for name in ("kept", "changed", "removed"):
        await client.create(pod(name))
    seen: list[tuple[str | None, str | None]] = []
    informer = informers.of(core.Pod)
    await informer.wait_synced()
    await eventually(lambda: api.faults.watches)
    await client.create(pod("last-seen"))
    await informer.wait_for(api.revision)
    informer.subscribe(lambda old, new: seen.append((name_of(old), name_of(new))))
    seen.clear()
    with api.faults.fail("watch pods", ConnectionError("cut"), times=None):
        api.faults.end_watches()
        changed = await client.get(core.Pod, "changed", "default")
        changed.metadata.labels["x"] = "y"
        await client.update(changed)
        await client.delete(core.Pod, "removed", "default")
        await client.create(pod("added"))
        await api.compact()
    await eventually(lambda: informer.get(Key("default", "added")))
    assert seen == [(None, "added"), ("changed", "changed"), ("removed", None)]


async def test_a_silent_watch_is_opened_anew(api: MemoryApi, informers: InformerFactory) -> None:
    client = api.client()
    informer = informers.of(core.Pod)
    await informer.wait_synced()
    await eventually(lambda: api.faults.watches)
    api.faults.stall_watches()
    started = asyncio.get_running_loop().time()
    await client.create(pod("a"))
    await eventually(lambda: names(informer) == ["a"], timeout=1000, interval=1)
    assert asyncio.get_running_loop().time() - started <= listwatch.SILENCE_SECONDS + 5


async def test_retries_back_off_and_recover(api: MemoryApi, informers: InformerFactory) -> None:
    api.faults.down = True
    informer = informers.of(core.Pod)
    await asyncio.sleep(300)
    assert not informer.synced
    api.faults.down = False
    started = asyncio.get_running_loop().time()
    await informer.wait_synced()
    assert asyncio.get_running_loop().time() - started <= 2 * listwatch.RETRY.cap


async def test_failed_lists_are_spaced_by_growing_delays(api: MemoryApi, informers: InformerFactory) -> None:
    api.faults.fail("list", errors.InternalError("broken"), times=None)
    informers.of(core.Pod)
    await asyncio.sleep(600)
    assert 600 / (2 * listwatch.RETRY.cap) <= len(api.calls) <= 600 / listwatch.RETRY.cap + 8


async def test_a_page_that_expired_makes_the_next_list_whole(
    api: MemoryApi, informers: InformerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listwatch, "PAGE", 2)
    for number in range(5):
        api.add(pod(f"p{number}"))

    def is_second_page(call: Call) -> bool:
        return call.verb == "list" and bool(call.request.param("continue"))

    async def move_on() -> None:
        api.add(pod("late"))
        await api.compact()

    api.faults.before(is_second_page, move_on)
    informer = informers.of(core.Pod)
    await informer.wait_synced()
    assert len(informer) == 6
    assert sum(call.verb == "list" for call in api.calls) == 3


async def test_a_failing_handler_stops_nobody(api: MemoryApi, informers: InformerFactory, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def broken(old: core.Pod | None, new: core.Pod | None) -> None:
        raise RuntimeError("bug")

    informer = informers.of(core.Pod)
    informer.subscribe(broken)
    informer.subscribe(lambda old, new: heard.append(new.metadata.name if new else ""))
    await informer.wait_synced()
    await api.client().create(pod("a"))
    await eventually(lambda: heard == ["a"])
    assert "cache handler failed" in caplog.text


async def test_released_informers_stop_and_partial_kinds_work(api: MemoryApi, informers: InformerFactory) -> None:
    await api.client().create(pod("a"))
    informer = informers.of(partial_kind("", "v1", "pods"))
    await informer.wait_synced()
    assert [obj.metadata.name for obj in informer.list()] == ["a"]
    await eventually(lambda: api.faults.watches)
    await informers.release(informer)
    assert not api.faults.watches


def test_every_state_has_a_way_on_from_failure() -> None:
    assert {state for state, outcome in TRANSITIONS if outcome is Outcome.FAILED} == {State.EMPTY, State.WATCHING}
    assert {state for state, outcome in TRANSITIONS if outcome is Outcome.WAITED} == {State.STARTING_OVER, State.RESUMING}
    assert set(TRANSITIONS.values()) == set(State)


async def test_a_server_that_always_forgets_is_not_asked_in_a_tight_loop(api: MemoryApi, informers: InformerFactory) -> None:
    def cut() -> None:
        api.faults.down = True

    api.faults.fail("watch", errors.Gone("too old resource version"), times=None)
    api.faults.before(lambda call: len(api.calls) > 1000, cut, times=None)
    informers.of(core.Pod)
    await asyncio.sleep(600)
    assert sum(call.verb == "list" for call in api.calls) <= 600 / listwatch.RETRY.cap + 8
