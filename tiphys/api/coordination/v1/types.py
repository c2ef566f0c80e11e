"""Leases, coordination/v1."""

from __future__ import annotations

from tiphys.api.machinery.base import MicroTime, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class LeaseSpec(Struct):
    """Holder of a lease, and the time until it expires."""

    holderIdentity: str | None = None
    """Identity of the holder; nobody if absent."""
    leaseDurationSeconds: int | None = None
    """Seconds without renewal after which others may take it."""
    acquireTime: MicroTime | None = None
    """Time at which the holder acquired the lease."""
    renewTime: MicroTime | None = None
    """Time of the last renewal."""
    leaseTransitions: int | None = None
    """Number of changes of the holder."""
    strategy: str | None = None
    """Strategy of coordinated leader election."""
    preferredHolder: str | None = None
    """Identity of the preferred next holder; needs strategy."""


class Lease(KubeObject):
    """A claim that has to be renewed: for leader election, and as the heartbeat of nodes."""

    apiVersion: str = constant("coordination.k8s.io/v1")
    kind: str = constant("Lease")
    spec: LeaseSpec = always(LeaseSpec)
    """Holder of the lease, and the time until it expires."""
