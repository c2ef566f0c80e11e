"""The loop that changes the attributes of volumes ("Volume Attributes Classes", KEP-3751)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.storage.v1 import VolumeAttributesClass
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole
from tiphys.sidecar.bounded import BoundedDriver
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.resize.controller import INFEASIBLE_RETRY
from tiphys.sidecar.resize.plan import condition, is_bound, is_infeasible, matters, without
from tiphys.sidecar.resize.status import write
from tiphys.sidecar.settings import ProvisionSettings

Status = core.PersistentVolumeClaimStatus

PENDING: Final = "Pending"
IN_PROGRESS: Final = "InProgress"
INFEASIBLE: Final = "Infeasible"
MODIFYING: Final = "ModifyingVolume"
ERROR: Final = "ModifyVolumeError"
CLASS: Final = "claims by attributes class"


def target(claim: core.PersistentVolumeClaim) -> str:
    """Return the class whose attributes a volume is to get now, "" if none. Pure.

    A change that may be under way is finished before another one begins.
    """
    status = claim.status
    going = status.modifyVolumeStatus
    if going is not None and going.status == IN_PROGRESS and going.targetVolumeAttributesClassName:
        return going.targetVolumeAttributesClassName
    desired = claim.spec.volumeAttributesClassName or ""
    return "" if desired == (status.currentVolumeAttributesClassName or "") else desired


def with_state(status: Status, state: str, class_name: str, now: datetime, error: str = "") -> Status:
    """Return the status while a change is in a state. Pure."""
    changed = [condition(status, MODIFYING, now, "ModifyVolume operation in progress.")] if state == IN_PROGRESS else []
    if error:
        changed.append(condition(status, ERROR, now, f"ModifyVolume failed with error: {error}. Waiting for retry."))
    going = core.ModifyVolumeStatus(targetVolumeAttributesClassName=class_name, status=state)
    return msgspec.structs.replace(status, modifyVolumeStatus=going, conditions=[*without(status, (MODIFYING, ERROR)), *changed])


def finished(status: Status, class_name: str) -> Status:
    """Return the status once a volume has the attributes. Pure."""
    return msgspec.structs.replace(
        status,
        modifyVolumeStatus=None,
        currentVolumeAttributesClassName=class_name,
        conditions=without(status, (MODIFYING, ERROR)),
    )


class ModifyController:
    """Has this driver change volumes whose claims name another VolumeAttributesClass. Keys are claims."""

    def __init__(self, driver: Driver, facts: DriverFacts, settings: ProvisionSettings) -> None:
        self._driver = BoundedDriver(driver, facts.name, timeout=settings.timeout)
        self._facts = facts
        self.declaration = Declaration(
            name="csi-modifier",
            kind=core.PersistentVolumeClaim,
            component=f"external-resizer {facts.name}",
            reads=(Whole(core.PersistentVolumeClaim), Whole(core.PersistentVolume), Whole(VolumeAttributesClass)),
        )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._claims = ctx.read(core.PersistentVolumeClaim)
        self._volumes = ctx.read(core.PersistentVolume)
        self._classes = ctx.read(VolumeAttributesClass)
        self._claims.add_index(CLASS, _class_index)
        ctx.watch(self._claims, when=matters)
        ctx.watch(self._classes, self._users, when=lambda old, new: old is None)

    def _users(self, class_: VolumeAttributesClass) -> Iterable[Key]:
        return [Key.of(claim) for claim in self._claims.by_index(CLASS, class_.metadata.name)]

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        volume = self._volumes.get(Key("", claim.spec.volumeName)) if claim is not None else None
        if claim is None or volume is None or not is_bound(claim, volume, self._facts.name):
            return DONE
        name = target(claim)
        if not name:
            return DONE
        try:
            class_ = self._classes.get(Key("", name)) or await self._ctx.client.get(VolumeAttributesClass, name)
        except NotFound:
            return await self._refuse(claim, name, f"VAC {name} does not exist.", PENDING)
        if class_.driverName != self._facts.name:
            return await self._refuse(claim, name, f"VAC {name} is of driver {class_.driverName}, not of {self._facts.name}", INFEASIBLE)
        return await self._modify(claim, volume, class_)

    async def _refuse(self, claim: core.PersistentVolumeClaim, name: str, message: str, state: str) -> Result:
        """Say why nothing happens until the class or the claim changes."""
        error = message if state == INFEASIBLE else ""
        await write(self._ctx.client, claim, with_state(claim.status, state, name, self._ctx.clock.now(), error))
        self._tell(claim, "Warning", "VolumeModifyFailed", message)
        return DONE

    async def _modify(self, claim: core.PersistentVolumeClaim, volume: core.PersistentVolume, class_: VolumeAttributesClass) -> Result:
        client, name, now = self._ctx.client, class_.metadata.name, self._ctx.clock.now()
        begun = await write(client, claim, with_state(claim.status, IN_PROGRESS, name, now))
        if begun is None:
            return DONE
        assert volume.spec.csi is not None
        self._tell(begun, "Normal", "VolumeModify", f"external resizer is modifying volume {volume.metadata.name} with vac {name}")
        try:
            request = pb.ControllerModifyVolumeRequest(volume_id=volume.spec.csi.volumeHandle, mutable_parameters=class_.parameters)
            await self._driver.ControllerModifyVolume(request)
        except CsiError as error:
            state = INFEASIBLE if is_infeasible(error) else IN_PROGRESS
            await write(client, begun, with_state(begun.status, state, name, now, str(error)))
            self._tell(begun, "Warning", "VolumeModifyFailed", str(error))
            if state == INFEASIBLE:
                return Result(after=INFEASIBLE_RETRY)
            raise
        body = {"metadata": {"uid": volume.metadata.uid}, "spec": {"volumeAttributesClassName": name}}
        await client.patch(core.PersistentVolume, volume.metadata.name, body=body, kind="merge")
        done = await write(client, begun, finished(begun.status, name))
        message = f"external resizer modified volume {volume.metadata.name} with vac {name} successfully"
        self._tell(begun, "Normal", "VolumeModifySuccessful", message)
        # The claim may name yet another class by now.
        return Result(after=0.1) if done is not None and target(done) else DONE

    def _tell(self, claim: core.PersistentVolumeClaim, type_: str, reason: str, message: str) -> None:
        self._ctx.recorder.event(claim, type_, reason, message)


def _class_index(claim: core.PersistentVolumeClaim) -> Iterable[str]:
    return (claim.spec.volumeAttributesClassName or "",)
