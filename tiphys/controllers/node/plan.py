"""Conditions of a node, and the taints that follow from them ("Node Status", "Taint Nodes by Condition"). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import time
from tiphys.api.well_known import (
    DISK_PRESSURE,
    MEMORY_PRESSURE,
    NETWORK_UNAVAILABLE,
    NOT_READY,
    PID_PRESSURE,
    REGION,
    UNREACHABLE,
    UNSCHEDULABLE,
    ZONE,
)
from tiphys.controllers.shared.nodes import readiness

REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that only the node itself can report, so that they are unknown when it is silent."""

_PRESSURES = {
    "MemoryPressure": MEMORY_PRESSURE,
    "DiskPressure": DISK_PRESSURE,
    "PIDPressure": PID_PRESSURE,
    "NetworkUnavailable": NETWORK_UNAVAILABLE,
}

PARTIAL = 0.55
"""Share of lost nodes from which on a zone counts as disrupted, so that evictions would make it worse."""
PARTIAL_NODES = 3
SMALL = 50
"""Size up to which clusters stop evictions in such a zone; larger ones slow them down."""
PACE = 10.0
SLOW_PACE = 100.0
"""Seconds between evictions of nodes, per zone."""

Mode = Literal["normal", "partial", "full"]


def silent_conditions(node: core.Node, now: datetime) -> list[core.NodeCondition]:
    """Return the conditions of a node without heartbeats."""
    moment = time(now)
    conditions = [_unknown(condition, moment) if condition.type in REPORTED else condition for condition in node.status.conditions]
    present = {condition.type for condition in conditions}
    for type_ in REPORTED:
        if type_ not in present:
            conditions.append(
                core.NodeCondition(
                    type=type_,
                    status="Unknown",
                    lastHeartbeatTime=node.metadata.creationTimestamp,
                    lastTransitionTime=moment,
                    reason="NodeStatusNeverUpdated",
                    message="Kubelet never posted node status.",
                )
            )
    return conditions


def _unknown(condition: core.NodeCondition, moment: datetime) -> core.NodeCondition:
    if condition.status == "Unknown":
        return condition
    return core.NodeCondition(
        type=condition.type,
        status="Unknown",
        lastHeartbeatTime=condition.lastHeartbeatTime,
        lastTransitionTime=moment,
        reason="NodeStatusUnknown",
        message="Kubelet stopped posting node status.",
    )


def taints(node: core.Node, *, evict: bool, now: datetime) -> list[core.Taint]:
    """Return the taints that the node should have. `evict` says whether a lost node's pods may be sent away now."""
    desired = _desired_taints(node, evict=evict)
    managed = _managed(node)
    kept = [taint for taint in node.spec.taints if (taint.key, taint.effect) in desired or (taint.key, taint.effect) not in managed]
    present = {(taint.key, taint.effect) for taint in kept}
    added = [
        core.Taint(key=key, effect=effect, timeAdded=time(now))
        for key, effect in sorted(desired, reverse=True)
        if (key, effect) not in present
    ]
    return [*kept, *added]


def _managed(node: core.Node) -> set[tuple[str, str]]:
    """Return the taints that the controller may remove: those from the creation of a node stay until it has reported."""
    managed = {(key, "NoSchedule") for key in (*_PRESSURES.values(), UNSCHEDULABLE)}
    if readiness(node):
        managed |= {(key, effect) for key in (NOT_READY, UNREACHABLE) for effect in ("NoSchedule", "NoExecute")}
    return managed


def _desired_taints(node: core.Node, *, evict: bool) -> set[tuple[str, str]]:
    statuses = {condition.type: condition.status for condition in node.status.conditions}
    desired = {(key, "NoSchedule") for type_, key in _PRESSURES.items() if statuses.get(type_) == "True"}
    if node.spec.unschedulable:
        desired.add((UNSCHEDULABLE, "NoSchedule"))
    key = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(statuses.get("Ready", ""))
    if key is not None:
        desired.add((key, "NoSchedule"))
        if evict:
            desired.add((key, "NoExecute"))
    return desired


def is_evicting(node: core.Node) -> bool:
    """Return whether its pods are being evicted because it was lost."""
    return any(taint.effect == "NoExecute" and taint.key in (NOT_READY, UNREACHABLE) for taint in node.spec.taints)


def zone_of(node: core.Node) -> str:
    """Return the region and zone: nodes that may fail together."""
    labels = node.metadata.labels
    return f"{labels.get(REGION, '')}:{labels.get(ZONE, '')}"


def mode(lost: int, fine: int) -> Mode:
    """Classify a zone, or the cluster, by its share of lost nodes."""
    if lost and not fine:
        return "full"
    if lost >= PARTIAL_NODES and lost / (lost + fine) >= PARTIAL:
        return "partial"
    return "normal"


class Census:
    """Numbers of lost nodes per zone. Nodes that have not reported yet do not count."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, bool]] = {}
        self._counts: Counter[tuple[str, bool]] = Counter()
        self._total: Counter[bool] = Counter()

    def put(self, node: core.Node) -> bool:
        """Count a node as it is now; returns whether the mode of its zone or of the cluster changed."""
        return self._move(node.metadata.name, (zone_of(node), readiness(node) != "True") if readiness(node) else None)

    def drop(self, name: str) -> bool:
        """Remove a node; returns whether a mode changed."""
        return self._move(name, None)

    def _move(self, name: str, now: tuple[str, bool] | None) -> bool:
        before = self._known.pop(name, None)
        if now is not None:
            self._known[name] = now
        if before == now:
            return False
        zones = {state[0] for state in (before, now) if state is not None}
        modes = self._modes(zones)
        for state, step in ((before, -1), (now, 1)):
            if state is not None:
                self._counts[state] += step
                self._total[state[1]] += step
        return modes != self._modes(zones)

    def _modes(self, zones: Iterable[str]) -> list[Mode]:
        return [self.mode(), *(self.mode(zone) for zone in sorted(zones))]

    def mode(self, zone: str | None = None) -> Mode:
        """Return the mode of a zone, or of the whole cluster."""
        if zone is None:
            return mode(self._total[True], self._total[False])
        return mode(self._counts[zone, True], self._counts[zone, False])

    def pace(self, node: core.Node) -> float | None:
        """Return the seconds between evictions in the zone of this node, None for no evictions at all.

        When every node is lost the fault is most likely on this side, and nobody is sent anywhere.
        """
        if self.mode() == "full":
            return None
        if self.mode(zone_of(node)) != "partial":
            return PACE
        return SLOW_PACE if len(self._known) > SMALL else None
