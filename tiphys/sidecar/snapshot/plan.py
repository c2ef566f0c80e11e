"""Names, states and steps of snapshots. Pure ("Volume Snapshots", external-snapshotter)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.quantity import format_value
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import reference_to
from tiphys.sidecar.names import PARAMETERS
from tiphys.sidecar.secrets import SNAPSHOTTER, SNAPSHOTTER_LIST, BadParameters, keys_of, resolved
from tiphys.sidecar.snapshot.kinds import (
    ContentSource,
    ContentSpec,
    ContentStatus,
    SnapshotError,
    SnapshotStatus,
    VolumeSnapshot,
    VolumeSnapshotClass,
    VolumeSnapshotContent,
)

_PREFIX: Final = "snapshot.storage.kubernetes.io/"
BOUND: Final = f"{_PREFIX}volumesnapshot-bound-protection"
AS_SOURCE: Final = f"{_PREFIX}volumesnapshot-as-source-protection"
CONTENT_BOUND: Final = f"{_PREFIX}volumesnapshotcontent-bound-protection"
CLAIM_AS_SOURCE: Final = f"{_PREFIX}pvc-as-source-protection"
IS_DEFAULT: Final = f"{_PREFIX}is-default-class"
BEING_CREATED: Final = f"{_PREFIX}volumesnapshot-being-created"
BEING_DELETED: Final = f"{_PREFIX}volumesnapshot-being-deleted"
SECRET_NAME: Final = f"{_PREFIX}deletion-secret-name"
SECRET_NAMESPACE: Final = f"{_PREFIX}deletion-secret-namespace"
OF_SNAPSHOT: Final = (BOUND, AS_SOURCE)

_OURS = frozenset(key for purpose in (SNAPSHOTTER, SNAPSHOTTER_LIST) for key in keys_of(purpose))

Step = Literal["nothing", "create", "adopt", "delete"]
"""`create` has the driver take a snapshot, or asks whether it is ready; `adopt` asks about one that the driver had before."""


class NotPossible(ValueError):
    """A snapshot cannot be taken (yet)."""


def content_name(snapshot: VolumeSnapshot) -> str:
    """Return the name of the content that is bound to a snapshot, or will be."""
    return snapshot.spec.source.volumeSnapshotContentName or f"snapcontent-{snapshot.metadata.uid}"


def is_bound(snapshot: VolumeSnapshot, content: VolumeSnapshotContent) -> bool:
    """Return whether content is bound to this very snapshot."""
    return content.spec.volumeSnapshotRef.uid == snapshot.metadata.uid


def may_bind(snapshot: VolumeSnapshot, content: VolumeSnapshotContent) -> bool:
    """Return whether content names a snapshot, and no other of the same name was bound to it before."""
    of = content.spec.volumeSnapshotRef
    meta = snapshot.metadata
    return (of.namespace, of.name) == (meta.namespace, meta.name) and of.uid in ("", meta.uid)


def default_class(classes: list[VolumeSnapshotClass], driver: str) -> VolumeSnapshotClass:
    """Return the default class for a driver. Raises NotPossible unless there is exactly one."""
    defaults = [one for one in classes if one.driver == driver and one.metadata.annotations.get(IS_DEFAULT) == "true"]
    if len(defaults) != 1:
        raise NotPossible(f"{len(defaults)} default snapshot classes were found" if defaults else "cannot find default snapshot class")
    return defaults[0]


def new_content(snapshot: VolumeSnapshot, class_: VolumeSnapshotClass, volume: core.PersistentVolume) -> VolumeSnapshotContent:
    """Return the content for a snapshot of a volume. Raises NotPossible and BadParameters."""
    source, name = volume.spec.csi, content_name(snapshot)
    if source is None or source.driver != class_.driver:
        raise NotPossible(f"the volume {volume.metadata.name} is not of driver {class_.driver} of snapshot class {class_.metadata.name}")
    values = {"volumesnapshotcontent.name": name, "volumesnapshot.namespace": snapshot.metadata.namespace}
    secret = resolved(class_.parameters, SNAPSHOTTER, values, {**values, "volumesnapshot.name": snapshot.metadata.name})
    annotations = {} if secret is None else {SECRET_NAME: secret.name, SECRET_NAMESPACE: secret.namespace}
    return VolumeSnapshotContent(
        metadata=ObjectMeta(name=name, annotations=annotations, finalizers=[CONTENT_BOUND]),
        spec=ContentSpec(
            volumeSnapshotRef=reference_to(snapshot),
            deletionPolicy=class_.deletionPolicy,
            driver=class_.driver,
            volumeSnapshotClassName=class_.metadata.name,
            source=ContentSource(volumeHandle=source.volumeHandle),
            sourceVolumeMode=volume.spec.volumeMode,
        ),
    )


def snapshot_status(snapshot: VolumeSnapshot, content: VolumeSnapshotContent) -> SnapshotStatus:
    """Return the status of a snapshot by that of its content."""
    of, known = content.status or ContentStatus(), snapshot.status or SnapshotStatus()
    return SnapshotStatus(
        boundVolumeSnapshotContentName=content.metadata.name,
        creationTime=moment(of.creationTime) if of.creationTime else known.creationTime,
        readyToUse=bool(of.readyToUse),
        restoreSize=format_value(of.restoreSize, "binary") if of.restoreSize is not None else known.restoreSize,
        error=None if of.readyToUse else of.error,
        volumeGroupSnapshotName=known.volumeGroupSnapshotName,
    )


def moment(nanoseconds: int) -> datetime:
    """Return a time from nanoseconds since 1970, in whole seconds."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)


def step(content: VolumeSnapshotContent, driver: str) -> Step:
    """Return the next step of a driver's sidecar for content."""
    if content.spec.driver != driver:
        return "nothing"
    if content.metadata.deletionTimestamp is not None:
        unbound = not content.spec.volumeSnapshotRef.uid
        released = BEING_DELETED in content.metadata.annotations
        return "delete" if CONTENT_BOUND in content.metadata.finalizers and (unbound or released) else "nothing"
    if content.status is not None and content.status.readyToUse:
        return "nothing"
    return "create" if content.spec.source.volumeHandle else "adopt"


def parameters_of(class_: VolumeSnapshotClass | None) -> dict[str, str]:
    """Return the parameters of a class that are the driver's. Raises BadParameters."""
    if class_ is None:
        return {}
    unknown = sorted(key for key in class_.parameters if key.startswith(PARAMETERS) and key not in _OURS)
    if unknown:
        raise BadParameters(f'found unknown parameter key "{unknown[0]}" with reserved namespace {PARAMETERS}')
    return {key: value for key, value in class_.parameters.items() if not key.startswith(PARAMETERS)}


def content_status(snapshot: pb.Snapshot) -> ContentStatus:
    """Return the status of content by a driver's answer."""
    return ContentStatus(
        snapshotHandle=snapshot.snapshot_id,
        creationTime=snapshot.creation_time.ToNanoseconds() if snapshot.HasField("creation_time") else None,
        restoreSize=snapshot.size_bytes,
        readyToUse=snapshot.ready_to_use,
    )


def error_of(error: Exception, now: datetime) -> SnapshotError:
    """Return an error as statuses have it."""
    return SnapshotError(time=base.time(now), message=str(error))


def secret_of(content: VolumeSnapshotContent) -> core.SecretReference | None:
    """Return the secret for calls about a snapshot."""
    annotations = content.metadata.annotations
    name, namespace = annotations.get(SECRET_NAME, ""), annotations.get(SECRET_NAMESPACE, "")
    return core.SecretReference(name=name, namespace=namespace) if name and namespace else None
