"""CPUs that containers own, in real containers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.node.host.cpuset import format_cpus
from tiphys.testing.eventually import eventually

ALL = frozenset(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(ALL) < 2, reason="needs two CPUs: one is reserved")


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    options = {
        "cpu_policy": "static",
        "kube_reserved": {"cpu": "1"},
        "cpu_reconcile_period": 600.0,
        "topology_policy": "single-numa-node",
    }
    async with Node.running(node_machine, tmp_path, **options) as made:
        yield made


def owner(**more: Any) -> dict[str, Any]:
    size = {"cpu": "1", "memory": "32Mi"}
    return {"command": ["sleep", "1000"], "resources": {"requests": size, "limits": size}, **more}


async def cpus(node: Node, pod: str) -> str:
    return (await node.exec("grep", "Cpus_allowed_list", "/proc/1/status", pod=pod)).split()[1]


async def cpus_become(node: Node, pod: str, expected: frozenset[int]) -> None:
    async def check() -> bool:
        return await cpus(node, pod) == format_cpus(expected)

    assert await eventually(check)


async def test_an_owner_has_its_cpu_alone(node: Node) -> None:
    await node.run("shared")
    await node.phase("Running", "shared")
    assert await cpus(node, "shared") == format_cpus(ALL)

    await node.run("owner", owner())
    await node.phase("Running", "owner")
    own = await cpus(node, "owner")
    rest = frozenset(ALL - {int(own)})
    await cpus_become(node, "shared", rest)
    quota = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max"
    assert (await node.exec("sh", "-c", quota, pod="owner")).strip() in ("-1", "max")

    # A restart gives the same answer; ephemeral and new containers share the rest.
    await node.kill()
    await node.start()
    assert await cpus(node, "owner") == own
    await node.run("late")
    await node.phase("Running", "late")
    assert await cpus(node, "late") == format_cpus(rest)
    await node.kill_process(pod="owner")

    def restarted() -> bool:
        return node.status(pod="owner").restartCount == 1 and node.status(pod="owner").state.running is not None

    assert await eventually(restarted)
    assert await cpus(node, "owner") == own

    await node.client.delete(core.Pod, "owner", "default")
    await cpus_become(node, "shared", ALL)
    await cpus_become(node, "late", ALL)


async def test_a_pod_without_room_is_refused(node: Node) -> None:
    count = len(ALL)
    await node.run("large", owner(resources={"limits": {"cpu": str(count), "memory": "32Mi"}}))
    failed = await node.phase("Failed", "large")
    assert failed.status.reason == "OutOfcpu"
