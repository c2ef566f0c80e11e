"""Volumes and claims in the states that the loops look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.unit.controllers.make import NOW
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import BIND_COMPLETED, BOUND_BY_CONTROLLER, DEFAULT_STORAGE_CLASS

RWO = "ReadWriteOnce"
BY_CONTROLLER = {BOUND_BY_CONTROLLER: "yes"}
COMPLETE = {BIND_COMPLETED: "yes"}
LOCAL = core.HostPathVolumeSource(path="/data", type="")
CSI = core.CSIPersistentVolumeSource(driver="disk.example.com", volumeHandle="h")


def reserved(name: str = "data", uid: str = "") -> core.ObjectReference:
    return core.ObjectReference(apiVersion="v1", kind="PersistentVolumeClaim", namespace="default", name=name, uid=uid)


def volume(
    name: str = "v",
    size: str = "5Gi",
    *,
    claim: core.ObjectReference | None = None,
    phase: str = "Available",
    modes: Iterable[str] = (RWO,),
    annotations: Mapping[str, str] | None = None,
    finalizers: Iterable[str] = (),
    policy: str = "Retain",
    mode: str = "Filesystem",
    deleting: bool = False,
    csi: bool = False,
    **spec: Any,
) -> core.PersistentVolume:
    """A volume; on a directory of the node, unless it is one of a CSI driver."""
    meta = ObjectMeta(
        name=name,
        annotations=dict(annotations or {}),
        finalizers=list(finalizers),
        deletionTimestamp=NOW if deleting else None,
        deletionGracePeriodSeconds=0 if deleting else None,
    )
    source = {"csi": CSI} if csi else {"hostPath": LOCAL}
    return core.PersistentVolume(
        metadata=meta,
        spec=core.PersistentVolumeSpec(
            capacity={"storage": Quantity(size)},
            accessModes=list(modes),
            claimRef=claim,
            persistentVolumeReclaimPolicy=policy,
            volumeMode=mode,
            **source,
            **spec,
        ),
        status=core.PersistentVolumeStatus(phase=phase),
    )


def claim(
    name: str = "data",
    size: str = "5Gi",
    *,
    volume: str = "",
    phase: str = "Pending",
    uid: str = "uid-data",
    annotations: Mapping[str, str] | None = None,
    storage_class: str | None = "",
    modes: Iterable[str] = (RWO,),
    mode: str = "Filesystem",
    deleting: bool = False,
    **spec: Any,
) -> core.PersistentVolumeClaim:
    """A claim of no class, unless said otherwise."""
    meta = ObjectMeta(
        name=name,
        namespace="default",
        uid=uid,
        annotations=dict(annotations or {}),
        deletionTimestamp=NOW if deleting else None,
        finalizers=["kubernetes.io/pvc-protection"] if deleting else [],
    )
    return core.PersistentVolumeClaim(
        metadata=meta,
        spec=core.PersistentVolumeClaimSpec(
            accessModes=list(modes),
            resources=core.VolumeResourceRequirements(requests={"storage": Quantity(size)}),
            volumeName=volume,
            storageClassName=storage_class,
            volumeMode=mode,
            **spec,
        ),
        status=core.PersistentVolumeClaimStatus(phase=phase),
    )


def storage_class(
    name: str = "gold", provisioner: str = "disk.example.com", *, delayed: bool = False, default: bool = False
) -> StorageClass:
    return StorageClass(
        metadata=ObjectMeta(name=name, annotations={DEFAULT_STORAGE_CLASS: "true"} if default else {}),
        provisioner=provisioner,
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer" if delayed else "Immediate",
    )
