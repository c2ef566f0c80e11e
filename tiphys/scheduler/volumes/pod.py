"""The volumes of a pod that restrict where it can run: its claims, and disks of in-tree plugins that pods cannot share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tiphys.api.helpers.pod_claims import ephemeral_claim
from tiphys.scheduler.slim import SlimPod, SlimVolume

ClaimKey = tuple[str, str]
"""Namespace and name of a claim."""


class ClaimUse(NamedTuple):
    """Claim that a pod uses; an ephemeral one is made for the pod ("Ephemeral Volumes")."""

    name: str
    ephemeral: bool


class Disk(NamedTuple):
    """Disk of an in-tree plugin. RBD images are named by any of their monitors as well."""

    plugin: str
    ident: tuple[str, ...]
    monitors: frozenset[str]
    shareable: bool
    """True if the pod only reads it, and others may read it too."""

    def conflicts(self, other: Disk) -> bool:
        """Return whether two pods that have these disks cannot be on one node."""
        if (self.plugin, self.ident) != (other.plugin, other.ident) or (self.shareable and other.shareable):
            return False
        return not self.monitors or not self.monitors.isdisjoint(other.monitors)


class PodVolumes(NamedTuple):
    """Volumes of a pod that matter to scheduling, in the pod's order."""

    namespace: str
    claims: tuple[ClaimUse, ...]
    disks: tuple[Disk, ...]

    @property
    def keys(self) -> Iterator[ClaimKey]:
        """Keys of all claims."""
        return ((self.namespace, use.name) for use in self.claims)

    @property
    def named(self) -> Iterator[ClaimKey]:
        """Keys of the claims that the pod names, not those made for it."""
        return ((self.namespace, use.name) for use in self.claims if not use.ephemeral)

    def uses(self, key: ClaimKey) -> bool:
        """Return whether the pod uses a claim."""
        return key in self.keys


def pod_volumes(pod: SlimPod) -> PodVolumes | None:
    """Extract a pod's volumes; None if no volume restricts it."""
    claims, disks = [], []
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            claims.append(ClaimUse(volume.persistentVolumeClaim.claimName, ephemeral=False))
        elif volume.ephemeral is not None:
            claims.append(ClaimUse(ephemeral_claim(pod.metadata.name, volume.name), ephemeral=True))
        elif (disk := _disk(volume)) is not None:
            disks.append(disk)
    if not claims and not disks:
        return None
    return PodVolumes(pod.metadata.namespace, tuple(claims), tuple(disks))


def _disk(volume: SlimVolume) -> Disk | None:
    if (gce := volume.gcePersistentDisk) is not None:
        return Disk("gcePersistentDisk", (gce.pdName,), frozenset(), gce.readOnly)
    if (ebs := volume.awsElasticBlockStore) is not None:
        return Disk("awsElasticBlockStore", (ebs.volumeID,), frozenset(), shareable=False)
    if (iscsi := volume.iscsi) is not None:
        return Disk("iscsi", (iscsi.iqn,), frozenset(), iscsi.readOnly)
    if (rbd := volume.rbd) is not None:
        return Disk("rbd", (rbd.pool, rbd.image), frozenset(rbd.monitors), rbd.readOnly)
    return None
