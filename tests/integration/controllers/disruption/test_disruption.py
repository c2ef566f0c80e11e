"""Disruption budgets: the status that evictions are granted by."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import msgspec

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.make import deployment, template
from tiphys.api.apiextensions import v1 as apiextensions
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString, time
from tiphys.api.machinery.errors import AlreadyExists, NotFound, TooManyRequests
from tiphys.api.meta.v1 import KubeObject, LabelSelector, ObjectMeta, OwnerReference, Status
from tiphys.api.policy import v1 as policy
from tiphys.client import PartialObject, partial_kind
from tiphys.testing import eventually


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


async def add_pod(cluster: Cluster, name: str, owner: KubeObject | None = None) -> core.Pod:
    """A pod of the app, controlled by an object of any kind."""
    references = []
    if owner is not None:
        meta = owner.metadata
        references = [OwnerReference(apiVersion=owner.apiVersion, kind=owner.kind, name=meta.name, uid=meta.uid, controller=True)]
    spec = core.PodSpec(containers=[core.Container(name="main", image="busybox")])
    meta = ObjectMeta(name=name, namespace="default", labels={"app": "web"}, ownerReferences=references)
    return await cluster.client.create(core.Pod(metadata=meta, spec=spec))


async def expects(cluster: Cluster, expected: int, desired: int) -> bool:
    status = (await cluster.client.get(policy.PodDisruptionBudget, "web", "default")).status
    return (status.expectedPods, status.desiredHealthy) == (expected, desired)


async def has_event(cluster: Cluster, reason: str, text: str) -> bool:
    events = (await cluster.client.list(core.Event, "default")).items
    return any(event.reason == reason and text in event.message for event in events if event.involvedObject.name == "web")


async def fails(cluster: Cluster, text: str) -> bool:
    found = await cluster.client.get(policy.PodDisruptionBudget, "web", "default")
    states = [(one.status, one.reason, text in one.message) for one in found.status.conditions]
    return states == [("False", "SyncFailed", True)] and await has_event(cluster, "CalculateExpectedPodCountFailed", text)


async def test_pods_that_nothing_controls_do_not_count(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await eventually(lambda: cluster.has_account("default"))
        await add_pod(cluster, "bare")
        await cluster.client.create(budget(at_most=1))
        await status_is(cluster, expected=0, desired=0, healthy=1, allowed=0)
        selector = "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}"
        await eventually(lambda: has_event(cluster, "UnmanagedPods", f"(selector: {selector}) were found to be unmanaged"))
        await cluster.client.create(deployment(3))
        await status_is(cluster, expected=3, desired=2, healthy=4, allowed=2)


async def told(cluster: Cluster, reason: str) -> list[tuple[str, str]]:
    """The names of objects and the messages of the events of a reason."""
    events = (await cluster.client.list(core.Event, "default")).items
    return [(event.involvedObject.name, event.message) for event in events if event.reason == reason]


async def test_a_pod_of_several_budgets_says_so(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        other = budget(at_least=1)
        other.metadata.name = "all"
        await cluster.client.create(other)
        await cluster.client.create(budget(at_least=1))
        await add_pod(cluster, "bare")
        events = await eventually(lambda: told(cluster, "MultiplePodDisruptionBudgets"))
        assert events == [
            ("bare", 'Pod "default"/"bare" matches multiple PodDisruptionBudgets: all, web. Evictions of it are refused.'),
        ]


async def test_a_pod_that_stayed_after_its_eviction_says_so(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        await add_pod(cluster, "bare")
        await cluster.client.create(budget(at_least=0))
        found = await status_is(cluster, expected=1, desired=0, healthy=0, allowed=0)
        found.status.disruptedPods = {"bare": time(cluster.client.clock.now() - timedelta(seconds=121))}
        await cluster.client.update_status(found)
        events = await eventually(lambda: told(cluster, "NotDeleted"))
        assert events == [("bare", "Pod was expected by PDB default/web to be deleted but it wasn't")]

        async def forgotten() -> bool:
            return not (await cluster.client.get(policy.PodDisruptionBudget, "web", "default")).status.disruptedPods

        await eventually(forgotten)


async def test_stateful_sets_and_replication_controllers_tell_their_size(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        selector = LabelSelector(matchLabels={"app": "web"})
        spec = apps.StatefulSetSpec(replicas=8, selector=selector, template=template(), serviceName="web")
        stateful = await cluster.client.create(apps.StatefulSet(metadata=ObjectMeta(name="web", namespace="default"), spec=spec))
        with suppress(AlreadyExists):  # The set's own loop may be faster.
            await add_pod(cluster, "web-0", stateful)
        await cluster.client.create(budget(at_least="50%"))
        await eventually(lambda: expects(cluster, 8, 4))
        await cluster.client.patch(apps.StatefulSet, "web", "default", body={"spec": {"replicas": 5}})
        await eventually(lambda: expects(cluster, 5, 3))
        older = core.ReplicationControllerSpec(replicas=3, selector={"app": "web", "tier": "old"}, template=template())
        assert older.template is not None
        older.template.metadata.labels["tier"] = "old"
        await cluster.client.create(core.ReplicationController(metadata=ObjectMeta(name="old", namespace="default"), spec=older))
        await eventually(lambda: expects(cluster, 8, 4))


def fleets(*, scale: bool) -> apiextensions.CustomResourceDefinition:
    schema = apiextensions.JSONSchemaProps(type="object", x_kubernetes_preserve_unknown_fields=True)
    paths = apiextensions.CustomResourceSubresourceScale(specReplicasPath=".spec.ships", statusReplicasPath=".status.ships")
    version = apiextensions.CustomResourceDefinitionVersion(
        name="v1",
        served=True,
        storage=True,
        schema=apiextensions.CustomResourceValidation(openAPIV3Schema=schema),
        subresources=apiextensions.CustomResourceSubresources(scale=paths) if scale else None,
    )
    names = apiextensions.CustomResourceDefinitionNames(plural="fleets", singular="fleet", kind="Fleet", listKind="FleetList")
    spec = apiextensions.CustomResourceDefinitionSpec(group="example.com", scope="Namespaced", names=names, versions=[version])
    return apiextensions.CustomResourceDefinition(metadata=ObjectMeta(name="fleets.example.com"), spec=spec)


async def create_fleet(cluster: Cluster, ships: int) -> KubeObject:
    document = {"apiVersion": "example.com/v1", "kind": "Fleet", "metadata": {"name": "north"}, "spec": {"ships": ships}}
    body, headers = msgspec.json.encode(document), {"content-type": "application/json"}

    async def created() -> KubeObject | None:
        with suppress(NotFound):
            await cluster.client.raw("POST", "/apis/example.com/v1/namespaces/default/fleets", body=body, headers=headers)
            found = await cluster.client.get(partial_kind("example.com", "v1", "fleets"), "north", "default")
            return PartialObject(apiVersion="example.com/v1", kind="Fleet", metadata=found.metadata)
        return None

    made: KubeObject = await eventually(created)
    return made


async def test_custom_kinds_tell_their_size_by_their_scale(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(fleets(scale=True))
        fleet = await create_fleet(cluster, 6)
        await add_pod(cluster, "ship", fleet)
        await cluster.client.create(budget(at_most="50%"))
        await eventually(lambda: expects(cluster, 6, 3))


async def test_owners_without_a_scale_are_told(cluster: Cluster) -> None:
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(fleets(scale=False))
        fleet = await create_fleet(cluster, 6)
        await add_pod(cluster, "ship", fleet)
        await cluster.client.create(budget(at_most=1))
        await eventually(lambda: fails(cluster, "fleets.example.com does not implement the scale subresource"))
        await cluster.client.delete(core.Pod, "ship", "default", grace=0)
        await status_is(cluster, expected=0, desired=0, healthy=0, allowed=0)
        await cluster.add_node("n1")
        spec = apps.DaemonSetSpec(selector=LabelSelector(matchLabels={"app": "web"}), template=template())
        await cluster.client.create(apps.DaemonSet(metadata=ObjectMeta(name="web", namespace="default"), spec=spec))
        await eventually(lambda: fails(cluster, "daemonsets.apps does not implement the scale subresource"))
