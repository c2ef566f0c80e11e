"""Every kind that is served. To add one: declare a `Kind` in the module of its group and list it there in KINDS."""

from __future__ import annotations

from tiphys.api.kinds import (
    admissionregistration,
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    events,
    flowcontrol,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
)
from tiphys.api.machinery.scheme import Scheme

__all__ = ["SCHEME"]

_GROUPS = (
    core,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    discovery,
    events,
    flowcontrol,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
    admissionregistration,
    apiextensions,
    apiregistration,
)

SCHEME = Scheme(kind for group in _GROUPS for kind in group.KINDS)
