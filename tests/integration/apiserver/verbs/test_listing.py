"""list: selectors, versions, pages of one snapshot ("Kubernetes API Concepts: Retrieving large results sets in chunks")."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, PODS, Answer, Api, config, pod
from tiphys.aio.clock import LoopClock
from tiphys.store.contract import Revision, Store
from tiphys.store.memory import MemoryStore
from tiphys.store.sqlite import SqliteStore
from tiphys.testing.api_server import running_api_server

ALL = "/api/v1/configmaps"


class MovableClock(LoopClock):
    """The real clock, set ahead by `ahead`."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "server.db")


@pytest.fixture
async def api(keys: Path, store: Store) -> AsyncIterator[Api]:
    async with running_api_server(keys, store=store) as (server, _):
        api = Api(server)
        await api.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield api


async def pages(api: Api, path: str, limit: int) -> list[Answer]:
    found = [await api.get(f"{path}?limit={limit}")]
    while token := found[-1].doc["metadata"].get("continue"):
        found.append(await api.get(f"{path}?limit={limit}&continue={token}"))
        assert found[-1].status == 200
    return found


async def test_a_list_is_in_order_and_has_a_version(api: Api) -> None:
    for name in ("b", "a", "a.b", "a-b"):
        last = await api.post(CONFIGS, config(name))
    listed = await api.get(CONFIGS)
    assert (listed.doc["kind"], listed.doc["apiVersion"]) == ("ConfigMapList", "v1")
    assert listed.names == ["a", "a-b", "a.b", "b"]
    assert listed.version == last.version
    assert (await api.get("/api/v1/namespaces/nowhere/configmaps")).names == []


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("labelSelector=app%3Dweb", ["a", "b"]),
        ("labelSelector=app%3Dweb,tier!%3Ddb", ["a"]),
        ("labelSelector=app+in+(web,api),!x", ["a", "b", "c"]),
        ("labelSelector=tier", ["b"]),
        ("fieldSelector=metadata.name%3Da", ["a"]),
        ("fieldSelector=metadata.name!%3Da,metadata.namespace%3Ddefault", ["b", "c", "d"]),
        ("labelSelector=app%3Dweb&fieldSelector=metadata.name%3Db", ["b"]),
        ("labelSelector=", ["a", "b", "c", "d"]),
    ],
)
async def test_selectors(api: Api, query: str, names: list[str]) -> None:
    for name, labels in {"a": {"app": "web"}, "b": {"app": "web", "tier": "db"}, "c": {"app": "api"}, "d": {}}.items():
        await api.post(CONFIGS, config(name, labels=labels))
    assert (await api.get(f"{CONFIGS}?{query}")).names == names


@pytest.mark.parametrize("query", ["labelSelector=%3D", "labelSelector=a+in", "fieldSelector=spec.color%3Dred", "fieldSelector=a"])
async def test_rejects_broken_selectors(api: Api, query: str) -> None:
    for path in (CONFIGS, f"{CONFIGS}?watch=1&"):
        answer = await api.get(f"{path}{'' if '?' in path else '?'}{query}")
        assert (answer.status, answer.reason) == (400, "BadRequest")


async def test_fields_of_a_kind(api: Api) -> None:
    await api.post(PODS, pod("a", node="n1"))
    await api.post(PODS, pod("b"))
    assert (await api.get(f"{PODS}?fieldSelector=spec.nodeName%3Dn1")).names == ["a"]
    assert (await api.get(f"{PODS}?fieldSelector=spec.nodeName%3D,status.phase%3DPending")).names == ["b"]


async def test_pages_show_one_snapshot_while_it_is_written(api: Api) -> None:
    """Namespaces whose names begin alike: the order of pages from memory and from the log must be the same one."""
    for namespace in ("a", "a-b", "a0"):
        await api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for n in range(6):
            await api.post(f"/api/v1/namespaces/{namespace}/configmaps", config(f"c{n}"))
    whole = await api.get(ALL)
    wanted = [(i["metadata"]["namespace"], i["metadata"]["name"], i["metadata"]["resourceVersion"]) for i in whole.doc["items"]]
    first = await api.get(f"{ALL}?limit=4")
    assert first.doc["metadata"]["remainingItemCount"] == len(wanted) - 4
    seen, page = first.doc["items"], first
    step = 0
    while token := page.doc["metadata"].get("continue"):
        await api.delete(f"/api/v1/namespaces/a/configmaps/c{step}")
        await api.post("/api/v1/namespaces/a-b/configmaps", config(f"new{step}"))
        await api.patch("/api/v1/namespaces/a0/configmaps/c5", {"data": {"step": str(step)}})
        step += 1
        page = await api.get(f"{ALL}?limit=4&continue={token}")
        assert page.version == first.version
        seen += page.doc["items"]
    assert [(i["metadata"]["namespace"], i["metadata"]["name"], i["metadata"]["resourceVersion"]) for i in seen] == wanted
    assert step >= 4


async def test_many_readers_page_while_writers_write(api: Api) -> None:
    for n in range(60):
        await api.post(CONFIGS, config(f"c{n:03d}", sum="0"))
    writing = True

    async def write(start: int) -> None:
        """The names with a c stay; others come and go between them."""
        n = start
        while writing:
            await api.patch(f"{CONFIGS}/c{n % 60:03d}", {"data": {"sum": str(n)}})
            await api.post(CONFIGS, config(f"x{start}-{n}"))
            await api.delete(f"{CONFIGS}/x{start}-{n}")
            n += 7

    async def read() -> None:
        found = await pages(api, CONFIGS, 9)
        assert len({page.version for page in found}) == 1
        version = int(found[0].version)
        names = [name for page in found for name in page.names]
        assert names == sorted(set(names))
        assert [name for name in names if name.startswith("c")] == [f"c{n:03d}" for n in range(60)]
        assert all(int(item["metadata"]["resourceVersion"]) <= version for page in found for item in page.doc["items"])
        exact = await api.get(f"{CONFIGS}?resourceVersion={version}&resourceVersionMatch=Exact")
        assert exact.doc["items"] == [item for page in found for item in page.doc["items"]]

    writers = [asyncio.create_task(write(n)) for n in range(3)]
    try:
        for _ in range(3):
            await asyncio.gather(*(read() for _ in range(4)))
    finally:
        writing = False
        await asyncio.gather(*writers)


async def test_pages_of_a_selection(api: Api) -> None:
    for n in range(30):
        await api.post(CONFIGS, config(f"c{n:02d}", labels={"odd": str(n % 2)}))
    page = await api.get(f"{CONFIGS}?labelSelector=odd%3D1&limit=4")
    found = [page]
    while token := page.doc["metadata"].get("continue"):
        assert "remainingItemCount" not in page.doc["metadata"]
        page = await api.get(f"{CONFIGS}?labelSelector=odd%3D1&limit=4&continue={token}")
        found.append(page)
    assert [name for page in found for name in page.names] == [f"c{n:02d}" for n in range(1, 30, 2)]
    assert [len(page.names) for page in found] == [4, 4, 4, 3]


async def test_exact_versions(api: Api) -> None:
    first = await api.post(CONFIGS, config("a", x="1"))
    await api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}})
    await api.post(CONFIGS, config("b"))
    then = await api.get(f"{CONFIGS}?resourceVersion={first.version}&resourceVersionMatch=Exact")
    assert (then.version, then.doc["items"]) == (first.version, [first.item])
    newer = await api.get(f"{CONFIGS}?resourceVersion={first.version}&resourceVersionMatch=NotOlderThan")
    assert newer.names == ["a", "b"]
    assert (await api.get(f"{CONFIGS}?resourceVersion=0")).names == ["a", "b"]
    ahead = await api.get(f"{CONFIGS}?resourceVersion=99999999&resourceVersionMatch=Exact")
    assert (ahead.status, ahead.reason) == (504, "Timeout")


MATCH = "resourceVersionMatch: Forbidden: "


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("resourceVersionMatch=Exact", f"{MATCH}resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (
            "resourceVersionMatch=NotOlderThan&continue=x&resourceVersion=1",
            f"{MATCH}resourceVersionMatch is forbidden when continue is provided",
        ),
        (
            "resourceVersionMatch=Odd&resourceVersion=1",
            'resourceVersionMatch: Unsupported value: "Odd": supported values: "Exact", "NotOlderThan", ""',
        ),
        ("resourceVersionMatch=Exact&resourceVersion=0", f'{MATCH}resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        ("sendInitialEvents=false", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        ("watch=1&sendInitialEvents=true", f"{MATCH}sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            f"{MATCH}resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            "watch=1&resourceVersionMatch=Exact&sendInitialEvents=true",
            f"[{MATCH}sendInitialEvents requires setting resourceVersionMatch to NotOlderThan,"
            ' resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"]',
        ),
        (
            "resourceVersionMatch=Odd&continue=x",
            f"[{MATCH}resourceVersionMatch is forbidden unless resourceVersion is provided,"
            f" {MATCH}resourceVersionMatch is forbidden when continue is provided,"
            ' resourceVersionMatch: Unsupported value: "Odd": supported values: "Exact", "NotOlderThan", ""]',
        ),
    ],
)
async def test_combinations_that_contradict_themselves(api: Api, query: str, said: str) -> None:
    answer = await api.get(f"{CONFIGS}?{query}")
    assert (answer.status, answer.message) == (422, f'ListOptions.meta.k8s.io "" is invalid: {said}')
    assert answer.doc["details"]["causes"]


async def test_a_token_and_a_version_do_not_go_together(api: Api) -> None:
    answer = await api.get(f"{CONFIGS}?resourceVersion=5&continue=x")
    assert (answer.status, answer.message) == (400, "specifying resource version is not allowed when using continue")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersionMatch=Sometimes&resourceVersion=1", 422),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422),
        ("sendInitialEvents=true", 422),
        ("limit=many", 400),
        ("resourceVersion=-5", 400),
        ("resourceVersion=%D9%A1", 400),
        ("continue=nonsense", 400),
        ("continue=eyJydiI6LTUsInN0YXJ0IjoiYSJ9", 400),
        ("timeoutSeconds=soon", 400),
        ("watch=1&resourceVersionMatch=Exact", 422),
        ("watch=1&sendInitialEvents=true", 422),
        ("watch&sendInitialEvents", 422),
    ],
)
async def test_parameters_that_make_no_sense(api: Api, query: str, status: int) -> None:
    answer = await api.get(f"{CONFIGS}?{query}")
    assert (answer.status, answer.reason) == (status, "Invalid" if status == 422 else "BadRequest")


async def test_a_compacted_snapshot_can_be_left_for_the_newest_state(api: Api, store: Store) -> None:
    for n in range(6):
        await api.post(CONFIGS, config(f"c{n}"))
    page = await api.get(f"{CONFIGS}?limit=2")
    old = page.version
    await api.delete(f"{CONFIGS}/c0")
    last = await api.delete(f"{CONFIGS}/c3")
    assert last.status == 200
    await store.compact(Revision(store.current_revision()))
    expired = await api.get(f"{CONFIGS}?limit=2&continue={page.doc['metadata']['continue']}")
    assert (expired.status, expired.reason) == (410, "Expired")
    rest = await api.get(f"{CONFIGS}?continue={expired.doc['metadata']['continue']}")
    assert rest.names == ["c2", "c4", "c5"]
    assert int(rest.version) > int(old)
    exact = await api.get(f"{CONFIGS}?resourceVersion={old}&resourceVersionMatch=Exact")
    assert (exact.status, exact.reason) == (410, "Expired")


async def test_a_token_reaches_no_further_than_its_namespace(api: Api) -> None:
    await api.post("/api/v1/namespaces/kube-system/configmaps", config("secret"))
    for n in range(3):
        await api.post(CONFIGS, config(f"c{n}"))
    token = (await api.get(f"{ALL}?limit=1")).doc["metadata"]["continue"]
    names = (await api.get(f"{CONFIGS}?continue={token}")).names
    assert "secret" not in names


async def test_tokens_expire_after_a_while_once_something_has_changed(keys: Path) -> None:
    clock = MovableClock()
    async with running_api_server(keys, clock=clock) as (server, _):
        api = Api(server)
        await api.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        for n in range(10):
            await api.post(CONFIGS, config(f"c{n}"))
        page = await api.get(f"{CONFIGS}?limit=4")
        path = f"{CONFIGS}?limit=4&continue={page.doc['metadata']['continue']}"
        clock.ahead = timedelta(minutes=10)
        assert (await api.get(path)).names == ["c4", "c5", "c6", "c7"], "nothing has changed since"
        await api.patch(f"{CONFIGS}/c0", {"data": {"x": "1"}})
        expired = await api.get(path)
        assert (expired.status, expired.reason) == (410, "Expired")
        assert "results in an inconsistent list" in expired.message
        rest = await api.get(f"{CONFIGS}?limit=4&continue={expired.doc['metadata']['continue']}")
        assert rest.names == ["c4", "c5", "c6", "c7"]
        assert (rest.version != page.version, rest.doc["metadata"]["remainingItemCount"]) == (True, 2)
        last = await api.get(f"{CONFIGS}?limit=4&continue={rest.doc['metadata']['continue']}")
        assert (last.names, last.version) == (["c8", "c9"], rest.version)
        assert "remainingItemCount" not in last.doc["metadata"]


async def test_large_lists_are_packed_for_those_who_ask(api: Api) -> None:
    for n in range(10):
        await api.post(CONFIGS, config(f"c{n}", text="some text " * 2000))
    plain = await api.get(CONFIGS)
    assert "Content-Encoding" not in plain.headers
    packed = [await api.get(CONFIGS, accept_encoding=accepted) for accepted in ("gzip", "deflate, gzip, br")]
    for answer in packed:
        assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert answer.headers["Content-Type"] == "application/json"
        assert gzip.decompress(answer.body) == plain.body
    assert packed[0].body is packed[1].body, "packed once, kept with the list"
    assert "Content-Encoding" not in (await api.get(CONFIGS, accept_encoding="gzip;q=0, identity")).headers
    assert "Content-Encoding" not in (await api.get(f"{CONFIGS}?limit=2", accept_encoding="gzip")).headers
    metadata = await api.get(CONFIGS, accept_encoding="gzip", accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
    assert "Content-Encoding" not in metadata.headers
    await api.patch(f"{CONFIGS}/c0", {"data": {"x": "1"}})
    changed = await api.get(CONFIGS, accept_encoding="gzip")
    assert gzip.decompress(changed.body) == (await api.get(CONFIGS)).body
    yaml = await api.get(CONFIGS, accept_encoding="gzip", accept="application/yaml")
    assert gzip.decompress(yaml.body).startswith(b"apiVersion: v1\nitems:\n")


async def test_a_collection_is_deleted_in_pages_too(api: Api) -> None:
    for n in range(5):
        await api.post(CONFIGS, config(f"c{n}", labels={"app": "web" if n else "db"}))
    gone = await api.delete(f"{CONFIGS}?limit=2&labelSelector=app%3Dweb")
    assert (gone.status, gone.names) == (200, ["c1", "c2"])
    token = (await api.get(f"{CONFIGS}?limit=2")).doc["metadata"]["continue"]
    assert (await api.delete(f"{CONFIGS}?continue={token}&dryRun=All")).names == ["c4"]
    assert (await api.get(CONFIGS)).names == ["c0", "c3", "c4"]
    assert (await api.delete(f"{CONFIGS}?resourceVersionMatch=Exact")).status == 422
