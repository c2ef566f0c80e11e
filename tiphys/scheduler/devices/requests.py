"""Requests of claims as the allocator takes them: alternatives with a class, selectors and a number. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tiphys.api.resource.selectors import compile_selector
from tiphys.api.resource.v1 import (
    CapacityRequirements,
    DeviceClass,
    DeviceRequest,
    DeviceSelector,
    DeviceSubRequest,
    DeviceTaint,
    DeviceToleration,
    ExactDeviceRequest,
    ResourceClaim,
)
from tiphys.cel.errors import CelError


class AllocationError(Exception):
    """Reason why allocation cannot go on; for users."""


class Wish(NamedTuple):
    """One way to serve a request: `exactly`, or an entry of `firstAvailable`."""

    name: str
    """`NAME`, or `NAME/ALTERNATIVE`."""
    device_class: DeviceClass
    selectors: tuple[DeviceSelector, ...]
    """The class's, then the request's."""
    all_devices: bool
    number: int
    admin: bool
    tolerations: tuple[DeviceToleration, ...]
    capacity: CapacityRequirements | None


def class_names(request: DeviceRequest) -> Iterator[tuple[str, str]]:
    """Yield the name of each way to serve a request, and of its class."""
    if request.exactly is not None:
        yield request.name, request.exactly.deviceClassName
    for sub in request.firstAvailable:
        yield f"{request.name}/{sub.name}", sub.deviceClassName


def wishes(claim: ResourceClaim, request: DeviceRequest, classes: Mapping[str, DeviceClass]) -> Sequence[Wish]:
    """Return the ways to serve a request, best first. Raises AllocationError for a class that does not exist."""
    exact = request.exactly
    ways: list[ExactDeviceRequest | DeviceSubRequest] = [*request.firstAvailable] if exact is None else [exact]
    result = []
    for (name, class_name), way in zip(class_names(request), ways, strict=True):
        device_class = classes.get(class_name)
        if device_class is None:
            raise AllocationError(f"{_place(claim, name)}: could not retrieve device class {class_name}: not found")
        result.append(
            Wish(
                name,
                device_class,
                (*device_class.spec.selectors, *way.selectors),
                way.allocationMode == "All",
                way.count,
                bool(getattr(way, "adminAccess", False)),
                tuple(way.tolerations),
                way.capacity,
            )
        )
    return result


def matches(claim: ResourceClaim, wish: Wish, variables: Mapping[str, object]) -> bool:
    """Return whether all selectors choose a device. Raises AllocationError if one has a mistake, or has no value for the device."""
    of_class = len(wish.device_class.spec.selectors)
    for number, selector in enumerate(wish.selectors):
        try:
            if selector.cel is None or not compile_selector(selector.cel.expression).matches(variables):
                return False
        except CelError as error:
            if number < of_class:
                where, number = f"class {wish.device_class.metadata.name}", number
            else:
                where, number = f"claim {claim.metadata.namespace}/{claim.metadata.name}", number - of_class
            raise AllocationError(f"{where}: selector #{number}: CEL runtime error: {error}") from error
    return True


def repels(taints: Sequence[DeviceTaint], wish: Wish) -> bool:
    """Return whether a taint keeps a wish away ("Device taints and tolerations")."""
    return any(
        taint.effect in ("NoSchedule", "NoExecute") and not any(tolerates(one, taint) for one in wish.tolerations) for taint in taints
    )


def tolerates(toleration: DeviceToleration, taint: DeviceTaint) -> bool:
    """Return whether a toleration is for a taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or (toleration.operator in ("", "Equal") and toleration.value == taint.value)


def _place(claim: ResourceClaim, request: str) -> str:
    return f"claim {claim.metadata.namespace}/{claim.metadata.name}, request {request}"
