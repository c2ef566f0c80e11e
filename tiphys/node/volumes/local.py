"""Persistent volumes that are on this node: `local` ("Volumes", local) and `hostPath`.

A `local` volume is a directory, which is bind mounted, or a block device: mounted once for the node and from there for each pod, or given
to containers as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path

from tiphys.node.volumes import filesystems, mounts
from tiphys.node.volumes.host_path import host_path
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, UnattachedPlugin, UnsupportedError, VolumeSpec, VolumeStats
from tiphys.node.volumes.records import VolumeRecords
from tiphys.node.volumes.volume_stats import measure_directory

_PROPAGATION_WORDS = {"rbind", "bind"}
_FLAGS = {"nosuid": mounts.MS_NOSUID, "nodev": mounts.MS_NODEV, "noexec": mounts.MS_NOEXEC, "ro": mounts.MS_RDONLY}


class LocalPlugin(UnattachedPlugin):
    """Volumes of the kind `local`, below the kubelet's directory `root`. `records` tells which pods share one."""

    name = "kubernetes.io/local-volume"

    def __init__(self, root: Path, records: VolumeRecords) -> None:
        self.root = root
        self.records = records

    def takes(self, spec: VolumeSpec) -> bool:
        return spec.pv is not None and spec.pv.spec.local is not None

    def supports_mount_options(self, spec: VolumeSpec) -> bool:
        return True

    async def applies_fs_group(self, spec: VolumeSpec) -> bool:
        # The first pod decides: another group would take the files from it.
        return not self.records.users(self.unique_name(spec)) - {spec.pod.metadata.uid}

    async def device_record(self, spec: VolumeSpec, device_path: str) -> DeviceRecord | None:
        source, is_device = await asyncio.to_thread(_source, spec)
        if spec.block or not is_device:
            return None
        target = self.root / "plugins" / self.name / "mounts" / spec.name
        return DeviceRecord(plugin=self.name, unique_name=self.unique_name(spec), name=spec.name, path=str(target), device_path=source)

    async def mount_device(self, spec: VolumeSpec, record: DeviceRecord) -> None:
        assert spec.pv is not None
        assert spec.pv.spec.local is not None
        kind = spec.pv.spec.local.fsType or filesystems.DEFAULT
        await filesystems.format_and_mount(record.device_path, Path(record.path), kind, tuple(spec.mount_options), read_only=spec.read_only)

    async def unmount_device(self, record: DeviceRecord) -> None:
        await asyncio.to_thread(unmount_and_remove, Path(record.path))

    async def mount_record(self, spec: VolumeSpec, device: DeviceRecord | None) -> MountRecord:
        source, _ = await asyncio.to_thread(_source, spec)
        uid = spec.pod.metadata.uid
        target = PodPaths(self.root, uid).persistent(self.name, spec.name)
        return MountRecord(
            plugin=self.name,
            unique_name=self.unique_name(spec),
            name=spec.name,
            uid=uid,
            volume=spec.volume.name,
            path=source if spec.block else str(target),
            block=spec.block,
        )

    async def mount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> str:
        source, _ = await asyncio.to_thread(_source, spec)
        if not spec.block:
            # Those of a device are options of its own mount, not of what is made from it.
            options = () if device is not None else tuple(spec.mount_options)
            await asyncio.to_thread(_bind, device.path if device is not None else source, Path(record.path), options, spec.read_only)
        return record.path

    async def unmount(self, record: MountRecord) -> None:
        if not record.block:
            await asyncio.to_thread(unmount_and_remove, Path(record.path))

    async def stats(self, record: MountRecord) -> VolumeStats | None:
        if record.block:
            return VolumeStats(capacity=await asyncio.to_thread(filesystems.device_size, record.path))
        return await measure_directory(record.path)

    async def needs_expansion_on_node(self, spec: VolumeSpec) -> bool:
        return True

    async def expand(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None, size: int) -> int:
        if device is not None:
            await filesystems.grow(device.device_path, Path(device.path))
        return size


class HostPathPlugin(UnattachedPlugin):
    """Persistent volumes of the kind `hostPath`: a path of the node, used where it is."""

    name = "kubernetes.io/host-path"

    def takes(self, spec: VolumeSpec) -> bool:
        return spec.pv is not None and spec.pv.spec.hostPath is not None

    def supports_mount_options(self, spec: VolumeSpec) -> bool:
        return False

    async def applies_fs_group(self, spec: VolumeSpec) -> bool:
        return False

    async def mount_record(self, spec: VolumeSpec, device: DeviceRecord | None) -> MountRecord:
        assert spec.pv is not None
        assert spec.pv.spec.hostPath is not None
        if spec.block:
            raise UnsupportedError("volume mode Block is not supported by hostPath volumes")
        return MountRecord(
            plugin=self.name,
            unique_name=self.unique_name(spec),
            name=spec.name,
            uid=spec.pod.metadata.uid,
            volume=spec.volume.name,
            path=spec.pv.spec.hostPath.path,
        )

    async def mount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> str:
        assert spec.pv is not None
        assert spec.pv.spec.hostPath is not None
        return str(await asyncio.to_thread(host_path, record.path, spec.pv.spec.hostPath.type or ""))

    async def unmount(self, record: MountRecord) -> None:
        """Nothing to do: the path stays."""

    async def stats(self, record: MountRecord) -> VolumeStats | None:
        return None

    async def needs_expansion_on_node(self, spec: VolumeSpec) -> bool:
        return False

    async def expand(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None, size: int) -> int:
        return size


def _source(spec: VolumeSpec) -> tuple[str, bool]:
    """Return the path of a local volume, and whether it is a block device. Raises VolumeError."""
    assert spec.pv is not None
    assert spec.pv.spec.local is not None
    path = spec.pv.spec.local.path
    if ".." in Path(path).parts:
        raise VolumeError(f"invalid path: {path} must not contain '..'")
    if not Path(path).is_absolute():
        raise VolumeError(f"invalid path: {path} must be absolute")
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise VolumeError(f'path "{path}" does not exist' if isinstance(error, FileNotFoundError) else str(error)) from error
    if spec.block and not stat.S_ISBLK(mode):
        raise VolumeError(f"{path} is not a block device")
    if not stat.S_ISBLK(mode) and not stat.S_ISDIR(mode):
        raise VolumeError("only directory and block device are supported")
    return path, stat.S_ISBLK(mode)


def _bind(source: str, target: Path, options: tuple[str, ...], read_only: bool) -> None:
    flags = mounts.MS_RDONLY if read_only else 0
    for option in options:
        if option not in _FLAGS and option not in _PROPAGATION_WORDS:
            raise VolumeError(f'mount option "{option}" has no meaning for a directory of the node')
        flags |= _FLAGS.get(option, 0)
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not mounts.is_mount(target):
            mounts.bind(source, target)
        if flags:
            # Also for a mount that is there: the kubelet may have been killed before it got to this.
            mounts.restrict_bind(target, flags)
    except OSError as error:
        raise VolumeError(str(error)) from error


def unmount_and_remove(target: Path) -> None:
    """Unmount whatever is mounted at a directory, and remove the directory, never what is in it. Raises VolumeError.

    A mount that is busy stays: a disk must not be detached while something writes to it unseen.
    """
    try:
        while mounts.is_mount(target):
            mounts.unmount(target, strict=True)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(target)
    except OSError as error:
        raise VolumeError(f"{target}: {error.strerror or error}") from error
