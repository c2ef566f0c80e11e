"""Leases, coordination/v1."""

from tiphys.api.coordination.v1.types import Lease, LeaseSpec

__all__ = [
    "Lease",
    "LeaseSpec",
]
