"""Kinds of volumes that Kubernetes itself no longer mounts, or that need programs on the node: what to use instead.

Their drivers have left Kubernetes ("Volumes", the sections marked deprecated or removed); most live on as CSI drivers.
"""

from __future__ import annotations

from tiphys.api.core import v1 as core

DRIVERS = {
    "awsElasticBlockStore": "ebs.csi.aws.com",
    "azureDisk": "disk.csi.azure.com",
    "azureFile": "file.csi.azure.com",
    "cephfs": "cephfs.csi.ceph.com",
    "cinder": "cinder.csi.openstack.org",
    "gcePersistentDisk": "pd.csi.storage.gke.io",
    "glusterfs": "org.gluster.glusterfs",
    "iscsi": "iscsi.csi.k8s.io",
    "portworxVolume": "pxd.portworx.com",
    "quobyte": "quobyte-csi",
    "rbd": "rbd.csi.ceph.com",
    "scaleIO": "csi-vxflexos.dellemc.com",
    "storageos": "csi.storageos.com",
    "vsphereVolume": "csi.vsphere.vmware.com",
}
"""The CSI driver for each kind of volume."""
_OTHERS = {
    "fc": "use the CSI driver of the storage system's vendor",
    "flexVolume": "use a CSI driver in place of the FlexVolume driver",
    "flocker": "Flocker no longer exists; use a CSI driver",
    "gitRepo": "use an emptyDir volume, and an init container that clones the repository into it",
    "photonPersistentDisk": "Photon no longer exists; use a CSI driver",
}


def advice(volume: core.Volume, pv: core.PersistentVolume | None) -> str:
    """Return why a volume of no plugin cannot be mounted, and what to use in its place."""
    source: core.Volume | core.PersistentVolumeSpec = volume if pv is None else pv.spec
    for kind in (*DRIVERS, *_OTHERS):
        if getattr(source, kind, None) is not None:
            hint = f"use its CSI driver, {DRIVERS[kind]}" if kind in DRIVERS else _OTHERS[kind]
            return f"no volume plugin matched: volumes of the kind {kind} are not mounted by the node; {hint}"
    return "no volume plugin matched: this kind of volume is not supported by this node"


def is_legacy(volume: core.Volume) -> bool:
    """Return whether a pod's volume is of one of these kinds."""
    return any(getattr(volume, kind, None) is not None for kind in (*DRIVERS, *_OTHERS))
