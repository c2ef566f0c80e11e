"""ReplicaSets: how many pods to make, which to delete first, and the status that follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.make import NOW, pod, replica_set, template
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.replicaset.plan import FAILURE, Failure, plan, rank, status, template_pod
from tiphys.controllers.shared.slim import SlimPod


def names(pods: object) -> list[str]:
    return [found.metadata.name for found in pods]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (pod(node="", phase="Pending", ready=False), pod(ready=False, phase="Pending")),
        (pod(phase="Pending", ready=False), pod(phase="Running", ready=False)),
        (pod(phase="Unknown", ready=False), pod(phase="Running", ready=False)),
        (pod(ready=False), pod(ready=True)),
        (pod(cost="-5"), pod()),
        (pod(), pod(cost="10")),
        (pod(since=10), pod(since=100)),
        (pod(restarts=3), pod(restarts=1)),
        (pod(age=100), pod(age=200)),
        # What comes first decides.
        (pod(ready=False, cost="100"), pod(ready=True, cost="-100")),
        (pod(cost="1", since=1000), pod(cost="2", since=1)),
        (pod(since=10, restarts=0), pod(since=100, restarts=9)),
    ],
)
def test_deletes_least_valuable_pods_first(worse: SlimPod, better: SlimPod) -> None:
    worse.metadata.name, better.metadata.name = "worse", "better"
    assert names(rank([better, worse], [], NOW)) == ["worse", "better"]
    assert names(rank([worse, better], [], NOW)) == ["worse", "better"]


def test_pods_spread_over_nodes_stay() -> None:
    pods = [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")]
    assert names(rank(pods, pods, NOW))[-1] == "a"
    # Pods of sibling ReplicaSets crowd a node as well.
    crowd = [*pods, pod("x", node="n1"), pod("y", node="n1")]
    assert names(rank(pods, crowd, NOW))[0] == "a"


def test_a_cost_that_is_no_number_is_none() -> None:
    assert names(rank([pod("b", cost="1"), pod("a", cost="dear")], [], NOW)) == ["a", "b"]


states = st.builds(
    pod,
    name=st.uuids().map(str),
    node=st.sampled_from(["", "n1", "n2"]),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
    ready=st.booleans(),
    since=st.integers(0, 100),
    deleting=st.booleans(),
)


@given(st.integers(0, 12), st.lists(states, max_size=15))
def test_one_step_makes_it_right(wanted: int, pods: list[SlimPod]) -> None:
    wanting = replica_set(replicas=wanted)
    step = plan(wanting, pods, lambda: pods, NOW)
    assert not (step.create and step.delete)
    assert len(step.keep) + step.create == wanted
    made = [pod(f"new-{number}", phase="Pending", ready=False) for number in range(step.create)]
    after = plan(wanting, [*step.keep, *made], list, NOW)
    assert (after.create, list(after.delete)) == (0, [])
    if step.delete:
        # No ready pod goes while one that is not ready stays.
        ready_gone = any(p.status.conditions[0].status == "True" and p.status.phase == "Running" and p.spec.nodeName for p in step.delete)
        assert not ready_gone or all(p.status.conditions[0].status == "True" for p in step.keep)


def test_a_dying_set_makes_and_deletes_nothing() -> None:
    dying = replica_set(replicas=3)
    dying.metadata.deletionTimestamp = NOW
    step = plan(dying, [pod("a"), pod("b")], list, NOW)
    assert (step.create, list(step.delete)) == (0, [])


def test_pods_become_available_by_time_alone() -> None:
    waiting = replica_set(replicas=2)
    waiting.spec.minReadySeconds = 30
    pods = [pod("a", since=10), pod("b", since=25), pod("c", ready=False)]
    step = plan(waiting, pods[:2], list, NOW)
    assert step.after == 5
    counted = status(waiting, pods, 0, None, NOW)
    assert (counted.readyReplicas, counted.availableReplicas) == (2, 0)
    assert status(waiting, [pod("a", since=30)], 0, None, NOW).availableReplicas == 1


def test_the_status_counts_and_tells_failures_once() -> None:
    wanting = replica_set(replicas=3)
    pods = [pod("a", labels=dict(wanting.spec.template.metadata.labels)), pod("b", ready=False)]
    failing = status(wanting, pods, 1, Failure("FailedCreate", "quota"), NOW)
    assert isinstance(failing, apps.ReplicaSetStatus)
    assert (failing.replicas, failing.fullyLabeledReplicas, failing.readyReplicas, failing.terminatingReplicas) == (2, 1, 1, 1)
    assert [(c.type, c.status, c.reason, c.message) for c in failing.conditions] == [(FAILURE, "True", "FailedCreate", "quota")]
    wanting.status = failing
    assert status(wanting, pods, 1, Failure("FailedCreate", "quota, again"), NOW) == failing
    assert status(wanting, pods, 1, None, NOW).conditions == []


def test_pods_come_from_the_template() -> None:
    wanting = replica_set()
    made = template_pod(wanting)
    assert (made.metadata.generateName, made.metadata.namespace) == ("web-1-", "default")
    assert made.metadata.labels == wanting.spec.template.metadata.labels
    assert made.spec == wanting.spec.template.spec


def test_replication_controllers_are_planned_alike() -> None:
    """The same steps and the same counts under the older kind, whose status does not tell of pods that end."""
    older = core.ReplicationController(
        metadata=ObjectMeta(name="web", namespace="default", generation=4),
        spec=core.ReplicationControllerSpec(replicas=3, selector={"app": "web"}, template=template()),
    )
    pods = [pod("a"), pod("b", ready=False)]
    assert plan(older, pods, list, NOW).create == 1
    counted = status(older, pods, 1, Failure("FailedCreate", "quota"), NOW)
    assert isinstance(counted, core.ReplicationControllerStatus)
    assert (counted.replicas, counted.fullyLabeledReplicas, counted.readyReplicas, counted.observedGeneration) == (2, 2, 1, 4)
    assert [type(condition) for condition in counted.conditions] == [core.ReplicationControllerCondition]
    made = template_pod(older)
    assert (made.metadata.generateName, made.metadata.labels) == ("web-", {"app": "web"})
