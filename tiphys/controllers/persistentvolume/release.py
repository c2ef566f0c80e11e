"""Next step for a volume: its phase, and what happens to it when its claim is gone. Pure ("Persistent Volumes": Reclaiming)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import has_volume_mode
from tiphys.api.helpers.volume_plugins import MIGRATED, is_in_tree
from tiphys.api.well_known import (
    BOUND_BY_CONTROLLER,
    IN_TREE_FINALIZER,
    MIGRATED_TO,
    PROVISIONED_BY,
    PROVISIONER_FINALIZER,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
)
from tiphys.controllers.persistentvolume.plan import BOUND, Remark

AVAILABLE: Final = "Available"
RELEASED: Final = "Released"
FAILED: Final = "Failed"
GIVEN_UP: Final = (RELEASED, FAILED)
"""Phases of volumes that lost their claim."""


@dataclass(frozen=True, slots=True)
class Release:
    """Next step for a volume."""

    phase: str = ""
    remark: Remark | None = None
    """Event about the volume, when it gets the phase or has none to get."""
    claim_remark: Remark | None = None
    """Event about its claim."""
    unbind: bool = False
    """True if it is to forget its claim before it gets the phase."""


def release(volume: core.PersistentVolume, claim: core.PersistentVolumeClaim | None) -> Release:
    """Return the next step for a volume. `claim` is the one that it names, with that UID; None if there is none."""
    reference = volume.spec.claimRef
    if reference is None or not reference.uid:
        return Release(AVAILABLE)
    if claim is None:
        return _reclaim(volume)
    if not claim.spec.volumeName:
        return Release() if has_volume_mode(volume, claim) else _mismatch(volume, claim)
    if claim.spec.volumeName == volume.metadata.name:
        return Release(BOUND)
    if PROVISIONED_BY in volume.metadata.annotations and volume.spec.persistentVolumeReclaimPolicy == "Delete":
        # It was made for the claim, which has another one by now.
        return _reclaim(volume)
    return Release(AVAILABLE, unbind=True)


def _mismatch(volume: core.PersistentVolume, claim: core.PersistentVolumeClaim) -> Release:
    """Tell both why they are never bound, as the claim's own loop passes over such a volume."""
    why = "due to incompatible volumeMode."
    about_volume = f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{claim.metadata.name}" {why}'
    about_claim = f'Cannot bind PersistentVolume "{volume.metadata.name}" to requested PersistentVolumeClaim {why}'
    return Release(remark=Remark("Warning", "VolumeMismatch", about_volume), claim_remark=Remark("Warning", "VolumeMismatch", about_claim))


def _reclaim(volume: core.PersistentVolume) -> Release:
    """Release a volume first, for provisioners and people to see, and then do what its policy says.

    What failed stays so. External provisioners delete released volumes by themselves.
    """
    if volume.status.phase == FAILED:
        return Release()
    if volume.status.phase != RELEASED:
        return Release(RELEASED)
    if volume.metadata.annotations.get(MIGRATED_TO):
        return Release()
    match volume.spec.persistentVolumeReclaimPolicy:
        case "Retain":
            return Release()
        case "Delete":
            return _delete(volume)
        case "Recycle":
            message = "Recycling is not supported: delete the volume, or clean it and remove spec.claimRef to make it available again"
            return Release(FAILED, Remark("Warning", "VolumeFailedRecycle", message))
    return Release(FAILED, Remark("Warning", "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy"))


def _delete(volume: core.PersistentVolume) -> Release:
    """No plugin that could delete a volume is built in."""
    provisioner = volume.metadata.annotations.get(PROVISIONED_BY, "")
    if provisioner and is_in_tree(provisioner):
        return Release(FAILED, Remark("Warning", "VolumeFailedDelete", f"no volume plugin matched name: {provisioner}"))
    if provisioner or volume.spec.csi is not None:
        return Release()
    message = f'error getting deleter volume plugin for volume "{volume.metadata.name}": no deletable volume plugin matched'
    return Release(FAILED, Remark("Warning", "VolumeFailedDelete", message))


def unbound(volume: core.PersistentVolume) -> core.PersistentVolume:
    """A volume without its claim if the controller chose that; a reservation by people stays, without the claim's UID."""
    annotations = dict(volume.metadata.annotations)
    chosen = annotations.pop(BOUND_BY_CONTROLLER, None) is not None
    reference = volume.spec.claimRef
    kept = None if chosen or reference is None else msgspec.structs.replace(reference, uid="")
    return msgspec.structs.replace(
        volume,
        metadata=msgspec.structs.replace(volume.metadata, annotations=annotations),
        spec=msgspec.structs.replace(volume.spec, claimRef=kept),
    )


def claim_with_driver(claim: core.PersistentVolumeClaim) -> core.PersistentVolumeClaim:
    """A claim that names the CSI driver that took over from its provisioner, if one did; the same object if it is right already."""
    annotations = claim.metadata.annotations
    provisioner = annotations.get(STORAGE_PROVISIONER, annotations.get(STORAGE_PROVISIONER_BETA))
    changed = _with_driver(annotations, provisioner)
    if changed == annotations:
        return claim
    return msgspec.structs.replace(claim, metadata=msgspec.structs.replace(claim.metadata, annotations=changed))


def volume_with_driver(volume: core.PersistentVolume) -> core.PersistentVolume:
    """A volume that names the CSI driver that took over from its provisioner, and has only finalizers of deleters that apply.

    The same object if it is right already.
    """
    metadata = volume.metadata
    annotations = _with_driver(metadata.annotations, metadata.annotations.get(PROVISIONED_BY))
    finalizers = _finalizers(volume)
    if annotations == metadata.annotations and finalizers == metadata.finalizers:
        return volume
    return msgspec.structs.replace(volume, metadata=msgspec.structs.replace(metadata, annotations=annotations, finalizers=finalizers))


def _with_driver(annotations: dict[str, str], provisioner: str | None) -> dict[str, str]:
    if provisioner is None:
        return annotations
    kept = {key: value for key, value in annotations.items() if key != MIGRATED_TO}
    return {**kept, MIGRATED_TO: MIGRATED[provisioner]} if provisioner in MIGRATED else kept


def _finalizers(volume: core.PersistentVolume) -> list[str]:
    """Finalizers without those of deleters that do not apply; the one of plugins that are built in stays while they are to delete."""
    provisioner = volume.metadata.annotations.get(PROVISIONED_BY, "")
    dropped = set()
    if provisioner in MIGRATED:
        dropped = {IN_TREE_FINALIZER}
    elif is_in_tree(provisioner):
        dropped = {PROVISIONER_FINALIZER}
        if volume.spec.persistentVolumeReclaimPolicy != "Delete":
            dropped.add(IN_TREE_FINALIZER)
    return [name for name in volume.metadata.finalizers if name not in dropped]
