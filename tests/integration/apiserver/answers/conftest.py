"""A real API server over TLS that notes who spoke which format, and a real kubectl pointed at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.clients.conftest import KUBECTLS
from tiphys.aio.clock import LoopClock
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.daemon import pki
from tiphys.http.server import Server, server_context
from tiphys.testing.api_server import ADMIN, running_api_server
from tiphys.testing.kubectl import Kubectl
from tiphys.wire.http import Request, Response

PROTOBUF = "application/vnd.kubernetes.protobuf"
OLD_KUBECTL = str(KUBECTLS["1.36"])


class Exchange(NamedTuple):
    """One request and what came back."""

    method: str
    path: str
    sent: str
    accepted: str
    answered: str
    status: int


@dataclass(slots=True)
class Cluster:
    """The server's address, an administrator's client in the same process, and what went over the wire."""

    port: int
    keys: pki.Pki
    client: Client
    transport: InProcessTransport
    kubectl: Kubectl
    exchanges: list[Exchange] = field(default_factory=list)

    def sent(self, method: str, path: str) -> Exchange:
        """The last exchange with this method and path."""
        found = [item for item in self.exchanges if (item.method, item.path) == (method, path)]
        assert found, f"no {method} {path} among {[(item.method, item.path) for item in self.exchanges]}"
        return found[-1]

    def spoke_protobuf(self, method: str, path: str, status: int) -> None:
        """Fails the test when the last such exchange was not in protobuf, both ways."""
        last = self.sent(method, path)
        assert last.answered == PROTOBUF, last
        assert last.status == status, last
        assert last.sent == (PROTOBUF if method != "GET" else ""), last


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_api_server(tmp_path, listen=True) as (server, client_for):
        keys = await asyncio.to_thread(pki.ensure, tmp_path / "pki", LoopClock().now(), names=pki.Names())
        transport = InProcessTransport(server.app.handle, peer=ADMIN)
        running = Cluster(0, keys, client_for(), transport, Kubectl(tmp_path, f"--kubeconfig={tmp_path / 'kubeconfig'}"))

        async def handle(request: Request) -> Response:
            response = await server.app.handle(request)
            sent, accepted = request.headers.get("content-type", ""), request.headers.get("accept", "")
            answered = response.headers.get("Content-Type", "")
            running.exchanges.append(Exchange(request.method, request.path, sent, accepted, answered, response.status))
            return response

        pair = keys.pair("apiserver")
        door = Server(handle, context=server_context(str(pair.cert), str(pair.key), str(keys.ca)))
        running.port = await door.start("127.0.0.1", 0)
        address = f"https://127.0.0.1:{running.port}"
        pki.write_kubeconfig(tmp_path / "kubeconfig", server=address, ca=keys.ca, pair=keys.pair("admin"), user="admin")
        try:
            yield running
        finally:
            await door.stop(grace=0.1)
