"""The loop that grows volumes whose claims ask for more ("Expanding Persistent Volumes Claims")."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Failed
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole
from tiphys.sidecar import secrets
from tiphys.sidecar.access import capability_of
from tiphys.sidecar.bounded import BoundedDriver
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.places import is_served_by
from tiphys.sidecar.resize import plan
from tiphys.sidecar.resize.status import write
from tiphys.sidecar.settings import ProvisionSettings

INFEASIBLE_RETRY = 300.0
"""Seconds until a driver is asked again for what it said it can never do."""


class ResizeController:
    """Has this driver grow volumes. Keys are claims.

    A driver that grows volumes on nodes alone (no EXPAND_VOLUME) is not asked: the kubelet does everything. With `settings.node`, only
    volumes that are bound to a place and that this node can reach.
    """

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self._node = settings.node
        self.declaration = Declaration(
            name="csi-resizer",
            kind=core.PersistentVolumeClaim,
            component=f"external-resizer {facts.name}",
            reads=(Whole(core.PersistentVolumeClaim), Whole(core.PersistentVolume)),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._volumes = ctx.read(core.PersistentVolume)
        ctx.watch(self._claims, when=plan.matters)
        ctx.watch(self._volumes, _claim_of, when=lambda old, new: old is None and new is not None)

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        volume = self._volumes.get(Key("", claim.spec.volumeName)) if claim is not None else None
        if claim is None or volume is None or not plan.is_bound(claim, volume, self._facts.name):
            return DONE
        size = plan.target(claim, volume)
        if size is None or not await is_served_by(self._ctx.client, self._node, volume):
            return DONE
        return await self._resize(claim, volume, size)

    async def _resize(self, claim: core.PersistentVolumeClaim, volume: core.PersistentVolume, size: int) -> Result:
        client, now = self._ctx.client, self._ctx.clock.now()
        begun = await write(client, claim, plan.started(claim.status, size, now))
        if begun is None:
            return DONE
        self._tell(begun, "Normal", "Resizing", f"External resizer is resizing volume {volume.metadata.name}")
        try:
            answer = await self._expand(volume, size)
        except CsiError as error:
            message = f'resize volume "{volume.metadata.name}" by resizer "{self._facts.name}" failed: {error}'
            self._tell(begun, "Warning", "VolumeResizeFailed", message)
            await write(client, begun, plan.failed(begun.status, error, now))
            if plan.is_infeasible(error):
                return Result(after=INFEASIBLE_RETRY)
            raise
        await self._enlarge(volume, answer.capacity_bytes)
        if answer.node_expansion_required:
            await write(client, begun, plan.waiting_for_node(begun.status, now))
            self._tell(begun, "Normal", "FileSystemResizeRequired", "Require file system resize of volume on node")
        else:
            await write(client, begun, plan.finished(begun.status, answer.capacity_bytes))
            self._tell(begun, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")
        return DONE

    async def _expand(self, volume: core.PersistentVolume, size: int) -> pb.ControllerExpandVolumeResponse:
        """Have the driver grow a volume. Raises CsiError, also for one that stays too small."""
        source = volume.spec.csi
        assert source is not None
        if not self._facts.offers("EXPAND_VOLUME"):
            return pb.ControllerExpandVolumeResponse(capacity_bytes=size, node_expansion_required=True)
        request = pb.ControllerExpandVolumeRequest(
            volume_id=source.volumeHandle,
            capacity_range=pb.CapacityRange(required_bytes=size),
            secrets=await secrets.read(self._ctx.client, source.controllerExpandSecretRef),
            volume_capability=capability_of(volume.spec, self._facts),
        )
        answer = await self._driver.ControllerExpandVolume(request)
        if answer.capacity_bytes < size:
            raise Failed(f"the driver says that the volume has {answer.capacity_bytes} bytes now, less than the requested {size}")
        return answer

    async def _enlarge(self, volume: core.PersistentVolume, size: int) -> None:
        """Write the new capacity of a volume."""
        if size <= plan.size_of(volume):
            return
        meta = volume.metadata
        body = {"metadata": {"uid": meta.uid}, "spec": {"capacity": {plan.STORAGE: plan.quantity(size)}}}
        await self._ctx.client.patch(core.PersistentVolume, meta.name, body=body, kind="merge")

    def _tell(self, claim: core.PersistentVolumeClaim, type_: str, reason: str, message: str) -> None:
        self._ctx.recorder.event(claim, type_, reason, message)


def _claim_of(volume: core.PersistentVolume) -> Iterable[Key]:
    of = volume.spec.claimRef
    return [Key(of.namespace, of.name)] if of is not None else []
