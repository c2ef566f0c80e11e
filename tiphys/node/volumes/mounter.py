"""The steps of mounting and unmounting one persistent volume. What happens at once, and what is tried again, is up to `persistent.py`.

Whatever is begun has a record before and none after (`records.py`), so every step can be repeated by another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import term_holds
from tiphys.node.volumes import block, expansion, ownership
from tiphys.node.volumes.expansion import Expander, Tell
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import BusyError, DeviceRecord, MountRecord, UncertainError, VolumePlugin, VolumeSpec
from tiphys.node.volumes.records import DeviceEntry, MountEntry, VolumeRecords
from tiphys.node.volumes.resolve import group_of

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""A pod's uid and the name of its entry in `spec.volumes`."""


class VolumeMounter:
    """Mounts and unmounts volumes, one call at a time for volumes with the same unique name. `node` returns the Node, if it is known."""

    def __init__(self, root: Path, records: VolumeRecords, expander: Expander, node: Callable[[], core.Node | None], tell: Tell) -> None:
        self.root = root
        self.records = records
        self.expander = expander
        self.node = node
        self.tell = tell
        self.specs: dict[Key, VolumeSpec] = {}
        """Storage as it was when it was mounted by this process."""
        self.sizes: dict[Key, int] = {}
        """Bytes of the file systems of claims, as far as this process knows."""

    # -- mounting

    async def mount(self, spec: VolumeSpec, plugin: VolumePlugin, unique_name: str, device_path: str | None) -> None:
        """Mount a volume for a pod; nobody else works on volumes with this unique name meanwhile."""
        if self.records.is_done(self.records.mount(spec.pod.metadata.uid, spec.volume.name)):
            return  # by an earlier attempt that took longer than its caller waited
        self._check(spec, plugin, unique_name)
        device = await self._mount_device(spec, plugin, unique_name, device_path)
        key = (spec.pod.metadata.uid, spec.volume.name)
        with step(spec, "NewMounter initialization"):
            record = await plugin.mount_record(spec, device)
        record = msgspec.structs.replace(
            record,
            namespace=spec.pod.metadata.namespace,
            claim=spec.claim.metadata.name if spec.claim is not None else "",
            group=group_of(spec.pv),
        )
        known = self.records.mount(*key) is not None
        with step(spec, "MapPodDevice" if spec.block else "SetUp"):
            await self.records.begin_mount(record)
            if Path(record.path).is_relative_to(self.root):
                await asyncio.to_thread(Path(record.path).parent.mkdir, 0o750, parents=True, exist_ok=True)
            try:
                path = await plugin.mount(spec, record, device)
            except UncertainError:
                raise
            except VolumeError:
                if not known:
                    await self.records.drop_mount(record)
                raise
            if spec.block:
                link = await asyncio.to_thread(block.link_device, self.root, record, path)
                message = f'MapVolume.MapPodDevice succeeded for volume "{spec.name}" volumeMapPath "{link.parent}"'
                self.tell(spec.pod, "Normal", "SuccessfulMountVolume", message)
            else:
                record = msgspec.structs.replace(record, path=path)
                await self._own(spec, plugin, path)
        await self._expand_first(spec, plugin, record, device)
        with step(spec, "SetUp"):
            await self.records.finish_mount(record)
        self.specs[key] = spec

    def _check(self, spec: VolumeSpec, plugin: VolumePlugin, unique_name: str) -> None:
        if spec.pv is None:
            return
        with step(spec, "NodeAffinity check"):
            node, affinity = self.node(), spec.pv.spec.nodeAffinity
            required = affinity.required if affinity is not None else None
            if required is not None:
                if node is None:
                    raise VolumeError("the labels of the node are not known yet")
                if not any(term_holds(term, node) for term in required.nodeSelectorTerms):
                    raise VolumeError("no matching NodeSelectorTerms")
        with step(spec, "MountOptionSupport check"):
            if spec.mount_options and not spec.block and not plugin.supports_mount_options(spec):
                raise VolumeError("mount options are not supported for this volume type")
        with step(spec, "SetUp"):
            others = self.records.users(unique_name) - {spec.pod.metadata.uid}
            if others and spec.pv.spec.accessModes == ["ReadWriteOncePod"]:
                raise VolumeError("volume uses the ReadWriteOncePod access mode and is already in use by another pod")

    async def _mount_device(self, spec: VolumeSpec, plugin: VolumePlugin, unique_name: str, device_path: str | None) -> DeviceRecord | None:
        """Make a volume ready for all pods, if that has not been done; returns its record if the plugin mounts it for the node."""
        with step(spec, "SetUpDevice" if spec.block else "MountDevice"):
            desired = await plugin.device_record(spec, device_path or "")
            entry = self.records.device(unique_name)
            if self.records.is_done(entry):
                assert entry is not None
                return entry.record if entry.mounts else None
            if desired is None and device_path is None:
                return None
            record = desired or DeviceRecord(plugin=plugin.name, unique_name=unique_name, name=spec.name)
            record = msgspec.structs.replace(record, attachable=device_path is not None, block=spec.block)
            await self.records.begin_device(record, mounts=desired is not None)
            if desired is not None:
                try:
                    await plugin.mount_device(spec, record)
                except UncertainError:
                    raise
                except VolumeError:
                    if entry is None:
                        await self.records.drop_device(record)
                    raise
            await self.records.finish_device(record, mounts=desired is not None)
            return record if desired is not None else None

    async def _own(self, spec: VolumeSpec, plugin: VolumePlugin, path: str) -> None:
        group = spec.fs_group
        if group is None or spec.read_only or not await plugin.applies_fs_group(spec):
            return
        context = spec.pod.spec.securityContext
        assert context is not None
        root, uid = PodPaths(self.root, spec.pod.metadata.uid).base, spec.pod.metadata.uid
        where = path.replace(str(root), uid) if path.startswith(f"{root}/") else path
        try:
            await ownership.give_to_group(
                Path(path),
                group,
                on_root_mismatch=context.fsGroupChangePolicy == "OnRootMismatch",
                where=where,
                report=lambda message: self.tell(spec.pod, "Warning", "VolumePermissionChangeInProgress", message),
            )
        except OSError as error:
            raise VolumeError(f"applyFSGroup failed for vol {spec.name}: {error.strerror or error}") from error

    async def _expand_first(self, spec: VolumeSpec, plugin: VolumePlugin, record: MountRecord, device: DeviceRecord | None) -> None:
        if spec.claim is None or spec.pv is None or spec.read_only:
            return
        here = expansion.size_of(spec.claim.status.capacity)
        if expansion.is_due(spec.claim, spec.pv, here):
            with step(spec, "Setup", verb="failed while expanding volume"):
                try:
                    await self.expander.expand(plugin, spec, record, device)
                    here = expansion.size_of(spec.pv.spec.capacity)
                except BusyError as error:
                    log.info("volume not expanded", extra={"volume": spec.name, "error": str(error)})
        self.sizes[record.uid, record.volume] = here

    # -- unmounting

    async def unmount(self, plugin: VolumePlugin, record: MountRecord) -> None:
        """Unmount a volume of a pod; harmless if it is not mounted. Raises VolumeError, and the record stays."""
        with _named("UnmapVolume" if record.block else "UnmountVolume.TearDown", record.volume):
            if record.block:
                await asyncio.to_thread(block.unlink_device, self.root, record)
            await plugin.unmount(record)
            await self.records.drop_mount(record)
        self.specs.pop((record.uid, record.volume), None)
        self.sizes.pop((record.uid, record.volume), None)

    async def release(self, plugin: VolumePlugin, entry: DeviceEntry) -> None:
        """Unmount from the node a volume that no pod uses. Raises VolumeError, and the record stays."""
        record = entry.record
        with _named("UnmapDevice" if record.block else "UnmountDevice", record.name):
            if entry.mounts:
                # If that fails, or nobody hears how it ends, the next pod cannot rely on the mount.
                await self.records.begin_device(record, mounts=True)
                await plugin.unmount_device(record)
            await self.records.drop_device(record)

    # -- while it is mounted

    def device_of(self, entry: MountEntry) -> DeviceRecord | None:
        """Return the record of what the plugin has mounted for the node, if it has."""
        device = self.records.device(entry.record.unique_name)
        return device.record if device is not None and device.mounts else None


@contextmanager
def _named(step: str, name: str, verb: str = "failed for volume") -> Iterator[None]:
    """Begin the message of what goes wrong with the step and the volume."""
    try:
        yield
    except VolumeError as error:
        raise type(error)(f'{step} {verb} "{name}" : {error}') from error
    except OSError as error:
        raise VolumeError(f'{step} {verb} "{name}" : {error.strerror or error}') from error


def step(spec: VolumeSpec, name: str, verb: str = "failed for volume") -> AbstractContextManager[None]:
    """Begin the message of what goes wrong as upstream does: `MountVolume.SetUp failed for volume "pvc-1" : ...`."""
    return _named(f"{'MapVolume' if spec.block else 'MountVolume'}.{name}", spec.name, verb)
