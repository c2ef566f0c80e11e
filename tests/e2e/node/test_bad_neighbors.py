"""Pods that misbehave: their neighbors keep working, the node stays whole, and the pod says what was wrong.

Every offender is bounded in what it can take: by its limits, and by an end of its own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.node.registry import Registry
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.node.runtime import cgroups
from tiphys.testing.eventually import eventually

PIDS = 64
"""Processes that a pod may have here."""
BOMB = "(i=0; while [ $i -lt 4000 ]; do sleep 100 & i=$((i+1)); done); exec sleep 1000"
"""Starts processes as fast as it can. Without a limit it would end at 4,000."""


@pytest.fixture
async def crowded(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    """A node where pods may have few processes, with a neighbor that is probed every second."""
    async with Node.running(node_machine, tmp_path, pod_max_pids=PIDS) as node:
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1}
        await node.run("neighbor", {"command": ["sleep", "1000"], "readinessProbe": probe, "livenessProbe": probe})
        await node.ready("neighbor")
        yield node
        status = node.status(pod="neighbor")
        assert (status.ready, status.restartCount) == (True, 0)
        assert await node.exec("echo", "well", pod="neighbor") == "well\n"
        assert is_true(node.api.get(core.Node, node.name).status.conditions, "Ready")


async def end(node: Node, pod: str) -> None:
    """Delete a pod and wait until it is gone."""
    await node.client.delete(core.Pod, pod, "default")
    await eventually(lambda: gone(node, pod), timeout=30)


def gone(node: Node, pod: str) -> bool:
    assert node.api.find(core.Pod, pod, "default") is None
    return True


async def failed_pull(node: Node, pod: str) -> str:
    """The message of a container once its image could not be pulled: the next look may already find the back-off."""

    def check() -> str:
        state = node.status(pod=pod).state.waiting
        assert state is not None
        assert state.reason in ("ErrImagePull", "ImagePullBackOff")
        return state.message

    return await eventually(check, timeout=30)


async def test_a_fork_bomb_stays_within_its_pod(crowded: Node) -> None:
    await crowded.run("bomb", {"command": ["sh", "-c", BOMB]}, restartPolicy="Never")
    await crowded.ready("bomb")
    uid = crowded.pod("bomb").metadata.uid

    def full() -> int:
        counted = [int((group / "pids.current").read_text()) for group in groups(crowded, uid)]
        assert max(counted) > PIDS * 3 // 4, counted
        return max(counted)

    assert await eventually(full) <= PIDS
    await eventually(lambda: refused(crowded))
    await end(crowded, "bomb")
    await eventually(lambda: no_groups(crowded, uid))


def refused(node: Node) -> bool:
    assert "can't fork" in node.log(pod="bomb")
    return True


def no_groups(node: Node, uid: str) -> bool:
    assert groups(node, uid) == []
    return True


def groups(node: Node, uid: str) -> list[Path]:
    """The control groups that count the processes of a pod."""
    home = cgroups.hierarchies(cgroups.ROOT)["" if cgroups.is_v2() else "pids"]
    return [path for path in home.joinpath(node.settings.cgroup_parent.strip("/")).glob(f"**/*{uid}") if path.is_dir()]


async def test_memory_without_end_is_the_container_s_own_problem(crowded: Node) -> None:
    limits = {"limits": {"memory": "24Mi"}}
    await crowded.run("greedy", {"command": ["sh", "-c", "tail /dev/zero"], "resources": limits}, restartPolicy="Never")
    await crowded.phase("Failed", "greedy")
    ended = crowded.status(pod="greedy").state.terminated
    assert ended is not None
    assert (ended.reason, ended.exitCode) == ("OOMKilled", 137)


async def test_endless_logs_end_at_the_limit_of_the_disk(crowded: Node) -> None:
    chatty = "i=0; while [ $i -lt 4000 ]; do head -c 8000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done; sleep 1000"
    limits = {"limits": {"ephemeral-storage": "4Mi"}}
    await crowded.run("chatty", {"command": ["sh", "-c", chatty], "resources": limits})
    pod = await eventually(lambda: failed(crowded, "chatty"), timeout=60)
    assert pod.status.reason == "Evicted"
    assert "ephemeral local storage usage exceeds the total limit of containers 4Mi" in pod.status.message


def failed(node: Node, name: str) -> core.Pod:
    pod = node.pod(name)
    assert pod.status.phase == "Failed", pod.status
    return pod


async def test_probes_and_hooks_that_hang_are_cut_short(crowded: Node) -> None:
    hang = {"exec": {"command": ["sleep", "1000"]}}
    container: dict[str, Any] = {
        "command": ["sleep", "1000"],
        "livenessProbe": {**hang, "timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 1},
        "lifecycle": {"preStop": hang},
    }
    await crowded.run("stuck", container, terminationGracePeriodSeconds=2)

    def restarted() -> bool:
        assert crowded.status(pod="stuck").restartCount >= 1
        return True

    await eventually(restarted, timeout=40)
    assert any("timed out" in message for message in crowded.events("Unhealthy"))
    await end(crowded, "stuck")


async def test_a_broken_image_says_what_is_broken(crowded: Node, node_machine: Machine, tmp_path: Path) -> None:
    async with Registry.running(node_machine, tmp_path) as registry:
        layer = registry.break_layer()
        await crowded.run("broken", {"image": registry.image("team/broken:1"), "command": ["true"]})
        message = await failed_pull(crowded, "broken")
        assert layer in message
        registry.replace_manifest(json.dumps({"schemaVersion": 2, "config": "nonsense"}).encode())
        await crowded.run("nonsense", {"image": registry.image("team/nonsense:1"), "command": ["true"]})
        assert "Manifest.config" in await failed_pull(crowded, "nonsense")
        await end(crowded, "broken")
        await end(crowded, "nonsense")
