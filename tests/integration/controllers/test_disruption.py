"""Disruption budgets: the status that evictions are granted by."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString
from tiphys.api.machinery.errors import TooManyRequests
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta, Status
from tiphys.api.policy import v1 as policy
from tiphys.testing import eventually

from .conftest import Cluster, running_kubelet
from .make import deployment


def budget(*, at_least: IntOrString | None = None, at_most: IntOrString | None = None) -> policy.PodDisruptionBudget:
    spec = policy.PodDisruptionBudgetSpec(minAvailable=at_least, maxUnavailable=at_most, selector=LabelSelector(matchLabels={"app": "web"}))
    return policy.PodDisruptionBudget(metadata=ObjectMeta(name="web", namespace="default"), spec=spec)


async def status_is(cluster: Cluster, *, expected: int, desired: int, healthy: int, allowed: int) -> policy.PodDisruptionBudget:
    async def look() -> policy.PodDisruptionBudget | None:
        found = await cluster.client.get(policy.PodDisruptionBudget, "web", "default")
        status = found.status
        counts = (status.expectedPods, status.desiredHealthy, status.currentHealthy, status.disruptionsAllowed)
        assert counts == (expected, desired, healthy, allowed)
        assert status.observedGeneration == found.metadata.generation
        return found

    found = await eventually(look)
    assert found is not None
    return found


async def test_budgets_follow_pods_and_their_owners(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(budget(at_most="25%"))
        await status_is(cluster, expected=0, desired=0, healthy=0, allowed=0)
        await cluster.client.create(deployment(8))
        found = await status_is(cluster, expected=8, desired=6, healthy=8, allowed=2)
        condition = found.status.conditions[0]
        assert (condition.type, condition.status, condition.reason) == ("DisruptionAllowed", "True", "SufficientPods")
        await cluster.make_ready((await cluster.pods())[0], ready=False)
        await status_is(cluster, expected=8, desired=6, healthy=7, allowed=1)
        await cluster.client.patch(apps.Deployment, "web", "default", body={"spec": {"replicas": 4}})
        await status_is(cluster, expected=4, desired=3, healthy=4, allowed=1)


async def test_evictions_are_granted_one_by_one(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster) as kubelet:
        await cluster.client.create(budget(at_least=2))
        await cluster.client.create(deployment(3))
        await status_is(cluster, expected=3, desired=2, healthy=3, allowed=1)
        kubelet.unready = lambda pod: True
        pods = await cluster.pods()

        async def evict(pod: core.Pod) -> None:
            body = policy.Eviction(metadata=ObjectMeta(name=pod.metadata.name, namespace="default"))
            await cluster.client.post(core.Pod, pod.metadata.name, "default", "eviction", body, Status)

        await evict(pods[0])
        await status_is(cluster, expected=3, desired=2, healthy=2, allowed=0)
        try:
            await evict(pods[1])
        except TooManyRequests:
            pass
        else:
            raise AssertionError("the second eviction was granted")


async def test_a_bare_pod_has_no_scale(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        spec = core.PodSpec(containers=[core.Container(name="main", image="busybox")])
        await cluster.client.create(core.Pod(metadata=ObjectMeta(name="bare", namespace="default", labels={"app": "web"}), spec=spec))
        await cluster.client.create(budget(at_most=1))

        async def failed() -> bool:
            found = await cluster.client.get(policy.PodDisruptionBudget, "web", "default")
            return [(c.status, c.reason) for c in found.status.conditions] == [("False", "SyncFailed")]

        await eventually(failed)
