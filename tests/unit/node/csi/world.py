"""A node with one scripted driver, and volumes for it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.node.csi.scripted import NAME
from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.csi.driver import Driver
from tiphys.node.csi.node import CsiNode
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, VolumeSpec
from tiphys.runtime.informer import InformerFactory
from tiphys.testing.memory_api import MemoryApi


class World:
    """The API server, the node's root directory, and one generation of its kubelet."""

    def __init__(self, api: MemoryApi, root: Path, node: CsiNode) -> None:
        self.api, self.root, self.node = api, root, node
        self.plugin = node.plugin

    def add_driver_object(self, **spec: Any) -> None:
        """Add or replace the CSIDriver; it attaches nothing unless the test says so."""
        full = {"attachRequired": False, **spec}
        self.api.add(storage.CSIDriver(metadata=ObjectMeta(name=NAME), spec=msgspec.convert(full, storage.CSIDriverSpec)))

    async def change_driver_object(self, **spec: Any) -> None:
        """Replace the CSIDriver, and wait until the node knows it."""
        self.api.remove(storage.CSIDriver, NAME)
        self.add_driver_object(**spec)
        drivers = self.node.cluster.drivers
        await drivers.wait_synced()
        await drivers.wait_for(int(self.api.get(storage.CSIDriver, NAME).metadata.resourceVersion))


@asynccontextmanager
async def running_world(api: MemoryApi, root: Path, driver: Driver) -> AsyncIterator[World]:
    """A kubelet's part for drivers, with a driver in use and the rights of an administrator."""
    client = api.client()
    informers = InformerFactory(client, clock=api.clock)
    informers.start()
    node = CsiNode(root, "n1", client, informers, api.clock, rng=random.Random(1))
    await node.drivers.add(NAME, driver)
    try:
        yield World(api, root, node)
    finally:
        await node.drivers.close()
        await informers.stop()


def volume_of(
    handle: str = "vol-1", *, modes: tuple[str, ...] = ("ReadWriteOnce",), block: bool = False, **csi: Any
) -> core.PersistentVolume:
    """A persistent volume of the scripted driver, called pv-<handle>."""
    source = msgspec.convert({"driver": NAME, "volumeHandle": handle, **csi}, core.CSIPersistentVolumeSource)
    spec = core.PersistentVolumeSpec(csi=source, accessModes=list(modes), volumeMode="Block" if block else "Filesystem")
    return core.PersistentVolume(metadata=ObjectMeta(name=f"pv-{handle}"), spec=spec)


def spec_of(
    pv: core.PersistentVolume, uid: str = "u1", *, read_only: bool = False, group: int | None = None, options: tuple[str, ...] = ()
) -> VolumeSpec:
    """The volume as a pod wants it."""
    volume = core.Volume(name="data", persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName="c"))
    claim = core.PersistentVolumeClaim(metadata=ObjectMeta(name="c", namespace="default"))
    return VolumeSpec(
        pod=pod_of(uid, group=group),
        volume=volume,
        claim=claim,
        pv=pv,
        block=pv.spec.volumeMode == "Block",
        read_only=read_only,
        mount_options=options,
    )


async def mount(node: CsiNode, spec: VolumeSpec) -> tuple[DeviceRecord, MountRecord]:
    """Take all steps for a volume of a claim, as the manager of volumes does."""
    device = await node.plugin.device_record(spec, "")
    assert device is not None
    await node.plugin.mount_device(spec, device)
    record = await node.plugin.mount_record(spec, device)
    await node.plugin.mount(spec, record, device)
    return device, record


def inline_of(uid: str = "u1", **csi: Any) -> VolumeSpec:
    """A volume that a pod describes by itself."""
    volume = msgspec.convert({"name": "data", "csi": {"driver": NAME, **csi}}, core.Volume)
    return VolumeSpec(pod=pod_of(uid), volume=volume)


def pod_of(uid: str, *, group: int | None = None) -> core.Pod:
    more = {"securityContext": {"fsGroup": group}} if group is not None else {}
    return pod(metadata={"uid": uid, "name": f"web-{uid}"}, serviceAccountName="default", **more)


def attachment_of(handle: str, **status: Any) -> storage.VolumeAttachment:
    """The attachment of a volume to the node."""
    spec = storage.VolumeAttachmentSpec(
        attacher=NAME, nodeName="n1", source=storage.VolumeAttachmentSource(persistentVolumeName=f"pv-{handle}")
    )
    return storage.VolumeAttachment(
        metadata=ObjectMeta(name=attachment_name(NAME, handle, "n1")),
        spec=spec,
        status=msgspec.convert(status, storage.VolumeAttachmentStatus),
    )
