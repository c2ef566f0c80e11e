"""The claims of a pod for devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tiphys.scheduler.slim import SlimPod

ClaimKey = tuple[str, str]
"""Namespace and name of a claim."""


class ClaimUse(NamedTuple):
    """Entry of a pod's `resourceClaims`."""

    entry: str
    name: str
    """Name of the claim; empty while none was made for the entry."""
    is_made: bool
    """True if the claim is made for the pod, from a template."""


class PodDevices(NamedTuple):
    """Claims of a pod, in its order."""

    namespace: str
    claims: tuple[ClaimUse, ...]

    @property
    def keys(self) -> Iterator[ClaimKey]:
        """Keys of the claims that have a name."""
        return ((self.namespace, use.name) for use in self.claims if use.name)


def pod_devices(pod: SlimPod) -> PodDevices | None:
    """Extract the claims of a pod; None if it has none."""
    by_entry = {status.name: status.resourceClaimName for status in pod.status.resourceClaimStatuses}
    claims = []
    for entry in pod.spec.resourceClaims:
        if entry.resourceClaimName is not None:
            claims.append(ClaimUse(entry.name, entry.resourceClaimName, is_made=False))
        elif entry.name not in by_entry:
            claims.append(ClaimUse(entry.name, "", is_made=True))
        elif (name := by_entry[entry.name]) is not None:
            claims.append(ClaimUse(entry.name, name, is_made=True))
    return PodDevices(pod.metadata.namespace, tuple(claims)) if claims else None
