"""watch: where it begins, what it shows, how it ends ("Kubernetes API Concepts: Efficient detection of changes")."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, PODS, Api, config, pod
from tiphys.apiserver.cache import watchcache, watchers
from tiphys.store.contract import Store
from tiphys.store.memory import MemoryStore
from tiphys.store.sqlite import SqliteStore
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

WATCH = f"{CONFIGS}?watch=1"


async def test_from_a_version(api: Api) -> None:
    made = await api.post(CONFIGS, config("a", x="1"))
    changed = await api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}})
    await api.delete(f"{CONFIGS}/a")
    await api.post(CONFIGS, config("b"))
    async with api.watch(f"{WATCH}&resourceVersion={made.version}") as events:
        first = await events.next()
        assert first == {"type": "MODIFIED", "object": changed.doc}
        assert await events.take(2) == [("DELETED", "a"), ("ADDED", "b")]
        await api.patch(f"{CONFIGS}/b", {"data": {"x": "1"}})
        assert await events.take(1) == [("MODIFIED", "b")]


@pytest.mark.parametrize("query", ["", "&resourceVersion=0", "&resourceVersion="])
async def test_without_a_version_the_state_comes_first(api: Api, query: str) -> None:
    await api.post(CONFIGS, config("b"))
    await api.post(CONFIGS, config("a"))
    await api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}})
    async with api.watch(WATCH + query) as events:
        assert await events.take(2) == [("ADDED", "a"), ("ADDED", "b")]
        await api.delete(f"{CONFIGS}/b")
        assert await events.take(1) == [("DELETED", "b")]


async def test_the_state_as_events_ends_with_a_bookmark(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    listed = await api.get(CONFIGS)
    asked = f"{WATCH}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with api.watch(asked) as events:
        assert await events.take(1) == [("ADDED", "a")]
        bookmark = await events.next()
        assert bookmark is not None
        assert (bookmark["type"], bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == ("BOOKMARK", "ConfigMap", "v1")
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["object"]["metadata"]["resourceVersion"] == listed.version
        await api.post(CONFIGS, config("b"))
        assert await events.take(1) == [("ADDED", "b")]
    async with api.watch(f"{WATCH}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan") as events:
        await api.post(CONFIGS, config("c"))
        assert await events.take(1) == [("ADDED", "c")]


async def test_a_large_state_is_not_lag(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "MAX_PENDING_EVENTS", 10)
    monkeypatch.setattr(watchers, "CHUNK_BYTES", 1000)
    for n in range(40):
        await api.post(CONFIGS, config(f"c{n:02d}"))
    asked = f"{WATCH}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with api.watch(asked) as events:
        assert await events.take(41) == [*(("ADDED", f"c{n:02d}") for n in range(40)), ("BOOKMARK", "")]


async def test_selectors_turn_changes_into_comings_and_goings(api: Api) -> None:
    first = await api.post(CONFIGS, config("a", labels={"app": "web"}))
    async with api.watch(f"{WATCH}&labelSelector=app%3Dweb&resourceVersion={first.version}") as events:
        await api.patch(f"{CONFIGS}/a", {"data": {"x": "1"}})
        left = await api.patch(f"{CONFIGS}/a", {"metadata": {"labels": {"app": "db"}}})
        await api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}})
        await api.patch(f"{CONFIGS}/a", {"metadata": {"labels": {"app": "web"}}})
        await api.post(CONFIGS, config("b", labels={"app": "db"}))
        await api.delete(f"{CONFIGS}/b")
        await api.delete(f"{CONFIGS}/a")
        seen = [await events.next() for _ in range(4)]
    assert [event["type"] for event in seen if event] == ["MODIFIED", "DELETED", "ADDED", "DELETED"]
    gone = seen[1]
    assert gone is not None
    assert gone["object"]["metadata"]["labels"] == {"app": "web"}
    assert gone["object"]["metadata"]["resourceVersion"] == left.version


@pytest.mark.parametrize("accept", ["application/json", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"])
@pytest.mark.parametrize("media", ["json", "vnd.kubernetes.protobuf"])
async def test_object_that_left_a_selection_is_shown_as_it_was_in_every_form(api: Api, accept: str, media: str) -> None:
    await api.post(CONFIGS, config("a", labels={"app": "web-before"}))
    target = f"{WATCH}&labelSelector=app%3Dweb-before&timeoutSeconds=1"
    response = await api.respond("GET", target, accept=accept.replace("json", media, 1))
    await api.patch(f"{CONFIGS}/a", {"metadata": {"labels": {"app": "db-after"}}})
    assert response.stream is not None
    sent = b"".join([chunk async for chunk in response.stream])
    await response.stream.aclose()  # type: ignore[attr-defined]
    assert sent.count(b"web-before") == 2  # Once when it came, once when it went.
    assert b"DELETED" in sent
    assert b"db-after" not in sent


async def test_fields_and_names(api: Api) -> None:
    await api.post(PODS, pod("a"))
    one = f"{PODS}?watch=1&fieldSelector="
    async with api.watch(f"{one}spec.nodeName%3Dn1") as on_node, api.watch(f"{one}metadata.name%3Da") as named:
        assert await named.take(1) == [("ADDED", "a")]
        await api.post(PODS, pod("b"))
        await api.post(f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}})
        assert await on_node.take(1) == [("ADDED", "a")]
        assert await named.take(1) == [("MODIFIED", "a")]


async def test_namespaces_are_apart(api: Api) -> None:
    start = (await api.get(CONFIGS)).version
    everywhere = f"/api/v1/configmaps?watch=1&resourceVersion={start}"
    async with api.watch(f"{WATCH}&resourceVersion={start}") as here, api.watch(everywhere) as all_:
        await api.post("/api/v1/namespaces/kube-system/configmaps", config("there"))
        await api.post(CONFIGS, config("here"))
        assert await here.take(1) == [("ADDED", "here")]
        assert await all_.take(2) == [("ADDED", "there"), ("ADDED", "here")]
    async with api.watch(f"/api/v1/watch/namespaces/default/configmaps?resourceVersion={start}") as old_style:
        assert await old_style.take(1) == [("ADDED", "here")]


async def test_a_forgotten_version_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchcache, "RING_EVENTS", 3)
    made = [await api.post(CONFIGS, config(f"c{n}")) for n in range(6)]
    async with api.watch(f"{WATCH}&resourceVersion={made[0].version}") as events:
        error = await events.next()
        assert error is not None
        assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert error["object"]["message"].startswith(f"too old resource version: {made[0].version} (")
        assert await events.next() is None
    async with api.watch(f"{WATCH}&resourceVersion={made[2].version}") as events:
        assert await events.take(3) == [("ADDED", f"c{n}") for n in (3, 4, 5)]


async def test_a_future_version_is_refused(api: Api) -> None:
    answer = await api.send("GET", f"{WATCH}&resourceVersion=999999999")
    assert (answer.status, answer.reason) == (504, "Timeout")


async def test_a_timeout_ends_a_watch_cleanly_with_a_bookmark(api: Api) -> None:
    made = await api.post(CONFIGS, config("a"))
    async with api.watch(f"{WATCH}&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={made.version}") as events:
        await api.post(PODS, pod("elsewhere"))
        newest = (await api.get(CONFIGS)).version
        (bookmark,) = await events.rest()
    assert (bookmark["type"], bookmark["object"]["metadata"]) == ("BOOKMARK", {"resourceVersion": newest})
    async with api.watch(f"{WATCH}&timeoutSeconds=1&resourceVersion={made.version}") as events:
        assert await events.rest() == []


async def test_tables_and_metadata(api: Api) -> None:
    await api.post(CONFIGS, config("a", x="1"))
    async with api.watch(WATCH, accept="application/json;as=Table;v=v1;g=meta.k8s.io") as events:
        first = await events.next()
        await api.post(CONFIGS, config("b"))
        second = await events.next()
    assert first is not None
    assert second is not None
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert first["object"]["rows"][0]["cells"][:2] == ["a", 1]
    assert second["object"]["columnDefinitions"] is None
    async with api.watch(WATCH, accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io") as events:
        partial = await events.next()
    assert partial is not None
    assert partial["object"]["kind"] == "PartialObjectMetadata"
    assert "data" not in partial["object"]


async def test_a_laggard_is_dropped_and_the_others_are_not(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "MAX_PENDING_EVENTS", 20)
    start = (await api.get(CONFIGS)).version
    async with api.watch(f"{WATCH}&resourceVersion={start}") as slow, api.watch(f"{WATCH}&resourceVersion={start}") as quick:
        for n in range(30):
            await api.post(CONFIGS, config(f"c{n}"))
            assert await quick.take(1) == [("ADDED", f"c{n}")]
        assert await slow.rest() == []  # Ended, not torn: its reader resumes where it was.
    cache = next(cache for cache in api.server.storage.caches() if cache.kind.plural == "configmaps")
    assert cache.watching == 0


async def test_a_reader_that_leaves_before_the_first_event_is_forgotten(api: Api) -> None:
    cache = next(cache for cache in api.server.storage.caches() if cache.kind.plural == "configmaps")
    async with api.watch(WATCH):
        assert cache.watching == 1
    assert cache.watching == 0


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_everybody_sees_every_change_once_in_order_also_across_reconnects(keys: Path, tmp_path: Path, backend: str) -> None:
    store: Store = MemoryStore() if backend == "memory" else SqliteStore(tmp_path / "server.db")
    async with running_api_server(keys, store=store) as (server, _):
        api = Api(server)
        start = (await api.get(CONFIGS)).version
        truth: list[tuple[int, str, str]] = []

        async def write(writer: int) -> None:
            for n in range(25):
                name = f"w{writer}-{n % 3}"
                made = await api.post(CONFIGS, config(name, n=str(n)))
                patched = await api.patch(f"{CONFIGS}/{name}", {"data": {"more": str(n)}})
                truth.extend([(int(made.version), "ADDED", name), (int(patched.version), "MODIFIED", name)])
                async with api.watch(f"{WATCH}&resourceVersion={patched.version}&fieldSelector=metadata.name%3D{name}") as events:
                    assert (await api.delete(f"{CONFIGS}/{name}")).status == 200
                    gone = await events.next()
                assert gone is not None
                truth.append((int(gone["object"]["metadata"]["resourceVersion"]), gone["type"], name))

        async def follow(reconnect_every: int) -> list[tuple[int, str, str]]:
            seen: list[tuple[int, str, str]] = [(int(start), "", "")]
            while seen[-1][2] != "last":
                async with api.watch(f"{WATCH}&resourceVersion={seen[-1][0]}") as events:
                    for _ in range(reconnect_every):
                        event = await events.next()
                        assert event is not None
                        meta = event["object"]["metadata"]
                        seen.append((int(meta["resourceVersion"]), event["type"], meta["name"]))
                        if meta["name"] == "last":
                            break
            return seen[1:]

        followers = [asyncio.create_task(follow(every)) for every in (1, 2, 7, 50, 10_000)]
        await asyncio.gather(*(write(writer) for writer in range(4)))
        last = await api.post(CONFIGS, config("last"))
        truth.append((int(last.version), "ADDED", "last"))
        assert len(truth) == 4 * 25 * 3 + 1
        for seen in await asyncio.wait_for(asyncio.gather(*followers), 30):
            assert seen == sorted(truth)


async def test_caches_that_fell_behind_are_filled_anew(keys: Path) -> None:
    """The store drops who reads too slowly. Watches end, nothing is missed, and writes never hang."""
    store = MemoryStore(watch_buffer=1)
    async with running_api_server(keys, store=store) as (server, _):
        api = Api(server)
        kept = await api.post(CONFIGS, config("kept"))
        await api.post(CONFIGS, config("goes"))
        prefix = "/registry/core/configmaps/default/"
        heard: list[tuple[str, str]] = []
        cache = next(cache for cache in server.storage.caches() if cache.kind.plural == "configmaps")
        cache.subscribe(lambda old, new: heard.append((old.name if old else "", new.name if new else "")))
        async with api.watch(f"{WATCH}&resourceVersion={kept.version}") as events:
            assert await events.take(1) == [("ADDED", "goes")]
            found = await store.get(f"{prefix}goes")
            assert found is not None
            # Two changes before the server gets to read the first one: more than the buffer holds.
            await store.delete(f"{prefix}goes")
            await store.create(f"{prefix}new", found.value.replace(b'"goes"', b'"new"'))
            assert await events.next() is None
        await eventually(lambda: cache.get("default", "new") is not None and server.storage.trouble == "")
        assert heard == [("goes", ""), ("", "new")]
        assert (await api.get(CONFIGS)).names == ["kept", "new"]
        assert (await api.post(CONFIGS, config("after"))).status == 201
        async with api.watch(f"{WATCH}&resourceVersion={kept.version}") as events:
            error = await events.next()
        assert error is not None
        assert error["object"]["code"] == 410
