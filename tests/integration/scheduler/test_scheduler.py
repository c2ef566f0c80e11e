"""The scheduler against the real API server."""

from __future__ import annotations

from collections import Counter

from tests.integration.scheduler.cluster import join
from tests.integration.scheduler.conftest import RunScheduler
from tests.unit.scheduler.make import node, pod
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.api.scheduling import v1 as scheduling
from tiphys.client.client import Client
from tiphys.testing.eventually import eventually


async def placed(client: Client, count: int) -> dict[str, str]:
    """The node of each of `count` pods, when all have one."""

    async def check() -> dict[str, str]:
        nodes = {one.metadata.name: one.spec.nodeName for one in (await client.list(core.Pod, "default")).items}
        assert len(nodes) == count
        assert all(nodes.values()), nodes
        return nodes

    return await eventually(check)


def condition(pod: core.Pod) -> core.PodCondition | None:
    return next((one for one in pod.status.conditions if one.type == "PodScheduled"), None)


async def test_fifty_pods_spread_over_three_nodes(client: Client, run_scheduler: RunScheduler) -> None:
    for number in range(3):
        await join(client, node(f"node-{number}"))
    async with run_scheduler():
        for number in range(50):
            await client.create(pod(f"pod-{number}"))
        nodes = await placed(client, 50)
    assert sorted(Counter(nodes.values()).values()) == [16, 17, 17]


async def test_a_scheduler_that_starts_anew_goes_on(client: Client, run_scheduler: RunScheduler) -> None:
    for number in range(3):
        await join(client, node(f"node-{number}", cpu="2"))
    for number in range(50):
        await client.create(pod(f"pod-{number}"))
    async with run_scheduler() as first:

        async def some() -> bool:
            pods = (await client.list(core.Pod, "default")).items
            return sum(bool(one.spec.nodeName) for one in pods) >= 5

        await eventually(some, interval=0.0)
    assert len(first.cluster) == 3
    async with run_scheduler():
        nodes = await placed(client, 50)
    # Twenty pods of 100m fill a node of 2 CPUs: had the second scheduler not counted what the first placed, one would be overfull.
    assert max(Counter(nodes.values()).values()) <= 20


async def test_a_pod_that_fits_nowhere_says_why_and_gets_the_node_that_appears(client: Client, run_scheduler: RunScheduler) -> None:
    taint = core.Taint(key="team", value="a", effect="NoSchedule")
    await join(client, node("tainted", taints=[taint]))
    await join(client, node("small", cpu="1"))
    async with run_scheduler():
        await client.create(pod("big", cpu="2"))

        async def told() -> core.PodCondition:
            found = condition(await client.get(core.Pod, "big", "default"))
            assert found is not None
            return found

        wanted = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s)."
        said = await eventually(told)
        assert (said.status, said.reason) == ("False", "Unschedulable")
        assert said.message.startswith(wanted)

        async def event() -> core.Event:
            found = [one for one in (await client.list(core.Event, "default")).items if one.reason == "FailedScheduling"]
            assert found
            return found[0]

        failed = await eventually(event)
        assert failed.type == "Warning"
        assert failed.message.startswith(wanted)
        assert failed.source.component == "default-scheduler"

        await join(client, node("large", cpu="8"))
        assert await placed(client, 1) == {"big": "large"}
        after = condition(await client.get(core.Pod, "big", "default"))
        assert after is not None
        assert after.status == "True"


async def test_host_ports_are_had_once_per_node(client: Client, run_scheduler: RunScheduler) -> None:
    for number in range(2):
        await join(client, node(f"node-{number}"))
    async with run_scheduler():
        for number in range(2):
            await client.create(pod(f"web-{number}", host_port=8080))
        nodes = await placed(client, 2)
        assert len(set(nodes.values())) == 2
        await client.create(pod("web-2", host_port=8080))

        async def told() -> bool:
            said = condition(await client.get(core.Pod, "web-2", "default"))
            return said is not None and said.message.startswith(
                "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports."
            )

        await eventually(told)
        await client.delete(core.Pod, "web-0", "default", grace=0)
        assert (await placed(client, 2))["web-2"] == nodes["web-0"]


async def test_a_pod_of_higher_priority_gets_the_place_of_one_of_lower(client: Client, run_scheduler: RunScheduler) -> None:
    await join(client, node("n1", cpu="1"))
    for name, value in (("low", 1), ("high", 1000)):
        await client.create(scheduling.PriorityClass(metadata=meta.ObjectMeta(name=name), value=value))
    async with run_scheduler():
        await client.create(pod("first", cpu="1", priorityClassName="low"))
        assert await placed(client, 1) == {"first": "n1"}
        await client.create(pod("second", cpu="1", priorityClassName="high"))

        async def leaving() -> core.Pod:
            found = await client.get(core.Pod, "first", "default")
            assert found.metadata.deletionTimestamp is not None
            return found

        victim = await eventually(leaving)
        assert "PreemptionByScheduler" in [one.reason for one in victim.status.conditions]
        assert (await client.get(core.Pod, "second", "default")).status.nominatedNodeName in ("", "n1")
        # As the kubelet does when the containers have ended.
        await client.delete(core.Pod, "first", "default", grace=0)
        assert await placed(client, 1) == {"second": "n1"}


async def test_pods_of_a_replica_set_spread_over_zones_by_default(client: Client, run_scheduler: RunScheduler) -> None:
    # By what is free, all would go to the larger node.
    for name, size in (("east", "4"), ("west", "64")):
        await join(client, node(name, cpu=size, memory=f"{size}Gi", labels={"topology.kubernetes.io/zone": name}))
    owner = await client.create(
        apps.ReplicaSet(
            metadata=meta.ObjectMeta(name="web", namespace="default"),
            spec=apps.ReplicaSetSpec(
                replicas=0,
                selector=meta.LabelSelector(matchLabels={"app": "web"}),
                template=core.PodTemplateSpec(metadata=meta.ObjectMeta(labels={"app": "web"}), spec=pod("t").spec),
            ),
        )
    )
    async with run_scheduler():
        for number in range(6):
            made = pod(f"web-{number}", labels={"app": "web"})
            reference = meta.OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name="web", uid=owner.metadata.uid, controller=True)
            made.metadata.ownerReferences = [reference]
            await client.create(made)
            nodes = await placed(client, number + 1)
    assert Counter(nodes.values()) == {"east": 3, "west": 3}
