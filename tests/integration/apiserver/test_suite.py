"""Steps of the conformance suite for watches, pages and the version, in its own order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.integration.apiserver.api import CONFIGS, NS, Api, Doc, Events, config

TEMPLATES = f"{NS}/podtemplates"
TOTAL = 400


def watching(*labels: str, version: str = "") -> str:
    since = f"&resourceVersion={version}" if version else ""
    return f"{CONFIGS}?watch=true&labelSelector=watch+in+({','.join(labels)}){since}"


def labeled(name: str, label: str, **data: str) -> Doc:
    return config(name, labels={"watch": label}, **data)


async def expect(events: Events, type_: str, doc: Doc | None = None) -> Doc:
    found = await events.next()
    assert found is not None
    assert found["type"] == type_
    if doc is not None:
        assert found["object"] == doc
    obj: Doc = found["object"]
    return obj


async def test_watches_see_what_they_select_come_change_and_go(api: Api) -> None:
    async with api.watch(watching("a")) as a, api.watch(watching("b")) as b, api.watch(watching("a", "b")) as both:
        made = (await api.post(CONFIGS, labeled("first", "a"))).doc
        await expect(a, "ADDED", made)
        await expect(both, "ADDED", made)
        for mutation in ("1", "2"):
            changed = (await api.put(f"{CONFIGS}/first", labeled("first", "a", mutation=mutation))).doc
            await expect(a, "MODIFIED", changed)
            await expect(both, "MODIFIED", changed)
        await api.delete(f"{CONFIGS}/first")
        await expect(a, "DELETED")
        await expect(both, "DELETED")
        second = (await api.post(CONFIGS, labeled("second", "b"))).doc
        await expect(b, "ADDED", second)
        await expect(both, "ADDED", second)
        await api.delete(f"{CONFIGS}/second")
        await expect(b, "DELETED")
        await expect(both, "DELETED")
        last = (await api.post(CONFIGS, labeled("last", "a"))).doc
        await expect(a, "ADDED", last)  # Nothing of the other label came in between.


async def test_a_watch_begins_at_the_version_it_names(api: Api) -> None:
    await api.post(CONFIGS, labeled("x", "a"))
    first = await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "1"}})
    second = await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "2"}})
    await api.delete(f"{CONFIGS}/x")
    async with api.watch(watching("a", version=first.version)) as events:
        await expect(events, "MODIFIED", second.doc)
        await expect(events, "DELETED")


async def test_a_watch_goes_on_from_the_last_version_that_was_seen(api: Api) -> None:
    async with api.watch(watching("a")) as broken:
        made = (await api.post(CONFIGS, labeled("x", "a"))).doc
        await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "1"}})
        await expect(broken, "ADDED", made)
        last = await expect(broken, "MODIFIED")
    missed = await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "2"}})
    async with api.watch(watching("a", version=last["metadata"]["resourceVersion"])) as again:
        await api.delete(f"{CONFIGS}/x")
        await expect(again, "MODIFIED", missed.doc)
        await expect(again, "DELETED")


async def test_object_that_leaves_the_selection_is_deleted_to_the_watch(api: Api) -> None:
    async with api.watch(watching("a")) as events:
        made = (await api.post(CONFIGS, labeled("x", "a"))).doc
        changed = (await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "1"}})).doc
        await api.patch(f"{CONFIGS}/x", {"metadata": {"labels": {"watch": "wrong"}}})
        await expect(events, "ADDED", made)
        await expect(events, "MODIFIED", changed)
        await expect(events, "DELETED")
        await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "2"}})
        restored = (await api.patch(f"{CONFIGS}/x", {"metadata": {"labels": {"watch": "a"}}})).doc
        third = (await api.patch(f"{CONFIGS}/x", {"data": {"mutation": "3"}})).doc
        await api.delete(f"{CONFIGS}/x")
        await expect(events, "ADDED", restored)
        await expect(events, "MODIFIED", third)
        await expect(events, "DELETED")


async def test_watches_from_different_versions_see_the_same_order(api: Api) -> None:
    version = (await api.get(CONFIGS)).version
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            await api.post(CONFIGS, config(f"c{number}"))
            await api.patch(f"{CONFIGS}/c{number}", {"data": {"x": "1"}})
            if number % 3:
                await api.delete(f"{CONFIGS}/c{number}")
            number += 1
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    async with AsyncExitStack() as stack:
        watches: list[Events] = []
        for _ in range(100):
            watches.append(await stack.enter_async_context(api.watch(f"{CONFIGS}?watch=true&resourceVersion={version}")))
            seen = [await watch.next() for watch in watches]
            versions = {event["object"]["metadata"]["resourceVersion"] for event in seen if event is not None}
            assert len(versions) == 1
            version = versions.pop()
        stop.set()
        await writing


async def make_templates(api: Api) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]}}
    for number in range(TOTAL):
        await api.post(TEMPLATES, {"metadata": {"name": f"template-{number:04d}"}, "template": template})


async def test_lists_come_in_chunks_of_one_version(api: Api) -> None:
    await make_templates(api)
    for _ in range(3):
        found, versions, token = 0, set(), ""
        while True:
            page = (await api.get(f"{TEMPLATES}?limit=17&continue={token}")).doc
            versions.add(page["metadata"]["resourceVersion"])
            assert [item["metadata"]["name"] for item in page["items"]] == [f"template-{found + n:04d}" for n in range(len(page["items"]))]
            found += len(page["items"])
            token = page["metadata"].get("continue", "")
            if not token:
                assert "remainingItemCount" not in page["metadata"]
                break
            assert len(page["items"]) == 17
            assert page["metadata"]["remainingItemCount"] + found == TOTAL
        assert (found, len(versions)) == (TOTAL, 1)
    whole = (await api.get(f"{TEMPLATES}?limit={TOTAL + 1}")).doc
    assert len(whole["items"]) == TOTAL
    assert "continue" not in whole["metadata"]


async def test_version_is_reported(api: Api) -> None:
    version = (await api.get("/version")).doc
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")
