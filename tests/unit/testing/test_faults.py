"""Faults between clients and the API server: each does to a client what its name says, and nothing to others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.client import Client, PartialObject, partial_kind
from tiphys.client.frames import WatchEvent
from tiphys.testing.calls import Call, matcher
from tiphys.testing.chances import Chances
from tiphys.testing.faults import Faults
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config
from tiphys.wire.http import Response

pytestmark = pytest.mark.looptime


@pytest.fixture
def client(api: MemoryApi) -> Client:
    return api.client()


def names(api: MemoryApi) -> list[str]:
    return [obj.metadata.name for obj in api.list(core.ConfigMap, "default")]


async def take(client: Client, count: int, since: int) -> list[str]:
    """Follow a watch for so many events: the names they are of."""
    seen: list[str] = []
    async with aclosing(client.watch(core.ConfigMap, "default", resource_version=str(since), bookmarks=False)) as events:
        while len(seen) < count:
            event: WatchEvent[core.ConfigMap] = await anext(events)
            seen.append(event.object.metadata.name)
    return seen


# -- which requests


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        ("*", "get create status binding"),
        ("read", "get"),
        ("write", "create status binding"),
        ("create pods", "create"),
        ("create pods/*", "binding"),
        ("* pods/status", "status"),
        ("write */status", "status"),
        ("patch", "status"),
        ("write nodes", ""),
    ],
)
def test_patterns_select_as_the_rules_of_roles_do(where: str, matching: str) -> None:
    calls = {
        "get": Call("get", "pods", "default", "a"),
        "create": Call("create", "pods", "default"),
        "status": Call("patch", "pods", "default", "a", "status"),
        "binding": Call("create", "pods", "default", "a", "binding"),
    }
    assert " ".join(name for name, call in calls.items() if matcher(where)(call)) == matching


def test_rejects_a_verb_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="'craete' is no verb"):
        matcher("craete pods")


# -- requests


async def test_a_failed_request_does_not_reach_the_server(api: MemoryApi, client: Client) -> None:
    fault = api.faults.fail("create configmaps", ConnectionError("gone"), times=2)
    for _ in range(2):
        with pytest.raises(ConnectionError, match="gone"):
            await client.create(config("a"))
    await client.create(config("a"))
    assert (fault.count, [call.verb for call in api.writes()]) == (2, ["create"] * 3)


async def test_answers_of_the_server_go_through_the_client(api: MemoryApi, client: Client) -> None:
    api.faults.fail("create", errors.TooManyRequests("busy", retry_after=3), times=2)
    began = api.clock.monotonic()
    await client.create(config("a"))
    assert api.clock.monotonic() - began == pytest.approx(6)
    api.faults.fail("get configmaps", errors.InternalError("broken"))
    with pytest.raises(errors.InternalError, match="broken"):
        await client.get(core.ConfigMap, "a", "default")


async def test_a_lost_answer_is_of_a_write_that_was_done(api: MemoryApi, client: Client) -> None:
    api.faults.lose_answers("create configmaps", seconds=60)
    began = api.clock.monotonic()
    with pytest.raises(ConnectionError, match="lost"):
        await client.create(config("a"))
    assert names(api) == ["a"]
    assert api.clock.monotonic() - began == pytest.approx(60)
    with pytest.raises(errors.AlreadyExists):
        await client.create(config("a"))


async def test_conflicts_are_those_of_the_server(api: MemoryApi, client: Client) -> None:
    made = await client.create(config("a"))
    api.faults.conflict("update configmaps")
    with pytest.raises(errors.Conflict) as injected:
        await client.update(made)
    api.faults.before("update configmaps", lambda: api.add(config("a", x="y")))
    with pytest.raises(errors.Conflict) as real:
        await client.update(made)
    assert injected.value.status() == real.value.status()


async def test_late_requests_and_late_answers(api: MemoryApi, client: Client) -> None:
    api.faults.delay("create", seconds=10)
    writing = asyncio.create_task(client.create(config("a")))
    await asyncio.sleep(9)
    assert names(api) == []
    await writing
    api.faults.delay("create", seconds=10, after=True)
    writing = asyncio.create_task(client.create(config("b")))
    await asyncio.sleep(9)
    assert (names(api), writing.done()) == (["a", "b"], False)
    await writing


async def test_an_outage_breaks_watches_too(api: MemoryApi, client: Client) -> None:
    async with aclosing(client.watch(core.ConfigMap, resource_version=str(api.revision))) as events:
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(1)
        api.faults.down = True
        with pytest.raises(ConnectionError):
            await waiting
    with pytest.raises(ConnectionError):
        await client.get(core.ConfigMap, "a", "default")
    api.faults.clear()
    await client.create(config("a"))


async def test_faults_can_be_one_clients_own(api: MemoryApi, client: Client) -> None:
    faults = Faults(clock=api.clock)
    faults.fail("create", ConnectionError("gone"), times=None)
    with pytest.raises(ConnectionError):
        await api.client(faults=faults).create(config("a"))
    await client.create(config("a"))
    with pytest.raises(ValueError, match="as of which revision"):
        faults.stale_reads()


async def test_an_answer_can_be_made_up(api: MemoryApi, client: Client) -> None:
    with api.faults.answer("list", lambda call: Response(status=502, body=b"<html>bad gateway</html>")), pytest.raises(errors.StatusError):
        await client.list(core.ConfigMap)
    assert (await client.list(core.ConfigMap, "default")).items == []


# -- stale reads


async def test_stale_reads_show_the_past(api: MemoryApi, client: Client) -> None:
    await client.create(config("changed", x="1"))
    await client.create(config("removed"))
    with api.faults.stale_reads("read configmaps"):
        changed = await client.patch(core.ConfigMap, "changed", "default", body={"data": {"x": "2"}})
        await client.delete(core.ConfigMap, "removed", "default")
        await client.create(config("added"))
        old = await client.get(core.ConfigMap, "changed", "default")
        assert (old.data, old.kind, old.metadata.uid) == ({"x": "1"}, "ConfigMap", changed.metadata.uid)
        assert (await client.get(core.ConfigMap, "removed", "default")).metadata.name == "removed"
        with pytest.raises(errors.NotFound, match='configmaps "added" not found'):
            await client.get(core.ConfigMap, "added", "default")
        listed = await client.list(core.ConfigMap, "default")
        assert [obj.metadata.name for obj in listed.items] == ["changed", "removed"]
        pages = [page async for page in client.pages(core.ConfigMap, "default", limit=1)]
        assert [page.items[0].metadata.name for page in pages] == ["changed", "removed"]
        partial = await client.get(partial_kind("", "v1", "configmaps"), "changed", "default")
        assert isinstance(partial, PartialObject)
        assert partial.metadata.resourceVersion == old.metadata.resourceVersion
        with pytest.raises(errors.Conflict):
            await client.update(old)
        assert (await client.get(core.Namespace, "default")).metadata.name == "default"
        # A watch that goes on from there tells what has happened since.
        assert await take(client, 3, int(listed.resourceVersion)) == ["changed", "removed", "added"]
    assert (await client.get(core.ConfigMap, "changed", "default")).data == {"x": "2"}


# -- watches


async def test_held_events_arrive_in_the_end(api: MemoryApi, client: Client) -> None:
    async with aclosing(client.watch(core.ConfigMap, "default", resource_version=str(api.revision))) as events:
        with api.faults.hold_events("watch configmaps"):
            await client.create(config("a"))
            waiting = asyncio.create_task(anext(events))
            await asyncio.sleep(100)
            assert not waiting.done()
        assert (await waiting).object.metadata.name == "a"


@pytest.mark.parametrize(
    ("fault", "seen"),
    [("lose_events", ["b", "c"]), ("repeat_events", ["a", "a", "b", "c"]), ("reorder_events", ["b", "a", "c"])],
)
async def test_events_are_lost_repeated_and_reordered(api: MemoryApi, client: Client, fault: str, seen: list[str]) -> None:
    since = api.revision
    for name in "abc":
        await client.create(config(name))
    getattr(api.faults, fault)("watch configmaps")
    assert await take(client, len(seen), since) == seen
    assert await take(client, 3, since) == ["a", "b", "c"]


async def outcome(events: AsyncIterator[object]) -> type[BaseException] | None:
    """Return the error that a watch ends with."""
    try:
        await anext(events)
    except Exception as error:
        return type(error)
    return None


async def test_watches_end_break_expire_and_stall(api: MemoryApi, client: Client) -> None:
    ends: tuple[tuple[Callable[[], None], type[BaseException]], ...] = (
        (api.faults.end_watches, StopAsyncIteration),
        (lambda: api.faults.end_watches(error=ConnectionResetError("cut")), ConnectionResetError),
        (api.faults.expire_watches, errors.Gone),
    )
    for end, error in ends:
        async with aclosing(client.watch(core.ConfigMap, resource_version=str(api.revision))) as events:
            waiting = asyncio.create_task(outcome(events))
            await asyncio.sleep(1)
            assert [str(watch.call) for watch in api.faults.watches] == ["watch configmaps"]
            end()
            assert await waiting is error
        assert api.faults.watches == []
    async with aclosing(client.watch(core.ConfigMap, resource_version=str(api.revision))) as events:
        waiting = asyncio.create_task(outcome(events))
        await asyncio.sleep(1)
        api.faults.stall_watches()
        await client.create(config("a"))
        api.faults.end_watches()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 10_000)


# -- chance


async def story(api: MemoryApi, seed: int) -> list[str]:
    """Return the outcomes of 60 writes when faults happen by chance."""
    faults = Faults(clock=api.clock)
    faults.randomly(random.Random(seed), Chances(late=0.0))
    client, told = api.client(faults=faults), []
    for number in range(60):
        try:
            await client.create(config(f"{seed}-{number}"))
            told.append("created")
        except (errors.StatusError, ConnectionError) as error:
            told.append(str(error))
    return told


async def test_the_same_seed_gives_the_same_faults(api: MemoryApi) -> None:
    first = await story(api, 1)
    for obj in api.list(core.ConfigMap, "default"):
        api.remove(core.ConfigMap, obj.metadata.name, "default")
    assert await story(api, 1) == first
    assert await story(api, 2) != first
    assert {"created", "the answer was lost", "the API server cannot be reached"} <= set(first)


async def test_events_overtake_one_another_by_chance(api: MemoryApi, client: Client) -> None:
    faults, since = Faults(clock=api.clock), api.revision
    never = dict.fromkeys(("unreachable", "lost_answer", "unavailable", "busy", "conflict", "late", "ended", "broken", "repeated"), 0.0)
    faults.randomly(random.Random(1), Chances(**never, reordered=0.3))
    created = [f"config-{number:02}" for number in range(20)]
    for name in created:
        await client.create(config(name))
    seen = await take(api.client(faults=faults), 19, since)
    assert seen != sorted(seen)
    assert set(seen) < set(created)
