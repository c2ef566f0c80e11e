"""Mounts of NFS exports up to the call that mounts; tests/integration/node/nfs_class/test_round_trip.py has the mount itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.node.make import pod
from tests.unit.node.volumes.disks import claiming
from tiphys.api.core import v1 as core
from tiphys.node.runtime import procs
from tiphys.node.volumes import mounts, nfs, nfs_call
from tiphys.node.volumes.nfs import Command, Export, NfsMounts, NfsPlugin
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import UncertainError, VolumeSpec
from tiphys.node.volumes.supervised import DeadlineError, Supervised
from tiphys.testing.eventually import eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


@pytest.fixture
async def processes() -> AsyncIterator[Supervised]:
    made = Supervised(at_once=2)
    yield made
    await made.close()


class Mounting:
    """Commands that stand for mount.nfs: a tmpfs in place of the export, or whatever a test wants."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.mounted: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, export: Export, target: Path, options: Sequence[str]) -> Command:
        self.mounted.append((export.source, tuple(options)))
        return [*(self.words or ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(target)))], {}


def in_pod(**source: Any) -> VolumeSpec:
    volume = {"name": "v", "nfs": {"server": "nas.example", "path": "/srv/a", **source}}
    made = pod({"name": "a"}, volumes=[volume])
    return VolumeSpec(pod=made, volume=made.spec.volumes[0], read_only=bool(source.get("readOnly")))


def of_claim(*options: str, read_only: bool = False, **source: Any) -> VolumeSpec:
    made = claiming()
    spec = {"nfs": {"server": "nas.example", "path": "/srv/a", **source}, "capacity": {"storage": "1Gi"}}
    pv = msgspec.convert({"metadata": {"name": "pv"}, "spec": spec}, core.PersistentVolume)
    return VolumeSpec(pod=made, volume=made.spec.volumes[0], pv=pv, mount_options=options, read_only=read_only)


@pytest.mark.parametrize(
    ("spec", "source", "options"),
    [
        (in_pod(), "nas.example:/srv/a", ()),
        (in_pod(readOnly=True), "nas.example:/srv/a", ("ro",)),
        (in_pod(server="fd00::1"), "[fd00::1]:/srv/a", ()),
        (in_pod(server="[fd00::1]"), "[fd00::1]:/srv/a", ()),
        (in_pod(server="192.0.2.1"), "192.0.2.1:/srv/a", ()),
        (of_claim("nfsvers=4.1", "hard", "hard"), "nas.example:/srv/a", ("nfsvers=4.1", "hard")),
        (of_claim("rw", "soft", read_only=True), "nas.example:/srv/a", ("soft", "ro")),
        (of_claim(readOnly=True), "nas.example:/srv/a", ("ro",)),
    ],
)
async def test_source_and_options(spec: VolumeSpec, source: str, options: tuple[str, ...], tmp_path: Path, processes: Supervised) -> None:
    mounting = Mounting("true")
    plugin = NfsPlugin(tmp_path, NfsMounts(processes, mounting))
    assert plugin.takes(spec)
    await plugin.mount(spec, await plugin.mount_record(spec, None), None)
    assert mounting.mounted == [(source, options)]


@needs_root
async def test_each_pod_has_a_mount_of_its_own_which_is_made_once(tmp_path: Path, processes: Supervised) -> None:
    mounting = Mounting()
    plugin = NfsPlugin(tmp_path, NfsMounts(processes, mounting))
    spec = in_pod()
    record = await plugin.mount_record(spec, None)
    assert record.path == f"{tmp_path}/pods/u1/volumes/kubernetes.io~nfs/v"
    try:
        for _ in range(2):
            assert await plugin.mount(spec, record, None) == record.path
        assert len(mounting.mounted) == 1
        stats = await plugin.stats(record)
        assert stats is not None
        assert (stats.capacity, stats.used) == (1 << 20, 0)
    finally:
        await plugin.unmount(record)
    assert not (tmp_path / "pods/u1/volumes/kubernetes.io~nfs/v").exists()
    await plugin.unmount(record)


@needs_root
async def test_a_mount_in_use_is_taken_away_all_the_same(tmp_path: Path, processes: Supervised) -> None:
    target = tmp_path / "m"
    where = NfsMounts(processes, Mounting())
    await where.mount(Export("a", "/"), target, ())
    fd = os.open(target, os.O_RDONLY)
    try:
        await where.unmount(target)
    finally:
        os.close(fd)
    assert not target.exists()


async def test_a_server_that_hangs_costs_a_bounded_number_of_processes(tmp_path: Path, processes: Supervised) -> None:
    listed = tmp_path / "pids"
    listed.touch()
    where = NfsMounts(processes, Mounting("sh", "-c", f"echo $$ >> {listed}; sleep 1000 & wait"))
    export = Export("nas.example", "/")

    def mount(number: int) -> asyncio.Task[None]:
        return asyncio.create_task(where.mount(export, tmp_path / str(number), ()))

    def started() -> list[str]:
        return listed.read_text().split()

    hanging = [mount(0), mount(1)]
    await eventually(lambda: len(started()) == 2)
    pids = started()
    waiting = [mount(2), mount(3)]
    await eventually(lambda: processes.running("NFS server nas.example") == 4)
    assert started() == pids
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    await eventually(lambda: not any(str(listed) in " ".join(procs.command_line(int(pid))) for pid in pids))
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await eventually(lambda: processes.running("NFS server nas.example") == 0)


async def test_the_deadline_of_a_mount(tmp_path: Path, processes: Supervised) -> None:
    where = NfsMounts(processes, Mounting("sleep", "1000"))
    where.mount_seconds = 0.2
    with pytest.raises(UncertainError, match=r"NFS server nas.example: sleep did not end within"):
        await where.mount(Export("nas.example", "/"), tmp_path / "m", ())
    await eventually(lambda: processes.running("NFS server nas.example") == 0)


async def test_late_callers_hear_that_everything_hangs(processes: Supervised) -> None:
    hanging = [asyncio.create_task(processes.run("server", ["sleep", "1000"], timeout=1000)) for _ in range(2)]
    await eventually(lambda: processes.running("server") == 2)
    with pytest.raises(DeadlineError, match="too many calls hang") as caught:
        await processes.run("server", ["true"], timeout=0.1)
    assert not caught.value.started
    assert (await processes.run("another server", ["echo", "fine"], timeout=60)) == (0, "fine")
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    assert (await processes.run("server", ["sh", "-c", "exit 7"], timeout=60)) == (7, "")


async def test_a_daemon_that_a_program_leaves_behind_delays_nobody(tmp_path: Path, processes: Supervised) -> None:
    code, text = await processes.run("s", ["sh", "-c", "sleep 1000 & echo $!"], timeout=60)
    os.kill(int(text), 9)
    assert code == 0


async def test_a_program_that_is_missing(processes: Supervised) -> None:
    with pytest.raises(VolumeError, match=r"/no/such/program: No such file or directory"):
        await processes.run("s", ["/no/such/program"], timeout=60)
    assert processes.running("s") == 0


@needs_root
@pytest.mark.skipif(nfs.kernel_has_client(), reason="the kernel has an NFS client, with which integration tests mount")
@pytest.mark.parametrize("program", ["mount.nfs", "our own"])
async def test_a_kernel_without_nfs(program: str, tmp_path: Path, processes: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    if program == "our own":
        monkeypatch.setattr(nfs, "PATH", "/nowhere")
    target = tmp_path / "m"
    with pytest.raises(VolumeError, match="the kernel of this node has no NFS client"):
        await NfsMounts(processes).mount(Export("127.0.0.1", "/srv"), target, ["nfsvers=4.2"])
    assert not target.exists()


def test_options_for_the_kernel() -> None:
    words = ["rw", "noatime", "nosuid", "nfsvers=4.1", "hard", "retry=2", "_netdev", "x-systemd.automount", "rsize=1048576"]
    assert nfs_call.split_options(words) == (1024 | mounts.MS_NOSUID, ["hard", "rsize=1048576"], "4.1")


@pytest.mark.parametrize(("version", "hint"), [("3", "apt-get install nfs-common"), ("v3", "apt-get install nfs-common")])
def test_an_old_version_needs_the_program(version: str, hint: str) -> None:
    option = version if version.startswith("v") else f"vers={version}"
    with pytest.raises(OSError, match=hint):
        nfs_call.mount("a:/", "a", "/nowhere", [option])


def test_a_server_whose_name_is_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    assert nfs_call.main(["mount", "nas.invalid:/", "nas.invalid", "/nowhere"]) != 0
    assert "Failed to resolve server nas.invalid" in capfd.readouterr().out
