"""The loops that attach volumes to nodes and detach them, as VolumeAttachments ask for.

Before the driver is asked, the attachment gets a finalizer, the node's name in the driver, and the volume a finalizer: whatever is deleted
afterwards, what was attached can be detached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import CSINode, VolumeAttachment
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole
from tiphys.sidecar import secrets
from tiphys.sidecar.access import Incompatible, capability_of
from tiphys.sidecar.attach.plan import NODE_ID, finalizer, is_of, node_id, step, volume_error
from tiphys.sidecar.bounded import BoundedDriver
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.writes import add_finalizer, remove_finalizer


class CannotAttach(Exception):
    """Something that the request needs is missing, or on its way out."""


class AttachController:
    """Attaches and detaches the volumes of this driver. Keys are VolumeAttachments.

    Volumes of a driver that need no attaching are attached as soon as an attachment is there.
    """

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self._finalizer = finalizer(facts.name)
        self.declaration = Declaration(
            name="csi-attacher", kind=VolumeAttachment, component=f"external-attacher {facts.name}", reads=(Whole(VolumeAttachment),)
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._attachments = ctx.read(VolumeAttachment)
        ctx.watch(self._attachments, when=_matters)

    async def reconcile(self, key: Key) -> Result:
        attachment = self._attachments.get(key)
        if attachment is None:
            return DONE
        next_ = step(attachment, self._facts.name)
        if next_ == "attach":
            if self._facts.offers("PUBLISH_UNPUBLISH_VOLUME"):
                await self._attach(attachment)
            else:
                await self._write(attachment, {"attached": True})
        elif next_ == "detach":
            await self._detach(attachment)
        return DONE

    async def _attach(self, attachment: VolumeAttachment) -> None:
        try:
            volume = await self._volume(attachment)
            node = await self._node_id(attachment)
            if not await self._protect(attachment, volume, node):
                return
            answer = await self._driver.ControllerPublishVolume(await self._request(volume.spec, node))
        except (CsiError, CannotAttach, Incompatible, secrets.BadParameters, NotFound) as error:
            await self._write(attachment, {"attachError": volume_error(error, self._ctx.clock.now())})
            raise
        await self._write(attachment, {"attached": True, "attachmentMetadata": dict(answer.publish_context), "attachError": None})

    async def _volume(self, attachment: VolumeAttachment) -> core.PersistentVolume:
        """Return the volume of an attachment; one that stands in the attachment itself has no name."""
        source = attachment.spec.source
        if source.persistentVolumeName:
            volume = await self._ctx.client.get(core.PersistentVolume, source.persistentVolumeName)
        else:
            volume = core.PersistentVolume(spec=source.inlineVolumeSpec or core.PersistentVolumeSpec())
        if volume.spec.csi is None or volume.spec.csi.driver != self._facts.name:
            raise CannotAttach(f"volume {source.persistentVolumeName or ''} is not of CSI driver {self._facts.name}")
        return volume

    async def _node_id(self, attachment: VolumeAttachment) -> str:
        name = attachment.spec.nodeName
        known = node_id(await self._ctx.client.get(CSINode, name), self._facts.name)
        if not known:
            raise CannotAttach(f"CSINode {name} does not contain driver {self._facts.name}")
        return known

    async def _protect(self, attachment: VolumeAttachment, volume: core.PersistentVolume, node: str) -> bool:
        """Set what detaching will need; returns False when the attachment is gone or on its way out."""
        annotations = {NODE_ID: node}
        begun = await add_finalizer(self._ctx.client, attachment, self._finalizer, annotations=annotations)
        if begun is None or begun.metadata.deletionTimestamp is not None:
            return False
        if not volume.metadata.name:
            return True
        if volume.metadata.deletionTimestamp is not None and self._finalizer not in volume.metadata.finalizers:
            raise CannotAttach(f'PersistentVolume "{volume.metadata.name}" is marked for deletion')
        if self._finalizer not in volume.metadata.finalizers and await add_finalizer(self._ctx.client, volume, self._finalizer) is None:
            raise CannotAttach(f'PersistentVolume "{volume.metadata.name}" is gone')
        return True

    async def _request(self, spec: core.PersistentVolumeSpec, node: str) -> pb.ControllerPublishVolumeRequest:
        source = spec.csi
        assert source is not None
        return pb.ControllerPublishVolumeRequest(
            volume_id=source.volumeHandle,
            node_id=node,
            volume_capability=capability_of(spec, self._facts),
            readonly=source.readOnly and self._facts.offers("PUBLISH_READONLY"),
            secrets=await secrets.read(self._ctx.client, source.controllerPublishSecretRef),
            volume_context=source.volumeAttributes,
        )

    async def _detach(self, attachment: VolumeAttachment) -> None:
        try:
            volume = await self._volume(attachment)
            source = volume.spec.csi
            assert source is not None
            # The node may be gone by now, and with it its CSINode.
            node = attachment.metadata.annotations.get(NODE_ID) or await self._node_id(attachment)
            secret = await secrets.read(self._ctx.client, source.controllerPublishSecretRef)
            request = pb.ControllerUnpublishVolumeRequest(volume_id=source.volumeHandle, node_id=node, secrets=secret)
            await self._driver.ControllerUnpublishVolume(request)
        except (CsiError, CannotAttach, secrets.BadParameters, NotFound) as error:
            await self._write(attachment, {"detachError": volume_error(error, self._ctx.clock.now())})
            raise
        await self._write(attachment, {"attached": False, "attachmentMetadata": None, "detachError": None})
        await remove_finalizer(self._ctx.client, attachment, self._finalizer)

    async def _write(self, attachment: VolumeAttachment, status: dict[str, Any]) -> None:
        """Change parts of an attachment's status, if it is still there."""
        meta = attachment.metadata
        body = {"metadata": {"uid": meta.uid}, "status": msgspec.to_builtins(status, builtin_types=())}
        try:
            await self._ctx.client.patch(VolumeAttachment, meta.name, body=body, kind="merge", subresource="status")
        except NotFound:
            return


class AttachedVolumeController:
    """Lets volumes go that are deleted and attached nowhere any more. Keys are PersistentVolumes."""

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._finalizer = finalizer(facts.name)
        self.declaration = Declaration(
            name="csi-attached-volumes",
            kind=core.PersistentVolume,
            guards=True,
            reads=(Whole(core.PersistentVolume), Whole(VolumeAttachment)),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._volumes = ctx.read(core.PersistentVolume)
        self._attachments = ctx.read(VolumeAttachment)
        ctx.watch(self._volumes, when=lambda old, new: new is not None and new.metadata.deletionTimestamp is not None)
        ctx.watch(self._attachments, _volume_of, when=lambda old, new: new is None)

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        if volume is None or volume.metadata.deletionTimestamp is None or self._finalizer not in volume.metadata.finalizers:
            return DONE
        if any(is_of(volume, one) for one in self._attachments.list()):
            return DONE
        # A cache may be behind: the server decides.
        attachments = (await self._ctx.client.list(VolumeAttachment)).items
        if not any(is_of(volume, one) for one in attachments):
            await remove_finalizer(self._ctx.client, volume, self._finalizer)
        return DONE


def _volume_of(attachment: VolumeAttachment) -> Iterable[Key]:
    name = attachment.spec.source.persistentVolumeName
    return [Key("", name)] if name else []


def _matters(old: VolumeAttachment | None, new: VolumeAttachment | None) -> bool:
    """Return whether a change is a reason to look at an attachment again; errors that this loop writes are none."""
    if old is None or new is None:
        return new is not None
    before, after = old.metadata, new.metadata
    return (
        before.uid != after.uid or before.deletionTimestamp != after.deletionTimestamp or (old.status.attached and not new.status.attached)
    )
