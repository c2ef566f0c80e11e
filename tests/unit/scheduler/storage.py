"""Claims, volumes and classes for tests of the scheduler, and what others do with them."""

from __future__ import annotations

from tests.unit.scheduler.make import pod
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.api.storage import v1 as storage
from tiphys.runtime import copied
from tiphys.testing.memory_api import MemoryApi

DRIVER, SELECTED, BOUND = "disks.example.com", "volume.kubernetes.io/selected-node", "pv.kubernetes.io/bind-completed"


def storage_class(name: str = "delayed", *, provisioner: str = DRIVER, mode: str = "WaitForFirstConsumer") -> storage.StorageClass:
    return storage.StorageClass(
        metadata=meta.ObjectMeta(name=name), provisioner=provisioner, volumeBindingMode=mode, reclaimPolicy="Delete"
    )


def claim(name: str, *, class_name: str = "delayed", size: str = "1Gi", mode: str = "ReadWriteOnce") -> core.PersistentVolumeClaim:
    return core.PersistentVolumeClaim(
        metadata=meta.ObjectMeta(name=name, namespace="default"),
        spec=core.PersistentVolumeClaimSpec(
            accessModes=[mode],
            storageClassName=class_name,
            resources=core.VolumeResourceRequirements(requests={"storage": size}),  # type: ignore[dict-item]
        ),
        status=core.PersistentVolumeClaimStatus(phase="Pending"),
    )


def volume(
    name: str, *, class_name: str = "delayed", size: str = "1Gi", on: str = "", mode: str = "ReadWriteOnce"
) -> core.PersistentVolume:
    """A volume that can be had, on one node or anywhere."""
    requirement = core.NodeSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=[on])
    selector = core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchExpressions=[requirement])])
    return core.PersistentVolume(
        metadata=meta.ObjectMeta(name=name),
        spec=core.PersistentVolumeSpec(
            capacity={"storage": size},  # type: ignore[dict-item]
            accessModes=[mode],
            storageClassName=class_name,
            csi=core.CSIPersistentVolumeSource(driver=DRIVER, volumeHandle=name),
            nodeAffinity=core.VolumeNodeAffinity(required=selector) if on else None,
        ),
        status=core.PersistentVolumeStatus(phase="Available"),
    )


def pod_with(name: str, *claims: str, **more: object) -> core.Pod:
    """A pod that uses claims."""
    volumes = [core.Volume(name=one, persistentVolumeClaim=core.PersistentVolumeClaimVolumeSource(claimName=one)) for one in claims]
    return pod(name, volumes=volumes, **more)  # type: ignore[arg-type]


def tie(one: core.PersistentVolumeClaim, other: core.PersistentVolume) -> tuple[core.PersistentVolumeClaim, core.PersistentVolume]:
    """Return copies of a claim and a volume that are bound to each other."""
    one, other = copied(one), copied(other)
    reference = core.ObjectReference(kind="PersistentVolumeClaim", namespace=one.metadata.namespace, name=one.metadata.name)
    reference.uid = one.metadata.uid = one.metadata.uid or f"uid-{one.metadata.name}"
    one.spec.volumeName, one.status.phase = other.metadata.name, "Bound"
    one.metadata.annotations = {**one.metadata.annotations, BOUND: "yes"}
    other.spec.claimRef, other.status.phase = reference, "Bound"
    return one, other


def serve_storage(api: MemoryApi) -> None:
    """Do once what the controller of volumes and the provisioner do: bind what the scheduler named, make what it selected a node for."""
    volumes = {one.spec.claimRef.name: one for one in api.list(core.PersistentVolume) if one.spec.claimRef is not None}
    for one in api.list(core.PersistentVolumeClaim, "default"):
        name, node = one.metadata.name, one.metadata.annotations.get(SELECTED)
        if one.spec.volumeName:
            continue
        if name in volumes:
            api.add(*tie(one, volumes[name]))
        elif node:
            api.add(*tie(one, volume(f"made-for-{name}", on=node)))
