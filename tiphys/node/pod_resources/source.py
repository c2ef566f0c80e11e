"""Sources of what the PodResources API shows: each manager of a kind of resources fills in its own part. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from tiphys.node.devices.device import NO_NODE, by_node
from tiphys.node.devices.manager import DeviceManager
from tiphys.node.pod_resources.pb import podresources_pb2 as pb
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.resources.memory.manager import MemoryManager


class Source(Protocol):
    """One kind of resources. What several sources return is added up."""

    def container(self, uid: str, name: str) -> pb.ContainerResources:
        """Return what a container owns; the name is filled in by the caller."""

    def allocatable(self) -> pb.AllocatableResourcesResponse:
        """Return what containers may own, whether somebody owns it or not."""


class DeviceSource:
    """Devices of plugins."""

    def __init__(self, manager: DeviceManager) -> None:
        self._manager = manager

    def container(self, uid: str, name: str) -> pb.ContainerResources:
        owned = sorted(self._manager.assignments.of(uid, name).items())
        devices = [
            _devices(resource, ident, node) for resource, assignment in owned for node, ids in assignment.devices.items() for ident in ids
        ]
        return pb.ContainerResources(devices=devices)

    def allocatable(self) -> pb.AllocatableResourcesResponse:
        return pb.AllocatableResourcesResponse(devices=list(self._healthy()))

    def _healthy(self) -> Iterator[pb.ContainerDevices]:
        for name, resource in sorted(self._manager.resources.items()):
            for node, ids in by_node(resource.healthy(), resource.listed).items():
                for ident in ids:
                    yield _devices(name, ident, node)


class CpuSource:
    """CPUs that containers have for themselves; without the static policy there is no such source."""

    def __init__(self, manager: CpuManager) -> None:
        self._manager = manager

    def container(self, uid: str, name: str) -> pb.ContainerResources:
        return pb.ContainerResources(cpu_ids=sorted(self._manager.owners.get(uid, {}).get(name, ())))

    def allocatable(self) -> pb.AllocatableResourcesResponse:
        return pb.AllocatableResourcesResponse(cpu_ids=sorted(self._manager.topology.cpus - self._manager.reserved))


class MemorySource:
    """Memory and huge pages that containers own; without the policy Static there is no such source."""

    def __init__(self, manager: MemoryManager) -> None:
        self._manager = manager

    def container(self, uid: str, name: str) -> pb.ContainerResources:
        owned = self._manager.owners.get(uid, {}).get(name, ())
        return pb.ContainerResources(memory=[_memory(block.resource, block.size, block.nodes) for block in owned])

    def allocatable(self) -> pb.AllocatableResourcesResponse:
        stores = [(node, name, store) for node, stores in sorted(self._manager.machine.items()) for name, store in stores.items()]
        return pb.AllocatableResourcesResponse(memory=[_memory(name, store.usable, {node}) for node, name, store in stores if store.usable])


def _memory(resource: str, size: int, nodes: Iterable[int]) -> pb.ContainerMemory:
    topology = pb.TopologyInfo(nodes=[pb.NUMANode(ID=node) for node in sorted(nodes)])
    return pb.ContainerMemory(memory_type=resource, size=size, topology=topology)


def _devices(resource: str, ident: str, node: int) -> pb.ContainerDevices:
    """Return one device at one node; as upstream, each of them is an entry of its own."""
    topology = pb.TopologyInfo(nodes=[pb.NUMANode(ID=node)]) if node != NO_NODE else None
    return pb.ContainerDevices(resource_name=resource, device_ids=[ident], topology=topology)
