"""Devices, slices, classes and claims for tests of the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from tests.unit.scheduler.make import pod
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.resource import v1 as resource
from tiphys.api.resource.v1 import (
    AllocationResult,
    CapacityRequirements,
    CELDeviceSelector,
    Counter,
    Device,
    DeviceAttribute,
    DeviceCapacity,
    DeviceClass,
    DeviceCounterConsumption,
    DeviceSelector,
    DeviceSubRequest,
    ExactDeviceRequest,
    ResourceClaim,
    ResourceSlice,
)
from tiphys.scheduler.devices.allocator import World, allocate
from tiphys.scheduler.devices.pools import NodeView
from tiphys.scheduler.devices.taken import Taken

DRIVER = "gpu.example.com"
_ids = count(1)


def selector(text: str) -> list[DeviceSelector]:
    return [DeviceSelector(cel=CELDeviceSelector(expression=text))]


def device(name: str, *, capacity: dict[str, str] | None = None, uses: dict[str, str] | None = None, **more: Any) -> Device:
    """A device. `uses` are amounts of the counter set `chip`; other arguments that are no fields are attributes."""
    fields = {key: value for key, value in more.items() if key in Device.__struct_fields__}
    attributes = {key: _attribute(value) for key, value in more.items() if key not in fields}
    consumption = [DeviceCounterConsumption(counterSet="chip", counters=counters(uses))] if uses else []
    amounts = {key: DeviceCapacity(value=Quantity(value)) for key, value in (capacity or {}).items()}
    return Device(name=name, attributes=attributes, capacity=amounts, consumesCounters=consumption, **fields)


def counters(amounts: dict[str, str]) -> dict[str, Counter]:
    return {name: Counter(value=Quantity(value)) for name, value in amounts.items()}


def _attribute(value: Any) -> DeviceAttribute:
    if isinstance(value, bool):
        return DeviceAttribute(bool_=value)
    return DeviceAttribute(int_=value) if isinstance(value, int) else DeviceAttribute(string=value)


def devices_on(
    node: str | None, *devices: Device, name: str = "", pool: str = "", generation: int = 1, slices: int = 1, **more: Any
) -> ResourceSlice:
    """A slice of a pool, by default the node's only one."""
    pool = pool or node or "pool"
    return ResourceSlice(
        metadata=ObjectMeta(name=name or f"{pool}-{generation}"),
        spec=resource.ResourceSliceSpec(
            driver=DRIVER,
            pool=resource.ResourcePool(name=pool, generation=generation, resourceSliceCount=slices),
            nodeName=node,
            devices=list(devices),
            **more,
        ),
    )


def gpu_class(name: str = "gpu", text: str = f'device.driver == "{DRIVER}"', **spec: Any) -> DeviceClass:
    return DeviceClass(metadata=ObjectMeta(name=name), spec=resource.DeviceClassSpec(selectors=selector(text), **spec))


def exactly(
    name: str = "gpu", *, number: int = 1, text: str = "", device_class: str = "gpu", capacity: dict[str, str] | None = None, **more: Any
) -> resource.DeviceRequest:
    """A request for a number of devices; 0 for all."""
    exact = ExactDeviceRequest(
        deviceClassName=device_class,
        selectors=selector(text) if text else [],
        allocationMode="ExactCount" if number else "All",
        count=number,
        capacity=CapacityRequirements(requests={key: Quantity(value) for key, value in capacity.items()}) if capacity else None,
        **more,
    )
    return resource.DeviceRequest(name=name, exactly=exact)


def one_of(name: str, *ways: tuple[str, int, str]) -> resource.DeviceRequest:
    """A prioritized list: name, number and selector of each way."""
    subs = [
        DeviceSubRequest(name=sub, deviceClassName="gpu", allocationMode="ExactCount", count=number, selectors=selector(text))
        for sub, number, text in ways
    ]
    return resource.DeviceRequest(name=name, firstAvailable=subs)


def claim(name: str = "c", *requests: resource.DeviceRequest, **more: Any) -> ResourceClaim:
    spec = resource.ResourceClaimSpec(devices=resource.DeviceClaim(requests=list(requests) or [exactly()], **more))
    return ResourceClaim(metadata=ObjectMeta(name=name, namespace="default", uid=f"claim-{next(_ids)}"), spec=spec)


def pod_with_claims(name: str, *claims: str, **more: Any) -> core.Pod:
    return pod(name, resourceClaims=[core.PodResourceClaim(name=one, resourceClaimName=one) for one in claims], **more)


def try_on(
    node: str,
    claims: Sequence[ResourceClaim],
    slices: Sequence[ResourceSlice],
    *,
    taken: Sequence[AllocationResult] = (),
    classes: Sequence[DeviceClass] = (),
    labels: dict[str, str] | None = None,
) -> list[AllocationResult] | None:
    """Allocate for a node of these labels."""
    known = {one.metadata.name: one for one in classes or [gpu_class()]}
    world = World(lambda name: list(slices), known, Taken(taken), {})
    return allocate(NodeView(node, labels or {}), claims, world, lambda: f"share-{next(_ids)}")


def names(results: list[AllocationResult] | None) -> list[list[str]] | None:
    """Return the names of the devices of each claim."""
    return None if results is None else [[one.device for one in result.devices.results] for result in results]
