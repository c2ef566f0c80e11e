"""Tests of the reference driver killed between any two steps: the request is repeated to a new process, and nothing is lost or left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from csi_directory.driver import DirectoryDriver
from csi_directory.store import Node

from tiphys.csi.client import CsiClient
from tiphys.csi.driver import Driver
from tiphys.csi.errors import Pending, Unavailable
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.testing import eventually
from tiphys.testing.csi_suite import MIB, mounted
from tiphys.testing.mounts import claimed, mount_count, remove_abandoned, unmount_below

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

EXAMPLE = Path(__file__).parents[3] / "examples" / "csi-directory"
STEPS = ((subprocess, "run"), (os, "rename"), (os, "replace"), (os, "mkdir"), (os, "truncate"), (os, "rmdir"), (shutil, "rmtree"))
"""Functions by which the driver changes something."""


class Death(BaseException):
    """The process ends here; nobody may catch it."""


class Deaths:
    """Lets the process die before or after the step of a number, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.is_after, self.is_over = 0, False, True
        for owner, name in STEPS:
            monkeypatch.setattr(owner, name, self._step(getattr(owner, name)))

    def plan(self, number: int) -> None:
        """Die before step 0, after it, before step 1, ..."""
        self.left, self.is_after, self.is_over = number // 2, bool(number % 2), False

    def _step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            is_due = not self.is_over and self.left == 0
            self.left -= 1
            if is_due and not self.is_after:
                self.is_over = True
                raise Death
            try:
                return function(*args, **kwargs)
            finally:
                if is_due:
                    self.is_over = True
                    raise Death

        return step


class Life:
    """A volume from its creation to its deletion, with a copy, one request after the other."""

    def __init__(self, directory: Path, backing: str) -> None:
        self.root, self.staging, self.target = directory / "root", directory / "staging", directory / "target"
        self.backing = backing
        self.staging.mkdir()
        self.id = self.snapshot = ""

    def steps(self) -> list[Callable[[Driver], Awaitable[Any]]]:
        round_trip = [self.attach, self.stage, self.publish, self.unpublish, self.unstage, self.detach]
        return [self.create, *round_trip, self.expand, *round_trip, self.take_snapshot, self.delete, self.delete_snapshot]

    async def create(self, driver: Driver) -> None:
        request = pb.CreateVolumeRequest(
            name="v",
            volume_capabilities=[mounted()],
            parameters={"backing": self.backing},
            capacity_range=pb.CapacityRange(required_bytes=8 * MIB),
        )
        self.id = (await driver.CreateVolume(request)).volume.volume_id

    async def attach(self, driver: Driver) -> None:
        await driver.ControllerPublishVolume(pb.ControllerPublishVolumeRequest(volume_id=self.id, node_id="a", volume_capability=mounted()))

    async def stage(self, driver: Driver) -> None:
        request = pb.NodeStageVolumeRequest(volume_id=self.id, staging_target_path=str(self.staging), volume_capability=mounted())
        await driver.NodeStageVolume(request)

    async def publish(self, driver: Driver) -> None:
        request = pb.NodePublishVolumeRequest(
            volume_id=self.id, staging_target_path=str(self.staging), target_path=str(self.target), volume_capability=mounted()
        )
        await driver.NodePublishVolume(request)
        assert (mount_count(self.staging), mount_count(self.target)) == (1, 1)
        with (self.target / "log").open("a") as file:
            file.write("line\n")

    async def unpublish(self, driver: Driver) -> None:
        await driver.NodeUnpublishVolume(pb.NodeUnpublishVolumeRequest(volume_id=self.id, target_path=str(self.target)))
        assert (self.staging / "log").read_text().startswith("line\n")

    async def unstage(self, driver: Driver) -> None:
        await driver.NodeUnstageVolume(pb.NodeUnstageVolumeRequest(volume_id=self.id, staging_target_path=str(self.staging)))

    async def detach(self, driver: Driver) -> None:
        await driver.ControllerUnpublishVolume(pb.ControllerUnpublishVolumeRequest(volume_id=self.id, node_id="a"))

    async def expand(self, driver: Driver) -> None:
        sizes = pb.CapacityRange(required_bytes=16 * MIB)
        await driver.ControllerExpandVolume(pb.ControllerExpandVolumeRequest(volume_id=self.id, capacity_range=sizes))

    async def take_snapshot(self, driver: Driver) -> None:
        answer = await driver.CreateSnapshot(pb.CreateSnapshotRequest(name="s", source_volume_id=self.id))
        self.snapshot = answer.snapshot.snapshot_id
        disk = self.root / "snapshots" / self.snapshot / "disk"
        assert self.backing == "directory" or disk.stat().st_size == 16 * MIB

    async def delete(self, driver: Driver) -> None:
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=self.id))

    async def delete_snapshot(self, driver: Driver) -> None:
        await driver.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=self.snapshot))


@pytest.mark.parametrize("backing", ["directory", "disk"])
async def test_dies_between_any_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backing: str) -> None:
    await asyncio.to_thread(remove_abandoned)
    deaths, number = Deaths(monkeypatch), 0
    with claimed(tmp_path):
        try:
            while True:
                directory = tmp_path / str(number)
                directory.mkdir()
                life = Life(directory, backing)
                driver = await asyncio.to_thread(DirectoryDriver, life.root, node=Node(id="a"))
                deaths.plan(number)
                for step in life.steps():
                    try:
                        await step(driver)
                    except Death:
                        driver = await asyncio.to_thread(DirectoryDriver, life.root, node=Node(id="a"))
                        await step(driver)
                left = [path for name in ("volumes", "snapshots", "work") for path in (life.root / name).iterdir()]
                assert left == [], f"left by a death at point {number}"
                assert await asyncio.to_thread(unmount_below, directory) == [], f"left by a death at point {number}"
                if not deaths.is_over:
                    break
                number += 1
        finally:
            await asyncio.to_thread(unmount_below, tmp_path)
    assert number > 40


async def test_a_command_outlives_its_driver_and_keeps_the_volume_locked(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    (tmp_path / "bin").mkdir()
    copier = tmp_path / "bin" / "cp"
    copier.write_text(f'#!/bin/sh\necho $$ > {tmp_path}/running\ntest -e {gate} || read -r _ < {tmp_path}/pipe\nexec /bin/cp "$@"\n')
    copier.chmod(0o755)
    os.mkfifo(tmp_path / "pipe")
    client = CsiClient(tmp_path / "csi.sock", timeout=20)
    process = await started(tmp_path)
    try:
        await eventually(lambda: (tmp_path / "csi.sock").exists())
        request = pb.CreateVolumeRequest(name="v", volume_capabilities=[mounted()], capacity_range=pb.CapacityRange(required_bytes=MIB))
        volume = (await client.CreateVolume(request)).volume.volume_id
        snapshot = pb.CreateSnapshotRequest(name="s", source_volume_id=volume)
        taking = asyncio.create_task(client.CreateSnapshot(snapshot))
        await eventually(lambda: (tmp_path / "running").exists())
        process.send_signal(signal.SIGKILL)
        await process.wait()
        with pytest.raises(Unavailable):
            await taking
        (tmp_path / "csi.sock").unlink()
        process = await started(tmp_path)
        await eventually(lambda: (tmp_path / "csi.sock").exists())
        with pytest.raises(Pending):
            await client.CreateSnapshot(snapshot)
        gate.touch()
        release(tmp_path / "pipe")

        async def is_taken() -> bool:
            try:
                return bool((await client.CreateSnapshot(snapshot)).snapshot.ready_to_use)
            except Pending:
                return False

        await eventually(is_taken)
        process.terminate()
        assert await process.wait() == 0
    finally:
        release(tmp_path / "pipe")
        await client.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


def release(pipe: Path) -> None:
    """Let the command that waits at a pipe go on, if there is one."""
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    os.write(descriptor, b"go\n")
    os.close(descriptor)


async def started(directory: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PATH": f"{directory}/bin:{os.environ['PATH']}", "PYTHONPATH": f"{EXAMPLE}:{EXAMPLE.parents[1]}"}
    options = ("--endpoint", f"unix://{directory}/csi.sock", "--root", str(directory / "root"), "--node-id", "a")
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "csi_directory", *options, env=environment, stderr=subprocess.DEVNULL)
