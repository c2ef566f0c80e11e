"""Validation of limit ranges and resource quotas ("Limit Ranges", "Resource Quotas")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiphys.api.core.v1 import LimitRange, LimitRangeItem, ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, required
from tiphys.api.machinery.names import qualified_name_messages
from tiphys.api.machinery.quantity import compare, parse
from tiphys.api.rules.basics import IMMUTABLE, Errors
from tiphys.api.validation.resources import (
    amount_messages,
    container_resource_messages,
    is_huge_pages,
    is_native,
    quota_resource_messages,
    resource_messages,
)

_LIMIT_TYPES: Final = frozenset(("Container", "PersistentVolumeClaim", "Pod"))
_POD_SCOPES: Final = frozenset(("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"))
_WITHOUT_VALUES: Final = frozenset(("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"))
_SCOPES: Final = _POD_SCOPES | {"BestEffort", "VolumeAttributesClass"}
_POD_RESOURCES: Final = frozenset(("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"))
_CLAIM_RESOURCES: Final = frozenset(("persistentvolumeclaims", "requests.storage"))
_EXCLUSIVE: Final = (frozenset(("BestEffort", "NotBestEffort")), frozenset(("Terminating", "NotTerminating")))


# ---- limit ranges ----------------------------------------------------------------------------------------------------------------------


def validate_limit_range(limits: LimitRange) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate(limits.spec.limits or []):
        path = f"spec.limits[{index}]"
        _limit_type(errors, f"{path}.type", item.type)
        if item.type in seen:
            errors.append(duplicate(f"{path}.type", item.type))
        seen.add(item.type)
        _limit_names(errors, path, item)
        for name in sorted({*item.max, *item.min, *item.default, *item.defaultRequest, *item.maxLimitRequestRatio}):
            _bounds(errors, path, item, name)
    return errors


def _limit_type(errors: Errors, path: str, value: str) -> None:
    wrong = qualified_name_messages(value)
    if not wrong and "/" not in value and value not in _LIMIT_TYPES:
        wrong = ("must be a standard limit type or fully qualified",)
    for message in wrong:
        errors.append(invalid(path, value, message))


def _limit_names(errors: Errors, path: str, item: LimitRangeItem) -> None:
    messages = container_resource_messages if item.type in ("Pod", "Container") else resource_messages
    fields: list[tuple[str, Mapping[str, Quantity]]] = [("max", item.max), ("min", item.min)]
    defaults: list[tuple[str, Mapping[str, Quantity]]] = [("default", item.default), ("defaultRequest", item.defaultRequest)]
    if item.type == "Pod":
        for field, values in defaults:
            if values:
                errors.append(forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'"))
    else:
        fields += defaults
    if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
        errors.append(required(f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"))
    fields.append(("maxLimitRequestRatio", item.maxLimitRequestRatio))
    for field, values in fields:
        for name in values:
            for message in messages(name):
                errors.append(invalid(f"{path}.{field}[{name}]", name, message))


def _bounds(errors: Errors, path: str, item: LimitRangeItem, name: str) -> None:
    """What one resource's numbers say about each other: each pair that is given must be in order."""
    of_pod = item.type == "Pod"
    low, high = item.min.get(name), item.max.get(name)
    limit = None if of_pod else item.default.get(name)
    request = None if of_pod else item.defaultRequest.get(name)
    for less, less_is, more, more_is, field, blamed in (
        (low, "min value", high, "max value", "min", low),
        (low, "min value", request, "default request value", "defaultRequest", request),
        (request, "default request value", high, "max value", "defaultRequest", request),
        (request, "default request value", limit, "default limit value", "defaultRequest", request),
        (low, "min value", limit, "default value", "default", low),
        (limit, "default value", high, "max value", "default", high),
    ):
        if less is not None and more is not None and compare(less, more) > 0:
            errors.append(invalid(f"{path}.{field}[{name}]", blamed, f"{less_is} {less} is greater than {more_is} {more}"))
    _ratio(errors, f"{path}.maxLimitRequestRatio[{name}]", item.maxLimitRequestRatio.get(name), low, high)
    overcommit = is_native(name) and not is_huge_pages(name)
    if not overcommit and limit is not None and request is not None and compare(limit, request):
        said = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        errors.append(invalid(f"{path}.defaultRequest[{name}]", request, said))


def _ratio(errors: Errors, path: str, ratio: Quantity | None, low: Quantity | None, high: Quantity | None) -> None:
    if ratio is None:
        return
    if parse(ratio) < 1:
        errors.append(invalid(path, ratio, f"ratio {ratio} is less than 1"))
    if low is not None and high is not None and parse(low):
        most = parse(high) / parse(low)
        if parse(ratio) > most:
            errors.append(invalid(path, ratio, f"ratio {ratio} is greater than max/min = {most:.6f}"))


# ---- quotas ----------------------------------------------------------------------------------------------------------------------------


def validate_quota(quota: ResourceQuota) -> Errors:
    errors: Errors = []
    _quota_amounts(errors, "spec.hard", quota.spec.hard)
    _scopes(errors, quota.spec)
    _selector(errors, quota.spec)
    return errors


def validate_quota_update(new: ResourceQuota, old: ResourceQuota) -> Errors:
    if set(new.spec.scopes) == set(old.spec.scopes):
        return []
    return [invalid("spec.scopes", new.spec.scopes, IMMUTABLE)]


def validate_quota_status(quota: ResourceQuota) -> Errors:
    errors: Errors = []
    _quota_amounts(errors, "status.hard", quota.status.hard)
    _quota_amounts(errors, "status.used", quota.status.used)
    return errors


def quota_warnings(quota: ResourceQuota) -> list[str]:
    """A request above the limit can never be used up."""
    said = []
    hard = quota.spec.hard
    for name in ("cpu", "memory", "storage", "ephemeral-storage"):
        requested = f"requests.{name}"
        if requested not in hard and name in ("cpu", "memory"):
            requested = name
        if requested not in hard or f"limits.{name}" not in hard:
            continue
        request, limit = hard[requested], hard[f"limits.{name}"]
        if compare(request, limit) > 0:
            said.append(f"ResourceQuota {requested} ({request}) should be less than limits.{name} ({limit})")
    return said


def _quota_amounts(errors: Errors, path: str, amounts: Mapping[str, Quantity]) -> None:
    for name, quantity in amounts.items():
        for message in quota_resource_messages(name):
            errors.append(invalid(f"{path}[{name}]", name, message))
        for message in amount_messages(name, quantity, pages=False):
            errors.append(invalid(f"{path}[{name}]", quantity, message))


def _suits(scope: str, resource: str) -> bool:
    """Whether a scope can narrow a resource. What is not a standard resource of quotas suits every scope."""
    if quota_resource_messages(resource) or "/" in resource:
        return True
    if scope in _POD_SCOPES:
        return resource in _POD_RESOURCES
    if scope == "BestEffort":
        return resource == "pods"
    return scope != "VolumeAttributesClass" or resource in _CLAIM_RESOURCES


def _scopes(errors: Errors, spec: ResourceQuotaSpec) -> None:
    path, scopes = "spec.scopes", spec.scopes
    for scope in scopes:
        if scope not in _SCOPES:
            errors.append(invalid(path, scopes, "unsupported scope"))
        for resource in spec.hard:
            if not _suits(scope, resource):
                errors.append(invalid(path, scopes, "unsupported scope applied to resource"))
    for pair in _EXCLUSIVE:
        if pair <= set(scopes):
            errors.append(invalid(path, scopes, "conflicting scopes"))


def _selector(errors: Errors, spec: ResourceQuotaSpec) -> None:
    if spec.scopeSelector is None:
        return
    path = "spec.scopeSelector.matchExpressions"
    for requirement in spec.scopeSelector.matchExpressions:
        if requirement.scopeName not in _SCOPES:
            errors.append(invalid(f"{path}.scopeName", requirement.scopeName, "unsupported scope"))
        for resource in spec.hard:
            if not _suits(requirement.scopeName, resource):
                errors.append(invalid(path, spec.scopeSelector, "unsupported scope applied to resource"))
        _requirement(errors, path, requirement)
    for pair in _EXCLUSIVE:
        if pair <= {requirement.scopeName for requirement in spec.scopeSelector.matchExpressions}:
            errors.append(invalid(path, spec.scopes, "conflicting scopes"))


def _requirement(errors: Errors, path: str, requirement: ScopedResourceSelectorRequirement) -> None:
    operator = requirement.operator
    if requirement.scopeName in _WITHOUT_VALUES and operator != "Exists":
        said = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating,"
            " ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        errors.append(invalid(f"{path}.operator", operator, said))
    if operator in ("In", "NotIn"):
        if not requirement.values:
            said = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            errors.append(required(f"{path}.values", said))
    elif operator in ("Exists", "DoesNotExist"):
        if requirement.values:
            said = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            errors.append(invalid(f"{path}.values", requirement.values, said))
    else:
        errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
