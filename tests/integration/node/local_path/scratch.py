"""A place for volumes with real loop devices, cleaned of what a killed run left, and requests for them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.host.mount_table import mount_table
from tiphys.node.local_path import loop, mounting
from tiphys.node.local_path.driver import LocalPathDriver

ROOT = Path("/tmp/tiphys-test-local-path")
MIB = 1 << 20
MODE = pb.VolumeCapability.AccessMode
needs_loop_devices = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/loop-control"), reason="loop devices need root and a kernel that has them"
)


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Return an empty directory, and leave no mount, no device and no file of it, nor of runs that are dead."""
    for run in ROOT.iterdir() if ROOT.exists() else ():
        # Runs side by side have a directory each.
        if not Path("/proc", run.name).exists():
            clear(run)
    place = ROOT / str(os.getpid()) / name
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        clear(place)
        with contextlib.suppress(OSError):
            place.parent.rmdir()


def clear(place: Path) -> None:
    for mount in reversed(mount_table()):
        if mount.point.startswith(f"{place}/"):
            mounting.unmount(Path(mount.point))
    for device in loop.attached(place):
        loop.detach(device)
    shutil.rmtree(place, ignore_errors=True)


class Pod:
    """Calls to a driver as a kubelet makes them, for one volume."""

    def __init__(self, driver: LocalPathDriver, place: Path, volume: str, capability: pb.VolumeCapability) -> None:
        self.driver, self.volume, self.capability = driver, volume, capability
        self.staged, self.target = place / f"{volume}-staged", place / f"{volume}-pod" / "mount"
        self.staged.mkdir(exist_ok=True)
        self.target.parent.mkdir(exist_ok=True)

    async def stage(self) -> None:
        request = pb.NodeStageVolumeRequest(volume_id=self.volume, staging_target_path=str(self.staged), volume_capability=self.capability)
        await self.driver.NodeStageVolume(request)

    async def publish(self, *, readonly: bool = False) -> None:
        request = pb.NodePublishVolumeRequest(
            volume_id=self.volume,
            staging_target_path=str(self.staged),
            target_path=str(self.target),
            volume_capability=self.capability,
            readonly=readonly,
        )
        await self.driver.NodePublishVolume(request)

    async def start(self) -> None:
        await self.stage()
        await self.publish()

    async def stop(self) -> None:
        await self.driver.NodeUnpublishVolume(pb.NodeUnpublishVolumeRequest(volume_id=self.volume, target_path=str(self.target)))
        await self.driver.NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=self.volume, staging_target_path=str(self.staged)))

    async def stats(self) -> pb.NodeGetVolumeStatsResponse:
        return await self.driver.NodeGetVolumeStats(pb.NodeGetVolumeStatsRequest(volume_id=self.volume, volume_path=str(self.target)))

    async def grow(self) -> pb.NodeExpandVolumeResponse:
        request = pb.NodeExpandVolumeRequest(
            volume_id=self.volume, volume_path=str(self.target), staging_target_path=str(self.staged), volume_capability=self.capability
        )
        return await self.driver.NodeExpandVolume(request)


def filesystem(fs_type: str = "", mode: Any = MODE.SINGLE_NODE_WRITER) -> pb.VolumeCapability:
    capability = pb.VolumeCapability(access_mode=pb.VolumeCapability.AccessMode(mode=mode))
    capability.mount.SetInParent()
    capability.mount.fs_type = fs_type
    return capability


def block(mode: Any = MODE.SINGLE_NODE_WRITER) -> pb.VolumeCapability:
    capability = pb.VolumeCapability(access_mode=pb.VolumeCapability.AccessMode(mode=mode))
    capability.block.SetInParent()
    return capability


def create(
    name: str = "pvc-1", size: int = 32 * MIB, capability: pb.VolumeCapability | None = None, **fields: Any
) -> pb.CreateVolumeRequest:
    return pb.CreateVolumeRequest(
        name=name,
        volume_capabilities=[capability or filesystem()],
        parameters={"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": "data"},
        capacity_range=pb.CapacityRange(required_bytes=size),
    )


async def made(driver: LocalPathDriver, place: Path, capability: pb.VolumeCapability, *, size: int = 512 * MIB) -> Pod:
    answer = await driver.CreateVolume(create(size=size, capability=capability))
    return Pod(driver, place, answer.volume.volume_id, capability)


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
