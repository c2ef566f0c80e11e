"""Users of a claim, a volume or a class of attributes, and the finalizer that depends on them. Pure.

"Storage Object in Use Protection" (Persistent Volumes).
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.slim import SlimPod, SlimVolume


def finalizers_after(meta: ObjectMeta, finalizer: str, *, used: bool) -> list[str] | None:
    """The finalizers that the object is to have, or None when it has them: the one is there until nothing uses what is being deleted."""
    present = finalizer in meta.finalizers
    if meta.deletionTimestamp is None:
        return None if present else [*meta.finalizers, finalizer]
    return [other for other in meta.finalizers if other != finalizer] if present and not used else None


def is_leaving(meta: ObjectMeta, finalizer: str) -> bool:
    """Return whether it is a question of its users alone that the object is still there."""
    return meta.deletionTimestamp is not None and finalizer in meta.finalizers


def ephemeral_claim(pod: SlimPod, volume: SlimVolume) -> str:
    """The name of the claim that is made for a volume of a pod ("Generic ephemeral volumes")."""
    return f"{pod.metadata.name}-{volume.name}"


def claims_of(pod: SlimPod) -> list[str]:
    """The names of the claims that a pod may be using."""
    names = []
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            names.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            names.append(ephemeral_claim(pod, volume))
    return names


def uses_claim(pod: SlimPod, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a pod keeps a claim.

    One that has no node does not: no node starts a pod whose claim is being deleted. One that has ended does: its node may still have the
    volume mounted.
    """
    if not pod.spec.nodeName or pod.metadata.namespace != claim.metadata.namespace:
        return False
    gone = pod.metadata.deletionTimestamp is not None and pod.metadata.deletionGracePeriodSeconds == 0
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None and volume.persistentVolumeClaim.claimName == claim.metadata.name:
            return True
        made_for = volume.ephemeral is not None and ephemeral_claim(pod, volume) == claim.metadata.name
        if made_for and not gone and any(owner.controller and owner.uid == pod.metadata.uid for owner in claim.metadata.ownerReferences):
            return True
    return False


def classes_of(obj: core.PersistentVolume | core.PersistentVolumeClaim) -> Iterable[str]:
    """The classes of attributes that a volume or a claim has, had until now, or is to get."""
    names = {obj.spec.volumeAttributesClassName}
    if isinstance(obj, core.PersistentVolumeClaim):
        names.add(obj.status.currentVolumeAttributesClassName)
        if obj.status.modifyVolumeStatus is not None:
            names.add(obj.status.modifyVolumeStatus.targetVolumeAttributesClassName)
    return [name for name in names if name]
