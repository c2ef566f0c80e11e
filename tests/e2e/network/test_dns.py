"""Cluster DNS as pods see it: over real sockets, from inside a pod's namespace."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.e2e.network.cluster import Cluster
from tests.e2e.network.machine import NODE_ADDRESS, Machine, Space, run
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import TaskSet, cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.client import Client
from tiphys.dns.server import DnsError, DnsServer
from tiphys.dns.settings import DnsSettings
from tiphys.testing.eventually import eventually
from tiphys.testing.faults import NoServer

HTTP = [core.ServicePort(name="http", port=80, protocol="TCP")]


class NameServer:
    """A name server of the machine: knows `*.example.org`, and counts what it is asked."""

    def __init__(
        self, space: Space, tasks: TaskSet, address: str, reply: Callable[[dns.message.Message, bool], dns.message.Message]
    ) -> None:
        self.asked: list[str] = []
        self._reply = reply
        self._udp = space.socket(socket.SOCK_DGRAM, bind=(address, 53))
        self._tcp = space.socket(bind=(address, 53))
        self._tcp.listen(16)
        tasks.spawn(self._serve_udp(), name="name server")
        tasks.spawn(self._serve_tcp(), name="name server")

    def close(self) -> None:
        self._udp.close()
        self._tcp.close()

    def _answer(self, data: bytes, *, tcp: bool) -> bytes:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].name.to_text())
        return self._reply(query, tcp).to_wire()

    async def _serve_udp(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data, client = await loop.sock_recvfrom(self._udp, 4096)
            await loop.sock_sendto(self._udp, self._answer(data, tcp=False), client)

    async def _serve_tcp(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._tcp)
            with connection:
                data = await loop.sock_recv(connection, 4096)
                answer = self._answer(data[2:], tcp=True)
                await loop.sock_sendall(connection, struct.pack("!H", len(answer)) + answer)


def example(query: dns.message.Message, tcp: bool) -> dns.message.Message:
    response = dns.message.make_response(query)
    question = query.question[0]
    name = question.name.to_text().lower()
    if not name.endswith("example.org."):
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif name.startswith("long") and not tcp:
        response.flags |= dns.flags.TC
    elif question.rdtype == dns.rdatatype.A:
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "203.0.113.7"))
    return response


class Dns:
    """A cluster with DNS and its rules, a name server of the machine, and a pod that asks."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.resolv_conf = directory / "resolv.conf"
        self.resolv_conf.write_text("search example.org\nnameserver 127.0.0.5\n")
        self.server: DnsServer | None = None
        self.client = cluster.pod("client")
        self.upstream = NameServer(cluster.machine.node, cluster.machine.tasks, "127.0.0.5", example)
        self._task: asyncio.Task[None] | None = None
        self.settings = DnsSettings(
            address=cluster.ip(10),
            ranges=(cluster.settings.pod_range, cluster.settings.service_range),
            resolv_conf=self.resolv_conf,
        )

    async def start(self) -> None:
        self.server = DnsServer(self.settings, self.cluster.api.client(), clock=LoopClock(), rng=random.Random(2))
        self._task = asyncio.get_running_loop().create_task(self.server.run(), name="dns")
        await eventually(self.server.ready.is_set)

    async def stop(self) -> None:
        self.upstream.close()
        if self._task:
            await cancel_and_wait(self._task)

    async def ask(
        self, name: str, kind: str = "A", *, tcp: bool = False, edns: int | None = None, space: Space | None = None
    ) -> dns.message.Message:
        query = dns.message.make_query(name, kind, payload=edns)
        if tcp:
            return dns.message.from_wire(await self._over_tcp(query.to_wire()))
        with (space or self.client).socket(socket.SOCK_DGRAM) as asking:
            asking.connect((self.cluster.ip(10), 53))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(8):
                await loop.sock_sendall(asking, query.to_wire())
                data = await loop.sock_recv(asking, 65535)
        response = dns.message.from_wire(data)
        assert response.id == query.id
        return response

    async def _over_tcp(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with self.client.socket() as asking:
            async with asyncio.timeout(8):
                await loop.sock_connect(asking, (self.cluster.ip(10), 53))
                await loop.sock_sendall(asking, struct.pack("!H", len(data)) + data)
                answer = b""
                while len(answer) < 2 or len(answer) < 2 + struct.unpack_from("!H", answer)[0]:
                    part = await loop.sock_recv(asking, 65535)
                    assert part, "the server ended the connection"
                    answer += part
        return answer[2:]

    async def addresses(self, name: str, **how: object) -> list[str]:
        response = await self.ask(name, **how)  # type: ignore[arg-type]
        return sorted(item.to_text() for rrset in response.answer if rrset.rdtype == dns.rdatatype.A for item in rrset)


@pytest.fixture
async def names(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Dns]:
    await cluster.start()
    made = Dns(cluster, tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_a_pod_finds_a_service_and_reaches_it(names: Dns) -> None:
    cluster = names.cluster
    pod = cluster.pod("b0").serve()
    cluster.service("web", 20)
    cluster.endpoints("web", [pod])
    await eventually(lambda: names.addresses("web.default.svc.cluster.local"))
    (address,) = await names.addresses("web.default.svc.cluster.local")

    async def reached() -> bool:
        try:
            return await names.client.name_of(address, 80) == "b0"
        except ConnectionRefusedError:  # Names and rules follow the Service each on its own.
            return False

    await eventually(reached)
    assert await names.addresses("web.default.svc.cluster.local", tcp=True) == [address]
    assert await names.addresses("web.default.svc.cluster.local", space=cluster.machine.node) == [address]


async def test_a_headless_service_follows_its_pods(names: Dns) -> None:
    cluster = names.cluster
    pods = [cluster.pod(f"db-{number}") for number in range(3)]
    cluster.service("db", 0)
    cluster.endpoints("db", pods, hostnames=True)
    base = "db.default.svc.cluster.local"
    everyone = sorted(pod.address for pod in pods)

    async def shows(wanted: list[str]) -> bool:
        return await names.addresses(base) == wanted

    await eventually(lambda: shows(everyone))
    assert await names.addresses(f"db-1.{base}") == [pods[1].address]
    cluster.endpoints("db", pods[:1], hostnames=True)
    await eventually(lambda: shows([pods[0].address]))
    assert (await names.ask(f"db-1.{base}")).rcode() == dns.rcode.NXDOMAIN


async def test_answers_too_long_for_a_datagram_are_asked_for_again(names: Dns) -> None:
    cluster = names.cluster
    many = [f"10.62.9.{number}" for number in range(1, 201)]
    cluster.service("big", 0)
    cluster.endpoints("big", many)
    await eventually(lambda: names.addresses("big.default.svc.cluster.local"))
    short = await names.ask("big.default.svc.cluster.local")
    assert short.flags & dns.flags.TC
    assert len(short.to_wire()) <= 512
    assert 20 < len(short.answer[0]) < 40, "what fits is sent along"
    longer = await names.ask("big.default.svc.cluster.local", edns=4096)
    assert not longer.flags & dns.flags.TC
    assert len(longer.answer[0]) == 200
    assert len(await names.addresses("big.default.svc.cluster.local", tcp=True)) == 200


async def test_other_names_are_asked_of_the_machines_name_server(names: Dns) -> None:
    assert await names.addresses("www.example.org") == ["203.0.113.7"]
    assert (await names.ask("www.elsewhere.org")).rcode() == dns.rcode.NXDOMAIN
    truncated = await names.ask("long.example.org")
    assert truncated.flags & dns.flags.TC
    assert await names.addresses("long.example.org", tcp=True) == ["203.0.113.7"]


async def test_a_name_server_that_comes_later_is_found(names: Dns) -> None:
    names.resolv_conf.write_text("")
    assert (await names.ask("www.example.org")).rcode() == dns.rcode.SERVFAIL
    names.resolv_conf.write_text("nameserver 127.0.0.77\nnameserver 127.0.0.5\n")  # the first is not there
    assert await names.addresses("www.example.org") == ["203.0.113.7"]


async def test_an_alias_out_of_the_cluster_is_followed(names: Dns) -> None:
    for name, target in (("out", "www.example.org"), ("huge", "long.example.org"), ("lost", "www.elsewhere.org")):
        names.cluster.service(name, 0, type="ExternalName", externalName=target)

    async def aliased(name: str) -> dns.message.Message:
        return await names.ask(f"{name}.default.svc.cluster.local")

    async def there() -> bool:
        return bool((await aliased("lost")).answer)

    await eventually(there)
    for name, target in (("out", "www.example.org."), ("huge", "long.example.org.")):
        response = await aliased(name)
        assert [rrset.rdtype for rrset in response.answer] == [dns.rdatatype.CNAME, dns.rdatatype.A]
        assert response.answer[0][0].target.to_text() == target
        assert response.answer[1].name.to_text() == target
    lost = await aliased("lost")
    assert (lost.rcode(), len(lost.answer)) == (dns.rcode.NXDOMAIN, 1)
    asked = len(names.upstream.asked)
    only = await names.ask("out.default.svc.cluster.local", "CNAME")
    assert [rrset.rdtype for rrset in only.answer] == [dns.rdatatype.CNAME]
    assert len(names.upstream.asked) == asked


async def test_questions_about_the_cluster_stay_in_it(names: Dns) -> None:
    for name, kind in (("nothing.default.svc.cluster.local", "A"), ("9.9.62.10.in-addr.arpa", "PTR"), ("7.0.63.10.in-addr.arpa", "PTR")):
        assert (await names.ask(name, kind)).rcode() == dns.rcode.NXDOMAIN
    assert names.upstream.asked == []


async def test_a_resolv_conf_that_names_us_makes_no_loop(names: Dns) -> None:
    names.resolv_conf.write_text(f"nameserver {names.cluster.ip(10)}\n")
    assert (await names.ask("www.example.org")).rcode() == dns.rcode.SERVFAIL
    names.resolv_conf.write_text(f"nameserver {names.cluster.ip(10)}\nnameserver 127.0.0.5\n")
    assert await names.addresses("www.example.org") == ["203.0.113.7"]


async def test_a_name_server_that_asks_us_back_makes_no_loop(names: Dns) -> None:
    machine = names.cluster.machine
    passed = 0

    def pass_on(query: dns.message.Message, tcp: bool) -> dns.message.Message:
        nonlocal passed
        passed += 1
        # As a forwarder does: asks us, under an id of its own, and goes on.
        asking = machine.node.socket(socket.SOCK_DGRAM)
        machine.sockets.append(asking)
        again = dns.message.make_query(query.question[0].name, query.question[0].rdtype)
        asking.sendto(again.to_wire(), (names.cluster.ip(10), 53))
        response = dns.message.make_response(query)
        response.id ^= 1  # never the answer
        return response

    looping = NameServer(machine.node, machine.tasks, "127.0.0.6", pass_on)
    names.resolv_conf.write_text("nameserver 127.0.0.6\n")
    try:
        assert (await names.ask("www.example.org")).rcode() == dns.rcode.SERVFAIL
    finally:
        looping.close()
    assert passed < 4


async def test_the_server_waits_for_its_address_and_survives_losing_it(cluster: Cluster, tmp_path: Path) -> None:
    made = Dns(cluster, tmp_path)
    await made.start()  # no proxy yet, so nobody has the address
    await cluster.start()
    try:
        assert await made.addresses("dns-version.cluster.local") == []
        run("ip", "address", "del", f"{cluster.ip(10)}/32", "dev", "lo")

        async def answered() -> bool:
            try:
                answer = await made.ask("dns-version.cluster.local", "TXT")
                return str(answer.answer[0][0].to_text()) == '"1.1.0"'
            except (OSError, TimeoutError):
                return False

        await eventually(answered)
    finally:
        await made.stop()


async def test_a_taken_port_is_said_in_one_sentence(machine: Machine) -> None:
    taken = machine.node.socket(socket.SOCK_DGRAM, bind=("0.0.0.0", 53))
    with taken:
        server = DnsServer(DnsSettings(address="127.0.0.9"), Client(NoServer()), clock=LoopClock(), rng=random.Random(3))
        with pytest.raises(DnsError, match=r"127\.0\.0\.9:53: another server has the port"):
            await server.run()


async def test_outsiders_with_a_route_to_the_server_get_nothing(names: Dns) -> None:
    name, world = "nothing.default.svc.cluster.local", names.cluster.machine.world
    world.ip("route", "add", f"{names.cluster.ip(10)}/32", "via", NODE_ADDRESS)
    query = dns.message.make_query(name, "A").to_wire()
    loop = asyncio.get_running_loop()
    with world.socket() as asking:
        await loop.sock_connect(asking, (names.cluster.ip(10), 53))
        try:
            await loop.sock_sendall(asking, struct.pack("!H", len(query)) + query)
            answer = await loop.sock_recv(asking, 65535)
        except ConnectionError:
            answer = b""
        assert answer == b""
    with world.socket(socket.SOCK_DGRAM) as asking:
        asking.connect((names.cluster.ip(10), 53))
        asking.send(query)
        # The server reads datagrams in order: once it has answered a later one, this one's answer would be there.
        for space in (names.client, names.cluster.machine.node):
            assert (await names.ask(name, space=space)).rcode() == dns.rcode.NXDOMAIN
        with pytest.raises(BlockingIOError):
            asking.recv(65535)


async def test_survives_garbage(names: Dns) -> None:
    rng = random.Random(4)
    good = dns.message.make_query("kubernetes.default.svc.cluster.local", "A", use_edns=0).to_wire()
    with names.client.socket(socket.SOCK_DGRAM) as asking:
        asking.connect((names.cluster.ip(10), 53))
        for _ in range(2000):
            data = bytearray(good)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            asking.send(bytes(data[: rng.randrange(len(data) + 1)]))
    for rubbish in (b"", b"\0", b"\xff" * 40):
        with names.client.socket() as asking:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(asking, (names.cluster.ip(10), 53))
            await loop.sock_sendall(asking, struct.pack("!H", len(rubbish)) + rubbish)
    assert (await names.ask("nothing.default.svc.cluster.local")).rcode() == dns.rcode.NXDOMAIN
