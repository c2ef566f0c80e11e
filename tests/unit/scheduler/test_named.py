"""Pods that ask for a node by name, as those of DaemonSets do."""

from __future__ import annotations

import random

import pytest

from tests.unit.scheduler.make import info, node, pod
from tiphys.api.core import v1 as core
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.filters.node_affinity import named_nodes
from tiphys.scheduler.snapshot import Snapshot

TAINT = core.Taint(key="team", value="a", effect="NoSchedule")


def term(*names: str, operator: str = "In", labels: tuple[str, ...] = ()) -> core.NodeSelectorTerm:
    fields = [core.NodeSelectorRequirement(key="metadata.name", operator=operator, values=[name]) for name in names]
    expressions = [core.NodeSelectorRequirement(key=key, operator="Exists") for key in labels]
    return core.NodeSelectorTerm(matchFields=fields, matchExpressions=expressions)


def affinity(*terms: core.NodeSelectorTerm) -> core.Affinity:
    selector = core.NodeSelector(nodeSelectorTerms=list(terms))
    return core.Affinity(nodeAffinity=core.NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector))


def cycle_of(*nodes: core.Node) -> Cycle:
    cluster = Snapshot()
    for one in nodes:
        cluster.put_node(one)
    return Cycle(cluster, rng=random.Random(1))


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        (None, set()),
        ([term("a")], {"a"}),
        ([term("a"), term("b")], {"a", "b"}),
        ([term("a", labels=("disk",))], {"a"}),
        ([term("a"), term(labels=("disk",))], set()),
        ([term("a", operator="NotIn")], set()),
        ([term("a", "b")], set()),
    ],
)
def test_names_are_those_of_all_terms(terms: list[core.NodeSelectorTerm] | None, names: set[str]) -> None:
    assert named_nodes(terms) == names


def test_each_pod_gets_the_node_that_it_names() -> None:
    nodes = [f"n{number}" for number in range(20)]
    cycle = cycle_of(*map(node, nodes))
    assert [cycle.place(info(pod(f"p-{name}", affinity=affinity(term(name))))) for name in nodes] == nodes


def test_other_nodes_are_no_help() -> None:
    cycle = cycle_of(node("full", cpu="1"), node("tainted", taints=[TAINT]), node("free"), node("off", unschedulable=True))
    found = cycle.place(info(pod("p", cpu="2", affinity=affinity(term("full")))))
    assert isinstance(found, Diagnosis)
    assert found.message == "0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    assert found.rules == {"NodeAffinity", "NodeResourcesFit"}
    found = cycle.place(info(pod("p", affinity=affinity(term("gone")))))
    assert isinstance(found, Diagnosis)
    assert found.message == "0/4 nodes are available: 4 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    found = cycle.place(info(pod("p", affinity=affinity(term("free", labels=("disk",))))))
    assert isinstance(found, Diagnosis)
    reasons = "1 node(s) didn't match Pod's node affinity/selector, 3 node(s) didn't satisfy plugin(s) [NodeAffinity]"
    assert found.message == f"0/4 nodes are available: {reasons}."


def test_room_for_a_nominated_pod_is_left_to_it() -> None:
    cycle = cycle_of(node("n", cpu="2"), node("m"))
    ahead = info(pod("ahead", cpu="2", priority=10))
    cycle.nominations.put(ahead, "n")
    wanted = info(pod("p", cpu="1", affinity=affinity(term("n"))))
    assert isinstance(cycle.place(wanted), Diagnosis)
    cycle.nominations.drop(ahead.uid)
    assert cycle.place(wanted) == "n"
