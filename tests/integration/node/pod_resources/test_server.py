"""The PodResources API over its socket."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.node.devices.assignments import Assignment, Entry
from tiphys.node.devices.device import NO_NODE, Device
from tiphys.node.devices.endpoint import Endpoint
from tiphys.node.devices.manager import DeviceManager
from tiphys.node.devices.resource import Resource
from tiphys.node.pod_resources import metrics
from tiphys.node.pod_resources.pb import podresources_pb2 as pb
from tiphys.node.pod_resources.server import BURST, PodResourcesServer
from tiphys.node.pod_resources.source import DeviceSource
from tiphys.testing.eventually import eventually

NAME = "example.com/dev"


class StillClock(LoopClock):
    """A clock whose time stands still."""

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name: that of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="res-") as path:
        yield Path(path)


@pytest.fixture
async def channel(directory: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to the API of a node with two pods, one of which has ended."""
    devices = DeviceManager(directory / "device-plugins", LoopClock())
    resource = devices.resources[NAME] = Resource(NAME, now=0.0)
    resource.attach(Endpoint(NAME, directory / "dev.sock"))
    resource.list({"a": Device(nodes=frozenset((0, 1))), "b": Device(), "c": Device("Unhealthy")})
    devices.assignments.add(Entry("u1", "main", NAME, Assignment({0: ["a"], 1: ["a"]}, b"")))
    devices.assignments.add(Entry("u1", "sidecar", NAME, Assignment({NO_NODE: ["c"]}, b"")))
    devices.assignments.add(Entry("u1", "init", NAME, Assignment({0: ["a"], 1: ["a"]}, b"")))
    inits = [{"name": "init"}, {"name": "sidecar", "restartPolicy": "Always"}]
    pods = [pod_of("web", "u1", "Running", inits), pod_of("done", "u2", "Succeeded", [])]
    server = PodResourcesServer(directory / "pod-resources", lambda: pods, [DeviceSource(devices)], StillClock())
    task = asyncio.create_task(server.run())
    await eventually((directory / "pod-resources" / "kubelet.sock").exists)
    async with grpc.aio.insecure_channel(f"unix://{directory}/pod-resources/kubelet.sock") as connection:
        yield connection
    await cancel_and_wait(task)


def pod_of(name: str, uid: str, phase: str, inits: list[dict[str, Any]]) -> core.Pod:
    body = {
        "metadata": {"name": name, "namespace": "default", "uid": uid},
        "spec": {"containers": [{"name": "main"}], "initContainers": inits},
        "status": {"phase": phase},
    }
    return msgspec.convert(body, core.Pod)


async def call(channel: grpc.aio.Channel, verb: str, request: Any, answer: Any) -> Any:
    method = channel.unary_unary(
        f"/v1.PodResourcesLister/{verb}", request_serializer=lambda one: one.SerializeToString(), response_deserializer=answer.FromString
    )
    return await method(request, timeout=10, wait_for_ready=True)


def entry(ident: str, *nodes: int) -> pb.ContainerDevices:
    topology = pb.TopologyInfo(nodes=[pb.NUMANode(ID=node) for node in nodes]) if nodes else None
    return pb.ContainerDevices(resource_name=NAME, device_ids=[ident], topology=topology)


WEB = pb.PodResources(
    name="web",
    namespace="default",
    containers=[
        pb.ContainerResources(name="sidecar", devices=[entry("c")]),
        pb.ContainerResources(name="main", devices=[entry("a", 0), entry("a", 1)]),
    ],
)


async def test_lists_what_the_containers_of_pods_own(channel: grpc.aio.Channel) -> None:
    before = metrics.BY_VERB["List"].labels("v1").value
    response = await call(channel, "List", pb.ListPodResourcesRequest(), pb.ListPodResourcesResponse)
    assert list(response.pod_resources) == [WEB]
    assert metrics.BY_VERB["List"].labels("v1").value == before + 1


async def test_shows_one_pod(channel: grpc.aio.Channel) -> None:
    request = pb.GetPodResourcesRequest(pod_name="web", pod_namespace="default")
    response = await call(channel, "Get", request, pb.GetPodResourcesResponse)
    assert response.pod_resources == WEB
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(channel, "Get", pb.GetPodResourcesRequest(pod_name="web", pod_namespace="other"), pb.GetPodResourcesResponse)
    assert error.value.details() == "pod web in namespace other not found"


async def test_shows_what_containers_may_own(channel: grpc.aio.Channel) -> None:
    response = await call(channel, "GetAllocatableResources", pb.AllocatableResourcesRequest(), pb.AllocatableResourcesResponse)
    assert sorted(response.devices, key=str) == sorted([entry("a", 0), entry("a", 1), entry("b")], key=str)


async def test_a_flood_is_refused(channel: grpc.aio.Channel) -> None:
    for _ in range(BURST):
        await call(channel, "List", pb.ListPodResourcesRequest(), pb.ListPodResourcesResponse)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(channel, "List", pb.ListPodResourcesRequest(), pb.ListPodResourcesResponse)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")
