"""EndpointSlices and Endpoints follow pods and their readiness."""

from __future__ import annotations

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.make import deployment, service
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.testing import eventually


async def slices(cluster: Cluster, name: str = "web") -> list[discovery.EndpointSlice]:
    return (await cluster.client.list(discovery.EndpointSlice, "default", labels=f"kubernetes.io/service-name={name}")).items


async def ready(cluster: Cluster) -> set[str]:
    found = [endpoint for slice_ in await slices(cluster) for endpoint in slice_.endpoints or []]
    return {endpoint.addresses[0] for endpoint in found if endpoint.conditions.ready}


async def legacy(cluster: Cluster) -> tuple[set[str], set[str]]:
    found = await cluster.client.get(core.Endpoints, "web", "default")
    return (
        {address.ip for subset in found.subsets for address in subset.addresses},
        {address.ip for subset in found.subsets for address in subset.notReadyAddresses},
    )


async def test_readiness_is_followed(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(service())
        await cluster.client.create(deployment(3))

        async def all_ready() -> bool:
            return len(await ready(cluster)) == 3 and len((await legacy(cluster))[0]) == 3

        await eventually(all_ready)
        (slice_,) = await slices(cluster)
        assert slice_.addressType == "IPv4"
        assert [(port.name, port.port, port.protocol) for port in slice_.ports or []] == [("http", 8080, "TCP")]
        assert slice_.metadata.labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
        assert {endpoint.nodeName for endpoint in slice_.endpoints or []} == {"n1"}
        pod = (await cluster.pods())[0]
        targets = {endpoint.targetRef.name for endpoint in slice_.endpoints or [] if endpoint.targetRef is not None}
        assert pod.metadata.name in targets

        await cluster.make_ready(pod, ready=False)

        async def left() -> bool:
            addresses, not_ready = await legacy(cluster)
            return pod.status.podIP not in await ready(cluster) and pod.status.podIP not in addresses and not_ready == {pod.status.podIP}

        await eventually(left)
        await cluster.make_ready(pod)
        await eventually(all_ready)


async def test_terminating_pods_serve_but_are_not_ready(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(service())
        async with running_kubelet(cluster):
            await cluster.client.create(deployment(1))

            async def one_ready() -> bool:
                return len(await ready(cluster)) == 1

            await eventually(one_ready)
        (pod,) = await cluster.pods()
        await cluster.client.delete(core.Pod, pod.metadata.name, "default")

        async def terminating() -> bool:
            found = [endpoint for slice_ in await slices(cluster) for endpoint in slice_.endpoints or []]
            states = [(e.conditions.ready, e.conditions.serving, e.conditions.terminating) for e in found]
            return (False, True, True) in states and pod.status.podIP not in (await legacy(cluster))[0]

        await eventually(terminating)


async def test_a_service_without_pods_has_one_empty_slice(cluster: Cluster) -> None:
    async with cluster.controllers() as manager:
        await cluster.client.create(service())

        async def one() -> bool:
            return [slice_.endpoints for slice_ in await slices(cluster)] == [[]]

        await eventually(one)
        await eventually(lambda: manager.idle)
        assert len(await slices(cluster)) == 1


async def test_a_large_service_has_full_slices_and_small_writes(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(service())
        await cluster.client.create(deployment(120, surge=1, unavailable=0))

        async def all_ready() -> bool:
            return len(await ready(cluster)) == 120

        await eventually(all_ready)
        found = await slices(cluster)
        assert sorted(len(slice_.endpoints or []) for slice_ in found) == [20, 100]
        await cluster.client.patch(apps.Deployment, "web", "default", body={"spec": {"replicas": 121}})

        async def one_more() -> bool:
            return len(await ready(cluster)) == 121

        await eventually(one_more)
        full = next(slice_ for slice_ in found if len(slice_.endpoints or []) == 100)
        after = next(slice_ for slice_ in await slices(cluster) if slice_.metadata.name == full.metadata.name)
        assert after.metadata.resourceVersion == full.metadata.resourceVersion


async def test_headless_names_and_unready_addresses(cluster: Cluster) -> None:
    wanted = deployment(2)
    wanted.spec.template.spec.hostname = "db"
    wanted.spec.template.spec.subdomain = "web"
    async with cluster.controllers(), running_kubelet(cluster) as kubelet:
        kubelet.unready = lambda pod: True
        await cluster.client.create(service(clusterIP="None", publishNotReadyAddresses=True, ports=[]))
        await cluster.client.create(wanted)

        async def published() -> bool:
            return len(await ready(cluster)) == 2 and len((await legacy(cluster))[0]) == 2

        await eventually(published)
        (slice_,) = await slices(cluster)
        assert {endpoint.hostname for endpoint in slice_.endpoints or []} == {"db"}
        assert slice_.ports == []
        assert "service.kubernetes.io/headless" in slice_.metadata.labels


async def test_hints_follow_the_traffic_distribution_and_the_topology_mode(cluster: Cluster) -> None:
    async def hints() -> list[tuple[list[str], list[str]] | None]:
        present = [endpoint.hints for slice_ in await slices(cluster) for endpoint in slice_.endpoints or []]
        return [hint if hint is None else ([one.name for one in hint.forZones], [one.name for one in hint.forNodes]) for hint in present]

    async def become(*expected: tuple[list[str], list[str]] | None) -> None:
        async def are() -> bool:
            return len(await ready(cluster)) == len(expected) and await hints() == list(expected)

        await eventually(are)

    await cluster.add_node("n1", zone="west")
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(service(trafficDistribution="PreferSameNode"))
        await cluster.client.create(deployment(1))
        await become((["west"], ["n1"]))
        await cluster.client.patch(core.Node, "n1", body={"metadata": {"labels": {"topology.kubernetes.io/zone": "east"}}})
        await become((["east"], ["n1"]))
        await cluster.client.patch(core.Service, "web", "default", body={"spec": {"trafficDistribution": "PreferSameZone"}})
        await become((["east"], []))
        mode = {"service.kubernetes.io/topology-mode": "Auto"}
        await cluster.client.patch(core.Service, "web", "default", body={"metadata": {"annotations": mode}})
        await become(None)

        async def explained() -> bool:
            events = (await cluster.client.list(core.Event, "default")).items
            return "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes, addressType: IPv4" in {
                event.message for event in events if event.reason == "TopologyAwareHintsDisabled"
            }

        await eventually(explained)


async def test_endpoints_go_with_the_service_and_those_of_others_stay(cluster: Cluster) -> None:
    others = core.Endpoints(metadata=type(service().metadata)(name="manual", namespace="default"))
    async with cluster.controllers() as manager:
        await cluster.client.create(others)
        await cluster.client.create(service())

        async def there() -> bool:
            return {found.metadata.name for found in (await cluster.client.list(core.Endpoints, "default")).items} == {
                "kubernetes",
                "manual",
                "web",
            }

        await eventually(there)
        await cluster.client.delete(core.Service, "web", "default")

        async def gone() -> bool:
            return {found.metadata.name for found in (await cluster.client.list(core.Endpoints, "default")).items} == {
                "kubernetes",
                "manual",
            }

        await eventually(gone)
        await eventually(lambda: manager.idle)
        assert await gone()


async def test_hand_made_endpoints_are_mirrored(cluster: Cluster) -> None:
    subset = core.EndpointSubset(
        addresses=[core.EndpointAddress(ip="198.51.100.7")],
        notReadyAddresses=[core.EndpointAddress(ip="198.51.100.8")],
        ports=[core.EndpointPort(name="http", port=8080, protocol="TCP")],
    )
    async with cluster.controllers() as manager:
        # They may well come before their Service.
        await cluster.client.create(core.Endpoints(metadata=ObjectMeta(name="web", namespace="default"), subsets=[subset]))
        await cluster.client.create(service(selector={}))

        async def mirrored() -> bool:
            states = [(e.addresses, e.conditions.ready) for slice_ in await slices(cluster) for e in slice_.endpoints or []]
            return states == [(["198.51.100.7"], True), (["198.51.100.8"], False)]

        await eventually(mirrored)
        (slice_,) = await slices(cluster)
        assert [(port.name, port.port) for port in slice_.ports or []] == [("http", 8080)]
        await cluster.client.patch(core.Endpoints, "web", "default", body={"subsets": None})

        async def empty() -> bool:
            return not await slices(cluster)

        await eventually(empty)
        await eventually(lambda: manager.idle)
        names = {found.metadata.name for found in (await cluster.client.list(discovery.EndpointSlice, "default")).items}
        assert names == {"kubernetes"}
