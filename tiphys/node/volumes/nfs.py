"""Volumes of the kind `nfs`: a directory that another machine exports ("Volumes", nfs).

Each pod has a mount of its own. Whatever may wait for the server is done by processes with a deadline (`supervised.py`): a server that is
away delays the pods that use it and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.volumes import mounts
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import (
    DeviceRecord,
    MountRecord,
    UnattachedPlugin,
    UncertainError,
    UnsupportedError,
    VolumeSpec,
    VolumeStats,
    unique_name_of_pod,
)
from tiphys.node.volumes.supervised import PATH, DeadlineError, Supervised, python

MOUNT_SECONDS = 60.0
UNMOUNT_SECONDS = 20.0
STATS_SECONDS = 20.0
"""Seconds after which a server counts as hanging."""
_FILESYSTEMS = Path("/proc/filesystems")
_UNKNOWN_KIND = ("No such device", "unknown filesystem type")
_CALL = "tiphys.node.volumes.nfs_call"
Command = tuple[list[str], dict[str, str]]
"""A program with its arguments, and its environment."""


class Export(msgspec.Struct, frozen=True):
    """A directory of a server."""

    server: str
    path: str

    @property
    def source(self) -> str:
        """Return what to mount, with brackets around an IPv6 address."""
        try:
            server = f"[{self.server}]" if ipaddress.ip_address(self.server).version == 6 else self.server
        except ValueError:
            server = self.server
        return f"{server}:{self.path}"


def kernel_has_client() -> bool:
    """Return whether the kernel can mount NFS, as far as it has loaded what it needs for that."""
    names = {line.split()[-1] for line in _FILESYSTEMS.read_text(encoding="ascii").splitlines() if line.split()}
    return bool(names & {"nfs", "nfs4"})


def mount_command(export: Export, target: Path, options: Sequence[str]) -> Command:
    """Return the program that mounts an export: mount.nfs if it is installed, otherwise our own, which knows NFS 4 alone."""
    if shutil.which("mount.nfs", path=PATH) is None:
        return python(_CALL, "mount", export.source, export.server.strip("[]"), str(target), *options)
    words = ["-o", ",".join(options)] if options else []
    return [shutil.which("mount", path=PATH) or "mount", "-t", "nfs", *words, export.source, str(target)], {}


class NfsMounts:
    """Mounts and unmounts exports. `command` returns the program that mounts."""

    def __init__(self, processes: Supervised, command: Callable[[Export, Path, Sequence[str]], Command] = mount_command) -> None:
        self.processes = processes
        self.command = command
        self.mount_seconds, self.unmount_seconds, self.stats_seconds = MOUNT_SECONDS, UNMOUNT_SECONDS, STATS_SECONDS

    async def mount(self, export: Export, target: Path, options: Sequence[str]) -> None:
        """Mount an export at a directory, made if it is missing; nothing to do if something is mounted there.

        Raises VolumeError, UncertainError if the kernel may still be about to mount it.
        """
        if await asyncio.to_thread(is_mounted, target):
            return
        await asyncio.to_thread(target.mkdir, 0o750, parents=True, exist_ok=True)
        command, environment = self.command(export, target, options)
        try:
            code, text = await self.processes.run(
                f"NFS server {export.server}", command, timeout=self.mount_seconds, environment=environment
            )
        except DeadlineError as error:
            if error.started:
                raise UncertainError(str(error)) from error
            raise
        if code:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(os.rmdir, target)
            raise VolumeError(_explain(command, code, text))

    async def unmount(self, target: Path) -> None:
        """Unmount and remove a directory, by force if the server does not answer. Harmless where there is nothing. Raises VolumeError."""
        for force in (False, True):
            if not await asyncio.to_thread(is_mounted, target):
                break
            command, environment = python(_CALL, "unmount", str(target), *(["force"] if force else []))
            try:
                await self.processes.run(f"unmount of {target}", command, timeout=self.unmount_seconds, environment=environment)
            except DeadlineError:
                if force:
                    raise
        try:
            if await asyncio.to_thread(is_mounted, target):
                raise VolumeError(f"{target} is still mounted")
            await asyncio.to_thread(os.rmdir, target)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise VolumeError(f"{target}: {error.strerror or error}") from error

    async def measure(self, path: str) -> VolumeStats:
        """Measure a mounted export. Raises VolumeError. May be cancelled."""
        command = [shutil.which("stat", path=PATH) or "stat", "--file-system", "--format=%S %b %f %a %c %d", path]
        code, text = await self.processes.run(f"statfs of {path}", command, timeout=self.stats_seconds)
        if code:
            raise VolumeError(text)
        unit, blocks, free, available, inodes, inodes_free = map(int, text.split())
        return VolumeStats(
            capacity=blocks * unit,
            available=available * unit,
            used=(blocks - free) * unit,
            inodes=inodes,
            inodes_free=inodes_free,
            inodes_used=inodes - inodes_free,
        )


class NfsPlugin(UnattachedPlugin):
    """The plugin for `nfs` in pods and in persistent volumes, below the kubelet's directory `root`."""

    name = "kubernetes.io/nfs"

    def __init__(self, root: Path, nfs: NfsMounts) -> None:
        self.root = root
        self.nfs = nfs

    def takes(self, spec: VolumeSpec) -> bool:
        return _source(spec) is not None

    def unique_name(self, spec: VolumeSpec) -> str:
        return unique_name_of_pod(self.name, spec)

    def supports_mount_options(self, spec: VolumeSpec) -> bool:
        return True

    async def applies_fs_group(self, spec: VolumeSpec) -> bool:
        # The server keeps owners and modes, for other machines as well.
        return False

    async def mount_record(self, spec: VolumeSpec, device: DeviceRecord | None) -> MountRecord:
        if spec.block:
            raise UnsupportedError("volume mode Block is not supported by nfs volumes")
        uid = spec.pod.metadata.uid
        return MountRecord(
            plugin=self.name,
            unique_name=self.unique_name(spec),
            name=spec.name,
            uid=uid,
            volume=spec.volume.name,
            path=str(PodPaths(self.root, uid).persistent(self.name, spec.name)),
        )

    async def mount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> str:
        source = _source(spec)
        assert source is not None
        options = list(dict.fromkeys(option for option in spec.mount_options if option))
        if (spec.read_only or source.readOnly) and "ro" not in options:
            options = [option for option in options if option != "rw"] + ["ro"]
        await self.nfs.mount(Export(source.server, source.path), Path(record.path), options)
        return record.path

    async def unmount(self, record: MountRecord) -> None:
        await self.nfs.unmount(Path(record.path))

    async def stats(self, record: MountRecord) -> VolumeStats | None:
        return await self.nfs.measure(record.path)

    async def needs_expansion_on_node(self, spec: VolumeSpec) -> bool:
        return False

    async def expand(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None, size: int) -> int:
        return size


def is_mounted(target: Path) -> bool:
    """Return whether something is mounted at a directory, without looking at it: that would wait for the server. Blocking."""
    return str(target) in mounts.mounts_below(target)


def _source(spec: VolumeSpec) -> core.NFSVolumeSource | None:
    return spec.volume.nfs if spec.pv is None else spec.pv.spec.nfs


def _explain(command: Sequence[str], code: int, text: str) -> str:
    message = f"mount failed with exit status {code}: {' '.join(command)}: {text}"
    if any(words in text for words in _UNKNOWN_KIND) and not kernel_has_client():
        return f"the kernel of this node has no NFS client (neither nfs nor nfs4 is in {_FILESYSTEMS}): {message}"
    return message
