"""Nodes, volumes of a driver, the claims that are bound to them, and pods that use these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tests.unit.controllers.make import NOW, slim_pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name, unique_name
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.api.storage.v1 import VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec, VolumeAttachmentStatus
from tiphys.api.well_known import ATTACHED_BY_CONTROLLER, OUT_OF_SERVICE
from tiphys.controllers.shared.slim import SlimPod
from tiphys.testing.memory_api import MemoryApi

DRIVER = "disk.example.com"
FINALIZER = "external-attacher/disk-example-com"
SIZE = {"storage": Quantity("1Gi")}


def volume_name(number: int = 1) -> str:
    return unique_name(DRIVER, f"handle-{number}")


def attachment_of(node: str, number: int = 1) -> str:
    return attachment_name(DRIVER, f"handle-{number}", node)


def node(
    name: str, *, ready: str = "True", in_use: Sequence[str] = (), attached: Sequence[str] = (), out_of_service: bool = False
) -> core.Node:
    taints = [core.Taint(key=OUT_OF_SERVICE, value="nodeshutdown", effect="NoExecute")] if out_of_service else []
    return core.Node(
        metadata=ObjectMeta(name=name, annotations={ATTACHED_BY_CONTROLLER: "true"}),
        spec=core.NodeSpec(taints=taints),
        status=core.NodeStatus(
            conditions=[core.NodeCondition(type="Ready", status=ready)],
            volumesInUse=list(in_use),
            volumesAttached=[core.AttachedVolume(name=one) for one in attached],
        ),
    )


def bound(number: int = 1, *, modes: Sequence[str] = ("ReadWriteOnce",), driver: str = DRIVER) -> list[KubeObject]:
    """A volume and a claim that are bound to each other."""
    uid = f"claim-{number}"
    ref = core.ObjectReference(apiVersion="v1", kind="PersistentVolumeClaim", namespace="default", name=f"data-{number}", uid=uid)
    csi = core.CSIPersistentVolumeSource(driver=driver, volumeHandle=f"handle-{number}")
    volume = core.PersistentVolume(
        metadata=ObjectMeta(name=f"pv-{number}"),
        spec=core.PersistentVolumeSpec(capacity=SIZE, accessModes=list(modes), claimRef=ref, csi=csi),
        status=core.PersistentVolumeStatus(phase="Bound"),
    )
    claim = core.PersistentVolumeClaim(
        metadata=ObjectMeta(name=f"data-{number}", namespace="default", uid=uid),
        spec=core.PersistentVolumeClaimSpec(
            accessModes=list(modes), volumeName=f"pv-{number}", resources=core.VolumeResourceRequirements(requests=SIZE)
        ),
        status=core.PersistentVolumeClaimStatus(phase="Bound", capacity=SIZE),
    )
    return [volume, claim]


def whole_pod(
    name: str, on: str, number: int = 1, *, phase: str = "Pending", deleting: bool = False, born: datetime | None = None, uid: str = ""
) -> core.Pod:
    """A pod with a claim, bound to a node."""
    source = core.PersistentVolumeClaimVolumeSource(claimName=f"data-{number}")
    return core.Pod(
        metadata=ObjectMeta(name=name, namespace="default", uid=uid, creationTimestamp=born, deletionTimestamp=NOW if deleting else None),
        spec=core.PodSpec(
            nodeName=on,
            containers=[core.Container(name="main", image="busybox")],
            volumes=[core.Volume(name="data", persistentVolumeClaim=source)],
        ),
        status=core.PodStatus(phase=phase),
    )


def pod(name: str, on: str, *, deleting: bool = False, born: datetime | None = None, phase: str = "Running") -> SlimPod:
    """The same, as controllers keep it."""
    return slim_pod(whole_pod(name, on, deleting=deleting, born=born, phase=phase, uid=f"uid-{name}"))


def attachment(on: str, number: int = 1, *, attached: bool = True, finalizers: Sequence[str] = (FINALIZER,)) -> VolumeAttachment:
    return VolumeAttachment(
        metadata=ObjectMeta(name=attachment_of(on, number), finalizers=list(finalizers)),
        spec=VolumeAttachmentSpec(attacher=DRIVER, source=VolumeAttachmentSource(persistentVolumeName=f"pv-{number}"), nodeName=on),
        status=VolumeAttachmentStatus(attached=attached),
    )


def attach_all(api: MemoryApi) -> None:
    """Do as the driver's sidecar does: attach what is asked for, and let go of what is deleted."""
    for one in api.list(VolumeAttachment):
        attach_or_detach(api, one)


def attach_or_detach(api: MemoryApi, one: VolumeAttachment) -> None:
    if one.metadata.deletionTimestamp is not None:
        api.remove(VolumeAttachment, one.metadata.name)
    elif not one.status.attached:
        one.metadata.finalizers = [FINALIZER]
        one.status = VolumeAttachmentStatus(attached=True)
        api.add(one)
