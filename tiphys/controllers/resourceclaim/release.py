"""Reservations that end, and what follows for the claim. Pure ("Dynamic Resource Allocation")."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

import msgspec

from tiphys.api.meta.v1 import OwnerReference
from tiphys.api.resource.v1 import ResourceClaim, ResourceClaimConsumerReference, ResourceClaimStatus
from tiphys.runtime import controller_of

FINALIZER: Final = "resource.kubernetes.io/delete-protection"
"""Finalizer that the scheduler sets before it allocates a claim."""


class Release(NamedTuple):
    """Next step for a claim; its parts are in the order in which they are to be taken."""

    status: ResourceClaimStatus
    """Desired status: without consumers that ended, and without an allocation that the last of them leaves behind."""
    unprotect: bool = False
    """True if the finalizer is to be removed."""
    discard: bool = False
    """True if the claim is to be deleted."""


def is_pod(consumer: ResourceClaimConsumerReference) -> bool:
    """Return whether a consumer is a pod. Others stay as they are: nothing is known about them."""
    return consumer.apiGroup == "" and consumer.resource == "pods"


def owning_pod(claim: ResourceClaim) -> OwnerReference | None:
    """Return the reference to the pod that the claim was made for."""
    owner = controller_of(claim)
    return owner if owner is not None and (owner.apiVersion, owner.kind) == ("v1", "Pod") else None


def release(claim: ResourceClaim, ended: Collection[str], *, owner_ended: bool) -> Release:
    """Return the next step for a claim, some of whose consumers (`ended`, their UIDs) do not need it any more.

    The last consumer's end takes the allocation with it, so that the next one is not bound to the node of the former. A claim without
    consumers is otherwise left alone, finalizer and allocation, until it is deleted: the scheduler sets first the one, then the other, and
    may enter the consumer later still. `owner_ended` says that it was made for a pod that will not run.
    """
    status, meta = claim.status, claim.metadata
    left = [consumer for consumer in status.reservedFor if not (is_pod(consumer) and consumer.uid in ended)]
    if left:
        return Release(msgspec.structs.replace(status, reservedFor=left))
    deleting = meta.deletionTimestamp is not None
    unprotect = FINALIZER in meta.finalizers and (deleting or bool(status.reservedFor))
    allocation = None if unprotect else status.allocation
    return Release(msgspec.structs.replace(status, reservedFor=[], allocation=allocation), unprotect, owner_ended and not deleting)
