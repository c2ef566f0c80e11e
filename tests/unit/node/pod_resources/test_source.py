"""Sources of the PodResources API."""

from __future__ import annotations

from pathlib import Path

from tests.unit.node.make import pod
from tests.unit.node.resources.machines import machine
from tiphys.node.pod_resources.pb import podresources_pb2 as pb
from tiphys.node.pod_resources.source import CpuSource, MemorySource
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.resources.cpu.options import read_options
from tiphys.node.resources.memory.book import Store
from tiphys.node.resources.memory.manager import MemoryManager


async def test_shows_the_cpus_that_a_container_has_for_itself(tmp_path: Path) -> None:
    manager = CpuManager(machine(sockets=1, nodes=1, cores=2, threads=2), frozenset((0,)), read_options({}), tmp_path)
    await manager.start(())
    size = {"cpu": "2", "memory": "1Gi"}
    it = pod({"name": "main", "resources": {"requests": size, "limits": size}}, metadata={"uid": "u1"})
    await manager.assign(it, it.spec.containers[0], None)
    source = CpuSource(manager)
    assert source.container("u1", "main") == pb.ContainerResources(cpu_ids=[1, 3])
    assert source.container("u1", "other") == pb.ContainerResources()
    assert source.allocatable() == pb.AllocatableResourcesResponse(cpu_ids=[1, 2, 3])


async def test_shows_the_memory_that_a_container_owns(tmp_path: Path) -> None:
    stores = {"memory": Store(4 << 30, 1 << 30, 3 << 30), "hugepages-2Mi": Store(0, 0, 0)}
    manager = MemoryManager({0: stores, 1: stores}, tmp_path)
    size = {"cpu": "1", "memory": "4Gi"}
    it = pod({"name": "main", "resources": {"requests": size, "limits": size}}, metadata={"uid": "u1"})
    await manager.assign(it, it.spec.containers[0], None)
    source = MemorySource(manager)
    both = pb.TopologyInfo(nodes=[pb.NUMANode(ID=0), pb.NUMANode(ID=1)])
    assert source.container("u1", "main").memory == [pb.ContainerMemory(memory_type="memory", size=4 << 30, topology=both)]
    assert source.container("u1", "other") == pb.ContainerResources()
    allocatable = source.allocatable().memory
    assert [(one.memory_type, one.size, one.topology.nodes[0].ID) for one in allocatable] == [
        ("memory", 3 << 30, 0),
        ("memory", 3 << 30, 1),
    ]
