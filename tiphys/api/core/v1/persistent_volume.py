"""The core group, v1: persistent volume."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.reference import NodeSelector, ObjectReference, SecretReference
from tiphys.api.core.v1.volume import HostPathVolumeSource, LocalVolumeSource, NFSVolumeSource, PersistentVolumeClaimSpec
from tiphys.api.core.v1.volume_plugins import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    FCVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    VsphereVirtualDiskVolumeSource,
)
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class AzureFilePersistentVolumeSource(Struct):
    """A file share in Azure."""

    secretName: str = always(str)
    """The Secret with name and key of the account."""
    shareName: str = always(str)
    """The share."""
    readOnly: bool = False
    """True if the volume is read-only."""
    secretNamespace: str | None = null()
    """The namespace of the Secret; that of the claim by default."""


class CSIPersistentVolumeSource(Struct):
    """A volume of a CSI driver."""

    driver: str = always(str)
    """The driver."""
    volumeHandle: str = always(str)
    """Handle of the volume in the driver."""
    readOnly: bool = False
    """True if the volume is read-only."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    volumeAttributes: dict[str, str] = {}
    """Attributes that the driver recorded when the volume was made."""
    controllerPublishSecretRef: SecretReference | None = None
    """A Secret for attaching the volume."""
    nodeStageSecretRef: SecretReference | None = None
    """A Secret for preparing it on a node."""
    nodePublishSecretRef: SecretReference | None = None
    """A Secret for mounting it into a pod."""
    controllerExpandSecretRef: SecretReference | None = None
    """A Secret for enlarging it."""
    nodeExpandSecretRef: SecretReference | None = None
    """A Secret for enlarging it on a node."""


class CephFSPersistentVolumeSource(Struct):
    """A file system of Ceph."""

    monitors: Annotated[list[str], Atomic()] = always(list)
    """Addresses of monitors."""
    path: str = ""
    """The directory that is mounted, `/` by default."""
    user: str = ""
    """The user, `admin` by default."""
    secretFile: str = ""
    """The file with the user's key on the node."""
    secretRef: SecretReference | None = None
    """The Secret that gives access."""
    readOnly: bool = False
    """True if the volume is read-only."""


class CinderPersistentVolumeSource(Struct):
    """A block volume of OpenStack."""

    volumeID: str = always(str)
    """ID of the volume in Cinder."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    readOnly: bool = False
    """True if the volume is read-only."""
    secretRef: SecretReference | None = None
    """The Secret that gives access."""


class FlexPersistentVolumeSource(Struct):
    """A volume of a driver that is a program on the node."""

    driver: str = always(str)
    """The driver."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    secretRef: SecretReference | None = None
    """The Secret that gives access."""
    readOnly: bool = False
    """True if the volume is read-only."""
    options: dict[str, str] = {}
    """Parameters for the driver."""


class GlusterfsPersistentVolumeSource(Struct):
    """A volume of Gluster."""

    endpoints: str = always(str)
    """The Endpoints with the servers' addresses."""
    path: str = always(str)
    """The volume."""
    readOnly: bool = False
    """True if the volume is read-only."""
    endpointsNamespace: str | None = None
    """The namespace of the Endpoints; that of the claim by default."""


class ISCSIPersistentVolumeSource(Struct):
    """A disk over iSCSI."""

    targetPortal: str = always(str)
    """Address and port of the target."""
    iqn: str = always(str)
    """The name of the target."""
    lun: int = always(int)
    """The number of the unit."""
    iscsiInterface: str = ""
    """The interface, `default` by default."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    readOnly: bool = False
    """True if the volume is read-only."""
    portals: Annotated[list[str], Atomic()] = []
    """Further addresses of the target."""
    chapAuthDiscovery: bool = False
    """True if discovery is authenticated with CHAP."""
    chapAuthSession: bool = False
    """True if the session is authenticated with CHAP."""
    secretRef: SecretReference | None = None
    """The Secret that gives access."""
    initiatorName: str | None = None
    """The name with which the node introduces itself."""


class ModifyVolumeStatus(Struct):
    """Progress of a change of a volume's attributes."""

    targetVolumeAttributesClassName: str = ""
    """The class that is being applied."""
    status: str = always(str)
    """`Pending`, `InProgress` or `Infeasible`."""


class PersistentVolumeStatus(Struct):
    """Observed state of a volume."""

    phase: str = ""
    """`Pending`, `Available`, `Bound`, `Released` or `Failed`."""
    message: str = ""
    """Explanation, for people."""
    reason: str = ""
    """Reason, in one CamelCase word."""
    lastPhaseTransitionTime: Time | None = None
    """Time of the last change of the phase."""


class StorageOSPersistentVolumeSource(Struct):
    """A volume of StorageOS."""

    volumeName: str = ""
    """The volume."""
    volumeNamespace: str = ""
    """The namespace of the volume in StorageOS."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    readOnly: bool = False
    """True if the volume is read-only."""
    secretRef: ObjectReference | None = None
    """The Secret that gives access."""


class ScaleIOPersistentVolumeSource(Struct):
    """A volume of ScaleIO."""

    gateway: str = always(str)
    """Address of its API."""
    system: str = always(str)
    """The storage system."""
    secretRef: SecretReference | None = None
    """The Secret that gives access."""
    sslEnabled: bool = False
    """True if its API is asked over TLS."""
    protectionDomain: str = ""
    """The protection domain."""
    storagePool: str = ""
    """The storage pool."""
    storageMode: str = ""
    """`ThickProvisioned` or `ThinProvisioned`."""
    volumeName: str = ""
    """The volume."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    readOnly: bool = False
    """True if the volume is read-only."""


class RBDPersistentVolumeSource(Struct):
    """A block device of Ceph."""

    monitors: Annotated[list[str], Atomic()] = always(list)
    """Addresses of monitors."""
    image: str = always(str)
    """The image."""
    fsType: str = ""
    """The file system, `ext4` by default."""
    pool: str = ""
    """The pool, `rbd` by default."""
    user: str = ""
    """The user, `admin` by default."""
    keyring: str = ""
    """The file with the user's key on the node."""
    secretRef: SecretReference | None = None
    """The Secret that gives access."""
    readOnly: bool = False
    """True if the volume is read-only."""


class VolumeNodeAffinity(Struct):
    """Nodes from which a volume can be reached."""

    required: NodeSelector | None = None
    """Requirements for nodes."""


class PersistentVolumeSpec(Struct):
    """Storage of a volume, its access modes and its claim."""

    capacity: dict[str, Quantity] = {}
    """Size of the volume."""
    accessModes: Annotated[list[str], Atomic()] = []
    """In which ways it can be mounted."""
    claimRef: ObjectReference | None = None
    """The claim that it is bound to."""
    persistentVolumeReclaimPolicy: str = ""
    """Treatment of the volume when its claim is deleted: `Retain`, `Delete` or `Recycle`."""
    storageClassName: str = ""
    """The class that it belongs to."""
    mountOptions: Annotated[list[str], Atomic()] = []
    """Options for mounting it."""
    volumeMode: str | None = None
    """`Filesystem` or `Block`."""
    nodeAffinity: VolumeNodeAffinity | None = None
    """The nodes from which it can be reached."""
    volumeAttributesClassName: str | None = None
    """The class of its attributes."""
    awsElasticBlockStore: AWSElasticBlockStoreVolumeSource | None = None
    """A disk of AWS; handed to its CSI driver."""
    azureDisk: AzureDiskVolumeSource | None = None
    """A disk of Azure; handed to its CSI driver."""
    azureFile: AzureFilePersistentVolumeSource | None = None
    """A file share of Azure; handed to its CSI driver."""
    cephfs: CephFSPersistentVolumeSource | None = None
    """A file system of Ceph; no longer supported."""
    cinder: CinderPersistentVolumeSource | None = None
    """A volume of OpenStack; handed to its CSI driver."""
    csi: CSIPersistentVolumeSource | None = None
    """A volume of a CSI driver."""
    fc: FCVolumeSource | None = None
    """A disk on a Fibre Channel network."""
    flexVolume: FlexPersistentVolumeSource | None = None
    """A volume of a driver that is a program on the node; deprecated."""
    flocker: FlockerVolumeSource | None = None
    """A volume of Flocker; no longer supported."""
    gcePersistentDisk: GCEPersistentDiskVolumeSource | None = None
    """A disk of Google's cloud; handed to its CSI driver."""
    glusterfs: GlusterfsPersistentVolumeSource | None = None
    """A volume of Gluster; no longer supported."""
    hostPath: HostPathVolumeSource | None = None
    """A directory of the node; for tests on one node."""
    iscsi: ISCSIPersistentVolumeSource | None = None
    """A disk over iSCSI."""
    local: LocalVolumeSource | None = None
    """A disk or directory that belongs to one node."""
    nfs: NFSVolumeSource | None = None
    """A directory of an NFS server."""
    photonPersistentDisk: PhotonPersistentDiskVolumeSource | None = None
    """A disk of Photon; no longer supported."""
    portworxVolume: PortworxVolumeSource | None = None
    """A volume of Portworx; handed to its CSI driver."""
    quobyte: QuobyteVolumeSource | None = None
    """A volume of Quobyte; no longer supported."""
    rbd: RBDPersistentVolumeSource | None = None
    """A block device of Ceph; no longer supported."""
    scaleIO: ScaleIOPersistentVolumeSource | None = None
    """A volume of ScaleIO; no longer supported."""
    storageos: StorageOSPersistentVolumeSource | None = None
    """A volume of StorageOS; no longer supported."""
    vsphereVolume: VsphereVirtualDiskVolumeSource | None = None
    """A disk of vSphere; handed to its CSI driver."""


class PersistentVolume(KubeObject):
    """Storage of the cluster that outlives pods."""

    apiVersion: str = constant("v1")
    kind: str = constant("PersistentVolume")
    spec: PersistentVolumeSpec = always(PersistentVolumeSpec)
    """Desired state of the persistent volume."""
    status: PersistentVolumeStatus = always(PersistentVolumeStatus)
    """Observed state of the persistent volume."""


class PersistentVolumeClaimCondition(Struct):
    """One aspect of how a claim stands, such as `Resizing`."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastProbeTime: Time | None = null()
    """Time of the last check."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class PersistentVolumeClaimStatus(Struct):
    """Observed state of a claim."""

    phase: str = ""
    """`Pending`, `Bound` or `Lost`."""
    accessModes: Annotated[list[str], Atomic()] = []
    """In which ways the volume can be mounted."""
    capacity: dict[str, Quantity] = {}
    """Actual size of the volume."""
    conditions: Annotated[list[PersistentVolumeClaimCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""
    allocatedResources: dict[str, Quantity] = {}
    """Sizes that the volume is being expanded to."""
    allocatedResourceStatuses: dict[str, str] = {}
    """Progress of the expansion, by resource."""
    currentVolumeAttributesClassName: str | None = None
    """The class whose attributes the volume has."""
    modifyVolumeStatus: ModifyVolumeStatus | None = None
    """Progress of a change of class."""


class PersistentVolumeClaim(KubeObject):
    """Asks for storage, and holds it."""

    apiVersion: str = constant("v1")
    kind: str = constant("PersistentVolumeClaim")
    spec: PersistentVolumeClaimSpec = always(PersistentVolumeClaimSpec)
    """Desired state of the persistent volume claim."""
    status: PersistentVolumeClaimStatus = always(PersistentVolumeClaimStatus)
    """Observed state of the persistent volume claim."""
