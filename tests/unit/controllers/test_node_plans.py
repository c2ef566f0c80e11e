"""Nodes: conditions, taints, when to stop evicting; tolerations; ranges; finished pods."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.make import NOW, ago, pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.taints import tolerates
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.node.plan import PACE, SLOW_PACE, Census, silent_conditions, taints
from tiphys.controllers.nodeipam.controller import NodeIpamController, free_range
from tiphys.controllers.nodeipam.settings import NodeIpamSettings
from tiphys.controllers.podgc.controller import surplus
from tiphys.controllers.taints.plan import leave_at


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


# Tolerations

T = core.Toleration
TAINT = core.Taint(key="k", value="5", effect="NoExecute")


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        (T(operator="Exists"), True),
        (T(key="k", operator="Exists"), True),
        (T(key="k", value="5"), True),
        (T(key="k", value="6"), False),
        (T(key="k", operator="Equal", value="5", effect="NoExecute"), True),
        (T(key="k", operator="Exists", effect="NoSchedule"), False),
        (T(key="j", operator="Exists"), False),
        (T(value="5"), True),  # validation refuses it; the meaning of an absent key is "any"
        (T(key="k", operator="Lt", value="9"), True),
        (T(key="k", operator="Gt", value="9"), False),
        (T(key="k", operator="Gt", value="many"), False),
    ],
)
def test_coverage_of_tolerations(toleration: core.Toleration, covers: bool) -> None:
    assert tolerates(toleration, TAINT) is covers


@pytest.mark.parametrize(
    ("tolerations", "moment"),
    [
        ([], ago(10)),
        ([T(operator="Exists")], None),
        ([T(operator="Exists", tolerationSeconds=30)], ago(-20)),
        ([T(operator="Exists", tolerationSeconds=30), T(key="k", operator="Exists", tolerationSeconds=5)], ago(5)),
        ([T(operator="Exists"), T(key="k", operator="Exists", tolerationSeconds=5)], ago(5)),
        ([T(operator="Exists", tolerationSeconds=-1)], ago(10)),
    ],
)
def test_time_of_eviction(tolerations: list[core.Toleration], moment: datetime | None) -> None:
    assert leave_at([TAINT], tolerations, [ago(10)]) == moment


def test_every_taint_must_be_tolerated() -> None:
    other = core.Taint(key="j", effect="NoExecute")
    assert leave_at([TAINT, other], [T(key="k", operator="Exists")], [ago(10), ago(3)]) == ago(10)
    assert leave_at([], [], []) is None


# Ranges of nodes


@given(st.sets(st.integers(0, 15)), st.booleans())
def test_a_free_range_is_free(used: set[int], odd: bool) -> None:
    cluster = ip_network("10.42.0.0/20")
    taken = [f"10.42.{number}.0/24" for number in used] + (["10.42.3.128/25", "fd00::/64"] if odd else [])
    found = free_range(cluster, 24, taken)
    blocked = used | ({3} if odd else set())
    if blocked == set(range(16)):
        assert found is None
    else:
        assert found == f"10.42.{min(set(range(16)) - blocked)}.0/24"


def test_ranges_must_fit() -> None:
    with pytest.raises(ValueError, match="cannot have a prefix of 12 bits"):
        NodeIpamController(NodeIpamSettings(node_mask=12))


# Finished pods


def test_evicted_pods_go_first_then_the_oldest() -> None:
    evicted = pod("evicted", phase="Failed", age=1)
    evicted.status.reason = "Evicted"
    pods = [pod("young", phase="Succeeded", age=10), evicted, pod("old", phase="Succeeded", age=99)]
    assert [found.metadata.name for found in surplus(pods, 1)] == ["evicted", "old"]
    assert surplus(pods, 3) == []
