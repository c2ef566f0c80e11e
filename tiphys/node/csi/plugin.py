"""Volumes of drivers, `kubernetes.io/csi`: what a pod wants and what records say becomes calls to a driver.

                        mount mode                                           block mode
    mount_device        NodeStageVolume at globalmount                       NodeStageVolume at volumeDevices/staging
    mount               NodePublishVolume at the pod's mount                 NodePublishVolume at volumeDevices/publish
    unmount             NodeUnpublishVolume, the pod's directory goes        the same, for the device
    unmount_device      NodeUnstageVolume, the directory of the volume goes

A data file is written before each first call and removed after the undoing one, so what no driver was asked for is given up without one.
A call that failed for good has done nothing, and its files go at once; unless an earlier attempt left them: what became of that is
unknown, so it counts as uncertain until the driver has undone it. ("CSI Volume Plugins in Kubernetes Design Doc")
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiphys.aio.clock import monotonic
from tiphys.api.helpers.attachments import PLUGIN, attachment_name, unique_name
from tiphys.csi.errors import CsiError, FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.csi import metrics, volume_data
from tiphys.node.csi.allocatable import AllocatableUpdater
from tiphys.node.csi.cluster import CsiCluster, check_attached, is_exhausted
from tiphys.node.csi.drivers import CsiDrivers
from tiphys.node.csi.paths import VOLUME_DATA, CsiPaths
from tiphys.node.csi.requests import TOKENS_KEY, Source, capability, check_lifecycle, group_owns, pod_info
from tiphys.node.csi.service import CONDITION, EXPAND, MOUNT_GROUP, STAGE, STATS, DriverService, is_final
from tiphys.node.csi.usage import volume_stats
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import (
    BusyError,
    DeviceRecord,
    MountRecord,
    UncertainError,
    UnsupportedError,
    VolumeSpec,
    VolumeStats,
    unique_name_of_pod,
)


class CsiPlugin:
    """A `VolumePlugin` for all drivers of the node."""

    name = PLUGIN

    def __init__(self, root: Path, cluster: CsiCluster, drivers: CsiDrivers, updater: AllocatableUpdater) -> None:
        self.paths = CsiPaths(root)
        self._cluster = cluster
        self._drivers = drivers
        self._updater = updater

    # -- what a volume is

    def takes(self, spec: VolumeSpec) -> bool:
        source = Source(spec)
        return source.persistent is not None or source.inline is not None

    def unique_name(self, spec: VolumeSpec) -> str:
        source = Source(spec)
        if source.inline is not None:
            return unique_name_of_pod(PLUGIN, spec)
        return unique_name(source.driver, source.handle)

    def supports_mount_options(self, spec: VolumeSpec) -> bool:
        return True

    async def needs_attach(self, spec: VolumeSpec) -> bool:
        return await self._cluster.attaches(Source(spec))

    def needs_attachment(self, record: DeviceRecord) -> bool:
        driver = self._cluster.known_driver(record.data.get("driver", ""))
        return driver is None or driver.spec.attachRequired is not False

    async def applies_fs_group(self, spec: VolumeSpec) -> bool:
        source = Source(spec)
        if not group_owns(await self._cluster.driver(source.driver), source):
            return False
        return MOUNT_GROUP not in await self._capabilities(self._drivers.get(source.driver))

    async def requires_remount(self, spec: VolumeSpec) -> bool:
        driver = await self._cluster.driver(Source(spec).driver)
        return driver is not None and bool(driver.spec.requiresRepublish)

    # -- attachment

    async def wait_attached(self, spec: VolumeSpec, device_path: str) -> str:
        source = Source(spec)
        attachment = await self._cluster.attachment(source)
        if attachment is not None:
            check_attached(attachment, source.handle)
        # The driver finds the device by itself, with the help of the attachment's metadata.
        return ""

    async def lacks_room(self, spec: VolumeSpec) -> bool:
        """Return whether the volume is not attached because the node has as many as it takes; the limit is then brought up to date.

        Only for drivers that let their limit be updated. A pod that waits for such a volume fails with VolumeAttachmentLimitExceeded
        (KEP-4876 "Mutable CSINode Allocatable Property").
        """
        source = Source(spec)
        driver = await self._cluster.driver(source.driver)
        if source.persistent is None or driver is None or not driver.spec.nodeAllocatableUpdatePeriodSeconds:
            return False
        attachment = await self._cluster.attachment(source)
        if attachment is None or not is_exhausted(attachment):
            return False
        await self._updater.refresh(source.driver)
        return True

    # -- for the node

    async def device_record(self, spec: VolumeSpec, device_path: str) -> DeviceRecord | None:
        source = Source(spec)
        if source.persistent is None:
            return None
        staged = STAGE in await self._capabilities(self._drivers.get(source.driver))
        path = self.paths.staged_device(spec.name) if spec.block else self.paths.global_mount(source.driver, source.handle)
        data = {"driver": source.driver, "handle": source.handle}
        return DeviceRecord(
            plugin=PLUGIN,
            unique_name=self.unique_name(spec),
            name=spec.name,
            path=str(path) if staged else "",
            block=spec.block,
            device_path=device_path,
            data=data,
        )

    async def mount_device(self, spec: VolumeSpec, record: DeviceRecord) -> None:
        if not record.path:
            return
        source = Source(spec)
        driver = self._drivers.get(source.driver)
        features = await self._capabilities(driver)
        secrets = await self._cluster.secret("NodeStageSecretRef", source.stage_secret)
        request = pb.NodeStageVolumeRequest(
            volume_id=source.handle,
            publish_context=await self._publish_context(source),
            staging_target_path=record.path,
            volume_capability=capability(source, features),
            secrets=secrets,
            volume_context=source.attributes,
        )
        target, data_file = Path(record.path), self._device_data(record)
        data = {"volumeHandle": source.handle, "driverName": source.driver}
        if record.block:
            data = {"specVolID": spec.name, **data, **self._attachment_data(source)}
        fresh = await asyncio.to_thread(_prepare, target, data_file, data)
        try:
            await driver.call("NodeStageVolume", request, pb.NodeStageVolumeResponse, secrets=secrets.values())
        except CsiError as error:
            raise await _given_up(error, target, data_file, fresh=fresh) from error

    async def unmount_device(self, record: DeviceRecord) -> None:
        data_file = self._device_data(record)
        if bool(record.path) and await asyncio.to_thread(data_file.exists):
            driver = self._drivers.get(record.data["driver"])
            if STAGE in await self._capabilities(driver):
                request = pb.NodeUnstageVolumeRequest(volume_id=record.data["handle"], staging_target_path=record.path)
                try:
                    await driver.call("NodeUnstageVolume", request, pb.NodeUnstageVolumeResponse)
                except CsiError as error:
                    raise UncertainError(f"kubernetes.io/csi: attacher.UnmountDevice failed: {error}") from error
        if record.path:
            await _clean(Path(record.path), data_file)
        if record.block:
            await asyncio.to_thread(self._forget_block, record.name)

    # -- for a pod

    async def mount_record(self, spec: VolumeSpec, device: DeviceRecord | None) -> MountRecord:
        source = Source(spec)
        check_lifecycle(await self._cluster.driver(source.driver), source)
        # Without its driver nothing is begun.
        self._drivers.get(source.driver)
        uid = spec.pod.metadata.uid
        path = self.paths.published_device(spec.name, uid) if spec.block else self.paths.pod_mount(uid, spec.name)
        return MountRecord(
            plugin=PLUGIN,
            unique_name=self.unique_name(spec),
            name=spec.name,
            uid=uid,
            volume=spec.volume.name,
            path=str(path),
            namespace=spec.pod.metadata.namespace,
            claim=spec.claim.metadata.name if spec.claim is not None else "",
            block=spec.block,
            data={"driver": source.driver, "handle": source.handle},
        )

    async def mount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> str:
        source = Source(spec)
        driver = self._drivers.get(source.driver)
        request, secrets = await self._publish_request(driver, source, record, device)
        target, data_file = Path(record.path), self._mount_data(record)
        data = {
            "specVolID": spec.name,
            "volumeHandle": source.handle,
            "driverName": source.driver,
            "volumeLifecycleMode": source.lifecycle,
            **self._attachment_data(source),
        }
        fresh = await asyncio.to_thread(_prepare, target.parent, data_file, data)
        try:
            await driver.call("NodePublishVolume", request, pb.NodePublishVolumeResponse, secrets=secrets)
        except CsiError as error:
            raise await _given_up(error, target, data_file, fresh=fresh) from error
        return record.path

    async def remount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> None:
        source = Source(spec)
        driver = self._drivers.get(source.driver)
        request, secrets = await self._publish_request(driver, source, record, device)
        try:
            await driver.call("NodePublishVolume", request, pb.NodePublishVolumeResponse, secrets=secrets)
        except CsiError as error:
            raise VolumeError(str(error)) from error

    async def unmount(self, record: MountRecord) -> None:
        self._cluster.tokens.forget(record.uid)
        data_file = self._mount_data(record)
        if await asyncio.to_thread(data_file.exists):
            driver = self._drivers.get(record.data["driver"])
            request = pb.NodeUnpublishVolumeRequest(volume_id=record.data["handle"], target_path=record.path)
            try:
                await driver.call("NodeUnpublishVolume", request, pb.NodeUnpublishVolumeResponse)
            except CsiError as error:
                raise UncertainError(f"kubernetes.io/csi: Unmounter.TearDownAt failed: {error}") from error
        await _clean(Path(record.path), data_file)

    # -- while it is used

    async def stats(self, record: MountRecord) -> VolumeStats | None:
        driver = self._drivers.get(record.data["driver"])
        started = monotonic()
        try:
            features = await self._capabilities(driver)
            if STATS not in features:
                return None
            request = pb.NodeGetVolumeStatsRequest(volume_id=record.data["handle"], volume_path=record.path)
            answer = await driver.call("NodeGetVolumeStats", request, pb.NodeGetVolumeStatsResponse)
        except CsiError as error:
            raise VolumeError(str(error)) from error
        finally:
            metrics.STATS_SECONDS.labels(driver.name).observe(monotonic() - started)
        return volume_stats(answer, with_condition=CONDITION in features)

    async def needs_expansion_on_node(self, spec: VolumeSpec) -> bool:
        return EXPAND in await self._capabilities(self._drivers.get(Source(spec).driver))

    async def expand(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None, size: int) -> int:
        source = Source(spec)
        driver = self._drivers.get(source.driver)
        features = await self._capabilities(driver)
        if EXPAND not in features:
            raise UnsupportedError(f"NodeExpand is not supported by the CSI driver {driver.name}")
        secrets = await self._cluster.secret("NodeExpandSecretRef", source.expand_secret)
        request = pb.NodeExpandVolumeRequest(
            volume_id=source.handle,
            volume_path=record.path,
            capacity_range=pb.CapacityRange(required_bytes=size),
            staging_target_path=device.path if device is not None else "",
            volume_capability=capability(source, features),
            secrets=secrets,
        )
        try:
            answer = await driver.call("NodeExpandVolume", request, pb.NodeExpandVolumeResponse, secrets=secrets.values())
        except (InvalidArgument, OutOfRange, NotFound) as error:
            raise UnsupportedError(f"Expander.NodeExpand failed to expand the volume {error}") from error
        except FailedPrecondition as error:
            raise BusyError(f"Expander.NodeExpand failed to expand the volume : {error}") from error
        except CsiError as error:
            kind = VolumeError if is_final(error) else UncertainError
            raise kind(f"Expander.NodeExpand failed to expand the volume : {error}") from error
        return answer.capacity_bytes or size

    # -- parts

    async def _capabilities(self, driver: DriverService) -> frozenset[int]:
        try:
            return await driver.capabilities()
        except CsiError as error:
            raise VolumeError(str(error)) from error

    async def _publish_context(self, source: Source) -> dict[str, str]:
        attachment = await self._cluster.attachment(source)
        return dict(attachment.status.attachmentMetadata) if attachment is not None else {}

    async def _publish_request(
        self, service: DriverService, source: Source, record: MountRecord, device: DeviceRecord | None
    ) -> tuple[pb.NodePublishVolumeRequest, list[str]]:
        """Return the request to publish a volume, and what in it is secret."""
        driver = await self._cluster.driver(source.driver)
        features = await self._capabilities(service)
        context, secrets = source.attributes, await self._cluster.secret("NodePublishSecretRef", source.publish_secret)
        if driver is not None and driver.spec.podInfoOnMount:
            context |= pod_info(source)
        tokens = await self._cluster.service_account_tokens(driver, source.spec.pod)
        hidden = [*secrets.values(), *(token.token for token in tokens.values())]
        if tokens:
            in_secrets = driver is not None and driver.spec.serviceAccountTokenInSecrets
            (secrets if in_secrets else context)[TOKENS_KEY] = msgspec.json.encode(tokens).decode()
        request = pb.NodePublishVolumeRequest(
            volume_id=source.handle,
            publish_context=await self._publish_context(source),
            staging_target_path=device.path if device is not None else "",
            target_path=record.path,
            volume_capability=capability(source, features),
            readonly=source.read_only,
            secrets=secrets,
            volume_context=context,
        )
        return request, hidden

    def _attachment_data(self, source: Source) -> dict[str, str]:
        node = self._cluster.node
        return {"nodeName": node, "attachmentID": attachment_name(source.driver, source.handle, node)}

    def _device_data(self, record: DeviceRecord) -> Path:
        directory = self.paths.block_data(record.name) if record.block else Path(record.path).parent
        return directory / VOLUME_DATA

    def _mount_data(self, record: MountRecord) -> Path:
        if record.block:
            return self.paths.block_data(record.name) / f"{record.uid}.json"
        return Path(record.path).parent / VOLUME_DATA

    def _forget_block(self, name: str) -> None:
        """Remove the directories of a block volume that nobody uses."""
        volume = self.paths.block_volume(name)
        for directory in (self.paths.published_device(name, "uid").parent, volume / "data", volume):
            with contextlib.suppress(OSError):
                directory.rmdir()


def _prepare(directory: Path, data_file: Path, data: Mapping[str, str]) -> bool:
    """Make what a driver needs to begin; returns whether it begins for the first time. Raises VolumeError."""
    try:
        fresh = volume_data.save(data_file, data)
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise VolumeError(f"kubernetes.io/csi: failed to save volume info data: {error.strerror or error}") from error
    return fresh


async def _clean(target: Path, data_file: Path) -> None:
    try:
        await asyncio.to_thread(volume_data.remove, target, data_file)
    except OSError as error:
        raise UncertainError(f"kubernetes.io/csi: failed to clean mount dir [{target}]: {error.strerror or error}") from error


async def _given_up(error: CsiError, target: Path, data_file: Path, *, fresh: bool) -> VolumeError:
    """Return what a failed call leaves: nothing, if it failed for good at the first attempt."""
    if not is_final(error) or not fresh:
        return UncertainError(str(error))
    try:
        await asyncio.to_thread(volume_data.remove, target, data_file)
    except OSError as left:
        return UncertainError(f"{error}; {left}")
    return VolumeError(str(error))
