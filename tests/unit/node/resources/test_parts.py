"""Managers of resources by the settings of a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.resources.machines import machine
from tiphys.node.host.cpuset import format_cpus
from tiphys.node.resources import parts
from tiphys.node.resources.checkpoint import CheckpointError
from tiphys.node.resources.memory.book import Store
from tiphys.node.resources.parts import ResourcesError
from tiphys.node.settings import NodeSettings

MI = 1 << 20


def settings(tmp_path: Path, **options: Any) -> NodeSettings:
    return NodeSettings(name="n", root=tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "cpus"),
    [
        ({"kube_reserved": {"cpu": "500m"}, "system_reserved": {"cpu": "600m"}}, "0,16"),
        ({"kube_reserved": {"cpu": "1"}}, "0"),
        ({"reserved_cpus": "4-5", "kube_reserved": {"cpu": "1"}}, "4-5"),
    ],
)
def test_reserved_cpus(tmp_path: Path, options: dict[str, Any], cpus: str) -> None:
    manager = parts.cpu_manager(settings(tmp_path, cpu_policy="static", **options), machine())
    assert manager is not None
    assert format_cpus(manager.reserved) == cpus


def test_refuses_settings_beyond_the_machine(tmp_path: Path) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"reserved_cpus": "30-40"}, "reservedSystemCPUs 30-40 is not a subset of online cpus 0-31"),
        ({"kube_reserved": {"cpu": "0"}}, "to be greater than zero"),
        ({"kube_reserved": {"cpu": "33"}}, "unable to reserve the required amount of CPUs"),
    ]
    for options, message in refused:
        with pytest.raises(ResourcesError, match=message):
            parts.cpu_manager(settings(tmp_path, cpu_policy="static", **options), machine())
    assert parts.cpu_manager(settings(tmp_path), machine()) is None
    assert parts.memory_manager(settings(tmp_path)) is None
    assert parts.topology_manager(settings(tmp_path)) is None


def write_node(root: Path, node: int, total: int, pages: int) -> None:
    directory = root / "node" / f"node{node}"
    (directory / "hugepages" / "hugepages-2048kB").mkdir(parents=True)
    (directory / "hugepages" / "hugepages-2048kB" / "nr_hugepages").write_text(f"{pages}\n")
    (directory / "meminfo").write_text(f"Node {node} MemTotal:       {total} kB\nNode {node} MemFree: 5 kB\n")


def test_memory_of_nodes(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "online").write_text("0-1\n")
    write_node(tmp_path, 0, 1 << 20, 10)
    write_node(tmp_path, 1, 1 << 19, 0)
    reserve = {"kube_reserved": {"memory": "100Mi"}, "eviction_hard": {"memory.available": "50Mi"}}
    node_memory = {"0:memory": "100Mi", "1:memory": "50Mi"}
    manager = parts.memory_manager(settings(tmp_path, memory_policy="Static", reserved_node_memory=node_memory, **reserve), tmp_path)
    assert manager is not None
    assert manager.machine[0] == {
        "memory": Store(1024 * MI, 100 * MI, (1024 - 100 - 20) * MI),
        "hugepages-2Mi": Store(20 * MI, 0, 20 * MI),
    }
    assert manager.machine[1]["memory"] == Store(512 * MI, 50 * MI, 462 * MI)
    for wrong, message in (
        ({"0:memory": "1Mi"}, f'the total amount "{MI}" of type "memory" in reservedMemory is not equal to the value "{150 * MI}"'),
        ({"7:memory": "150Mi"}, "reservedMemory has memory on NUMA node 7, which this machine lacks"),
    ):
        with pytest.raises(ResourcesError, match=message):
            parts.memory_manager(settings(tmp_path, memory_policy="Static", reserved_node_memory=wrong, **reserve), tmp_path)


def test_owners_of_another_policy_are_not_forgotten(tmp_path: Path) -> None:
    parts.refuse_other_policy(settings(tmp_path))
    (tmp_path / "cpu_manager_state").write_text('{"policyName":"static","defaultCpuSet":"0"}')
    parts.refuse_other_policy(settings(tmp_path))
    (tmp_path / "cpu_manager_state").write_text('{"policyName":"static","defaultCpuSet":"0","entries":{"a":{"c":"1"}}}')
    with pytest.raises(CheckpointError, match='configured policy "none" differs from state checkpoint policy "static"'):
        parts.refuse_other_policy(settings(tmp_path))
