"""Storage classes, attachments and CSI, storage/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.persistent_volume import PersistentVolumeSpec
from tiphys.api.core.v1.reference import TopologySelectorTerm
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, SetList, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector


class TokenRequest(Struct):
    """A token that a driver gets."""

    audience: str = always(str)
    """Whom it is for; the API server if empty."""
    expirationSeconds: int | None = None
    """For how many seconds it is valid."""


class CSIDriverSpec(Struct):
    """Properties of a driver that the cluster takes into account."""

    attachRequired: bool | None = None
    """Whether volumes are attached to nodes before they are mounted."""
    podInfoOnMount: bool | None = None
    """Whether the driver is told for which pod it mounts."""
    volumeLifecycleModes: Annotated[list[str], SetList()] = []
    """`Persistent`, `Ephemeral` or both."""
    storageCapacity: bool | None = None
    """Whether the scheduler asks for free capacity."""
    fsGroupPolicy: str | None = None
    """Whether files are given to the pod's group: `ReadWriteOnceWithFSType`, `File` or `None`."""
    tokenRequests: Annotated[list[TokenRequest], Atomic()] = []
    """Tokens of the pod's service account that the driver gets."""
    requiresRepublish: bool | None = None
    """Whether it is called again and again to refresh what is mounted."""
    seLinuxMount: bool | None = None
    """Whether volumes are mounted with an SELinux label."""
    nodeAllocatableUpdatePeriodSeconds: int | None = None
    """After how many seconds a node asks again how many volumes it can have."""
    serviceAccountTokenInSecrets: bool | None = None
    """Whether tokens are passed among the secrets instead of the context."""
    preventPodSchedulingIfMissing: bool | None = None
    """Whether pods with volumes of the driver stay away from nodes that lack it."""


class CSIDriver(KubeObject):
    """Registration of a CSI driver; it has the driver's name."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSIDriver")
    spec: CSIDriverSpec = always(CSIDriverSpec)
    """What is wanted."""


class VolumeNodeResources(Struct):
    """Number of a driver's volumes that a node can hold."""

    count: int | None = None
    """How many volumes."""


class CSINodeDriver(Struct):
    """A CSI driver on a node."""

    name: str = always(str)
    """The driver."""
    nodeID: str = always(str)
    """What the driver calls the node."""
    topologyKeys: Annotated[list[str], Atomic()] | None = null()
    """Labels that tell from where volumes can be reached."""
    allocatable: VolumeNodeResources | None = None
    """How many volumes the node can have."""


class CSINodeSpec(Struct):
    """The drivers."""

    drivers: Annotated[list[CSINodeDriver], MapList("name"), Patch("merge", "name")] | None = null()
    """One entry for each."""


class CSINode(KubeObject):
    """The CSI drivers of a node; it has the node's name."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSINode")
    spec: CSINodeSpec = always(CSINodeSpec)
    """What is wanted."""


class CSIStorageCapacity(KubeObject):
    """Storage of a class that is available in a part of the cluster."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSIStorageCapacity")
    nodeTopology: LabelSelector | None = None
    """The nodes of that part; none if absent."""
    storageClassName: str = always(str)
    """The class."""
    capacity: Quantity | None = None
    """How much there is."""
    maximumVolumeSize: Quantity | None = None
    """The largest volume that can be made."""


class StorageClass(KubeObject):
    """A way in which volumes are made."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("StorageClass")
    provisioner: str = always(str)
    """Who makes them."""
    parameters: dict[str, str] = {}
    """What the provisioner is told."""
    reclaimPolicy: str | None = None
    """What becomes of a volume when its claim goes: `Delete` or `Retain`."""
    mountOptions: Annotated[list[str], Atomic()] = []
    """Options for mounting the volumes."""
    allowVolumeExpansion: bool | None = None
    """Whether claims may grow."""
    volumeBindingMode: str | None = None
    """`Immediate`, or `WaitForFirstConsumer` to make the volume where the pod goes."""
    allowedTopologies: Annotated[list[TopologySelectorTerm], Atomic()] = []
    """Where volumes may be made."""


class VolumeError(Struct):
    """Error of a volume operation."""

    time: Time | None = null()
    """When."""
    message: str = ""
    """What, for people."""
    errorCode: int | None = None
    """The code of the gRPC error."""


class VolumeAttachmentStatus(Struct):
    """Observed state of an attachment."""

    attached: bool = always(bool)
    """Whether it is attached."""
    attachmentMetadata: dict[str, str] = {}
    """What the node needs to know for mounting it."""
    attachError: VolumeError | None = None
    """What went wrong at attaching."""
    detachError: VolumeError | None = None
    """What went wrong at detaching."""


class VolumeAttachmentSource(Struct):
    """The volume."""

    persistentVolumeName: str | None = None
    """By the name of its PersistentVolume."""
    inlineVolumeSpec: PersistentVolumeSpec | None = None
    """By its description, for volumes that pods have without a claim."""


class VolumeAttachmentSpec(Struct):
    """Volume, node and attacher."""

    attacher: str = always(str)
    """Who attaches it."""
    source: VolumeAttachmentSource = always(VolumeAttachmentSource)
    """The volume."""
    nodeName: str = always(str)
    """The node."""


class VolumeAttachment(KubeObject):
    """Request to attach a volume to a node."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("VolumeAttachment")
    spec: VolumeAttachmentSpec = always(VolumeAttachmentSpec)
    """What is wanted."""
    status: VolumeAttachmentStatus = always(VolumeAttachmentStatus)
    """What was observed."""


class VolumeAttributesClass(KubeObject):
    """Attributes of volumes that can change while they are in use."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("VolumeAttributesClass")
    driverName: str = always(str)
    """The CSI driver."""
    parameters: dict[str, str] = {}
    """What the driver is told."""
