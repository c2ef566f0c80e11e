"""Pods with claims for devices in virtual time: what is written before they are bound, and what happens when that fails."""

from __future__ import annotations

import pytest

from tests.unit.scheduler.device_world import claim, device, devices_on, exactly, gpu_class, pod_with_claims
from tests.unit.scheduler.make import node
from tests.unit.scheduler.test_loop import condition, node_of, running
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.resource.v1 import ResourceClaim, ResourceSlice
from tiphys.runtime import copied
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def message(api: MemoryApi, name: str) -> str:
    found = condition(api, name)
    return found.message if found is not None else ""


def given(api: MemoryApi, name: str) -> list[str]:
    allocation = api.get(ResourceClaim, name, "default").status.allocation
    return [result.device for result in allocation.devices.results] if allocation is not None else []


def users(api: MemoryApi, name: str) -> list[str]:
    return [one.name for one in api.get(ResourceClaim, name, "default").status.reservedFor]


async def test_allocates_reserves_and_binds(api: MemoryApi) -> None:
    api.add(node("n1"), node("n2"), gpu_class(), devices_on("n2", device("a")), claim("x"), pod_with_claims("p", "x"))
    async with running(api):
        await eventually(lambda: node_of(api, "p") == "n2")
    assert given(api, "x") == ["a"]
    assert users(api, "x") == ["p"]
    written = api.get(ResourceClaim, "x", "default")
    assert written.metadata.finalizers == ["resource.kubernetes.io/delete-protection"]
    assert written.status.allocation is not None
    assert written.status.allocation.allocationTimestamp is not None


async def test_two_pods_never_get_one_device(api: MemoryApi) -> None:
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a"), device("b")))
    for name in ("x", "y", "z"):
        api.add(claim(name), pod_with_claims(f"p{name}", name))
    async with running(api):
        await eventually(lambda: sum(node_of(api, f"p{name}") == "n1" for name in "xyz") == 2)
        (left,) = [name for name in "xyz" if not node_of(api, f"p{name}")]
        await eventually(lambda: "1 cannot allocate all claims" in message(api, f"p{left}"))
    assert sorted(given(api, name)[0] for name in "xyz" if name != left) == ["a", "b"]


async def test_pods_share_a_claim_where_its_devices_are(api: MemoryApi) -> None:
    api.add(node("n1"), node("n2"), gpu_class(), devices_on("n1", device("a")), claim("x"))
    api.add(pod_with_claims("p", "x"), pod_with_claims("q", "x"))
    async with running(api):
        await eventually(lambda: node_of(api, "p") == node_of(api, "q") == "n1")
    assert sorted(users(api, "x")) == ["p", "q"]


async def test_a_pod_waits_for_claim_class_and_devices(api: MemoryApi) -> None:
    api.add(node("n1"), pod_with_claims("p", "x"))
    async with running(api):
        await eventually(lambda: 'could not find resourceclaim "x"' in message(api, "p"))
        api.add(claim("x"))
        await eventually(lambda: "request gpu: device class gpu does not exist" in message(api, "p"))
        api.add(gpu_class())
        await eventually(lambda: "1 cannot allocate all claims" in message(api, "p"))
        api.add(devices_on("n1", device("a")))
        await eventually(lambda: node_of(api, "p") == "n1")


async def test_devices_that_a_claim_gives_back_go_to_who_waits(api: MemoryApi) -> None:
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a")), claim("x"), claim("y"), pod_with_claims("p", "x"))
    async with running(api):
        await eventually(lambda: node_of(api, "p") == "n1")
        api.add(pod_with_claims("q", "y"))
        await eventually(lambda: "cannot allocate all claims" in message(api, "q"))
        free = copied(api.get(ResourceClaim, "x", "default"))
        free.status.allocation, free.status.reservedFor = None, []
        await api.client().update(free, subresource="status")
        await eventually(lambda: node_of(api, "q") == "n1")


async def test_tells_why_a_selector_has_no_value(api: MemoryApi) -> None:
    text = 'device.attributes["gpu.example.com"].missing == 1'
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a")), claim("x", exactly(text=text)), pod_with_claims("p", "x"))
    async with running(api):
        await eventually(lambda: "1 claim default/x: selector #0: CEL runtime error" in message(api, "p"))


async def test_an_idle_claim_gives_up_devices_that_are_out_of_reach(api: MemoryApi) -> None:
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a")), claim("x"), pod_with_claims("p", "x"))
    async with running(api):
        await eventually(lambda: node_of(api, "p") == "n1")
    idle = copied(api.get(ResourceClaim, "x", "default"))
    idle.status.reservedFor = []
    await api.client().update(idle, subresource="status")
    api.add(node("n2"), devices_on("n2", device("b")), pod_with_claims("q", "x", nodeSelector={"kubernetes.io/hostname": "n2"}))
    async with running(api):
        await eventually(lambda: node_of(api, "q") == "n2")
    assert given(api, "x") == ["b"]


async def test_a_claim_that_cannot_be_written_is_tried_again(api: MemoryApi) -> None:
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a")), claim("x"), pod_with_claims("p", "x"))
    with api.faults.fail("update resourceclaims/status", errors.InternalError("disk full"), times=None):
        async with running(api):
            await eventually(lambda: 'running PreBind plugin "DynamicResources"' in message(api, "p"))
    async with running(api):
        await eventually(lambda: node_of(api, "p") == "n1")
    assert given(api, "x") == ["a"]


async def test_a_binding_that_is_refused_takes_the_reservation_back(api: MemoryApi) -> None:
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a")), claim("x"), pod_with_claims("p", "x"))
    with api.faults.fail("create pods/binding", errors.Conflict("no"), times=None):
        async with running(api):
            await eventually(lambda: given(api, "x") == ["a"])
            await eventually(lambda: users(api, "x") == [])
    async with running(api):
        await eventually(lambda: node_of(api, "p") == "n1")
    assert users(api, "x") == ["p"]


async def test_slices_that_go_take_their_devices_away(api: MemoryApi) -> None:
    api.add(node("n1"), gpu_class(), devices_on("n1", device("a")))
    async with running(api):
        await api.client().delete(ResourceSlice, "n1-1")
        api.add(claim("x"), pod_with_claims("p", "x"))
        await eventually(lambda: "cannot allocate all claims" in message(api, "p"))
    assert api.get(core.Pod, "p", "default").spec.nodeName == ""
