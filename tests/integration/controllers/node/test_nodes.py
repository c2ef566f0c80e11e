"""Nodes that fall silent: conditions, taints, evictions, and pods of nodes that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from tests.integration.controllers.conftest import Cluster
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta, Status
from tiphys.controllers.node.settings import NodeSettings
from tiphys.controllers.podgc.controller import SWEEP, PodCollector
from tiphys.controllers.podgc.settings import PodCollectorSettings
from tiphys.controllers.settings import ControllerSettings
from tiphys.controllers.shared.nodes import readiness
from tiphys.testing import eventually

GRACE = 2.0


@pytest.fixture
def quick(cluster: Cluster) -> Cluster:
    cluster.settings = ControllerSettings(NodeSettings(grace=GRACE), PodCollectorSettings(missing_grace=0.2))
    return cluster


@asynccontextmanager
async def beating(cluster: Cluster, *names: str) -> AsyncIterator[None]:
    """Nodes that renew their Lease."""

    async def beat(name: str) -> None:
        meta = ObjectMeta(name=name, namespace="kube-node-lease")
        lease = await cluster.client.create(coordination.Lease(metadata=meta))
        while True:
            lease.spec.renewTime = base.micro_time(datetime.now(UTC))
            lease = await cluster.client.update(lease)
            await asyncio.sleep(GRACE / 6)

    tasks = [asyncio.create_task(beat(name)) for name in names]
    try:
        yield
    finally:
        for task in tasks:
            await cancel_and_wait(task)


async def node_is(cluster: Cluster, name: str, check: Callable[[core.Node], bool]) -> core.Node:
    async def look() -> core.Node | None:
        node = await cluster.client.get(core.Node, name)
        assert check(node), (node.spec, node.status.conditions)
        return node

    node = await eventually(look)
    assert node is not None
    return node


def taints(node: core.Node) -> set[str]:
    return {f"{taint.key.removeprefix('node.kubernetes.io/')}:{taint.effect}" for taint in node.spec.taints}


async def pod_on(cluster: Cluster, node: str, name: str, tolerations: Iterable[core.Toleration] = ()) -> core.Pod:
    spec = core.PodSpec(containers=[core.Container(name="main", image="busybox")], tolerations=list(tolerations))
    pod = await cluster.client.create(core.Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))
    binding = core.Binding(metadata=ObjectMeta(name=name, namespace="default"), target=core.ObjectReference(kind="Node", name=node))
    await cluster.client.post(core.Pod, name, "default", "binding", binding, Status)
    return await cluster.make_ready(pod)


async def test_a_ready_node_loses_the_taint_of_its_birth(quick: Cluster) -> None:
    async with quick.controllers(), beating(quick, "a"):
        born = await quick.client.create(core.Node(metadata=ObjectMeta(name="a")))
        assert "not-ready:NoSchedule" in taints(born)
        await quick.report(born)
        await node_is(quick, "a", lambda node: not node.spec.taints)


async def test_silence_is_noticed_and_forgiven(quick: Cluster) -> None:
    async with quick.controllers(), beating(quick, "b"):
        await quick.add_node("a")
        await quick.add_node("b")
        await eventually(lambda: quick.has_account("default"))
        pod = await pod_on(quick, "a", "on-a", [core.Toleration(operator="Exists")])
        lost = await node_is(quick, "a", lambda node: "unreachable:NoExecute" in taints(node))
        assert taints(lost) == {"unreachable:NoSchedule", "unreachable:NoExecute"}
        states = {found.type: (found.status, found.reason) for found in lost.status.conditions}
        assert states["Ready"] == ("Unknown", "NodeStatusUnknown")
        assert states["MemoryPressure"] == ("Unknown", "NodeStatusNeverUpdated")

        async def not_ready() -> bool:
            return not is_ready(await quick.client.get(core.Pod, pod.metadata.name, "default"))

        await eventually(not_ready)
        assert readiness(await quick.client.get(core.Node, "b")) == "True"
        async with beating(quick, "a"):
            await quick.report(lost)
            await node_is(quick, "a", lambda node: not node.spec.taints)


async def test_pods_leave_a_lost_node_when_they_do_not_tolerate_it(quick: Cluster) -> None:
    async with quick.controllers(), beating(quick, "b"):
        await quick.add_node("a")
        await quick.add_node("b")
        await eventually(lambda: quick.has_account("default"))
        patient = [core.Toleration(key="node.kubernetes.io/unreachable", operator="Exists", effect="NoExecute", tolerationSeconds=600)]
        hasty = [core.Toleration(key="node.kubernetes.io/unreachable", operator="Exists", effect="NoExecute", tolerationSeconds=1)]
        for name, tolerations in (("hasty", hasty), ("patient", patient)):
            await pod_on(quick, "a", name, tolerations)
        await pod_on(quick, "b", "elsewhere", hasty)

        async def hasty_goes() -> bool:
            states = {pod.metadata.name: pod for pod in await quick.pods()}
            target = [c.reason for c in states["hasty"].status.conditions if c.type == "DisruptionTarget"]
            return states["hasty"].metadata.deletionTimestamp is not None and target == ["DeletionByTaintManager"]

        await eventually(hasty_goes)
        staying = {pod.metadata.name for pod in await quick.pods() if pod.metadata.deletionTimestamp is None}
        assert staying == {"patient", "elsewhere"}


async def test_nobody_is_evicted_when_every_node_is_lost(quick: Cluster) -> None:
    async with quick.controllers() as manager:
        await quick.add_node("a")
        await quick.add_node("b")
        for name in ("a", "b"):
            await node_is(quick, name, lambda node: "unreachable:NoSchedule" in taints(node))

        async def calm() -> bool:
            nodes = (await quick.client.list(core.Node)).items
            return manager.idle and [taints(node) for node in nodes] == [{"unreachable:NoSchedule"}] * 2

        await eventually(calm)


async def test_cordon_and_pressure_are_taints(quick: Cluster) -> None:
    async with quick.controllers(), beating(quick, "a"):
        node = await quick.add_node("a")
        await quick.client.patch(core.Node, "a", body={"spec": {"unschedulable": True}})
        await node_is(quick, "a", lambda node: taints(node) == {"unschedulable:NoSchedule"})
        conditions = [
            {"type": "DiskPressure", "status": "True", "lastHeartbeatTime": node.metadata.creationTimestamp},
        ]
        await quick.client.patch(core.Node, "a", body={"status": {"conditions": conditions}}, kind="strategic", subresource="status")
        await node_is(quick, "a", lambda node: taints(node) == {"unschedulable:NoSchedule", "disk-pressure:NoSchedule"})
        await quick.client.patch(core.Node, "a", body={"spec": {"unschedulable": None}})
        await node_is(quick, "a", lambda node: taints(node) == {"disk-pressure:NoSchedule"})


async def test_a_tainted_node_is_left_at_once_by_those_who_do_not_tolerate_it(quick: Cluster) -> None:
    async with quick.controllers(), beating(quick, "a"):
        await quick.add_node("a")
        await eventually(lambda: quick.has_account("default"))
        await pod_on(quick, "a", "guest")
        await pod_on(quick, "a", "owner", [core.Toleration(key="mine", operator="Exists")])
        await node_is(quick, "a", lambda node: not node.spec.taints)
        await quick.client.patch(core.Node, "a", body={"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}})

        async def guest_goes() -> bool:
            return [p.metadata.name for p in await quick.pods() if p.metadata.deletionTimestamp is not None] == ["guest"]

        await eventually(guest_goes)


async def told(cluster: Cluster, reason: str) -> list[str]:
    """The messages of the events of a reason."""
    return [event.message for event in (await cluster.client.list(core.Event, "default")).items if event.reason == reason]


async def test_a_pod_whose_node_loses_its_taint_in_time_stays(quick: Cluster) -> None:
    async with quick.controllers() as manager, beating(quick, "a"):
        await quick.add_node("a")
        await eventually(lambda: quick.has_account("default"))
        await node_is(quick, "a", lambda node: not node.spec.taints)
        await pod_on(quick, "a", "guest")
        await pod_on(quick, "a", "owner", [core.Toleration(key="mine", operator="Exists")])
        await pod_on(quick, "a", "patient", [core.Toleration(key="mine", operator="Exists", tolerationSeconds=600, effect="NoExecute")])
        await quick.client.patch(core.Node, "a", body={"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}})
        marked = ["Marking for deletion Pod default/guest"]

        async def decided() -> bool:
            return await told(quick, "TaintManagerEviction") == marked and manager.idle

        await eventually(decided)
        await quick.client.patch(core.Node, "a", body={"spec": {"taints": None}})

        async def cancelled() -> bool:
            return await told(quick, "TaintManagerEviction") == [*marked, "Cancelling deletion of Pod default/patient"]

        await eventually(cancelled)
        assert {pod.metadata.name for pod in await quick.pods() if pod.metadata.deletionTimestamp is None} == {"owner", "patient"}


async def test_nodes_that_come_and_go_are_events(quick: Cluster) -> None:
    async with quick.controllers():
        made = await quick.add_node("a")
        assert await eventually(lambda: told(quick, "RegisteredNode")) == ["Node a event: Registered Node a in Controller"]
        await quick.client.delete(core.Node, "a")
        assert await eventually(lambda: told(quick, "RemovingNode")) == ["Node a event: Removing Node a from Controller"]
        events = (await quick.client.list(core.Event, "default")).items
        about = {event.reason: event.involvedObject for event in events}
        assert {about[reason].uid for reason in ("RegisteredNode", "RemovingNode")} == {made.metadata.uid}


async def test_pods_of_a_node_that_is_gone_go_too(quick: Cluster) -> None:
    async with quick.controllers():
        await quick.add_node("a")
        await eventually(lambda: quick.has_account("default"))
        await pod_on(quick, "a", "lonely")
        await quick.client.delete(core.Node, "a")

        async def gone() -> bool:
            return not await quick.pods()

        await eventually(gone)


async def test_finished_pods_stay_up_to_a_number(cluster: Cluster) -> None:
    collector = PodCollector(PodCollectorSettings(threshold=2))
    await cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    await cluster.add_node("a")
    async with cluster.controllers(collector):
        for number in range(4):
            pod = await pod_on(cluster, "a", f"done-{number}")
            pod.status.phase = "Succeeded"
            await cluster.client.update_status(pod)

        async def enough() -> bool:
            await collector.reconcile(SWEEP)
            return len(await cluster.pods()) == 2

        await eventually(enough)
        await collector.reconcile(SWEEP)
        assert len(await cluster.pods()) == 2


async def test_every_node_has_its_own_range(quick: Cluster) -> None:
    async with quick.controllers():
        for number in range(20):
            await quick.client.create(core.Node(metadata=ObjectMeta(name=f"n{number}")))

        async def assigned() -> bool:
            nodes = (await quick.client.list(core.Node)).items
            ranges = [node.spec.podCIDR for node in nodes]
            assert all(node.spec.podCIDRs == [node.spec.podCIDR] for node in nodes if node.spec.podCIDR)
            return set(ranges) == {f"10.42.{number}.0/24" for number in range(20)}

        await eventually(assigned)
        freed = (await quick.client.get(core.Node, "n7")).spec.podCIDR
        await quick.client.delete(core.Node, "n7")
        await quick.client.create(core.Node(metadata=ObjectMeta(name="later")))
        await node_is(quick, "later", lambda node: node.spec.podCIDR == freed)


async def test_deleted_pods_without_a_node_go(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        spec = core.PodSpec(containers=[core.Container(name="main", image="busybox")])
        await cluster.client.create(core.Pod(metadata=ObjectMeta(name="early", namespace="default"), spec=spec))
        await cluster.client.delete(core.Pod, "early", "default")

        async def gone() -> bool:
            try:
                await cluster.client.get(core.Pod, "early", "default")
            except NotFound:
                return True
            return False

        await eventually(gone)
