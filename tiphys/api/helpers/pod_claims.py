"""Names of the claims behind the volumes of pods, and their owners. Pure."""

from __future__ import annotations

from typing import Protocol

from tiphys.api.core.v1 import PersistentVolumeClaim, PersistentVolumeClaimVolumeSource
from tiphys.api.meta.v1 import ObjectMeta


class ClaimingVolume(Protocol):
    """An entry of a pod's `spec.volumes`, or as much of one as names a claim."""

    @property
    def name(self) -> str: ...

    @property
    def persistentVolumeClaim(self) -> PersistentVolumeClaimVolumeSource | None: ...

    @property
    def ephemeral(self) -> object | None: ...


def ephemeral_claim(pod: str, volume: str) -> str:
    """Return the name of the claim that is made for a volume of a pod, by their names ("Ephemeral Volumes")."""
    return f"{pod}-{volume}"


def claim_name(pod: str, volume: ClaimingVolume) -> str:
    """Return the name of the claim that a volume of a pod stands for, "" if it stands for none."""
    if volume.persistentVolumeClaim is not None:
        return volume.persistentVolumeClaim.claimName
    return ephemeral_claim(pod, volume.name) if volume.ephemeral is not None else ""


def ownership_error(pod: ObjectMeta, claim: PersistentVolumeClaim) -> str:
    """Return why a claim with the name of a pod's ephemeral claim is not the pod's; "" if it was made for the pod.

    A pod never uses data of another owner ("Ephemeral Volumes": PersistentVolumeClaim naming).
    """
    if any(owner.controller and owner.uid == pod.uid for owner in claim.metadata.ownerReferences):
        return ""
    name = f"{claim.metadata.namespace}/{claim.metadata.name}"
    return f"PVC {name} was not created for pod {pod.namespace}/{pod.name} (pod is not owner)"
