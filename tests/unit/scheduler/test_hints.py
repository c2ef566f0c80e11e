"""Queueing hints: one example of each change that wakes parked pods."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from tests.unit.scheduler.make import info, node, pod
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.scheduler import hints
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.queue import Waiting
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Reader

WEB = meta.LabelSelector(matchLabels={"app": "web"})
TERMS = [core.PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=WEB)]
NEAR = core.Affinity(podAffinity=core.PodAffinity(requiredDuringSchedulingIgnoredDuringExecution=TERMS))
FAR = core.Affinity(podAntiAffinity=core.PodAntiAffinity(requiredDuringSchedulingIgnoredDuringExecution=TERMS))
SPREAD = [
    core.TopologySpreadConstraint(
        maxSkew=1, topologyKey="kubernetes.io/hostname", whenUnsatisfiable="DoNotSchedule", labelSelector=WEB, nodeTaintsPolicy="Honor"
    )
]
SPREAD_POD = pod("p", cpu="2", labels={"app": "web"}, topologySpreadConstraints=SPREAD)
TAINT = core.Taint(key="x", effect="NoSchedule")


def waiting(cluster: Snapshot, wanted: core.Pod) -> Waiting:
    """The pod as it is parked."""
    made = info(wanted)
    decision = Cycle(cluster, rng=random.Random(1)).place(made)
    assert isinstance(decision, Diagnosis), decision
    return Waiting(made, 0.0, 0, rules=decision.rules)


@pytest.mark.parametrize(
    ("before", "after", "wanted", "helps"),
    [
        (node("n", taints=[TAINT]), node("n"), pod("p"), True),
        (node("n", taints=[TAINT]), node("n", taints=[TAINT], labels={"a": "b"}), pod("p"), False),
        (node("n", taints=[TAINT], cpu="1"), node("n", cpu="1"), pod("p", cpu="2"), False),
        (node("n", unschedulable=True), node("n"), pod("p"), True),
        (node("n"), node("n", labels={"disk": "ssd"}), pod("p", nodeSelector={"disk": "ssd"}), True),
        (node("n"), node("n", labels={"disk": "hdd"}), pod("p", nodeSelector={"disk": "ssd"}), False),
        (node("n", cpu="1"), node("n", cpu="2"), pod("p", cpu="2"), True),
        (node("n", cpu="1"), node("n", cpu="1.5"), pod("p", cpu="2"), False),
        (node("n", cpu="1"), node("n", cpu="1", labels={"disk": "ssd"}), pod("p", cpu="2"), False),
        (None, node("n2"), pod("p", cpu="2"), True),
        (None, node("n2", cpu="1"), pod("p", cpu="2"), False),
        (None, node("n2"), pod("p", affinity=NEAR), True),
    ],
)
def test_nodes(before: core.Node | None, after: core.Node, wanted: core.Pod, helps: bool) -> None:
    cluster = Snapshot()
    cluster.put_node(before or node("other", cpu="1"))
    one = waiting(cluster, wanted)
    known = cluster.put_node(after)
    facts = cluster.facts(after.metadata.name)
    assert facts is not None
    hint = hints.node_changed(known, facts, cluster)
    assert (hint is not None and hint(one)) is helps


def test_a_heartbeat_changes_nothing() -> None:
    cluster = Snapshot()
    cluster.put_node(node("n", cpu="1"))
    again = node("n", cpu="1")
    again.status.conditions[0].message = "still well"
    assert cluster.put_node(again) is cluster.facts("n")


def _spread_cluster() -> Snapshot:
    """One web pod on n1, and n2, which has none, is too small for another: the pod that comes may go to neither."""
    cluster = Snapshot()
    cluster.put_node(node("n1"))
    cluster.put_node(node("n2", cpu="1"))
    cluster.put_pod(info(pod("web", labels={"app": "web"})), "n1")
    return cluster


def _drop(cluster: Snapshot) -> hints.Hint | None:
    cluster.drop_node("n2")
    return hints.node_removed


def _taint(cluster: Snapshot) -> hints.Hint | None:
    before = cluster.put_node(node("n2", cpu="1", taints=[TAINT]))
    after = cluster.facts("n2")
    assert after is not None
    return hints.node_changed(before, after, cluster)


def _terminate(cluster: Snapshot) -> hints.Hint | None:
    known = next(iter(cluster.pods_on["n1"].values()))
    leaving = msgspec.structs.replace(known, terminating=True)
    cluster.put_pod(leaving, "n1")
    return hints.pod_changed(known, leaving)


def _remove(cluster: Snapshot) -> hints.Hint | None:
    known = next(iter(cluster.pods_on["n1"].values()))
    cluster.drop_pod(known.uid)
    return hints.pod_removed(known)


def _place(cluster: Snapshot) -> hints.Hint | None:
    other = info(pod("web-2", labels={"app": "web"}))
    cluster.put_pod(other, "n2")
    return hints.pod_changed(None, other)


def test_a_node_that_goes_takes_its_pods_out_of_their_domain() -> None:
    cluster = Snapshot()
    zone = {"topology.kubernetes.io/zone": "east"}
    cluster.put_node(node("n1", labels=zone))
    cluster.put_node(node("n2", labels=zone))
    cluster.put_pod(info(pod("web", labels={"app": "web"})), "n1")
    terms = [core.PodAffinityTerm(topologyKey="topology.kubernetes.io/zone", labelSelector=WEB)]
    far = core.Affinity(podAntiAffinity=core.PodAntiAffinity(requiredDuringSchedulingIgnoredDuringExecution=terms))
    one = waiting(cluster, pod("p", affinity=far))
    cluster.drop_node("n1")
    assert Cycle(cluster, rng=random.Random(1)).place(one.info) == "n2"
    assert hints.node_removed(one)


@pytest.mark.parametrize("change", [_drop, _taint, _terminate, _remove, _place])
def test_changes_that_even_out_spreading_are_hints(change: Callable[[Snapshot], hints.Hint | None]) -> None:
    cluster = _spread_cluster()
    one = waiting(cluster, SPREAD_POD)
    hint = change(cluster)
    assert Cycle(cluster, rng=random.Random(1)).place(one.info) == "n1"
    assert hint is not None
    assert hint(one)


@pytest.mark.parametrize(
    ("there", "wanted", "helps"),
    [
        (pod("a", cpu="4"), pod("p", cpu="2"), True),
        (pod("a", host_port=80), pod("p", host_port=80), True),
        (pod("a"), pod("p", nodeSelector={"disk": "ssd"}), False),
        (pod("a", labels={"app": "web"}), pod("p", affinity=FAR), True),
    ],
)
def test_pods_that_leave(there: core.Pod, wanted: core.Pod, helps: bool) -> None:
    cluster = Snapshot()
    cluster.put_node(node("n"))
    cluster.put_pod(info(there), "n")
    one = waiting(cluster, wanted)
    assert _leaves(cluster, there)(one) is helps


def _leaves(cluster: Snapshot, there: core.Pod) -> hints.Hint:
    known = cluster.drop_pod(there.metadata.uid)
    assert known is not None
    return hints.pod_removed(known)


@pytest.mark.parametrize(
    ("before", "after", "wanted", "helps"),
    [
        (None, pod("a", labels={"app": "web"}), pod("p", affinity=NEAR), True),
        (None, pod("a", labels={"app": "web"}), pod("p", cpu="16"), False),
        (pod("a", cpu="3"), pod("a", cpu="1"), pod("p", cpu="2"), True),
        (pod("a", cpu="3"), pod("a", cpu="3"), pod("p", cpu="2"), False),
        (pod("a"), pod("a", labels={"app": "web"}), pod("p", affinity=NEAR), True),
    ],
)
def test_pods_that_come_or_change(before: core.Pod | None, after: core.Pod, wanted: core.Pod, helps: bool) -> None:
    reader = Reader()
    cluster = Snapshot()
    cluster.put_node(node("n"))
    known = info(before, reader) if before is not None else None
    if known is not None:
        cluster.put_pod(known, "n")
    one = waiting(cluster, wanted)
    hint = hints.pod_changed(known, info(after, reader))
    assert (hint is not None and hint(one)) is helps
