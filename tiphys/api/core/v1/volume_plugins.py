"""The core group, v1: volumes of storage systems with plugins of their own."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.reference import LocalObjectReference
from tiphys.api.machinery.base import Atomic, Struct, always


class AWSElasticBlockStoreVolumeSource(Struct):
    """An EBS disk. Served by the CSI driver ebs.csi.aws.com."""

    volumeID: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system, such as `ext4`."""
    partition: int = 0
    """The partition; 0 is the whole disk."""
    readOnly: bool = False
    """True if the volume is read-only."""


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
    """True if the volume is read-only. False by default."""
    kind: str | None = None
    """`Shared` (default), `Dedicated` or `Managed`."""


class AzureFileVolumeSource(Struct):
    """An Azure file share. Served by the CSI driver file.csi.azure.com."""

    secretName: str = always(str)
    """The Secret with the storage account."""
    shareName: str = always(str)
    """The share."""
    readOnly: bool = False
    """True if the volume is read-only."""


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
    """True if the volume is read-only."""


class CinderVolumeSource(Struct):
    """An OpenStack disk. Served by the CSI driver cinder.csi.openstack.org."""

    volumeID: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if the volume is read-only."""
    secretRef: LocalObjectReference | None = None
    """The Secret with the cloud's credentials."""


class FCVolumeSource(Struct):
    """A Fibre Channel disk."""

    targetWWNs: Annotated[list[str], Atomic()] = []
    """Names of the targets."""
    lun: int | None = None
    """The unit of the target."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if the volume is read-only."""
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
    """True if the volume is read-only."""
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
    """True if the volume is read-only."""


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
    """True if the volume is read-only."""


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
    """True if the volume is read-only."""
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


class PhotonPersistentDiskVolumeSource(Struct):
    """A Photon disk. No longer served."""

    pdID: str = always(str)
    """The disk."""
    fsType: str = ""
    """Its file system."""


class PortworxVolumeSource(Struct):
    """A Portworx volume. Served by the CSI driver pxd.portworx.com."""

    volumeID: str = always(str)
    """The volume."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if the volume is read-only."""


class QuobyteVolumeSource(Struct):
    """A Quobyte volume. No longer served."""

    registry: str = always(str)
    """Hosts and ports of the registry."""
    volume: str = always(str)
    """The volume."""
    readOnly: bool = False
    """True if the volume is read-only."""
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
    """True if the volume is read-only."""


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
    """True if the volume is read-only."""


class StorageOSVolumeSource(Struct):
    """A StorageOS volume. No longer served."""

    volumeName: str = ""
    """The volume."""
    volumeNamespace: str = ""
    """Its namespace in StorageOS."""
    fsType: str = ""
    """Its file system."""
    readOnly: bool = False
    """True if the volume is read-only."""
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
