"""Updates of StatefulSets against the real API server: in order, by partition, several at once, rolled back, on delete."""

from __future__ import annotations

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.statefulset.statefulsets import change, idle, images, set_image, settle, stateful_set, status_is
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.testing import eventually


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
                assert pod.metadata.labels[HASH_LABEL] == (new if pod.spec.containers[0].image == "busybox:2" else old)

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
