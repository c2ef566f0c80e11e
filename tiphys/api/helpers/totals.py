"""Resources of a pod as a whole, as quantities: for limits and quotas, whose messages show them as the user wrote them.

The same sums as `helpers.resources`, which counts in whole numbers for the scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.api.core.v1 import Container, ContainerStatus, Pod
from tiphys.api.helpers.resources import Which, is_sidecar
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import add, compare

Amounts = dict[str, Quantity]
POD_LEVEL = ("cpu", "memory")


def pod_totals(pod: Pod, which: Which) -> Amounts:
    """The requests or limits of a pod by its spec, without its overhead: what limit ranges look at."""
    return _totals(pod, which, {})


def charged_totals(pod: Pod, which: Which) -> Amounts:
    """The requests or limits that a quota charges: the larger of the desired and the allocated ones, with overhead."""
    statuses = {status.name: status for status in (*pod.status.containerStatuses, *pod.status.initContainerStatuses)}
    result = _totals(pod, which, statuses)
    for name, quantity in pod.spec.overhead.items():
        if which == "requests" or name in result:
            result[name] = add(result[name], quantity) if name in result else quantity
    return result


def _totals(pod: Pod, which: Which, statuses: Mapping[str, ContainerStatus]) -> Amounts:
    spec = pod.spec
    result: Amounts = {}
    for container in spec.containers:
        _add(result, _own(pod, container, which, statuses))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.initContainers:
        own = _own(pod, container, which, statuses)
        if is_sidecar(container):
            _add(sidecars, own)
            _add(result, own)
            _raise(peak, sidecars)
        else:
            beside = dict(own)
            _add(beside, sidecars)
            _raise(peak, beside)
    _raise(result, peak)
    if spec.resources is not None:
        for name, quantity in getattr(spec.resources, which).items():
            if name in POD_LEVEL:
                result[name] = quantity
    return result


def _own(pod: Pod, container: Container, which: Which, statuses: Mapping[str, ContainerStatus]) -> Mapping[str, Quantity]:
    amounts: Mapping[str, Quantity] = getattr(container.resources, which)
    status = statuses.get(container.name)
    if status is None or status.resources is None:
        return amounts
    actual = dict(getattr(status.resources, which))
    if which == "requests":
        _raise(actual, status.allocatedResources)
    if not _is_infeasible(pod):
        _raise(actual, amounts)
    return actual


def _is_infeasible(pod: Pod) -> bool:
    """True if the node can never grant the resize that the pod asks for (KEP-1287)."""
    return any(condition.type == "PodResizePending" and condition.reason == "Infeasible" for condition in pod.status.conditions)


def _add(result: Amounts, more: Mapping[str, Quantity]) -> None:
    for name, quantity in more.items():
        result[name] = add(result[name], quantity) if name in result else quantity


def _raise(result: Amounts, least: Mapping[str, Quantity]) -> None:
    for name, quantity in least.items():
        if name not in result or compare(quantity, result[name]) > 0:
            result[name] = quantity
