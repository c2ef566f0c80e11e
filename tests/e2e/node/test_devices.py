"""The sample device plugin and real containers: `examples/device-plugin` beside a kubelet."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from dice_plugin.plugin import RESOURCE, Dice, run

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.node.pod_resources.pb import podresources_pb2 as pb
from tiphys.testing.eventually import eventually


@pytest.fixture
async def node(node_machine: Machine) -> AsyncIterator[Node]:
    """A node in a directory with a short name: that of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="dev-") as directory:
        async with Node.running(node_machine, Path(directory)) as made:
            yield made


@pytest.fixture
async def dice(node: Node) -> AsyncIterator[Dice]:
    """The plugin with three dice, which the node shows."""
    plugin = Dice(3, node.directory / "broken")
    task = asyncio.create_task(run(plugin, node.settings.root / "device-plugins"))
    await eventually(lambda: numbers(node) == ("3", "3"))
    yield plugin
    await cancel_and_wait(task)


def numbers(node: Node) -> tuple[str, str]:
    status = node.api.get(core.Node, node.name).status
    return str(status.capacity.get(RESOURCE, "")), str(status.allocatable.get(RESOURCE, ""))


def limits(count: int) -> dict[str, object]:
    return {"command": ["sleep", "1000"], "resources": {"limits": {RESOURCE: str(count)}, "requests": {RESOURCE: str(count)}}}


def health(node: Node) -> list[tuple[str, str]]:
    statuses = node.status().allocatedResourcesStatus
    return [(one.resourceID, one.health) for status in statuses if status.name == RESOURCE for one in status.resources or []]


async def listed(node: Node) -> list[tuple[str, str]]:
    """Pods and devices, as the PodResources API shows them."""
    async with grpc.aio.insecure_channel(f"unix://{node.settings.root}/pod-resources/kubelet.sock") as channel:
        method = channel.unary_unary(
            "/v1.PodResourcesLister/List",
            request_serializer=pb.ListPodResourcesRequest.SerializeToString,
            response_deserializer=pb.ListPodResourcesResponse.FromString,
        )
        response = await method(pb.ListPodResourcesRequest(), timeout=10)
    return [
        (pod.name, ident)
        for pod in response.pod_resources
        for container in pod.containers
        for devices in container.devices
        for ident in devices.device_ids
    ]


async def test_a_container_has_its_devices(node: Node, dice: Dice) -> None:
    await node.run("web", limits(2))
    await node.phase("Running")
    assert await node.exec("sh", "-c", "echo $DICE; ls /dev/die-*; od -An -N1 -tu1 /dev/die-2 | wc -w") == (
        "die-1,die-2\n/dev/die-1\n/dev/die-2\n1\n"
    )
    assert sorted(await listed(node)) == [("web", "die-1"), ("web", "die-2")]
    await node.run("late", limits(2))
    failed = await node.phase("Failed", "late")
    cause = f"requested number of devices unavailable for {RESOURCE}. Requested: 2, Available: 1"
    message = f"Allocate failed due to {cause}, which is unexpected"
    assert (failed.status.reason, failed.status.message) == ("UnexpectedAdmissionError", f"Pod was rejected: {message}")
    assert message in node.events("UnexpectedAdmissionError")


async def test_devices_that_break_show_on_their_pods(node: Node, dice: Dice) -> None:
    await node.run("web", limits(1))
    await node.phase("Running")
    await eventually(lambda: health(node) == [("die-2", "Healthy")])
    await asyncio.to_thread(dice.broken.mkdir)
    (dice.broken / "die-2").touch()
    await eventually(lambda: health(node) == [("die-2", "Unhealthy")])
    await eventually(lambda: numbers(node) == ("3", "2"))


async def test_devices_stay_with_their_containers(node: Node, dice: Dice) -> None:
    await node.run("web", limits(1))
    await node.phase("Running")
    await node.kill()
    await node.start()
    # The plugin notices the new kubelet by itself.
    await eventually(lambda: numbers(node) == ("3", "3"))
    await node.kill_process()
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running is not None)
    assert await node.exec("sh", "-c", "echo $DICE; ls /dev/die-*") == "die-2\n/dev/die-2\n"
    await node.run("all", limits(2))
    await node.phase("Running", "all")
    assert await node.exec("sh", "-c", "echo $DICE", pod="all") == "die-0,die-1\n"
