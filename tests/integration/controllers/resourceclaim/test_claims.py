"""Claims that pods get from templates and leave behind, with all loops, and with the rights of the controller manager; the tests play
the scheduler."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.integration.controllers.conftest import Cluster
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.resource.v1 import ResourceClaim, ResourceClaimStatus, ResourceClaimTemplate
from tiphys.controllers.resourceclaim.release import FINALIZER
from tiphys.runtime import Key, controller_of, update_with_retry
from tiphys.testing import eventually

DEVICES = {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}
RESULT = {"request": "gpu", "driver": "gpu.example.com", "pool": "p", "device": "d"}
REPORT = {"driver": "gpu.example.com", "pool": "p", "device": "d", "data": {"heat": 40}}


def template() -> ResourceClaimTemplate:
    document = {"metadata": {"name": "gpus", "namespace": "default"}, "spec": {"spec": {"devices": DEVICES}}}
    document["spec"]["metadata"] = {"labels": {"team": "a"}, "annotations": {"note": "b"}}  # type: ignore[index]
    return msgspec.convert(document, ResourceClaimTemplate)


def shared_claim() -> ResourceClaim:
    return msgspec.convert({"metadata": {"name": "shared", "namespace": "default"}, "spec": {"devices": DEVICES}}, ResourceClaim)


def pod(name: str = "web", node: str = "", **entry: str) -> core.Pod:
    """A pod with one entry, of the template unless said otherwise."""
    source = entry or {"resourceClaimTemplateName": "gpus"}
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "busybox"}], "resourceClaims": [{"name": "gpu", **source}]}
    return msgspec.convert({"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node, **spec}}, core.Pod)


async def start(cluster: Cluster, *objs: core.Pod | ResourceClaim | ResourceClaimTemplate) -> None:
    await eventually(lambda: cluster.has_account("default"))
    await cluster.add_node("n1")
    for obj in objs:
        await cluster.client.create(obj)


async def recorded(cluster: Cluster, name: str = "web") -> str | None:
    """Return the claim that the pod's status names."""
    statuses = (await cluster.client.get(core.Pod, name, "default")).status.resourceClaimStatuses
    return statuses[0].resourceClaimName if statuses else None


async def find(cluster: Cluster, name: str) -> ResourceClaim | None:
    try:
        return await cluster.client.get(ResourceClaim, name, "default")
    except NotFound:
        return None


async def users(cluster: Cluster, name: str = "shared") -> list[str]:
    return [user.name for user in (await cluster.client.get(ResourceClaim, name, "default")).status.reservedFor]


async def allocate(cluster: Cluster, name: str, *pods: str) -> ResourceClaim:
    """Allocate a claim to pods as the scheduler does, and report on its device as a driver does."""
    consumers = [
        {"resource": "pods", "name": one, "uid": (await cluster.client.get(core.Pod, one, "default")).metadata.uid} for one in pods
    ]
    status = {"allocation": {"devices": {"results": [RESULT]}}, "reservedFor": consumers, "devices": [REPORT]}

    def protect(claim: ResourceClaim) -> None:
        claim.metadata.finalizers = [FINALIZER]

    def write(claim: ResourceClaim) -> None:
        claim.status = msgspec.convert(status, ResourceClaimStatus)

    key = Key("default", name)
    await update_with_retry(cluster.client, ResourceClaim, key, protect)
    return await update_with_retry(cluster.client, ResourceClaim, key, write, subresource="status")


async def set_phase(cluster: Cluster, name: str, phase: str) -> None:
    await cluster.client.patch(core.Pod, name, "default", body={"status": {"phase": phase}}, kind="merge", subresource="status")


def is_free(claim: ResourceClaim | None) -> bool:
    """Return whether a claim is there for the next one."""
    return claim is not None and claim.status == ResourceClaimStatus() and not claim.metadata.finalizers


async def test_the_claim_of_a_pod_lives_as_long_as_it_is_needed(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, template(), pod())
        name = await eventually(lambda: recorded(cluster))
        claim = await cluster.client.get(ResourceClaim, name, "default")
        owner = controller_of(claim)
        assert owner is not None
        assert (owner.kind, owner.name, owner.blockOwnerDeletion) == ("Pod", "web", True)
        assert name.startswith("web-gpu-")
        assert claim.metadata.labels == {"team": "a"}
        assert claim.metadata.annotations == {"note": "b", "resource.kubernetes.io/pod-claim-name": "gpu"}
        assert msgspec.to_builtins(claim.spec.devices.requests) == [
            {"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com", "allocationMode": "ExactCount", "count": 1}}
        ]
        await allocate(cluster, name, "web")
        binding = msgspec.convert({"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}, core.Binding)
        await cluster.client.post(core.Pod, "web", "default", "binding", binding, core.Binding)
        await set_phase(cluster, "web", "Running")
        assert await users(cluster, name) == ["web"]
        await set_phase(cluster, "web", "Succeeded")
        await eventually(lambda: _is_gone(cluster, name))
        assert await recorded(cluster) == name
        assert (await cluster.client.list(ResourceClaim)).items == []


async def _is_gone(cluster: Cluster, name: str) -> bool:
    return await find(cluster, name) is None


async def test_claims_of_pods_that_are_deleted(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, template(), shared_claim(), pod(node="n1"), pod("other", node="n1", resourceClaimName="shared"))
        name = await eventually(lambda: recorded(cluster))
        await allocate(cluster, name, "web")
        await allocate(cluster, "shared", "other")
        for one in ("web", "other"):
            await cluster.client.delete(core.Pod, one, "default", grace=0)
        await eventually(lambda: _is_gone(cluster, name))
        await eventually(lambda: _is_free(cluster))


async def _is_free(cluster: Cluster) -> bool:
    return is_free(await find(cluster, "shared"))


async def test_a_pod_that_is_still_stopping_keeps_its_claim(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, shared_claim(), pod(node="n1", resourceClaimName="shared"), pod("late", resourceClaimName="shared"))
        await set_phase(cluster, "web", "Running")
        await allocate(cluster, "shared", "web", "late")
        await cluster.client.delete(core.Pod, "web", "default", grace=60)
        # The other one, which has no node, is the sign that the loop has seen the first one, too.
        await cluster.client.delete(core.Pod, "late", "default")
        await eventually(lambda: _users_are(cluster, "web"))
        await set_phase(cluster, "web", "Failed")
        await eventually(lambda: _is_free(cluster))


async def _users_are(cluster: Cluster, *names: str) -> bool:
    return await users(cluster) == list(names)


async def test_a_pod_with_a_node_is_entered_in_an_allocated_claim(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, shared_claim(), pod("first", node="n1", resourceClaimName="shared"))
        await allocate(cluster, "shared")
        await eventually(lambda: _users_are(cluster, "first"))
        await cluster.client.create(pod("second", node="n1", resourceClaimName="shared"))
        await cluster.client.create(pod("third", resourceClaimName="shared"))
        await eventually(lambda: _users_are(cluster, "first", "second"))
        await set_phase(cluster, "first", "Succeeded")
        await eventually(lambda: _users_are(cluster, "second"))
        claim = await cluster.client.get(ResourceClaim, "shared", "default")
        assert [device.data for device in claim.status.devices] == [REPORT["data"]]
        assert claim.metadata.finalizers == [FINALIZER]


async def test_a_new_pod_of_the_same_name_does_not_inherit(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, template(), shared_claim(), pod(), pod("user", resourceClaimName="shared"))
        first = await eventually(lambda: recorded(cluster))
        await allocate(cluster, "shared", "user")
        for name in ("web", "user"):
            await cluster.client.delete(core.Pod, name, "default")
        await cluster.client.create(pod())
        await cluster.client.create(pod("user", resourceClaimName="shared"))
        second = await eventually(lambda: recorded(cluster))
        assert second != first
        await eventually(lambda: _is_gone(cluster, first))
        await eventually(lambda: _is_free(cluster))
        assert await find(cluster, second) is not None


async def test_a_deleted_claim_waits_for_its_users(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, shared_claim(), pod(node="n1", resourceClaimName="shared"))
        await allocate(cluster, "shared", "web")
        await cluster.client.delete(ResourceClaim, "shared", "default")
        await cluster.client.create(template())
        await cluster.client.create(pod("next"))
        await eventually(lambda: recorded(cluster, "next"))
        assert await users(cluster) == ["web"]
        await set_phase(cluster, "web", "Succeeded")
        await eventually(lambda: _is_gone(cluster, "shared"))


async def test_the_claim_for_extended_resources_is_freed(cluster: Cluster) -> None:
    """The scheduler makes it and names it in the status; the entries of the spec do not tell of it."""
    async with cluster.controllers():
        plain = msgspec.structs.replace(pod(node="n1"), spec=msgspec.structs.replace(pod(node="n1").spec, resourceClaims=[]))
        await start(cluster, shared_claim(), plain)
        status = {"extendedResourceClaimStatus": {"resourceClaimName": "shared", "requestMappings": []}}
        await cluster.client.patch(core.Pod, "web", "default", body={"status": status}, kind="merge", subresource="status")
        await allocate(cluster, "shared", "web")
        await set_phase(cluster, "web", "Succeeded")
        await eventually(lambda: _is_free(cluster))


async def test_a_template_may_come_later(cluster: Cluster) -> None:
    async with cluster.controllers():
        await start(cluster, pod())

        async def told() -> bool:
            events = (await cluster.client.list(core.Event, "default")).items
            return any((event.reason, event.involvedObject.name) == ("FailedResourceClaimCreation", "web") for event in events)

        await eventually(told)
        assert await recorded(cluster) is None
        await cluster.client.create(template())
        await eventually(lambda: recorded(cluster))
