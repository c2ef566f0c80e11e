"""A scripted driver that mounts, for tests that may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.node.csi.scripted import ScriptedDriver
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.volumes import mounts


@contextmanager
def mountable(directory: Path) -> Iterator[None]:
    """Make a directory below which nothing stays mounted; skips the test where mounting is not allowed."""
    try:
        mounts.tmpfs(directory, size=1 << 20)
    except OSError:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        for path in mounts.mounts_below(directory):
            mounts.unmount(path)


class MountingDriver(ScriptedDriver):
    """Mounts a tmpfs for each volume at its staging path and binds it for pods; its devices are nodes without a device."""

    async def NodeStageVolume(self, request: pb.NodeStageVolumeRequest) -> pb.NodeStageVolumeResponse:
        result = await super().NodeStageVolume(request)
        if not request.volume_capability.HasField("block"):
            mounts.mount("tmpfs", request.staging_target_path, "tmpfs", 0, "size=64k")
        return result

    async def NodePublishVolume(self, request: pb.NodePublishVolumeRequest) -> pb.NodePublishVolumeResponse:
        if request.volume_capability.HasField("block"):
            os.mknod(request.target_path, 0o60600, os.makedev(7, 250))
            self.published[request.target_path] = request.volume_id
            return pb.NodePublishVolumeResponse()
        result = await super().NodePublishVolume(request)
        if request.staging_target_path:
            mounts.bind(request.staging_target_path, Path(request.target_path))
        return result

    async def NodeUnpublishVolume(self, request: pb.NodeUnpublishVolumeRequest) -> pb.NodeUnpublishVolumeResponse:
        if not self.faults.get("NodeUnpublishVolume"):
            mounts.unmount(request.target_path)
        return await super().NodeUnpublishVolume(request)

    async def NodeUnstageVolume(self, request: pb.NodeUnstageVolumeRequest) -> pb.NodeUnstageVolumeResponse:
        mounts.unmount(request.staging_target_path)
        return await super().NodeUnstageVolume(request)
