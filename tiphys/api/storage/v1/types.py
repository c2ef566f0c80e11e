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
    """Audience of the token; the API server if empty."""
    expirationSeconds: int | None = None
    """For how many seconds it is valid."""


class CSIDriverSpec(Struct):
    """Properties of a driver that the cluster takes into account."""

    attachRequired: bool | None = None
    """True if volumes are attached to nodes before they are mounted."""
    podInfoOnMount: bool | None = None
    """True if the driver gets the pod's name when it mounts."""
    volumeLifecycleModes: Annotated[list[str], SetList()] = []
    """`Persistent`, `Ephemeral` or both."""
    storageCapacity: bool | None = None
    """True if the scheduler asks for free capacity."""
    fsGroupPolicy: str | None = None
    """Policy for giving files to the pod's group: `ReadWriteOnceWithFSType`, `File` or `None`."""
    tokenRequests: Annotated[list[TokenRequest], Atomic()] = []
    """Tokens of the pod's service account that the driver gets."""
    requiresRepublish: bool | None = None
    """True if it is called repeatedly to refresh mounted volumes."""
    seLinuxMount: bool | None = None
    """True if volumes are mounted with an SELinux label."""
    nodeAllocatableUpdatePeriodSeconds: int | None = None
    """After how many seconds a node asks again how many volumes it can have."""
    serviceAccountTokenInSecrets: bool | None = None
    """True if tokens are passed among the secrets instead of the context."""
    preventPodSchedulingIfMissing: bool | None = None
    """True if pods with volumes of the driver stay away from nodes that lack it."""


class CSIDriver(KubeObject):
    """Registration of a CSI driver; it has the driver's name."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSIDriver")
    spec: CSIDriverSpec = always(CSIDriverSpec)
    """Desired state of the CSI driver."""


class VolumeNodeResources(Struct):
    """Number of a driver's volumes that a node can hold."""

    count: int | None = None
    """Maximum number of volumes."""


class CSINodeDriver(Struct):
    """A CSI driver on a node."""

    name: str = always(str)
    """The driver."""
    nodeID: str = always(str)
    """ID of the node in the driver."""
    topologyKeys: Annotated[list[str], Atomic()] | None = null()
    """Labels that tell from where volumes can be reached."""
    allocatable: VolumeNodeResources | None = None
    """Number of volumes that the node can hold."""


class CSINodeSpec(Struct):
    """The drivers."""

    drivers: Annotated[list[CSINodeDriver], MapList("name"), Patch("merge", "name")] | None = null()
    """One entry for each."""


class CSINode(KubeObject):
    """The CSI drivers of a node; it has the node's name."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSINode")
    spec: CSINodeSpec = always(CSINodeSpec)
    """Desired state of the CSI node."""


class CSIStorageCapacity(KubeObject):
    """Storage of a class that is available in a part of the cluster."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("CSIStorageCapacity")
    nodeTopology: LabelSelector | None = None
    """The nodes of that part; none if absent."""
    storageClassName: str = always(str)
    """The class."""
    capacity: Quantity | None = None
    """Available capacity."""
    maximumVolumeSize: Quantity | None = None
    """The largest volume that can be made."""


class StorageClass(KubeObject):
    """A way in which volumes are made."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("StorageClass")
    provisioner: str = always(str)
    """Name of the provisioner."""
    parameters: dict[str, str] = {}
    """Parameters for the provisioner."""
    reclaimPolicy: str | None = None
    """Treatment of a volume when its claim is deleted: `Delete` or `Retain`."""
    mountOptions: Annotated[list[str], Atomic()] = []
    """Options for mounting the volumes."""
    allowVolumeExpansion: bool | None = None
    """True if claims may grow."""
    volumeBindingMode: str | None = None
    """`Immediate`, or `WaitForFirstConsumer` to make the volume where the pod goes."""
    allowedTopologies: Annotated[list[TopologySelectorTerm], Atomic()] = []
    """Topologies in which volumes may be provisioned."""


class VolumeError(Struct):
    """Error of a volume operation."""

    time: Time | None = null()
    """Time of the error."""
    message: str = ""
    """Description of the error, for people."""
    errorCode: int | None = None
    """The code of the gRPC error."""


class VolumeAttachmentStatus(Struct):
    """Observed state of an attachment."""

    attached: bool = always(bool)
    """True if it is attached."""
    attachmentMetadata: dict[str, str] = {}
    """Information that the node needs for mounting the volume."""
    attachError: VolumeError | None = None
    """Error of attaching."""
    detachError: VolumeError | None = None
    """Error of detaching."""


class VolumeAttachmentSource(Struct):
    """The volume."""

    persistentVolumeName: str | None = None
    """By the name of its PersistentVolume."""
    inlineVolumeSpec: PersistentVolumeSpec | None = None
    """By its description, for volumes that pods have without a claim."""


class VolumeAttachmentSpec(Struct):
    """Volume, node and attacher."""

    attacher: str = always(str)
    """Driver that attaches the volume."""
    source: VolumeAttachmentSource = always(VolumeAttachmentSource)
    """The volume."""
    nodeName: str = always(str)
    """The node."""


class VolumeAttachment(KubeObject):
    """Request to attach a volume to a node."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("VolumeAttachment")
    spec: VolumeAttachmentSpec = always(VolumeAttachmentSpec)
    """Desired state of the volume attachment."""
    status: VolumeAttachmentStatus = always(VolumeAttachmentStatus)
    """Observed state of the volume attachment."""


class VolumeAttributesClass(KubeObject):
    """Attributes of volumes that can change while they are in use."""

    apiVersion: str = constant("storage.k8s.io/v1")
    kind: str = constant("VolumeAttributesClass")
    driverName: str = always(str)
    """The CSI driver."""
    parameters: dict[str, str] = {}
    """Parameters for the driver."""
