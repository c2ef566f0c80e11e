"""The objects of storage that the scheduler keeps, without the fields that it does not read."""

from __future__ import annotations

from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, STORAGE_CLASS_BETA
from tiphys.runtime.declaration import Slim

ANNOTATIONS: Final = frozenset((BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, STORAGE_CLASS_BETA))
VOLUME_FIELDS: Final = frozenset(
    ("capacity", "accessModes", "claimRef", "storageClassName", "volumeMode", "nodeAffinity", "volumeAttributesClassName", "csi")
)


def compact_volume(volume: core.PersistentVolume) -> core.PersistentVolume:
    """Drop what it takes to mount a volume; changes and returns the volume."""
    _compact(volume.metadata)
    spec, empty = volume.spec, core.PersistentVolumeSpec()
    for name in spec.__struct_fields__:
        if name not in VOLUME_FIELDS:
            setattr(spec, name, getattr(empty, name))
    if spec.csi is not None:
        spec.csi = core.CSIPersistentVolumeSource(driver=spec.csi.driver, volumeHandle=spec.csi.volumeHandle)
    volume.status = core.PersistentVolumeStatus(phase=volume.status.phase)
    return volume


def compact_claim(claim: core.PersistentVolumeClaim) -> core.PersistentVolumeClaim:
    """Drop a claim's conditions and sizes; changes and returns the claim."""
    _compact(claim.metadata)
    claim.status = core.PersistentVolumeClaimStatus(phase=claim.status.phase)
    return claim


def _compact(meta: ObjectMeta) -> None:
    meta.managedFields = []
    meta.annotations = {name: value for name, value in meta.annotations.items() if name in ANNOTATIONS}


CLAIMS: Final = Slim(core.PersistentVolumeClaim, core.PersistentVolumeClaim, compact_claim)
VOLUMES: Final = Slim(core.PersistentVolume, core.PersistentVolume, compact_volume)
CLASSES: Final = Slim(storage.StorageClass, storage.StorageClass)
CSI_NODES: Final = Slim(storage.CSINode, storage.CSINode)
DRIVERS: Final = Slim(storage.CSIDriver, storage.CSIDriver)
CAPACITIES: Final = Slim(storage.CSIStorageCapacity, storage.CSIStorageCapacity)
ATTACHMENTS: Final = Slim(storage.VolumeAttachment, storage.VolumeAttachment)
