"""Pools of devices as a node sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tiphys.api.core.v1.reference import NodeSelector
from tiphys.api.helpers.node_selector import requirement_holds
from tiphys.api.machinery.quantity import parse
from tiphys.api.resource.v1 import Device, ResourceSlice

PoolId = tuple[str, str]
"""Driver and name of a pool."""
Counters = dict[tuple[str, str], Decimal]
"""Amounts by set and name of the counter."""


class DeviceId(NamedTuple):
    """Name of a device in the cluster."""

    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return "/".join(self)


class Candidate(NamedTuple):
    """Device that a node can use."""

    id: DeviceId
    device: Device
    slice: ResourceSlice
    is_node_local: bool
    selector: NodeSelector | None


class Pool(NamedTuple):
    """Devices of a driver that a node can use, from slices of one generation."""

    id: PoolId
    devices: tuple[Candidate, ...] = ()
    counters: Counters | None = None
    all_devices: tuple[tuple[DeviceId, Device], ...] = ()
    """Devices of the whole pool, which consume counters wherever they are."""
    is_incomplete: bool = False
    """True while the driver is writing slices of this generation."""
    invalid: str = ""
    """Reason why no device of the pool can be used."""


class NodeView(NamedTuple):
    """Name and labels of a node."""

    name: str
    labels: Mapping[str, str]


def selects(selector: NodeSelector, node: NodeView) -> bool:
    """Return whether a selector selects a node, by labels and by the field `metadata.name`."""
    fields = {"metadata.name": node.name}
    return any(
        (term.matchExpressions or term.matchFields)
        and all(requirement_holds(one, node.labels.get(one.key)) for one in term.matchExpressions)
        and all(requirement_holds(one, fields.get(one.key)) for one in term.matchFields)
        for term in selector.nodeSelectorTerms
    )


def reaches(node: NodeView, name: str | None, selector: NodeSelector | None, everywhere: bool | None) -> bool:
    """Return whether a slice's or a device's choice of nodes contains a node."""
    if name:
        return name == node.name
    return bool(everywhere) or (selector is not None and selects(selector, node))


def gather(node: NodeView, slices: Iterable[ResourceSlice]) -> list[Pool]:
    """Return the pools with devices for a node, by driver and name: names set preferences. Old generations are left out."""
    by_pool: dict[PoolId, list[ResourceSlice]] = {}
    for one in slices:
        by_pool.setdefault((one.spec.driver, one.spec.pool.name), []).append(one)
    pools = (_pool(node, ident, by_pool[ident]) for ident in sorted(by_pool))
    return [pool for pool in pools if pool is not None]


def _pool(node: NodeView, ident: PoolId, slices: Sequence[ResourceSlice]) -> Pool | None:
    newest = max(one.spec.pool.generation for one in slices)
    current = sorted((one for one in slices if one.spec.pool.generation == newest), key=lambda one: one.metadata.name)
    devices = tuple(candidate for one in current for candidate in _candidates(node, one))
    if not devices:
        return None
    if len(current) != current[0].spec.pool.resourceSliceCount:
        return Pool(ident, is_incomplete=True)
    everything = tuple((_id(one, device), device) for one in current for device in one.spec.devices)
    counters = {
        (group.name, name): parse(counter.value or "0")
        for one in current
        for group in one.spec.sharedCounters
        for name, counter in group.counters.items()
    }
    return Pool(ident, devices, counters, everything, invalid=_mistake(current, everything, counters))


def _id(one: ResourceSlice, device: Device) -> DeviceId:
    return DeviceId(one.spec.driver, one.spec.pool.name, device.name)


def _candidates(node: NodeView, one: ResourceSlice) -> Iterable[Candidate]:
    spec = one.spec
    if not spec.perDeviceNodeSelection:
        if reaches(node, spec.nodeName, spec.nodeSelector, spec.allNodes):
            for device in spec.devices:
                yield Candidate(_id(one, device), device, one, bool(spec.nodeName), spec.nodeSelector)
        return
    for device in spec.devices:
        if reaches(node, device.nodeName, device.nodeSelector, device.allNodes):
            yield Candidate(_id(one, device), device, one, bool(device.nodeName), device.nodeSelector)


def _mistake(slices: Sequence[ResourceSlice], devices: Sequence[tuple[DeviceId, Device]], counters: Counters) -> str:
    names = [ident for ident, _ in devices]
    if len(set(names)) != len(names):
        return "device names are not unique"
    sets = [group.name for one in slices for group in one.spec.sharedCounters]
    if len(set(sets)) != len(sets):
        return "names of counter sets are not unique"
    for ident, device in devices:
        for use in device.consumesCounters:
            if any((use.counterSet, name) not in counters for name in use.counters):
                return f"device {ident.device} consumes counters that the pool does not have"
    return ""


def consumed(device: Device) -> Counters:
    """Return the counters that a device takes up."""
    return {
        (use.counterSet, name): parse(counter.value or "0") for use in device.consumesCounters for name, counter in use.counters.items()
    }
