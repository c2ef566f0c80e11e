"""Leftovers of pods that nobody knows, while the kubelet runs."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from tests.e2e.node.cluster import Node
from tiphys.node.garbage import kept_logs, network
from tiphys.node.runtime import cgroups
from tiphys.node.volumes import mounts
from tiphys.testing.eventually import eventually

UID = "11111111-2222-3333-4444-555555555555"


def left_behind(node: Node) -> list[Path]:
    """Make what a pod leaves whose kubelet was killed: a mounted volume, control groups, logs."""
    secret = node.settings.root / "pods" / UID / "volumes" / "kubernetes.io~secret" / "s"
    secret.mkdir(parents=True)
    mounts.tmpfs(secret)
    (secret / "key").write_text("x")
    group = cgroups.pod_path(node.settings.cgroup_parent, "Burstable", UID)
    cgroups.ensure(group)
    logs = node.settings.logs / f"default_gone_{UID}" / "main"
    logs.mkdir(parents=True)
    (logs / "0.log").write_text("2026-01-01T00:00:00.000000000Z stdout F bye\n")
    return [node.settings.root / "pods" / UID, *cgroups.directories(group), logs.parent]


async def test_leftovers_go_while_the_kubelet_runs_and_pods_are_untouched(node: Node) -> None:
    assert node.kubelet is not None
    await node.run()
    await node.ready()
    pid, points = await node.pid(), node.mounts()
    left = left_behind(node)
    await node.kubelet.garbage.collect_orphans()
    await eventually(lambda: not any(path.exists() for path in left), timeout=20)
    assert (await node.pid(), node.mounts()) == (pid, points)
    assert node.status().restartCount == 0
    assert [log.pod for log in kept_logs.kept_logs(node.settings.logs)] == ["gone"], "its logs are those of a deleted pod"


async def test_networks_without_a_sandbox_go_and_those_of_pods_stay(node: Node) -> None:
    assert node.kubelet is not None
    orphans = node.kubelet.garbage.orphans
    await node.run()
    await node.ready()
    state = node.machine.supervisor.state
    conf_dir = node.machine.supervisor.cni_conf_dir
    spaces, addresses = network.namespaces(state), network.reservations(conf_dir)
    assert len(spaces) == len(addresses) == 1
    space = state / network.NETNS / f"cni-{secrets.token_hex(4)}"
    space.touch()
    process = await asyncio.create_subprocess_exec("unshare", f"--net={space}", "true")
    assert await process.wait() == 0
    address = next(iter(addresses)).parent / "10.255.255.1"
    address.write_text("gone\r\neth0")
    await orphans.look()
    assert space.exists()
    assert address.exists(), "it may belong to a sandbox that is being made"
    orphans.patience = 0.0
    await orphans.look()
    assert network.namespaces(state) == spaces
    assert network.reservations(conf_dir) == addresses
    assert not mounts.is_mount(space)
    assert node.status().restartCount == 0
