"""Dynamic resource allocation."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns.base import AGE, NAME, cell
from tiphys.api.kinds import rules_resource as rules
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.resource import v1 as resource

GROUP = "resource.k8s.io"


def _state(claim: resource.ResourceClaim) -> str:
    states = ["deleted"] if claim.metadata.deletionTimestamp is not None else []
    if claim.status.allocation is None:
        return ",".join(states or ["pending"])
    return ",".join([*states, "allocated", *(["reserved"] if claim.status.reservedFor else [])])


DEVICE_CLASSES: Kind[resource.DeviceClass] = Kind(
    type=resource.DeviceClass,
    plural="deviceclasses",
    rules=rules.DeviceClassRules(),
    columns=(NAME, AGE),
    group=GROUP,
    namespaced=False,
    unattended=True,
)

RESOURCE_CLAIMS: Kind[resource.ResourceClaim] = Kind(
    type=resource.ResourceClaim,
    plural="resourceclaims",
    rules=rules.ResourceClaimRules(),
    columns=(NAME, Column("State", cell(_state), description="Whether it is pending, allocated, reserved, deleted."), AGE),
    group=GROUP,
    subresources=(STATUS,),
    unattended=True,
)

RESOURCE_CLAIM_TEMPLATES: Kind[resource.ResourceClaimTemplate] = Kind(
    type=resource.ResourceClaimTemplate,
    plural="resourceclaimtemplates",
    rules=rules.ResourceClaimTemplateRules(),
    columns=(NAME, AGE),
    group=GROUP,
    unattended=True,
)

RESOURCE_SLICES: Kind[resource.ResourceSlice] = Kind(
    type=resource.ResourceSlice,
    plural="resourceslices",
    rules=rules.ResourceSliceRules(),
    columns=(
        NAME,
        Column("Node", cell(lambda obj: obj.spec.nodeName or ""), description="The node that has the devices."),
        Column("Driver", cell(lambda obj: obj.spec.driver), description="The driver that offers them."),
        Column("Pool", cell(lambda obj: obj.spec.pool.name), description="The pool that they are in."),
        AGE,
    ),
    group=GROUP,
    namespaced=False,
    selectable={"spec.driver": lambda obj: obj.spec.driver, "spec.nodeName": lambda obj: obj.spec.nodeName or ""},
    unattended=True,
)

KINDS: tuple[Kind[Any], ...] = (DEVICE_CLASSES, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES)
