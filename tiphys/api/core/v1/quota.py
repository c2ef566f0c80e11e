"""The core group, v1: quota."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.machinery.base import Atomic, Quantity, Struct, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class LimitRangeItem(Struct):
    """Bounds of one sort of thing."""

    type: str = always(str)
    """`Pod`, `Container` or `PersistentVolumeClaim`."""
    max: dict[str, Quantity] = {}
    """The most of each resource."""
    min: dict[str, Quantity] = {}
    """The least of each resource."""
    default: dict[str, Quantity] = {}
    """Limits of containers that state none."""
    defaultRequest: dict[str, Quantity] = {}
    """Requests of containers that state none."""
    maxLimitRequestRatio: dict[str, Quantity] = {}
    """Maximum ratio of limit to request."""


class LimitRangeSpec(Struct):
    """The bounds."""

    limits: Annotated[list[LimitRangeItem], Atomic()] | None = null()
    """One entry for each sort of thing."""


class LimitRange(KubeObject):
    """Bounds and defaults of what pods and claims of a namespace ask for."""

    apiVersion: str = constant("v1")
    kind: str = constant("LimitRange")
    spec: LimitRangeSpec = always(LimitRangeSpec)
    """Desired state of the limit range."""


class ScopedResourceSelectorRequirement(Struct):
    """A demand on a scope."""

    scopeName: str = always(str)
    """The scope, such as `PriorityClass`."""
    operator: str = always(str)
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: Annotated[list[str], Atomic()] = []
    """The values, with the first two operators."""


class ScopeSelector(Struct):
    """A selection of objects by scopes."""

    __map_type__: ClassVar[str] = "atomic"
    matchExpressions: Annotated[list[ScopedResourceSelectorRequirement], Atomic()] = []
    """The demands, all of which must hold."""


class ResourceQuotaSpec(Struct):
    """The bounds."""

    hard: dict[str, Quantity] = {}
    """The most of each resource, such as `pods` or `requests.cpu`."""
    scopes: Annotated[list[str], Atomic()] = []
    """Scopes of the objects that count; an object must match all of them."""
    scopeSelector: ScopeSelector | None = None
    """Selection of the objects that count, by scopes and their values."""


class ResourceQuotaStatus(Struct):
    """Limits in force, and their observed use."""

    hard: dict[str, Quantity] = {}
    """The bounds that hold."""
    used: dict[str, Quantity] = {}
    """Observed use of each resource."""


class ResourceQuota(KubeObject):
    """Limits the number of objects and the sum of requests in a namespace."""

    apiVersion: str = constant("v1")
    kind: str = constant("ResourceQuota")
    spec: ResourceQuotaSpec = always(ResourceQuotaSpec)
    """Desired state of the resource quota."""
    status: ResourceQuotaStatus = always(ResourceQuotaStatus)
    """Observed state of the resource quota."""
