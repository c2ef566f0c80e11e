"""A store that fails: every answer says what it means, and reads go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver.api import CONFIGS, SERVICES, Answer, Api, config, service
from tiphys.apiserver.cache import storage
from tiphys.store.contract import Event, Revision, StoreClosed, StoreCorrupt, StoreError, StoreFull
from tiphys.store.memory import MemoryStore
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server


class BreakableStore(MemoryStore):
    """A real store whose writes can be made to fail, and whose watch can be torn."""

    fault: StoreError | None = None

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> Revision:
        self._fail()
        return await super().create(key, value, ttl=ttl)

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        self._fail()
        return await super().update(key, value, expected=expected)

    async def delete(self, key: str, *, expected: Revision | None = None) -> Event:
        if not isinstance(self.fault, StoreFull):
            self._fail()
        return await super().delete(key, expected=expected)

    async def list(self, prefix: str, **where: Any) -> Any:
        if not isinstance(self.fault, StoreFull):
            self._fail()
        return await super().list(prefix, **where)

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def store() -> BreakableStore:
    return BreakableStore()


@pytest.fixture
async def api(keys: Path, store: BreakableStore) -> AsyncIterator[Api]:
    async with running_api_server(keys, store=store) as (server, _):
        yield Api(server)
        store.fault = None


async def writes(api: Api) -> list[Answer]:
    return [
        await api.post(CONFIGS, config("new")),
        await api.put(f"{CONFIGS}/a", config("a", x="2")),
        await api.patch(f"{CONFIGS}/a", {"data": {"x": "3"}}),
    ]


async def test_a_full_store_says_so_and_can_be_emptied(api: Api, store: BreakableStore) -> None:
    await api.post(CONFIGS, config("a", x="1"))
    store.fault = StoreFull("the size limit of 8 GiB is reached; delete objects or raise --store-quota")
    for answer in await writes(api):
        assert (answer.status, answer.reason) == (507, "InsufficientStorage")
        assert "the size limit of 8 GiB is reached" in answer.message
    assert (await api.get(f"{CONFIGS}/a")).doc["data"] == {"x": "1"}
    assert (await api.delete(f"{CONFIGS}/a")).status == 200
    store.fault = None
    assert (await api.post(CONFIGS, config("a"))).status == 201


@pytest.mark.parametrize(
    ("fault", "status", "reason", "said"),
    [
        (StoreCorrupt("page 7 is damaged", "tiphys snapshot restore"), 500, "InternalError", "tiphys snapshot restore"),
        (StoreClosed("the store was closed"), 503, "ServiceUnavailable", "shutting down"),
        (StoreError("the disk is gone"), 503, "ServiceUnavailable", "the disk is gone"),
    ],
)
async def test_other_faults(
    api: Api, store: BreakableStore, caplog: pytest.LogCaptureFixture, fault: StoreError, status: int, reason: str, said: str
) -> None:
    caplog.set_level(logging.INFO)
    await api.post(CONFIGS, config("a", x="1"))
    store.fault = fault
    for answer in [*await writes(api), await api.delete(f"{CONFIGS}/a")]:
        assert (answer.status, answer.reason) == (status, reason)
        assert said in answer.message
    assert (await api.get(f"{CONFIGS}/a")).doc["data"] == {"x": "1"}
    assert (await api.get(CONFIGS)).names == ["a"]
    page = await api.get(f"{CONFIGS}?resourceVersion={(await api.get(CONFIGS)).version}&resourceVersionMatch=Exact")
    assert (page.status, page.reason) == (status, reason)
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_failed_write_of_a_service_frees_its_address(api: Api, store: BreakableStore) -> None:
    store.fault = StoreFull("full")
    assert (await api.post(SERVICES, service("a", clusterIP="10.43.7.7"))).status == 507
    store.fault = None
    assert (await api.post(SERVICES, service("a", clusterIP="10.43.7.7"))).status == 201


async def test_following_is_taken_up_again_when_the_store_is_back(api: Api, store: BreakableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "RETRY_SECONDS", 0.01)
    await api.post(CONFIGS, config("a"))
    async with api.watch(f"{CONFIGS}?watch=1") as events:
        assert await events.take(1) == [("ADDED", "a")]
        store.fault = StoreError("no route to the store")
        # The watch falls behind by a push that is more than its buffer, and the list that should follow fails.
        for group in store._hub._watches.values():
            for watch in group:
                watch._lagged = 1
                watch._wake()
        await eventually(lambda: "no route to the store" in api.server.storage.trouble)
        assert (await api.get("/readyz")).status == 500
        assert (await api.get(CONFIGS)).names == ["a"]
        store.fault = None
        writing = asyncio.create_task(api.post(CONFIGS, config("b")))
        await eventually(lambda: not api.server.storage.trouble)
        assert (await writing).status == 201
        assert (await api.get("/readyz")).status == 200
        assert (await api.get(CONFIGS)).names == ["a", "b"]
        assert await events.next() is None


async def test_a_server_that_stops_leaves_nobody_waiting(keys: Path) -> None:
    async with running_api_server(keys) as (server, _):
        api = Api(server)
        ahead = asyncio.create_task(api.get(f"{CONFIGS}?resourceVersion={server.storage.revision + 5}"))
        async with api.watch(f"{CONFIGS}?watch=1") as events:
            await asyncio.sleep(0)
            await server.stop(grace=0.1)
            assert await events.next() is None
        answer = await ahead
        assert (answer.status, answer.reason) == (503, "ServiceUnavailable")
        assert (await api.post(CONFIGS, config("late"))).reason == "ServiceUnavailable"
        async with api.watch(f"{CONFIGS}?watch=1") as events:
            assert await events.rest() == []
