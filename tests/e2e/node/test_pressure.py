"""Eviction on a small disk of its own: what nobody uses goes before a pod does ("Node-pressure Eviction")."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.node.test_garbage import holds, image
from tests.e2e.runtime.machine import Machine, running_machine
from tests.integration.node.local_path.scratch import needs_loop_devices
from tiphys.api.core import v1 as core
from tiphys.testing.eventually import eventually

pytestmark = needs_loop_devices
MIB = 1 << 20
DISK = 700 * MIB
THRESHOLD = 200 * MIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Machine]:
    """A containerd whose directories are on a file system of their own."""
    machine = Machine.new()
    backing = tmp_path / "disk"
    with backing.open("wb") as file:
        file.truncate(DISK)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", backing], check=True)
    subprocess.run(["mount", "-o", "loop", backing, machine.directory], check=True)
    try:
        with running_machine(machine):
            yield machine
    finally:
        subprocess.run(["umount", machine.directory], check=True)
        machine.remove()


@pytest.fixture
async def node(small_disk: Machine) -> AsyncIterator[Node]:
    hard = {"nodefs.available": str(THRESHOLD)}
    async with Node.running(small_disk, small_disk.directory / "kubelet", eviction_hard=hard, eviction_transition=1.0) as made:
        yield made


async def test_unused_images_go_and_then_the_pod_that_filled_the_disk(node: Node, tmp_path: Path) -> None:
    assert node.kubelet is not None
    evictions = node.kubelet.evictions
    unused = await image(node, tmp_path, size=60 * MIB)
    await node.run("modest", {"command": ["sleep", "1000"]})
    main = {"command": ["sleep", "1000"], "volumeMounts": [{"name": "x", "mountPath": "/x"}]}
    greedy = await node.run("greedy", main, volumes=[{"name": "x", "emptyDir": {}}])
    for name in ("modest", "greedy"):
        await node.ready(name)
    volume = node.kubelet.services.volumes.paths(greedy.metadata.uid).volume(greedy.spec.volumes[0])

    free = evictions.signals.levels()["nodefs.available"].available
    write(volume / "first", free - THRESHOLD + 10 * MIB)
    await eventually(lambda: gone(node, unused), timeout=60)
    await eventually(lambda: evictions.pressure.acting == () and evictions.pressure.conditions == (), timeout=60)
    assert all(one.status.phase == "Running" for one in node.api.list(core.Pod))
    (threshold,) = [one.message for one in node.api.list(core.Event) if one.reason == "EvictionThresholdMet"]
    assert threshold.startswith("Attempting to reclaim ephemeral-storage. Largest directories: ")
    assert str(volume) in threshold

    free = evictions.signals.levels()["nodefs.available"].available
    write(volume / "second", free - THRESHOLD + 10 * MIB)
    await eventually(lambda: node.api.get(core.Pod, "greedy", "default").status.phase == "Failed", timeout=60)
    status = node.api.get(core.Pod, "greedy", "default").status
    assert status.reason == "Evicted"
    assert status.message.startswith("The node was low on resource: ephemeral-storage. Threshold quantity: 209715200, available: ")
    await eventually(lambda: evictions.pressure.conditions == (), timeout=60)
    assert not volume.exists()
    assert node.api.get(core.Pod, "modest", "default").status.phase == "Running"


async def gone(node: Node, name: str) -> bool:
    return not await holds(node, name)


def write(path: Path, size: int) -> None:
    subprocess.run(["fallocate", "-l", str(size), path], check=True)
