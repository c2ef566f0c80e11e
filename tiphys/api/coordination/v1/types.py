"""Leases, coordination/v1."""

from __future__ import annotations

from tiphys.api.machinery.base import MicroTime, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class LeaseSpec(Struct):
    """Holder of a lease, and the time until it expires."""

    holderIdentity: str | None = None
    """Who holds it; nobody if absent."""
    leaseDurationSeconds: int | None = None
    """Seconds without renewal after which others may take it."""
    acquireTime: MicroTime | None = None
    """When the holder got it."""
    renewTime: MicroTime | None = None
    """When the holder renewed it last."""
    leaseTransitions: int | None = None
    """How often it changed hands."""
    strategy: str | None = None
    """How a leader is chosen in coordinated election."""
    preferredHolder: str | None = None
    """Who should get it next; needs strategy."""


class Lease(KubeObject):
    """A claim that has to be renewed: for leader election, and as the heartbeat of nodes."""

    apiVersion: str = constant("coordination.k8s.io/v1")
    kind: str = constant("Lease")
    spec: LeaseSpec = always(LeaseSpec)
    """Who holds it, and until when."""
