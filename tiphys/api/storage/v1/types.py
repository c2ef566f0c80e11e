"""Storage classes, attachments and CSI, storage/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Quantity, SetList, Struct, Time, always, constant
from tiphys.api.core.v1.persistent_volume import PersistentVolumeSpec
from tiphys.api.core.v1.reference import TopologySelectorTerm
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class TokenRequest(Struct):
    audience: str = always(str)
    expirationSeconds: int | None = None


class CSIDriverSpec(Struct):
    attachRequired: bool | None = None
    podInfoOnMount: bool | None = None
    volumeLifecycleModes: Annotated[list[str], SetList()] = []
    storageCapacity: bool | None = None
    fsGroupPolicy: str | None = None
    tokenRequests: Annotated[list[TokenRequest], Atomic()] = []
    requiresRepublish: bool | None = None
    seLinuxMount: bool | None = None
    nodeAllocatableUpdatePeriodSeconds: int | None = None
    serviceAccountTokenInSecrets: bool | None = None
    preventPodSchedulingIfMissing: bool | None = None


class CSIDriver(KubeObject):
    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSIDriver")
    spec: CSIDriverSpec = always(CSIDriverSpec)


class VolumeNodeResources(Struct):
    count: int | None = None


class CSINodeDriver(Struct):
    name: str = always(str)
    nodeID: str = always(str)
    topologyKeys: Annotated[list[str], Atomic()] = always(list)
    allocatable: VolumeNodeResources | None = None


class CSINodeSpec(Struct):
    drivers: Annotated[list[CSINodeDriver], MapList("name"), Patch("merge", "name")] = always(list)


class CSINode(KubeObject):
    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSINode")
    spec: CSINodeSpec = always(CSINodeSpec)


class CSIStorageCapacity(KubeObject):
    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSIStorageCapacity")
    nodeTopology: LabelSelector | None = None
    storageClassName: str = always(str)
    capacity: Quantity | None = None
    maximumVolumeSize: Quantity | None = None


class StorageClass(KubeObject):
    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("StorageClass")
    provisioner: str = always(str)
    parameters: dict[str, str] = {}
    reclaimPolicy: str | None = None
    mountOptions: Annotated[list[str], Atomic()] = []
    allowVolumeExpansion: bool | None = None
    volumeBindingMode: str | None = None
    allowedTopologies: Annotated[list[TopologySelectorTerm], Atomic()] = []


class VolumeError(Struct):
    time: Time | None = None
    message: str = ""
    errorCode: int | None = None


class VolumeAttachmentStatus(Struct):
    attached: bool = always(bool)
    attachmentMetadata: dict[str, str] = {}
    attachError: VolumeError | None = None
    detachError: VolumeError | None = None


class VolumeAttachmentSource(Struct):
    persistentVolumeName: str | None = None
    inlineVolumeSpec: PersistentVolumeSpec | None = None


class VolumeAttachmentSpec(Struct):
    attacher: str = always(str)
    source: VolumeAttachmentSource = always(VolumeAttachmentSource)
    nodeName: str = always(str)


class VolumeAttachment(KubeObject):
    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("VolumeAttachment")
    spec: VolumeAttachmentSpec = always(VolumeAttachmentSpec)
    status: VolumeAttachmentStatus = always(VolumeAttachmentStatus)


class VolumeAttributesClass(KubeObject):
    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("VolumeAttributesClass")
    driverName: str = always(str)
    parameters: dict[str, str] = {}
