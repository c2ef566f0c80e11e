"""The core group, v1: volume."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.core.v1.projection import ConfigMapVolumeSource, DownwardAPIVolumeSource, ProjectedVolumeSource, SecretVolumeSource
from tiphys.api.core.v1.reference import LocalObjectReference
from tiphys.api.core.v1.volume_plugins import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    AzureFileVolumeSource,
    CephFSVolumeSource,
    CinderVolumeSource,
    FCVolumeSource,
    FlexVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource,
    GlusterfsVolumeSource,
    ISCSIVolumeSource,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    RBDVolumeSource,
    ScaleIOVolumeSource,
    StorageOSVolumeSource,
    VsphereVirtualDiskVolumeSource,
)
from tiphys.api.machinery.base import Atomic, Quantity, Struct, always, null
from tiphys.api.meta.v1.meta import LabelSelector, ObjectMeta


class CSIVolumeSource(Struct):
    """A volume that a CSI driver makes for the pod and removes with it."""

    driver: str = always(str)
    """The driver."""
    readOnly: bool | None = None
    """True if the volume is read-only. False by default."""
    fsType: str | None = None
    """Its file system; the driver decides if absent."""
    volumeAttributes: dict[str, str] = {}
    """Settings that the driver understands."""
    nodePublishSecretRef: LocalObjectReference | None = None
    """A Secret with credentials for the driver."""


class EmptyDirVolumeSource(Struct):
    """A directory that lives as long as the pod does on its node."""

    medium: str = ""
    """Storage medium: the node's disk (empty, default), `Memory`, or `HugePages`."""
    sizeLimit: Quantity | None = None
    """Maximum size before the pod is evicted; with `Memory` also how large it is."""


class TypedLocalObjectReference(Struct):
    """Names an object of any kind in the same namespace."""

    __map_type__: ClassVar[str] = "atomic"
    apiGroup: str | None = null()
    """Its API group; the core group if absent."""
    kind: str = always(str)
    """Its kind."""
    name: str = always(str)
    """Its name."""


class TypedObjectReference(Struct):
    """Names an object of any kind."""

    apiGroup: str | None = null()
    """Its API group; the core group if absent."""
    kind: str = always(str)
    """Its kind."""
    name: str = always(str)
    """Its name."""
    namespace: str | None = None
    """Its namespace; the same one if absent."""


class VolumeResourceRequirements(Struct):
    """Storage that a claim requests, and its limit."""

    limits: dict[str, Quantity] = {}
    """At most this."""
    requests: dict[str, Quantity] = {}
    """At least this."""


class PersistentVolumeClaimSpec(Struct):
    """The storage that is asked for."""

    accessModes: Annotated[list[str], Atomic()] = []
    """Desired access modes, such as `ReadWriteOnce`."""
    selector: LabelSelector | None = None
    """Labels of the volumes that will do."""
    resources: VolumeResourceRequirements = always(VolumeResourceRequirements)
    """Requested size."""
    volumeName: str = ""
    """The volume that is bound to it."""
    storageClassName: str | None = None
    """The storage class; the default one if absent, none if empty."""
    volumeMode: str | None = None
    """`Filesystem` (default) or `Block`."""
    dataSource: TypedLocalObjectReference | None = None
    """A snapshot or claim to fill it from."""
    dataSourceRef: TypedObjectReference | None = None
    """Like dataSource, also for other kinds and namespaces."""
    volumeAttributesClassName: str | None = None
    """The class of attributes, such as speed, that can change later."""


class PersistentVolumeClaimTemplate(Struct):
    """The claim to make for a pod."""

    metadata: ObjectMeta = always(ObjectMeta)
    """Labels and annotations of the claim."""
    spec: PersistentVolumeClaimSpec = always(PersistentVolumeClaimSpec)
    """The storage that is asked for."""


class EphemeralVolumeSource(Struct):
    """A claim that is made for the pod and removed with it."""

    volumeClaimTemplate: PersistentVolumeClaimTemplate | None = None
    """The claim, which is named after pod and volume."""


class HostPathVolumeSource(Struct):
    """A file or directory of the node. A pod with one can take over the node."""

    path: str = always(str)
    """The path on the node."""
    type: str | None = None
    """Type that must or will exist: `DirectoryOrCreate`, `Directory`, `FileOrCreate`, `File`, `Socket`, `CharDevice` or `BlockDevice`.
    Empty (default) checks nothing."""


class ImageVolumeSource(Struct):
    """The content of an image, read-only."""

    reference: str = ""
    """The image."""
    pullPolicy: str = ""
    """`Always`, `IfNotPresent` or `Never`. By default `Always` for the tag latest, else `IfNotPresent`."""


class LocalVolumeSource(Struct):
    """A disk or directory of one node."""

    path: str = always(str)
    """Path on the node."""
    fsType: str | None = None
    """Its file system, if it is a device."""


class NFSVolumeSource(Struct):
    """A directory of an NFS server."""

    server: str = always(str)
    """The server."""
    path: str = always(str)
    """The directory, absolute."""
    readOnly: bool = False
    """True if the volume is read-only. False by default."""


class PersistentVolumeClaimVolumeSource(Struct):
    """The volume that is bound to a claim."""

    claimName: str = always(str)
    """The claim in the pod's namespace."""
    readOnly: bool = False
    """True if the volume is read-only. False by default."""


class Volume(Struct):
    """A directory that containers of a pod can share; besides the name exactly one field is set, and an empty directory if none is."""

    name: str = always(str)
    """A DNS label, unique in the pod."""
    awsElasticBlockStore: AWSElasticBlockStoreVolumeSource | None = None
    """An EBS disk."""
    azureDisk: AzureDiskVolumeSource | None = None
    """An Azure data disk."""
    azureFile: AzureFileVolumeSource | None = None
    """An Azure file share."""
    cephfs: CephFSVolumeSource | None = None
    """A Ceph file system. No longer served."""
    cinder: CinderVolumeSource | None = None
    """An OpenStack disk."""
    configMap: ConfigMapVolumeSource | None = None
    """A ConfigMap as files."""
    csi: CSIVolumeSource | None = None
    """A volume that a CSI driver makes for the pod."""
    downwardAPI: DownwardAPIVolumeSource | None = None
    """Files that tell about the pod."""
    emptyDir: EmptyDirVolumeSource | None = None
    """A directory that lives as long as the pod does on its node."""
    ephemeral: EphemeralVolumeSource | None = None
    """A claim that is made for the pod."""
    fc: FCVolumeSource | None = None
    """A Fibre Channel disk."""
    flexVolume: FlexVolumeSource | None = None
    """A volume that a program on the node provides."""
    flocker: FlockerVolumeSource | None = None
    """A Flocker dataset. No longer served."""
    gcePersistentDisk: GCEPersistentDiskVolumeSource | None = None
    """A Google Compute Engine disk."""
    gitRepo: GitRepoVolumeSource | None = None
    """A Git repository. Deprecated."""
    glusterfs: GlusterfsVolumeSource | None = None
    """A GlusterFS volume. No longer served."""
    hostPath: HostPathVolumeSource | None = None
    """A file or directory of the node."""
    image: ImageVolumeSource | None = None
    """The content of an image."""
    iscsi: ISCSIVolumeSource | None = None
    """An iSCSI disk."""
    nfs: NFSVolumeSource | None = None
    """A directory of an NFS server."""
    persistentVolumeClaim: PersistentVolumeClaimVolumeSource | None = None
    """The volume that is bound to a claim."""
    photonPersistentDisk: PhotonPersistentDiskVolumeSource | None = None
    """A Photon disk. No longer served."""
    portworxVolume: PortworxVolumeSource | None = None
    """A Portworx volume."""
    projected: ProjectedVolumeSource | None = None
    """Several sources in one directory."""
    quobyte: QuobyteVolumeSource | None = None
    """A Quobyte volume. No longer served."""
    rbd: RBDVolumeSource | None = None
    """A Ceph block device. No longer served."""
    scaleIO: ScaleIOVolumeSource | None = None
    """A ScaleIO volume. No longer served."""
    secret: SecretVolumeSource | None = None
    """A Secret as files."""
    storageos: StorageOSVolumeSource | None = None
    """A StorageOS volume. No longer served."""
    vsphereVolume: VsphereVirtualDiskVolumeSource | None = None
    """A vSphere disk."""
