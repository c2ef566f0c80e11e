"""A real server: the kernel's own mounts where it has a client, and what the server shows in either case."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.integration.node.nfs_class.ganesha import ganesha
from tests.integration.node.nfs_class.scratch import needs_root
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.nfs_class import share_call
from tiphys.node.nfs_class.driver import NfsDriver
from tiphys.node.volumes import nfs
from tiphys.node.volumes.nfs import Export, NfsMounts
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.supervised import Supervised

pytestmark = needs_root
needs_client = pytest.mark.skipif(
    not nfs.kernel_has_client(), reason="NOT TESTED HERE: the kernel has no NFS client, so nothing mounts the real server's export"
)


async def test_a_server_shows_the_directories_of_volumes(tmp_path: Path) -> None:
    async with ganesha(tmp_path) as server:
        await asyncio.to_thread(share_call.call, ["make", str(server.export), "ns/c", "pv1", "1", "0", "0770", "own"])
        (server.export / "ns/c/file").write_text("data")
        code, text = await server.run("nfs-cat", server.url("/ns/c/file"))
        assert (code, text) == (0, "data")
        await asyncio.to_thread(share_call.call, ["archive", str(server.export), "ns/c", "pv1"])
        assert "archived-c" in (await server.run("nfs-ls", server.url("/ns")))[1]


@pytest.mark.skipif(nfs.kernel_has_client(), reason="the kernel has a client")
async def test_a_real_server_and_a_kernel_without_client(tmp_path: Path) -> None:
    processes = Supervised()
    async with ganesha(tmp_path) as server:
        with pytest.raises(VolumeError, match="no NFS client"):
            await NfsMounts(processes).mount(Export("127.0.0.1", "/share"), tmp_path / "m", [f"port={server.port}", "nfsvers=4.1"])
    await processes.close()


@needs_client
@pytest.mark.parametrize("program", ["mount.nfs", "our own"])
async def test_mounts_of_the_kernel(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if program == "our own":
        monkeypatch.setattr(nfs, "PATH", "/nowhere")
    processes = Supervised()
    mounts = NfsMounts(processes)
    one, two = tmp_path / "one", tmp_path / "two"
    async with ganesha(tmp_path) as server:
        options = [f"port={server.port}", "nfsvers=4.1"]
        try:
            await mounts.mount(Export("127.0.0.1", "/share"), one, options)
            await mounts.mount(Export("127.0.0.1", "/share"), two, [*options, "ro"])
            (one / "file").write_text("data")
            assert (server.export / "file").read_text() == (two / "file").read_text() == "data"
            with pytest.raises(OSError, match="Read-only"):
                (two / "other").touch()
            assert (await mounts.measure(str(one))).capacity
        finally:
            await mounts.unmount(one)
            await mounts.unmount(two)
        assert not one.exists()
    await processes.close()


@needs_client
async def test_a_volume_on_a_real_server(tmp_path: Path) -> None:
    processes = Supervised()
    async with ganesha(tmp_path) as server:
        driver = NfsDriver(tmp_path / "state", NfsMounts(processes), node="n1")
        capability = pb.VolumeCapability(
            mount=pb.VolumeCapability.MountVolume(mount_flags=[f"port={server.port}", "nfsvers=4.1"]),
            access_mode=pb.VolumeCapability.AccessMode(mode=pb.VolumeCapability.AccessMode.MULTI_NODE_MULTI_WRITER),
        )
        request = pb.CreateVolumeRequest(
            name="pvc-1", volume_capabilities=[capability], parameters={"server": "127.0.0.1", "share": "/share"}
        )
        volume = (await driver.CreateVolume(request)).volume
        target = tmp_path / "target"
        await driver.NodePublishVolume(
            pb.NodePublishVolumeRequest(volume_id=volume.volume_id, target_path=str(target), volume_capability=capability)
        )
        (target / "file").write_text("data")
        assert (server.export / "pvc-1/file").read_text() == "data"
        await driver.NodeUnpublishVolume(pb.NodeUnpublishVolumeRequest(volume_id=volume.volume_id, target_path=str(target)))
        await driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.volume_id))
        assert "pvc-1" not in os.listdir(server.export)
    await processes.close()


@needs_client
async def test_a_server_that_went_away_is_unmounted_by_force(tmp_path: Path) -> None:
    processes = Supervised()
    mounts = NfsMounts(processes)
    mounts.unmount_seconds = 3
    target = tmp_path / "m"
    async with ganesha(tmp_path) as server:
        await mounts.mount(Export("127.0.0.1", "/share"), target, [f"port={server.port}", "nfsvers=4.1"])
        (target / "file").write_text("data")
    mounts.stats_seconds = 1
    with pytest.raises(VolumeError, match="did not end within"):
        await mounts.measure(str(target))
    await mounts.unmount(target)
    assert not nfs.is_mounted(target)
    await processes.close()
