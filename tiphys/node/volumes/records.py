"""Records on the disk of what is, or may be, mounted: one file per pod and volume, and one per volume that the node itself uses.

    <root>/pods/<uid>/volume-records/<entry of spec.volumes>.json
    <root>/volume-records/<hash of the unique name>.json

A record is written before anything is mounted and removed after it has been unmounted. `done` says that mounting succeeded, and in which
boot of the machine: after another boot nothing is mounted any more, though a driver may still count the volume as in use here. Mounts
also end without a boot, by hand or with the container that the kubelet runs in: `point` says where one has to be.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from tiphys.node.volumes.mounts import is_mount
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord

log = logging.getLogger(__name__)

FOLDER = "volume-records"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class MountEntry(msgspec.Struct, frozen=True):
    """A mount for one pod, and its state."""

    record: MountRecord
    done: bool = False
    boot: str = ""
    point: str = ""
    """Mount point that must still be one; "" for storage that is used where it is."""


class DeviceEntry(msgspec.Struct, frozen=True):
    """A volume in use by the node, and its state."""

    record: DeviceRecord
    mounts: bool = True
    """True if the plugin mounts it for the node; False if the volume is only attached."""
    done: bool = False
    boot: str = ""
    point: str = ""
    """Mount point that must still be one, "" if there is none."""


E = TypeVar("E", MountEntry, DeviceEntry)


class VolumeRecords:
    """All records of a node. Files are read and written in threads; queries answer from memory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._boot = _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""
        self._mounts: dict[tuple[str, str], MountEntry] = {}
        self._devices: dict[str, DeviceEntry] = {}
        self.loaded = False
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Read what a kubelet before this one left; once. A file that cannot be read was never complete, and is ignored."""
        async with self._loading:
            if not self.loaded:
                mounts, devices = await asyncio.to_thread(self._read_all)
                self._mounts = {(entry.record.uid, entry.record.volume): entry for entry in mounts}
                self._devices = {entry.record.unique_name: entry for entry in devices}
                self.loaded = True

    def _read_all(self) -> tuple[list[MountEntry], list[DeviceEntry]]:
        mounts = [_read(path, MountEntry) for path in (self.root / "pods").glob(f"*/{FOLDER}/*.json")]
        devices = [_read(path, DeviceEntry) for path in (self.root / FOLDER).glob("*.json")]
        return [one for one in mounts if one is not None], [one for one in devices if one is not None]

    # -- queries

    def mount(self, uid: str, volume: str) -> MountEntry | None:
        return self._mounts.get((uid, volume))

    def mounts(self) -> list[MountEntry]:
        """Every mount of every pod."""
        return list(self._mounts.values())

    def mounts_of(self, uid: str) -> list[MountEntry]:
        """The mounts of one pod."""
        return [entry for (owner, _), entry in self._mounts.items() if owner == uid]

    def users(self, unique_name: str) -> set[str]:
        """Uids of the pods that have, or may have, a volume mounted."""
        return {entry.record.uid for entry in self._mounts.values() if entry.record.unique_name == unique_name}

    def device(self, unique_name: str) -> DeviceEntry | None:
        return self._devices.get(unique_name)

    def devices(self) -> list[DeviceEntry]:
        """Every volume that the node uses."""
        return list(self._devices.values())

    def is_done(self, entry: MountEntry | DeviceEntry | None) -> bool:
        """Return whether mounting succeeded, and the machine has not been rebooted since."""
        return entry is not None and entry.done and entry.boot == self._boot

    # -- changes

    async def begin_mount(self, record: MountRecord) -> None:
        """Record that a pod is about to have a volume. Raises OSError."""
        await self._put_mount(MountEntry(record))

    async def finish_mount(self, record: MountRecord) -> None:
        """Record that a pod has it, as `record` says. Raises OSError."""
        point = await asyncio.to_thread(_mount_point, record.path)
        await self._put_mount(MountEntry(record, True, self._boot, point))

    async def drop_mount(self, record: MountRecord) -> None:
        """Forget a mount that is undone. Raises OSError."""
        await asyncio.to_thread(self._mount_path(record).unlink, missing_ok=True)
        self._mounts.pop((record.uid, record.volume), None)

    async def begin_device(self, record: DeviceRecord, *, mounts: bool) -> None:
        """Record that the node is about to use a volume. Raises OSError."""
        await self._put_device(DeviceEntry(record, mounts))

    async def finish_device(self, record: DeviceRecord, *, mounts: bool) -> None:
        """Record that the node has it ready. Raises OSError."""
        point = await asyncio.to_thread(_mount_point, record.path)
        await self._put_device(DeviceEntry(record, mounts, True, self._boot, point))

    async def drop_device(self, record: DeviceRecord) -> None:
        """Forget a volume that the node no longer uses. Raises OSError."""
        await asyncio.to_thread(self._device_path(record.unique_name).unlink, missing_ok=True)
        self._devices.pop(record.unique_name, None)

    async def _put_mount(self, entry: MountEntry) -> None:
        await asyncio.to_thread(_write, self._mount_path(entry.record), entry)
        self._mounts[entry.record.uid, entry.record.volume] = entry

    async def _put_device(self, entry: DeviceEntry) -> None:
        await asyncio.to_thread(_write, self._device_path(entry.record.unique_name), entry)
        self._devices[entry.record.unique_name] = entry

    def _mount_path(self, record: MountRecord) -> Path:
        return self.root / "pods" / record.uid / FOLDER / f"{record.volume}.json"

    def _device_path(self, unique_name: str) -> Path:
        return self.root / FOLDER / f"{hashlib.sha256(unique_name.encode()).hexdigest()}.json"


def _read(path: Path, type_: type[E]) -> E | None:
    try:
        entry = msgspec.json.decode(path.read_bytes(), type=type_)
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("record of a volume not read", extra={"path": str(path), "error": str(error)})
        return None
    if entry.done and entry.point and not _mount_point(entry.point):
        log.warning("mount of a volume is gone", extra={"path": entry.point})
        return msgspec.structs.replace(entry, done=False)
    return entry


def _mount_point(path: str) -> str:
    """Return a path if something is mounted there, "" if nothing is. Raises OSError."""
    return path if path and is_mount(path) else ""


def _write(path: Path, entry: MountEntry | DeviceEntry) -> None:
    """Write a file so that it is there as a whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(entry))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
