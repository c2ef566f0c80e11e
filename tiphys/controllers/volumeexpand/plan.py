"""Expansion of the volume of a claim. Pure ("Expanding Persistent Volumes Claims")."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import parse

MIGRATED: Final = {
    "awsElasticBlockStore": ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    "azureDisk": ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    "azureFile": ("kubernetes.io/azure-file", "file.csi.azure.com"),
    "cinder": ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    "gcePersistentDisk": ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    "portworxVolume": ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
    "vsphereVolume": ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
}
"""Kinds of volumes that CSI drivers took over, with the old plugin and the driver ("CSI migration")."""
_OTHERS: Final = (
    "cephfs", "fc", "flexVolume", "flocker", "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "quobyte", "rbd",
    "scaleIO", "storageos",
)  # fmt: skip
EXTERNAL: Final = "waiting for an external controller to expand this PVC"


class Expansion(NamedTuple):
    """Answer to a claim that grew."""

    type: str
    """Type of the event."""
    message: str
    resizer: str = ""
    """Driver that the claim's annotation must name, "" for none."""


def expansion(claim: core.PersistentVolumeClaim, volume: core.PersistentVolume) -> Expansion | None:
    """Return who expands the volume of a claim, None when it need not grow or is not bound to this volume."""
    ref = volume.spec.claimRef
    if ref is None or (ref.namespace, ref.uid) != (claim.metadata.namespace, claim.metadata.uid) or not grows(claim):
        return None
    source = source_of(volume)
    if source in MIGRATED:
        plugin, driver = MIGRATED[source]
        return Expansion("Normal", f"CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc", driver)
    if source in ("", "csi"):
        return Expansion("Normal", EXTERNAL)
    return Expansion("Warning", f"{EXTERNAL}: volumes of the kind {source} are expanded by nothing in this cluster")


def grows(claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a bound claim requests more than it has."""
    return claim.status.phase == "Bound" and size(claim.spec.resources.requests) > size(claim.status.capacity)


def size(resources: Mapping[str, Quantity]) -> Decimal:
    """Return the storage among resources, 0 when there is none."""
    return parse(resources.get("storage", Quantity("0")))


def source_of(volume: core.PersistentVolume) -> str:
    """Return the field that says where the data of a volume is, "" if none is set."""
    return next((name for name in ("csi", *MIGRATED, *_OTHERS) if getattr(volume.spec, name) is not None), "")
