"""Which changes in the cluster may help which parked pods ("Scheduler queueing hints", KEP-4247). Pure.

A hint is a question about a parked pod: may what happened let it in? Wrong yeses cost a try, wrong nos cost the pod five minutes.
"""

from __future__ import annotations

from collections.abc import Callable

from tiphys.api.core import v1 as core
from tiphys.scheduler.queue import Waiting
from tiphys.scheduler.snapshot import NodeFacts
from tiphys.scheduler.template import PodInfo

Hint = Callable[[Waiting], bool]

FIT, PORTS = "NodeResourcesFit", "NodePorts"


def node_changed(before: NodeFacts | None, after: NodeFacts) -> Hint | None:
    """A node came, or something about it that matters changed."""
    if before is None:
        return lambda waiting: True
    rules: set[str] = set()
    if before.unschedulable and not after.unschedulable:
        rules.add("NodeUnschedulable")
    if before.taints != after.taints:
        rules.add("TaintToleration")
    if before.labels != after.labels:
        rules |= {"NodeAffinity", "PodTopologySpread", "InterPodAffinity"}
    if before.allocatable != after.allocatable:
        rules.add(FIT)
    if not rules:
        return None
    return lambda waiting: not waiting.rules or not rules.isdisjoint(waiting.rules)


def pod_removed(info: PodInfo) -> Hint:
    """A pod left its node: what it had is free."""

    def helps(waiting: Waiting) -> bool:
        rules = waiting.rules
        if FIT in rules or not rules or "PodTopologySpread" in rules or "InterPodAffinity" in rules:
            return True
        return PORTS in rules and bool(info.template.ports)

    return helps


def pod_changed(before: PodInfo | None, after: PodInfo) -> Hint | None:
    """A pod on a node changed (or is new there): it may need less, or attract others."""
    smaller = before is not None and any(
        value > after.template.requests.amounts.get(name, 0) for name, value in before.template.requests.amounts.items()
    )
    relabelled = before is None or before.pod.metadata.labels != after.pod.metadata.labels
    if not smaller and not relabelled:
        return None

    def helps(waiting: Waiting) -> bool:
        return (smaller and FIT in waiting.rules) or (
            relabelled and not waiting.rules.isdisjoint(("InterPodAffinity", "PodTopologySpread"))
        )

    return helps


def own_change_helps(old: core.Pod, new: core.Pod) -> bool:
    """Whether a waiting pod itself changed in a way that scheduling looks at."""
    return old.spec != new.spec or old.metadata.labels != new.metadata.labels
