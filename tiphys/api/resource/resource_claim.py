"""ResourceClaim: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tiphys.api.core.pods.scheduling import node_selector
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.volumes.sources import driver_name
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required, too_long, too_many
from tiphys.api.machinery.names import label_value_messages
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.resource import GROUP
from tiphys.api.resource import v1 as resource
from tiphys.api.resource.selectors import compile_selector
from tiphys.api.resource.shared import (
    EFFECTS,
    REFERENCE,
    binding_conditions,
    fully_qualified_name,
    pool_name,
    uid,
    validate_items,
    validate_unique_items,
)
from tiphys.api.resource.v1 import (
    AllocatedDeviceStatus,
    AllocationResult,
    DeviceAllocationConfiguration,
    DeviceClaim,
    DeviceClaimConfiguration,
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
    ResourceClaimSpec,
    ResourceClaimStatus,
)
from tiphys.api.rules.addresses import parse_cidr
from tiphys.api.rules.basics import Errors, dns_label, dns_subdomain, immutable, label_name, text
from tiphys.api.rules.conditions import conditions
from tiphys.cel.errors import CompilationError, TooComplex

MAX_REQUESTS = MAX_CONSTRAINTS = MAX_CONFIGS = MAX_SELECTORS = MAX_RESULTS = 32
MAX_ALTERNATIVES = 8
MAX_TOLERATIONS = 16
MAX_CONSUMERS = 256
MAX_STATUS_CONDITIONS = 8
MAX_EXPRESSION = MAX_PARAMETERS = 10 * 1024
MAX_INTERFACE_NAME, MAX_HARDWARE_ADDRESS, MAX_ADDRESSES = 256, 128, 16

_Names = Mapping[str, frozenset[str]]
"""The requests of a claim, and the alternatives of each."""


def default_claim(spec: ResourceClaimSpec) -> None:
    """Ask for one device of each request ("Dynamic Resource Allocation")."""
    for request in spec.devices.requests or []:
        for exact in (request.exactly, *request.firstAvailable):
            if exact is not None:
                exact.allocationMode = exact.allocationMode or "ExactCount"
                if exact.allocationMode == "ExactCount":
                    exact.count = exact.count or 1


def validate_claim(claim: ResourceClaim) -> Errors:
    """Return the mistakes in a claim ("Dynamic Resource Allocation")."""
    errors: Errors = []
    validate_devices(errors, "spec.devices", claim.spec.devices)
    return errors


def validate_claim_update(new: ResourceClaim, old: ResourceClaim) -> Errors:
    """Refuse changes of the spec."""
    errors: Errors = []
    immutable(errors, "spec", new.spec, old.spec)
    return errors


def _names(claim: DeviceClaim) -> _Names:
    return {request.name: frozenset(sub.name for sub in request.firstAvailable) for request in claim.requests or []}


def validate_devices(errors: Errors, path: str, claim: DeviceClaim) -> None:
    """Requests, constraints and configuration of a claim, or of a template of claims."""
    names = _names(claim)

    def constraint(errors: Errors, path: str, item: DeviceConstraint) -> None:
        _references(errors, f"{path}.requests", item.requests, names)
        if item.matchAttribute is not None:
            fully_qualified_name(errors, f"{path}.matchAttribute", item.matchAttribute)
        elif item.distinctAttribute is not None:
            fully_qualified_name(errors, f"{path}.distinctAttribute", item.distinctAttribute)
        else:
            message = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
            errors.append(required(path, message))

    def config(errors: Errors, path: str, item: DeviceClaimConfiguration) -> None:
        _references(errors, f"{path}.requests", item.requests, names)
        validate_configuration(errors, path, item)

    validate_unique_items(errors, f"{path}.requests", claim.requests or [], MAX_REQUESTS, _request, lambda request: request.name)
    validate_items(errors, f"{path}.constraints", claim.constraints, MAX_CONSTRAINTS, constraint)
    validate_items(errors, f"{path}.config", claim.config, MAX_CONFIGS, config)


def _request(errors: Errors, path: str, request: DeviceRequest) -> None:
    dns_label(errors, f"{path}.name", request.name)
    either = "exactly one of `exactly` or `firstAvailable` is required"
    if request.exactly is None and not request.firstAvailable:
        errors.append(required(path, either))
    elif request.exactly is not None and request.firstAvailable:
        errors.append(invalid(path, None, f"{either}, but multiple fields are set"))
    elif request.exactly is not None:
        _exact_request(errors, f"{path}.exactly", request.exactly)
    else:
        validate_unique_items(
            errors, f"{path}.firstAvailable", request.firstAvailable, MAX_ALTERNATIVES, _alternative, lambda sub: sub.name
        )


def _alternative(errors: Errors, path: str, request: DeviceSubRequest) -> None:
    dns_label(errors, f"{path}.name", request.name)
    _exact_request(errors, path, request)


def _exact_request(errors: Errors, path: str, request: ExactDeviceRequest | DeviceSubRequest) -> None:
    if request.deviceClassName:
        dns_subdomain(errors, f"{path}.deviceClassName", request.deviceClassName)
    else:
        errors.append(required(f"{path}.deviceClassName"))
    validate_items(errors, f"{path}.selectors", request.selectors, MAX_SELECTORS, validate_selector)
    match request.allocationMode:
        case "All":
            if request.count:
                errors.append(invalid(f"{path}.count", request.count, "must not be specified when allocationMode is 'All'"))
        case "ExactCount":
            if request.count <= 0:
                errors.append(invalid(f"{path}.count", request.count, "must be greater than zero"))
        case mode:
            errors.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    validate_items(errors, f"{path}.tolerations", request.tolerations, MAX_TOLERATIONS, _toleration)


def validate_selector(errors: Errors, path: str, selector: DeviceSelector) -> None:
    """A CEL expression over a device that is right, gives true or false, and costs no more than the limit."""
    if selector.cel is None:
        errors.append(required(f"{path}.cel"))
    elif len(selector.cel.expression.encode()) > MAX_EXPRESSION:
        errors.append(too_long(f"{path}.cel.expression", MAX_EXPRESSION))
    else:
        try:
            compile_selector(selector.cel.expression)
        except TooComplex as error:
            errors.append(forbidden(f"{path}.cel.expression", str(error)))
        except CompilationError as error:
            errors.append(invalid(f"{path}.cel.expression", selector.cel.expression, str(error)))


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
    if toleration.effect and toleration.effect not in EFFECTS:
        errors.append(not_supported(f"{path}.effect", toleration.effect, EFFECTS))


def _references(errors: Errors, path: str, names: Sequence[str], known: _Names) -> None:
    validate_unique_items(errors, path, names, MAX_REQUESTS, lambda errors, path, name: _reference(errors, path, name, known))


def _reference(errors: Errors, path: str, name: str, known: _Names) -> None:
    """`gpu`, or `gpu/small` for one of its alternatives."""
    parts = name.split("/")
    if len(parts) <= 2:
        for part in parts:
            dns_label(errors, path, part)
        if parts[0] in known and (len(parts) == 1 or parts[1] in known[parts[0]]):
            return
    errors.append(invalid(path, name, REFERENCE))


def validate_configuration(
    errors: Errors, path: str, config: DeviceClaimConfiguration | DeviceAllocationConfiguration | DeviceClassConfiguration
) -> None:
    """Parameters for a driver."""
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


def validate_claim_status(new: ResourceClaim, old: ResourceClaim) -> Errors:
    """Return the mistakes in allocation, reservations and devices of a status."""
    errors: Errors = []
    status, before = new.status, old.status
    names = _names(new.spec.devices)

    def consumer(errors: Errors, path: str, item: Any) -> None:
        errors += [required(f"{path}.{name}") for name in ("resource", "name", "uid") if not getattr(item, name)]

    validate_unique_items(errors, "status.reservedFor", status.reservedFor, MAX_CONSUMERS, consumer, lambda item: item.uid)
    allocated = _allocated(status)

    def device(errors: Errors, path: str, item: AllocatedDeviceStatus) -> None:
        _device_status(errors, path, item, is_allocated=_device_id(item) in allocated)

    validate_unique_items(errors, "status.devices", status.devices, -1, device, _device_id)
    if status.reservedFor:
        if status.allocation is None:
            errors.append(forbidden("status.reservedFor", "may not be specified when `allocated` is not set"))
        elif new.metadata.deletionTimestamp is not None and any(item not in before.reservedFor for item in status.reservedFor):
            message = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
            errors.append(forbidden("status.reservedFor", message))
    if status.allocation is not None and before.allocation is not None:
        immutable(errors, "status.allocation", status.allocation, before.allocation)
    elif status.allocation is not None:
        _allocation(errors, "status.allocation", status.allocation, names)
    return errors


def _forget_deallocated(new: ResourceClaimStatus, old: ResourceClaimStatus) -> None:
    """Drop what drivers reported about devices that the claim gives up: whoever deallocates need not know of it (KEP-4817)."""
    gone = _allocated(old) - _allocated(new)
    if gone and new.devices:
        new.devices = [device for device in new.devices if _device_id(device) not in gone]


def _allocated(status: ResourceClaimStatus) -> set[str]:
    return {_device_id(result) for result in status.allocation.devices.results} if status.allocation is not None else set()


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
            uid(errors, f"{path}.shareID", item.shareID)

    def config(errors: Errors, path: str, item: DeviceAllocationConfiguration) -> None:
        if not item.source:
            errors.append(required(f"{path}.source"))
        elif item.source not in ("FromClaim", "FromClass"):
            errors.append(not_supported(f"{path}.source", item.source, ("FromClaim", "FromClass")))
        _references(errors, f"{path}.requests", item.requests, names)
        validate_configuration(errors, path, item)

    validate_items(errors, f"{path}.devices.results", allocation.devices.results, MAX_RESULTS, result)
    validate_items(errors, f"{path}.devices.config", allocation.devices.config, 2 * MAX_CONFIGS, config)
    if allocation.nodeSelector is not None:
        node_selector(errors, f"{path}.nodeSelector", allocation.nodeSelector)


def _device_status(errors: Errors, path: str, device: AllocatedDeviceStatus, *, is_allocated: bool) -> None:
    driver_name(errors, f"{path}.driver", device.driver)
    pool_name(errors, f"{path}.pool", device.pool)
    dns_label(errors, f"{path}.device", device.device)
    if device.shareID is not None:
        uid(errors, f"{path}.shareID", device.shareID)
    if not is_allocated:
        errors.append(invalid(path, _device_id(device), "must be an allocated device in the claim"))
    listed = device.conditions or []
    if len(listed) > MAX_STATUS_CONDITIONS:
        errors.append(too_many(f"{path}.conditions", len(listed), MAX_STATUS_CONDITIONS))
    conditions(errors, f"{path}.conditions", listed)
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

    validate_unique_items(errors, f"{path}.ips", network.ips, MAX_ADDRESSES, address)


class ResourceClaimRules(Uncounted[ResourceClaim]):
    resets = METADATA_STAYS

    def default(self, obj: ResourceClaim) -> None:
        default_claim(obj.spec)

    validate = staticmethod(validate_claim)
    validate_update = staticmethod(validate_claim_update)

    def prepare_status_update(self, new: ResourceClaim, old: ResourceClaim) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations
        _forget_deallocated(new.status, old.status)

    validate_status_update = staticmethod(validate_claim_status)


def _state(claim: resource.ResourceClaim) -> str:
    states = ["deleted"] if claim.metadata.deletionTimestamp is not None else []
    if claim.status.allocation is None:
        return ",".join(states or ["pending"])
    return ",".join([*states, "allocated", *(["reserved"] if claim.status.reservedFor else [])])


RESOURCE_CLAIMS: Kind[resource.ResourceClaim] = Kind(
    type=resource.ResourceClaim,
    plural="resourceclaims",
    rules=ResourceClaimRules(),
    columns=(NAME, Column("State", cell(_state), description="Whether it is pending, allocated, reserved, deleted."), AGE),
    group=GROUP,
    subresources=(STATUS,),
    unattended=True,
    shown_when_deleted=True,
)
