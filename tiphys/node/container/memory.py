"""Memory of containers beyond the limit, where the kernel has control groups v2: swap, protection, throttling, ends together. Pure.

See "Swap memory management", KEP-2570 (memory QoS) and KEP-2400 (swap). Control groups v1 have none of it: there only the limit counts, and
what a container swaps counts against it.
"""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers import resources
from tiphys.node.host.cgroups import request_or_limit
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.pod.preemption import is_critical
from tiphys.node.settings import Reservation, SwapBehavior

_PAGE = 4096


class MemoryRules(msgspec.Struct, frozen=True, kw_only=True):
    """Treatment of the memory of containers on a node. The amounts are in bytes."""

    capacity: int = 0
    allocatable: int = 0
    swap: int = 0
    v2: bool = False
    """True if the kernel has control groups v2."""
    swap_behavior: SwapBehavior = "NoSwap"
    throttling: float | None = None
    """Share of the way from the request to the limit at which the kernel begins to slow a container down; None: never."""
    reservation: Reservation = "None"
    ends_together: bool = True
    """True if all processes of a container are killed when its memory runs out."""


def unified(pod: core.Pod, container: AnyContainer, rules: MemoryRules) -> dict[str, str]:
    """Return the files of a container's group with their content; none for control groups v1."""
    if not rules.v2:
        return {}
    files = {"memory.swap.max": str(swap_limit(pod, container, rules)), "memory.oom.group": "1" if rules.ends_together else "0"}
    request, limit = request_or_limit(container, "memory"), _limit(container)
    if rules.reservation == "TieredReservation" and request:
        guaranteed = resources.qos_class(pod) == "Guaranteed"
        files["memory.min" if guaranteed else "memory.low"] = str(request)
    if rules.throttling is not None and request != limit:
        high = _throttled(request, limit or rules.allocatable, rules.throttling)
        if high > request:
            files["memory.high"] = str(high)
    return files


def swap_limit(pod: core.Pod, container: AnyContainer, rules: MemoryRules) -> int:
    """Return the bytes that a container may swap: its share of the swap is that of its request of the memory.

    Only containers of burstable pods that could use more than they request may swap, and none of critical pods.
    """
    request, limit = request_or_limit(container, "memory"), _limit(container)
    excluded = is_critical(pod) or resources.qos_class(pod) != "Burstable" or not request or request == limit
    if rules.swap_behavior != "LimitedSwap" or excluded or not rules.capacity:
        return 0
    return int(request / rules.capacity * rules.swap)


def _limit(container: AnyContainer) -> int:
    limits = container.resources.limits
    return resources.amount("memory", limits["memory"]) if "memory" in limits else 0


def _throttled(request: int, ceiling: int, factor: float) -> int:
    return int((request + (ceiling - request) * factor) // _PAGE * _PAGE)
