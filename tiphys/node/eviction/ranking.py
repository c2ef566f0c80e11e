"""Order in which pods are evicted when a resource is short, and the message that says why. Pure ("Node-pressure Eviction")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import pod_requests
from tiphys.api.machinery import quantity
from tiphys.node.eviction.pressure import Levels
from tiphys.node.eviction.thresholds import Resource, Threshold

UNREQUESTED = ("inodes", "pids")
"""Resources that no pod can request."""


class PodUse(msgspec.Struct, frozen=True):
    """Use of the resource that is short, by a pod and its containers: bytes, inodes or processes."""

    total: int
    containers: Mapping[str, int] = {}


Uses = Mapping[str, PodUse]
"""By the pods' uids; a pod that could not be measured is missing."""


def ranked(resource: Resource, pods: Sequence[core.Pod], uses: Uses) -> list[core.Pod]:
    """Return the pods in the order of eviction, the first to go first.

    Memory and disk: pods without figures, then those that use more than they request, each by priority and by use beyond the request.
    Nobody requests inodes or processes: only priority and use count.
    """
    return sorted(pods, key=lambda pod: _rank(resource, pod, uses.get(pod.metadata.uid)))


def _rank(resource: Resource, pod: core.Pod, use: PodUse | None) -> tuple[bool, bool, int, int]:
    priority = pod.spec.priority or 0
    if resource in UNREQUESTED:
        return False, False, priority, -(use.total if use is not None else 0)
    if use is None:
        return False, False, priority, 0
    beyond = use.total - pod_requests(pod).get(resource, 0)
    return True, beyond <= 0, priority, -beyond


def eviction_message(threshold: Threshold, pod: core.Pod, use: PodUse | None, levels: Levels) -> str:
    """Return the message of the pod's status and event. It is upstream's; clients match on it."""
    resource, level = threshold.resource, levels.get(threshold.signal)
    message = f"The node was low on resource: {resource}. "
    if level is not None:
        available = quantity.format_value(level.available, "decimal" if resource in UNREQUESTED else "binary")
        message += f"Threshold quantity: {threshold.below.spelled(level.capacity)}, available: {available}. "
    if use is None or resource in UNREQUESTED:
        return message
    if resource == "memory" and pod.spec.resources is not None and resource in pod.spec.resources.requests:
        message += _consumption("Pod", pod.metadata.name, use.total, pod.spec.resources.requests[resource], resource)
    for container in (*pod.spec.containers, *pod.spec.initContainers):
        used, request = use.containers.get(container.name), container.resources.requests.get(resource, quantity.ZERO)
        if used is not None and used > quantity.whole(request):
            message += _consumption("Container", container.name, used, request, resource)
    return message


def _consumption(kind: str, name: str, used: int, request: str, resource: str) -> str:
    return f"{kind} {name} was using {quantity.format_value(used, 'binary')}, request is {request}, has larger consumption of {resource}. "


def grace_of_eviction(threshold: Threshold, pod: core.Pod, maximum: int) -> int:
    """Return the seconds that an evicted pod has to end: one after a hard threshold, else its own, `maximum` at most."""
    if threshold.is_hard:
        return 1
    own = pod.spec.terminationGracePeriodSeconds
    return maximum if own is None else min(maximum, own)
