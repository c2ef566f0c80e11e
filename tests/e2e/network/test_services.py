"""Services on a real kernel: who answers, and what a client sees."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.network.cluster import Cluster
from tests.e2e.network.machine import NODE_ADDRESS, Pod, Space
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.proxy.plan import Endpoint
from tiphys.testing.eventually import eventually

UDP_PORT = [core.ServicePort(name="http", port=80, protocol="UDP")]


def backends(cluster: Cluster, count: int = 3) -> list[Pod]:
    return [cluster.pod(f"b{number}").serve() for number in range(count)]


async def refused(space: Space, address: str, port: int = 80) -> bool:
    try:
        await space.get(address, port)
    except ConnectionRefusedError:
        return True
    return False


async def test_a_cluster_address_is_answered_by_all_endpoints_in_turn(cluster: Cluster) -> None:
    pods = backends(cluster)
    client = cluster.pod("client")
    cluster.service("web", 20)
    cluster.endpoints("web", pods)
    await cluster.start()
    answers = [await client.name_of(cluster.ip(20), 80) for _ in range(9)]
    for at in range(7):
        assert set(answers[at : at + 3]) == {"b0", "b1", "b2"}


async def test_a_pod_is_seen_with_its_own_address_and_a_local_program_with_the_nodes(cluster: Cluster) -> None:
    pods = backends(cluster, 1)
    client = cluster.pod("client")
    cluster.service("web", 20)
    cluster.endpoints("web", pods)
    await cluster.start()
    assert await client.get(cluster.ip(20), 80) == f"b0 {client.address}"
    assert await cluster.machine.node.get(cluster.ip(20), 80) == f"b0 10.{cluster.number}.0.1"


async def test_a_node_port_answers_on_every_address_of_the_node(cluster: Cluster) -> None:
    pods = backends(cluster)
    cluster.service("web", 20, type="NodePort", ports=[core.ServicePort(name="http", port=80, nodePort=30080)])
    cluster.endpoints("web", pods)
    await cluster.start()
    machine = cluster.machine
    for space, address in (
        (machine.world, NODE_ADDRESS),
        (machine.node, NODE_ADDRESS),
        (machine.node, "127.0.0.1"),
        (pods[0], NODE_ADDRESS),
    ):
        answers = Counter([await space.name_of(address, 30080) for _ in range(6)])
        assert answers == {"b0": 2, "b1": 2, "b2": 2}, (space.name, address)
    assert await refused(machine.node, "127.0.0.1", 30081)
    assert not await refused(machine.world, NODE_ADDRESS, 30080)


async def test_a_pod_reaches_itself_through_its_service(cluster: Cluster) -> None:
    (pod,) = backends(cluster, 1)
    cluster.service("web", 20, type="NodePort", ports=[core.ServicePort(name="http", port=80, nodePort=30080)])
    cluster.endpoints("web", [pod])
    await cluster.start()
    for address, port in ((cluster.ip(20), 80), (NODE_ADDRESS, 30080)):
        name, seen = (await pod.get(address, port)).split()
        assert name == "b0"
        assert seen != pod.address


async def test_a_client_stays_with_its_endpoint_when_the_service_wants_it(cluster: Cluster) -> None:
    pods = backends(cluster)
    clients = [cluster.pod(f"c{number}") for number in range(3)]
    config = core.SessionAffinityConfig(clientIP=core.ClientIPConfig(timeoutSeconds=100))
    cluster.service("web", 20, sessionAffinity="ClientIP", sessionAffinityConfig=config)
    cluster.endpoints("web", pods)
    await cluster.start()
    chosen = {}
    for client in clients:
        answers = {await client.name_of(cluster.ip(20), 80) for _ in range(5)}
        assert len(answers) == 1
        chosen[client.name] = answers.pop()
    assert len(set(chosen.values())) == 3
    # Another endpoint goes: those who are not with it stay where they are.
    gone = chosen["c0"]
    cluster.endpoints("web", [pod for pod in pods if pod.name != gone])

    async def moved() -> bool:
        return await clients[0].name_of(cluster.ip(20), 80) != gone

    await eventually(moved)
    assert await clients[1].name_of(cluster.ip(20), 80) == chosen["c1"]
    assert await clients[2].name_of(cluster.ip(20), 80) == chosen["c2"]


async def test_a_service_without_endpoints_refuses_at_once(cluster: Cluster) -> None:
    client = cluster.pod("client")
    ports = [core.ServicePort(name="http", port=80, nodePort=30080), core.ServicePort(name="u", port=80, nodePort=30081, protocol="UDP")]
    cluster.service("web", 20, type="NodePort", ports=ports)
    await cluster.start()
    machine = cluster.machine
    for space in (client, machine.node):
        assert await refused(space, cluster.ip(20))
    for space, address in ((client, NODE_ADDRESS), (machine.node, "127.0.0.1"), (machine.world, NODE_ADDRESS)):
        assert await refused(space, address, 30080)
    for space, address, port in ((client, cluster.ip(20), 80), (client, NODE_ADDRESS, 30081), (machine.world, NODE_ADDRESS, 30081)):
        with pytest.raises(ConnectionRefusedError):
            await space.ask(address, port)
    # The kernel tells a local program already when it sends.
    with pytest.raises((ConnectionRefusedError, PermissionError)):
        await machine.node.ask(cluster.ip(20), 80)


async def test_unknown_addresses_of_the_cluster_are_refused_and_nothing_leaves_the_machine(cluster: Cluster) -> None:
    client = cluster.pod("client")
    cluster.service("web", 20)
    cluster.endpoints("web", backends(cluster, 1))
    await cluster.start()
    world = cluster.machine.world
    sniffer = world.make(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)))
    sniffer.setblocking(False)
    with sniffer:
        for space in (client, cluster.machine.node):
            assert await refused(space, cluster.ip(99)), "an address of no Service"
            assert await refused(space, cluster.ip(20), 81), "a port that the Service does not have"
            with pytest.raises(OSError) as lost:
                await space.get(f"10.{cluster.number}.77.7", 80)
            assert lost.value.errno == errno.EHOSTUNREACH
        with pytest.raises(ConnectionRefusedError):
            await world.get(NODE_ADDRESS, 4)
        seen = set()
        while True:
            try:
                packet = sniffer.recv(4096)
            except BlockingIOError:
                break
            seen |= {socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])}
    assert NODE_ADDRESS in seen
    assert not [address for address in seen if address.startswith("10.")]


async def test_pods_reach_the_world_with_the_nodes_address(cluster: Cluster) -> None:
    client = cluster.pod("client")
    machine = cluster.machine
    machine.serve(machine.world, 80, "0.0.0.0")
    machine.serve(machine.node, 80, NODE_ADDRESS)
    await cluster.start()
    assert await client.get("198.51.100.1", 80) == f"world {NODE_ADDRESS}"
    assert await client.get(NODE_ADDRESS, 80) == f"node {client.address}"


async def test_endpoints_move_under_constant_requests_without_a_failure(cluster: Cluster) -> None:
    pods = backends(cluster, 4)
    client = cluster.pod("client")
    cluster.service("web", 20)
    cluster.endpoints("web", pods[:2])
    await cluster.start()
    seen: Counter[str] = Counter()
    stop = False

    async def ask() -> None:
        while not stop:
            seen[await client.name_of(cluster.ip(20), 80)] += 1

    asking = [asyncio.ensure_future(ask()) for _ in range(4)]
    for turn in range(12):
        wanted = [pods[turn % 4], pods[(turn + 1) % 4]]
        cluster.endpoints("web", wanted)

        def all_seen(names: set[str] = {pod.name for pod in wanted}) -> bool:  # noqa: B006
            return names <= set(seen)

        seen.clear()
        await eventually(all_seen)
    stop = True
    await asyncio.gather(*asking)


async def test_terminating_endpoints_serve_only_when_no_other_is_left(cluster: Cluster) -> None:
    ready, leaving = backends(cluster, 2)
    client = cluster.pod("client")
    cluster.service("web", 20)
    going = discovery.EndpointConditions(ready=False, serving=True, terminating=True)
    cluster.endpoints("web", [ready])
    cluster.endpoints("web", [leaving], conditions=going, piece="b")
    await cluster.start()
    assert {await client.name_of(cluster.ip(20), 80) for _ in range(4)} == {"b0"}
    cluster.endpoints("web", [])

    async def answers(name: str) -> bool:
        return await client.name_of(cluster.ip(20), 80) == name

    await eventually(lambda: answers("b1"))
    cluster.endpoints("web", [leaving], conditions=discovery.EndpointConditions(ready=False, serving=False, terminating=True), piece="b")
    await eventually(lambda: refused(client, cluster.ip(20)))


async def test_a_udp_client_follows_when_its_endpoint_goes(cluster: Cluster) -> None:
    pods = [cluster.pod(f"b{number}").serve_udp() for number in range(2)]
    client = cluster.pod("client")
    cluster.service("dns", 20, ports=UDP_PORT)
    cluster.endpoints("dns", pods, protocol="UDP")
    await cluster.start()
    with client.socket(socket.SOCK_DGRAM) as asking:
        asking.connect((cluster.ip(20), 80))
        first = (await client.ask("", 0, client=asking)).split()[0]
        assert (await client.ask("", 0, client=asking)).split()[0] == first, "one flow, one endpoint"
        (other,) = [pod for pod in pods if pod.name != first]
        cluster.endpoints("dns", [other], protocol="UDP")

        async def moved() -> bool:
            return (await client.ask("", 0, client=asking)).split()[0] == other.name

        await eventually(moved)


async def test_a_udp_client_that_was_too_early_is_served_when_the_node_port_comes(cluster: Cluster) -> None:
    pod = cluster.pod("b0").serve_udp()
    await cluster.start()
    machine = cluster.machine
    with machine.world.socket(socket.SOCK_DGRAM) as asking:
        asking.connect((NODE_ADDRESS, 30053))
        with pytest.raises(ConnectionRefusedError):
            await machine.world.ask("", 0, client=asking)
        cluster.service("dns", 20, type="NodePort", ports=[core.ServicePort(name="http", port=80, protocol="UDP", nodePort=30053)])
        cluster.endpoints("dns", [pod], protocol="UDP")

        async def answered() -> bool:
            try:
                return (await machine.world.ask("", 0, client=asking)).startswith("b0")
            except ConnectionRefusedError:
                return False

        await eventually(answered)
        # And when it goes, the flow ends too.
        cluster.api.remove(core.Service, "dns", "default")

        async def ended() -> bool:
            return not await answered()

        await eventually(ended)


async def test_a_local_policy_keeps_the_clients_address_and_this_nodes_endpoints(cluster: Cluster) -> None:
    here, elsewhere = backends(cluster, 2)
    client = cluster.pod("client")
    ports = [core.ServicePort(name="http", port=80, nodePort=30080)]
    cluster.service("web", 20, type="NodePort", ports=ports, externalTrafficPolicy="Local")
    cluster.endpoints("web", [here])
    cluster.endpoints("web", [elsewhere], node="n2", piece="b")
    await cluster.start()
    machine = cluster.machine
    assert {await machine.world.get(NODE_ADDRESS, 30080) for _ in range(4)} == {"b0 198.51.100.1"}
    # The policy is not about clients inside the cluster, nor about this machine's own.
    assert {await client.name_of(cluster.ip(20), 80) for _ in range(4)} == {"b0", "b1"}
    assert {await client.name_of(NODE_ADDRESS, 30080) for _ in range(4)} == {"b0", "b1"}
    assert {await machine.node.name_of("127.0.0.1", 30080) for _ in range(4)} == {"b0", "b1"}


async def test_internal_traffic_may_be_kept_on_the_node(cluster: Cluster) -> None:
    here, elsewhere = backends(cluster, 2)
    client = cluster.pod("client")
    cluster.service("web", 20, internalTrafficPolicy="Local")
    cluster.endpoints("web", [here])
    cluster.endpoints("web", [elsewhere], node="n2", piece="b")
    await cluster.start()
    assert {await client.name_of(cluster.ip(20), 80) for _ in range(4)} == {"b0"}
    cluster.endpoints("web", [])

    async def dropped() -> bool:
        with client.socket() as asking:
            try:
                async with asyncio.timeout(0.2):
                    await asyncio.get_running_loop().sock_connect(asking, (cluster.ip(20), 80))
            except TimeoutError:
                return True
        return False

    await eventually(dropped)


async def test_external_addresses_and_who_may_come_through_a_load_balancer(cluster: Cluster) -> None:
    pods = backends(cluster, 1)
    machine = cluster.machine
    service = cluster.service("web", 20, type="LoadBalancer", externalIPs=["203.0.113.5"], loadBalancerSourceRanges=["198.51.100.1/32"])
    service.status.loadBalancer.ingress = [core.LoadBalancerIngress(ip="203.0.113.6")]
    cluster.api.add(service)
    cluster.endpoints("web", pods)
    machine.world.ip("route", "add", "203.0.113.0/24", "via", NODE_ADDRESS)
    machine.world.ip("address", "add", "198.51.100.77/24", "dev", "eth0")
    await cluster.start()
    assert (await machine.world.get("203.0.113.5", 80, source="198.51.100.77")).startswith("b0")
    assert (await machine.world.get("203.0.113.6", 80, source="198.51.100.1")).startswith("b0")
    with machine.world.socket(bind=("198.51.100.77", 0)) as asking, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.get_running_loop().sock_connect(asking, ("203.0.113.6", 80))


async def test_a_load_balancer_learns_which_nodes_serve(cluster: Cluster) -> None:
    cluster.service("web", 20, type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=32111)
    pod = cluster.pod("b0").serve()
    cluster.endpoints("web", [pod])
    await cluster.start()

    async def status() -> str:
        probe = "GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
        try:
            return (await cluster.machine.world.get(NODE_ADDRESS, 32111, text=probe)).split()[1]
        except ConnectionRefusedError:
            return "refused"

    async def become(expected: str) -> None:
        async def did() -> bool:
            return await status() == expected

        await eventually(did)

    await become("200")
    cluster.endpoints("web", [pod], conditions=discovery.EndpointConditions(ready=False, serving=True, terminating=True))
    await become("503")
    cluster.api.remove(core.Service, "web", "default")
    await become("refused")


async def test_pods_reach_an_api_server_on_loopback_and_nothing_else_there(cluster: Cluster) -> None:
    client = cluster.pod("client")
    machine = cluster.machine
    machine.serve(machine.node, 6443, "127.0.0.1")
    machine.serve(machine.node, 2379, "127.0.0.1")
    cluster.service("kubernetes", 1, ports=[core.ServicePort(name="https", port=443)])
    cluster.endpoints("kubernetes", [NODE_ADDRESS], port=6443, port_name="https")
    await cluster.start(local_api=Endpoint("127.0.0.1", 6443))
    assert await client.get(cluster.ip(1), 443) == f"node {client.address}"
    assert await machine.node.name_of(cluster.ip(1), 443) == "node"
    # A pod that sends packets for loopback through its gateway gets nowhere, whatever source it claims.
    client.ip("route", "add", "127.0.0.1", "via", f"10.{cluster.number}.0.1", "dev", "eth0", "table", "9")
    client.ip("rule", "add", "pref", "100", "lookup", "local")
    client.ip("rule", "del", "pref", "0")
    client.ip("rule", "add", "pref", "50", "to", "127.0.0.1", "lookup", "9")
    client.make(lambda: Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1"))
    for port in (2379, 6443):
        with client.socket(bind=(client.address, 0)) as asking, pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.get_running_loop().sock_connect(asking, ("127.0.0.1", port))


async def test_a_pod_cannot_claim_to_be_this_machine(cluster: Cluster) -> None:
    client = cluster.pod("client")
    await cluster.start()
    client.make(lambda: Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1"))
    loop = asyncio.get_running_loop()
    node = cluster.machine.node
    with node.socket(socket.SOCK_DGRAM, bind=("0.0.0.0", 5000)) as server:
        for source in ("127.0.0.5", client.address):
            with client.socket(socket.SOCK_DGRAM, bind=(source, 0)) as asking:
                asking.sendto(source.encode(), (NODE_ADDRESS, 5000))
        async with asyncio.timeout(5):
            assert await loop.sock_recv(server, 100) == client.address.encode()


async def test_other_servers_of_the_node_do_not_answer_on_the_dns_address(cluster: Cluster) -> None:
    client = cluster.pod("client")
    machine = cluster.machine
    machine.serve(machine.node, 22, "0.0.0.0")
    machine.serve(machine.node, 53, "0.0.0.0")
    await cluster.start()
    assert await client.name_of(cluster.ip(10), 53) == "node"
    assert await refused(client, cluster.ip(10), 22)
    assert await client.name_of(NODE_ADDRESS, 22) == "node"


async def test_hints_keep_connections_near_as_long_as_all_endpoints_have_them(cluster: Cluster) -> None:
    near, far = backends(cluster, 2)
    client = cluster.pod("client")
    west, east = (discovery.EndpointHints(forZones=[discovery.ForZone(name=name)]) for name in ("west", "east"))
    here = discovery.EndpointHints(forZones=west.forZones, forNodes=[discovery.ForNode(name="n1")])
    there = discovery.EndpointHints(forZones=west.forZones, forNodes=[discovery.ForNode(name="n2")])
    cluster.node("west")
    cluster.service("web", 20)
    cluster.endpoints("web", [near], hints=west)
    cluster.endpoints("web", [far], hints=east, node="n2", piece="b")

    async def answers() -> set[str]:
        return {await client.name_of(cluster.ip(20), 80) for _ in range(6)}

    async def become(*names: str) -> None:
        async def are() -> bool:
            return await answers() == set(names)

        await eventually(are)

    await cluster.start()
    assert await answers() == {"b0"}
    cluster.node("east")
    await become("b1")
    cluster.node("west")
    cluster.endpoints("web", [far], node="n2", piece="b")
    await become("b0", "b1")
    cluster.endpoints("web", [far], hints=there, node="n2", piece="b")
    await become("b0", "b1")
    cluster.endpoints("web", [near], hints=here)
    await become("b0")
