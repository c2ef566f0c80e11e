"""ReplicaSets against the real API server: pods are made, replaced, adopted, released and removed, never too many."""

from __future__ import annotations

import asyncio

from tests.integration.controllers.conftest import Cluster
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.runtime import controller_of
from tiphys.testing import eventually


def replica_set(replicas: int = 3, name: str = "web", **spec: object) -> apps.ReplicaSet:
    labels = {"app": name}
    template = core.PodTemplateSpec(
        metadata=ObjectMeta(labels=labels), spec=core.PodSpec(containers=[core.Container(name="main", image="busybox")])
    )
    wanted = apps.ReplicaSetSpec(replicas=replicas, selector=LabelSelector(matchLabels=labels), template=template, **spec)  # type: ignore[arg-type]
    return apps.ReplicaSet(metadata=ObjectMeta(name=name, namespace="default"), spec=wanted)


async def status_is(cluster: Cluster, name: str = "web", **wanted: int) -> apps.ReplicaSet:
    async def check() -> apps.ReplicaSet | None:
        found = await cluster.client.get(apps.ReplicaSet, name, "default")
        state = {field: getattr(found.status, field) for field in wanted}
        assert state == wanted
        return found

    return await eventually(check)


async def test_pods_are_made_and_counted(cluster: Cluster) -> None:
    async with cluster.controllers():
        made = await cluster.client.create(replica_set(3))
        await status_is(cluster, replicas=3, readyReplicas=0, observedGeneration=made.metadata.generation)
        pods = await cluster.pods()
        assert len(pods) == 3
        for pod in pods:
            owner = controller_of(pod)
            assert owner is not None
            assert (owner.kind, owner.name, owner.uid) == ("ReplicaSet", "web", made.metadata.uid)
            assert pod.metadata.name.startswith("web-")
            assert pod.spec.serviceAccountName == "default"
            await cluster.make_ready(pod)
        await status_is(cluster, replicas=3, readyReplicas=3, availableReplicas=3, fullyLabeledReplicas=3)


async def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(replica_set(2))
        await status_is(cluster, replicas=2)
        victim = (await cluster.pods())[0]
        await cluster.client.delete(core.Pod, victim.metadata.name, "default")

        async def replaced() -> bool:
            names = {pod.metadata.name for pod in await cluster.pods()}
            return len(names) == 2 and victim.metadata.name not in names

        await eventually(replaced)


async def test_a_pod_that_lingers_is_replaced_at_once(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(replica_set(1))
        await status_is(cluster, replicas=1)
        (pod,) = await cluster.pods()
        await cluster.client.patch(core.Pod, pod.metadata.name, "default", body={"metadata": {"finalizers": ["example.com/slow"]}})
        await cluster.client.delete(core.Pod, pod.metadata.name, "default")
        await status_is(cluster, replicas=1, terminatingReplicas=1)
        assert len(await cluster.pods()) == 2


async def test_scaling_down_takes_the_pods_that_are_missed_least(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(replica_set(4))
        await status_is(cluster, replicas=4)
        pods = await cluster.pods()
        for pod in pods[:2]:
            await cluster.make_ready(pod)
        await status_is(cluster, readyReplicas=2)
        await cluster.client.patch(apps.ReplicaSet, "web", "default", body={"spec": {"replicas": 2}})
        await status_is(cluster, replicas=2, readyReplicas=2)
        assert {pod.metadata.name for pod in await cluster.pods()} == {pod.metadata.name for pod in pods[:2]}


async def test_orphans_are_adopted_and_strays_released(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        orphan = core.Pod(
            metadata=ObjectMeta(name="orphan", namespace="default", labels={"app": "web"}),
            spec=core.PodSpec(containers=[core.Container(name="main", image="busybox")]),
        )
        await cluster.client.create(orphan)
        await cluster.client.create(replica_set(2))
        await status_is(cluster, replicas=2)
        assert len(await cluster.pods()) == 2
        adopted = await cluster.client.get(core.Pod, "orphan", "default")
        assert controller_of(adopted) is not None
        await cluster.client.patch(core.Pod, "orphan", "default", body={"metadata": {"labels": {"app": "other"}}})

        async def released() -> bool:
            stray = await cluster.client.get(core.Pod, "orphan", "default")
            return controller_of(stray) is None and len(await cluster.pods(labels="app=web")) == 2

        await eventually(released)


async def test_a_restart_in_the_middle_makes_no_extra_pods(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
    await cluster.client.create(replica_set(40))
    for _ in range(5):
        async with cluster.controllers():
            await asyncio.sleep(0)
        assert len(await cluster.pods()) <= 40
    async with cluster.controllers() as manager:
        await status_is(cluster, replicas=40)
        await eventually(lambda: manager.idle)
        assert len(await cluster.pods()) == 40


async def test_refused_pods_show_as_a_condition_and_an_event(cluster: Cluster) -> None:
    wanted = replica_set(5)
    wanted.spec.template.spec.serviceAccountName = "nobody"
    async with cluster.controllers():
        await cluster.client.create(wanted)

        async def failing() -> bool:
            found = await cluster.client.get(apps.ReplicaSet, "web", "default")
            events = (await cluster.client.list(core.Event, "default")).items
            condition = next((c for c in found.status.conditions if c.type == "ReplicaFailure"), None)
            told = [event for event in events if event.reason == "FailedCreate" and event.involvedObject.name == "web"]
            return condition is not None and condition.reason == "FailedCreate" and "nobody" in condition.message and bool(told)

        await eventually(failing)
        await cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="nobody", namespace="default")))
        found = await status_is(cluster, replicas=5)
        await eventually(lambda: cluster.condition_gone("web"))
        assert found.status.replicas == 5


async def test_idle_is_silent(cluster: Cluster) -> None:
    async with cluster.controllers() as manager:
        await cluster.client.create(replica_set(2))
        await status_is(cluster, replicas=2)
        for pod in await cluster.pods():
            await cluster.make_ready(pod)
        await status_is(cluster, availableReplicas=2)
        await eventually(lambda: manager.idle)
        version = (await cluster.client.get(apps.ReplicaSet, "web", "default")).metadata.resourceVersion
        await cluster.client.patch(apps.ReplicaSet, "web", "default", body={"metadata": {"annotations": {"touched": "yes"}}})
        await eventually(lambda: manager.idle)
        after = await cluster.client.get(apps.ReplicaSet, "web", "default")
        assert after.metadata.resourceVersion != version
        assert after.metadata.generation == after.status.observedGeneration
