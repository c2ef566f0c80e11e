"""Classes, claims and volumes."""

from __future__ import annotations

from typing import Any

from tests.unit.sidecar.driver import NAME
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import StorageClass
from tiphys.sidecar.names import PROVISIONED_BY, PV_FINALIZER, SELECTED_NODE, STORAGE_PROVISIONER

UID = "11111111-2222-4333-8444-555555555555"
VOLUME = f"pvc-{UID}"


def storage_class(name: str = "fast", *, late: bool = False, **fields: Any) -> StorageClass:
    mode = "WaitForFirstConsumer" if late else "Immediate"
    return StorageClass(metadata=ObjectMeta(name=name), provisioner=NAME, volumeBindingMode=mode, allowVolumeExpansion=True, **fields)


def claim(
    name: str = "data",
    *,
    size: str = "1Gi",
    node: str = "",
    uid: str = UID,
    annotations: dict[str, str] | None = None,
    finalizers: list[str] | None = None,
    volume: str = "",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    status: core.PersistentVolumeClaimStatus | None = None,
    **spec: Any,
) -> core.PersistentVolumeClaim:
    """A claim that waits for this driver."""
    notes = {STORAGE_PROVISIONER: NAME, **({SELECTED_NODE: node} if node else {}), **(annotations or {})}
    return core.PersistentVolumeClaim(
        metadata=ObjectMeta(name=name, namespace="default", uid=uid, annotations=notes, finalizers=finalizers or []),
        spec=core.PersistentVolumeClaimSpec(
            accessModes=list(modes),
            storageClassName="fast",
            volumeMode=spec.pop("volumeMode", "Filesystem"),
            volumeName=volume,
            resources=core.VolumeResourceRequirements(requests={"storage": Quantity(size)}),
            **spec,
        ),
        status=status or core.PersistentVolumeClaimStatus(phase="Bound" if volume else "Pending"),
    )


def bound_claim(size: str = "1Gi", *, capacity: str = "1Gi", **fields: Any) -> core.PersistentVolumeClaim:
    status = core.PersistentVolumeClaimStatus(phase="Bound", capacity={"storage": Quantity(capacity)}, accessModes=["ReadWriteOnce"])
    return claim(size=size, volume=VOLUME, status=status, **fields)


def volume(
    name: str = VOLUME, *, phase: str = "Bound", size: str = "1Gi", policy: str = "Delete", claim_uid: str = UID, **spec: Any
) -> core.PersistentVolume:
    """A volume of the driver that was made for `claim()`."""
    return core.PersistentVolume(
        metadata=ObjectMeta(name=name, uid="pv-uid", annotations={PROVISIONED_BY: NAME}, finalizers=[PV_FINALIZER]),
        spec=core.PersistentVolumeSpec(
            accessModes=["ReadWriteOnce"],
            capacity={"storage": Quantity(size)},
            claimRef=core.ObjectReference(apiVersion="v1", kind="PersistentVolumeClaim", name="data", namespace="default", uid=claim_uid),
            persistentVolumeReclaimPolicy=policy,
            storageClassName="fast",
            volumeMode="Filesystem",
            csi=core.CSIPersistentVolumeSource(driver=NAME, volumeHandle=f"id-{name}", fsType="ext4"),
            **spec,
        ),
        status=core.PersistentVolumeStatus(phase=phase),
    )
