"""ReplicationControllers against the real API server: the ReplicaSet's mechanism under the older kind."""

from __future__ import annotations

import asyncio

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.make import template
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.runtime import controller_of
from tiphys.testing import eventually


def rc(replicas: int = 2, name: str = "web") -> core.ReplicationController:
    spec = core.ReplicationControllerSpec(replicas=replicas, selector={"app": name}, template=template(name))
    return core.ReplicationController(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


async def get(client: Client, name: str = "web") -> core.ReplicationController:
    return await client.get(core.ReplicationController, name, "default")


async def status_is(cluster: Cluster, name: str = "web", **wanted: int) -> None:
    async def check() -> bool:
        found = await get(cluster.client, name)
        state = {field: getattr(found.status, field) for field in wanted}
        assert state == wanted
        return True

    await eventually(check)


async def test_pods_are_made_counted_and_scaled(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        made = await cluster.client.create(rc(2))
        await status_is(cluster, replicas=2, readyReplicas=2, availableReplicas=2, fullyLabeledReplicas=2, observedGeneration=1)
        for pod in await cluster.pods():
            owner = controller_of(pod)
            assert owner is not None
            assert (owner.apiVersion, owner.kind, owner.uid) == ("v1", "ReplicationController", made.metadata.uid)
        await cluster.client.patch(core.ReplicationController, "web", "default", body={"spec": {"replicas": 1}}, subresource="scale")
        await status_is(cluster, replicas=1, readyReplicas=1, observedGeneration=2)


async def test_orphans_are_adopted_and_strays_released(cluster: Cluster) -> None:
    async with cluster.controllers():
        alone = await cluster.client.create(
            core.Pod(metadata=ObjectMeta(name="alone", namespace="default", labels={"app": "web"}), spec=template().spec)
        )
        made = await cluster.client.create(rc(1))

        async def owner_uid() -> str:
            owner = controller_of(await cluster.client.get(core.Pod, "alone", "default"))
            return owner.uid if owner is not None else ""

        async def adopted() -> bool:
            return await owner_uid() == made.metadata.uid

        async def released() -> bool:
            return not await owner_uid() and len(await cluster.pods()) == 2

        await eventually(adopted)
        assert [pod.metadata.uid for pod in await cluster.pods()] == [alone.metadata.uid]
        await cluster.client.patch(core.Pod, "alone", "default", body={"metadata": {"labels": {"app": "other"}}})
        await eventually(released)


async def test_a_refusal_becomes_a_condition_and_goes_again(cluster: Cluster) -> None:
    """Pods whose account is missing are refused, like those beyond a quota."""
    async with cluster.controllers():
        refused = rc(1)
        assert refused.spec.template is not None
        refused.spec.template.spec.serviceAccountName = "later"
        await cluster.client.create(refused)

        async def failing() -> bool:
            conditions = (await get(cluster.client)).status.conditions
            return [(c.type, c.status, c.reason) for c in conditions] == [("ReplicaFailure", "True", "FailedCreate")]

        async def cleared() -> bool:
            return not (await get(cluster.client)).status.conditions

        await eventually(failing)
        await cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="later", namespace="default")))
        await eventually(cleared)
        await status_is(cluster, replicas=1)


async def test_a_quota_that_is_too_small_shows_in_the_status(cluster: Cluster) -> None:
    """The condition comes when the quota is exceeded, and goes when the controller asks for no more than there is."""
    async with cluster.controllers():
        quota = core.ResourceQuota(metadata=ObjectMeta(name="small", namespace="default"), spec=core.ResourceQuotaSpec(hard={"pods": "2"}))  # type: ignore[dict-item]
        await cluster.client.create(quota)

        async def counted() -> bool:
            return (await cluster.client.get(core.ResourceQuota, "small", "default")).status.used == {"pods": "0"}

        await eventually(counted)
        await cluster.client.create(rc(3))

        async def failing() -> bool:
            conditions = (await get(cluster.client)).status.conditions
            assert [(c.type, c.status, c.reason) for c in conditions] == [("ReplicaFailure", "True", "FailedCreate")]
            return "exceeded quota: small" in conditions[0].message

        async def cleared() -> bool:
            return not (await get(cluster.client)).status.conditions

        await eventually(failing)
        await status_is(cluster, replicas=2)
        await cluster.client.patch(core.ReplicationController, "web", "default", body={"spec": {"replicas": 2}})
        await eventually(cleared)


async def test_a_delete_leaves_pods_behind_unless_it_says_otherwise(cluster: Cluster) -> None:
    async with cluster.controllers():
        for name in ("keeps", "takes", "waits"):
            await cluster.client.create(rc(1, name))
            await status_is(cluster, name, replicas=1)
        pods = {pod.metadata.labels["app"]: pod.metadata.name for pod in await cluster.pods()}
        await cluster.client.delete(core.ReplicationController, "keeps", "default")
        await cluster.client.delete(core.ReplicationController, "takes", "default", propagation="Background")
        await cluster.client.delete(core.ReplicationController, "waits", "default", propagation="Foreground")

        async def only_orphan_left() -> bool:
            left = [pod for pod in await cluster.pods() if pod.metadata.deletionTimestamp is None]
            controllers = (await cluster.client.list(core.ReplicationController, "default")).items
            return not controllers and [(p.metadata.name, p.metadata.ownerReferences) for p in left] == [(pods["keeps"], [])]

        await eventually(only_orphan_left)


async def test_foreground_deletion_keeps_it_until_its_pods_are_gone(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(rc(1))
        await status_is(cluster, replicas=1)
        (pod,) = await cluster.pods()
        await cluster.client.patch(core.Pod, pod.metadata.name, "default", body={"metadata": {"finalizers": ["example.com/slow"]}})
        await cluster.client.delete(core.ReplicationController, "web", "default", propagation="Foreground")

        async def pod_goes() -> bool:
            return (await cluster.client.get(core.Pod, pod.metadata.name, "default")).metadata.deletionTimestamp is not None

        async def gone() -> bool:
            return not (await cluster.client.list(core.ReplicationController, "default")).items

        await eventually(pod_goes)
        assert (await get(cluster.client)).metadata.finalizers == ["foregroundDeletion"]
        await cluster.client.patch(core.Pod, pod.metadata.name, "default", body={"metadata": {"finalizers": None}})
        await eventually(gone)


async def test_a_pod_of_two_owners_lives_while_one_of_them_does(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(rc(2, "goes"))
        await cluster.client.create(rc(0, "stays"))
        await status_is(cluster, "goes", replicas=2)
        stays = await get(cluster.client, "stays")
        first, second = await cluster.pods()
        for pod in (first,):
            owners = [*pod.metadata.ownerReferences]
            owners.append(type(owners[0])(apiVersion="v1", kind="ReplicationController", name="stays", uid=stays.metadata.uid))
            await cluster.client.patch(core.Pod, pod.metadata.name, "default", body={"metadata": {"ownerReferences": owners}})
        await cluster.client.delete(core.ReplicationController, "goes", "default", propagation="Foreground")

        async def only_shared_left() -> bool:
            left = [pod for pod in await cluster.pods() if pod.metadata.deletionTimestamp is None]
            return [[ref.name for ref in pod.metadata.ownerReferences] for pod in left] == [["stays"]] and left[
                0
            ].metadata.uid == first.metadata.uid

        await eventually(only_shared_left)
        assert second.metadata.uid != first.metadata.uid


async def test_a_life_as_a_watcher_sees_it(cluster: Cluster) -> None:
    """Created, filled, relabeled, its status overwritten and put right, scaled, deleted with its collection."""
    seen: list[str] = []
    client = cluster.client

    async def follow() -> None:
        async for event in client.watch(core.ReplicationController, "default", labels="static=true"):
            seen.append(event.type)

    async with cluster.controllers(), running_kubelet(cluster):
        task = asyncio.create_task(follow())
        made = rc(1)
        made.metadata.labels = {"static": "true"}
        created = await client.create(made)
        await status_is(cluster, replicas=1, readyReplicas=1)
        patched = await client.patch(core.ReplicationController, "web", "default", body={"metadata": {"labels": {"test": "patched"}}})
        assert int(patched.metadata.resourceVersion) > int(created.metadata.resourceVersion)
        body = {"status": {"readyReplicas": 0, "availableReplicas": 0}}
        emptied = await client.patch(core.ReplicationController, "web", "default", body=body, subresource="status")
        assert (emptied.status.readyReplicas, emptied.status.replicas) == (0, 1)
        await status_is(cluster, replicas=1, readyReplicas=1, availableReplicas=1)
        await client.patch(core.ReplicationController, "web", "default", body={"spec": {"replicas": 2}}, subresource="scale")
        await status_is(cluster, replicas=2, readyReplicas=2)
        found = await get(client)
        found.status.availableReplicas = found.status.readyReplicas = 1
        assert (await client.update_status(found)).status.readyReplicas == 1
        assert [one.metadata.name for one in (await client.list(core.ReplicationController, labels="test=patched")).items] == ["web"]
        await client.delete_collection(core.ReplicationController, "default", labels="static=true")
        await eventually(lambda: seen[-1:] == ["DELETED"])
        assert (seen[0], seen.count("ADDED"), seen.count("DELETED")) == ("ADDED", 1, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
