"""Health checks for load balancers: who has one, what it says, and ports that come and go."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.proxy.make import LEAVING, NODE, piece, service
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.proxy.health import Check, HealthPorts, answer, plan_check
from tiphys.runtime.key import Key
from tiphys.runtime.recorder import EventRecorder
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi

WEB = Key("default", "web")
WEB_REFERENCE = core.ObjectReference(kind="Service", namespace="default", name="web")


def balanced(**spec: object) -> core.Service:
    filled = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000, **spec}
    return service(**filled)  # type: ignore[arg-type]


def count(*pieces: discovery.EndpointSlice) -> int:
    check = plan_check(balanced(), pieces, NODE)
    assert check is not None
    return check.endpoints


def test_counts_ready_endpoints_of_this_node() -> None:
    assert count() == 0
    assert count(piece("10.42.0.5", "10.42.0.6"), piece("10.42.1.5", node="n2")) == 2
    assert count(piece("10.42.0.5"), piece("10.42.0.5", name="metrics", number=9090)) == 1, "an address, however many ports"
    assert count(piece("10.42.0.5", conditions=LEAVING)) == 0, "balancers go before the last endpoint does"
    assert count(piece("10.42.0.5", conditions=discovery.EndpointConditions())) == 1
    assert count(piece("fd00::5", family="IPv6")) == 0


@pytest.mark.parametrize(
    "spec",
    [{"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}, {"healthCheckNodePort": 0}],
    ids=["no balancer", "every node serves", "no port yet"],
)
def test_some_services_have_no_check(spec: dict[str, object]) -> None:
    assert plan_check(balanced(**spec), [piece("10.42.0.5")], NODE) is None


def test_leaves_services_of_other_proxies_alone() -> None:
    other = balanced()
    other.metadata.labels = {"service.kubernetes.io/service-proxy-name": "cilium"}
    assert plan_check(other, [piece("10.42.0.5")], NODE) is None


def test_answers_as_balancers_expect() -> None:
    response = answer(WEB, Check(WEB_REFERENCE, 32000, 2), proxy_healthy=True)
    assert response.status == 200
    assert response.headers == {
        "content-type": "application/json",
        "x-content-type-options": "nosniff",
        "x-load-balancing-endpoint-weight": "2",
    }
    assert response.body.decode() == (
        '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}'
    )
    assert answer(WEB, Check(WEB_REFERENCE, 32000, 0), proxy_healthy=True).status == 503
    late = answer(WEB, Check(WEB_REFERENCE, 32000, 2), proxy_healthy=False)
    assert (late.status, b'"serviceProxyHealthy": false' in late.body) == (503, True)


# The servers


class Patience(LoopClock):
    """A clock whose sleepers wait for the test."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.over.wait()


class Node:
    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.clock = Patience()
        self.recorder = EventRecorder(self.api.client(), "kube-proxy", clock=LoopClock(), host=NODE, rng=random.Random(1))
        self.healthy = True
        self.ports = HealthPorts(NODE, recorder=self.recorder, clock=self.clock, proxy_healthy=lambda: self.healthy)

    def put(self, number: int, endpoints: int, key: Key = WEB) -> None:
        self.ports.put(key, Check(WEB_REFERENCE, number, endpoints))

    async def events(self) -> list[core.Event]:
        await self.recorder.flush()
        return (await self.api.client().list(core.Event, "default")).items


@asynccontextmanager
async def running() -> AsyncIterator[Node]:
    async with MemoryApi.running() as api:
        node = Node(api)
        task = asyncio.get_running_loop().create_task(node.ports.run(), name="health checks")
        try:
            yield node
        finally:
            await cancel_and_wait(task)
            await node.recorder.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def probe(number: int) -> int:
    """Return the status of an answer, 0 where nobody listens."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
    except ConnectionRefusedError:
        return 0
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
    head = await reader.readline()
    await reader.read()
    writer.close()
    return int(head.split()[1])


async def answers(number: int, status: int) -> None:
    async def does() -> bool:
        return await probe(number) == status

    await eventually(does)


async def test_serves_the_present_count() -> None:
    number = free_port()
    async with running() as node:
        node.put(number, 1)
        await answers(number, 200)
        node.put(number, 0)
        assert await probe(number) == 503
        node.put(number, 3)
        assert await probe(number) == 200
        node.healthy = False
        assert await probe(number) == 503
    assert await probe(number) == 0


async def test_ports_follow_services() -> None:
    first, second = free_port(), free_port()
    async with running() as node:
        node.put(first, 1)
        await answers(first, 200)
        node.put(second, 1)
        await answers(second, 200)
        assert await probe(first) == 0
        node.ports.put(WEB, None)
        node.put(second, 0, Key("default", "heir"))
        await answers(second, 503)
        assert await node.events() == []


async def test_reports_a_taken_port_once_and_tries_again() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        number = int(taken.getsockname()[1])
        async with running() as node:
            node.put(number, 1)

            async def reported() -> bool:
                return bool(await node.events())

            await eventually(reported)
            other = free_port()
            node.put(other, 1, Key("default", "other"))
            await answers(other, 200)
            (event,) = await node.events()
            assert (event.type, event.reason, event.involvedObject.name) == ("Warning", "FailedToStartServiceHealthcheck", "web")
            assert event.message.startswith(f'node n1 failed to start healthcheck "default/web" on port {number}: ')
            taken.close()
            node.clock.over.set()
            await answers(number, 200)
