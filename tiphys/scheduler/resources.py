"""Resource requests of a pod as integers: CPU in thousandths of a core, everything else in its own unit.

The rules are those of "Resource Management for Pods and Containers", "Sidecar Containers" (KEP-753), "Pod Overhead" and
"Pod Level Resources" (KEP-2837).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import milli, whole
from tiphys.scheduler.slim import SlimContainer, SlimContainerStatus, SlimPod

CPU, MEMORY, EPHEMERAL, PODS = "cpu", "memory", "ephemeral-storage", "pods"

DEFAULT_CPU = 100
"""Thousandths of a core that scores assume for a container without a request."""
DEFAULT_MEMORY = 200 * 1024 * 1024
"""Bytes that scores assume for a container without a request."""

Amounts = dict[str, int]


class Requests(NamedTuple):
    """Requests of a pod: `amounts` must fit; the assumed ones are for scores, with defaults for containers without requests."""

    amounts: Mapping[str, int]
    assumed_cpu: int
    assumed_memory: int


def amount(resource: str, quantity: Quantity | str) -> int:
    """Return a quantity of a resource in the unit it is counted in."""
    return milli(quantity) if resource == CPU else whole(quantity)


def amounts(quantities: Mapping[str, Quantity]) -> Amounts:
    """Convert all quantities of a resource list."""
    return {name: amount(name, quantity) for name, quantity in quantities.items()}


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise_to(total: Amounts, other: Mapping[str, int]) -> None:
    for name, value in other.items():
        if value > total.get(name, 0):
            total[name] = value


def _container(container: SlimContainer, status: SlimContainerStatus | None, assumed: Mapping[str, int]) -> Amounts:
    requests = amounts(container.resources.requests)
    if status is not None:
        # During a resize the container's present and desired resources both count ("In-place Resize of Pod Resources").
        _raise_to(requests, amounts(status.allocatedResources))
        if status.resources is not None:
            _raise_to(requests, amounts(status.resources.requests))
    for name, value in assumed.items():
        requests.setdefault(name, value)
    return requests


def _total(pod: SlimPod, assumed: Mapping[str, int]) -> Amounts:
    spec, status = pod.spec, pod.status
    main_status = {one.name: one for one in status.containerStatuses}
    init_status = {one.name: one for one in status.initContainerStatuses}
    together: Amounts = {}
    for container in spec.containers:
        _add(together, _container(container, main_status.get(container.name), assumed))
    sidecars: Amounts = {}
    highest: Amounts = {}
    for container in spec.initContainers:
        requests = _container(container, init_status.get(container.name), assumed)
        if container.restartPolicy == "Always":
            _add(together, requests)
            _add(sidecars, requests)
            _raise_to(highest, sidecars)
        else:
            # It runs beside the sidecars that started before it.
            _add(requests, sidecars)
            _raise_to(highest, requests)
    _raise_to(together, highest)
    if spec.resources is not None:
        for name, quantity in spec.resources.requests.items():
            if name in (CPU, MEMORY) or name.startswith("hugepages-"):
                together[name] = amount(name, quantity)
    _add(together, amounts(spec.overhead))
    return together


def pod_requests(pod: SlimPod) -> Requests:
    """Return a pod's requests: the larger of what its containers and its init containers need at once, plus its overhead."""
    exact = _total(pod, {})
    rounded = _total(pod, {CPU: DEFAULT_CPU, MEMORY: DEFAULT_MEMORY})
    return Requests({name: value for name, value in exact.items() if value}, rounded.get(CPU, 0), rounded.get(MEMORY, 0))


class HostPort(NamedTuple):
    """Port on the node's own addresses."""

    ip: str
    protocol: str
    port: int


def host_ports(containers: Iterable[SlimContainer]) -> tuple[HostPort, ...]:
    """Return the host ports that containers (including sidecars) use."""
    return tuple(
        HostPort(port.hostIP or "0.0.0.0", port.protocol or "TCP", port.hostPort)
        for container in containers
        for port in container.ports
        if port.hostPort > 0
    )


def conflict(one: HostPort, other: HostPort) -> bool:
    """Return whether two pods conflict over these ports on one node: the address 0.0.0.0 stands for all."""
    if (one.protocol, one.port) != (other.protocol, other.port):
        return False
    return one.ip == other.ip or "0.0.0.0" in (one.ip, other.ip)
