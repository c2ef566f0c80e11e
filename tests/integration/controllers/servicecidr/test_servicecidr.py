"""Ranges of Service addresses become ready, and stay while Services need them."""

from __future__ import annotations

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.make import service
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.networking.v1 import ServiceCIDR, ServiceCIDRSpec
from tiphys.controllers.servicecidr.controller import ServiceCIDRController
from tiphys.controllers.servicecidr.settings import ServiceCIDRSettings
from tiphys.testing import eventually


async def state(cluster: Cluster, name: str) -> tuple[str, str]:
    """Status and reason of the range's condition; ("gone", "") when there is none."""
    try:
        found = await cluster.client.get(ServiceCIDR, name)
    except NotFound:
        return "gone", ""
    return next(((c.status, c.reason) for c in found.status.conditions if c.type == "Ready"), ("", ""))


async def becomes(cluster: Cluster, name: str, *wanted: str) -> None:
    async def look() -> bool:
        return (await state(cluster, name)) == wanted

    await eventually(look)


async def test_a_range_is_used_and_stays_until_its_last_service_is_gone(cluster: Cluster) -> None:
    async with cluster.controllers(ServiceCIDRController(ServiceCIDRSettings(grace=0.0))):
        client = cluster.client
        await client.create(ServiceCIDR(metadata=ObjectMeta(name="more"), spec=ServiceCIDRSpec(cidrs=["10.97.0.0/28"])))
        await becomes(cluster, "more", "True", "")
        assert (await client.get(ServiceCIDR, "more")).metadata.finalizers == ["networking.k8s.io/service-cidr-finalizer"]
        await client.create(service(clusterIP="10.97.0.5"))
        await client.delete(ServiceCIDR, "more")
        await becomes(cluster, "more", "False", "Terminating")
        await client.delete(core.Service, "web", "default")
        await becomes(cluster, "more", "gone", "")


async def test_a_range_within_another_goes_at_once(cluster: Cluster) -> None:
    async with cluster.controllers(ServiceCIDRController(ServiceCIDRSettings(grace=0.0))):
        client = cluster.client
        for name, text in (("wide", "10.97.0.0/24"), ("narrow", "10.97.0.0/28")):
            await client.create(ServiceCIDR(metadata=ObjectMeta(name=name), spec=ServiceCIDRSpec(cidrs=[text])))
            await becomes(cluster, name, "True", "")
        await client.create(service(clusterIP="10.97.0.5"))
        await client.delete(ServiceCIDR, "narrow")
        await becomes(cluster, "narrow", "gone", "")
        await client.delete(ServiceCIDR, "wide")
        await becomes(cluster, "wide", "False", "Terminating")
        await client.create(ServiceCIDR(metadata=ObjectMeta(name="wider"), spec=ServiceCIDRSpec(cidrs=["10.97.0.0/16"])))
        await becomes(cluster, "wide", "gone", "")


async def test_the_default_range_is_held_by_the_api_itself(cluster: Cluster) -> None:
    async with cluster.controllers(ServiceCIDRController(ServiceCIDRSettings(grace=0.0))):
        await becomes(cluster, "kubernetes", "True", "")

        async def protected() -> bool:
            return bool((await cluster.client.get(ServiceCIDR, "kubernetes")).metadata.finalizers)

        await eventually(protected)
        await cluster.client.delete(ServiceCIDR, "kubernetes")
        await becomes(cluster, "kubernetes", "False", "Terminating")
