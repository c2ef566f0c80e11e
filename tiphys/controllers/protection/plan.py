"""Users of a claim, a volume or a class of attributes, and the finalizer that depends on them. Pure.

"Storage Object in Use Protection" (Persistent Volumes).
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.shared.volumes import names_claim, owns_claim


def finalizers_after(meta: ObjectMeta, finalizer: str, *, used: bool) -> list[str] | None:
    """Return the object's desired finalizers, or None when it has them: ours stays until an object being deleted is unused."""
    present = finalizer in meta.finalizers
    if meta.deletionTimestamp is None:
        return None if present else [*meta.finalizers, finalizer]
    return [other for other in meta.finalizers if other != finalizer] if present and not used else None


def is_leaving(meta: ObjectMeta, finalizer: str) -> bool:
    """Return whether the object is being deleted and only its users hold it."""
    return meta.deletionTimestamp is not None and finalizer in meta.finalizers


def uses_claim(pod: SlimPod, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a pod uses a claim.

    One that has no node does not: no node starts a pod whose claim is being deleted. One that has ended does: its node may still have the
    volume mounted.
    """
    if not pod.spec.nodeName or pod.metadata.namespace != claim.metadata.namespace:
        return False
    gone = pod.metadata.deletionTimestamp is not None and pod.metadata.deletionGracePeriodSeconds == 0
    return names_claim(pod, claim) or (not gone and owns_claim(pod, claim))


def classes_of(obj: core.PersistentVolume | core.PersistentVolumeClaim) -> Iterable[str]:
    """Return the classes of attributes that a volume or a claim has, had, or will get."""
    names = {obj.spec.volumeAttributesClassName}
    if isinstance(obj, core.PersistentVolumeClaim):
        names.add(obj.status.currentVolumeAttributesClassName)
        if obj.status.modifyVolumeStatus is not None:
            names.add(obj.status.modifyVolumeStatus.targetVolumeAttributesClassName)
    return [name for name in names if name]
