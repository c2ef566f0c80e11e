"""Validation of device classes, resource claims and their templates ("Dynamic Resource Allocation").

Expressions of selectors are not compiled here: their length is checked, not what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required, too_long, too_many
from tiphys.api.machinery.names import c_identifier, label_value_messages
from tiphys.api.resource.v1 import (
    AllocatedDeviceStatus,
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceClaim,
    DeviceClaimConfiguration,
    DeviceClass,
    DeviceClassConfiguration,
    DeviceConstraint,
    DeviceRequest,
    DeviceRequestAllocationResult,
    DeviceSelector,
    DeviceSubRequest,
    DeviceToleration,
    ExactDeviceRequest,
    NetworkDeviceData,
    ResourceClaim,
    ResourceClaimTemplate,
)
from tiphys.api.rules.addresses import parse_cidr
from tiphys.api.rules.basics import Errors, annotation_map, dns_label, dns_subdomain, immutable, label_name, labels, text
from tiphys.api.rules.conditions import conditions
from tiphys.api.validation.resources import is_extended
from tiphys.api.validation.scheduling import node_selector
from tiphys.api.validation.volume_sources import driver_name

MAX_REQUESTS = MAX_CONSTRAINTS = MAX_CONFIGS = MAX_SELECTORS = MAX_RESULTS = 32
MAX_ALTERNATIVES = 8
MAX_TOLERATIONS = 16
MAX_BINDING_CONDITIONS = 4
MAX_CONSUMERS = 256
MAX_STATUS_CONDITIONS = 8
MAX_EXPRESSION = MAX_PARAMETERS = 10 * 1024
MAX_POOL_NAME = 253
MAX_ID = 32
MAX_INTERFACE_NAME, MAX_HARDWARE_ADDRESS, MAX_ADDRESSES = 256, 128, 16
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

ItemT = TypeVar("ItemT")
Check = Callable[[Errors, str, ItemT], None]


# ---- lists and names -------------------------------------------------------------------------------------------------------------------


def every(errors: Errors, path: str, items: Sequence[ItemT], limit: int, check: Check[ItemT]) -> bool:
    """Each item, unless there are too many to look at; returns whether there were not."""
    if 0 <= limit < len(items):
        errors.append(too_many(path, len(items), limit))
        return False
    for index, item in enumerate(items):
        check(errors, f"{path}[{index}]", item)
    return True


def different(
    errors: Errors,
    path: str,
    items: Sequence[ItemT],
    limit: int,
    check: Check[ItemT],
    key: Callable[[ItemT], Hashable] = lambda item: str(item),
) -> None:
    """Each item, and that no two have the same key."""
    if not every(errors, path, items, limit, check):
        return
    seen: set[Hashable] = set()
    for index, item in enumerate(items):
        name = key(item)
        if name in seen:
            errors.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)


def pool_name(errors: Errors, path: str, name: str) -> None:
    """One or more DNS subdomains with slashes in between."""
    if not name:
        errors.append(required(path))
        return
    if len(name) > MAX_POOL_NAME:
        errors.append(too_long(path, MAX_POOL_NAME))
    for part in name.split("/"):
        dns_subdomain(errors, path, part)


def qualified_name(errors: Errors, path: str, name: str) -> None:
    """The name of an attribute or a capacity: an identifier, which a domain may precede."""
    domain, slash, identifier = name.rpartition("/")
    if "/" in domain:
        return
    if slash:
        if domain:
            driver_name(errors, path, domain)
        else:
            errors.append(invalid(path, "", "the domain must not be empty"))
        if not identifier:
            errors.append(invalid(path, "", "the name must not be empty"))
            return
    if len(identifier) > MAX_ID:
        errors.append(too_long(path, MAX_ID))
    if said := c_identifier(identifier):
        errors.append(invalid(path, identifier, said))


def _full_name(errors: Errors, path: str, name: str) -> None:
    qualified_name(errors, path, name)
    if "/" not in name:
        errors.append(invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash"))


def _uid(errors: Errors, path: str, value: str) -> None:
    if not _UUID.fullmatch(value):
        said = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters"
        errors.append(invalid(path, value, said))


# ---- claims ----------------------------------------------------------------------------------------------------------------------------

_Names = Mapping[str, frozenset[str]]
"""The requests of a claim, and the alternatives of each."""


def validate_claim(claim: ResourceClaim) -> Errors:
    errors: Errors = []
    _devices(errors, "spec.devices", claim.spec.devices)
    return errors


def validate_claim_update(new: ResourceClaim, old: ResourceClaim) -> Errors:
    errors: Errors = []
    immutable(errors, "spec", new.spec, old.spec)
    return errors


def validate_template(template: ResourceClaimTemplate) -> Errors:
    errors: Errors = []
    labels(errors, "spec.metadata.labels", template.spec.metadata.labels)
    annotation_map(errors, "spec.metadata.annotations", template.spec.metadata.annotations)
    _devices(errors, "spec.spec.devices", template.spec.spec.devices)
    return errors


def validate_template_update(new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> Errors:
    errors: Errors = []
    immutable(errors, "spec", new.spec, old.spec)
    return errors


def _names(claim: DeviceClaim) -> _Names:
    return {request.name: frozenset(sub.name for sub in request.firstAvailable) for request in claim.requests or []}


def _devices(errors: Errors, path: str, claim: DeviceClaim) -> None:
    names = _names(claim)

    def constraint(errors: Errors, path: str, item: DeviceConstraint) -> None:
        _references(errors, f"{path}.requests", item.requests, names)
        if item.matchAttribute is not None:
            _full_name(errors, f"{path}.matchAttribute", item.matchAttribute)
        elif item.distinctAttribute is not None:
            _full_name(errors, f"{path}.distinctAttribute", item.distinctAttribute)
        else:
            said = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
            errors.append(required(path, said))

    def config(errors: Errors, path: str, item: DeviceClaimConfiguration) -> None:
        _references(errors, f"{path}.requests", item.requests, names)
        _configuration(errors, path, item)

    different(errors, f"{path}.requests", claim.requests or [], MAX_REQUESTS, _request, lambda request: request.name)
    every(errors, f"{path}.constraints", claim.constraints, MAX_CONSTRAINTS, constraint)
    every(errors, f"{path}.config", claim.config, MAX_CONFIGS, config)


def _request(errors: Errors, path: str, request: DeviceRequest) -> None:
    dns_label(errors, f"{path}.name", request.name)
    either = "exactly one of `exactly` or `firstAvailable` is required"
    if request.exactly is None and not request.firstAvailable:
        errors.append(required(path, either))
    elif request.exactly is not None and request.firstAvailable:
        errors.append(invalid(path, None, f"{either}, but multiple fields are set"))
    elif request.exactly is not None:
        _wanted(errors, f"{path}.exactly", request.exactly)
    else:
        different(errors, f"{path}.firstAvailable", request.firstAvailable, MAX_ALTERNATIVES, _alternative, lambda sub: sub.name)


def _alternative(errors: Errors, path: str, request: DeviceSubRequest) -> None:
    dns_label(errors, f"{path}.name", request.name)
    _wanted(errors, path, request)


def _wanted(errors: Errors, path: str, request: ExactDeviceRequest | DeviceSubRequest) -> None:
    if request.deviceClassName:
        dns_subdomain(errors, f"{path}.deviceClassName", request.deviceClassName)
    else:
        errors.append(required(f"{path}.deviceClassName"))
    every(errors, f"{path}.selectors", request.selectors, MAX_SELECTORS, _selector)
    match request.allocationMode:
        case "All":
            if request.count:
                errors.append(invalid(f"{path}.count", request.count, "must not be specified when allocationMode is 'All'"))
        case "ExactCount":
            if request.count <= 0:
                errors.append(invalid(f"{path}.count", request.count, "must be greater than zero"))
        case mode:
            errors.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    every(errors, f"{path}.tolerations", request.tolerations, MAX_TOLERATIONS, _toleration)


def _selector(errors: Errors, path: str, selector: DeviceSelector) -> None:
    if selector.cel is None:
        errors.append(required(f"{path}.cel"))
    elif len(selector.cel.expression.encode()) > MAX_EXPRESSION:
        errors.append(too_long(f"{path}.cel.expression", MAX_EXPRESSION))


def _toleration(errors: Errors, path: str, toleration: DeviceToleration) -> None:
    if toleration.key:
        label_name(errors, f"{path}.key", toleration.key)
    match toleration.operator:
        case "Exists":
            if toleration.value:
                errors.append(invalid(f"{path}.value", toleration.value, "must be empty for operator `Exists`"))
        case "Equal":
            text(errors, f"{path}.value", toleration.value, label_value_messages(toleration.value))
        case "":
            errors.append(required(f"{path}.operator"))
        case operator:
            errors.append(not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    if toleration.effect and toleration.effect not in _EFFECTS:
        errors.append(not_supported(f"{path}.effect", toleration.effect, _EFFECTS))


def _references(errors: Errors, path: str, names: Sequence[str], known: _Names) -> None:
    different(errors, path, names, MAX_REQUESTS, lambda errors, path, name: _reference(errors, path, name, known))


def _reference(errors: Errors, path: str, name: str, known: _Names) -> None:
    """`gpu`, or `gpu/small` for one of its alternatives."""
    parts = name.split("/")
    if len(parts) <= 2:
        for part in parts:
            dns_label(errors, path, part)
        if parts[0] in known and (len(parts) == 1 or parts[1] in known[parts[0]]):
            return
    errors.append(invalid(path, name, _REFERENCE))


def _configuration(
    errors: Errors, path: str, config: DeviceClaimConfiguration | DeviceAllocationConfiguration | DeviceClassConfiguration
) -> None:
    if config.opaque is None:
        errors.append(required(f"{path}.opaque"))
        return
    driver_name(errors, f"{path}.opaque.driver", config.opaque.driver)
    _opaque(errors, f"{path}.opaque.parameters", config.opaque.parameters, MAX_PARAMETERS)


def _opaque(errors: Errors, path: str, value: Any, limit: int) -> None:
    """A JSON object that only a driver understands."""
    if value is None:
        errors.append(required(path))
    elif len(msgspec.json.encode(value)) > limit:
        errors.append(too_long(path, limit))
    elif not isinstance(value, dict):
        errors.append(invalid(path, "<value omitted>", "must be a valid JSON object"))


# ---- the status of claims --------------------------------------------------------------------------------------------------------------


def validate_claim_status(new: ResourceClaim, old: ResourceClaim) -> Errors:
    errors: Errors = []
    status, before = new.status, old.status
    names = _names(new.spec.devices)

    def consumer(errors: Errors, path: str, item: Any) -> None:
        errors += [required(f"{path}.{name}") for name in ("resource", "name", "uid") if not getattr(item, name)]

    different(errors, "status.reservedFor", status.reservedFor, MAX_CONSUMERS, consumer, lambda item: item.uid)
    allocated = {_device_id(result) for result in status.allocation.devices.results} if status.allocation is not None else set()

    def device(errors: Errors, path: str, item: AllocatedDeviceStatus) -> None:
        _device_status(errors, path, item, is_allocated=_device_id(item) in allocated)

    different(errors, "status.devices", status.devices, -1, device, _device_id)
    if status.reservedFor:
        if status.allocation is None:
            errors.append(forbidden("status.reservedFor", "may not be specified when `allocated` is not set"))
        elif new.metadata.deletionTimestamp is not None and any(item not in before.reservedFor for item in status.reservedFor):
            said = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
            errors.append(forbidden("status.reservedFor", said))
    if status.allocation is not None and before.allocation is not None:
        immutable(errors, "status.allocation", status.allocation, before.allocation)
    elif status.allocation is not None:
        _allocation(errors, "status.allocation", status.allocation, names)
    return errors


def _device_id(device: AllocatedDeviceStatus | DeviceRequestAllocationResult) -> str:
    name = f"{device.driver}/{device.pool}/{device.device}"
    return f"{name}/{device.shareID}" if device.shareID is not None else name


def _allocation(errors: Errors, path: str, allocation: AllocationResult, names: _Names) -> None:
    def result(errors: Errors, path: str, item: DeviceRequestAllocationResult) -> None:
        _reference(errors, f"{path}.request", item.request, names)
        driver_name(errors, f"{path}.driver", item.driver)
        pool_name(errors, f"{path}.pool", item.pool)
        dns_label(errors, f"{path}.device", item.device)
        binding_conditions(errors, path, item.bindingConditions, item.bindingFailureConditions)
        if item.shareID is not None:
            _uid(errors, f"{path}.shareID", item.shareID)

    def config(errors: Errors, path: str, item: DeviceAllocationConfiguration) -> None:
        if not item.source:
            errors.append(required(f"{path}.source"))
        elif item.source not in ("FromClaim", "FromClass"):
            errors.append(not_supported(f"{path}.source", item.source, ("FromClaim", "FromClass")))
        _references(errors, f"{path}.requests", item.requests, names)
        _configuration(errors, path, item)

    every(errors, f"{path}.devices.results", allocation.devices.results, MAX_RESULTS, result)
    every(errors, f"{path}.devices.config", allocation.devices.config, 2 * MAX_CONFIGS, config)
    if allocation.nodeSelector is not None:
        node_selector(errors, f"{path}.nodeSelector", allocation.nodeSelector)


def binding_conditions(errors: Errors, path: str, wanted: Sequence[str], failed: Sequence[str]) -> None:
    """Conditions that a device must have before its pod is bound, and those after which it never will be."""
    for name, values in (("bindingConditions", wanted), ("bindingFailureConditions", failed)):
        every(errors, f"{path}.{name}", values, MAX_BINDING_CONDITIONS, label_name)
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                errors.append(duplicate(f"{path}.{name}[{index}]", value))
            seen.add(value)
            if values is failed and value in wanted:
                said = "bindingFailureConditions must not overlap with bindingConditions"
                errors.append(invalid(f"{path}.{name}[{index}]", value, said))
    if failed and not wanted:
        errors.append(invalid(f"{path}.bindingConditions", wanted, "bindingConditions are required to use bindingFailureConditions"))
    if wanted and not failed:
        said = "bindingFailureConditions are required to use bindingConditions"
        errors.append(invalid(f"{path}.bindingFailureConditions", failed, said))


def _device_status(errors: Errors, path: str, device: AllocatedDeviceStatus, *, is_allocated: bool) -> None:
    driver_name(errors, f"{path}.driver", device.driver)
    pool_name(errors, f"{path}.pool", device.pool)
    dns_label(errors, f"{path}.device", device.device)
    if device.shareID is not None:
        _uid(errors, f"{path}.shareID", device.shareID)
    if not is_allocated:
        errors.append(invalid(path, _device_id(device), "must be an allocated device in the claim"))
    found = device.conditions or []
    if len(found) > MAX_STATUS_CONDITIONS:
        errors.append(too_many(f"{path}.conditions", len(found), MAX_STATUS_CONDITIONS))
    conditions(errors, f"{path}.conditions", found)
    if device.data is not None:
        _opaque(errors, f"{path}.data", device.data, MAX_PARAMETERS)
    if device.networkData is not None:
        _network(errors, f"{path}.networkData", device.networkData)


def _network(errors: Errors, path: str, network: NetworkDeviceData) -> None:
    for name, limit in (("interfaceName", MAX_INTERFACE_NAME), ("hardwareAddress", MAX_HARDWARE_ADDRESS)):
        if len(getattr(network, name).encode()) > limit:
            errors.append(too_long(f"{path}.{name}", limit))

    def address(errors: Errors, path: str, value: str) -> None:
        if parse_cidr(value) is None:
            errors.append(invalid(path, value, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"))

    different(errors, f"{path}.ips", network.ips, MAX_ADDRESSES, address)


# ---- classes ---------------------------------------------------------------------------------------------------------------------------


def validate_class(value: DeviceClass) -> Errors:
    errors: Errors = []
    every(errors, "spec.selectors", value.spec.selectors, MAX_SELECTORS, _selector)
    every(errors, "spec.config", value.spec.config, MAX_CONFIGS, _configuration)
    name = value.spec.extendedResourceName
    if name is not None and not is_extended(name):
        errors.append(invalid("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return errors
