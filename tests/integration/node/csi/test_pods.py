"""Pods with volumes of a driver behind a socket: the manager of volumes and the plugin together, with a kubelet's rights."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.node.csi.mounting import MountingDriver, mountable
from tests.integration.node.csi.plugged import plugged
from tests.integration.node.plugins.registrar import Registrar
from tests.unit.node.csi.scripted import ALL, NAME, ScriptedDriver
from tests.unit.node.csi.world import attachment_of, pod_of, volume_of
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.csi.server import served
from tiphys.node.csi.node import CsiNode
from tiphys.node.volumes import mounts
from tiphys.node.volumes.persistent import PersistentVolumes
from tiphys.runtime.informer import InformerFactory
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A kubelet's directory, below which nothing stays mounted."""
    with mountable(tmp_path):
        yield tmp_path


@pytest.fixture
async def api() -> AsyncIterator[MemoryApi]:
    async with MemoryApi.running(clock=LoopClock()) as running:
        running.add(core.Node(metadata=ObjectMeta(name="n1")))
        spec = storage.CSIDriverSpec(attachRequired=True, volumeLifecycleModes=["Persistent", "Ephemeral"])
        running.add(storage.CSIDriver(metadata=ObjectMeta(name=NAME), spec=spec))
        yield running


@asynccontextmanager
async def kubelet(api: MemoryApi, root: Path) -> AsyncIterator[tuple[PersistentVolumes, CsiNode, Registrar, list[str]]]:
    """The storage of a kubelet. Its end is that of a killed process."""
    client, clock = api.client("system:node:n1", "system:nodes"), LoopClock()
    informers = InformerFactory(client, clock=clock)
    nodes = informers.of(core.Node, fields="metadata.name=n1")
    events: list[str] = []

    def tell(obj: Any, type_: str, reason: str, message: str) -> None:
        events.append(f"{reason}: {message}")

    volumes = PersistentVolumes(root, "n1", client, clock, nodes, tell)
    volumes.first_pause, volumes.patience = 0.05, 20.0
    csi = CsiNode(root, "n1", client, informers, clock, rng=random.Random(1))
    volumes.plugins.append(csi.plugin)
    registrar = Registrar(NAME, str(root / "csi.sock"))
    informers.start()
    try:
        async with plugged(csi, root), registrar.served(root / "plugins_registry" / "reg.sock"):
            try:
                yield volumes, csi, registrar, events
            finally:
                await volumes.close()
    finally:
        await informers.stop()


def pod_with(api: MemoryApi, uid: str, *volumes: core.Volume) -> core.Pod:
    pod = pod_of(uid)
    pod.spec.volumes = list(volumes)
    api.add(pod)
    return pod


def claimed(api: MemoryApi, handle: str, *, block: bool = False) -> core.Volume:
    """A claim that is bound to a volume, as an entry of a pod."""
    pv = volume_of(handle, block=block)
    pv.spec.claimRef = core.ObjectReference(namespace="default", name=handle, uid=f"uid-{handle}")
    pv.status.phase = "Bound"
    mode = "Block" if block else "Filesystem"
    spec = core.PersistentVolumeClaimSpec(volumeName=pv.metadata.name, accessModes=["ReadWriteOnce"], volumeMode=mode)
    status = core.PersistentVolumeClaimStatus(phase="Bound")
    api.add(
        core.PersistentVolumeClaim(metadata=ObjectMeta(name=handle, namespace="default", uid=f"uid-{handle}"), spec=spec, status=status)
    )
    api.add(pv)
    source = core.PersistentVolumeClaimVolumeSource(claimName=handle)
    return core.Volume(name=handle, persistentVolumeClaim=source)


def attach(api: MemoryApi, *handles: str) -> None:
    """Attach volumes as the controller does, once the kubelet has named them as in use."""
    for handle in handles:
        api.add(attachment_of(handle, attached=True))
    node = api.get(core.Node, "n1")
    names = [f"kubernetes.io/csi/{NAME}^{handle}" for handle in handles]
    node.status.volumesInUse = names
    node.status.volumesAttached = [core.AttachedVolume(name=name, devicePath="") for name in names]
    api.add(node)


async def test_volumes_outlive_kubelets_and_leave_without_an_api_server(api: MemoryApi, root: Path) -> None:
    driver = MountingDriver(*ALL)
    inline = core.Volume(name="scratch", csi=core.CSIVolumeSource(driver=NAME))
    pod = pod_with(api, "u1", claimed(api, "files"), claimed(api, "disk", block=True), inline)
    async with served(driver, root / "csi.sock"):
        async with kubelet(api, root) as (volumes, _, _, _):
            starting = asyncio.create_task(volumes.set_up(pod, pod.spec.volumes))
            await eventually(lambda: len(volumes.in_use.names()) == 2)
            attach(api, "files", "disk")
            volumes.in_use.reported(volumes.in_use.names())
            paths = await starting
            assert mounts.is_mount(paths["files"])
            assert paths["disk"].is_block_device()
            (paths["files"] / "data").write_text("precious")
        async with kubelet(api, root) as (volumes, csi, registrar, _):
            await registrar.wait()
            # Nothing is mounted twice by a kubelet that finds what the last one mounted.
            before = len(driver.requests)
            assert await volumes.set_up(pod, pod.spec.volumes) == paths
            assert [request for request in driver.requests[before:] if "Publish" in type(request).__name__] == []
            assert (paths["files"] / "data").read_text() == "precious"
        api.faults.down = True
        async with kubelet(api, root) as (volumes, csi, _, _):
            await eventually(lambda: csi.drivers.names == [NAME])
            await volumes.tear_down("u1")
            await eventually(lambda: driver.staged == {})
            assert driver.published == {}
    assert mounts.mounts_below(root) == [str(root)]
    left = [path for path in (root / "pods").rglob("*") if not path.is_dir()]
    assert left == []


async def test_a_driver_that_is_not_there(api: MemoryApi, root: Path) -> None:
    pod = pod_with(api, "u1", core.Volume(name="scratch", csi=core.CSIVolumeSource(driver="nobody.example")))
    async with served(ScriptedDriver(), root / "csi.sock"), kubelet(api, root) as (volumes, _, _, events):
        starting = asyncio.create_task(volumes.set_up(pod, pod.spec.volumes))
        await eventually(lambda: events)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        assert 'MountVolume.NewMounter initialization failed for volume "scratch"' in events[0]
        # The pod can go at once: nobody was asked for anything.
        await volumes.tear_down("u1")
