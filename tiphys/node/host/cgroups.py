"""Limits of pods and containers, in the units of control groups. Pure; `pod/cgroups.py` writes them.

See "Resource Management for Pods and Containers", and KEP-2254 for the conversion of shares to weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers import resources
from tiphys.api.machinery.base import Quantity
from tiphys.node.pod.plan import AnyContainer

PERIOD = 100_000
MIN_SHARES = 2
MAX_SHARES = 262_144
MIN_QUOTA = 1_000


class Limits(msgspec.Struct, frozen=True):
    """Limits of a group; None means no limit. Quota is in microseconds per `PERIOD`, memory in bytes."""

    cpu_shares: int = MIN_SHARES
    cpu_quota: int | None = None
    memory: int | None = None


def shares(milli: int) -> int:
    """CPU shares for thousandths of a core."""
    return min(max(milli * 1024 // 1000, MIN_SHARES), MAX_SHARES)


def quota(milli: int) -> int:
    """Microseconds of CPU per period for thousandths of a core."""
    return max(milli * PERIOD // 1000, MIN_QUOTA)


def weight(cpu_shares: int) -> int:
    """cgroup v2's cpu.weight (1..10000) for v1's cpu.shares (2..262144)."""
    return 1 + ((cpu_shares - 2) * 9999) // 262142


def _amount(listed: Mapping[str, Quantity], name: str) -> int | None:
    return resources.amount(name, listed[name]) if name in listed else None


def request_or_limit(container: AnyContainer, name: str) -> int:
    """Return the request of a container (thousandths of cores, bytes); a limit alone counts as the request."""
    request = _amount(container.resources.requests, name)
    return request if request is not None else (_amount(container.resources.limits, name) or 0)


def container_limits(container: AnyContainer) -> Limits:
    """The limits of one container's own group."""
    cpu, memory = _amount(container.resources.limits, "cpu"), _amount(container.resources.limits, "memory")
    return Limits(shares(request_or_limit(container, "cpu")), quota(cpu) if cpu else None, memory or None)


def pod_limits(pod: core.Pod) -> Limits:
    """The limits of the pod's group: containers and sidecars together, or the largest init container where that is more.

    A limit holds for the pod only if every container has one, or the pod as a whole.
    """
    requests, limits = resources.pod_requests(pod), resources.pod_limits(pod)
    cpu = limits.get("cpu") if _is_limited(pod, "cpu") else None
    memory = limits.get("memory") if _is_limited(pod, "memory") else None
    return Limits(shares(requests.get("cpu", 0)), quota(cpu) if cpu else None, memory or None)


def _is_limited(pod: core.Pod, name: str) -> bool:
    if pod.spec.resources is not None and name in pod.spec.resources.limits:
        return True
    return all(name in container.resources.limits for container in (*pod.spec.initContainers, *pod.spec.containers))


def oom_score_adj(pod: core.Pod, container: AnyContainer, memory_capacity: int) -> int:
    """Return how readily the kernel kills the container when memory runs out: -997 guaranteed, 1000 best effort, the others between."""
    qos = pod.status.qosClass or resources.qos_class(pod)
    if pod.spec.priority is not None and pod.spec.priority >= 2_000_000_000:
        return -997
    if qos == "Guaranteed":
        return -997
    if qos == "BestEffort" or not memory_capacity:
        return 1000
    score = 1000 - (1000 * request_or_limit(container, "memory")) // memory_capacity
    return min(max(score, 3), 999)
