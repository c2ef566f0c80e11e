"""Validation of requests, limits and amounts of resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from tiphys.api.core.v1 import PodSpec, ResourceRequirements
from tiphys.api.helpers.resources import aggregate
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import qualified_name_messages
from tiphys.api.machinery.quantity import compare, is_whole, parse
from tiphys.api.rules.basics import Errors, dns_label

_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})

_STANDARD = _CONTAINER | {
    "requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage", "limits.cpu", "limits.memory",
    "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
    "persistentvolumeclaims", "storage", "services.nodeports", "services.loadbalancers",
}  # fmt: skip

_COUNTED = frozenset(
    {
        "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
        "services.nodeports", "services.loadbalancers",
    }
)  # fmt: skip

_POD_LEVEL = ("cpu", "memory")
HUGE_PAGES = "hugepages-"


def is_huge_pages(name: str) -> bool:
    """True if the resource is huge pages of one size ("Manage HugePages")."""
    return name.startswith(HUGE_PAGES)


@cached()
def is_native(name: str) -> bool:
    """True if Kubernetes itself defines the resource."""
    return "/" not in name or "kubernetes.io/" in name


@cached()
def is_extended(name: str) -> bool:
    """True if a device plugin or an administrator defines the resource ("Extended resources")."""
    return not is_native(name) and not name.startswith("requests.") and not qualified_name_messages(f"requests.{name}")


@cached()
def container_resource_messages(name: str) -> tuple[str, ...]:
    """Return the mistakes in the name of a resource that a container requests."""
    wrong = list(resource_messages(name))
    if "/" not in name:
        if name not in _CONTAINER and not is_huge_pages(name):
            wrong.append("must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        wrong.append("doesn't follow extended resource name standard")
    return tuple(wrong)


@cached()
def resource_messages(name: str) -> tuple[str, ...]:
    """Return the mistakes in the name of a resource, whatever it is for."""
    wrong = qualified_name_messages(name)
    if not wrong and "/" not in name and name not in _STANDARD and not _is_counted_huge_pages(name):
        return ("must be a standard resource type or fully qualified",)
    return wrong


@cached()
def quota_resource_messages(name: str) -> tuple[str, ...]:
    """Return the mistakes in the name of a resource in a quota."""
    wrong = resource_messages(name)
    if "/" not in name and (name not in _STANDARD or name == "storage") and not _is_counted_huge_pages(name):
        return (*wrong, "must be a standard resource for quota")
    return wrong


def _is_counted_huge_pages(name: str) -> bool:
    return name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}"))


def amount_messages(name: str, quantity: Quantity, pages: bool = True) -> tuple[str, ...]:
    """Return the mistakes in the amount of a resource; `pages` asks for whole huge pages too."""
    return _amount_messages((name, quantity, pages))


@cached()
def _amount_messages(amount: tuple[str, Quantity, bool]) -> tuple[str, ...]:
    name, quantity, pages = amount
    wrong = []
    if parse(quantity) < 0:
        wrong.append("must be greater than or equal to 0")
    if (name in _COUNTED or is_extended(name)) and not is_whole(quantity):
        wrong.append("must be an integer")
    return (*wrong, *_pages_messages((name, quantity))) if pages and is_huge_pages(name) else tuple(wrong)


@cached()
def _pages_messages(amount: tuple[str, Quantity]) -> tuple[str, ...]:
    """Return the mistakes in an amount of huge pages that are of one size."""
    name, quantity = amount
    page = parse(name[len(HUGE_PAGES) :]) if _is_quantity(name[len(HUGE_PAGES) :]) else None
    if not page or parse(quantity) < 0 or parse(quantity) % page:
        return (f"{quantity} is not positive integer multiple of {name}",)
    return ()


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def amounts(errors: Errors, path: str, resources: Mapping[str, Quantity]) -> None:
    """The amounts of a list of resources, such as a node's capacity."""
    for name, quantity in resources.items():
        for message in amount_messages(name, quantity):
            errors.append(invalid(f"{path}.{name}", quantity, message))


_NameRule = Callable[[Errors, str, str], None]


def _container_name(errors: Errors, path: str, name: str) -> None:
    for message in container_resource_messages(name):
        errors.append(invalid(path, name, message))


def _pod_level_name(errors: Errors, path: str, name: str) -> None:
    if wrong := resource_messages(name):
        for message in wrong:
            errors.append(invalid(path, name, message))
    elif name not in _POD_LEVEL and not is_huge_pages(name):
        errors.append(not_supported(path, name, ("cpu", HUGE_PAGES, "memory")))


def _listed(errors: Errors, path: str, kind: str, resources: ResourceRequirements, rule: _NameRule) -> None:
    limits = resources.limits
    listed: Mapping[str, Quantity] = getattr(resources, kind)
    for name, quantity in listed.items():
        here = f"{path}.{kind}[{name}]"
        rule(errors, here, name)
        for message in amount_messages(name, quantity, pages=False):
            errors.append(invalid(here, quantity, message))
        if listed is not limits:
            _within_limit(errors, path, name, quantity, limits.get(name))
        if is_huge_pages(name):
            for message in _pages_messages((name, quantity)):
                errors.append(invalid(here, quantity, message))


def requirements(
    errors: Errors, path: str, resources: ResourceRequirements, claims: frozenset[str], rule: _NameRule = _container_name
) -> None:
    """Validate the resources of a container: known, whole where they must be, requests within limits."""
    limits, requests = resources.limits, resources.requests
    if limits:
        _listed(errors, path, "limits", resources, rule)
    if requests:
        _listed(errors, path, "requests", resources, rule)
    names = limits.keys() | requests.keys()
    if any(is_huge_pages(name) for name in names) and not names & {"cpu", "memory"}:
        errors.append(forbidden(path, "HugePages require cpu or memory"))
    if resources.claims:
        _claims(errors, f"{path}.claims", resources, claims)


def overhead(errors: Errors, path: str, amounts: Mapping[str, Quantity]) -> None:
    """Validate the overhead of a pod's sandbox; the messages speak of it as the limits of a container."""
    requirements(errors, path, ResourceRequirements(limits=dict(amounts)), frozenset())


def _within_limit(errors: Errors, path: str, name: str, quantity: Quantity, limit: Quantity | None) -> None:
    overcommit = is_native(name) and not is_huge_pages(name)
    if limit is None:
        if not overcommit:
            errors.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
    elif limit != quantity:
        request, most = parse(quantity), parse(limit)
        if request != most and not overcommit:
            errors.append(invalid(f"{path}.requests", quantity, f"must be equal to {name} limit of {limit}"))
        elif request > most:
            errors.append(invalid(f"{path}.requests", quantity, f"must be less than or equal to {name} limit of {limit}"))


def _claims(errors: Errors, path: str, resources: ResourceRequirements, known: frozenset[str]) -> None:
    seen: set[str] = set()
    in_part: set[str] = set()  # Names of claims of which single requests are used.
    for index, claim in enumerate(resources.claims):
        if not claim.name:
            errors.append(required(f"{path}[{index}]"))
            continue
        key = f"{claim.name}/{claim.request}" if claim.request else claim.name
        if claim.request:
            dns_label(errors, f"{path}[{index}].request", claim.request)
        overlaps = claim.name in seen or key in seen or (not claim.request and claim.name in in_part)
        if overlaps:
            errors.append(duplicate(f"{path}[{index}]", key))
        seen.add(key)
        if claim.request:
            in_part.add(claim.name)
        if claim.name not in known:
            errors.append(FieldError("FieldValueNotFound", f"{path}[{index}]", _known_claims(known), claim.name))


@lru_cache(maxsize=1)
def _known_claims(names: frozenset[str]) -> str:
    """The detail for an unknown claim, written once for all containers of a pod."""
    detail = "must be one of the names in pod.spec.resourceClaims"
    return f"{detail}: {', '.join(sorted(names))}" if names else f"{detail} which is empty"


def pod_resources(errors: Errors, path: str, spec: PodSpec, claims: frozenset[str]) -> None:
    """Resources of a whole pod ("Pod-level resources"): at least what its containers request, at most nothing below their limits."""
    resources = spec.resources
    if resources is None:
        return
    if spec.os is not None and spec.os.name == "windows":
        errors.append(forbidden(path, "may not be set for a windows pod"))
        return
    if resources.claims:
        errors.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    requirements(errors, path, resources, claims, _pod_level_name)
    _consistent(errors, path, "requests", resources.requests, aggregate(spec, "requests"))
    pages = {name: limit for name, limit in resources.limits.items() if is_huge_pages(name)}
    _consistent(errors, path, "limits", pages, aggregate(spec, "limits") if pages else {})
    for index, item in enumerate(spec.containers):
        for name, quantity in item.resources.limits.items():
            limit = resources.limits.get(name)
            if limit is not None and compare(quantity, limit) > 0:
                here = f"{path}.containers[{index}][{name}].limits"
                errors.append(invalid(here, quantity, f"must be less than or equal to pod limits of {limit}"))


def _consistent(errors: Errors, path: str, kind: str, own: Mapping[str, Quantity], of_containers: Mapping[str, Quantity]) -> None:
    for name, requested in of_containers.items():
        if name in own and compare(requested, own[name]) > 0:
            message = f"must be greater than or equal to aggregate container {kind} of {requested}"
            errors.append(invalid(f"{path}.{kind}[{name}]", own[name], message))
