"""The loop of storage capacity, against the real API server."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.unit.sidecar.driver import GI, NAME, ScriptedDriver, facts
from tests.unit.sidecar.make import storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.api.machinery.quantity import whole
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import CSINode, CSINodeDriver, CSINodeSpec, CSIStorageCapacity, StorageClass
from tiphys.client.client import Client
from tiphys.sidecar.capacity.controller import CapacityController
from tiphys.sidecar.capacity.plan import MANAGER_LABEL
from tiphys.sidecar.settings import CapacitySettings, ProvisionSettings
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

ZONE = "topology.example.com/zone"
SERVICES = ("CONTROLLER_SERVICE", "VOLUME_ACCESSIBILITY_CONSTRAINTS")


def loop(driver: ScriptedDriver, node: str = "") -> partial[CapacityController]:
    known = facts(services=SERVICES)
    return partial(CapacityController, driver, known, ProvisionSettings(node=node), CapacitySettings(enabled=True), "default")


def add_node(api: MemoryApi, name: str, zone: str) -> None:
    entry = CSINodeDriver(name=NAME, nodeID=name, topologyKeys=[ZONE])
    api.add(
        core.Node(metadata=ObjectMeta(name=name, labels={ZONE: zone})),
        CSINode(metadata=ObjectMeta(name=name), spec=CSINodeSpec(drivers=[entry])),
    )


def table(api: MemoryApi) -> list[tuple[str, str, int]]:
    """Class, zone and bytes of each object."""
    return sorted(
        (one.storageClassName, one.nodeTopology.matchLabels[ZONE] if one.nodeTopology else "", whole(one.capacity or "0"))
        for one in api.list(CSIStorageCapacity)
    )


async def test_one_object_for_each_class_at_each_place(api: MemoryApi) -> None:
    driver = ScriptedDriver(room=5 * GI)
    for name, zone in (("n1", "a"), ("n2", "a"), ("n3", "b")):
        add_node(api, name, zone)
    api.add(storage_class(late=True), storage_class("now"))
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: table(api) == [("fast", "a", 5 * GI), ("fast", "b", 5 * GI)])
        driver.room = 4 * GI
        await eventually(lambda: table(api) == [("fast", "a", 4 * GI), ("fast", "b", 4 * GI)], timeout=90)
        driver.room = 3 * GI
        api.add(volume())
        # Sooner than at the next regular time.
        await eventually(lambda: table(api) == [("fast", "a", 3 * GI), ("fast", "b", 3 * GI)], timeout=5)
        api.remove(core.Node, "n3")
        await eventually(lambda: table(api) == [("fast", "a", 3 * GI)])
        await api.client().delete(StorageClass, "fast")
        await eventually(lambda: table(api) == [])


async def test_a_node_counts_as_soon_as_the_driver_is_registered_there(api: MemoryApi) -> None:
    """The kubelet labels the node first, so the last thing to change is the CSINode."""
    api.add(storage_class(late=True))
    async with running_loops(api.client(), loop(ScriptedDriver(room=5 * GI))):
        api.add(CSINode(metadata=ObjectMeta(name="n1"), spec=CSINodeSpec(drivers=[])))
        api.add(core.Node(metadata=ObjectMeta(name="n1", labels={ZONE: "a"})))
        await asyncio.sleep(1)
        assert table(api) == []
        registered = CSINodeDriver(name=NAME, nodeID="n1", topologyKeys=[ZONE])
        csi_node = api.get(CSINode, "n1")
        csi_node.spec.drivers = [registered]
        await api.client().update(csi_node)
        await eventually(lambda: table(api) == [("fast", "a", 5 * GI)], timeout=5)


async def test_a_node_looks_after_its_own_place(api: MemoryApi) -> None:
    driver = ScriptedDriver(room=5 * GI)
    add_node(api, "n1", "a")
    add_node(api, "n2", "b")
    api.add(storage_class(late=True))
    async with running_loops(api.client(), loop(driver, "n1"), loop(driver, "n2")):
        await eventually(lambda: table(api) == [("fast", "a", 5 * GI), ("fast", "b", 5 * GI)])
    managers = {one.metadata.labels[MANAGER_LABEL] for one in api.list(CSIStorageCapacity)}
    assert managers == {"external-provisioner-n1", "external-provisioner-n2"}


async def test_no_crash_makes_two_of_one() -> None:
    driver = ScriptedDriver(room=5 * GI)

    async def prepare(api: MemoryApi) -> None:
        add_node(api, "n1", "a")
        add_node(api, "n2", "b")
        api.add(storage_class(late=True))

    def check(api: MemoryApi) -> bool:
        return table(api) == [("fast", "a", 5 * GI), ("fast", "b", 5 * GI)]

    async def run(client: Client) -> None:
        await run_loops(client, loop(driver))

    assert await crash_between_writes(prepare=prepare, run=run, check=check) >= 2
