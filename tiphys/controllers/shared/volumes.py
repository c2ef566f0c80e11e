"""Claims behind the volumes of pods. Pure, but for the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tiphys.controllers.shared.slim import SlimPod, SlimVolume
from tiphys.runtime import Informer

CLAIM: Final = "claims of pods"
"""Index: NAMESPACE/NAME of each claim that a pod may be using."""


def ephemeral_claim(pod: SlimPod, volume: SlimVolume) -> str:
    """Return the name of the claim created for a volume of a pod ("Generic ephemeral volumes")."""
    return f"{pod.metadata.name}-{volume.name}"


def claims_of(pod: SlimPod) -> list[str]:
    """Return the names of the claims that a pod may be using."""
    names = []
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            names.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            names.append(ephemeral_claim(pod, volume))
    return names


def index_claims(pods: Informer[SlimPod]) -> Informer[SlimPod]:
    """Add the CLAIM index (harmless when it is there) and return the informer."""
    pods.add_index(CLAIM, _paths)
    return pods


def _paths(pod: SlimPod) -> Iterable[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]
