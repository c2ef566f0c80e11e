"""Tests of the reference driver with several nodes: attachments, limits, zones, and volumes of single pods."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from csi_directory.driver import DirectoryDriver
from csi_directory.rules import ZONE
from csi_directory.store import Node

from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Exhausted, FailedPrecondition, InvalidArgument, NotFound, Pending, Unimplemented
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.testing.csi_suite import MIB, Mode, block, mounted
from tiphys.testing.mounts import claimed, mount_count, remove_abandoned, unmount_below

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    await asyncio.to_thread(remove_abandoned)
    with claimed(tmp_path):
        yield tmp_path
        assert await asyncio.to_thread(unmount_below, tmp_path) == []


async def node(directory: Path, name: str, *, zone: str = "", limit: int = 0) -> Driver:
    introduced = Node(id=name, zone=zone, max_volumes=limit)
    return await asyncio.to_thread(DirectoryDriver, directory / "root", zone=zone, with_controller=False, node=introduced)


async def controller(directory: Path, *, zone: str = "") -> DirectoryDriver:
    return await asyncio.to_thread(DirectoryDriver, directory / "root", zone=zone)


async def create(
    driver: Driver, name: str = "v", *, capability: pb.VolumeCapability | None = None, zone: str = "", backing: str = "disk"
) -> str:
    request = pb.CreateVolumeRequest(
        name=name,
        volume_capabilities=[capability or mounted()],
        parameters={"backing": backing},
        capacity_range=pb.CapacityRange(required_bytes=16 * MIB),
    )
    if zone:
        request.accessibility_requirements.preferred.add(segments={ZONE: zone})
    return (await driver.CreateVolume(request)).volume.volume_id


async def attach(driver: Driver, volume: str, node: str, *, mode: int = Mode.SINGLE_NODE_WRITER, readonly: bool = False) -> None:
    request = pb.ControllerPublishVolumeRequest(volume_id=volume, node_id=node, volume_capability=mounted(mode), readonly=readonly)
    await driver.ControllerPublishVolume(request)


async def detach(driver: Driver, volume: str, node: str = "") -> None:
    await driver.ControllerUnpublishVolume(pb.ControllerUnpublishVolumeRequest(volume_id=volume, node_id=node))


async def test_each_instance_offers_its_own_verbs(tmp_path: Path) -> None:
    with pytest.raises(Unimplemented):
        await (await node(tmp_path, "a")).ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest())
    with pytest.raises(Unimplemented):
        await (await controller(tmp_path)).NodeGetInfo(pb.NodeGetInfoRequest())


async def test_a_volume_has_one_node_at_a_time(tmp_path: Path) -> None:
    await node(tmp_path, "a"), await node(tmp_path, "b")
    driver = await controller(tmp_path)
    volume = await create(driver)
    await attach(driver, volume, "a")
    with pytest.raises(FailedPrecondition, match="attached to a already"):
        await attach(driver, volume, "b")
    with pytest.raises(NotFound, match="no node 'c'"):
        await attach(driver, volume, "c")
    await detach(driver, volume, "b")
    with pytest.raises(FailedPrecondition):
        await attach(driver, volume, "b")
    await detach(driver, volume, "a")
    await attach(driver, volume, "b")


async def test_one_of_many_nodes_writes(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        await node(tmp_path, name)
    driver = await controller(tmp_path)
    volume = await create(driver, backing="directory")
    await attach(driver, volume, "a", mode=Mode.MULTI_NODE_SINGLE_WRITER)
    await attach(driver, volume, "b", mode=Mode.MULTI_NODE_SINGLE_WRITER, readonly=True)
    with pytest.raises(FailedPrecondition, match="for writing already"):
        await attach(driver, volume, "c", mode=Mode.MULTI_NODE_SINGLE_WRITER)
    await attach(driver, volume, "c", mode=Mode.MULTI_NODE_READER_ONLY)


async def test_a_file_system_on_a_disk_has_one_writing_node(tmp_path: Path) -> None:
    driver = await controller(tmp_path)
    with pytest.raises(InvalidArgument, match="one node that writes"):
        await create(driver, capability=mounted(Mode.MULTI_NODE_MULTI_WRITER))
    await create(driver, "b", capability=mounted(Mode.MULTI_NODE_MULTI_WRITER), backing="directory")
    await create(driver, "c", capability=block(Mode.MULTI_NODE_MULTI_WRITER))


async def test_a_node_takes_as_many_volumes_as_it_says(tmp_path: Path) -> None:
    await node(tmp_path, "a", limit=2)
    drivers = [await controller(tmp_path), await controller(tmp_path)]
    volumes = [await create(drivers[0], str(number)) for number in range(6)]
    attempts = [attach(drivers[number % 2], volume, "a") for number, volume in enumerate(volumes)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Exhausted"] * 4 + ["NoneType"] * 2
    await detach(drivers[0], next(volume for volume, result in zip(volumes, results, strict=True) if result is None))
    await attach(drivers[0], next(volume for volume, result in zip(volumes, results, strict=True) if result is not None), "a")


async def test_volumes_stay_in_their_zone(tmp_path: Path) -> None:
    await node(tmp_path, "a", zone="east"), await node(tmp_path, "b", zone="west")
    driver = await controller(tmp_path, zone="east")
    east, west = await create(driver, "home"), await create(driver, "away", zone="west")
    await attach(driver, east, "a")
    await attach(driver, west, "b")
    await detach(driver, west)
    with pytest.raises(FailedPrecondition, match="in zone 'west'"):
        await attach(driver, west, "a")
    with pytest.raises(Exhausted, match="north"):
        await create(driver, "nowhere", zone="north")


async def test_mutable_parameters_are_recorded(tmp_path: Path) -> None:
    driver = await controller(tmp_path)
    volume = await create(driver)
    for value in ("100", "200"):
        await driver.ControllerModifyVolume(pb.ControllerModifyVolumeRequest(volume_id=volume, mutable_parameters={"readOps": value}))
    with pytest.raises(InvalidArgument, match="readOps"):
        await driver.ControllerModifyVolume(pb.ControllerModifyVolumeRequest(volume_id=volume, mutable_parameters={"readOps": "many"}))
    assert '"readOps":"200"' in (tmp_path / "root" / "volumes" / volume / "record.json").read_text()


async def test_a_lost_disk_is_reported(tmp_path: Path) -> None:
    driver = await controller(tmp_path)
    volume = await create(driver)
    (tmp_path / "root" / "volumes" / volume / "disk").unlink()
    (entry,) = (await driver.ListVolumes(pb.ListVolumesRequest())).entries
    assert entry.status.volume_condition.abnormal
    answer = await driver.ControllerGetVolume(pb.ControllerGetVolumeRequest(volume_id=volume))
    assert "missing" in answer.status.volume_condition.message


async def test_a_directory_in_use_is_not_copied(tmp_path: Path) -> None:
    await node(tmp_path, "a")
    driver = await controller(tmp_path)
    volume = await create(driver, backing="directory")
    await attach(driver, volume, "a")
    with pytest.raises(FailedPrecondition, match="detach it"):
        await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="s", source_volume_id=volume))
    assert list((tmp_path / "root" / "work").iterdir()) == []
    await detach(driver, volume)
    await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="s", source_volume_id=volume))


async def test_promised_room_is_not_promised_again(tmp_path: Path) -> None:
    driver = await controller(tmp_path)
    room = (await driver.GetCapacity(pb.GetCapacityRequest())).available_capacity
    size = pb.CapacityRange(required_bytes=room // 10 * 9)
    await driver.CreateVolume(pb.CreateVolumeRequest(name="large", volume_capabilities=[mounted()], capacity_range=size))
    assert (await driver.GetCapacity(pb.GetCapacityRequest())).available_capacity < room // 2
    with pytest.raises(Exhausted, match="do not fit"):
        await driver.CreateVolume(pb.CreateVolumeRequest(name="second", volume_capabilities=[mounted()], capacity_range=size))


def stage(volume: str, path: Path, capability: pb.VolumeCapability | None = None) -> pb.NodeStageVolumeRequest:
    path.mkdir(parents=True, exist_ok=True)
    return pb.NodeStageVolumeRequest(volume_id=volume, staging_target_path=str(path), volume_capability=capability or mounted())


@as_root
async def test_only_attached_volumes_are_staged(directory: Path) -> None:
    first, second, driver = await node(directory, "a"), await node(directory, "b"), await controller(directory)
    volume = await create(driver)
    await attach(driver, volume, "a")
    with pytest.raises(FailedPrecondition, match="not attached to b"):
        await second.NodeStageVolume(stage(volume, directory / "b"))
    await first.NodeStageVolume(stage(volume, directory / "a"))
    await first.NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / "a")))


@as_root
async def test_nodes_share_a_directory(directory: Path) -> None:
    drivers, driver = {name: await node(directory, name) for name in ("a", "b")}, await controller(directory)
    capability = mounted(Mode.MULTI_NODE_MULTI_WRITER, flags=("noexec",))
    volume = await create(driver, capability=capability, backing="directory")
    for name, one in drivers.items():
        await attach(driver, volume, name, mode=Mode.MULTI_NODE_MULTI_WRITER)
        await one.NodeStageVolume(stage(volume, directory / name, capability))
    (directory / "a" / "file").write_text("data")
    assert (directory / "b" / "file").read_text() == "data"
    assert os.statvfs(directory / "b").f_flag & os.ST_NOEXEC
    for name, one in drivers.items():
        await one.NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / name)))


@as_root
async def test_nodes_share_a_device(directory: Path) -> None:
    drivers, driver = {name: await node(directory, name) for name in ("a", "b")}, await controller(directory)
    capability = block(Mode.MULTI_NODE_MULTI_WRITER)
    volume = await create(driver, capability=capability)
    for name, one in drivers.items():
        await driver.ControllerPublishVolume(
            pb.ControllerPublishVolumeRequest(volume_id=volume, node_id=name, volume_capability=capability)
        )
        await one.NodeStageVolume(stage(volume, directory / name, capability))
    devices = [os.stat(directory / name / "device") for name in drivers]
    assert devices[0].st_rdev == devices[1].st_rdev, "one disk has one device, or its pages are cached twice"
    await drivers["a"].NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / "a")))
    assert stat.S_ISBLK(os.stat(directory / "b" / "device").st_mode)
    (directory / "b" / "device").write_bytes(b"data")
    await drivers["b"].NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / "b")))


@as_root
async def test_a_device_that_others_look_at_is_kept(directory: Path) -> None:
    one, driver = await node(directory, "a"), await controller(directory)
    capability = block()
    volume = await create(driver, capability=capability)
    await driver.ControllerPublishVolume(pb.ControllerPublishVolumeRequest(volume_id=volume, node_id="a", volume_capability=capability))
    request, device = stage(volume, directory / "a", capability), directory / "a" / "device"
    unstage = pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / "a"))
    await one.NodeStageVolume(request)
    looking = await asyncio.to_thread(os.open, f"/dev/loop{os.minor(device.stat().st_rdev)}", os.O_RDONLY)
    # It goes away when it is closed, unless it is taken back before.
    await one.NodeUnstageVolume(unstage)
    await one.NodeStageVolume(request)
    os.close(looking)
    device.write_bytes(b"data")
    assert (directory / "root" / "volumes" / volume / "disk").stat().st_size == 16 * MIB
    assert await asyncio.to_thread(size_of, device) == 16 * MIB
    await one.NodeUnstageVolume(unstage)


def size_of(device: Path) -> int:
    with open(device, "rb") as file:
        return file.seek(0, os.SEEK_END)


@as_root
async def test_read_only_attachments_are_mounted_so(directory: Path) -> None:
    one, driver = await node(directory, "a"), await controller(directory)
    volume = await create(driver)
    await attach(driver, volume, "a", readonly=True)
    await one.NodeStageVolume(stage(volume, directory / "a"))
    with pytest.raises(OSError, match="Read-only"):
        (directory / "a" / "file").write_text("data")
    await one.NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / "a")))


@as_root
async def test_a_disk_with_other_content_is_not_formatted(directory: Path) -> None:
    one, driver = await node(directory, "a"), await controller(directory)
    volume = await create(driver)
    await attach(driver, volume, "a")
    disk = directory / "root" / "volumes" / volume / "disk"
    # A partition table with one partition.
    table = b"\0" * 446 + bytes.fromhex("00000000830000000008000000100000") + b"\0" * 48 + b"\x55\xaa"
    disk.write_bytes(table.ljust(16 * MIB, b"\0"))
    with pytest.raises(FailedPrecondition, match="holds dos"):
        await one.NodeStageVolume(stage(volume, directory / "a"))
    await one.NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=volume, staging_target_path=str(directory / "a")))


@as_root
@pytest.mark.parametrize("flag", ["bind", "remount", "loop=/dev/loop7", "noexec,bind", "-o", "x-mount.mkdir", ""])
async def test_mount_options_that_lead_elsewhere_are_refused(directory: Path, flag: str) -> None:
    one, driver = await node(directory, "a"), await controller(directory)
    volume = await create(driver)
    await attach(driver, volume, "a")
    with pytest.raises(InvalidArgument, match="not allowed"):
        await one.NodeStageVolume(stage(volume, directory / "a", mounted(flags=(flag,))))


def inline(name: str, target: Path, **context: str) -> pb.NodePublishVolumeRequest:
    return pb.NodePublishVolumeRequest(
        volume_id=name,
        target_path=str(target),
        volume_capability=mounted(),
        volume_context={"csi.storage.k8s.io/ephemeral": "true", **context},
    )


@as_root
async def test_a_volume_of_a_single_pod_lives_as_long(directory: Path) -> None:
    one, driver, target = await node(directory, "a"), await controller(directory), directory / "target"
    for _ in range(2):
        await one.NodePublishVolume(inline("csi-1", target, size="20Mi"))
    assert mount_count(target) == 1
    (target / "file").write_bytes(b"x" * MIB)
    with pytest.raises(OSError, match="No space"):
        (target / "large").write_bytes(b"x" * (30 * MIB))
    stats = await one.NodeGetVolumeStats(pb.NodeGetVolumeStatsRequest(volume_id="csi-1", volume_path=str(target)))
    assert 16 * MIB < stats.usage[0].total <= 20 * MIB
    assert len((await driver.ListVolumes(pb.ListVolumesRequest())).entries) == 0
    # For another path: the volume is in use and stays.
    await one.NodeUnpublishVolume(pb.NodeUnpublishVolumeRequest(volume_id="csi-1", target_path=str(directory / "other")))
    assert (target / "file").exists()
    for _ in range(2):
        await one.NodeUnpublishVolume(pb.NodeUnpublishVolumeRequest(volume_id="csi-1", target_path=str(target)))
    assert not target.exists()
    assert list((directory / "root" / "volumes").iterdir()) == []
    for size in ("many", "-1", "1", "9e18"):
        with pytest.raises(CsiError):
            await one.NodePublishVolume(inline("csi-2", target, size=size))


async def test_a_volume_that_is_worked_on_is_pending(tmp_path: Path) -> None:
    driver, other = await controller(tmp_path), await controller(tmp_path)
    volume = await create(driver)
    assert other.controller is not None
    with other.controller.store.locked(volume), pytest.raises(Pending):
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume))
    await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume))
