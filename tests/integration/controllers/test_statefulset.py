"""StatefulSets against the real API server: order, identity, updates, rollbacks, claims, adoption."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling import v1 as autoscaling
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.client import Client
from tiphys.runtime import controller_of
from tiphys.testing import eventually

from .conftest import Cluster, running_kubelet
from .make import template

HASH = "controller-revision-hash"


def stateful_set(
    replicas: int = 3,
    *,
    name: str = "web",
    partition: int | None = None,
    unavailable: int | None = None,
    claims: tuple[str, ...] = (),
    retention: tuple[str, str] = ("Retain", "Retain"),
    **spec: Any,
) -> apps.StatefulSet:
    """A StatefulSet; `retention` is (whenDeleted, whenScaled)."""
    wanted = apps.StatefulSetSpec(
        replicas=replicas,
        serviceName=name,
        selector=LabelSelector(matchLabels={"app": name}),
        template=template(name),
        volumeClaimTemplates=[claim_template(claim) for claim in claims],
        persistentVolumeClaimRetentionPolicy=apps.StatefulSetPersistentVolumeClaimRetentionPolicy(
            whenDeleted=retention[0], whenScaled=retention[1]
        ),
        **spec,
    )
    if partition is not None or unavailable is not None:
        rolling = apps.RollingUpdateStatefulSetStrategy(partition=partition, maxUnavailable=unavailable)
        wanted.updateStrategy = apps.StatefulSetUpdateStrategy(type="RollingUpdate", rollingUpdate=rolling)
    return apps.StatefulSet(metadata=ObjectMeta(name=name, namespace="default"), spec=wanted)


def claim_template(name: str) -> core.PersistentVolumeClaim:
    resources = core.VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
    spec = core.PersistentVolumeClaimSpec(accessModes=["ReadWriteOnce"], resources=resources)
    return core.PersistentVolumeClaim(metadata=ObjectMeta(name=name), spec=spec)


async def status_is(cluster: Cluster, name: str = "web", **wanted: object) -> apps.StatefulSet:
    async def check() -> apps.StatefulSet:
        found = await cluster.client.get(apps.StatefulSet, name, "default")
        assert found.status.observedGeneration == found.metadata.generation
        assert {field: getattr(found.status, field) for field in wanted} == wanted
        return found

    return await eventually(check)


async def pods_are(cluster: Cluster, *names: str) -> list[core.Pod]:
    """Wait until these are the pods, in this order."""

    async def check() -> bool:
        assert [pod.metadata.name for pod in await in_order(cluster)] == list(names)
        return True

    await eventually(check)
    return await in_order(cluster)


async def in_order(cluster: Cluster) -> list[core.Pod]:
    return sorted(await cluster.pods(), key=lambda pod: pod.metadata.name)


async def images(cluster: Cluster) -> list[str]:
    return [pod.spec.containers[0].image.partition(":")[2] for pod in await in_order(cluster)]


async def change(cluster: Cluster, **spec: object) -> None:
    await cluster.client.patch(apps.StatefulSet, "web", "default", body={"spec": spec})


async def set_image(cluster: Cluster, image: str) -> None:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": f"busybox:{image}"}]}}}}
    await cluster.client.patch(apps.StatefulSet, "web", "default", body=body, kind="strategic")


async def settle(cluster: Cluster, image: str, replicas: int = 3) -> apps.StatefulSet:
    """Wait until all pods have the image and are ready."""

    async def check() -> apps.StatefulSet:
        found = await status_is(cluster, replicas=replicas, readyReplicas=replicas, updatedReplicas=replicas, availableReplicas=replicas)
        assert found.status.currentRevision == found.status.updateRevision
        assert await images(cluster) == [image] * replicas
        return found

    return await eventually(check)


async def idle(cluster: Cluster) -> None:
    """Wait until the loop has looked at everything that is there now: it tells which generation it has seen."""
    found = await cluster.client.get(apps.StatefulSet, "web", "default")
    await change(cluster, revisionHistoryLimit=found.metadata.generation + 100)
    await status_is(cluster)


async def test_pods_have_names_labels_and_host_names_of_their_own(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        made = await cluster.client.create(stateful_set(2))
        found = await settle(cluster, "1", 2)
        assert found.status.currentReplicas == 2
        for ordinal, pod in enumerate(await pods_are(cluster, "web-0", "web-1")):
            labels = pod.metadata.labels
            assert labels["statefulset.kubernetes.io/pod-name"] == pod.metadata.name
            assert labels["apps.kubernetes.io/pod-index"] == str(ordinal)
            assert labels[HASH] == found.status.currentRevision
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


async def test_canary_and_phased_updates(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(3, partition=3))
        before = await settle(cluster, "1")
        old = before.status.currentRevision
        await set_image(cluster, "2")
        await idle(cluster)
        found = await status_is(cluster, readyReplicas=3, updatedReplicas=0, currentReplicas=3)
        new = found.status.updateRevision
        assert (found.status.currentRevision, await images(cluster)) == (old, ["1", "1", "1"])
        assert new != old

        async def phase(partition: int, expected: list[str]) -> None:
            updated = expected.count("2")
            body = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
            await change(cluster, updateStrategy=body)
            await status_is(cluster, readyReplicas=3, updatedReplicas=updated)
            assert await images(cluster) == expected
            for pod in await cluster.pods():
                assert pod.metadata.labels[HASH] == (new if pod.spec.containers[0].image == "busybox:2" else old)

        await phase(2, ["1", "1", "2"])
        await status_is(cluster, currentReplicas=2, currentRevision=old, updateRevision=new)
        lost = {pod.metadata.uid for pod in await cluster.pods()}
        for name in ("web-0", "web-2"):
            await cluster.client.delete(core.Pod, name, "default")

        async def restored() -> bool:
            pods = await cluster.pods()
            ready = (await status_is(cluster, readyReplicas=3, replicas=3)).status
            return len({pod.metadata.uid for pod in pods} & lost) == 1 and ready.updatedReplicas == 1

        await eventually(restored)
        assert await images(cluster) == ["1", "1", "2"]
        await phase(1, ["1", "2", "2"])
        await phase(0, ["2", "2", "2"])
        await status_is(cluster, currentRevision=new, updateRevision=new, currentReplicas=3)


async def test_updates_and_rolls_back_in_reverse_order(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(3))
        first = (await settle(cluster, "1")).status.currentRevision
        await _update(cluster, "2")
        found = await settle(cluster, "2")
        second = found.status.currentRevision
        assert second != first
        revisions = {one.metadata.name: one.revision for one in (await cluster.client.list(apps.ControllerRevision, "default")).items}
        assert revisions == {first: 1, second: 2}
        await _update(cluster, "1")
        assert (await settle(cluster, "1")).status.currentRevision == first
        revisions = {one.metadata.name: one.revision for one in (await cluster.client.list(apps.ControllerRevision, "default")).items}
        assert revisions == {first: 3, second: 2}


async def _update(cluster: Cluster, image: str) -> None:
    """Change the image while web-1 is not ready: nothing moves until it is; then pods are replaced from the highest ordinal down."""
    before = await images(cluster)
    middle = await cluster.client.get(core.Pod, "web-1", "default")
    await cluster.make_ready(middle, ready=False)
    await status_is(cluster, readyReplicas=2)
    version = (await cluster.client.list(core.Pod, "default")).resourceVersion
    await set_image(cluster, image)
    await idle(cluster)
    found = await status_is(cluster, readyReplicas=2, updatedReplicas=0)
    assert found.status.currentRevision != found.status.updateRevision
    assert await images(cluster) == before
    await cluster.make_ready(middle)
    order = []
    async for event in cluster.client.watch(core.Pod, "default", resource_version=version):
        if event.type == "ADDED":
            order.append(event.object.metadata.name)
            if len(order) == 3:
                break
    assert order == ["web-2", "web-1", "web-0"]


async def test_several_pods_are_updated_at_once(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster) as kubelet:
        await cluster.client.create(stateful_set(5, unavailable=2))
        await settle(cluster, "1", 5)
        kubelet.unready = lambda pod: pod.spec.containers[0].image == "busybox:2"
        await set_image(cluster, "2")
        await status_is(cluster, readyReplicas=3)
        await idle(cluster)
        assert await images(cluster) in (["1", "1", "1", "2"], ["1", "1", "1", "2", "2"])
        kubelet.unready = lambda pod: False
        for pod in await cluster.pods():
            await cluster.make_ready(pod)
        await settle(cluster, "2", 5)


async def test_a_rollback_from_a_broken_revision_goes_ahead_by_itself(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster) as kubelet:
        await cluster.client.create(stateful_set(3))
        first = (await settle(cluster, "1")).status.currentRevision
        kubelet.unready = lambda pod: pod.spec.containers[0].image == "busybox:broken"
        await set_image(cluster, "broken")
        await status_is(cluster, readyReplicas=2, updatedReplicas=1, currentReplicas=2)
        await set_image(cluster, "1")
        assert (await settle(cluster, "1")).status.currentRevision == first


async def test_on_delete_waits_until_somebody_deletes(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(3, updateStrategy=apps.StatefulSetUpdateStrategy(type="OnDelete")))
        found = await settle(cluster, "1")
        await set_image(cluster, "2")
        await idle(cluster)
        assert await images(cluster) == ["1", "1", "1"]
        await cluster.client.delete_collection(core.Pod, "default", labels="app=web")
        await status_is(cluster, readyReplicas=3, updatedReplicas=3, currentRevision=found.status.currentRevision)
        assert await images(cluster) == ["2", "2", "2"]


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


async def claims(client: Client) -> dict[str, list[str]]:
    found = (await client.list(core.PersistentVolumeClaim, "default")).items
    return {
        claim.metadata.name: [ref.kind for ref in claim.metadata.ownerReferences] for claim in found if not claim.metadata.deletionTimestamp
    }


async def test_claims_are_made_and_kept(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, claims=("data", "log")))
        await settle(cluster, "1", 2)
        expected: dict[str, list[str]] = {f"{name}-web-{ordinal}": [] for name in ("data", "log") for ordinal in (0, 1)}
        assert await claims(cluster.client) == expected
        for pod in await cluster.pods():
            mounted = {volume.name: volume.persistentVolumeClaim for volume in pod.spec.volumes}
            assert mounted["data"] == core.PersistentVolumeClaimVolumeSource(claimName=f"data-{pod.metadata.name}")
        await change(cluster, replicas=0)
        await pods_are(cluster)
        assert await claims(cluster.client) == expected
        await cluster.client.delete(apps.StatefulSet, "web", "default")
        await cluster.client.create(stateful_set(1, claims=("data",)))
        await settle(cluster, "1", 1)
        assert await claims(cluster.client) == expected


async def test_claims_go_with_the_set(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, claims=("data",), retention=("Delete", "Retain")))
        await settle(cluster, "1", 2)
        assert await claims(cluster.client) == {"data-web-0": ["StatefulSet"], "data-web-1": ["StatefulSet"]}
        await change(cluster, replicas=1)
        await pods_are(cluster, "web-0")
        assert set(await claims(cluster.client)) == {"data-web-0", "data-web-1"}
        await cluster.client.delete(apps.StatefulSet, "web", "default")

        async def gone() -> bool:
            return not await claims(cluster.client)

        await eventually(gone)


async def test_claims_go_with_pods_that_are_scaled_down_and_come_back_new(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(2, claims=("data",), retention=("Retain", "Delete")))
        await settle(cluster, "1", 2)
        assert await claims(cluster.client) == {"data-web-0": [], "data-web-1": []}
        first = await cluster.client.get(core.PersistentVolumeClaim, "data-web-1", "default")
        await change(cluster, replicas=1)

        async def only_the_first() -> bool:
            return set(await claims(cluster.client)) == {"data-web-0"}

        await eventually(only_the_first)
        await change(cluster, replicas=2)
        await settle(cluster, "1", 2)
        again = await cluster.client.get(core.PersistentVolumeClaim, "data-web-1", "default")
        assert again.metadata.uid != first.metadata.uid
        # A pod that is only replaced keeps its claim.
        await cluster.client.delete(core.Pod, "web-1", "default")
        await settle(cluster, "1", 2)
        kept = await cluster.client.get(core.PersistentVolumeClaim, "data-web-1", "default")
        assert kept.metadata.uid == again.metadata.uid


async def test_policies_may_change(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1, claims=("data",)))
        await settle(cluster, "1", 1)
        for policy, owners in (
            (("Delete", "Retain"), ["StatefulSet"]),
            (("Retain", "Retain"), []),
            (("Delete", "Delete"), ["StatefulSet"]),
        ):
            await change(cluster, persistentVolumeClaimRetentionPolicy={"whenDeleted": policy[0], "whenScaled": policy[1]})

            async def owned(expected: list[str] = owners) -> bool:
                return await claims(cluster.client) == {"data-web-0": expected}

            await eventually(owned)


async def test_a_missing_claim_of_a_pending_pod_is_made_anew(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(stateful_set(1, claims=("data",)))
        await pods_are(cluster, "web-0")
        claim = await cluster.client.get(core.PersistentVolumeClaim, "data-web-0", "default")
        body = {"metadata": {"finalizers": None}}
        await cluster.client.patch(core.PersistentVolumeClaim, "data-web-0", "default", body=body)
        await cluster.client.delete(core.PersistentVolumeClaim, "data-web-0", "default")

        async def anew() -> bool:
            found = (await cluster.client.list(core.PersistentVolumeClaim, "default")).items
            return [one.metadata.uid != claim.metadata.uid for one in found] == [True]

        await eventually(anew)


async def test_old_revisions_are_forgotten(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1, revisionHistoryLimit=2))
        for image in "123456":
            await set_image(cluster, image)
            await settle(cluster, image, 1)

        async def three() -> bool:
            found = (await cluster.client.list(apps.ControllerRevision, "default")).items
            return sorted(one.revision for one in found) == [4, 5, 6]

        await eventually(three)


async def test_names_as_long_as_they_may_be(cluster: Cluster) -> None:
    name = "n" * 61
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(stateful_set(1, name=name))
        found = await status_is(cluster, name, replicas=1, readyReplicas=1, updatedReplicas=1)
        assert len(found.status.currentRevision) == 63
