"""Names of the claims behind the volumes of pods. Pure."""

from __future__ import annotations

from typing import Protocol

from tiphys.api.core.v1 import PersistentVolumeClaimVolumeSource


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
