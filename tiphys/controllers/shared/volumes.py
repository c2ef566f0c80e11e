"""Claims behind the volumes of pods. Pure, but for the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pod_claims import claim_name, ephemeral_claim, ownership_error
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import Informer

CLAIM: Final = "claims of pods"
"""Index: NAMESPACE/NAME of each claim that a pod may be using."""


def claims_of(pod: SlimPod) -> list[str]:
    """Return the names of the claims that a pod may be using."""
    return [name for volume in pod.spec.volumes if (name := claim_name(pod.metadata.name, volume))]


def may_use(pod: SlimPod, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a pod of the claim's namespace may use it: a pod that names it, or the one that it was made for."""
    return names_claim(pod, claim) or owns_claim(pod, claim)


def names_claim(pod: SlimPod, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a pod of the claim's namespace names it."""
    sources = (volume.persistentVolumeClaim for volume in pod.spec.volumes)
    return any(source is not None and source.claimName == claim.metadata.name for source in sources)


def owns_claim(pod: SlimPod, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a claim was made for an ephemeral volume of a pod of its namespace."""
    ephemeral = (volume.name for volume in pod.spec.volumes if volume.ephemeral is not None)
    return any(ephemeral_claim(pod.metadata.name, name) == claim.metadata.name for name in ephemeral) and not ownership_error(
        pod.metadata, claim
    )


def index_claims(pods: Informer[SlimPod]) -> Informer[SlimPod]:
    """Add the CLAIM index (harmless when it is there) and return the informer."""
    pods.add_index(CLAIM, _paths)
    return pods


def _paths(pod: SlimPod) -> Iterable[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]
