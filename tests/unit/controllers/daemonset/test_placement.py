"""Nodes that get a daemon pod, and the pod that is made for one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.daemonset.make import daemon, daemon_set, node
from tests.unit.controllers.make import pod, slim_pod, whole_pod
from tiphys.api.core import v1 as core
from tiphys.controllers.daemonset.placement import Fit, Placement, daemon_pod, is_updated, target_node, tolerations

PRESSURES = [f"node.kubernetes.io/{trouble}" for trouble in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")]


def required(*terms: core.NodeSelectorTerm) -> core.Affinity:
    selector = core.NodeSelector(nodeSelectorTerms=list(terms))
    return core.Affinity(nodeAffinity=core.NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector))


def term(*requirements: tuple[str, str, list[str]], fields: bool = False) -> core.NodeSelectorTerm:
    made = [core.NodeSelectorRequirement(key=key, operator=operator, values=values) for key, operator, values in requirements]
    return core.NodeSelectorTerm(matchFields=made) if fields else core.NodeSelectorTerm(matchExpressions=made)


@pytest.mark.parametrize(
    ("spec", "candidate", "fit"),
    [
        ({}, node(), Fit.RUN),
        ({"nodeName": "n1"}, node(), Fit.RUN),
        ({"nodeName": "n2"}, node(), Fit.NO),
        ({"nodeSelector": {"color": "blue"}}, node(color="blue"), Fit.RUN),
        ({"nodeSelector": {"color": "blue"}}, node(color="red"), Fit.NO),
        ({"nodeSelector": {"color": "blue"}}, node(), Fit.NO),
        ({"affinity": required(term(("color", "In", ["blue", "red"])))}, node(color="red"), Fit.RUN),
        ({"affinity": required(term(("color", "In", ["blue"])), term(("size", "Exists", [])))}, node(size="s"), Fit.RUN),
        ({"affinity": required(term(("color", "In", ["blue"])), term(("size", "Exists", [])))}, node(), Fit.NO),
        ({"affinity": required(term())}, node(), Fit.NO),
        ({"affinity": required(term(("metadata.name", "In", ["n1"]), fields=True))}, node(), Fit.RUN),
        ({"affinity": required(term(("metadata.name", "NotIn", ["n1"]), fields=True))}, node(), Fit.NO),
        ({"nodeSelector": {"color": "blue"}, "affinity": required(term(("size", "Exists", [])))}, node(color="blue"), Fit.NO),
        # Taints: what the pods do not tolerate keeps new ones away, and NoExecute sends those away that are there.
        ({}, node("n1", ("dedicated", "NoSchedule")), Fit.STAY),
        ({}, node("n1", ("dedicated", "NoExecute")), Fit.NO),
        ({}, node("n1", ("dedicated", "PreferNoSchedule")), Fit.RUN),
        ({}, node("n1", ("dedicated", "NoSchedule"), ("broken", "NoExecute")), Fit.NO),
        ({"tolerations": [core.Toleration(key="dedicated", operator="Exists")]}, node("n1", ("dedicated", "NoExecute")), Fit.RUN),
        ({"tolerations": [core.Toleration(operator="Exists")]}, node("n1", ("a", "NoExecute"), ("b", "NoSchedule")), Fit.RUN),
        # Troubles of the node are tolerated.
        ({}, node("n1", *((key, "NoSchedule") for key in PRESSURES)), Fit.RUN),
        ({}, node("n1", ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute")), Fit.RUN),
        ({}, node("n1", ("node.kubernetes.io/not-ready", "NoSchedule")), Fit.STAY),
        ({}, node("n1", ("node.kubernetes.io/network-unavailable", "NoSchedule")), Fit.STAY),
        ({"hostNetwork": True}, node("n1", ("node.kubernetes.io/network-unavailable", "NoSchedule")), Fit.RUN),
    ],
)
def test_nodes_fit_by_name_labels_and_taints(spec: dict[str, Any], candidate: core.Node, fit: Fit) -> None:
    assert Placement(daemon_set(pod_spec=spec).spec.template).fit(candidate) is fit


def test_a_toleration_for_a_while_becomes_one_for_good() -> None:
    mine = core.Toleration(key="mine", operator="Exists")
    brief = core.Toleration(key="node.kubernetes.io/unreachable", operator="Exists", effect="NoExecute", tolerationSeconds=30)
    result = tolerations(daemon_set(pod_spec={"tolerations": [brief, mine]}).spec.template.spec)
    assert result[1] == mine
    unreachable = [one for one in result if one.key == "node.kubernetes.io/unreachable"]
    assert [(one.effect, one.tolerationSeconds) for one in unreachable] == [("NoExecute", None)]
    assert len(result) == 7


def test_a_pod_asks_for_its_node_by_name() -> None:
    preferred = [core.PreferredSchedulingTerm(weight=1, preference=term(("size", "Exists", [])))]
    affinity = required(term(("color", "In", ["blue"])))
    assert affinity.nodeAffinity is not None
    affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution = preferred
    affinity.podAntiAffinity = core.PodAntiAffinity()
    wanted = daemon_set(pod_spec={"affinity": affinity, "nodeSelector": {"color": "blue"}})
    before = wanted.spec.template
    made = daemon_pod(wanted, "n1", "abc")
    assert made.metadata.generateName == "web-"
    assert made.metadata.labels == {"app": "web", "controller-revision-hash": "abc", "pod-template-generation": "2"}
    assert made.spec.affinity is not None
    assert made.spec.affinity.nodeAffinity is not None
    terms = made.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    assert terms == core.NodeSelector(nodeSelectorTerms=[term(("metadata.name", "In", ["n1"]), fields=True)])
    assert made.spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution == preferred
    assert made.spec.affinity.podAntiAffinity == core.PodAntiAffinity()
    assert made.spec.nodeSelector == {"color": "blue"}
    # The template itself is as it was.
    assert wanted.spec.template == before
    assert wanted.spec.template.metadata.labels == {"app": "web"}
    assert affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution != terms


def test_a_pod_is_found_by_the_node_it_is_made_for() -> None:
    assert target_node(daemon(node="n7")) == "n7"
    assert target_node(daemon(node="n7", bound=False)) == "n7"
    # Once it is bound the name it asks for is not kept.
    assert daemon(node="n7").spec.affinity is None
    assert target_node(pod(node="")) == ""
    for terms in ([term(("metadata.name", "In", ["a", "b"]), fields=True)], [term(("metadata.name", "NotIn", ["a"]), fields=True)], []):
        whole = whole_pod(node="")
        whole.spec.affinity = required(*terms)
        assert target_node(slim_pod(whole)) == ""


@pytest.mark.parametrize(
    ("labels", "updated"),
    [
        ({"controller-revision-hash": "abc"}, True),
        ({"controller-revision-hash": "xyz", "pod-template-generation": "2"}, True),
        ({"controller-revision-hash": "xyz", "pod-template-generation": "1"}, False),
        ({}, False),
    ],
)
def test_a_pod_is_of_the_template_by_its_hash_or_its_number(labels: dict[str, str], updated: bool) -> None:
    assert is_updated(labels, "abc", "2") is updated
    assert not is_updated({"controller-revision-hash": "", "pod-template-generation": ""}, "", "")
