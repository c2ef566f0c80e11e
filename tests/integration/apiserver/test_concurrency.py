"""Many writers at once: no update is lost, and only those conflict that must."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, PODS, Answer, Api, config, pod
from tests.integration.apiserver.conftest import with_default_account
from tiphys.store.sqlite import SqliteStore
from tiphys.testing.api_server import running_api_server

WRITERS = 24


@pytest.fixture
async def api(keys: Path, tmp_path: Path) -> AsyncIterator[Api]:
    """On a real file: commits come in groups, in another thread."""
    async with running_api_server(keys, store=SqliteStore(tmp_path / "server.db")) as (server, _):
        api = Api(server)
        await with_default_account(api)
        yield api


async def test_of_writers_that_name_one_version_one_wins(api: Api) -> None:
    made = (await api.post(CONFIGS, config("a"))).doc
    answers = await asyncio.gather(*(api.put(f"{CONFIGS}/a", {**made, "data": {"by": str(n)}}) for n in range(WRITERS)))
    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert {answer.reason for answer in answers if answer.status != 200} == {"Conflict"}
    assert (await api.get(f"{CONFIGS}/a")).doc == won[0].doc


async def test_read_and_write_again_counts_right(api: Api) -> None:
    await api.post(CONFIGS, config("a", count="0"))
    conflicts = 0

    async def add_one() -> None:
        nonlocal conflicts
        for _ in range(10):
            while True:
                doc = (await api.get(f"{CONFIGS}/a")).doc
                doc["data"]["count"] = str(int(doc["data"]["count"]) + 1)
                answer = await api.put(f"{CONFIGS}/a", doc)
                if answer.status == 200:
                    break
                assert answer.reason == "Conflict"
                conflicts += 1

    await asyncio.gather(*(add_one() for _ in range(8)))
    assert (await api.get(f"{CONFIGS}/a")).doc["data"] == {"count": "80"}
    assert conflicts


async def test_patches_without_a_version_all_arrive(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    answers = await asyncio.gather(*(api.patch(f"{CONFIGS}/a", {"data": {f"k{n}": "x"}}) for n in range(WRITERS)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.version for answer in answers}) == WRITERS
    assert (await api.get(f"{CONFIGS}/a")).doc["data"] == {f"k{n}": "x" for n in range(WRITERS)}


async def test_a_json_patch_that_tests_is_decided_on_the_newest_state(api: Api) -> None:
    await api.post(CONFIGS, config("a", lock="free"))
    take = [{"op": "test", "path": "/data/lock", "value": "free"}]
    answers: list[Answer] = await asyncio.gather(
        *(api.patch(f"{CONFIGS}/a", [*take, {"op": "replace", "path": "/data/lock", "value": f"w{n}"}], JSON_PATCH) for n in range(WRITERS))
    )
    assert sorted(answer.status for answer in answers) == [200] + [422] * (WRITERS - 1)


async def test_one_of_many_creates_of_a_name_wins(api: Api) -> None:
    answers = await asyncio.gather(*(api.post(CONFIGS, config("a", by=str(n))) for n in range(WRITERS)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * (WRITERS - 1)
    assert (await api.get(f"{CONFIGS}/a")).doc == next(answer.doc for answer in answers if answer.status == 201)


async def test_one_of_many_deletes_succeeds(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    answers = await asyncio.gather(*(api.delete(f"{CONFIGS}/a") for _ in range(WRITERS)))
    assert sorted(answer.status for answer in answers) == [200] + [404] * (WRITERS - 1)


async def test_updates_race_a_deletion(api: Api) -> None:
    """In either order, a patch that succeeded was before the delete, and afterwards nothing is left."""
    await api.post(CONFIGS, config("a"))
    patches = [api.patch(f"{CONFIGS}/a", {"data": {f"k{n}": "x"}}) for n in range(8)]
    *answers, gone = await asyncio.gather(*patches, api.delete(f"{CONFIGS}/a"))
    assert gone.status == 200
    assert {answer.status for answer in answers} <= {200, 404}
    assert (await api.get(f"{CONFIGS}/a")).status == 404


async def test_a_pod_is_bound_once(api: Api) -> None:
    await api.post(PODS, pod("a"))

    def binding(node: str) -> bytes:
        return json.dumps({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": node}}).encode()

    answers = await asyncio.gather(*(api.post(f"{PODS}/a/binding", binding(f"n{n}")) for n in range(WRITERS)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * (WRITERS - 1)
    bound = (await api.get(f"{PODS}/a")).doc
    assert bound["spec"]["nodeName"] == f"n{[answer.status for answer in answers].index(201)}"
    scheduled = [c["status"] for c in bound["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert scheduled == ["True"]


async def test_reads_are_never_older_than_an_acknowledged_write(api: Api) -> None:
    async def write_and_read(name: str) -> None:
        await api.post(CONFIGS, config(name, n="0"))
        for number in range(1, 15):
            written = await api.patch(f"{CONFIGS}/{name}", {"data": {"n": str(number)}})
            assert (await api.get(f"{CONFIGS}/{name}")).version == written.version
            listed = (await api.get(f"{CONFIGS}?fieldSelector=metadata.name%3D{name}")).doc
            assert listed["items"][0]["data"] == {"n": str(number)}
            assert int(listed["metadata"]["resourceVersion"]) >= int(written.version)

    await asyncio.gather(*(write_and_read(f"c{n}") for n in range(10)))
