"""Volumes of the local-path driver that are damaged, or that others tamper with."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import (
    MIB,
    Pod,
    block,
    create,
    delete,
    filesystem,
    made,
    needs_loop_devices,
)
from tiphys.csi.errors import Failed, FailedPrecondition, InvalidArgument
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.local_path import loop, programs
from tiphys.node.local_path.driver import LocalPathDriver
from tiphys.testing import eventually

pytestmark = needs_loop_devices


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


async def test_mount_options_of_other_mounts_are_refused(driver: LocalPathDriver, place: Path) -> None:
    """A second device over the first would be unknown to the driver, and its mount would stay for ever."""
    pod = await made(driver, place, filesystem())
    pod.capability = filesystem()
    pod.capability.mount.mount_flags.append("loop")
    with pytest.raises(InvalidArgument, match="'loop' is not allowed"):
        await pod.stage()
    assert not loop.attached(place)


async def test_missing_program_is_named(driver: LocalPathDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(programs, "_DIRECTORIES", ())
    with pytest.raises(Failed, match=r"mkfs\.xfs is not installed on this node: apt-get install xfsprogs"):
        await driver.CreateVolume(create(capability=filesystem("xfs")))


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
