"""The claims of a pod's volumes, and the persistent volumes that they are bound to, as the API server shows them.

A node may read claims and volumes one by one, and only those that its pods use (KEP-1513 names the rule for CSI objects; "Using Node
Authorization" the one for these), so each is read when it is needed. Nothing is kept: what is mounted needs no API to stay so.
"""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pod_claims import claim_name, ownership_error
from tiphys.api.machinery.errors import StatusError
from tiphys.client.client import Client
from tiphys.node.container.config import is_read_only
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import VolumeSpec

PROTECTION = "kubernetes.io/pvc-protection"
GROUP = "pv.beta.kubernetes.io/gid"


class UnresolvedError(VolumeError):
    """It is not known yet, or not settled, which storage a volume means."""

    longest_pause = 10.0


async def resolve(client: Client, pod: core.Pod, volume: core.Volume) -> VolumeSpec:
    """Return the storage that an entry of a pod's `spec.volumes` means. Raises UnresolvedError."""
    name = claim_name(pod.metadata.name, volume)
    if not name:
        return VolumeSpec(pod=pod, volume=volume, read_only=is_read_only(volume))
    namespace = pod.metadata.namespace
    try:
        claim = await _claim(client, namespace, name)
        if volume.ephemeral is not None and (message := ownership_error(pod.metadata, claim)):
            raise UnresolvedError(message)
        pv = await _volume(client, claim)
    except UnresolvedError as error:
        raise UnresolvedError(f"error processing PVC {namespace}/{name}: {error}") from error
    mode = pv.spec.volumeMode or "Filesystem"
    _check_mode(pod, volume.name, mode)
    return VolumeSpec(
        pod=pod,
        volume=volume,
        claim=claim,
        pv=pv,
        block=mode == "Block",
        read_only=is_read_only(volume),
        mount_options=_mount_options(pv),
    )


async def _claim(client: Client, namespace: str, name: str) -> core.PersistentVolumeClaim:
    try:
        claim = await client.get(core.PersistentVolumeClaim, name, namespace)
    except (StatusError, ConnectionError, TimeoutError) as error:
        raise UnresolvedError(f"failed to fetch PVC from API server: {error}") from error
    if claim.metadata.deletionTimestamp is not None and PROTECTION not in claim.metadata.finalizers:
        raise UnresolvedError("PVC is being deleted")
    if claim.status.phase != "Bound":
        raise UnresolvedError("PVC is not bound")
    if not claim.spec.volumeName:
        raise UnresolvedError("PVC has empty pvc.Spec.VolumeName")
    return claim


async def _volume(client: Client, claim: core.PersistentVolumeClaim) -> core.PersistentVolume:
    name = claim.spec.volumeName
    try:
        pv = await client.get(core.PersistentVolume, name)
    except (StatusError, ConnectionError, TimeoutError) as error:
        raise UnresolvedError(f"failed to fetch PV {name} from API server: {error}") from error
    reference = pv.spec.claimRef
    if reference is None:
        why = "it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
        raise UnresolvedError(f"found PV object {name} but {why}")
    if reference.uid != claim.metadata.uid:
        why = f"its pv.Spec.ClaimRef.UID {reference.uid} does not point to claim.UID {claim.metadata.uid}"
        raise UnresolvedError(f"found PV object {name} but {why}")
    return pv


def _check_mode(pod: core.Pod, name: str, mode: str) -> None:
    containers: tuple[AnyContainer, ...] = (*pod.spec.containers, *pod.spec.initContainers, *pod.spec.ephemeralContainers)
    if mode != "Filesystem" and any(mount.name == name for one in containers for mount in one.volumeMounts):
        raise UnresolvedError(f"volume {name} has volumeMode {mode}, but is specified in volumeMounts")
    if mode != "Block" and any(device.name == name for one in containers for device in one.volumeDevices):
        raise UnresolvedError(f"volume {name} has volumeMode {mode}, but is specified in volumeDevices")


def _mount_options(pv: core.PersistentVolume) -> tuple[str, ...]:
    """Return the options of the volume; the annotation is from before there was a field, and still wins ("Persistent Volumes")."""
    annotation = pv.metadata.annotations.get("volume.beta.kubernetes.io/mount-options")
    return tuple(annotation.split(",")) if annotation else tuple(pv.spec.mountOptions)


def group_of(pv: core.PersistentVolume | None) -> int | None:
    """Return the group that containers get because their volume belongs to it."""
    text = pv.metadata.annotations.get(GROUP, "") if pv is not None else ""
    return int(text) if text.isascii() and text.isdecimal() else None
