"""Leases, coordination/v1."""

from __future__ import annotations

from tiphys.api.base import MicroTime, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class LeaseSpec(Struct):
    holderIdentity: str | None = None
    leaseDurationSeconds: int | None = None
    acquireTime: MicroTime | None = None
    renewTime: MicroTime | None = None
    leaseTransitions: int | None = None
    strategy: str | None = None
    preferredHolder: str | None = None


class Lease(KubeObject):
    apiVersion: str = constant("coordination.k8s.io/v1")
    kind: str = constant("Lease")
    spec: LeaseSpec = always(LeaseSpec)
