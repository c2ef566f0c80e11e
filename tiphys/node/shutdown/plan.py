"""The order in which pods end when their node shuts down, and the time that each has. Pure. See "Node Shutdowns", KEP-2000 and KEP-2712."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.pod.preemption import CRITICAL

REASON: Final = "Terminated"
MESSAGE: Final = "Pod was terminated in response to imminent node shutdown."


class Period(msgspec.Struct, frozen=True):
    """Seconds for the pods whose priority is at least this one, and below that of the next period."""

    priority: int
    seconds: int


class Group(msgspec.Struct, frozen=True):
    """Pods that end together, and the seconds that they have."""

    seconds: int
    pods: tuple[core.Pod, ...]


def periods(grace: float, critical: float, by_priority: Sequence[tuple[int, int]]) -> list[Period]:
    """Return the periods from the lowest priority to the highest; none if graceful shutdown is off."""
    if by_priority:
        return [Period(priority, seconds) for priority, seconds in sorted(by_priority)]
    if not grace:
        return []
    return [Period(0, int(grace - critical)), Period(CRITICAL, int(critical))]


def groups(pods: Iterable[core.Pod], periods: Sequence[Period]) -> list[Group]:
    """Return the pods in the order in which they end. A pod below all periods belongs to the lowest; periods without pods are left out."""
    members: dict[int, list[core.Pod]] = {}
    priorities = [period.priority for period in periods]
    for pod in pods:
        index = max(bisect_right(priorities, pod.spec.priority or 0) - 1, 0)
        members.setdefault(index, []).append(pod)
    return [Group(periods[index].seconds, tuple(members[index])) for index in sorted(members)]


def grace(pod: core.Pod, seconds: int) -> int:
    """Return the seconds that a pod of a group has: its own grace period, if that is shorter."""
    own = pod.spec.terminationGracePeriodSeconds
    return seconds if own is None else min(own, seconds)
