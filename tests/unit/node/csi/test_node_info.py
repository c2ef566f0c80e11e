"""Drivers of a node as the API shows them."""

from __future__ import annotations

import json

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.storage import v1 as storage
from tiphys.node.csi.node_info import NODE_ID, DriverInfo, NodeInfo, NodeInfoError, csi_node_driver, node_patch, node_patch_without
from tiphys.testing.memory_api import MemoryApi

ZONED = DriverInfo(name="zoned.example", node_id="i-1", topology={"zoned.example/zone": "a"}, max_volumes=8)
PLAIN = DriverInfo(name="plain.example", node_id="n1")


def node_info(api: MemoryApi) -> NodeInfo:
    # With the rights of the kubelet.
    return NodeInfo(api.client("system:node:n1", "system:nodes"), VirtualClock(), "n1")


def add_node(api: MemoryApi) -> core.Node:
    api.add(core.Node(metadata=ObjectMeta(name="n1", labels={"kubernetes.io/hostname": "n1"})))
    return api.get(core.Node, "n1")


async def test_shows_and_removes_drivers(api: MemoryApi) -> None:
    node = add_node(api)
    info = node_info(api)
    await info.install(ZONED)
    await info.install(PLAIN)
    csi = api.get(storage.CSINode, "n1")
    assert csi.metadata.ownerReferences == [OwnerReference(apiVersion="v1", kind="Node", name="n1", uid=node.metadata.uid)]
    assert csi.spec.drivers == [
        storage.CSINodeDriver("zoned.example", "i-1", ["zoned.example/zone"], storage.VolumeNodeResources(count=8)),
        storage.CSINodeDriver("plain.example", "n1", []),
    ]
    node = api.get(core.Node, "n1")
    assert node.metadata.labels == {"kubernetes.io/hostname": "n1", "zoned.example/zone": "a"}
    assert json.loads(node.metadata.annotations[NODE_ID]) == {"zoned.example": "i-1", "plain.example": "n1"}
    await info.uninstall("zoned.example")
    await info.uninstall("plain.example")
    assert api.get(storage.CSINode, "n1").spec.drivers == []
    assert NODE_ID not in api.get(core.Node, "n1").metadata.annotations


async def test_writes_nothing_that_is_there_already(api: MemoryApi) -> None:
    add_node(api)
    await node_info(api).install(ZONED)
    api.calls.clear()
    info = node_info(api)
    await info.ensure()
    await info.install(ZONED)
    assert [str(call) for call in api.calls if call.writes] == []


async def test_the_number_of_volumes_changes(api: MemoryApi) -> None:
    add_node(api)
    info = node_info(api)
    await info.install(ZONED)
    for most, count in ((5, 5), (1 << 40, (1 << 31) - 1)):
        await info.update(DriverInfo(name=ZONED.name, node_id="i-1", topology=ZONED.topology, max_volumes=most))
        (driver,) = api.get(storage.CSINode, "n1").spec.drivers or []
        assert driver.allocatable == storage.VolumeNodeResources(count=count)


async def test_replaces_the_object_of_a_former_node(api: MemoryApi) -> None:
    node = add_node(api)
    former = OwnerReference(apiVersion="v1", kind="Node", name="n1", uid="former")
    spec = storage.CSINodeSpec(drivers=[csi_node_driver(PLAIN)])
    api.add(storage.CSINode(metadata=ObjectMeta(name="n1", ownerReferences=[former]), spec=spec))
    await node_info(api).ensure()
    csi = api.get(storage.CSINode, "n1")
    assert (csi.metadata.ownerReferences[0].uid, csi.spec.drivers) == (node.metadata.uid, [])


async def test_refuses_another_value_of_a_label(api: MemoryApi) -> None:
    api.add(core.Node(metadata=ObjectMeta(name="n1", labels={"zoned.example/zone": "b"})))
    with pytest.raises(NodeInfoError, match=r'detected topology value collision: driver reported "zoned.example/zone":"a" but existing'):
        await node_info(api).install(ZONED)
    assert NODE_ID not in api.get(core.Node, "n1").metadata.annotations


async def test_refuses_a_driver_without_a_name_for_the_node(api: MemoryApi) -> None:
    with pytest.raises(NodeInfoError, match="driverNodeID must not be empty"):
        await node_info(api).install(DriverInfo(name="d", node_id=""))


async def test_repeats_what_others_got_in_the_way_of(api: MemoryApi) -> None:
    add_node(api)
    info = node_info(api)
    await info.install(PLAIN)
    api.faults.conflict("update csinodes", times=3)
    api.faults.fail("patch nodes", ServiceUnavailable("later"), times=3)
    await info.install(ZONED)
    assert len(api.get(storage.CSINode, "n1").spec.drivers or []) == 2
    api.faults.conflict("update csinodes", times=4)
    with pytest.raises(NodeInfoError, match="error updating CSINode"):
        await info.update(DriverInfo(name=ZONED.name, node_id="i-1", topology=ZONED.topology))


async def test_an_annotation_that_is_no_json() -> None:
    node = core.Node(metadata=ObjectMeta(name="n1", annotations={NODE_ID: "{"}))
    with pytest.raises(NodeInfoError, match="failed to parse node's"):
        node_patch(node, PLAIN)
    with pytest.raises(NodeInfoError, match="failed to parse node's"):
        node_patch_without(node, "plain.example")
