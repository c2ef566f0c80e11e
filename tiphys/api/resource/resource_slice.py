"""ResourceSlice: defaults, validation, columns and registration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tiphys.api.core.pods.resources import is_native
from tiphys.api.core.pods.scheduling import node_selector
from tiphys.api.core.volumes.sources import driver_name
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import (
    duplicate,
    forbidden,
    invalid,
    not_found_field,
    not_supported,
    required,
    too_long,
    too_many,
)
from tiphys.api.machinery.names import label_value_messages
from tiphys.api.machinery.quantity import add, compare, parse, whole
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.resource import GROUP
from tiphys.api.resource import v1 as resource
from tiphys.api.resource.shared import binding_conditions, pool_name, qualified_name, validate_items, validate_unique_items
from tiphys.api.resource.v1 import (
    CapacityRequestPolicy,
    CapacityRequestPolicyRange,
    CounterSet,
    Device,
    DeviceAttribute,
    DeviceCapacity,
    DeviceCounterConsumption,
    DeviceTaint,
    ResourceSlice,
    ResourceSliceSpec,
)
from tiphys.api.rules.basics import Errors, dns_label, dns_subdomain, immutable, label_name, text

MAX_DEVICES, MAX_DEVICES_WITH_FEATURES = 128, 64
MAX_COUNTER_SETS, MAX_COUNTERS = 8, 32
MAX_CONSUMPTIONS = 2

MAX_PROPERTIES = 32
"""Attributes and capacities of a device, together."""

MAX_VALUES = 48
MAX_VALUE = 64
MAX_TAINTS = 16
MAX_OPTIONS = 10
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_NUMBER = r"(0|[1-9]\d*)"
_PRE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+{_BUILD}(\.{_BUILD})*)?", re.ASCII)
_SETTLES = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"

_DEVICE_SETTLES = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the"
    " ResourceSlice spec"
)

ItemT = TypeVar("ItemT")


def validate_slice(value: ResourceSlice) -> Errors:
    """Return the mistakes in a slice ("Dynamic Resource Allocation")."""
    errors: Errors = []
    spec = value.spec
    driver_name(errors, "spec.driver", spec.driver)
    pool_name(errors, "spec.pool.name", spec.pool.name)
    if spec.pool.resourceSliceCount <= 0:
        errors.append(invalid("spec.pool.resourceSliceCount", spec.pool.resourceSliceCount, "must be greater than zero"))
    if spec.pool.generation < 0:
        errors.append(invalid("spec.pool.generation", spec.pool.generation, "must be greater than or equal to zero"))
    _where(errors, "spec", spec, _SETTLES, empty="must be either unset or set to a non-empty string")
    if spec.nodeSelector is not None and len(spec.nodeSelector.nodeSelectorTerms) != 1:
        terms = spec.nodeSelector.nodeSelectorTerms
        errors.append(invalid("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term"))
    if spec.sharedCounters and spec.devices:
        errors.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    limit = MAX_DEVICES_WITH_FEATURES if any(map(_has_features, spec.devices)) else MAX_DEVICES
    per_device = bool(spec.perDeviceNodeSelection)

    def device(errors: Errors, path: str, item: Device) -> None:
        _device(errors, path, item, per_device=per_device)

    validate_unique_items(errors, "spec.devices", spec.devices, limit, device, lambda item: item.name)
    validate_unique_items(errors, "spec.sharedCounters", spec.sharedCounters, MAX_COUNTER_SETS, _counter_set, lambda item: item.name)
    return errors


def validate_slice_update(new: ResourceSlice, old: ResourceSlice) -> Errors:
    """Refuse changes of driver, pool and node."""
    errors: Errors = []
    immutable(errors, "spec.pool.name", new.spec.pool.name, old.spec.pool.name)
    immutable(errors, "spec.driver", new.spec.driver, old.spec.driver)
    immutable(errors, "spec.nodeName", new.spec.nodeName, old.spec.nodeName)
    return errors


def _has_features(device: Device) -> bool:
    """True if a device uses features that make allocation expensive: taints, counters, lists of attributes."""
    return bool(device.taints or device.consumesCounters) or any(_listed(attribute) for attribute in device.attributes.values())


def _where(errors: Errors, path: str, place: ResourceSliceSpec | Device, settles: str, *, empty: str) -> None:
    """The nodes that can use a device: said in exactly one way."""
    ways: list[str] = []
    if place.nodeName:
        ways.append("`nodeName`")
        dns_subdomain(errors, f"{path}.nodeName", place.nodeName)
    elif place.nodeName is not None:
        errors.append(invalid(f"{path}.nodeName", "", empty))
    if place.nodeSelector is not None:
        ways.append("`nodeSelector`")
        node_selector(errors, f"{path}.nodeSelector", place.nodeSelector)
    for name in ("allNodes", "perDeviceNodeSelection"):
        value = getattr(place, name, None)
        if value:
            ways.append(f"`{name}`")
        elif value is not None:
            errors.append(invalid(f"{path}.{name}", False, "must be either unset or set to true"))
    if not ways:
        errors.append(required(path, settles))
    elif len(ways) > 1:
        message = settles if settles is _DEVICE_SETTLES else f"{settles}, but multiple fields are set"
        errors.append(invalid(path, f"{{{', '.join(ways)}}}", message))


def _entries(
    errors: Errors,
    path: str,
    items: Mapping[str, ItemT],
    limit: int,
    name: Callable[[Errors, str, str], None],
    check: Callable[[Errors, str, ItemT], None],
) -> None:
    """Each key and value of a map, unless there are too many to look at."""
    if 0 <= limit < len(items):
        errors.append(too_many(path, len(items), limit))
        return
    for key, item in items.items():
        name(errors, path, key)
        check(errors, f"{path}[{key}]", item)


def _nothing(errors: Errors, path: str, item: Any) -> None:
    """A value that its type describes completely."""


def _counter_set(errors: Errors, path: str, counters: CounterSet) -> None:
    if counters.name:
        dns_label(errors, f"{path}.name", counters.name)
    else:
        errors.append(required(f"{path}.name"))
    if not counters.counters:
        errors.append(required(f"{path}.counters"))
    _entries(errors, f"{path}.counters", counters.counters, MAX_COUNTERS, dns_label, _nothing)


def _consumption(errors: Errors, path: str, consumption: DeviceCounterConsumption) -> None:
    if consumption.counterSet:
        dns_label(errors, f"{path}.counterSet", consumption.counterSet)
    else:
        errors.append(required(f"{path}.counterSet"))
    if not consumption.counters:
        errors.append(required(f"{path}.counters"))
    _entries(errors, f"{path}.counters", consumption.counters, MAX_COUNTERS, dns_label, _nothing)


def _device(errors: Errors, path: str, device: Device, *, per_device: bool) -> None:
    dns_label(errors, f"{path}.name", device.name)
    properties = len(device.attributes) + len(device.capacity)
    if properties > MAX_PROPERTIES:
        message = f"the total number of attributes and capacities must not exceed {MAX_PROPERTIES}"
        errors.append(invalid(path, properties, message))
    values = sum(len(_listed(attribute)) or 1 for attribute in device.attributes.values())
    if values > MAX_VALUES:
        errors.append(invalid(path, values, f"the total number of attribute values must not exceed {MAX_VALUES}"))
    _entries(errors, f"{path}.attributes", device.attributes, -1, qualified_name, _attribute)
    capacity = _shared_capacity if device.allowMultipleAllocations else _whole_capacity
    _entries(errors, f"{path}.capacity", device.capacity, -1, qualified_name, capacity)
    validate_items(errors, f"{path}.taints", device.taints, MAX_TAINTS, _taint)
    validate_unique_items(
        errors, f"{path}.consumesCounters", device.consumesCounters, MAX_CONSUMPTIONS, _consumption, lambda item: item.counterSet
    )
    if per_device:
        _where(errors, path, device, _DEVICE_SETTLES, empty="must not be empty")
    elif device.nodeName is not None or device.nodeSelector is not None or device.allNodes is not None:
        message = (
            "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
        )
        errors.append(invalid(path, None, message))
    binding_conditions(errors, path, device.bindingConditions, device.bindingFailureConditions)
    _mappings(errors, f"{path}.nodeAllocatableResourceMappings", device)


def _listed(attribute: DeviceAttribute) -> Sequence[Any]:
    return attribute.bools or attribute.ints or attribute.strings or attribute.versions


def _attribute(errors: Errors, path: str, attribute: DeviceAttribute) -> None:
    for name, value in (("string", attribute.string), ("version", attribute.version)):
        if value is not None:
            _attribute_value(errors, f"{path}.{name}", value, is_version=name == "version")
    for name, values in (("strings", attribute.strings), ("versions", attribute.versions)):
        for index, value in enumerate(values):
            _attribute_value(errors, f"{path}.{name}[{index}]", value, is_version=name == "versions")
    single = (attribute.int_, attribute.bool_, attribute.string, attribute.version)
    lists = (attribute.ints, attribute.bools, attribute.strings, attribute.versions)
    count = sum(value is not None for value in single) + sum(bool(values) for values in lists)
    if count != 1:
        errors.append(invalid(path, attribute if count else "", "exactly one value must be specified"))


def _attribute_value(errors: Errors, path: str, value: str, *, is_version: bool) -> None:
    if is_version and not _SEMVER.fullmatch(value):
        errors.append(invalid(path, value, "must be a string compatible with semver.org spec 2.0.0"))
    if len(value.encode()) > MAX_VALUE:
        errors.append(too_long(path, MAX_VALUE))


def _taint(errors: Errors, path: str, taint: DeviceTaint) -> None:
    label_name(errors, f"{path}.key", taint.key)
    if taint.value:
        text(errors, f"{path}.value", taint.value, label_value_messages(taint.value))
    if not taint.effect:
        errors.append(required(f"{path}.effect"))
    elif taint.effect not in _EFFECTS:
        errors.append(not_supported(f"{path}.effect", taint.effect, _EFFECTS))


def _mappings(errors: Errors, path: str, device: Device) -> None:
    """Native resources of the node that a device takes up."""
    for name, mapping in device.nodeAllocatableResourceMappings.items():
        where = f"{path}[{name}]"
        if not is_native(name):
            errors.append(invalid(where, name, "must be a node allocatable resource name"))
        if mapping.allocationMultiplier is None and mapping.capacityKey is None:
            errors.append(invalid(where, "", "at least one of allocationMultiplier or capacityKey must be set"))
        if mapping.allocationMultiplier is not None and parse(mapping.allocationMultiplier) <= 0:
            errors.append(invalid(f"{where}.allocationMultiplier", mapping.allocationMultiplier, "must be positive"))
        if mapping.capacityKey == "":
            errors.append(invalid(f"{where}.capacityKey", "", "capacityKey must not be an empty string"))
        elif mapping.capacityKey is not None and mapping.capacityKey not in device.capacity:
            errors.append(not_found_field(f"{where}.capacityKey", mapping.capacityKey))


def _whole_capacity(errors: Errors, path: str, capacity: DeviceCapacity) -> None:
    if capacity.requestPolicy is not None:
        errors.append(forbidden(f"{path}.requestPolicy", "allowMultipleAllocations must be true"))


def _shared_capacity(errors: Errors, path: str, capacity: DeviceCapacity) -> None:
    policy = capacity.requestPolicy
    if policy is None:
        return
    where, most = f"{path}.requestPolicy", capacity.value or Quantity("0")
    if policy.validValues and policy.validRange is not None:
        message = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        errors.append(forbidden(where, message))
    elif policy.validValues:
        _options(errors, where, policy, most)
    elif policy.validRange is not None:
        if policy.default is None:
            errors.append(required(f"{where}.default", "required when validRange is defined"))
        else:
            _range(errors, f"{where}.validRange", policy.validRange, policy.default, most)


def _options(errors: Errors, path: str, policy: CapacityRequestPolicy, most: Quantity) -> None:
    if policy.default is None:
        errors.append(required(f"{path}.default", "required when validValues is defined"))
        return
    values, where = policy.validValues, f"{path}.validValues"
    for index in range(1, len(values)):
        if compare(values[index - 1], values[index]) > 0:
            errors.append(invalid(f"{where}[{index}]", values[index], "values must be sorted in ascending order"))

    def option(errors: Errors, path: str, value: Quantity) -> None:
        if compare(value, most) > 0:
            errors.append(invalid(path, value, f"option is larger than capacity value: {most}"))

    if validate_items(errors, where, values, MAX_OPTIONS, option):
        seen: set[int] = set()
        for index, value in enumerate(values):
            if whole(value) in seen:
                errors.append(duplicate(f"{where}[{index}]", str(whole(value))))
            seen.add(whole(value))
    if all(compare(value, policy.default) for value in values):
        errors.append(invalid(where, policy.default, "default value is not valid according to the requestPolicy"))


def _range(errors: Errors, path: str, value: CapacityRequestPolicyRange, default: Quantity, most: Quantity) -> None:
    low, high, step = value.min, value.max, value.step
    if low is None:
        errors.append(required(f"{path}.min", "required when validRange is defined"))
        return
    if compare(low, most) > 0:
        errors.append(invalid(f"{path}.min", low, f"min is larger than capacity value: {most}"))
    if compare(default, low) < 0:
        errors.append(invalid(f"{path}.min", default, f"default is less than min: {low}"))
    if high is not None:
        if compare(low, high) > 0:
            errors.append(invalid(f"{path}.max", low, f"min is larger than max: {high}"))
        if compare(high, most) > 0:
            errors.append(invalid(f"{path}.max", high, f"max is larger than capacity value: {most}"))
        if compare(default, high) > 0:
            errors.append(invalid(f"{path}.max", default, f"default is more than max: {high}"))
    if step is not None:
        one = add(low, step)
        if compare(one, most) > 0:
            errors.append(invalid(f"{path}.step", step, f"one step {one} is larger than capacity value: {most}"))
        for reached in (default, high):
            if reached is not None and (not whole(step) or (whole(reached) - whole(low)) % whole(step)):
                message = f"value is not a multiple of a given step ({step}) from ({low})"
                errors.append(invalid(f"{path}.step", reached, message))


class ResourceSliceRules(Rules[ResourceSlice]):
    def default(self, obj: ResourceSlice) -> None:
        for device in obj.spec.devices:
            for mapping in device.nodeAllocatableResourceMappings.values():
                if mapping.allocationMultiplier is None:
                    mapping.allocationMultiplier = Quantity("1")

    def prepare_create(self, obj: ResourceSlice) -> None:
        super().prepare_create(obj)
        for device in obj.spec.devices:
            for taint in device.taints:
                taint.timeAdded = taint.timeAdded or obj.metadata.creationTimestamp

    validate = staticmethod(validate_slice)
    validate_update = staticmethod(validate_slice_update)

    def warnings(self, obj: ResourceSlice, old: ResourceSlice | None) -> list[str]:
        driver = obj.spec.driver
        if driver == driver.lower():
            return []
        return [f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters']


RESOURCE_SLICES: Kind[resource.ResourceSlice] = Kind(
    type=resource.ResourceSlice,
    plural="resourceslices",
    rules=ResourceSliceRules(),
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
    shown_when_deleted=True,
)
