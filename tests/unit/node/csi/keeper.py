"""A manager of volumes that keeps to the protocol of `tiphys.node.volumes.plugin` and can die at any step.

Records are files, so the next one finds what the last one began. `Crash` is raised between two steps, and stands for the end of the
process: nothing runs after it, and memory is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tiphys.node.csi.plugin import CsiPlugin
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, UncertainError, VolumeSpec


class Crash(BaseException):
    """The process ends here."""


class Steps:
    """Counts steps, and ends the process at one of them."""

    def __init__(self, crash_at: int = -1) -> None:
        self.left = crash_at

    def step(self) -> None:
        """A moment at which the process may end."""
        if self.left == 0:
            raise Crash
        self.left -= 1


class Keeper:
    """One process."""

    def __init__(self, root: Path, plugin: CsiPlugin, steps: Steps) -> None:
        self.root, self.plugin, self.steps = root / "records", plugin, steps
        self.root.mkdir(exist_ok=True)
        self.mounted: set[tuple[str, str]] = set()
        """Pod and volume of what this process has mounted."""
        self.staged: set[str] = set()

    def devices(self) -> Iterator[DeviceRecord]:
        for path in sorted(self.root.glob("device-*")):
            yield msgspec.json.decode(path.read_bytes(), type=DeviceRecord)

    def mounts(self) -> Iterator[MountRecord]:
        for path in sorted(self.root.glob("mount-*")):
            yield msgspec.json.decode(path.read_bytes(), type=MountRecord)

    def _path(self, record: DeviceRecord | MountRecord) -> Path:
        kind = f"mount-{record.uid}-{record.name}" if isinstance(record, MountRecord) else f"device-{record.name}"
        return self.root / kind

    def _begin(self, record: DeviceRecord | MountRecord) -> bool:
        """Write a record; False when there was one."""
        self.steps.step()
        path = self._path(record)
        fresh = not path.exists()
        path.write_bytes(msgspec.json.encode(record))
        self.steps.step()
        return fresh

    def _end(self, record: DeviceRecord | MountRecord) -> None:
        self.steps.step()
        self._path(record).unlink(missing_ok=True)
        self.steps.step()

    async def reconcile(self, wanted: dict[tuple[str, str], VolumeSpec]) -> bool:
        """Bring the mounts to what pods want (by pod and volume); False when something failed."""
        good = True
        for record in list(self.mounts()):
            if (record.uid, record.name) not in wanted:
                good &= await self._attempt_unmount(record)
        used = {record.unique_name for record in self.mounts()} | {self.plugin.unique_name(spec) for spec in wanted.values()}
        for device in list(self.devices()):
            if device.unique_name not in used:
                good &= await self._attempt_release(device)
        for key, spec in wanted.items():
            if key not in self.mounted:
                good &= await self._attempt_mount(key, spec)
        return good

    async def _attempt_unmount(self, record: MountRecord) -> bool:
        # Before the attempt: one that fails may have had its effect.
        self.mounted.discard((record.uid, record.name))
        try:
            await self.plugin.unmount(record)
        except VolumeError:
            return False
        self._end(record)
        return True

    async def _attempt_release(self, device: DeviceRecord) -> bool:
        self.staged.discard(device.unique_name)
        try:
            await self.plugin.unmount_device(device)
        except VolumeError:
            return False
        self._end(device)
        return True

    async def _attempt_mount(self, key: tuple[str, str], spec: VolumeSpec) -> bool:
        try:
            device = await self.plugin.device_record(spec, "")
            if device is not None and device.unique_name not in self.staged:
                await self._stage(spec, device)
            record = await self.plugin.mount_record(spec, device)
            fresh = self._begin(record)
            Path(record.path).parent.mkdir(parents=True, exist_ok=True)
            try:
                await self.plugin.mount(spec, record, device)
            except UncertainError:
                raise
            except VolumeError:
                if fresh:
                    self._end(record)
                raise
        except VolumeError:
            return False
        self.mounted.add(key)
        self.steps.step()
        return True

    async def _stage(self, spec: VolumeSpec, device: DeviceRecord) -> None:
        fresh = self._begin(device)
        try:
            await self.plugin.mount_device(spec, device)
        except UncertainError:
            raise
        except VolumeError:
            if fresh:
                self._end(device)
            raise
        self.staged.add(device.unique_name)
        self.steps.step()
