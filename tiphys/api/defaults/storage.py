"""Defaults of volumes, claims, storage classes and CSI drivers."""

from __future__ import annotations

from tiphys.api.core.v1 import (
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    TypedLocalObjectReference,
    TypedObjectReference,
)
from tiphys.api.defaults.volume import default_network_sources
from tiphys.api.storage.v1 import CSIDriver, StorageClass

_SNAPSHOTS = "snapshot.storage.k8s.io"


def default_volume(volume: PersistentVolume) -> None:
    spec = volume.spec
    spec.persistentVolumeReclaimPolicy = spec.persistentVolumeReclaimPolicy or "Retain"
    if spec.volumeMode is None:
        spec.volumeMode = "Filesystem"
    volume.status.phase = volume.status.phase or "Pending"
    if spec.hostPath is not None and spec.hostPath.type is None:
        spec.hostPath.type = ""
    default_network_sources(spec)


def default_claim(claim: PersistentVolumeClaim) -> None:
    if claim.spec.volumeMode is None:
        claim.spec.volumeMode = "Filesystem"
    claim.status.phase = claim.status.phase or "Pending"


def default_class(value: StorageClass) -> None:
    if value.reclaimPolicy is None:
        value.reclaimPolicy = "Delete"
    if value.volumeBindingMode is None:
        value.volumeBindingMode = "Immediate"


def default_driver(value: CSIDriver) -> None:
    spec = value.spec
    if spec.attachRequired is None:
        spec.attachRequired = True
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        if getattr(spec, name) is None:
            setattr(spec, name, False)
    if spec.fsGroupPolicy is None:
        spec.fsGroupPolicy = "ReadWriteOnceWithFSType"
    if not spec.volumeLifecycleModes:
        spec.volumeLifecycleModes = ["Persistent"]


def align_data_sources(spec: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec | None) -> None:
    """`dataSource` and `dataSourceRef` say the same; the older of the two fields knows claims and snapshots only (KEP-1495).

    References into other namespaces are not supported, and dropped as everywhere where they are off.
    """
    ref = spec.dataSourceRef
    if ref is not None and ref.namespace and (old is None or old.dataSourceRef is None):
        spec.dataSourceRef = None
    used = old is not None and (old.dataSource is not None or old.dataSourceRef is not None)
    source = spec.dataSource
    if source is not None and not used and spec.dataSourceRef is None:
        known = (source.apiGroup or "", source.kind) in (("", "PersistentVolumeClaim"), (_SNAPSHOTS, "VolumeSnapshot"))
        spec.dataSource = source if known else None
    source, ref = spec.dataSource, spec.dataSourceRef
    if source is not None and ref is None:
        spec.dataSourceRef = TypedObjectReference(apiGroup=source.apiGroup, kind=source.kind, name=source.name)
    elif ref is not None and source is None and not ref.namespace:
        spec.dataSource = TypedLocalObjectReference(apiGroup=ref.apiGroup, kind=ref.kind, name=ref.name)
