"""Memory of NUMA nodes that containers own, in real containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine
from tiphys.node.host.cpuset import format_cpus
from tiphys.node.host.machine import numa_nodes

pytestmark = pytest.mark.skipif(len(numa_nodes()) > 1, reason="the test expects all memory on one node")


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    options = {
        "kube_reserved": {"memory": "512Mi"},
        "eviction_hard": {"memory.available": "100Mi"},
        "memory_policy": "Static",
        "reserved_node_memory": {"0:memory": "612Mi"},
        "topology_policy": "single-numa-node",
    }
    async with Node.running(node_machine, tmp_path, **options) as made:
        yield made


async def test_an_owner_runs_on_its_node(node: Node) -> None:
    size = {"cpu": "100m", "memory": "32Mi"}
    it = await node.run("owner", {"command": ["sleep", "1000"], "resources": {"limits": size, "requests": size}})
    await node.phase("Running", "owner")
    allowed = await node.exec("grep", "Mems_allowed_list", "/proc/1/status", pod="owner")
    assert allowed.split()[1] == format_cpus(numa_nodes())
    state = (node.settings.root / "memory_manager_state").read_text()
    assert f'"{it.metadata.uid}":{{"main":[{{"numaAffinity":[0],"type":"memory","size":33554432}}]}}' in state
    await node.kill()
    await node.start()
    assert (node.settings.root / "memory_manager_state").read_text() == state
