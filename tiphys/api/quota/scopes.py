"""Objects that a quota with scopes counts ("Resource Quotas: Quota scopes")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiphys.api.core.v1 import PersistentVolumeClaim, Pod, PodAffinityTerm, ResourceQuota, ScopedResourceSelectorRequirement
from tiphys.api.helpers.resources import qos_class


def requirements(quota: ResourceQuota) -> list[ScopedResourceSelectorRequirement]:
    """All that an object must be to fall under the quota."""
    plain = [ScopedResourceSelectorRequirement(scopeName=scope, operator="Exists") for scope in quota.spec.scopes]
    return plain + (quota.spec.scopeSelector.matchExpressions if quota.spec.scopeSelector is not None else [])


def matches(requirement: ScopedResourceSelectorRequirement, obj: Any) -> bool:
    """True if an object meets one of them; objects other than pods and claims have no scopes."""
    if isinstance(obj, Pod):
        return _pod_matches(requirement, obj)
    if isinstance(obj, PersistentVolumeClaim):
        return requirement.scopeName == "VolumeAttributesClass" and _selects(requirement, volume_classes(obj))
    return False


def _pod_matches(requirement: ScopedResourceSelectorRequirement, pod: Pod) -> bool:
    match requirement.scopeName:
        case "Terminating":
            return is_terminating(pod)
        case "NotTerminating":
            return not is_terminating(pod)
        case "BestEffort":
            return qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod) != "BestEffort"
        case "PriorityClass":
            return _selects(requirement, {pod.spec.priorityClassName} - {""})
        case "CrossNamespacePodAffinity":
            return _reaches_other_namespaces(pod)
    return False


def is_terminating(pod: Pod) -> bool:
    """True if the pod's life is limited, the meaning of the scope Terminating."""
    deadline = pod.spec.activeDeadlineSeconds
    return deadline is not None and deadline >= 0


def volume_classes(claim: PersistentVolumeClaim) -> set[str]:
    """The volume attributes classes that a claim has, wants or is changing to."""
    changing = claim.status.modifyVolumeStatus
    classes = {
        claim.spec.volumeAttributesClassName,
        claim.status.currentVolumeAttributesClassName,
        changing.targetVolumeAttributesClassName if changing is not None else "",
    }
    return {name for name in classes if name}


def _selects(requirement: ScopedResourceSelectorRequirement, classes: set[str]) -> bool:
    match requirement.operator:
        case "Exists":
            return bool(classes)
        case "DoesNotExist":
            return not classes
        case "In":
            return any(name in requirement.values for name in classes)
        case "NotIn":
            return not classes or any(name not in requirement.values for name in classes)
    return False


def _reaches_other_namespaces(pod: Pod) -> bool:
    affinity = pod.spec.affinity
    if affinity is None:
        return False
    return any(
        term.namespaces or term.namespaceSelector is not None
        for side in (affinity.podAffinity, affinity.podAntiAffinity)
        if side is not None
        for term in _terms(side)
    )


def _terms(side: Any) -> Iterable[PodAffinityTerm]:
    yield from side.requiredDuringSchedulingIgnoredDuringExecution
    for weighted in side.preferredDuringSchedulingIgnoredDuringExecution:
        yield weighted.podAffinityTerm
