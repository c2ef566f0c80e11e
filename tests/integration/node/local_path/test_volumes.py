"""Volumes of the local-path driver on real loop devices: their sizes, growth, copies and use."""

from __future__ import annotations

import asyncio
import errno
import stat
from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import (
    MIB,
    MODE,
    Pod,
    block,
    create,
    delete,
    expand,
    filesystem,
    made,
    needs_loop_devices,
    read,
    write,
)
from tiphys.csi.errors import AlreadyExists, Exhausted, FailedPrecondition, NotFound, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path import loop, mounting, programs
from tiphys.node.local_path.driver import LocalPathDriver

pytestmark = needs_loop_devices

needs_xfs = pytest.mark.skipif(programs.find("mkfs.xfs") is None, reason="xfsprogs is not installed")
KINDS = [filesystem("ext4"), pytest.param(filesystem("xfs"), marks=needs_xfs), block()]
NAMES = ["ext4", "xfs", "block"]


@pytest.mark.parametrize("capability", KINDS, ids=NAMES)
async def test_life_of_a_volume(driver: LocalPathDriver, place: Path, capability: pb.VolumeCapability) -> None:
    pod = await made(driver, place, capability)
    assert [entry.name for entry in (place / "storage").iterdir()] == ["shop_data_pvc-1"]
    for _ in range(2):  # Every verb may be repeated.
        await pod.stage()
    for _ in range(2):
        await pod.publish()
    assert len(loop.attached(place)) == 1
    is_block = capability.HasField("block")
    file = pod.target if is_block else pod.target / "file"
    await asyncio.to_thread(write, file, MIB, b"data")
    with pytest.raises(FailedPrecondition, match="in use"):
        await delete(driver)
    for _ in range(2):
        await pod.stop()
    assert loop.attached(place) == []
    assert list(pod.target.parent.iterdir()) == []
    await pod.start()  # The next pod finds the data.
    assert await asyncio.to_thread(read, file, 4) == b"data"
    await pod.stop()
    for _ in range(2):
        await delete(driver)
    assert list((place / "storage").iterdir()) == []


async def test_root_directory_is_empty_and_everybodys_once(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    await pod.start()
    assert list(pod.target.iterdir()) == []
    assert stat.S_IMODE(pod.target.stat().st_mode) == 0o777
    await asyncio.to_thread(pod.target.chmod, 0o700)
    await pod.stop()
    await pod.start()
    assert stat.S_IMODE(pod.target.stat().st_mode) == 0o700  # What the pod made of it stays.


@pytest.mark.parametrize("capability", KINDS, ids=NAMES)
async def test_size_is_enforced(driver: LocalPathDriver, place: Path, capability: pb.VolumeCapability) -> None:
    pod = await made(driver, place, capability, size=320 * MIB)
    neighbor = Pod(driver, place, (await driver.CreateVolume(create("pvc-2"))).volume.volume_id, filesystem())
    await pod.start()
    await neighbor.start()
    file = pod.target if capability.HasField("block") else pod.target / "file"
    with pytest.raises(OSError) as error:
        await asyncio.to_thread(write, file, 400 * MIB)
    assert error.value.errno == errno.ENOSPC
    await asyncio.to_thread(write, neighbor.target / "file", MIB)
    usage = (await pod.stats()).usage[0]
    assert usage.total <= 320 * MIB
    if not capability.HasField("block"):
        assert usage.available < MIB


@pytest.mark.parametrize("capability", KINDS, ids=NAMES)
async def test_grows_in_use(driver: LocalPathDriver, place: Path, capability: pb.VolumeCapability) -> None:
    pod = await made(driver, place, capability, size=320 * MIB)
    await pod.start()
    before = (await pod.stats()).usage[0].total
    for _ in range(2):
        answer = await expand(driver, 640 * MIB)
        assert (answer.capacity_bytes, answer.node_expansion_required) == (640 * MIB, True)
    if programs.may_grow_mounted(capability.mount.fs_type) or capability.HasField("block"):
        for _ in range(2):
            assert (await pod.grow()).capacity_bytes == 640 * MIB
    else:
        with pytest.raises(FailedPrecondition, match="CAP_SYS_RESOURCE"):
            await pod.grow()
        await pod.stage()  # Neither does that keep it from being used as it is.
        await pod.stop()
        await pod.start()
    assert (await pod.stats()).usage[0].total > before + 300 * MIB
    assert (await expand(driver, 100 * MIB)).capacity_bytes == 640 * MIB  # No volume shrinks.


async def test_grows_while_nobody_uses_it(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    await pod.start()
    await asyncio.to_thread(write, pod.target / "file", MIB, b"data")
    await pod.stop()
    await expand(driver, 256 * MIB)
    await pod.start()
    assert (await pod.stats()).usage[0].total > 220 * MIB
    assert await asyncio.to_thread(read, pod.target / "file", 4) == b"data"


async def test_a_full_volume_grows(driver: LocalPathDriver, place: Path) -> None:
    """Neither a block nor an inode is left for what a repair would make."""
    pod = await made(driver, place, filesystem(), size=16 * MIB)
    await pod.start()
    with pytest.raises(OSError, match="No space left"):
        await asyncio.to_thread(write, pod.target / "file", 64 * MIB)
    with pytest.raises(OSError, match="No space left"):
        await asyncio.to_thread(make_files, pod.target)
    await pod.stop()
    await pod.start()
    await pod.stop()
    request = pb.ControllerExpandVolumeRequest(volume_id=pod.volume, capacity_range=pb.CapacityRange(required_bytes=128 * MIB))
    await driver.ControllerExpandVolume(request)
    await pod.start()
    await asyncio.to_thread(write, pod.target / "0", 64 * MIB)
    await pod.stop()


def make_files(directory: Path) -> None:
    for number in range(1 << 20):
        (directory / f"{number}").touch()


async def test_deleted_files_give_their_room_back(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=128 * MIB)
    await pod.start()
    image = place / "storage" / "shop_data_pvc-1" / "image"
    await asyncio.to_thread(write, pod.target / "file", 64 * MIB)
    full = image.stat().st_blocks * 512
    assert full >= 64 * MIB
    (pod.target / "file").unlink()
    await pod.stop()
    assert image.stat().st_blocks * 512 < full - 48 * MIB


async def test_claims_cannot_promise_more_than_the_disk_has(driver: LocalPathDriver, place: Path) -> None:
    capacity = await driver.GetCapacity(pb.GetCapacityRequest())
    assert capacity.maximum_volume_size.value == capacity.available_capacity
    most = capacity.available_capacity // 2
    await driver.CreateVolume(create("pvc-1", most))
    left = (await driver.GetCapacity(pb.GetCapacityRequest())).available_capacity
    assert left < capacity.available_capacity - most + 64 * MIB
    with pytest.raises(Exhausted, match=r"not enough room: .*Gi requested, .*Gi available \(of the disk's .*promised to other volumes\)"):
        await driver.CreateVolume(create("pvc-2", left + (1 << 30)))
    with pytest.raises(Exhausted):
        await expand(driver, most + left + (1 << 30))
    assert (await driver.CreateVolume(create("pvc-1", most))).volume.capacity_bytes >= most  # What is refused changes nothing.
    await driver.CreateVolume(create("pvc-3", left // 2))


async def test_overcommit_is_a_choice(place: Path) -> None:
    driver = LocalPathDriver(place / "storage", node="n1", overcommit=True)
    try:
        free = (await driver.GetCapacity(pb.GetCapacityRequest())).available_capacity
        for name in ("pvc-1", "pvc-2", "pvc-3"):
            await driver.CreateVolume(create(name, free // 2, block()))
        with pytest.raises(Exhausted):
            await driver.CreateVolume(create("pvc-4", free * 2))
    finally:
        await driver.close()


async def test_simultaneous_claims_share_the_room(driver: LocalPathDriver) -> None:
    free = (await driver.GetCapacity(pb.GetCapacityRequest())).available_capacity
    requests = [create(f"pvc-{number}", free // 3, block()) for number in range(6)]
    answers = await asyncio.gather(*(driver.CreateVolume(request) for request in requests), return_exceptions=True)
    assert sum(isinstance(answer, pb.CreateVolumeResponse) for answer in answers) in (2, 3)
    assert all(isinstance(answer, pb.CreateVolumeResponse | Exhausted) for answer in answers)


async def test_read_only_use(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    await pod.stage()
    await pod.publish(readonly=True)
    with pytest.raises(OSError) as error:
        await asyncio.to_thread(write, pod.target / "file", MIB)
    assert error.value.errno == errno.EROFS
    await pod.stop()
    reader = Pod(driver, place, "pvc-1", filesystem(mode=MODE.SINGLE_NODE_READER_ONLY))
    await reader.start()
    assert "ro" in mounting.mounted_at(reader.target)[-1].options


async def test_a_volume_whose_class_says_ro(driver: LocalPathDriver, place: Path) -> None:
    capability = filesystem()
    capability.mount.mount_flags.append("noatime,ro")
    pod = await made(driver, place, capability)
    await pod.start()
    with pytest.raises(OSError, match="Read-only"):
        (pod.target / "file").touch()
    await pod.stop()


async def test_copies_a_volume(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=64 * MIB)
    await pod.start()
    await asyncio.to_thread(write, pod.target / "file", MIB, b"data")
    request = create("pvc-2", 128 * MIB)
    request.volume_content_source.volume.volume_id = "pvc-1"
    small = create("pvc-3")
    small.volume_content_source.CopyFrom(request.volume_content_source)
    with pytest.raises(OutOfRange):
        await driver.CreateVolume(small)
    await pod.stop()
    answer = await driver.CreateVolume(request)
    assert answer.volume.content_source.volume.volume_id == "pvc-1"
    copy = Pod(driver, place, "pvc-2", filesystem())
    await copy.start()
    await pod.start()  # Both at once.
    assert await asyncio.to_thread(read, copy.target / "file", 4) == b"data"
    assert (await copy.stats()).usage[0].total > 100 * MIB
    gone = create("pvc-4", 64 * MIB)
    gone.volume_content_source.volume.volume_id = "pvc-9"
    with pytest.raises(NotFound):
        await driver.CreateVolume(gone)


async def test_same_name_means_same_volume(driver: LocalPathDriver) -> None:
    await driver.CreateVolume(create())
    with pytest.raises(AlreadyExists, match="its size is"):
        await driver.CreateVolume(create(size=64 * MIB))
    with pytest.raises(AlreadyExists, match="mode Filesystem"):
        await driver.CreateVolume(create(capability=block()))


async def test_stats_of_what_is_not_there(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    with pytest.raises(NotFound):
        await pod.stats()
    with pytest.raises(NotFound):
        await Pod(driver, place, "pvc-9", filesystem()).stats()
    with pytest.raises(FailedPrecondition):
        await pod.grow()
