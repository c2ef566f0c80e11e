"""IPAddresses of Services and the ranges they come from (KEP-1880)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.apiserver.api import MERGE, SERVICES, Api, Doc, service
from tiphys.apiserver.server import ApiServer
from tiphys.store.memory import MemoryStore
from tiphys.store.sqlite import SqliteStore
from tiphys.testing.api_server import running_api_server

NETWORKING = "/apis/networking.k8s.io/v1"
ADDRESSES, RANGES = f"{NETWORKING}/ipaddresses", f"{NETWORKING}/servicecidrs"
RANGE = "10.96.0.0/28"


@pytest.fixture
async def server(keys: Path, tmp_path: Path) -> AsyncIterator[ApiServer]:
    # A store whose commits take a while: writes of the same moment meet in it.
    async with running_api_server(keys, store=SqliteStore(tmp_path / "server.db"), service_range=RANGE) as (server, _):
        yield server


@pytest.fixture
async def api(server: ApiServer) -> Api:
    return Api(server)


async def addresses(api: Api) -> set[str]:
    return set((await api.get(ADDRESSES)).names)


def address(ip: str, name: str = "n", **meta: Any) -> Doc:
    return {"metadata": {"name": ip, **meta}, "spec": {"parentRef": {"group": "", "resource": "services", "namespace": "x", "name": name}}}


async def ready(api: Api, name: str, *cidrs: str) -> None:
    """A range that a controller has found usable."""
    made = await api.post(RANGES, {"metadata": {"name": name}, "spec": {"cidrs": list(cidrs)}})
    assert made.status == 201, made.body
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "", "message": ""}
    body = {"status": {"conditions": [condition]}}
    assert (await api.patch(f"{RANGES}/{name}/status", body, MERGE)).status == 200


async def test_the_range_of_the_settings_is_there_and_ready(api: Api) -> None:
    found = (await api.get(f"{RANGES}/kubernetes")).doc
    assert found["spec"] == {"cidrs": [RANGE]}
    [condition] = found["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["message"]) == ("Ready", "True", "Kubernetes default Service CIDR is ready")
    assert await addresses(api) == {"10.96.0.1", "10.96.0.10"}


async def test_an_address_comes_and_goes_with_its_service(api: Api) -> None:
    ip = (await api.post(SERVICES, service("a"))).doc["spec"]["clusterIP"]
    found = (await api.get(f"{ADDRESSES}/{ip}")).doc
    assert found["spec"] == {"parentRef": {"resource": "services", "namespace": "default", "name": "a"}}
    assert found["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    before = await addresses(api)
    assert (await api.post(SERVICES, service("a"))).reason == "AlreadyExists"
    assert (await api.post(f"{SERVICES}?dryRun=All", service("b"))).status == 201
    assert (await api.post(SERVICES, service("headless", clusterIP="None"))).status == 201
    assert await addresses(api) == before
    assert (await api.delete(f"{SERVICES}/a")).status == 200
    assert (await api.get(f"{ADDRESSES}/{ip}")).status == 404


async def test_an_address_goes_when_the_service_has_no_more_use_for_it(api: Api) -> None:
    ip = (await api.post(SERVICES, service("a"))).doc["spec"]["clusterIP"]
    body = {"spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": None, "clusterIPs": None}}
    changed = await api.patch(f"{SERVICES}/a", body, MERGE)
    assert changed.status == 200, changed.body
    assert ip not in await addresses(api)
    back = await api.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP", "externalName": None}}, MERGE)
    assert back.doc["spec"]["clusterIP"] in await addresses(api)


async def test_a_service_with_finalizers_keeps_its_address_until_the_end(api: Api) -> None:
    made = await api.post(SERVICES, {**service("a"), "metadata": {"name": "a", "finalizers": ["x.y/z"]}})
    ip = made.doc["spec"]["clusterIP"]
    await api.delete(f"{SERVICES}/a")
    assert ip in await addresses(api)
    await api.patch(f"{SERVICES}/a", {"metadata": {"finalizers": None}}, MERGE)
    assert ip not in await addresses(api)


async def test_an_address_that_somebody_else_has_is_not_given_out(api: Api) -> None:
    assert (await api.post(ADDRESSES, address("10.96.0.5"))).status == 201
    refused = await api.post(SERVICES, service("a", clusterIP="10.96.0.5"))
    assert "failed to allocate IP 10.96.0.5: provided IP is already allocated" in refused.message
    made = [(await api.post(SERVICES, service(f"s{n}"))).doc["spec"]["clusterIP"] for n in range(11)]
    assert len(set(made) | {"10.96.0.5"}) == 12
    assert "range is full" in (await api.post(SERVICES, service("more"))).message


async def test_of_an_address_object_and_a_service_one_wins(api: Api) -> None:
    for n in range(2, 10):
        ip = f"10.96.0.{n}"
        by_hand, by_service = await asyncio.gather(api.post(ADDRESSES, address(ip)), api.post(SERVICES, service(f"s{n}", clusterIP=ip)))
        assert {by_hand.status, by_service.status} in ({201, 422}, {409, 201}), (by_hand.body, by_service.body)
        parent = (await api.get(f"{ADDRESSES}/{ip}")).doc["spec"]["parentRef"]["namespace"]
        assert parent == ("x" if by_hand.status == 201 else "default")


async def test_services_get_addresses_of_further_ranges(api: Api) -> None:
    refused = await api.post(SERVICES, service("a", clusterIP="10.97.0.5"))
    assert "failed to allocate IP 10.97.0.5: the provided network does not match the current range" in refused.message
    await ready(api, "more", "10.97.0.0/29", "2001:db8::/112")
    assert (await api.post(SERVICES, service("a", clusterIP="10.97.0.5"))).status == 201
    for n in range(12):
        assert (await api.post(SERVICES, service(f"s{n}"))).status == 201
    last = (await api.post(SERVICES, service("last"))).doc["spec"]["clusterIP"]
    assert last.startswith("10.97.0.")
    assert last in await addresses(api)


async def test_a_range_that_goes_gives_nothing_out(api: Api) -> None:
    await ready(api, "more", "10.97.0.0/29")
    await api.patch(f"{RANGES}/more", {"metadata": {"finalizers": ["networking.k8s.io/service-cidr-finalizer"]}}, MERGE)
    await api.delete(f"{RANGES}/more")
    refused = await api.post(SERVICES, service("a", clusterIP="10.97.0.5"))
    assert "the provided network does not match the current range" in refused.message


async def test_start_repairs_addresses_after_a_crash(keys: Path) -> None:
    store = MemoryStore()
    async with running_api_server(keys, store=store, service_range=RANGE) as (server, _):
        api = Api(server)
        made = [(await api.post(SERVICES, service(name))).doc["spec"]["clusterIP"] for name in "ab"]
        labels = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
        await api.delete(f"{ADDRESSES}/{made[0]}")
        await api.delete(f"{ADDRESSES}/{made[1]}")
        await api.post(ADDRESSES, address(made[1], "gone", labels=labels))
        fresh = next(ip for ip in (f"10.96.0.{n}" for n in range(2, 10)) if ip not in made)
        await api.post(ADDRESSES, address(fresh, "coming", labels=labels))
        await api.post(ADDRESSES, address("10.96.0.14"))
        await server.app.services.allocator.repair()
        assert await addresses(api) == {"10.96.0.1", "10.96.0.10", *made, fresh, "10.96.0.14"}
        for ip, name in zip(made, "ab", strict=True):
            assert (await api.get(f"{ADDRESSES}/{ip}")).doc["spec"]["parentRef"]["name"] == name
