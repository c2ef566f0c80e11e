"""The garbage collector: background, foreground, orphan, circles, and owners that nobody can find."""

from __future__ import annotations

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.make import deployment
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject, ObjectMeta, OwnerReference
from tiphys.testing import eventually


def owned(name: str, *owners: KubeObject, block: bool = True, namespace: str = "default") -> core.ConfigMap:
    references = [
        OwnerReference(apiVersion=o.apiVersion, kind=o.kind, name=o.metadata.name, uid=o.metadata.uid, blockOwnerDeletion=block)
        for o in owners
    ]
    return core.ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace, ownerReferences=references))


async def names(cluster: Cluster, namespace: str = "default") -> set[str]:
    found = (await cluster.client.list(core.ConfigMap, namespace)).items
    return {obj.metadata.name for obj in found} - {"kube-root-ca.crt"}


async def left(cluster: Cluster, *expected: str) -> None:
    async def check() -> bool:
        return await names(cluster) == set(expected)

    await eventually(check)


async def test_a_deployment_takes_everything_with_it(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(3))

        async def up() -> bool:
            return (await cluster.client.get(apps.Deployment, "web", "default")).status.readyReplicas == 3

        await eventually(up)
        await cluster.client.delete(apps.Deployment, "web", "default", propagation="Background")

        async def gone() -> bool:
            sets = (await cluster.client.list(apps.ReplicaSet, "default")).items
            return not sets and not await cluster.pods()

        await eventually(gone)


async def test_foreground_deletion_goes_from_the_leaves_up(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(3))

        async def up() -> bool:
            return (await cluster.client.get(apps.Deployment, "web", "default")).status.readyReplicas == 3

        await eventually(up)
        pod = (await cluster.pods())[0]
        await cluster.client.patch(core.Pod, pod.metadata.name, "default", body={"metadata": {"finalizers": ["example.com/slow"]}})
        await cluster.client.delete(apps.Deployment, "web", "default", propagation="Foreground")

        async def one_pod_left() -> bool:
            return [left.metadata.name for left in await cluster.pods()] == [pod.metadata.name]

        await eventually(one_pod_left)
        assert (await cluster.client.get(apps.Deployment, "web", "default")).metadata.finalizers == ["foregroundDeletion"]
        assert len((await cluster.client.list(apps.ReplicaSet, "default")).items) == 1
        await cluster.client.patch(core.Pod, pod.metadata.name, "default", body={"metadata": {"finalizers": None}})

        async def gone() -> bool:
            deployments, sets = await cluster.client.list(apps.Deployment), await cluster.client.list(apps.ReplicaSet)
            return not deployments.items and not sets.items and not await cluster.pods()

        await eventually(gone)


async def test_orphans_stay_and_are_free(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(2))

        async def up() -> bool:
            return (await cluster.client.get(apps.Deployment, "web", "default")).status.readyReplicas == 2

        await eventually(up)
        before = {pod.metadata.name for pod in await cluster.pods()}
        await cluster.client.delete(apps.Deployment, "web", "default", propagation="Orphan")

        async def free() -> bool:
            sets = (await cluster.client.list(apps.ReplicaSet, "default")).items
            deployments = (await cluster.client.list(apps.Deployment, "default")).items
            return not deployments and [found.metadata.ownerReferences for found in sets] == [[]]

        await eventually(free)
        assert {pod.metadata.name for pod in await cluster.pods()} == before
        # A Deployment that comes back adopts what it left.
        await cluster.client.create(deployment(2))
        await eventually(up)
        assert {pod.metadata.name for pod in await cluster.pods()} == before


async def test_one_owner_is_enough(cluster: Cluster) -> None:
    first = await cluster.client.create(owned("first"))
    second = await cluster.client.create(owned("second"))
    async with cluster.controllers():
        await cluster.client.create(owned("both", first, second))
        await cluster.client.delete(core.ConfigMap, "first", "default")

        async def one() -> bool:
            found = await cluster.client.get(core.ConfigMap, "both", "default")
            return [owner.name for owner in found.metadata.ownerReferences] == ["second"]

        await eventually(one)
        await cluster.client.delete(core.ConfigMap, "second", "default")
        await left(cluster)


async def test_owners_that_never_were(cluster: Cluster) -> None:
    stranger = core.ConfigMap(metadata=ObjectMeta(name="stranger", uid="0d4a1a9e-0000-4000-8000-000000000000"))
    widget = KubeObject(
        apiVersion="example.com/v1", kind="Widget", metadata=ObjectMeta(name="w", uid="0d4a1a9e-0000-4000-8000-000000000001")
    )
    real = await cluster.client.create(owned("real"))
    impostor = core.ConfigMap(metadata=ObjectMeta(name="real", uid="0d4a1a9e-0000-4000-8000-000000000002"))
    async with cluster.controllers():
        for obj in (owned("absent", stranger), owned("wrong-uid", impostor), owned("unknown-kind", widget), owned("fine", real)):
            await cluster.client.create(obj)
        await left(cluster, "real", "fine", "unknown-kind")


async def test_an_owner_in_another_namespace_is_none(cluster: Cluster) -> None:
    await cluster.client.create(core.Namespace(metadata=ObjectMeta(name="other")))
    owner = await cluster.client.create(owned("owner"))
    async with cluster.controllers():
        await cluster.client.create(owned("far", owner, namespace="other"))
        await cluster.client.create(owned("near", owner))

        async def only_near() -> bool:
            return await names(cluster, "other") == set() and await names(cluster) == {"owner", "near"}

        await eventually(only_near)

        async def said() -> bool:
            events = (await cluster.client.list(core.Event)).items
            found = [event for event in events if event.reason == "OwnerRefInvalidNamespace"]
            about = f"v1/ConfigMap, namespace: other, name: owner, uid: {owner.metadata.uid}"
            expected = f'ownerRef [{about}] does not exist in namespace "other"'
            return [(e.type, e.message, e.involvedObject.kind, e.involvedObject.name) for e in found] == [
                ("Warning", expected, "ConfigMap", "far")
            ]

        await eventually(said)


async def test_circles_go(cluster: Cluster) -> None:
    for policy in ("Background", "Foreground"):
        a = await cluster.client.create(owned("a"))
        b = await cluster.client.create(owned("b", a))
        references = owned("a", b).metadata.ownerReferences
        await cluster.client.patch(core.ConfigMap, "a", "default", body={"metadata": {"ownerReferences": references}})
        async with cluster.controllers():
            assert await names(cluster) == {"a", "b"}
            await cluster.client.delete(core.ConfigMap, "a", "default", propagation=policy)
            await left(cluster)


async def test_collects_after_deletions_it_did_not_see(cluster: Cluster) -> None:
    owner = await cluster.client.create(owned("owner"))
    await cluster.client.create(owned("child", owner))
    await cluster.client.delete(core.ConfigMap, "owner", "default")
    async with cluster.controllers():
        await left(cluster)


async def test_endpoint_slices_go_with_their_service(cluster: Cluster) -> None:
    from tests.integration.controllers.make import service
    from tiphys.api.discovery import v1 as discovery

    async with cluster.controllers():
        await cluster.client.create(service())

        async def count() -> int:
            return len((await cluster.client.list(discovery.EndpointSlice, "default", labels="kubernetes.io/service-name=web")).items)

        await eventually(count)
        await cluster.client.delete(core.Service, "web", "default")

        async def none() -> bool:
            return await count() == 0

        await eventually(none)
