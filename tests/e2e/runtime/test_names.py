"""Names resolve inside our images, whose resolvers are of two kinds: static (busybox) and dynamic (git)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import dns.message
import dns.rrset
import pytest

from tests.e2e.runtime.machine import CACHE, Machine, Pod
from tiphys.images.build import ensure_images
from tiphys.node.cri.client import CriClient


class Names(asyncio.DatagramProtocol):
    """Knows one name of the cluster."""

    def __init__(self, name: str, address: str) -> None:
        self._name, self._address = name, address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        question = query.question[0]
        if question.name.to_text() != self._name:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(self._name, 5, "IN", "A", self._address))
        self._transport.sendto(response.to_wire(), addr)


@contextlib.asynccontextmanager
async def serving(gateway: str, address: str) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Names("web.default.svc.cluster.local.", address), local_addr=(gateway, 53))
    try:
        yield
    finally:
        transport.close()


@pytest.mark.parametrize("image", ["busybox", "git"])
async def test_a_short_name_is_found_through_the_search_path(machine: Machine, cri: CriClient, image: str) -> None:
    await ensure_images([image], cache_dir=CACHE, containerd_socket=machine.supervisor.socket_path)
    gateway = machine.pod_cidr.rpartition(".")[0] + ".1"
    pod = Pod(cri, machine, "names")
    pod.config.dns_config.servers.append(gateway)
    pod.config.dns_config.searches.extend(["default.svc.cluster.local", "svc.cluster.local", "cluster.local"])
    pod.config.dns_config.options.append("ndots:5")
    await pod.run()
    try:
        await pod.start("web", command=["httpd", "-f", "-p", "80", "-h", "/etc"])
        client = await pod.start("client", image=f"tiphys.local/{image}:1", command=["sleep", "1000"])
        async with serving(gateway, pod.ip):
            for name in ("web", "web.default.svc.cluster.local"):
                if image == "busybox":
                    assert "root:" in await pod.output(client, ["timeout", "10", "wget", "-q", "-O", "-", f"http://{name}/passwd"])
                else:
                    answer = await cri.exec_sync(client, ["git", "ls-remote", f"http://{name}/absent"], timeout=10)
                    assert b"not found" in answer.stderr, answer.stderr
                    assert b"resolve" not in answer.stderr
    finally:
        await pod.remove()
