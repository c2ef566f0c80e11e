"""Claims of a StatefulSet's pods, and who owns them ("StatefulSets: PersistentVolumeClaim retention"). Pure.

A claim goes with its owner, which the garbage collector sees to: with the StatefulSet, or with the pod of an ordinal that is scaled down.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject, ObjectMeta, OwnerReference
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import claim_name


class Ownership(NamedTuple):
    """Change of the owners of a claim."""

    claim: core.PersistentVolumeClaim
    """The claim as it should be written."""
    contested: bool
    """True if another controller owns the claim, so that the retention policy is not applied to it."""


def make_claims(owner: apps.StatefulSet, ordinal: int) -> list[core.PersistentVolumeClaim]:
    """Create the claims of a pod, in the order of their templates, for a pod that is not scaled down."""
    result = []
    selector = owner.spec.selector
    for template in owner.spec.volumeClaimTemplates:
        meta = template.metadata
        claim_meta = ObjectMeta(
            name=claim_name(owner, template, ordinal),
            namespace=owner.metadata.namespace,
            labels={**meta.labels, **(selector.matchLabels if selector is not None else {})},
            annotations=dict(meta.annotations),
            finalizers=list(meta.finalizers),
            ownerReferences=[reference(owner)] if _goes_with_set(owner) else [],
        )
        result.append(core.PersistentVolumeClaim(metadata=claim_meta, spec=template.spec))
    return result


def _goes_with_set(owner: apps.StatefulSet) -> bool:
    policy = owner.spec.persistentVolumeClaimRetentionPolicy
    return policy is not None and policy.whenDeleted == "Delete"


def _goes_with_pod(owner: apps.StatefulSet) -> bool:
    """Return whether claims are deleted when their pod is scaled down."""
    policy = owner.spec.persistentVolumeClaimRetentionPolicy
    return policy is not None and policy.whenScaled == "Delete"


def is_leftover(owner: apps.StatefulSet, claim: core.PersistentVolumeClaim, pod: str) -> bool:
    """Return whether a claim belongs to a former pod of this name and goes with it, so that a new pod must wait for a new claim."""
    return _goes_with_pod(owner) and any(ref.apiVersion == "v1" and ref.kind == "Pod" and ref.name == pod for ref in _owners(claim))


def ownership(owner: apps.StatefulSet, pod: SlimPod, claim: core.PersistentVolumeClaim, *, scaled_down: bool) -> Ownership | None:
    """Return the change by which a claim gets the owners that the policy asks for, None when it needs none.

    A claim that names a former StatefulSet or pod as its owner is left to the garbage collector.
    """
    ours = [ref for ref in _owners(claim) if _names(ref, owner) or _names(ref, pod)]
    uids = {owner.metadata.uid, pod.metadata.uid}
    if any(ref.uid not in uids for ref in ours):
        return None
    others = [ref for ref in _owners(claim) if ref not in ours]
    desired: list[OwnerReference] = []
    if _goes_with_pod(owner) and scaled_down:
        desired = [reference(pod)]
    elif _goes_with_set(owner):
        desired = [reference(owner)]
    contested = bool(desired) and any(ref.controller for ref in others)
    if contested:
        desired = []
    if {(ref.uid, bool(ref.controller)) for ref in ours} == {(ref.uid, True) for ref in desired}:
        return None
    meta = msgspec.structs.replace(claim.metadata, ownerReferences=[*others, *desired])
    return Ownership(msgspec.structs.replace(claim, metadata=meta), contested)


def _owners(claim: core.PersistentVolumeClaim) -> list[OwnerReference]:
    return claim.metadata.ownerReferences


def _names(ref: OwnerReference, obj: KubeObject) -> bool:
    return (ref.apiVersion, ref.kind, ref.name) == (obj.apiVersion, obj.kind, obj.metadata.name)
