"""The core group, v1: volume."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, Quantity, Struct, always
from tiphys.api.core.v1.reference import LocalObjectReference, ObjectFieldSelector, ResourceFieldSelector
from tiphys.api.meta.v1.meta import LabelSelector, ObjectMeta


class AWSElasticBlockStoreVolumeSource(Struct):
    volumeID: str = always(str)
    fsType: str = ""
    partition: int = 0
    readOnly: bool = False


class AzureDiskVolumeSource(Struct):
    diskName: str = always(str)
    diskURI: str = always(str)
    cachingMode: str | None = None
    fsType: str | None = None
    readOnly: bool | None = None
    kind: str | None = None


class AzureFileVolumeSource(Struct):
    secretName: str = always(str)
    shareName: str = always(str)
    readOnly: bool = False


class CSIVolumeSource(Struct):
    driver: str = always(str)
    readOnly: bool | None = None
    fsType: str | None = None
    volumeAttributes: dict[str, str] = {}
    nodePublishSecretRef: LocalObjectReference | None = None


class CephFSVolumeSource(Struct):
    monitors: Annotated[list[str], Atomic()] = always(list)
    path: str = ""
    user: str = ""
    secretFile: str = ""
    secretRef: LocalObjectReference | None = None
    readOnly: bool = False


class CinderVolumeSource(Struct):
    volumeID: str = always(str)
    fsType: str = ""
    readOnly: bool = False
    secretRef: LocalObjectReference | None = None


class ClusterTrustBundleProjection(Struct):
    name: str | None = None
    signerName: str | None = None
    labelSelector: LabelSelector | None = None
    optional: bool | None = None
    path: str = always(str)


class KeyToPath(Struct):
    key: str = always(str)
    path: str = always(str)
    mode: int | None = None


class ConfigMapProjection(Struct):
    items: Annotated[list[KeyToPath], Atomic()] = []
    optional: bool | None = None
    name: str = ""


class ConfigMapVolumeSource(Struct):
    items: Annotated[list[KeyToPath], Atomic()] = []
    defaultMode: int | None = None
    optional: bool | None = None
    name: str = ""


class DownwardAPIVolumeFile(Struct):
    path: str = always(str)
    fieldRef: ObjectFieldSelector | None = None
    resourceFieldRef: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardAPIProjection(Struct):
    items: Annotated[list[DownwardAPIVolumeFile], Atomic()] = []


class DownwardAPIVolumeSource(Struct):
    items: Annotated[list[DownwardAPIVolumeFile], Atomic()] = []
    defaultMode: int | None = None


class EmptyDirVolumeSource(Struct):
    medium: str = ""
    sizeLimit: Quantity | None = None


class TypedLocalObjectReference(Struct):
    __map_type__: ClassVar[str] = "atomic"
    apiGroup: str | None = None
    kind: str = always(str)
    name: str = always(str)


class TypedObjectReference(Struct):
    apiGroup: str | None = None
    kind: str = always(str)
    name: str = always(str)
    namespace: str | None = None


class VolumeResourceRequirements(Struct):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}


class PersistentVolumeClaimSpec(Struct):
    accessModes: Annotated[list[str], Atomic()] = []
    selector: LabelSelector | None = None
    resources: VolumeResourceRequirements = always(VolumeResourceRequirements)
    volumeName: str = ""
    storageClassName: str | None = None
    volumeMode: str | None = None
    dataSource: TypedLocalObjectReference | None = None
    dataSourceRef: TypedObjectReference | None = None
    volumeAttributesClassName: str | None = None


class PersistentVolumeClaimTemplate(Struct):
    metadata: ObjectMeta = always(ObjectMeta)
    spec: PersistentVolumeClaimSpec = always(PersistentVolumeClaimSpec)


class EphemeralVolumeSource(Struct):
    volumeClaimTemplate: PersistentVolumeClaimTemplate | None = None


class FCVolumeSource(Struct):
    targetWWNs: Annotated[list[str], Atomic()] = []
    lun: int | None = None
    fsType: str = ""
    readOnly: bool = False
    wwids: Annotated[list[str], Atomic()] = []


class FlexVolumeSource(Struct):
    driver: str = always(str)
    fsType: str = ""
    secretRef: LocalObjectReference | None = None
    readOnly: bool = False
    options: dict[str, str] = {}


class FlockerVolumeSource(Struct):
    datasetName: str = ""
    datasetUUID: str = ""


class GCEPersistentDiskVolumeSource(Struct):
    pdName: str = always(str)
    fsType: str = ""
    partition: int = 0
    readOnly: bool = False


class GitRepoVolumeSource(Struct):
    repository: str = always(str)
    revision: str = ""
    directory: str = ""


class GlusterfsVolumeSource(Struct):
    endpoints: str = always(str)
    path: str = always(str)
    readOnly: bool = False


class HostPathVolumeSource(Struct):
    path: str = always(str)
    type: str | None = None


class ISCSIVolumeSource(Struct):
    targetPortal: str = always(str)
    iqn: str = always(str)
    lun: int = always(int)
    iscsiInterface: str = ""
    fsType: str = ""
    readOnly: bool = False
    portals: Annotated[list[str], Atomic()] = []
    chapAuthDiscovery: bool = False
    chapAuthSession: bool = False
    secretRef: LocalObjectReference | None = None
    initiatorName: str | None = None


class ImageVolumeSource(Struct):
    reference: str = ""
    pullPolicy: str = ""


class LocalVolumeSource(Struct):
    path: str = always(str)
    fsType: str | None = None


class NFSVolumeSource(Struct):
    server: str = always(str)
    path: str = always(str)
    readOnly: bool = False


class PersistentVolumeClaimVolumeSource(Struct):
    claimName: str = always(str)
    readOnly: bool = False


class PhotonPersistentDiskVolumeSource(Struct):
    pdID: str = always(str)
    fsType: str = ""


class PodCertificateProjection(Struct):
    signerName: str = ""
    keyType: str = ""
    maxExpirationSeconds: int | None = None
    credentialBundlePath: str = ""
    keyPath: str = ""
    certificateChainPath: str = ""
    userAnnotations: dict[str, str] = {}


class PortworxVolumeSource(Struct):
    volumeID: str = always(str)
    fsType: str = ""
    readOnly: bool = False


class ServiceAccountTokenProjection(Struct):
    audience: str = ""
    expirationSeconds: int | None = None
    path: str = always(str)


class SecretProjection(Struct):
    items: Annotated[list[KeyToPath], Atomic()] = []
    optional: bool | None = None
    name: str = ""


class VolumeProjection(Struct):
    secret: SecretProjection | None = None
    downwardAPI: DownwardAPIProjection | None = None
    configMap: ConfigMapProjection | None = None
    serviceAccountToken: ServiceAccountTokenProjection | None = None
    clusterTrustBundle: ClusterTrustBundleProjection | None = None
    podCertificate: PodCertificateProjection | None = None


class ProjectedVolumeSource(Struct):
    sources: Annotated[list[VolumeProjection], Atomic()] = always(list)
    defaultMode: int | None = None


class QuobyteVolumeSource(Struct):
    registry: str = always(str)
    volume: str = always(str)
    readOnly: bool = False
    user: str = ""
    group: str = ""
    tenant: str = ""


class RBDVolumeSource(Struct):
    monitors: Annotated[list[str], Atomic()] = always(list)
    image: str = always(str)
    fsType: str = ""
    pool: str = ""
    user: str = ""
    keyring: str = ""
    secretRef: LocalObjectReference | None = None
    readOnly: bool = False


class ScaleIOVolumeSource(Struct):
    gateway: str = always(str)
    system: str = always(str)
    secretRef: LocalObjectReference | None = None
    sslEnabled: bool = False
    protectionDomain: str = ""
    storagePool: str = ""
    storageMode: str = ""
    volumeName: str = ""
    fsType: str = ""
    readOnly: bool = False


class SecretVolumeSource(Struct):
    secretName: str = ""
    items: Annotated[list[KeyToPath], Atomic()] = []
    defaultMode: int | None = None
    optional: bool | None = None


class StorageOSVolumeSource(Struct):
    volumeName: str = ""
    volumeNamespace: str = ""
    fsType: str = ""
    readOnly: bool = False
    secretRef: LocalObjectReference | None = None


class VsphereVirtualDiskVolumeSource(Struct):
    volumePath: str = always(str)
    fsType: str = ""
    storagePolicyName: str = ""
    storagePolicyID: str = ""


class Volume(Struct):
    name: str = always(str)
    awsElasticBlockStore: AWSElasticBlockStoreVolumeSource | None = None
    azureDisk: AzureDiskVolumeSource | None = None
    azureFile: AzureFileVolumeSource | None = None
    cephfs: CephFSVolumeSource | None = None
    cinder: CinderVolumeSource | None = None
    configMap: ConfigMapVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    downwardAPI: DownwardAPIVolumeSource | None = None
    emptyDir: EmptyDirVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    fc: FCVolumeSource | None = None
    flexVolume: FlexVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    gcePersistentDisk: GCEPersistentDiskVolumeSource | None = None
    gitRepo: GitRepoVolumeSource | None = None
    glusterfs: GlusterfsVolumeSource | None = None
    hostPath: HostPathVolumeSource | None = None
    image: ImageVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    persistentVolumeClaim: PersistentVolumeClaimVolumeSource | None = None
    photonPersistentDisk: PhotonPersistentDiskVolumeSource | None = None
    portworxVolume: PortworxVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    rbd: RBDVolumeSource | None = None
    scaleIO: ScaleIOVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    storageos: StorageOSVolumeSource | None = None
    vsphereVolume: VsphereVirtualDiskVolumeSource | None = None
