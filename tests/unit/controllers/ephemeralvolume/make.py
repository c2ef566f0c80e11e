"""Pods with generic ephemeral volumes, and claims."""

from __future__ import annotations

from tests.unit.controllers.make import NOW, whole_pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference


def template() -> core.PersistentVolumeClaimTemplate:
    requests = core.VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
    return core.PersistentVolumeClaimTemplate(
        metadata=ObjectMeta(labels={"team": "a"}, annotations={"note": "b"}),
        spec=core.PersistentVolumeClaimSpec(accessModes=["ReadWriteOnce"], resources=requests, storageClassName="gold"),
    )


def pod(name: str = "web", *volumes: str, phase: str = "Pending", deleting: bool = False, uid: str | None = None) -> core.Pod:
    """A pod with an ephemeral volume of each name, `data` unless said otherwise, and one of another kind."""
    whole = whole_pod(name, node="", phase=phase)
    whole.spec.containers = [core.Container(name="main", image="busybox")]
    whole.spec.volumes = [
        core.Volume(name=volume, ephemeral=core.EphemeralVolumeSource(volumeClaimTemplate=template())) for volume in volumes or ("data",)
    ]
    whole.spec.volumes.append(core.Volume(name="scratch", emptyDir=core.EmptyDirVolumeSource()))
    whole.metadata.uid = f"uid-{name}" if uid is None else uid
    if deleting:
        whole.metadata.deletionTimestamp, whole.metadata.deletionGracePeriodSeconds = NOW, 30
    return whole


def claim(owner: str = "", name: str = "web-data") -> core.PersistentVolumeClaim:
    owners = [OwnerReference(apiVersion="v1", kind="Pod", name="web", uid=owner, controller=True)] if owner else []
    return core.PersistentVolumeClaim(metadata=ObjectMeta(name=name, namespace="default", ownerReferences=owners), spec=template().spec)
