"""The loop that deletes the volumes of claims that are gone, where the reclaim policy says so ("Persistent Volumes", Reclaiming).

The driver's volume goes first, then the object, then its finalizer: no crash leaves a volume that nothing names.
"""

from __future__ import annotations

from typing import Literal

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import VolumeAttachment
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact
from tiphys.sidecar import secrets
from tiphys.sidecar.bounded import BoundedDriver
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.names import PROVISIONED_BY, PV_FINALIZER
from tiphys.sidecar.places import is_served_by
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.writes import add_finalizer, current, remove_finalizer

Step = Literal["nothing", "delete", "protect", "unprotect"]


def step(volume: core.PersistentVolume, driver: str) -> Step:
    """Return the next step for a volume: `delete` it with the driver, or set or remove its finalizer. Pure."""
    meta, spec = volume.metadata, volume.spec
    if meta.annotations.get(PROVISIONED_BY) != driver or spec.csi is None or spec.csi.driver != driver:
        return "nothing"
    deleting, protected = meta.deletionTimestamp is not None, PV_FINALIZER in meta.finalizers
    if spec.persistentVolumeReclaimPolicy != "Delete":
        return "unprotect" if protected else "nothing"
    if deleting and not protected:
        return "nothing"
    if volume.status.phase == "Released":
        return "delete"
    return "nothing" if protected else "protect"


class DeletionController:
    """Deletes volumes that this driver made and that were released. Keys are PersistentVolumes.

    With `settings.node`, only volumes that are bound to a place and that this node can reach.
    """

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self._node = settings.node
        self._attaches = facts.offers("PUBLISH_UNPUBLISH_VOLUME")
        attachments = (Whole(VolumeAttachment),) if self._attaches else ()
        self.declaration = Declaration(
            name="csi-deletion",
            kind=core.PersistentVolume,
            component=facts.name,
            reads=(Whole(core.PersistentVolume), *attachments),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._volumes = ctx.read(core.PersistentVolume)
        ctx.watch(self._volumes, when=lambda old, new: new is not None)
        if self._attaches:
            self._attachments = ctx.read(VolumeAttachment)
            ctx.watch(
                self._attachments,
                lambda one: [Key("", one.spec.source.persistentVolumeName or "")],
                when=lambda old, new: new is None,
            )

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        next_ = "nothing" if volume is None else step(volume, self._facts.name)
        if volume is None or next_ == "nothing" or not await is_served_by(self._ctx.client, self._node, volume):
            return DONE
        if next_ == "protect":
            await add_finalizer(self._ctx.client, volume, PV_FINALIZER)
        elif next_ == "unprotect":
            await remove_finalizer(self._ctx.client, volume, PV_FINALIZER)
        else:
            await self._delete(volume)
        return DONE

    async def _delete(self, volume: core.PersistentVolume) -> None:
        client = self._ctx.client
        live = await current(client, volume)
        if live is None or step(live, self._facts.name) != "delete" or await self._is_claimed(live):
            return
        assert live.spec.csi is not None
        try:
            node = self._attached_to(live)
            if node:
                raise StillAttached(f"persistentvolume {live.metadata.name} is still attached to node {node}")
            secret = await secrets.read(client, secrets.deletion_reference(live.metadata.annotations))
            await self._driver.DeleteVolume(pb.DeleteVolumeRequest(volume_id=live.spec.csi.volumeHandle, secrets=secret))
        except (CsiError, StillAttached, NotFound, secrets.BadParameters) as error:
            self._ctx.recorder.event(live, "Warning", "VolumeFailedDelete", str(error))
            raise
        if live.metadata.deletionTimestamp is None:
            await delete_exact(client, core.PersistentVolume, live.metadata)
        await remove_finalizer(client, live, PV_FINALIZER)

    async def _is_claimed(self, volume: core.PersistentVolume) -> bool:
        """Return whether the claim that a volume was for is there after all: a phase alone justifies no loss of data."""
        of = volume.spec.claimRef
        if of is None:
            return False
        try:
            claim = await self._ctx.client.get(core.PersistentVolumeClaim, of.name, of.namespace)
        except NotFound:
            return False
        return claim.metadata.uid == of.uid

    def _attached_to(self, volume: core.PersistentVolume) -> str:
        """Return a node that a volume is attached to, or may be, "" if none."""
        if not self._attaches:
            return ""
        name = volume.metadata.name
        return next((one.spec.nodeName for one in self._attachments.list() if one.spec.source.persistentVolumeName == name), "")


class StillAttached(Exception):
    """A volume cannot be deleted while it is attached."""
