"""ResourceQuota: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.resources import amount_messages, quota_resource_messages
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, invalid, required
from tiphys.api.machinery.quantity import canonicalize, compare
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import IMMUTABLE, Errors

_POD_SCOPES: Final = frozenset(("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"))
_WITHOUT_VALUES: Final = frozenset(("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"))
_SCOPES: Final = _POD_SCOPES | {"BestEffort", "VolumeAttributesClass"}
_POD_RESOURCES: Final = frozenset(("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"))
_CLAIM_RESOURCES: Final = frozenset(("persistentvolumeclaims", "requests.storage"))
_EXCLUSIVE: Final = (frozenset(("BestEffort", "NotBestEffort")), frozenset(("Terminating", "NotTerminating")))


def validate_quota(quota: ResourceQuota) -> Errors:
    """Return the mistakes in the amounts and scopes of a quota ("Resource Quotas")."""
    errors: Errors = []
    _quota_amounts(errors, "spec.hard", quota.spec.hard)
    _scopes(errors, quota.spec)
    _selector(errors, quota.spec)
    return errors


def validate_quota_update(new: ResourceQuota, old: ResourceQuota) -> Errors:
    """Refuse changes of the scopes."""
    if set(new.spec.scopes) == set(old.spec.scopes):
        return []
    return [invalid("spec.scopes", new.spec.scopes, IMMUTABLE)]


def validate_quota_status(quota: ResourceQuota) -> Errors:
    """Return the mistakes in the amounts of a status."""
    errors: Errors = []
    _quota_amounts(errors, "status.hard", quota.status.hard)
    _quota_amounts(errors, "status.used", quota.status.used)
    return errors


def quota_warnings(quota: ResourceQuota) -> list[str]:
    """A request above the limit can never be used up."""
    warnings = []
    hard = quota.spec.hard
    for name in ("cpu", "memory", "storage", "ephemeral-storage"):
        requested = f"requests.{name}"
        if requested not in hard and name in ("cpu", "memory"):
            requested = name
        if requested not in hard or f"limits.{name}" not in hard:
            continue
        request, limit = hard[requested], hard[f"limits.{name}"]
        if compare(request, limit) > 0:
            warnings.append(f"ResourceQuota {requested} ({request}) should be less than limits.{name} ({limit})")
    return warnings


def _quota_amounts(errors: Errors, path: str, amounts: Mapping[str, Quantity]) -> None:
    for name, quantity in amounts.items():
        for message in quota_resource_messages(name):
            errors.append(invalid(f"{path}[{name}]", name, message))
        for message in amount_messages(name, quantity, pages=False):
            errors.append(invalid(f"{path}[{name}]", quantity, message))


def _suits(scope: str, resource: str) -> bool:
    """True if a scope can narrow a resource. What is not a standard resource of quotas suits every scope."""
    if quota_resource_messages(resource) or "/" in resource:
        return True
    if scope in _POD_SCOPES:
        return resource in _POD_RESOURCES
    if scope == "BestEffort":
        return resource == "pods"
    return scope != "VolumeAttributesClass" or resource in _CLAIM_RESOURCES


def _scopes(errors: Errors, spec: ResourceQuotaSpec) -> None:
    path, scopes = "spec.scopes", spec.scopes
    for scope in dict.fromkeys(scopes):
        if scope not in _SCOPES:
            errors.append(invalid(path, scopes, "unsupported scope"))
            continue
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
    known: set[str] = set()
    for requirement in spec.scopeSelector.matchExpressions:
        scope = requirement.scopeName
        if scope not in _SCOPES:
            errors.append(invalid(f"{path}.scopeName", scope, "unsupported scope"))
        elif scope not in known:
            known.add(scope)
            for resource in spec.hard:
                if not _suits(scope, resource):
                    errors.append(invalid(path, spec.scopeSelector, "unsupported scope applied to resource"))
        _requirement(errors, path, requirement)
    for pair in _EXCLUSIVE:
        if pair <= {requirement.scopeName for requirement in spec.scopeSelector.matchExpressions}:
            errors.append(invalid(path, spec.scopes, "conflicting scopes"))


def _requirement(errors: Errors, path: str, requirement: ScopedResourceSelectorRequirement) -> None:
    operator = requirement.operator
    if requirement.scopeName in _WITHOUT_VALUES and operator != "Exists":
        message = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating,"
            " ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        errors.append(invalid(f"{path}.operator", operator, message))
    if operator in ("In", "NotIn"):
        if not requirement.values:
            message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            errors.append(required(f"{path}.values", message))
    elif operator in ("Exists", "DoesNotExist"):
        if requirement.values:
            message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            errors.append(invalid(f"{path}.values", requirement.values, message))
    else:
        errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))


class ResourceQuotaRules(Uncounted[ResourceQuota]):
    def prepare_status_update(self, new: ResourceQuota, old: ResourceQuota) -> None:
        canonicalize(new)

    validate = staticmethod(validate_quota)
    validate_update = staticmethod(validate_quota_update)

    def validate_status_update(self, new: ResourceQuota, old: ResourceQuota) -> list[FieldError]:
        return validate_quota_status(new)

    def warnings(self, obj: ResourceQuota, old: ResourceQuota | None) -> list[str]:
        return quota_warnings(obj) if old is None else []


def _used_of(quota: ResourceQuota, *, limits: bool) -> str:
    """`cpu: 1/4, pods: 3/10` for limits, or for everything else."""
    used, hard = quota.status.used, quota.status.hard
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard) if name.startswith("limits.") == limits)


COLUMNS = (
    NAME,
    Column("Request", cell(lambda obj: _used_of(obj, limits=False)), description="What is used of what may be requested or counted."),
    Column("Limit", cell(lambda obj: _used_of(obj, limits=True)), description="What is used of what containers may be limited to."),
    AGE,
)

RESOURCE_QUOTAS: Kind[core.ResourceQuota] = Kind(
    type=core.ResourceQuota,
    plural="resourcequotas",
    rules=ResourceQuotaRules(),
    columns=COLUMNS,
    short_names=("quota",),
    subresources=(STATUS,),
    shown_when_deleted=True,
)
