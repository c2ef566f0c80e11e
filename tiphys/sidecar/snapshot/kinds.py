"""VolumeSnapshot, VolumeSnapshotContent and VolumeSnapshotClass, custom resources of `snapshot.storage.k8s.io/v1` ("Volume Snapshots").

`examples/csi-snapshots/crds.yaml` defines them for the API server.
"""

from __future__ import annotations

from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity, Struct, Time, always, constant
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client

GROUP: Final = "snapshot.storage.k8s.io"
API_VERSION: Final = f"{GROUP}/v1"


class SnapshotError(Struct, forbid_unknown_fields=False):
    """Last error of a snapshot."""

    time: Time | None = None
    message: str | None = None


class SnapshotSource(Struct, forbid_unknown_fields=False):
    """Source of a snapshot: a claim, or content that is there already."""

    persistentVolumeClaimName: str | None = None
    volumeSnapshotContentName: str | None = None


class SnapshotSpec(Struct, forbid_unknown_fields=False):
    """Desired state of a snapshot."""

    source: SnapshotSource = always(SnapshotSource)
    volumeSnapshotClassName: str | None = None


class SnapshotStatus(Struct, forbid_unknown_fields=False):
    """State of a snapshot."""

    boundVolumeSnapshotContentName: str | None = None
    creationTime: Time | None = None
    readyToUse: bool | None = None
    restoreSize: Quantity | None = None
    error: SnapshotError | None = None
    volumeGroupSnapshotName: str | None = None


class VolumeSnapshot(KubeObject, forbid_unknown_fields=False):
    """A user's request for a snapshot."""

    apiVersion: str = constant(API_VERSION)
    kind: str = constant("VolumeSnapshot")
    spec: SnapshotSpec = always(SnapshotSpec)
    status: SnapshotStatus | None = None


class ContentSource(Struct, forbid_unknown_fields=False):
    """Source of content: a volume of the driver, or a snapshot of the driver that is there already."""

    volumeHandle: str | None = None
    snapshotHandle: str | None = None


class ContentSpec(Struct, forbid_unknown_fields=False):
    """Desired state of content."""

    volumeSnapshotRef: core.ObjectReference = always(core.ObjectReference)
    deletionPolicy: str = always(str)
    driver: str = always(str)
    volumeSnapshotClassName: str | None = None
    source: ContentSource = always(ContentSource)
    sourceVolumeMode: str | None = None


class ContentStatus(Struct, forbid_unknown_fields=False):
    """State of content. Times are in nanoseconds since 1970, sizes in bytes."""

    snapshotHandle: str | None = None
    creationTime: int | None = None
    restoreSize: int | None = None
    readyToUse: bool | None = None
    error: SnapshotError | None = None
    volumeGroupSnapshotHandle: str | None = None


class VolumeSnapshotContent(KubeObject, forbid_unknown_fields=False):
    """A snapshot of the driver."""

    apiVersion: str = constant(API_VERSION)
    kind: str = constant("VolumeSnapshotContent")
    spec: ContentSpec = always(ContentSpec)
    status: ContentStatus | None = None


class VolumeSnapshotClass(KubeObject, forbid_unknown_fields=False):
    """Driver, parameters and deletion policy of snapshots."""

    apiVersion: str = constant(API_VERSION)
    kind: str = constant("VolumeSnapshotClass")
    driver: str = always(str)
    deletionPolicy: str = always(str)
    parameters: dict[str, str] = {}


SNAPSHOTS: Final = Kind(type=VolumeSnapshot, plural="volumesnapshots", group=GROUP, version="v1", namespaced=True, subresources=(STATUS,))
CONTENTS: Final = Kind(
    type=VolumeSnapshotContent, plural="volumesnapshotcontents", group=GROUP, version="v1", namespaced=False, subresources=(STATUS,)
)
CLASSES: Final = Kind(type=VolumeSnapshotClass, plural="volumesnapshotclasses", group=GROUP, version="v1", namespaced=False)


def with_snapshots(client: Client) -> Client:
    """Return a client on the same transport that knows these kinds too; loops of snapshots need one."""
    kinds = [one for one in client.scheme if one.group != GROUP]
    scheme = Scheme([*kinds, SNAPSHOTS, CONTENTS, CLASSES])
    return Client(client.transport, user_agent="tiphys-csi-sidecar", scheme=scheme, clock=client.clock, rng=client.rng)
