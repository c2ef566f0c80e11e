"""Disruption budgets: the status that evictions are granted by."""

from __future__ import annotations

import json
from typing import Any

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString
from tiphys.api.machinery.errors import NotFound, TooManyRequests
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta, OwnerReference, Status
from tiphys.api.policy import v1 as policy
from tiphys.client import partial_kind
from tiphys.controllers.disruption.controller import DisruptionController
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
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


async def bare_pod(cluster: Cluster, *, owner: OwnerReference | None = None) -> core.Pod:
    """A ready pod that no workload of the cluster makes, and perhaps an owner."""
    await eventually(lambda: cluster.has_account("default"))
    spec = core.PodSpec(containers=[core.Container(name="main", image="busybox")])
    owners = [owner] if owner is not None else []
    meta = ObjectMeta(generateName="bare-", namespace="default", labels={"app": "web"}, ownerReferences=owners)
    return await cluster.make_ready(await cluster.client.create(core.Pod(metadata=meta, spec=spec)))


async def events(cluster: Cluster, reason: str) -> list[str]:
    return [event.message for event in (await cluster.client.list(core.Event, "default")).items if event.reason == reason]


async def test_pods_without_an_owner_are_left_out_and_reported(cluster: Cluster) -> None:
    async with cluster.controllers(DisruptionController(), ServiceAccountController()):
        await bare_pod(cluster)
        await cluster.client.create(budget(at_most=1))
        await status_is(cluster, expected=0, desired=0, healthy=1, allowed=0)
        (message,) = await eventually(lambda: events(cluster, "UnmanagedPods"))
        assert message == (
            "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,},"
            "MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged. As a result, the status of the PDB cannot be "
            'calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" '
            "field of the PDB to an integer value."
        )


async def define(cluster: Cluster, *, scaled: bool) -> None:
    """Make Widgets a kind of the cluster, with or without a scale."""
    fields = {name: {"type": "object", "properties": {"replicas": {"type": "integer"}}} for name in ("spec", "status")}
    version: dict[str, Any] = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": fields}},
    }
    if scaled:
        version["subresources"] = {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    names = {"plural": "widgets", "kind": "Widget"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    method, path = ("POST", path) if not scaled else ("PATCH", f"{path}/widgets.example.com")
    content = {"content-type": "application/json" if method == "POST" else "application/merge-patch+json"}
    await cluster.client.raw(method, path, body=json.dumps(definition).encode(), headers=content)


async def test_owners_of_custom_kinds_count_by_their_scale(cluster: Cluster) -> None:
    widgets = partial_kind("example.com", "v1", "widgets")
    async with cluster.controllers(DisruptionController(), ServiceAccountController()):
        await define(cluster, scaled=False)

        async def widget() -> dict[str, Any]:
            body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "main"}, "spec": {"replicas": 4}}
            path = "/apis/example.com/v1/namespaces/default/widgets"
            try:
                response = await cluster.client.raw(
                    "POST", path, body=json.dumps(body).encode(), headers={"content-type": "application/json"}
                )
            except NotFound:
                return {}
            result: dict[str, Any] = json.loads(response.body)
            return result

        uid = (await eventually(widget))["metadata"]["uid"]
        owner = OwnerReference(apiVersion="example.com/v1", kind="Widget", name="main", uid=uid, controller=True)
        for _ in range(3):
            await bare_pod(cluster, owner=owner)
        await cluster.client.create(budget(at_least="50%"))
        failure = "Failed to calculate the number of expected pods: widgets.example.com does not implement the scale subresource"

        async def failed() -> bool:
            found = await cluster.client.get(policy.PodDisruptionBudget, "web", "default")
            return [(c.status, c.reason) for c in found.status.conditions] == [("False", "SyncFailed")]

        await eventually(failed)
        assert await eventually(lambda: events(cluster, "CalculateExpectedPodCountFailed")) == [failure]
        await define(cluster, scaled=True)
        await status_is(cluster, expected=4, desired=2, healthy=3, allowed=1)
        await cluster.client.delete(widgets, "main", "default")
        await eventually(widget)
        # Another one by that name is not their owner.
        await bare_pod(cluster, owner=owner)
        await eventually(failed)
