"""Objects as the loops write them: a claim with its volume, and both their statuses. Pure."""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import STORAGE, storage
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import QuantityError, parse
from tiphys.api.well_known import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PRE_RESIZE_CAPACITY,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
)
from tiphys.controllers.persistentvolume.plan import BOUND, PENDING


def bound(claim: core.PersistentVolumeClaim, volume: str) -> core.PersistentVolumeClaim:
    """A claim that names its volume and is marked as bound; the same object if it is so already."""
    marks = {BIND_COMPLETED: "yes"}
    if claim.spec.volumeName != volume:
        marks[BOUND_BY_CONTROLLER] = "yes"
    annotations = {**marks, **claim.metadata.annotations}
    if claim.spec.volumeName == volume and annotations == claim.metadata.annotations:
        return claim
    return msgspec.structs.replace(
        claim,
        metadata=msgspec.structs.replace(claim.metadata, annotations=annotations),
        spec=msgspec.structs.replace(claim.spec, volumeName=volume),
    )


def of_class(claim: core.PersistentVolumeClaim, name: str) -> core.PersistentVolumeClaim:
    """A claim that names a class."""
    return msgspec.structs.replace(claim, spec=msgspec.structs.replace(claim.spec, storageClassName=name))


def with_provisioner(claim: core.PersistentVolumeClaim, name: str) -> core.PersistentVolumeClaim:
    """A claim that asks a provisioner for its volume; the same object if it does so already."""
    if claim.metadata.annotations.get(STORAGE_PROVISIONER) == name:
        return claim
    annotations = {**claim.metadata.annotations, STORAGE_PROVISIONER_BETA: name, STORAGE_PROVISIONER: name}
    return msgspec.structs.replace(claim, metadata=msgspec.structs.replace(claim.metadata, annotations=annotations))


def without_volume(status: core.PersistentVolumeClaimStatus, phase: str) -> core.PersistentVolumeClaimStatus:
    """The status of a claim that has no volume, or has none any more."""
    return msgspec.structs.replace(status, phase=phase, accessModes=[], capacity={}, currentVolumeAttributesClassName=None)


def with_volume(status: core.PersistentVolumeClaimStatus, volume: core.PersistentVolume) -> core.PersistentVolumeClaimStatus:
    """The status of a claim that is bound to a volume.

    The capacity is the volume's only when the claim becomes bound: afterwards it is the size of the file system, which follows a volume
    that grew. So are the attributes, which are the resizer's then.
    """
    changed = msgspec.structs.replace(status, phase=BOUND, accessModes=volume.spec.accessModes)
    if status.phase != BOUND:
        changed.capacity = _capacity(status, volume)
    if status.phase == PENDING:
        changed.currentVolumeAttributesClassName = volume.spec.volumeAttributesClassName
    return changed


def _capacity(status: core.PersistentVolumeClaimStatus, volume: core.PersistentVolume) -> dict[str, Quantity]:
    before = volume.metadata.annotations.get(PRE_RESIZE_CAPACITY)
    if before is not None:
        try:
            parse(before)
        except QuantityError:
            before = volume.spec.capacity[STORAGE]
        return {**status.capacity, STORAGE: Quantity(before)}
    same = STORAGE in status.capacity and storage(status.capacity) == storage(volume.spec.capacity)
    return status.capacity if same else volume.spec.capacity
