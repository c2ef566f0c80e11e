"""Deployments against the real API server, with a kubelet that the tests play."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

import pytest

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.make import deployment
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_ready
from tiphys.controllers.deployment import history
from tiphys.testing import eventually


async def read(cluster: Cluster, name: str = "web") -> apps.Deployment:
    return await cluster.client.get(apps.Deployment, name, "default")


async def sets(cluster: Cluster) -> list[apps.ReplicaSet]:
    found = (await cluster.client.list(apps.ReplicaSet, "default")).items
    return sorted(found, key=history.revision)


async def reaches(cluster: Cluster, check: Callable[[apps.Deployment], bool]) -> apps.Deployment:
    async def look() -> apps.Deployment | None:
        found = await read(cluster)
        assert check(found), found.status
        return found

    found = await eventually(look)
    assert found is not None
    return found


def complete(found: apps.Deployment) -> bool:
    status, replicas = found.status, found.spec.replicas
    counts = (status.replicas, status.updatedReplicas, status.readyReplicas, status.availableReplicas)
    return status.observedGeneration == found.metadata.generation and counts == (replicas,) * 4


def reason(found: apps.Deployment, type_: str = "Progressing") -> str:
    return next((f"{c.status} {c.reason}" for c in found.status.conditions if c.type == type_), "")


async def set_image(cluster: Cluster, image: str) -> None:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    await cluster.client.patch(apps.Deployment, "web", "default", body=body, kind="strategic")


async def test_a_deployment_comes_up(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(3))
        found = await reaches(cluster, complete)
        assert reason(found) == "True NewReplicaSetAvailable"
        assert reason(found, "Available") == "True MinimumReplicasAvailable"
        assert found.metadata.annotations[history.REVISION] == "1"
        (replica_set,) = await sets(cluster)
        hash_ = replica_set.metadata.labels[history.HASH_LABEL]
        assert replica_set.metadata.name == f"web-{hash_}"
        assert replica_set.spec.selector is not None
        assert replica_set.spec.selector.matchLabels == {"app": "web", history.HASH_LABEL: hash_}
        assert replica_set.metadata.annotations[history.DESIRED] == "3"
        assert replica_set.metadata.annotations[history.MAXIMUM] == "4"
        assert all(pod.metadata.labels[history.HASH_LABEL] == hash_ for pod in await cluster.pods())


@pytest.mark.parametrize(("surge", "unavailable", "replicas"), [("25%", "25%", 8), (1, 0, 3), (0, 1, 3), ("100%", 0, 4), (0, "100%", 3)])
async def test_a_rolling_update_keeps_its_bounds(cluster: Cluster, surge: int | str, unavailable: int | str, replicas: int) -> None:
    wanted = deployment(replicas, surge=surge, unavailable=unavailable)
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(wanted)
        await reaches(cluster, complete)
        at_least = replicas - (replicas * int(str(unavailable)[:-1]) // 100 if "%" in str(unavailable) else int(unavailable))
        at_most = replicas + (-(-replicas * int(str(surge)[:-1]) // 100) if "%" in str(surge) else int(surge))
        watcher = asyncio.create_task(_watch_bounds(cluster, at_least, at_most))
        await asyncio.sleep(0)
        await set_image(cluster, "busybox:2")
        await reaches(cluster, complete)
        assert not watcher.done(), watcher.exception()
        await cancel_and_wait(watcher)
        old, new = await sets(cluster)
        assert (old.spec.replicas, new.spec.replicas) == (0, replicas)
        assert {pod.spec.containers[0].image for pod in await cluster.pods()} == {"busybox:2"}
        assert (await read(cluster)).metadata.annotations[history.REVISION] == "2"


async def _watch_bounds(cluster: Cluster, at_least: int, at_most: int) -> None:
    """Follow every change of every pod; fails when ready pods are too few or active pods too many at any moment."""
    listed = await cluster.client.list(core.Pod, "default")
    pods = {pod.metadata.name: pod for pod in listed.items}
    async for event in cluster.client.watch(core.Pod, "default", resource_version=listed.resourceVersion):
        if event.type == "DELETED":
            pods.pop(event.object.metadata.name, None)
        elif event.type != "BOOKMARK":
            pods[event.object.metadata.name] = event.object
        active = [pod for pod in pods.values() if pod.metadata.deletionTimestamp is None]
        assert len(active) <= at_most
        assert sum(is_ready(pod) for pod in active) >= at_least


async def test_a_rollout_survives_restarts_of_its_controllers(cluster: Cluster) -> None:
    rng = random.Random(7)
    async with running_kubelet(cluster):
        async with cluster.controllers():
            await cluster.client.create(deployment(6, surge=2, unavailable=1))
            await reaches(cluster, complete)
        watcher = asyncio.create_task(_watch_bounds(cluster, 5, 8))
        await asyncio.sleep(0)
        await set_image(cluster, "busybox:2")
        for _ in range(20):
            async with cluster.controllers():
                # No waiting for anything: the end may come at every point of a step.
                for _ in range(rng.randrange(300)):
                    await asyncio.sleep(0)
        async with cluster.controllers():
            await reaches(cluster, lambda d: complete(d) and d.metadata.annotations[history.REVISION] == "2")
        assert not watcher.done(), watcher.exception()
        await cancel_and_wait(watcher)
        assert len(await cluster.pods()) == 6
        assert len(await sets(cluster)) == 2


async def test_undo_brings_the_former_template_back(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(2))
        await reaches(cluster, complete)
        first = (await sets(cluster))[0].metadata.name
        await set_image(cluster, "busybox:2")
        await reaches(cluster, lambda d: complete(d) and d.metadata.annotations[history.REVISION] == "2")
        await set_image(cluster, "busybox:1")
        await reaches(cluster, lambda d: complete(d) and d.metadata.annotations[history.REVISION] == "3")
        _, current = await sets(cluster)
        assert current.metadata.name == first
        assert current.metadata.annotations[history.HISTORY] == "1"


async def test_a_paused_rollout_waits_and_resumes(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(2))
        await reaches(cluster, complete)
        await cluster.client.patch(apps.Deployment, "web", "default", body={"spec": {"paused": True}})
        await reaches(cluster, lambda d: reason(d) == "Unknown DeploymentPaused")
        await set_image(cluster, "busybox:2")
        await reaches(cluster, lambda d: d.status.observedGeneration == d.metadata.generation)
        assert len(await sets(cluster)) == 1
        await cluster.client.patch(apps.Deployment, "web", "default", body={"spec": {"replicas": 4}})
        await reaches(cluster, lambda d: d.status.readyReplicas == 4)
        await cluster.client.patch(apps.Deployment, "web", "default", body={"spec": {"paused": False}})
        found = await reaches(cluster, complete)
        assert reason(found) == "True NewReplicaSetAvailable"
        assert len(await sets(cluster)) == 2


async def test_scaling_in_a_stuck_rollout_is_proportional(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster) as kubelet:
        await cluster.client.create(deployment(10, surge=3, unavailable=2))
        await reaches(cluster, complete)
        kubelet.unready = lambda pod: pod.spec.containers[0].image == "bad"
        await set_image(cluster, "bad")
        await reaches(cluster, lambda d: (d.status.replicas, d.status.updatedReplicas, d.status.readyReplicas) == (13, 5, 8))
        await cluster.client.patch(apps.Deployment, "web", "default", body={"spec": {"replicas": 15}})
        await reaches(cluster, lambda d: d.status.replicas == 18)
        old, new = await sets(cluster)
        assert (old.spec.replicas, new.spec.replicas) == (11, 7)


async def test_recreate_has_never_old_and_new_pods_together(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(3, strategy="Recreate"))
        await reaches(cluster, complete)
        listed = await cluster.client.list(core.Pod, "default")
        mixed: list[set[str]] = []

        async def follow() -> None:
            pods = {pod.metadata.name: pod.spec.containers[0].image for pod in listed.items}
            async for event in cluster.client.watch(core.Pod, "default", resource_version=listed.resourceVersion):
                if event.type == "DELETED":
                    pods.pop(event.object.metadata.name)
                elif event.type != "BOOKMARK":
                    pods[event.object.metadata.name] = event.object.spec.containers[0].image
                if len(set(pods.values())) > 1:
                    mixed.append(set(pods.values()))

        task = asyncio.create_task(follow())
        await set_image(cluster, "busybox:2")
        await reaches(cluster, lambda d: complete(d) and d.metadata.annotations[history.REVISION] == "2")
        await cancel_and_wait(task)
        assert not mixed


async def test_no_progress_in_time_is_an_error_and_recovers(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster) as kubelet:
        kubelet.unready = lambda pod: pod.spec.containers[0].image == "busybox:1"
        await cluster.client.create(deployment(1, progressDeadlineSeconds=1))
        found = await reaches(cluster, lambda d: reason(d) == "False ProgressDeadlineExceeded")
        assert reason(found, "Available") == "False MinimumReplicasUnavailable"
        await set_image(cluster, "busybox:2")
        await reaches(cluster, lambda d: complete(d) and reason(d) == "True NewReplicaSetAvailable")


def complete_at(revision: int, found: apps.Deployment) -> bool:
    return complete(found) and found.metadata.annotations[history.REVISION] == str(revision)


async def test_history_is_limited(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(deployment(1, revisionHistoryLimit=2))
        for number in range(1, 6):
            await set_image(cluster, f"busybox:{number}")
            await reaches(cluster, partial(complete_at, number))

        async def three_left() -> bool:
            return [history.revision(found) for found in await sets(cluster)] == [3, 4, 5]

        await eventually(three_left)


async def test_a_hash_collision_takes_another_name(cluster: Cluster) -> None:
    wanted = deployment(1)
    stored = await cluster.client.create(wanted, dry_run=True)
    taken = history.replica_set_name("web", history.template_hash(stored.spec.template, None))
    stranger = apps.ReplicaSet(
        metadata=stored.metadata, spec=apps.ReplicaSetSpec(replicas=0, selector=stored.spec.selector, template=stored.spec.template)
    )
    stranger.metadata = type(stored.metadata)(name=taken, namespace="default", labels={"app": "other"})
    stranger.spec.selector = type(stored.spec.selector)(matchLabels={"app": "other"})  # type: ignore[misc]
    stranger.spec.template.metadata.labels = {"app": "other"}
    await cluster.client.create(stranger)
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(wanted)
        found = await reaches(cluster, complete)
        assert found.status.collisionCount == 1


async def test_idle_is_silent(cluster: Cluster) -> None:
    async with cluster.controllers() as manager, running_kubelet(cluster):
        await cluster.client.create(deployment(3))
        await reaches(cluster, complete)
        await eventually(lambda: manager.idle)
        before = (await cluster.client.list(apps.Deployment)).resourceVersion
    async with cluster.controllers() as manager:
        await eventually(lambda: manager.idle)
        await asyncio.sleep(0.1)
        versions = [
            obj.metadata.resourceVersion
            for kind in (apps.Deployment, apps.ReplicaSet, core.Pod)
            for obj in (await cluster.client.list(kind)).items
        ]
        assert all(int(version) <= int(before) for version in versions)
