"""The sentences that people read."""

from __future__ import annotations

import random

import pytest

from tests.unit.scheduler.make import info, node, pod
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.explain import Diagnosis
from tiphys.scheduler.snapshot import Snapshot


def refusal(cluster: Snapshot, wanted: core.Pod) -> Diagnosis:
    decision = Cycle(cluster, rng=random.Random(1)).place(info(wanted))
    assert isinstance(decision, Diagnosis)
    return decision


def cluster_of(*nodes: core.Node) -> Snapshot:
    cluster = Snapshot()
    for one in nodes:
        cluster.put_node(one)
    return cluster


def test_causes_are_counted_and_sorted() -> None:
    taint = core.Taint(key="team", value="a", effect="NoSchedule")
    cluster = cluster_of(
        node("tight", cpu="1", memory="1Gi"),
        node("tainted-1", taints=[taint]),
        node("tainted-2", taints=[taint]),
        node("off", unschedulable=True),
    )
    found = refusal(cluster, pod("p", cpu="2", memory="2Gi"))
    assert found.message == (
        "0/4 nodes are available: "
        "1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s)."
    )
    assert found.reasons["tight"] == ("Insufficient cpu", "Insufficient memory")
    assert found.rules == {"NodeResourcesFit", "TaintToleration", "NodeUnschedulable"}


def test_without_nodes() -> None:
    assert refusal(Snapshot(), pod("p")).message == "no nodes available to schedule pods"


SELECTOR = meta.LabelSelector(matchLabels={"app": "web"})
ZONE = "topology.kubernetes.io/zone"


TERMS = [core.PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=SELECTOR)]
NEAR = core.Affinity(podAffinity=core.PodAffinity(requiredDuringSchedulingIgnoredDuringExecution=TERMS))
FAR = core.Affinity(podAntiAffinity=core.PodAntiAffinity(requiredDuringSchedulingIgnoredDuringExecution=TERMS))


def spread(key: str) -> list[core.TopologySpreadConstraint]:
    return [
        core.TopologySpreadConstraint(maxSkew=1, topologyKey=key, whenUnsatisfiable="DoNotSchedule", labelSelector=SELECTOR, minDomains=2)
    ]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (pod("p", nodeSelector={"disk": "ssd"}), "node(s) didn't match Pod's node affinity/selector"),
        (pod("p", host_port=80), "node(s) didn't have free ports for the requested pod ports"),
        (pod("p", cpu="16"), "Insufficient cpu"),
        (pod("p", affinity=NEAR), "node(s) didn't match pod affinity rules"),
        (pod("p", labels={"app": "db"}, affinity=FAR), "node(s) didn't match pod anti-affinity rules"),
        (pod("p", labels={"role": "x"}), "node(s) didn't satisfy existing pods anti-affinity rules"),
        (
            pod("p", labels={"app": "web"}, topologySpreadConstraints=spread("kubernetes.io/hostname")),
            "node(s) didn't match pod topology spread constraints",
        ),
        (pod("p", topologySpreadConstraints=spread(ZONE)), "node(s) didn't match pod topology spread constraints (missing required label)"),
    ],
)
def test_each_rule_says_what_upstream_says(wanted: core.Pod, reason: str) -> None:
    cluster = cluster_of(node("n"))
    web = pod("web", labels={"app": "web"}, host_port=80)
    away = core.PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=meta.LabelSelector(matchLabels={"role": "x"}))
    grumpy = pod("g", affinity=core.Affinity(podAntiAffinity=core.PodAntiAffinity(requiredDuringSchedulingIgnoredDuringExecution=[away])))
    if wanted.spec.affinity is None or wanted.spec.affinity.podAffinity is None:
        cluster.put_pod(info(web), "n")
    cluster.put_pod(info(grumpy), "n")
    assert refusal(cluster, wanted).message == f"0/1 nodes are available: 1 {reason}."


def test_a_full_node() -> None:
    cluster = cluster_of(node("n", pods="1"))
    cluster.put_pod(info(pod("a")), "n")
    assert refusal(cluster, pod("p", cpu="", memory="")).message == "0/1 nodes are available: 1 Too many pods."


def test_extended_resources_have_names() -> None:
    wanted = pod("p")
    wanted.spec.containers[0].resources.requests["example.com/gpu"] = "1"  # type: ignore[assignment]
    assert refusal(cluster_of(node("n")), wanted).message == "0/1 nodes are available: 1 Insufficient example.com/gpu."
