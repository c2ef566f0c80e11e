"""Next step for a claim. Pure ("Persistent Volumes": Binding, Retroactive default StorageClass assignment)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim, class_of_volume, names_class
from tiphys.api.helpers.volume_binding import (
    find_matching_volume,
    has_access_modes,
    has_volume_mode,
    is_delayed,
    is_volume_bound_to_claim,
    storage,
)
from tiphys.api.helpers.volume_plugins import is_in_tree, successor
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import BIND_COMPLETED, SELECTED_NODE

PENDING: Final = "Pending"
BOUND: Final = "Bound"
LOST: Final = "Lost"


class Remark(NamedTuple):
    """Event about a claim or a volume."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Sight:
    """Objects that decide about a claim."""

    requested: core.PersistentVolume | None = None
    """The volume that the claim names."""
    volumes: Sequence[core.PersistentVolume] = ()
    """Volumes that the claim may get: those that name it, and those of its class that nobody has."""
    promised: Collection[str] = frozenset()
    """Names of volumes that were just given to other claims."""
    storage_class: StorageClass | None = None
    """The class of the claim."""
    default_class: StorageClass | None = None
    """The class for claims that name none."""
    waiting: Sequence[str] = ()
    """Names of pods without a node that use the claim."""


@dataclass(frozen=True, slots=True)
class Step:
    """Next step for a claim: at most one of the fields before the remark is set."""

    bind: core.PersistentVolume | None = None
    """Volume to bind it to."""
    phase: str = ""
    """Phase of a claim without a volume: Pending or Lost."""
    default_class: str = ""
    """Class that it gets, since it names none."""
    provisioner: str = ""
    """Provisioner that is asked to make its volume."""
    remark: Remark | None = None
    """Event about it; about a lost claim only when it becomes one."""


def plan(claim: core.PersistentVolumeClaim, sight: Sight) -> Step:
    """Return the next step for a claim. Raises SelectorError if its selector is wrong."""
    if BIND_COMPLETED in claim.metadata.annotations:
        return _complete(claim, sight.requested)
    if claim.metadata.deletionTimestamp is not None:
        return Step()
    if claim.spec.volumeName:
        return _take(claim, sight.requested)
    delayed = is_delayed(sight.storage_class)
    volume = find_matching_volume(claim, sight.volumes, excluded=sight.promised, delay_binding=delayed)
    if volume is not None:
        return Step(bind=volume)
    if not names_class(claim) and sight.default_class is not None:
        return Step(default_class=sight.default_class.metadata.name)
    if delayed and SELECTED_NODE not in claim.metadata.annotations:
        return Step(phase=PENDING, remark=_waiting(sight.waiting))
    if class_of_claim(claim):
        return _provision(claim, sight.storage_class)
    message = "no persistent volumes available for this claim and no storage class is set"
    return Step(phase=PENDING, remark=Remark("Normal", "FailedBinding", message))


def mismatch(volume: core.PersistentVolume, claim: core.PersistentVolumeClaim) -> str:
    """Return why a volume that a claim asks for by name does not suit it; "" if it does. Selectors and reservations do not count."""
    if volume.metadata.deletionTimestamp is not None:
        return f'the volume is marked for deletion "{volume.metadata.name}"'
    if storage(volume.spec.capacity) < storage(claim.spec.resources.requests):
        return "requested PV is too small"
    if class_of_volume(volume) != class_of_claim(claim):
        return "storageClassName does not match"
    if (volume.spec.volumeAttributesClassName or "") != (claim.spec.volumeAttributesClassName or ""):
        return "volumeAttributesClassName does not match"
    if not has_volume_mode(volume, claim):
        return "incompatible volumeMode"
    return "" if has_access_modes(volume, claim) else "incompatible accessMode"


def _complete(claim: core.PersistentVolumeClaim, volume: core.PersistentVolume | None) -> Step:
    """Step for a claim that was bound once: it keeps its volume, or is lost."""
    if not claim.spec.volumeName:
        return _lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    if volume is None:
        return _lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    if volume.spec.claimRef is None or is_volume_bound_to_claim(volume, claim):
        return Step(bind=volume)
    return _lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _lost(reason: str, message: str) -> Step:
    return Step(phase=LOST, remark=Remark("Warning", reason, message))


def _take(claim: core.PersistentVolumeClaim, volume: core.PersistentVolume | None) -> Step:
    """Step for a new claim that asks for a volume by its name."""
    if volume is None:
        return Step(phase=PENDING)
    if is_volume_bound_to_claim(volume, claim):
        return Step(bind=volume)
    name = volume.metadata.name
    if volume.spec.claimRef is not None:
        message = f'volume "{name}" already bound to a different claim.'
        return Step(phase=PENDING, remark=Remark("Warning", "FailedBinding", message))
    if why := mismatch(volume, claim):
        return Step(phase=PENDING, remark=Remark("Warning", "VolumeMismatch", f'Cannot bind to requested volume "{name}": {why}'))
    return Step(bind=volume)


def _waiting(pods: Sequence[str]) -> Remark:
    if not pods:
        return Remark("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    number = "pod" if len(pods) == 1 else "pods"
    return Remark("Normal", "WaitForPodScheduled", f"waiting for {number} {','.join(pods)} to be scheduled")


def _provision(claim: core.PersistentVolumeClaim, storage_class: StorageClass | None) -> Step:
    if storage_class is None:
        message = f'storageclass.storage.k8s.io "{class_of_claim(claim)}" not found'
        return Step(remark=Remark("Warning", "ProvisioningFailed", message))
    if is_in_tree(storage_class.provisioner):
        message = f"no volume plugin matched name: {storage_class.provisioner}"
        return Step(remark=Remark("Warning", "ProvisioningFailed", message))
    provisioner = successor(storage_class.provisioner)
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. "
        "If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    )
    return Step(provisioner=provisioner, remark=Remark("Normal", "ExternalProvisioning", message))
