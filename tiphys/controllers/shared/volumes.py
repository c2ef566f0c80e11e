"""Claims behind the volumes of pods. Pure, but for the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tiphys.api.helpers.pod_claims import claim_name
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import Informer

CLAIM: Final = "claims of pods"
"""Index: NAMESPACE/NAME of each claim that a pod may be using."""


def claims_of(pod: SlimPod) -> list[str]:
    """Return the names of the claims that a pod may be using."""
    return [name for volume in pod.spec.volumes if (name := claim_name(pod.metadata.name, volume))]


def index_claims(pods: Informer[SlimPod]) -> Informer[SlimPod]:
    """Add the CLAIM index (harmless when it is there) and return the informer."""
    pods.add_index(CLAIM, _paths)
    return pods


def _paths(pod: SlimPod) -> Iterable[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]
