"""Every kind that is served. To add one: declare a `Kind` in the module of its group and list it there in KINDS."""

from __future__ import annotations

from tiphys.api.kinds import apps, authentication, authorization, coordination, core, discovery, policy, rbac, scheduling
from tiphys.api.scheme import Scheme

__all__ = ["SCHEME"]

SCHEME = Scheme(
    kind for group in (core, apps, authentication, authorization, coordination, discovery, policy, rbac, scheduling) for kind in group.KINDS
)
