"""The proxy's life on a real kernel: changes, restarts, meddling by others, neighbors, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.network.cluster import Cluster
from tests.e2e.network.machine import NODE_ADDRESS, Machine, run, switch
from tiphys.api.core import v1 as core
from tiphys.proxy.cleanup import remove_all
from tiphys.testing.eventually import eventually

NODE_PORT = [core.ServicePort(name="http", port=80, nodePort=30080)]


async def serve(cluster: Cluster, name: str = "b0") -> None:
    cluster.service("web", 20, type="NodePort", ports=NODE_PORT)
    cluster.endpoints("web", [cluster.pod(name).serve()])


async def works(cluster: Cluster, name: str = "b0") -> bool:
    try:
        return await cluster.machine.node.name_of(cluster.ip(20), 80) == name
    except OSError:
        return False


def rules(cluster: Cluster) -> str:
    return run("nft", "list", "table", "ip", cluster.settings.table)


async def test_a_restart_keeps_services_answering(cluster: Cluster) -> None:
    await serve(cluster)
    await cluster.start()
    failures = []
    stop = False

    async def ask() -> None:
        while not stop:
            if not await works(cluster):
                failures.append(1)

    asking = asyncio.ensure_future(ask())
    for _ in range(3):
        await cluster.stop()
        assert await works(cluster), "rules stay while no proxy runs"
        await cluster.start()
    stop = True
    await asking
    assert not failures


async def test_changes_that_came_while_no_proxy_ran_are_caught_up(cluster: Cluster) -> None:
    await serve(cluster)
    other = cluster.pod("b1").serve()
    await cluster.start()
    await cluster.stop()
    cluster.endpoints("web", [other])
    await cluster.start()
    assert await works(cluster, "b1")


@pytest.mark.parametrize(
    "command",
    [
        ("nft", "flush", "ruleset"),
        ("nft", "delete", "table", "ip", "tiphys_e2e_62"),
        ("nft", "flush", "table", "ip", "tiphys_e2e_62"),
        ("nft", "flush", "map", "ip", "tiphys_e2e_62", "services"),
        ("ip", "route", "del", "10.63.0.0/16"),
        ("ip", "address", "flush", "dev", "lo", "scope", "global"),
    ],
    ids=" ".join,
)
async def test_restores_foreign_removals(cluster: Cluster, command: tuple[str, ...]) -> None:
    await serve(cluster)
    await cluster.start()
    assert await works(cluster)
    run(*command)
    await eventually(lambda: works(cluster), timeout=10)


async def test_others_may_change_their_own_tables(cluster: Cluster) -> None:
    await serve(cluster)
    await cluster.start()
    handles = run("nft", "-a", "list", "table", "ip", cluster.settings.table)
    for _ in range(3):
        run("nft", "add table ip another; add chain ip another c; delete table ip another")
    cluster.service("later", 30)
    await eventually(lambda: cluster.ip(30) in rules(cluster))
    again = run("nft", "-a", "list", "table", "ip", cluster.settings.table)
    # The table's own handle would be another had it been made anew.
    assert handles.splitlines()[0] == again.splitlines()[0]


async def test_changes_touch_only_what_changed(cluster: Cluster) -> None:
    await serve(cluster)
    await cluster.start()
    other = cluster.pod("b1").serve()
    cluster.service("other", 30)
    cluster.endpoints("other", [other])
    await eventually(lambda: f"{other.address} . 8080" in rules(cluster))

    def chain_of(name: str) -> str:
        listed = run("nft", "-a", "list", "table", "ip", cluster.settings.table)
        (line,) = [line for line in listed.splitlines() if f'"default/{name}:http"' in line]
        return line

    before = chain_of("web")
    cluster.api.remove(core.Service, "other", "default")
    await eventually(lambda: "default/other" not in rules(cluster))
    cluster.service("more", 31)
    await eventually(lambda: cluster.ip(31) in rules(cluster))
    assert chain_of("web") == before
    assert await works(cluster)


async def test_the_golden_rules_are_what_nft_takes(machine: Machine) -> None:
    golden = Path(__file__).parents[2] / "unit" / "proxy" / "golden.nft"
    run("nft", "-c", "-f", str(golden))


async def test_an_idle_proxy_does_nothing(cluster: Cluster) -> None:
    await serve(cluster)
    await cluster.start()
    run("nft", "add rule ip tiphys_e2e_62 refuse counter")  # noticed and repaired: proof that it listens
    await eventually(lambda: "counter" not in rules(cluster))
    assert await works(cluster)
    calls = len(cluster.api.calls)
    watcher = await asyncio.create_subprocess_exec("nft", "monitor", stdout=asyncio.subprocess.PIPE)
    assert watcher.stdout is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await watcher.stdout.readline()
    watcher.kill()
    await watcher.communicate()
    assert len(cluster.api.calls) == calls


async def test_the_bridge_may_come_late_and_again(cluster: Cluster) -> None:
    machine = cluster.machine
    machine.node.ip("link", "del", cluster.bridge)
    switch("bridge/bridge-nf-call-iptables", "0")
    await cluster.start()
    cluster.service("web", 20, type="NodePort", ports=NODE_PORT)
    for turn in range(2):
        cluster.add_bridge()
        pod, client = cluster.pod(f"b{turn}").serve(), cluster.pod(f"c{turn}")
        cluster.endpoints("web", [pod])

        async def answered(name: str = pod.name) -> bool:
            try:
                return await machine.node.name_of("127.0.0.1", 30080) == name
            except (OSError, TimeoutError):
                return False

        await eventually(answered)
        # Packets between two ports of the bridge pass the rules, although the machine does not want that for bridges in general.
        assert await client.get(cluster.ip(20), 80) == f"{pod.name} {client.address}"
        machine.node.ip("link", "del", cluster.bridge)


@pytest.fixture
async def clusters(machine: Machine, tmp_path: Path) -> AsyncIterator[list[Cluster]]:
    """Two clusters on one machine."""
    async with Cluster.running(machine, tmp_path, 62) as first, Cluster.running(machine, tmp_path, 72) as second:
        yield [first, second]


async def test_two_clusters_on_one_machine_do_not_meet(machine: Machine, clusters: list[Cluster]) -> None:
    for cluster, port in zip(clusters, (30080, 30090), strict=True):
        cluster.service("web", 20, type="NodePort", ports=[core.ServicePort(name="http", port=80, nodePort=port)])
        cluster.endpoints("web", [cluster.pod(f"b{cluster.number}").serve()])
        await cluster.start()
    clients = [cluster.pod(f"client{cluster.number}") for cluster in clusters]
    first, second = clusters
    for cluster, client, port in zip(clusters, clients, (30080, 30090), strict=True):
        name = f"b{cluster.number}"
        assert await client.get(cluster.ip(20), 80) == f"{name} {client.address}"
        assert await machine.node.name_of(cluster.ip(20), 80) == name
        assert await machine.world.name_of(NODE_ADDRESS, port) == name
        assert await client.name_of(NODE_ADDRESS, port) == name
    await first.stop()
    assert await purge(first) == []
    assert await works(second, "b72")
    assert await clients[1].name_of(second.ip(20), 80) == "b72"
    await second.stop()


async def purge(cluster: Cluster) -> list[str]:
    settings = cluster.settings
    return await remove_all(
        table=settings.table,
        pod_range=settings.pod_range,
        service_range=settings.service_range,
        dns_address=settings.dns_address,
        forwarding_record=settings.forwarding_record,
    )


def traces() -> dict[str, str]:
    """Everything about the network of this namespace that a proxy could have changed, the pods' own links left out."""
    commands = (("nft", "list", "ruleset"), ("ip", "route"), ("ip", "-4", "address"), ("ip", "rule"))
    found = {" ".join(command): run(*command) for command in commands}
    ipv4 = Path("/proc/sys/net/ipv4")
    switches = [path for link in ("all", "default", "lo", "up0") for path in (ipv4 / "conf" / link).iterdir()]
    return found | {str(path): path.read_text() for path in (*switches, ipv4 / "ip_forward")}


@pytest.mark.parametrize("forwarding", ["0", "1"])
async def test_a_purge_leaves_the_network_as_it_was(machine: Machine, tmp_path: Path, forwarding: str) -> None:
    switch("ipv4/ip_forward", forwarding)
    before = traces()
    async with Cluster.running(machine, tmp_path, 62) as first, Cluster.running(machine, tmp_path, 72) as second:
        for cluster in (first, second):
            await serve(cluster, f"b{cluster.number}")
            await cluster.start()
            assert await works(cluster, f"b{cluster.number}")
        for cluster in (first, second):
            await cluster.stop()
            machine.node.ip("link", "del", cluster.bridge)
            assert await purge(cluster) == []
            assert await purge(cluster) == [], "purging twice is harmless"
    assert traces() == before
    assert not (tmp_path / "forwarding").exists()
