"""The core group, v1: quota."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, Quantity, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class LimitRangeItem(Struct):
    type: str = always(str)
    max: dict[str, Quantity] = {}
    min: dict[str, Quantity] = {}
    default: dict[str, Quantity] = {}
    defaultRequest: dict[str, Quantity] = {}
    maxLimitRequestRatio: dict[str, Quantity] = {}


class LimitRangeSpec(Struct):
    limits: Annotated[list[LimitRangeItem], Atomic()] = always(list)


class LimitRange(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("LimitRange")
    spec: LimitRangeSpec = always(LimitRangeSpec)


class ScopedResourceSelectorRequirement(Struct):
    scopeName: str = always(str)
    operator: str = always(str)
    values: Annotated[list[str], Atomic()] = []


class ScopeSelector(Struct):
    __map_type__: ClassVar[str] = "atomic"
    matchExpressions: Annotated[list[ScopedResourceSelectorRequirement], Atomic()] = []


class ResourceQuotaSpec(Struct):
    hard: dict[str, Quantity] = {}
    scopes: Annotated[list[str], Atomic()] = []
    scopeSelector: ScopeSelector | None = None


class ResourceQuotaStatus(Struct):
    hard: dict[str, Quantity] = {}
    used: dict[str, Quantity] = {}


class ResourceQuota(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("ResourceQuota")
    spec: ResourceQuotaSpec = always(ResourceQuotaSpec)
    status: ResourceQuotaStatus = always(ResourceQuotaStatus)
