"""The core group, v1: persistent volume."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant
from tiphys.api.core.v1.reference import NodeSelector, ObjectReference, SecretReference
from tiphys.api.core.v1.volume import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    FCVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    HostPathVolumeSource,
    LocalVolumeSource,
    NFSVolumeSource,
    PersistentVolumeClaimSpec,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    VsphereVirtualDiskVolumeSource,
)
from tiphys.api.meta.v1.meta import KubeObject


class AzureFilePersistentVolumeSource(Struct):
    secretName: str = always(str)
    shareName: str = always(str)
    readOnly: bool = False
    secretNamespace: str | None = None


class CSIPersistentVolumeSource(Struct):
    driver: str = always(str)
    volumeHandle: str = always(str)
    readOnly: bool = False
    fsType: str = ""
    volumeAttributes: dict[str, str] = {}
    controllerPublishSecretRef: SecretReference | None = None
    nodeStageSecretRef: SecretReference | None = None
    nodePublishSecretRef: SecretReference | None = None
    controllerExpandSecretRef: SecretReference | None = None
    nodeExpandSecretRef: SecretReference | None = None


class CephFSPersistentVolumeSource(Struct):
    monitors: Annotated[list[str], Atomic()] = always(list)
    path: str = ""
    user: str = ""
    secretFile: str = ""
    secretRef: SecretReference | None = None
    readOnly: bool = False


class CinderPersistentVolumeSource(Struct):
    volumeID: str = always(str)
    fsType: str = ""
    readOnly: bool = False
    secretRef: SecretReference | None = None


class FlexPersistentVolumeSource(Struct):
    driver: str = always(str)
    fsType: str = ""
    secretRef: SecretReference | None = None
    readOnly: bool = False
    options: dict[str, str] = {}


class GlusterfsPersistentVolumeSource(Struct):
    endpoints: str = always(str)
    path: str = always(str)
    readOnly: bool = False
    endpointsNamespace: str | None = None


class ISCSIPersistentVolumeSource(Struct):
    targetPortal: str = always(str)
    iqn: str = always(str)
    lun: int = always(int)
    iscsiInterface: str = ""
    fsType: str = ""
    readOnly: bool = False
    portals: Annotated[list[str], Atomic()] = []
    chapAuthDiscovery: bool = False
    chapAuthSession: bool = False
    secretRef: SecretReference | None = None
    initiatorName: str | None = None


class ModifyVolumeStatus(Struct):
    targetVolumeAttributesClassName: str = ""
    status: str = always(str)


class PersistentVolumeStatus(Struct):
    phase: str = ""
    message: str = ""
    reason: str = ""
    lastPhaseTransitionTime: Time | None = None


class StorageOSPersistentVolumeSource(Struct):
    volumeName: str = ""
    volumeNamespace: str = ""
    fsType: str = ""
    readOnly: bool = False
    secretRef: ObjectReference | None = None


class ScaleIOPersistentVolumeSource(Struct):
    gateway: str = always(str)
    system: str = always(str)
    secretRef: SecretReference | None = None
    sslEnabled: bool = False
    protectionDomain: str = ""
    storagePool: str = ""
    storageMode: str = ""
    volumeName: str = ""
    fsType: str = ""
    readOnly: bool = False


class RBDPersistentVolumeSource(Struct):
    monitors: Annotated[list[str], Atomic()] = always(list)
    image: str = always(str)
    fsType: str = ""
    pool: str = ""
    user: str = ""
    keyring: str = ""
    secretRef: SecretReference | None = None
    readOnly: bool = False


class VolumeNodeAffinity(Struct):
    required: NodeSelector | None = None


class PersistentVolumeSpec(Struct):
    capacity: dict[str, Quantity] = {}
    accessModes: Annotated[list[str], Atomic()] = []
    claimRef: ObjectReference | None = None
    persistentVolumeReclaimPolicy: str = ""
    storageClassName: str = ""
    mountOptions: Annotated[list[str], Atomic()] = []
    volumeMode: str | None = None
    nodeAffinity: VolumeNodeAffinity | None = None
    volumeAttributesClassName: str | None = None
    awsElasticBlockStore: AWSElasticBlockStoreVolumeSource | None = None
    azureDisk: AzureDiskVolumeSource | None = None
    azureFile: AzureFilePersistentVolumeSource | None = None
    cephfs: CephFSPersistentVolumeSource | None = None
    cinder: CinderPersistentVolumeSource | None = None
    csi: CSIPersistentVolumeSource | None = None
    fc: FCVolumeSource | None = None
    flexVolume: FlexPersistentVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    gcePersistentDisk: GCEPersistentDiskVolumeSource | None = None
    glusterfs: GlusterfsPersistentVolumeSource | None = None
    hostPath: HostPathVolumeSource | None = None
    iscsi: ISCSIPersistentVolumeSource | None = None
    local: LocalVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    photonPersistentDisk: PhotonPersistentDiskVolumeSource | None = None
    portworxVolume: PortworxVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    rbd: RBDPersistentVolumeSource | None = None
    scaleIO: ScaleIOPersistentVolumeSource | None = None
    storageos: StorageOSPersistentVolumeSource | None = None
    vsphereVolume: VsphereVirtualDiskVolumeSource | None = None


class PersistentVolume(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("PersistentVolume")
    spec: PersistentVolumeSpec = always(PersistentVolumeSpec)
    status: PersistentVolumeStatus = always(PersistentVolumeStatus)


class PersistentVolumeClaimCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastProbeTime: Time | None = None
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class PersistentVolumeClaimStatus(Struct):
    phase: str = ""
    accessModes: Annotated[list[str], Atomic()] = []
    capacity: dict[str, Quantity] = {}
    conditions: Annotated[list[PersistentVolumeClaimCondition], MapList("type"), Patch("merge", "type")] = []
    allocatedResources: dict[str, Quantity] = {}
    allocatedResourceStatuses: dict[str, str] = {}
    currentVolumeAttributesClassName: str | None = None
    modifyVolumeStatus: ModifyVolumeStatus | None = None


class PersistentVolumeClaim(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("PersistentVolumeClaim")
    spec: PersistentVolumeClaimSpec = always(PersistentVolumeClaimSpec)
    status: PersistentVolumeClaimStatus = always(PersistentVolumeClaimStatus)
