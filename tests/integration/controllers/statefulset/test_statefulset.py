"""StatefulSets against the real API server: order, identity, scale, status, adoption."""

from __future__ import annotations

import pytest

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.statefulset.statefulsets import change, idle, pods_are, settle, stateful_set, status_is
from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling import v1 as autoscaling
from tiphys.api.core import v1 as core
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.runtime import controller_of
from tiphys.testing import eventually


async def test_pods_have_names_labels_and_host_names_of_their_own(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        made = await cluster.client.create(stateful_set(2))
        found = await settle(cluster, "1", 2)
        assert found.status.currentReplicas == 2
        for ordinal, pod in enumerate(await pods_are(cluster, "web-0", "web-1")):
            labels = pod.metadata.labels
            assert labels["statefulset.kubernetes.io/pod-name"] == pod.metadata.name
            assert labels["apps.kubernetes.io/pod-index"] == str(ordinal)
            assert labels[HASH_LABEL] == found.status.currentRevision
            assert (pod.spec.hostname, pod.spec.subdomain) == (pod.metadata.name, "web")
            owner = controller_of(pod)
            assert owner is not None
            assert (owner.kind, owner.name, owner.uid) == ("StatefulSet", "web", made.metadata.uid)

        async def told() -> bool:
            events = (await cluster.client.list(core.Event, "default", fields="involvedObject.kind=StatefulSet")).items
            return {(event.reason, event.message) for event in events} >= {
                ("SuccessfulCreate", f"Create Pod web-{ordinal} in StatefulSet web successful") for ordinal in (0, 1)
            }

        await eventually(told)


async def test_pods_scale_in_order_and_halt_at_unhealthy_ones(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(stateful_set(1))
        (first,) = await pods_are(cluster, "web-0")
        await cluster.make_ready(first)
        await status_is(cluster, readyReplicas=1)
        await cluster.make_ready(first, ready=False)
        await status_is(cluster, readyReplicas=0)
        await change(cluster, replicas=3)
        await idle(cluster)
        await pods_are(cluster, "web-0")
        await cluster.make_ready(first)
        _, second = await pods_are(cluster, "web-0", "web-1")
        await idle(cluster)
        await pods_are(cluster, "web-0", "web-1")
        await cluster.make_ready(second)
        *_, third = await pods_are(cluster, "web-0", "web-1", "web-2")
        await cluster.make_ready(third)
        await status_is(cluster, replicas=3, readyReplicas=3)

        for pod in (first, second, third):
            await cluster.make_ready(pod, ready=False)
        await status_is(cluster, readyReplicas=0)
        await change(cluster, replicas=0)
        await idle(cluster)
        assert all(pod.metadata.deletionTimestamp is None for pod in await pods_are(cluster, "web-0", "web-1", "web-2"))
        order: list[str] = []
        version = (await cluster.client.list(core.Pod, "default")).resourceVersion
        for pod in (first, second, third):
            await cluster.make_ready(pod)
        async for event in cluster.client.watch(core.Pod, "default", resource_version=version):
            if event.type == "DELETED":
                order.append(event.object.metadata.name)
                if len(order) == 3:
                    break
        assert order == ["web-2", "web-1", "web-0"]
        await status_is(cluster, replicas=0, readyReplicas=0)


async def test_parallel_pods_scale_past_unhealthy_ones(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(stateful_set(1, podManagementPolicy="Parallel"))
        (first,) = await pods_are(cluster, "web-0")
        await cluster.make_ready(first, ready=False)
        await change(cluster, replicas=3)
        pods = await pods_are(cluster, "web-0", "web-1", "web-2")
        for pod in pods:
            await cluster.make_ready(pod, ready=False)
        await status_is(cluster, replicas=3, readyReplicas=0)
        await change(cluster, replicas=0)
        await pods_are(cluster)
        await status_is(cluster, replicas=0)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_finished_pod_is_recreated(cluster: Cluster, phase: str) -> None:
    """An evicted pod has failed."""
    async with cluster.controllers():
        await cluster.client.create(stateful_set(2))
        (first,) = await pods_are(cluster, "web-0")
        first.status.phase, first.status.reason = phase, "Evicted"
        await cluster.client.update_status(first)

        async def recreated() -> bool:
            (pod,) = await pods_are(cluster, "web-0")
            return pod.metadata.uid != first.metadata.uid and pod.status.phase == "Pending"

        await eventually(recreated)


async def test_the_scale_subresource(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1))
        await settle(cluster, "1", 1)
        scale = await cluster.client.get_subresource(apps.StatefulSet, "web", "default", "scale", autoscaling.Scale)
        assert (scale.spec.replicas, scale.status.replicas, scale.status.selector) == (1, 1, "app=web")
        scale.spec.replicas = 2
        scale = await cluster.client.put_subresource(apps.StatefulSet, "web", "default", "scale", scale)
        assert scale.spec.replicas == 2
        await settle(cluster, "1", 2)
        await cluster.client.patch(apps.StatefulSet, "web", "default", body={"spec": {"replicas": 4}}, subresource="scale")
        await settle(cluster, "1", 4)


async def test_a_collection_is_listed_patched_and_deleted(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        made = stateful_set(1)
        made.metadata.labels = {"test": "collection"}
        await cluster.client.create(made)
        await settle(cluster, "1", 1)
        (found,) = (await cluster.client.list(apps.StatefulSet, labels="test=collection")).items
        assert found.metadata.name == "web"
        body = {
            "metadata": {"labels": {"test": "patched"}},
            "spec": {"replicas": 2, "template": {"spec": {"terminationGracePeriodSeconds": 0}}},
        }
        patched = await cluster.client.patch(apps.StatefulSet, "web", "default", body=body, kind="strategic")
        assert (patched.metadata.labels, patched.spec.replicas) == ({"test": "patched"}, 2)
        await settle(cluster, "1", 2)
        await cluster.client.delete_collection(apps.StatefulSet, "default", labels="test=patched")
        await pods_are(cluster)
        assert (await cluster.client.list(apps.StatefulSet)).items == []
        assert (await cluster.client.list(apps.ControllerRevision)).items == []


async def test_the_status_subresource(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1))
        found = await settle(cluster, "1", 1)
        found.status.conditions = [apps.StatefulSetCondition(type="StatusUpdate", status="True", reason="E2E", message="Set from e2e test")]
        found = await cluster.client.update_status(found)
        assert [condition.type for condition in found.status.conditions] == ["StatusUpdate"]
        body = {"metadata": {"annotations": {"patched": "yes"}}, "status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
        await cluster.client.patch(apps.StatefulSet, "web", "default", body=body, subresource="status")
        # What others say about it stays when the loop writes.
        await change(cluster, replicas=2)
        found = await settle(cluster, "1", 2)
        assert [condition.type for condition in found.status.conditions] == ["StatusPatched"]
        assert found.metadata.annotations["patched"] == "yes"


async def test_pods_count_as_available_after_a_while(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, minReadySeconds=1, podManagementPolicy="Parallel"))
        await status_is(cluster, readyReplicas=2)
        await status_is(cluster, readyReplicas=2, availableReplicas=2)
        await change(cluster, minReadySeconds=3600)
        await status_is(cluster, readyReplicas=2, availableReplicas=0)


@pytest.mark.parametrize(("start", "names"), [(2, ["web-2", "web-3"]), (0, ["web-0", "web-1"])])
async def test_the_start_ordinal_moves(cluster: Cluster, start: int, names: list[str]) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, ordinals=apps.StatefulSetOrdinals(start=1)))
        await settle(cluster, "1", 2)
        assert sorted(pod.metadata.name for pod in await cluster.pods()) == ["web-1", "web-2"]
        await change(cluster, ordinals={"start": start} if start else None)
        await pods_are(cluster, *names)
        await settle(cluster, "1", 2)


async def test_orphans_are_adopted_and_strays_released(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1))
        await settle(cluster, "1", 1)
        pod = await cluster.client.get(core.Pod, "web-0", "default")
        await cluster.client.patch(core.Pod, "web-0", "default", body={"metadata": {"ownerReferences": None}})

        async def adopted() -> bool:
            found = await cluster.client.get(core.Pod, "web-0", "default")
            return controller_of(found) is not None and found.metadata.uid == pod.metadata.uid

        await eventually(adopted)
        await cluster.client.patch(core.Pod, "web-0", "default", body={"metadata": {"labels": {"app": "other"}}})

        async def released() -> bool:
            return controller_of(await cluster.client.get(core.Pod, "web-0", "default")) is None

        await eventually(released)
        # Its name is taken, so nothing takes its place; with its label back it is adopted again.
        await cluster.client.patch(core.Pod, "web-0", "default", body={"metadata": {"labels": {"app": "web"}}})
        await eventually(adopted)


async def test_a_new_set_adopts_pods_and_revisions_of_the_last(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2))
        before = await settle(cluster, "1", 2)
        uids = {pod.metadata.uid for pod in await cluster.pods()}
        await cluster.client.delete(apps.StatefulSet, "web", "default", propagation="Orphan")

        async def orphaned() -> bool:
            return not (await cluster.client.list(apps.StatefulSet)).items and all(
                controller_of(pod) is None for pod in await cluster.pods()
            )

        await eventually(orphaned)
        await cluster.client.create(stateful_set(2))
        after = await settle(cluster, "1", 2)
        assert {pod.metadata.uid for pod in await cluster.pods()} == uids
        assert after.status.currentRevision == before.status.currentRevision
        (revision,) = (await cluster.client.list(apps.ControllerRevision, "default")).items
        owner = controller_of(revision)
        assert owner is not None
        assert owner.uid == after.metadata.uid


async def test_names_as_long_as_they_may_be(cluster: Cluster) -> None:
    name = "n" * 61
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1, name=name))
        found = await status_is(cluster, name, replicas=1, readyReplicas=1, updatedReplicas=1)
        assert len(found.status.currentRevision) == 63
