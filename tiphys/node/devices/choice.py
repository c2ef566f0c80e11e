"""The choice of devices for a container, and hints from where they could come. Pure.

The order is upstream's: devices that an init container of the pod has had, devices on the NUMA nodes of the alignment, what the plugin
prefers, all others ("Device Plugin Integration with the Topology Manager").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from itertools import combinations

import msgspec

from tiphys.node.devices.device import DeviceError, Devices
from tiphys.node.resources.assigner import Hint, Nodes

MAX_NODES = 8
"""NUMA nodes with devices up to which hints are worked out, as there is one for each combination."""


class Choice(msgspec.Struct, frozen=True):
    """A choice that the plugin may still influence."""

    taken: tuple[str, ...]
    """Devices that are chosen in any case."""
    pool: tuple[str, ...]
    """Devices that the rest is chosen from, in this order."""
    missing: int
    """Number of devices that are to be chosen from the pool."""

    @property
    def is_open(self) -> bool:
        """True if there is something to prefer."""
        return 0 < self.missing < len(self.pool)

    def finish(self, preferred: Iterable[str] = ()) -> list[str]:
        """Return the chosen devices; of the preferred ones those count that are in the pool."""
        pool = set(self.pool)
        ordered = dict.fromkeys((*(one for one in preferred if one in pool), *self.pool))
        return sorted((*self.taken, *list(ordered)[: self.missing]))


def choose(resource: str, count: int, devices: Devices, *, used: Set[str], reusable: Set[str] = frozenset(), nodes: Nodes | None) -> Choice:
    """Choose devices that are healthy and not in use, near the nodes if they are given. Raises DeviceError, with upstream's messages."""
    healthy = sorted(ident for ident, device in devices.items() if device.is_healthy)
    if not healthy:
        raise DeviceError(f"no healthy devices present; cannot allocate unhealthy devices {resource}")
    taken = tuple(ident for ident in healthy if ident in reusable)[:count]
    missing = count - len(taken)
    free = [ident for ident in healthy if ident not in used]
    if len(free) < missing:
        raise DeviceError(f"requested number of devices unavailable for {resource}. Requested: {missing}, Available: {len(free)}")
    if nodes is None or not is_aligned(devices):
        return Choice(taken, tuple(free), missing)
    near = [ident for ident in free if devices[ident].nodes & nodes]
    if len(near) >= missing:
        return Choice(taken, tuple(near), missing)
    far = [ident for ident in free if devices[ident].nodes and not devices[ident].nodes & nodes]
    anywhere = [ident for ident in free if not devices[ident].nodes]
    return Choice((*taken, *near), (*far, *anywhere), missing - len(near))


def is_aligned(devices: Devices) -> bool:
    """True if it matters from where the devices come."""
    return any(device.nodes for device in devices.values())


def hints(count: int, devices: Devices, *, free: Collection[str], fixed: Collection[str] = (), machine: Nodes) -> Sequence[Hint]:
    """Return the sets of NUMA nodes that can serve a request with `fixed` devices and others that are `free`.

    Preferred are the smallest sets that could serve it if nothing were in use. Nodes that the machine does not have do not count.
    """
    places = sorted(frozenset().union(*(device.nodes for device in devices.values())) & machine)
    places = places[:MAX_NODES] or sorted(machine)[:MAX_NODES]
    sets = [frozenset(nodes) for size in range(1, len(places) + 1) for nodes in combinations(places, size)]

    def near(ids: Iterable[str], nodes: Nodes) -> int:
        return sum(1 for ident in ids if ident in devices and devices[ident].nodes & nodes)

    smallest = next((len(nodes) for nodes in sets if near(devices, nodes) >= count), len(places))
    bound = [ident for ident in fixed if ident in devices and devices[ident].nodes]
    return [
        Hint(nodes, preferred=len(nodes) == smallest)
        for nodes in sets
        if near(bound, nodes) == len(bound) and len(bound) + near(set(free) - set(fixed), nodes) >= count
    ]
