"""The driver of NFS shares, with bind mounts in place of NFS."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.node.nfs_class.scratch import BindMounts, needs_root
from tiphys.csi.errors import AlreadyExists, Deadline, Failed, InvalidArgument, NotFound, Pending
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.nfs_class.driver import NfsDriver
from tiphys.node.volumes import mounts
from tiphys.node.volumes.nfs import NfsMounts
from tiphys.node.volumes.supervised import Supervised
from tiphys.testing.eventually import eventually

pytestmark = needs_root
Mode = pb.VolumeCapability.AccessMode


class Place:
    """A driver and the share of its class."""

    def __init__(self, directory: Path) -> None:
        self.share = directory / "exports" / "share"
        self.share.mkdir(parents=True)
        self.directory = directory
        self.commands = BindMounts(directory / "exports")
        self.processes = Supervised()
        self.nfs = NfsMounts(self.processes, self.commands)
        self.driver = NfsDriver(directory / "state", self.nfs, node="n1")

    def request(self, name: str, **parameters: str) -> pb.CreateVolumeRequest:
        return pb.CreateVolumeRequest(
            name=name,
            capacity_range=pb.CapacityRange(required_bytes=1 << 20),
            volume_capabilities=[capability("nfsvers=4.2")],
            parameters={"server": "nas.example", "share": "/share", **parameters},
        )

    async def create(self, name: str, **parameters: str) -> pb.Volume:
        return (await self.driver.CreateVolume(self.request(name, **parameters))).volume

    async def delete(self, volume: pb.Volume) -> None:
        await self.driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id))

    async def publish(self, volume: pb.Volume, target: Path, mode: Any = Mode.MULTI_NODE_MULTI_WRITER, *, read_only: bool = False) -> None:
        await self.driver.NodePublishVolume(
            pb.NodePublishVolumeRequest(
                volume_id=volume.volume_id, target_path=str(target), volume_capability=capability(mode=mode), readonly=read_only
            )
        )

    async def unpublish(self, volume: pb.Volume, target: Path) -> None:
        await self.driver.NodeUnpublishVolume(pb.NodeUnpublishVolumeRequest(volume_id=volume.volume_id, target_path=str(target)))


def capability(*flags: str, mode: Any = Mode.MULTI_NODE_MULTI_WRITER) -> pb.VolumeCapability:
    return pb.VolumeCapability(
        mount=pb.VolumeCapability.MountVolume(mount_flags=flags), access_mode=pb.VolumeCapability.AccessMode(mode=mode)
    )


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = await asyncio.to_thread(Place, tmp_path)
    yield made
    await made.driver.close()
    await made.processes.close()
    left = mounts.mounts_below(tmp_path)
    for point in left:
        mounts.unmount(point)
    assert left == []


async def test_a_volume_from_its_creation_to_its_deletion(place: Place) -> None:
    volume = await place.create("pvc-1")
    assert await place.create("pvc-1") == volume
    assert (volume.capacity_bytes, volume.volume_context["subDir"]) == (1 << 20, "pvc-1")
    assert place.commands.mounted == [("nas.example:/share", ("nfsvers=4.2",))] * 2
    one, two = place.directory / "a", place.directory / "b"
    for _ in range(2):
        await place.publish(volume, one)
        await place.publish(volume, two, read_only=True)
    (one / "file").write_text("data")
    assert (two / "file").read_text() == "data"
    with pytest.raises(OSError, match="Read-only"):
        (two / "other").touch()
    stats = await place.driver.NodeGetVolumeStats(pb.NodeGetVolumeStatsRequest(volume_id=volume.volume_id, volume_path=str(one)))
    assert stats.usage[0].total == os.statvfs(place.share).f_blocks * os.statvfs(place.share).f_frsize
    for _ in range(2):
        await place.unpublish(volume, one)
        await place.unpublish(volume, two)
    assert not one.exists()
    with pytest.raises(NotFound):
        await place.driver.NodeGetVolumeStats(pb.NodeGetVolumeStatsRequest(volume_id=volume.volume_id, volume_path=str(one)))
    for _ in range(2):
        await place.delete(volume)
    assert not (place.share / "pvc-1").exists()


async def test_many_volumes_at_once_share_a_mount(place: Place) -> None:
    volumes = await asyncio.gather(*(place.create(f"pvc-{number}") for number in range(12)))
    assert len({volume.volume_id for volume in volumes}) == 12
    assert len(place.commands.mounted) < 12
    await asyncio.gather(*(place.delete(volume) for volume in volumes))
    assert os.listdir(place.share) == [".nfs.tiphys.io"]


async def test_archives_and_what_is_retained(place: Place) -> None:
    archived = await place.create("pvc-1", onDelete="archive")
    retained = await place.create("pvc-2", onDelete="retain", subDir="data")
    await place.delete(archived)
    await place.delete(retained)
    assert sorted(os.listdir(place.share)) == [".nfs.tiphys.io", "archived-pvc-1", "data"]


async def test_a_server_that_hangs_delays_nobody_else_and_is_asked_again(place: Place) -> None:
    volume = await place.create("pvc-1")
    place.commands.down, place.nfs.mount_seconds = True, 0.2
    with pytest.raises(Deadline, match="did not end within"):
        await place.create("pvc-2")
    with pytest.raises(Deadline, match="did not end within"):
        await place.publish(volume, place.directory / "a")
    place.commands.down, place.nfs.mount_seconds = False, 60
    await place.create("pvc-2")
    assert (place.share / "pvc-2").is_dir()


async def test_work_goes_on_when_its_caller_gives_up(place: Place) -> None:
    place.commands.down = True
    caller = asyncio.create_task(place.create("pvc-1"))
    await eventually(lambda: len(place.commands.mounted) == 1)
    caller.cancel()
    await asyncio.wait([caller])
    with pytest.raises(Pending):
        await place.create("pvc-1")
    place.driver._busy["pvc-1"].cancel()


async def test_a_share_that_is_not_there(place: Place) -> None:
    with pytest.raises(Failed, match="mount failed with exit status"):
        await place.driver.CreateVolume(place.request("pvc-1", share="/none"))


async def test_bad_requests(place: Place) -> None:
    with pytest.raises(InvalidArgument, match="not unique"):
        await place.create("pvc-1", subDir="data")
    request = place.request("pvc-1")
    request.volume_capabilities[0].block.SetInParent()
    with pytest.raises(InvalidArgument, match="Block is not supported"):
        await place.driver.CreateVolume(request)
    await place.create("pvc-1")
    request = place.request("pvc-1")
    request.capacity_range.required_bytes = 1 << 30
    with pytest.raises(AlreadyExists, match="exists with 1048576 bytes"):
        await place.driver.CreateVolume(request)
    await place.driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id="of another driver"))
