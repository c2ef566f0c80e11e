"""Nodes that run a pod of a DaemonSet: labels, affinity, taints, cordons and room."""

from __future__ import annotations

from tests.integration.controllers.daemonset.daemons import Daemons, daemon_set
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.testing import eventually


async def test_labels_of_nodes_decide(daemons: Daemons) -> None:
    made = daemon_set()
    made.spec.template.spec.nodeSelector = {"color": "blue"}
    await daemons.client.create(made)
    await daemons.status_is(desiredNumberScheduled=0)
    assert await daemons.active() == []
    await daemons.label("n1", color="blue")
    await daemons.runs_on("n1")
    await daemons.label("n1", color="green")
    await daemons.runs_on()
    await daemons.update(template={"spec": {"nodeSelector": {"color": "green"}}})
    await daemons.runs_on("n1")
    await daemons.add_node("n4", color="green")
    await daemons.runs_on("n1", "n4")


async def test_node_affinity_decides(daemons: Daemons) -> None:
    made = daemon_set()
    requirement = core.NodeSelectorRequirement(key="color", operator="In", values=["blue"])
    selector = core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchExpressions=[requirement])])
    made.spec.template.spec.affinity = core.Affinity(
        nodeAffinity=core.NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector)
    )
    await daemons.client.create(made)
    await daemons.status_is(desiredNumberScheduled=0)
    await daemons.label("n2", color="blue")
    await daemons.runs_on("n2")
    await daemons.label("n2", color=None)
    await daemons.runs_on()


async def test_taints_and_cordons_decide(daemons: Daemons) -> None:
    taint = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": taint}})
    # A cordoned node takes daemon pods all the same.
    await daemons.client.patch(core.Node, "n3", body={"spec": {"unschedulable": True}})
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n3")
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": []}})
    await daemons.runs_on("n1", "n2", "n3")
    # A pod that is there may stay, but counts as out of place.
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": taint}})
    await daemons.status_is(desiredNumberScheduled=2, numberMisscheduled=1, numberAvailable=2)
    assert await daemons.places() == ["n1", "n2", "n3"]
    taint[0]["effect"] = "NoExecute"
    await daemons.client.patch(core.Node, "n2", body={"spec": {"taints": taint}})
    await daemons.runs_on("n1", "n3")


async def test_a_pod_waits_for_room_on_its_own_node(daemons: Daemons) -> None:
    await daemons.add_node("small")
    crowd = core.Pod(
        metadata=ObjectMeta(name="crowd", namespace="default"),
        spec=core.PodSpec(
            nodeName="small",
            containers=[
                core.Container(name="main", image="busybox:1", resources=core.ResourceRequirements(requests={"cpu": Quantity("4")}))
            ],
        ),
    )
    await daemons.client.create(crowd)
    made = daemon_set()
    made.spec.template.spec.containers[0].resources.requests = {"cpu": Quantity("1")}
    await daemons.client.create(made)
    await daemons.status_is(desiredNumberScheduled=4, currentNumberScheduled=4, numberAvailable=3, numberUnavailable=1)
    (waiting,) = [pod for pod in await daemons.active() if not pod.spec.nodeName]

    async def told() -> str:
        found = await daemons.client.get(core.Pod, waiting.metadata.name, "default")
        return next((one.message for one in found.status.conditions if one.reason == "Unschedulable"), "")

    message = await eventually(told)
    assert "3 node(s) didn't satisfy plugin(s) [NodeAffinity]" in message
    assert "1 Insufficient cpu" in message
    await daemons.client.delete(core.Pod, "crowd", "default", grace=0)
    await daemons.status_is(numberAvailable=4)
