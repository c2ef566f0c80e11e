"""Choice of the pods that make room for a critical one that the node has no room for. Pure.

See "Guaranteed Scheduling For Critical Add-On Pods". BestEffort pods go before Burstable and these before Guaranteed ones; within a class
those go that come nearest to what is missing, so that few do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import Amounts, pod_requests, qos_class
from tiphys.node.static.annotations import is_static

CRITICAL: Final = 2_000_000_000
"""Priority from which pods are critical to the cluster."""
REASON: Final = "Preempting"
MESSAGE: Final = "Preempted in order to admit critical pod"
DISRUPTION: Final = "Pod was preempted by Kubelet to accommodate a critical pod."


class NoRoom(Exception):
    """All pods that may be preempted together do not free enough; names the rest."""


def is_critical(pod: core.Pod) -> bool:
    """True if the cluster does not work without the pod, or the node runs it by itself."""
    return (pod.spec.priority or 0) >= CRITICAL or is_static(pod)


def may_preempt(pod: core.Pod, other: core.Pod) -> bool:
    """True if the other has to make room for the pod: it is not critical, or less important."""
    if is_critical(pod) and not is_critical(other):
        return True
    priorities = pod.spec.priority, other.spec.priority
    return priorities[0] is not None and priorities[1] is not None and priorities[0] > priorities[1]


def victims(pod: core.Pod, others: Sequence[core.Pod], missing: Amounts) -> list[core.Pod]:
    """The pods to preempt so that `missing` is free. Raises NoRoom."""
    tiers: dict[str, list[core.Pod]] = {"BestEffort": [], "Burstable": [], "Guaranteed": []}
    for other in others:
        if may_preempt(pod, other):
            tiers[other.status.qosClass or qos_class(other)].append(other)
    cheap, middle, dear = tiers.values()
    if left := _without(missing, [*cheap, *middle, *dear]):
        raise NoRoom("[" + "".join(f"(res: {name}, q: {number}), " for name, number in left.items()) + "]")
    # Of each class those that are needed although everything cheaper goes, then as much of the cheaper as is needed besides.
    chosen_dear = _nearest(dear, _without(missing, [*cheap, *middle]))
    chosen_middle = _nearest(middle, _without(missing, [*cheap, *chosen_dear]))
    chosen_cheap = _nearest(cheap, _without(missing, [*chosen_middle, *chosen_dear]))
    return [*chosen_cheap, *chosen_middle, *chosen_dear]


def _gives(pod: core.Pod) -> Amounts:
    return {**pod_requests(pod), "pods": 1}


def _without(missing: Amounts, pods: Sequence[core.Pod]) -> Amounts:
    """Return the amounts still missing when these pods are gone."""
    amounts = [_gives(pod) for pod in pods]
    left = {name: number - sum(one.get(name, 0) for one in amounts) for name, number in missing.items()}
    return {name: number for name, number in left.items() if number > 0}


def _nearest(pods: Sequence[core.Pod], missing: Amounts) -> list[core.Pod]:
    """Pods one after the other, each the one that leaves the least missing, the smaller of two that leave as much."""
    rest, chosen = list(pods), []
    while missing:
        best = min(rest, key=lambda pod: _rank(pod, missing))
        rest.remove(best)
        chosen.append(best)
        missing = _without(missing, [best])
    return chosen


def _rank(pod: core.Pod, missing: Amounts) -> tuple[float, int, int]:
    gives = _gives(pod)
    distance = sum((max(number - gives.get(name, 0), 0) / number) ** 2 for name, number in missing.items())
    return distance, gives.get("memory", 0), gives.get("cpu", 0)
