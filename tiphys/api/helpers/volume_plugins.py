"""Names of volume plugins, and the CSI drivers that took over from those that were built in ("Volumes": CSI migration)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiphys.api.core.v1 import PersistentVolume

IN_TREE: Final = "kubernetes.io/"
"""Beginning of the names of plugins that are, or were, built in."""
MIGRATED: Final[Mapping[str, str]] = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}
"""CSI drivers by the plugin that they took over from."""
PLUGINS: Final[Mapping[str, str]] = {
    "awsElasticBlockStore": "kubernetes.io/aws-ebs",
    "azureDisk": "kubernetes.io/azure-disk",
    "azureFile": "kubernetes.io/azure-file",
    "cinder": "kubernetes.io/cinder",
    "fc": "kubernetes.io/fc",
    "gcePersistentDisk": "kubernetes.io/gce-pd",
    "hostPath": "kubernetes.io/host-path",
    "iscsi": "kubernetes.io/iscsi",
    "local": "kubernetes.io/local-volume",
    "nfs": "kubernetes.io/nfs",
    "portworxVolume": "kubernetes.io/portworx-volume",
    "vsphereVolume": "kubernetes.io/vsphere-volume",
}
"""The plugin of each kind of volume that Kubernetes still knows, by the field for it."""
DRIVERS: Final[Mapping[str, str]] = {
    **{kind: MIGRATED[plugin] for kind, plugin in PLUGINS.items() if plugin in MIGRATED},
    "cephfs": "cephfs.csi.ceph.com",
    "glusterfs": "org.gluster.glusterfs",
    "iscsi": "iscsi.csi.k8s.io",
    "quobyte": "quobyte-csi",
    "rbd": "rbd.csi.ceph.com",
    "scaleIO": "csi-vxflexos.dellemc.com",
    "storageos": "csi.storageos.com",
}
"""The CSI driver for each kind of volume that nodes do not mount by themselves."""
ADVICE: Final[Mapping[str, str]] = {
    **{kind: f"use its CSI driver, {driver}" for kind, driver in DRIVERS.items()},
    "fc": "use the CSI driver of the storage system's vendor",
    "flexVolume": "use a CSI driver in place of the FlexVolume driver",
    "flocker": "Flocker no longer exists; use a CSI driver",
    "gitRepo": "use an emptyDir volume, and an init container that clones the repository into it",
    "photonPersistentDisk": "Photon no longer exists; use a CSI driver",
}
"""Replacement for each kind of volume that nodes do not mount."""


def is_in_tree(plugin: str) -> bool:
    """True if a plugin is built in: neither a CSI driver nor another external provisioner, and not taken over by one."""
    return plugin.startswith(IN_TREE) and plugin not in MIGRATED


def successor(plugin: str) -> str:
    """The CSI driver that took over from a plugin; the plugin itself if none did."""
    return MIGRATED.get(plugin, plugin)


def plugin_of(volume: PersistentVolume) -> str:
    """The plugin that a volume is mounted with, for a CSI driver together with its name; "" if it is not supported any more."""
    if volume.spec.csi is not None:
        return f"kubernetes.io/csi:{volume.spec.csi.driver}"
    return next((plugin for source, plugin in PLUGINS.items() if getattr(volume.spec, source) is not None), "")
