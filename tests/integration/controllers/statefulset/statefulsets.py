"""StatefulSets and what their loop makes of them, for tests."""

from __future__ import annotations

from typing import Any

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.make import template
from tests.unit.controllers.statefulset.make import claim_template
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.testing import eventually


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
