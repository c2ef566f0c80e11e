"""Share of the node that pods may use: its capacity less the reserves and the hard eviction thresholds. Pure.

See "Reserve Compute Resources for System Daemons". Amounts are thousandths of a core, bytes, and processes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tiphys.api.helpers.resources import Amounts, amount
from tiphys.api.machinery import quantity
from tiphys.node.eviction.thresholds import Threshold
from tiphys.node.host.cpuset import parse_cpus

RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
_GUARDED = {"memory.available": "memory", "nodefs.available": "ephemeral-storage"}
"""Resources that are kept back for the hard thresholds of these signals."""


class OverReserved(Exception):
    """More is reserved than the node has."""


def reserve_faults(reserve: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield the mistakes in `kubeReserved` or `systemReserved`, each with its path below the field."""
    for name, text in reserve.items():
        if name not in RESERVABLE:
            yield f".{name}", f"it cannot be reserved, only {', '.join(RESERVABLE)}: remove it"
            continue
        try:
            if quantity.parse(text) < 0:
                yield f".{name}", f"{text} is negative"
        except ValueError:
            yield f".{name}", f"{text} is not a quantity such as 100m or 1Gi"


def reserved(system: Mapping[str, str], kube: Mapping[str, str], cpus: str = "") -> Amounts:
    """Return the sum of the reserves. Reserved cores (`reservedSystemCPUs`) stand in place of all reserves of CPU."""
    total = dict.fromkeys(RESERVABLE, 0)
    for reserve in (system, kube):
        for name, text in reserve.items():
            total[name] += amount(name, text)
    if cpus:
        total["cpu"] = 1000 * len(parse_cpus(cpus))
    return total


def allocatable(capacity: Amounts, reserves: Amounts, thresholds: Iterable[Threshold]) -> Amounts:
    """Return what pods may request together. Raises OverReserved, which names each resource of which there is not enough."""
    held = {name: reserves.get(name, 0) for name in capacity}
    for threshold in thresholds:
        resource = _GUARDED.get(threshold.signal)
        if threshold.is_hard and resource in held:
            held[resource] += threshold.below.of(capacity[resource])
    over = [name for name, number in held.items() if number > capacity[name]]
    if over:
        raise OverReserved(_over(over, held, capacity))
    return {name: number - held[name] for name, number in capacity.items()}


def _over(names: Collection[str], held: Amounts, capacity: Amounts) -> str:
    parts = [f'Resource "{name}" has a reservation of {_spelled(name, held)} but capacity of {_spelled(name, capacity)}.' for name in names]
    return f"invalid Node Allocatable configuration. {' '.join(parts)} Reserve less, or lower evictionHard."


def _spelled(name: str, amounts: Amounts) -> str:
    return quantity.from_milli(amounts[name]) if name == "cpu" else quantity.format_value(amounts[name], "binary")


def limit(capacity: Amounts, reserves: Amounts) -> Amounts:
    """Return the limits of the control group of all pods: the capacity less the reserves. Eviction begins before they are reached."""
    return {name: max(number - reserves.get(name, 0), 0) for name, number in capacity.items()}
