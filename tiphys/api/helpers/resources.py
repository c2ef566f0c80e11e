"""Resources that a pod requests, as numbers.

CPU counts in thousandths of a core, everything else in whole units (bytes, pieces). Init containers run one by one before the others, so
of them only the largest counts; sidecars (init containers that restart always) run beside everything that comes after them ("Sidecar
Containers": resource sharing within containers). The pod's overhead is on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal

from tiphys.api.core.v1 import Container, EphemeralContainer, Pod, PodSpec
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import compare, milli, parse, total, whole

Amounts = dict[str, int]
Which = Literal["requests", "limits"]
Qos = Literal["Guaranteed", "Burstable", "BestEffort"]
_QOS_RESOURCES = ("cpu", "memory")


def amount(name: str, quantity: Quantity | str) -> int:
    """A quantity of a resource as a number, rounded up."""
    return milli(quantity) if name == "cpu" else whole(quantity)


def amounts(resources: Mapping[str, Quantity]) -> Amounts:
    """A list of resources as numbers."""
    return {name: amount(name, quantity) for name, quantity in resources.items()}


def pod_requests(pod: Pod) -> Amounts:
    """Return the resources that the scheduler has to find room for."""
    return spec_amounts(pod.spec, "requests")


def pod_limits(pod: Pod) -> Amounts:
    """Return the most that the pod may use, as far as its containers are limited."""
    return spec_amounts(pod.spec, "limits")


def spec_amounts(spec: PodSpec, which: Which) -> Amounts:
    """The requests or limits of a pod as a whole, overhead included."""
    result: Amounts = {}
    for container in spec.containers:
        _add(result, getattr(container.resources, which))
    if spec.initContainers:
        _add_init(result, spec, which)
    if spec.resources is not None:
        result.update(amounts(getattr(spec.resources, which)))
    for name, quantity in spec.overhead.items():
        if which == "requests" or name in result:
            result[name] = result.get(name, 0) + amount(name, quantity)
    return result


def _add(result: Amounts, resources: Mapping[str, Quantity]) -> None:
    for name, quantity in resources.items():
        result[name] = result.get(name, 0) + amount(name, quantity)


def _add_init(result: Amounts, spec: PodSpec, which: Which) -> None:
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.initContainers:
        own: Mapping[str, Quantity] = getattr(container.resources, which)
        if is_sidecar(container):
            _add(sidecars, own)
            _add(result, own)
            continue
        for name, quantity in own.items():
            peak[name] = max(peak.get(name, 0), sidecars.get(name, 0) + amount(name, quantity))
    for name, value in peak.items():
        result[name] = max(result.get(name, 0), value)


def aggregate(spec: PodSpec, which: Which) -> dict[str, Quantity]:
    """Return the sum of the requests or limits of a pod's containers, in the spelling of the first that names a resource."""
    sums: dict[str, list[Quantity]] = {}
    sidecars: dict[str, list[Quantity]] = {}
    peaks: dict[str, Quantity] = {}
    for container in spec.containers:
        _collect(sums, getattr(container.resources, which))
    for container in spec.initContainers:
        own: Mapping[str, Quantity] = getattr(container.resources, which)
        if is_sidecar(container):
            _collect(sums, own)
            _collect(sidecars, own)
            continue
        for name, quantity in own.items():
            peak = total([quantity, *sidecars.get(name, ())])
            if name not in peaks or compare(peak, peaks[name]) > 0:
                peaks[name] = peak
    result = {name: total(quantities) for name, quantities in sums.items()}
    for name, peak in peaks.items():
        if name not in result or compare(peak, result[name]) > 0:
            result[name] = peak
    return result


def _collect(lists: dict[str, list[Quantity]], resources: Mapping[str, Quantity]) -> None:
    for name, quantity in resources.items():
        lists.setdefault(name, []).append(quantity)


def is_sidecar(container: Container | EphemeralContainer) -> bool:
    """True if an init container keeps running beside the others (KEP-753)."""
    return container.restartPolicy == "Always"


_NOTHING: Final = Decimal(0)


def qos_class(pod: Pod) -> Qos:
    """Return the QoS class: the order of eviction when a node runs short ("Pod Quality of Service Classes")."""
    spec = pod.spec
    resources = [spec.resources] if spec.resources is not None else [c.resources for c in (*spec.containers, *spec.initContainers)]
    guaranteed, some = True, False
    for item in resources:
        limits, requests = item.limits, item.requests
        if not limits and not requests:
            guaranteed = False
            continue
        for name in _QOS_RESOURCES:
            limit = parse(limits[name]) if name in limits else _NOTHING
            request = parse(requests[name]) if name in requests else limit
            some = some or limit > 0 or request > 0
            guaranteed = guaranteed and limit > 0 and limit == request
    if not some:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
