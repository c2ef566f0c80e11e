"""Nodes: conditions, taints, and when to stop evicting."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import NOW, ago
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.node.plan import PACE, SLOW_PACE, Census, silent_conditions, taints


def node(name: str = "n", ready: str = "True", zone: str = "z", cordoned: bool = False, *born: core.Taint, **pressures: str) -> core.Node:
    conditions = [core.NodeCondition(type=type_, status=status, lastHeartbeatTime=ago(50)) for type_, status in pressures.items()]
    if ready:
        conditions.append(core.NodeCondition(type="Ready", status=ready, lastHeartbeatTime=ago(50), lastTransitionTime=ago(500)))
    meta = ObjectMeta(name=name, labels={"topology.kubernetes.io/zone": zone}, creationTimestamp=ago(900))
    return core.Node(
        metadata=meta, spec=core.NodeSpec(unschedulable=cordoned, taints=list(born)), status=core.NodeStatus(conditions=conditions)
    )


def shown(found: core.Node, *, evict: bool = True) -> set[str]:
    return {f"{taint.key.removeprefix('node.kubernetes.io/')}:{taint.effect}" for taint in taints(found, evict=evict, now=NOW)}


BIRTH = core.Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule")


MINE = core.Taint(key="mine", effect="NoExecute")


@pytest.mark.parametrize(
    ("found", "evict", "expected"),
    [
        (node(), True, set()),
        (node("n", "True", "z", False, BIRTH, MINE), True, {"mine:NoExecute"}),
        (node("n", "", "z", False, BIRTH), True, {"not-ready:NoSchedule"}),
        (node(ready="False"), True, {"not-ready:NoSchedule", "not-ready:NoExecute"}),
        (node(ready="False"), False, {"not-ready:NoSchedule"}),
        (node("n", "Unknown", "z", False, BIRTH), True, {"unreachable:NoSchedule", "unreachable:NoExecute"}),
        (node(cordoned=True, DiskPressure="True", MemoryPressure="False"), True, {"unschedulable:NoSchedule", "disk-pressure:NoSchedule"}),
    ],
)
def test_taints(found: core.Node, evict: bool, expected: set[str]) -> None:
    assert shown(found, evict=evict) == expected
    found.spec.taints = taints(found, evict=evict, now=NOW)
    assert taints(found, evict=evict, now=ago(-99)) == found.spec.taints


def test_silence_makes_everything_unknown() -> None:
    found = silent_conditions(node(DiskPressure="False", NetworkUnavailable="False"), NOW)
    states = {c.type: (c.status, c.reason) for c in found}
    assert states == {
        "Ready": ("Unknown", "NodeStatusUnknown"),
        "DiskPressure": ("Unknown", "NodeStatusUnknown"),
        "MemoryPressure": ("Unknown", "NodeStatusNeverUpdated"),
        "PIDPressure": ("Unknown", "NodeStatusNeverUpdated"),
        "NetworkUnavailable": ("False", ""),
    }
    ready = next(c for c in found if c.type == "Ready")
    assert (ready.lastHeartbeatTime, ready.lastTransitionTime) == (ago(50), NOW)


def census(*groups: tuple[str, int, int]) -> Census:
    """Zones with so many fine and lost nodes."""
    found = Census()
    for zone, fine, lost in groups:
        for number in range(fine + lost):
            found.put(node(f"{zone}{number}", "True" if number < fine else "Unknown", zone))
    return found


@pytest.mark.parametrize(
    ("groups", "pace"),
    [
        ([("z", 9, 1)], PACE),
        ([("z", 1, 2)], PACE),  # two nodes are no pattern
        ([("z", 2, 4)], None),  # a small cluster in trouble stops
        ([("z", 20, 40)], SLOW_PACE),
        ([("z", 0, 1)], None),
        ([("z", 0, 5), ("y", 0, 3)], None),
        ([("z", 0, 5), ("y", 3, 0)], PACE),  # a whole zone is gone, the others are there to take its pods
    ],
)
def test_pace_of_evictions(groups: list[tuple[str, int, int]], pace: float | None) -> None:
    assert census(*groups).pace(node("z0", "Unknown", "z")) == pace


def test_the_census_tells_when_things_turn() -> None:
    found = census(("z", 2, 0))
    assert not found.put(node("z0", "Unknown", "z"))
    assert found.put(node("z1", "False", "z"))
    assert not found.put(node("z1", "Unknown", "z"))
    assert found.put(node("z2", "True", "z"))
    assert found.drop("z2")
    assert not found.put(node("new", "", "z"))
