"""Local volumes as the kubelet brings them to pods, with a node's rights."""

from __future__ import annotations

import asyncio
import random
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import MIB, block, create, filesystem, needs_loop_devices
from tests.unit.node.csi.world import mount, spec_of
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import HOSTNAME, LOCAL_PATH_DRIVER
from tiphys.csi.driver import Lent
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.csi.node import CsiNode
from tiphys.node.local_path import loop
from tiphys.node.local_path.driver import LocalPathDriver
from tiphys.runtime.informer import InformerFactory
from tiphys.testing import eventually
from tiphys.testing.memory_api import MemoryApi

pytestmark = needs_loop_devices


@asynccontextmanager
async def kubelet(api: MemoryApi, root: Path, driver: LocalPathDriver) -> AsyncIterator[CsiNode]:
    """The part of a kubelet that is for drivers, with ours in use; its end leaves the driver open."""
    client = api.client("system:node:n1", "system:nodes")
    informers = InformerFactory(client)
    informers.start()
    node = CsiNode(root, "n1", client, informers, api.clock, rng=random.Random(1))
    task = asyncio.create_task(node.run())
    try:
        await node.drivers.add(LOCAL_PATH_DRIVER, Lent(driver))
        yield node
    finally:
        await cancel_and_wait(task)
        await informers.stop()


def volume(answer: pb.CreateVolumeResponse, *, is_block: bool = False) -> core.PersistentVolume:
    name = answer.volume.volume_id
    source = core.CSIPersistentVolumeSource(driver=LOCAL_PATH_DRIVER, volumeHandle=name)
    mode = "Block" if is_block else "Filesystem"
    spec = core.PersistentVolumeSpec(csi=source, accessModes=["ReadWriteOnce"], volumeMode=mode)
    return core.PersistentVolume(metadata=ObjectMeta(name=name), spec=spec)


async def test_driver_shows_on_the_node(place: Path) -> None:
    async with MemoryApi.running(local_storage="disk") as api:
        api.add(core.Node(metadata=ObjectMeta(name="n1", labels={HOSTNAME: "n1"})))
        driver = LocalPathDriver(place / "storage", node="n1")
        async with kubelet(api, place / "node", driver):
            (shown,) = (await api.client().get(storage.CSINode, "n1")).spec.drivers or []
            assert (shown.name, shown.nodeID, shown.topologyKeys) == (LOCAL_PATH_DRIVER, "n1", [HOSTNAME])
        await driver.close()


@pytest.mark.parametrize("is_block", [False, True])
async def test_pods_find_the_data_of_pods_before(place: Path, is_block: bool) -> None:
    async with MemoryApi.running(local_storage="disk") as api:
        api.add(core.Node(metadata=ObjectMeta(name="n1", labels={HOSTNAME: "n1"})))
        driver = LocalPathDriver(place / "storage", node="n1")
        await driver.start()
        pv = volume(await driver.CreateVolume(create(capability=block() if is_block else filesystem())), is_block=is_block)
        for uid in ("first", "second"):
            # Each with a kubelet of its own.
            async with kubelet(api, place / "node", driver) as node:
                device, record = await mount(node, spec_of(pv, uid))
                path = node.plugin.paths.published_device(pv.metadata.name, uid) if is_block else Path(record.path)
                assert stat.S_ISBLK(path.stat().st_mode) == is_block
                file = path if is_block else path / "data"
                if uid == "first":
                    await asyncio.to_thread(write, file)
                assert await asyncio.to_thread(read, file) == b"precious"
                stats = await node.plugin.stats(record)
                assert stats is not None
                assert (stats.capacity or 0) <= 32 * MIB
                await node.plugin.unmount(record)
                await node.plugin.unmount_device(device)
            await eventually(lambda: loop.attached(place) == [])
        assert (await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=pv.metadata.name))) is not None
        assert list((place / "storage").iterdir()) == []
        await driver.close()


def write(path: Path) -> None:
    with path.open("r+b" if path.is_block_device() else "wb") as file:
        file.write(b"precious")


def read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
