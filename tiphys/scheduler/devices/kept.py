"""The objects about devices that the scheduler keeps."""

from __future__ import annotations

from typing import Final

from tiphys.api.resource import v1 as resource
from tiphys.runtime.declaration import Slim


def compact_claim(claim: resource.ResourceClaim) -> resource.ResourceClaim:
    """Drop annotations, labels and what drivers report of devices; changes and returns the claim."""
    meta = claim.metadata
    meta.managedFields, meta.annotations, meta.labels = [], {}, {}
    claim.status.devices = []
    return claim


CLAIMS: Final = Slim(resource.ResourceClaim, resource.ResourceClaim, compact_claim)
SLICES: Final = Slim(resource.ResourceSlice, resource.ResourceSlice)
CLASSES: Final = Slim(resource.DeviceClass, resource.DeviceClass)
