"""The core group, v1: volume."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.core.v1.reference import LocalObjectReference, ObjectFieldSelector, ResourceFieldSelector
from tiphys.api.machinery.base import Atomic, Quantity, Struct, always, null
from tiphys.api.meta.v1.meta import LabelSelector, ObjectMeta


class AWSElasticBlockStoreVolumeSource(Struct):
    """An EBS disk. Served by the CSI driver ebs.csi.aws.com."""

    volumeID: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system, such as `ext4`."""
    partition: int = 0
    """The partition; 0 is the whole disk."""
    readOnly: bool = False
    """True if nothing can be written."""


class AzureDiskVolumeSource(Struct):
    """An Azure data disk. Served by the CSI driver disk.csi.azure.com."""

    diskName: str = always(str)
    """The disk."""
    diskURI: str = always(str)
    """URI in blob storage."""
    cachingMode: str | None = None
    """Caching by the host: `None`, `ReadOnly` or `ReadWrite` (default)."""
    fsType: str | None = None
    """Its file system; `ext4` by default."""
    readOnly: bool | None = None
    """True if nothing can be written. False by default."""
    kind: str | None = None
    """`Shared` (default), `Dedicated` or `Managed`."""


class AzureFileVolumeSource(Struct):
    """An Azure file share. Served by the CSI driver file.csi.azure.com."""

    secretName: str = always(str)
    """The Secret with the storage account."""
    shareName: str = always(str)
    """The share."""
    readOnly: bool = False
    """True if nothing can be written."""


class CSIVolumeSource(Struct):
    """A volume that a CSI driver makes for the pod and removes with it."""

    driver: str = always(str)
    """The driver."""
    readOnly: bool | None = None
    """True if nothing can be written. False by default."""
    fsType: str | None = None
    """Its file system; the driver decides if absent."""
    volumeAttributes: dict[str, str] = {}
    """Settings that the driver understands."""
    nodePublishSecretRef: LocalObjectReference | None = None
    """A Secret with credentials for the driver."""


class CephFSVolumeSource(Struct):
    """A Ceph file system. No longer served."""

    monitors: Annotated[list[str], Atomic()] = always(list)
    """Addresses of the monitors."""
    path: str = ""
    """The directory that is mounted; `/` by default."""
    user: str = ""
    """The user; `admin` by default."""
    secretFile: str = ""
    """The file on the node with the user's key."""
    secretRef: LocalObjectReference | None = None
    """The Secret with the user's key; wins over secretFile."""
    readOnly: bool = False
    """True if nothing can be written."""


class CinderVolumeSource(Struct):
    """An OpenStack disk. Served by the CSI driver cinder.csi.openstack.org."""

    volumeID: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if nothing can be written."""
    secretRef: LocalObjectReference | None = None
    """The Secret with the cloud's credentials."""


class ClusterTrustBundleProjection(Struct):
    """Certificates from trust bundles, as one file."""

    name: str | None = None
    """One bundle, by name. Not together with signerName."""
    signerName: str | None = None
    """All bundles of a signer. Not together with name."""
    labelSelector: LabelSelector | None = None
    """Selection of the signer's bundles; none if absent, all if empty."""
    optional: bool | None = None
    """True if the pod starts without them."""
    path: str = always(str)
    """The file."""


class KeyToPath(Struct):
    """A key that becomes a file."""

    key: str = always(str)
    """The key."""
    path: str = always(str)
    """The file, relative to the volume and without `..`."""
    mode: int | None = None
    """Its permissions, 0 to 0777 (octal); those of the volume by default."""


class ConfigMapProjection(Struct):
    """A ConfigMap as files."""

    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    optional: bool | None = None
    """True if the ConfigMap or its keys may be missing."""
    name: str = ""
    """The ConfigMap in the pod's namespace."""


class ConfigMapVolumeSource(Struct):
    """A ConfigMap as files, which follow its changes."""

    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""
    optional: bool | None = None
    """True if the ConfigMap or its keys may be missing."""
    name: str = ""
    """The ConfigMap in the pod's namespace."""


class DownwardAPIVolumeFile(Struct):
    """A file that tells something about the pod; one of the two sources is set."""

    path: str = always(str)
    """The file, relative to the volume and without `..`."""
    fieldRef: ObjectFieldSelector | None = None
    """A field of the pod: name, namespace, uid, labels or annotations."""
    resourceFieldRef: ResourceFieldSelector | None = None
    """A request or limit of a container."""
    mode: int | None = None
    """Its permissions, 0 to 0777 (octal); those of the volume by default."""


class DownwardAPIProjection(Struct):
    """Files that tell about the pod."""

    items: Annotated[list[DownwardAPIVolumeFile], Atomic()] = []
    """The files."""


class DownwardAPIVolumeSource(Struct):
    """Files that tell about the pod, and follow its changes."""

    items: Annotated[list[DownwardAPIVolumeFile], Atomic()] = []
    """The files."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""


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


class FCVolumeSource(Struct):
    """A Fibre Channel disk."""

    targetWWNs: Annotated[list[str], Atomic()] = []
    """Names of the targets."""
    lun: int | None = None
    """The unit of the target."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if nothing can be written."""
    wwids: Annotated[list[str], Atomic()] = []
    """Identities of the disk, instead of targets and unit."""


class FlexVolumeSource(Struct):
    """A volume that a program on the node provides. CSI replaces it."""

    driver: str = always(str)
    """The program."""
    fsType: str = ""
    """Its file system."""
    secretRef: LocalObjectReference | None = None
    """A Secret for the program."""
    readOnly: bool = False
    """True if nothing can be written."""
    options: dict[str, str] = {}
    """Settings for the program."""


class FlockerVolumeSource(Struct):
    """A Flocker dataset. No longer served."""

    datasetName: str = ""
    """The dataset, by name."""
    datasetUUID: str = ""
    """The dataset, by identity."""


class GCEPersistentDiskVolumeSource(Struct):
    """A Google Compute Engine disk. Served by the CSI driver pd.csi.storage.gke.io."""

    pdName: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system."""
    partition: int = 0
    """The partition; 0 is the whole disk."""
    readOnly: bool = False
    """True if nothing can be written."""


class GitRepoVolumeSource(Struct):
    """A Git repository. Deprecated: clone into an emptyDir with an init container instead."""

    repository: str = always(str)
    """The repository's URL."""
    revision: str = ""
    """The commit."""
    directory: str = ""
    """The directory to clone into, without `..`."""


class GlusterfsVolumeSource(Struct):
    """A GlusterFS volume. No longer served."""

    endpoints: str = always(str)
    """The Endpoints object with the servers."""
    path: str = always(str)
    """The volume."""
    readOnly: bool = False
    """True if nothing can be written."""


class HostPathVolumeSource(Struct):
    """A file or directory of the node. A pod with one can take over the node."""

    path: str = always(str)
    """The path on the node."""
    type: str | None = None
    """Type that must or will exist: `DirectoryOrCreate`, `Directory`, `FileOrCreate`, `File`, `Socket`, `CharDevice` or `BlockDevice`.
    Empty (default) checks nothing."""


class ISCSIVolumeSource(Struct):
    """An iSCSI disk."""

    targetPortal: str = always(str)
    """Address and port of the target."""
    iqn: str = always(str)
    """The target."""
    lun: int = always(int)
    """The unit of the target."""
    iscsiInterface: str = ""
    """The interface; `default` by default."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if nothing can be written."""
    portals: Annotated[list[str], Atomic()] = []
    """Further portals of the target."""
    chapAuthDiscovery: bool = False
    """True if discovery authenticates."""
    chapAuthSession: bool = False
    """True if sessions authenticate."""
    secretRef: LocalObjectReference | None = None
    """The Secret to authenticate with."""
    initiatorName: str | None = None
    """The name of this side; the node's by default."""


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
    """True if nothing can be written. False by default."""


class PersistentVolumeClaimVolumeSource(Struct):
    """The volume that is bound to a claim."""

    claimName: str = always(str)
    """The claim in the pod's namespace."""
    readOnly: bool = False
    """True if nothing can be written. False by default."""


class PhotonPersistentDiskVolumeSource(Struct):
    """A Photon disk. No longer served."""

    pdID: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system."""


class PodCertificateProjection(Struct):
    """A private key and a certificate for the pod, renewed in time."""

    signerName: str = ""
    """Signer of the certificate."""
    keyType: str = ""
    """The kind of key, such as `ED25519` or `ECDSAP256`."""
    maxExpirationSeconds: int | None = None
    """Maximum validity of the certificate, in seconds; one day by default."""
    credentialBundlePath: str = ""
    """The file with key and certificates together."""
    keyPath: str = ""
    """The file with the key."""
    certificateChainPath: str = ""
    """The file with the certificates."""
    userAnnotations: dict[str, str] = {}
    """Wishes that are passed on to the signer."""


class PortworxVolumeSource(Struct):
    """A Portworx volume. Served by the CSI driver pxd.portworx.com."""

    volumeID: str = always(str)
    """The volume."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if nothing can be written."""


class ServiceAccountTokenProjection(Struct):
    """A token of the pod's service account, renewed in time."""

    audience: str = ""
    """Audience of the token; the API server if empty."""
    expirationSeconds: int | None = None
    """Validity in seconds, at least 600. 3600 by default."""
    path: str = always(str)
    """The file."""


class SecretProjection(Struct):
    """A Secret as files."""

    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    optional: bool | None = None
    """True if the Secret or its keys may be missing."""
    name: str = ""
    """The Secret in the pod's namespace."""


class VolumeProjection(Struct):
    """One of the sources that share a volume; exactly one field is set."""

    secret: SecretProjection | None = None
    """A Secret as files."""
    downwardAPI: DownwardAPIProjection | None = None
    """Files that tell about the pod."""
    configMap: ConfigMapProjection | None = None
    """A ConfigMap as files."""
    serviceAccountToken: ServiceAccountTokenProjection | None = None
    """A token of the pod's service account."""
    clusterTrustBundle: ClusterTrustBundleProjection | None = None
    """Certificates from trust bundles."""
    podCertificate: PodCertificateProjection | None = None
    """A private key and a certificate."""


class ProjectedVolumeSource(Struct):
    """Several sources in one directory."""

    sources: Annotated[list[VolumeProjection], Atomic()] = always(list)
    """The sources; no two may write the same file."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""


class QuobyteVolumeSource(Struct):
    """A Quobyte volume. No longer served."""

    registry: str = always(str)
    """Hosts and ports of the registry."""
    volume: str = always(str)
    """The volume."""
    readOnly: bool = False
    """True if nothing can be written."""
    user: str = ""
    """The user to act as."""
    group: str = ""
    """The group to act as."""
    tenant: str = ""
    """The tenant."""


class RBDVolumeSource(Struct):
    """A Ceph block device. No longer served."""

    monitors: Annotated[list[str], Atomic()] = always(list)
    """Addresses of the monitors."""
    image: str = always(str)
    """The image."""
    fsType: str = ""
    """Its file system."""
    pool: str = ""
    """The pool; `rbd` by default."""
    user: str = ""
    """The user; `admin` by default."""
    keyring: str = ""
    """The file on the node with the keys; `/etc/ceph/keyring` by default."""
    secretRef: LocalObjectReference | None = None
    """The Secret with the user's key; wins over keyring."""
    readOnly: bool = False
    """True if nothing can be written."""


class ScaleIOVolumeSource(Struct):
    """A ScaleIO volume. No longer served."""

    gateway: str = always(str)
    """The gateway's address."""
    system: str = always(str)
    """The storage system."""
    secretRef: LocalObjectReference | None = None
    """The Secret with user and password."""
    sslEnabled: bool = False
    """True if the gateway is spoken to over TLS."""
    protectionDomain: str = ""
    """The protection domain."""
    storagePool: str = ""
    """The pool."""
    storageMode: str = ""
    """`ThickProvisioned` or `ThinProvisioned` (default)."""
    volumeName: str = ""
    """The volume."""
    fsType: str = ""
    """Its file system; `xfs` by default."""
    readOnly: bool = False
    """True if nothing can be written."""


class SecretVolumeSource(Struct):
    """A Secret as files in memory, which follow its changes."""

    secretName: str = ""
    """The Secret in the pod's namespace."""
    items: Annotated[list[KeyToPath], Atomic()] = []
    """Keys to project, and their file names; all keys under their own names if empty."""
    defaultMode: int | None = None
    """Permissions of the files, 0 to 0777 (octal). 0644 by default."""
    optional: bool | None = None
    """True if the Secret or its keys may be missing."""


class StorageOSVolumeSource(Struct):
    """A StorageOS volume. No longer served."""

    volumeName: str = ""
    """The volume."""
    volumeNamespace: str = ""
    """Its namespace in StorageOS."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if nothing can be written."""
    secretRef: LocalObjectReference | None = None
    """The Secret with credentials."""


class VsphereVirtualDiskVolumeSource(Struct):
    """A vSphere disk. Served by the CSI driver csi.vsphere.vmware.com."""

    volumePath: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system."""
    storagePolicyName: str = ""
    """The storage policy, by name."""
    storagePolicyID: str = ""
    """The storage policy, by identity."""


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
