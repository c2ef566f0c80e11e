"""Leases: `coordination.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import other as columns
from tiphys.api.coordination import v1 as coordination
from tiphys.api.kinds.rules_other import LeaseRules
from tiphys.api.machinery.scheme import Kind

LEASES: Kind[coordination.Lease] = Kind(
    type=coordination.Lease, plural="leases", rules=LeaseRules(), columns=columns.LEASES, group="coordination.k8s.io"
)

KINDS: tuple[Kind[Any], ...] = (LEASES,)
