"""Volumes of the local-path driver on real loop devices: their sizes, growth, copies, use, and what others cannot do to them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import MIB, MODE, Pod, block, create, filesystem, needs_loop_devices, scratch
from tiphys.csi.errors import AlreadyExists, Exhausted, Failed, FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.daemon.local_storage import summary
from tiphys.daemon.saved import cluster_settings
from tiphys.node.local_path import loop, mounting, programs
from tiphys.node.local_path.driver import LocalPathDriver
from tiphys.node.local_path.purge import purge
from tiphys.node.local_path.records import Record, Records
from tiphys.testing import eventually

pytestmark = needs_loop_devices

needs_xfs = pytest.mark.skipif(programs.find("mkfs.xfs") is None, reason="xfsprogs is not installed")
KINDS = [filesystem("ext4"), pytest.param(filesystem("xfs"), marks=needs_xfs), block()]
NAMES = ["ext4", "xfs", "block"]


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch("volumes") as directory:
        yield directory


@pytest.fixture
async def driver(place: Path) -> AsyncIterator[LocalPathDriver]:
    driver = LocalPathDriver(place / "storage", node="n1")
    yield driver
    await driver.close()


async def made(driver: LocalPathDriver, place: Path, capability: pb.VolumeCapability, *, size: int = 512 * MIB) -> Pod:
    answer = await driver.CreateVolume(create(size=size, capability=capability))
    return Pod(driver, place, answer.volume.volume_id, capability)


async def test_a_volume_whose_class_says_ro(driver: LocalPathDriver, place: Path) -> None:
    capability = filesystem()
    capability.mount.mount_flags.append("noatime,ro")
    pod = await made(driver, place, capability)
    await pod.start()
    with pytest.raises(OSError, match="Read-only"):
        (pod.target / "file").touch()
    await pod.stop()


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


async def test_mount_options_of_other_mounts_are_refused(driver: LocalPathDriver, place: Path) -> None:
    """A second device over the first would be unknown to the driver, and its mount would stay for ever."""
    pod = await made(driver, place, filesystem())
    pod.capability = filesystem()
    pod.capability.mount.mount_flags.append("loop")
    with pytest.raises(InvalidArgument, match="'loop' is not allowed"):
        await pod.stage()
    assert not loop.attached(place)


def make_files(directory: Path) -> None:
    for number in range(1 << 20):
        (directory / f"{number}").touch()


def write(path: Path, size: int, content: bytes = b"x") -> None:
    with path.open("r+b" if path.is_block_device() else "wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(content * (MIB // len(content)))
        os.fsync(file)


def read(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


async def delete(driver: LocalPathDriver, volume: str = "pvc-1") -> None:
    await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume))


async def expand(driver: LocalPathDriver, size: int, volume: str = "pvc-1") -> pb.ControllerExpandVolumeResponse:
    request = pb.ControllerExpandVolumeRequest(volume_id=volume, capacity_range=pb.CapacityRange(required_bytes=size))
    return await driver.ControllerExpandVolume(request)


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


async def test_condition_tells_of_damage(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    await pod.start()
    assert not (await pod.stats()).volume_condition.abnormal
    device = loop.attached(place)[0]
    trigger = Path(f"/sys/fs/ext4/{device.path.name}/trigger_fs_error")
    await asyncio.to_thread(trigger.write_text, "test")

    async def problem() -> str:
        condition = (await pod.stats()).volume_condition
        return condition.message if condition.abnormal else ""

    assert "errors" in await eventually(problem)
    await pod.stop()
    await pod.start()  # The check repairs it.
    assert not (await pod.stats()).volume_condition.abnormal


async def test_links_in_the_storage_are_not_followed(driver: LocalPathDriver, place: Path) -> None:
    outside = place / "outside"
    outside.mkdir()
    (outside / "volume.json").write_text("{}")
    (outside / "image").write_text("precious")
    storage = place / "storage"
    storage.mkdir(exist_ok=True)
    (storage / "shop_data_pvc-7").symlink_to(outside)
    await driver.CreateVolume(create())
    image = storage / "shop_data_pvc-1" / "image"
    image.unlink()
    image.symlink_to(outside / "image")
    await delete(driver, "pvc-7")  # No volume of ours.
    pod = Pod(driver, place, "pvc-1", filesystem())
    with pytest.raises(Failed, match="cannot be opened"):
        await pod.stage()
    with pytest.raises(Failed):
        await delete(driver)
    assert (outside / "image").read_text() == "precious"
    assert (storage / "shop_data_pvc-7").is_symlink()


async def test_deletion_leaves_files_of_others(driver: LocalPathDriver, place: Path) -> None:
    await driver.CreateVolume(create())
    (place / "storage" / "shop_data_pvc-1" / "note").write_text("mine")
    for _ in range(2):
        with pytest.raises(Failed, match="remove by hand"):
            await delete(driver)
    (place / "storage" / ".old-pvc-1" / "note").unlink()
    await delete(driver)
    assert list((place / "storage").iterdir()) == []


async def test_missing_program_is_named(driver: LocalPathDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(programs, "_DIRECTORIES", ())
    with pytest.raises(Failed, match=r"mkfs\.xfs is not installed on this node: apt-get install xfsprogs"):
        await driver.CreateVolume(create(capability=filesystem("xfs")))


async def test_a_verb_goes_on_without_its_caller(driver: LocalPathDriver) -> None:
    await driver.start()
    first = asyncio.ensure_future(driver.CreateVolume(create()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await driver.close()
    assert (await driver.CreateVolume(create())).volume.volume_id == "pvc-1"


async def test_restart_finds_everything(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    await pod.start()
    await asyncio.to_thread(write, pod.target / "file", MIB, b"data")
    second = LocalPathDriver(place / "storage", node="n1")
    try:
        await second.start()
        again = Pod(second, place, "pvc-1", filesystem())
        await again.start()
        assert await asyncio.to_thread(read, again.target / "file", 4) == b"data"
        assert len(loop.attached(place)) == 1
        await again.stop()
        assert loop.attached(place) == []
    finally:
        await second.close()


async def test_start_detaches_devices_without_a_volume(driver: LocalPathDriver, place: Path) -> None:
    pod = await made(driver, place, block(), size=32 * MIB)
    await pod.start()
    kept = loop.attached(place)
    stray = place / "storage" / "stray"
    fd = os.open(stray, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, MIB)
    with loop.attach(fd, autoclear=False):
        pass
    os.close(fd)
    stray.unlink()
    assert len(loop.attached(place)) == 2
    second = LocalPathDriver(place / "storage", node="n1")
    await second.start()
    await second.close()
    assert loop.attached(place) == kept


async def test_a_shortened_image_is_not_used(driver: LocalPathDriver, place: Path) -> None:
    """Its end would be zeros, and nobody would hear of it."""
    pod = await made(driver, place, filesystem(), size=32 * MIB)
    (image,) = (place / "storage").glob("*/image")
    os.truncate(image, 16 * MIB)
    with pytest.raises(Failed, match=f"has been truncated: it has {16 * MIB} bytes, its file system {32 * MIB}"):
        await pod.start()
    assert image.stat().st_size == 16 * MIB
    await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=pod.volume))


@pytest.mark.parametrize("capability", [filesystem(), block()], ids=["ext4", "block"])
async def test_an_image_that_somebody_removed(driver: LocalPathDriver, place: Path, capability: pb.VolumeCapability) -> None:
    """While it is in use the volume says so; then it can be unmounted and deleted. Other volumes are made as before."""
    pod = await made(driver, place, capability, size=32 * MIB)
    await pod.start()
    (image,) = (place / "storage").glob("*/image")
    image.unlink()
    request = pb.NodeGetVolumeStatsRequest(volume_id=pod.volume, volume_path=str(pod.target))
    condition = (await driver.NodeGetVolumeStats(request)).volume_condition
    assert (condition.abnormal, condition.message) == (True, "the image of the volume has been deleted")
    await driver.CreateVolume(create("pvc-2", size=32 * MIB))
    assert (await driver.GetCapacity(pb.GetCapacityRequest())).available_capacity
    with pytest.raises(FailedPrecondition, match="in use"):
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=pod.volume))
    await pod.stop()
    assert not loop.attached(place)
    with pytest.raises(Failed, match="image cannot be opened: No such file"):
        await pod.stage()
    await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=pod.volume))
    assert not image.parent.exists()


async def test_a_disk_that_hangs_takes_no_threads_from_the_node(
    driver: LocalPathDriver, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, gate = place / "bin", place / "gate"
    directory.mkdir()
    os.mkfifo(gate)
    (directory / "mkfs.ext4").write_text(f"#!/bin/sh\nread line < {gate}\nexit 0\n")
    (directory / "mkfs.ext4").chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    capability = filesystem()
    volumes = [asyncio.create_task(driver.CreateVolume(create(f"pvc-{n}", size=16 * MIB, capability=capability))) for n in range(40)]
    await eventually(lambda: len(driver._busy) == 40)
    assert await asyncio.wait_for(asyncio.gather(*(asyncio.to_thread(os.getpid) for _ in range(8))), 30)
    for volume in volumes:
        while not volume.done():
            # Whoever waits for the gate comes through it.
            with contextlib.suppress(OSError):
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            await asyncio.sleep(0)
    assert all(volume.exception() is None for volume in volumes)


async def test_volumes_are_found_by_many_threads_at_once(place: Path) -> None:
    records = Records(place / "storage")
    expected = {f"pvc-{number}": f"pvc-{number}" for number in range(40)}

    def make() -> None:
        for name in expected:
            with records.making(Record(id=name, name=name, capacity=MIB, mode="Block", fs_type="", source="", fs_size=0), name):
                pass

    await asyncio.to_thread(make)

    def look() -> bool:
        return all(records.names() == expected for _ in range(50))

    assert all(await asyncio.gather(*(asyncio.to_thread(look) for _ in range(4))))
    records.close()


async def test_purge_removes_volumes_and_nothing_else(driver: LocalPathDriver, place: Path) -> None:
    storage = place / "storage"
    pod = await made(driver, place, block(), size=32 * MIB)
    await pod.stage()
    await driver.CreateVolume(create("pvc-2"))
    (storage / "notes").mkdir()
    (storage / "notes" / "image").write_text("mine")
    (storage / "link").symlink_to(storage / "notes")
    assert await asyncio.to_thread(purge, storage) == []
    assert loop.attached(place) == []
    assert sorted(path.name for path in storage.iterdir()) == ["link", "notes"]
    assert (storage / "notes" / "image").read_text() == "mine"
    (storage / "link").unlink()
    (storage / "notes" / "image").unlink()
    (storage / "notes").rmdir()
    assert await asyncio.to_thread(purge, storage) == []
    assert not storage.exists()
    assert await asyncio.to_thread(purge, storage) == []


async def test_summary_counts_volumes(driver: LocalPathDriver, place: Path) -> None:
    settings = cluster_settings(place)
    assert await asyncio.to_thread(summary, settings) == ""
    await driver.CreateVolume(create(size=32 * MIB))
    await driver.CreateVolume(create("pvc-2", 64 * MIB, block()))
    assert (await asyncio.to_thread(summary, settings)).startswith("2 volumes, ")
    assert " used of 96Mi; " in await asyncio.to_thread(summary, settings)


async def test_start_removes_what_was_being_made_or_removed(driver: LocalPathDriver, place: Path) -> None:
    await driver.CreateVolume(create())
    for name in (".new-pvc-8", ".old-pvc-9"):
        (place / "storage" / name).mkdir()
        (place / "storage" / name / "image").write_text("")
    second = LocalPathDriver(place / "storage", node="n1")
    await second.start()
    await second.close()
    assert [path.name for path in (place / "storage").iterdir()] == ["shop_data_pvc-1"]
