"""Queueing hints: which parked pods a change in the cluster may help ("Scheduler queueing hints", KEP-4247). Pure.

A hint is a question about a parked pod, asked once for all pods of its kind: may what happened let it in? A wrong yes costs a try, a wrong
no costs the pod five minutes.
"""

from __future__ import annotations

from collections.abc import Callable

from tiphys.scheduler.causes import ALLOWED
from tiphys.scheduler.filters.order import FILTERS
from tiphys.scheduler.neighbors import AFFINITY, SPREAD
from tiphys.scheduler.queue import Waiting
from tiphys.scheduler.slim import SlimPod
from tiphys.scheduler.snapshot import NodeFacts, Snapshot
from tiphys.scheduler.template import PodInfo, Template
from tiphys.scheduler.volumes.checks import VolumeChecks
from tiphys.scheduler.volumes.claims import LIMITS, RESTRICTIONS
from tiphys.scheduler.volumes.pod import PodVolumes

Hint = Callable[[Waiting], bool]

FIT, PORTS = "NodeResourcesFit", "NodePorts"
SOCIAL = frozenset((SPREAD, AFFINITY))


def node_changed(before: NodeFacts | None, after: NodeFacts, cluster: Snapshot, volumes: VolumeChecks | None = None) -> Hint | None:
    """Return the hint for a node that was added or changed in a way that matters. The snapshot must contain it already."""
    rules: set[str] = set()
    if before is None or (before.unschedulable and not after.unschedulable):
        rules.add("NodeUnschedulable")
    if before is None or before.taints != after.taints:
        rules |= {"TaintToleration", SPREAD}
    if before is None or before.labels != after.labels:
        rules |= {"NodeAffinity", SPREAD, AFFINITY}
    if before is None or before.allocatable != after.allocatable:
        rules.add(FIT)
    if before is None:
        rules.add(PORTS)
    if not rules:
        return None
    row = cluster.row_of[after.name]
    checks = volumes or VolumeChecks(cluster)

    def helps(waiting: Waiting) -> bool:
        if waiting.info.volumes is not None and checks.refusal(waiting.info) is not None:
            # No node is looked at until its claims are as they must be.
            return False
        if not waiting.rules or waiting.rules & rules & SOCIAL:
            # Domains are of many nodes: what changed here may open others.
            return True
        # Not only for the rules that are known to have refused: they hide those that come after them in the order. A node that is
        # uncordoned keeps its taint for a moment, and the pod parked by the cordon waits for the taint from then on.
        return _could_take(cluster, row, waiting.info.template) and (
            waiting.info.volumes is None or checks.lasting_cause_in(waiting.info.volumes, row) == ALLOWED
        )

    return helps


def _could_take(cluster: Snapshot, row: int, template: Template) -> bool:
    """Return whether a node could run such a pod if no other pod were on it."""
    rows = slice(row, row + 1)
    return not any(
        not rule.allowed(template, cluster, rows)[0] and (not rule.depends_on_pods or rule.is_final(template, cluster, row))
        for rule in FILTERS
    )


def node_removed(waiting: Waiting) -> bool:
    """Return the hint for a removed node: it may have made spreading uneven, or held pods that others avoid."""
    return bool(waiting.rules & SOCIAL)


def pod_removed(info: PodInfo) -> Hint:
    """Return the hint for a pod that left its node (or is being deleted): its resources are free."""

    def helps(waiting: Waiting) -> bool:
        rules = waiting.rules
        # Of the pod's resources, its place among the node's pods is free in any case.
        if not rules or FIT in rules or bool(rules & SOCIAL) or (PORTS in rules and bool(info.template.ports)):
            return True
        return info.volumes is not None and waiting.info.volumes is not None and _frees(info.volumes, waiting.info.volumes, rules)

    return helps


def _frees(gone: PodVolumes, needed: PodVolumes, rules: frozenset[str]) -> bool:
    """Return whether the volumes of a pod that left may have kept out another."""
    if LIMITS in rules and gone.claims:
        return True
    shared = any(gone.uses(key) for key in needed.named) or any(disk.conflicts(other) for disk in gone.disks for other in needed.disks)
    return RESTRICTIONS in rules and shared


def pod_changed(before: PodInfo | None, after: PodInfo) -> Hint | None:
    """Return the hint for a changed (or new) pod on a node: it may need less, or attract others."""
    smaller = before is not None and any(
        value > after.template.requests.amounts.get(name, 0) for name, value in before.template.requests.amounts.items()
    )
    other = before is None or before.social is not after.social or before.terminating != after.terminating
    if not smaller and not other:
        return None

    def helps(waiting: Waiting) -> bool:
        return (smaller and FIT in waiting.rules) or (other and not SOCIAL.isdisjoint(waiting.rules))

    return helps


def own_change_helps(old: SlimPod, new: SlimPod) -> bool:
    """Return whether a waiting pod itself changed in a way that matters to scheduling."""
    claims = old.status.resourceClaimStatuses != new.status.resourceClaimStatuses
    return claims or old.spec != new.spec or old.metadata.labels != new.metadata.labels
