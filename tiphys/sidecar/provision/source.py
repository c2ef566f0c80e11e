"""Volumes that are made of other volumes or of snapshots ("CSI Volume Cloning", "Volume Snapshots").

What a claim names is checked here, since the driver sees only handles.
"""

from __future__ import annotations

from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.machinery.quantity import whole
from tiphys.client.client import Client
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.provision.plan import requested_bytes
from tiphys.sidecar.snapshot.kinds import CONTENTS, GROUP, SNAPSHOTS


class BadSource(ValueError):
    """The data source of a claim cannot be used (yet)."""


class Ignored(Exception):
    """The data source is for somebody else, who fills the volume of a claim of its own: a populator."""


class Source(NamedTuple):
    """Data source of a claim."""

    group: str
    kind: str
    name: str


def source_of(claim: core.PersistentVolumeClaim) -> Source | None:
    """Return the data source of a claim, None for an empty volume. Raises BadSource for one in another namespace."""
    of = claim.spec.dataSourceRef or claim.spec.dataSource
    if of is None:
        return None
    namespace = getattr(of, "namespace", None)
    if namespace and namespace != claim.metadata.namespace:
        raise BadSource(f"data source {namespace}/{of.name} is in another namespace, which is not supported")
    return Source(of.apiGroup or "", of.kind, of.name)


async def content_source(
    client: Client, claim: core.PersistentVolumeClaim, facts: DriverFacts, *, abandoned: bool = False
) -> pb.VolumeContentSource | None:
    """Return what the driver is to fill a volume with. Raises BadSource, Ignored and StatusError.

    For a claim that is abandoned, the source may itself be on its way out.
    """
    source = source_of(claim)
    if source is None:
        return None
    if (source.group, source.kind) == ("", "PersistentVolumeClaim"):
        return await _of_claim(client, claim, source.name, facts, abandoned=abandoned)
    if (source.group, source.kind) == (GROUP, "VolumeSnapshot"):
        return await _of_snapshot(client, claim, source.name, facts, abandoned=abandoned)
    raise Ignored(f"data source kind {source.group}/{source.kind} is left to a populator")


async def _of_claim(
    client: Client, claim: core.PersistentVolumeClaim, name: str, facts: DriverFacts, *, abandoned: bool
) -> pb.VolumeContentSource:
    if not facts.offers("CLONE_VOLUME"):
        raise BadSource("CSI driver does not support clone operations")
    source = await client.get(core.PersistentVolumeClaim, name, claim.metadata.namespace)
    if source.metadata.deletionTimestamp is not None and not abandoned:
        raise BadSource(f"the PVC DataSource {name} is currently being deleted")
    if not source.spec.volumeName or source.status.phase != "Bound":
        raise BadSource(f"the PVC DataSource {name} is not bound")
    if requested_bytes(claim) < requested_bytes(source):
        raise BadSource(f"new PVC request must be greater than or equal in size to the specified PVC data source {name}")
    if (source.spec.volumeMode or "Filesystem") != (claim.spec.volumeMode or "Filesystem"):
        raise BadSource(f"the source PVC {name} and destination PVCs must have the same volume mode for cloning")
    volume = await client.get(core.PersistentVolume, source.spec.volumeName)
    if volume.spec.csi is None or volume.spec.csi.driver != facts.name:
        raise BadSource(f"the source volume of {name} is not of CSI driver {facts.name}")
    of_claim = volume.spec.claimRef
    if of_claim is None or of_claim.uid != source.metadata.uid:
        raise BadSource(f"the source volume {volume.metadata.name} is not bound to {name}")
    return pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=volume.spec.csi.volumeHandle))


async def _of_snapshot(
    client: Client, claim: core.PersistentVolumeClaim, name: str, facts: DriverFacts, *, abandoned: bool
) -> pb.VolumeContentSource:
    if not facts.offers("CREATE_DELETE_SNAPSHOT"):
        raise BadSource("CSI driver does not support snapshot restore")
    snapshot = await client.get(SNAPSHOTS, name, claim.metadata.namespace)
    if snapshot.metadata.deletionTimestamp is not None and not abandoned:
        raise BadSource(f"snapshot {name} is currently being deleted")
    status = snapshot.status
    if status is None or not status.boundVolumeSnapshotContentName:
        raise BadSource(f"snapshot {name} not bound")
    content = await client.get(CONTENTS, status.boundVolumeSnapshotContentName)
    of = content.spec.volumeSnapshotRef
    if (of.uid, of.namespace, of.name) != (snapshot.metadata.uid, snapshot.metadata.namespace, snapshot.metadata.name):
        raise BadSource(f"snapshotcontent {content.metadata.name} for snapshot {name} is bound to a different snapshot")
    if content.spec.driver != facts.name:
        raise BadSource(f"snapshot {name} is of CSI driver {content.spec.driver}, not of {facts.name}")
    if not status.readyToUse or content.status is None or not content.status.snapshotHandle:
        raise BadSource(f"snapshot {name} is not Ready")
    size = whole(status.restoreSize) if status.restoreSize is not None else 0
    if requested_bytes(claim) < size:
        raise BadSource(f"requested volume size {requested_bytes(claim)} is less than the size {size} for the source snapshot")
    handle = pb.VolumeContentSource.SnapshotSource(snapshot_id=content.status.snapshotHandle)
    return pb.VolumeContentSource(snapshot=handle)
