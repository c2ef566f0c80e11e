"""The kubelet's server as bytes over TLS: it keeps to the limits of the HTTP server, and so does the health page."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.apiserver.raw import RawConnection, request
from tiphys.aio.tasks import cancel_and_wait
from tiphys.client import Client
from tiphys.daemon import pki
from tiphys.http.connection import Connection
from tiphys.http.server import Server
from tiphys.node.cri.client import CriClient
from tiphys.node.kubelet import Kubelet
from tiphys.node.serve.limits import LIMITS
from tiphys.node.settings import NodeSettings
from tiphys.testing.eventually import eventually
from tiphys.testing.faults import NoServer


class Door:
    """One of a node's two servers, and a client of it."""

    def __init__(self, server: Server, port: int, context: ssl.SSLContext | None) -> None:
        self.server, self.port, self.context = server, port, context
        self.opened: list[RawConnection] = []

    async def connect(self) -> RawConnection:
        connection = RawConnection(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context))
        self.opened.append(connection)
        return connection

    @property
    def served(self) -> list[Connection]:
        return [one for one in self.server.pool.connections if isinstance(one, Connection)]

    def sweep(self, *, after: float) -> None:
        """Sweep as the server does, with so many seconds gone by."""
        for connection in self.served:
            connection.sweep(time.monotonic() + after)


@pytest.fixture
def kubelet(tmp_path: Path) -> Kubelet:
    """A kubelet that does not run: no runtime is asked."""
    keys = pki.ensure(tmp_path / "pki", datetime.now(UTC), names=pki.Names(), nodes=["n1"])
    pair = keys.pair("kubelet-server")
    root, logs = tmp_path / "node", tmp_path / "log"
    logs.mkdir()
    (logs / "a b").write_text("logged\n")
    settings = NodeSettings(
        name="n1", root=root, bind="127.0.0.1", port=0, tls_cert=pair.cert, tls_key=pair.key, client_ca=keys.ca, system_logs=logs
    )
    return Kubelet(settings, Client(NoServer()), CriClient(tmp_path / "none.sock"))


@pytest.fixture
async def api(kubelet: Kubelet, tmp_path: Path) -> AsyncIterator[Door]:
    keys = tmp_path / "pki"
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(str(keys / "admin.crt"), str(keys / "admin.key"))
    server = kubelet._server()
    assert server is not None
    await server.start()
    door = Door(server.http, server.port, context)
    yield door
    for connection in door.opened:
        connection.close()
    await server.close()


@pytest.fixture
async def page(kubelet: Kubelet) -> AsyncIterator[Door]:
    running = asyncio.create_task(kubelet.health.run("127.0.0.1", 0))
    await kubelet.health.listening.wait()
    door = Door(kubelet.health.http, kubelet.health.port, None)
    yield door
    for connection in door.opened:
        connection.close()
    await cancel_and_wait(running)


@pytest.fixture(params=["api", "page"])
def door(request: pytest.FixtureRequest) -> Door:
    door: Door = request.getfixturevalue(request.param)
    return door


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"NONSENSE\r\n\r\n", 400, "the request is not valid HTTP/1.1"),
        (request("GET", "/healthz", "X: " + "y" * LIMITS.header_bytes), 431, "the request headers are larger than 65536 bytes"),
        (request("GET", "/" + "a" * LIMITS.target_bytes), 414, "the URL is longer than 65536 bytes"),
        (
            request("POST", "/healthz", f"Content-Length: {LIMITS.body_bytes + 1}"),
            413,
            "Request entity too large: limit is 1048576",
        ),
    ],
)
async def test_requests_beyond_the_limits_are_refused(door: Door, data: bytes, status: int, message: str) -> None:
    connection = await door.connect()
    await connection.send(data)
    answer = await connection.answer()
    assert (answer.status, answer.headers["content-type"], answer.body.decode()) == (status, "text/plain; charset=utf-8", f"{message}\n")
    assert await connection.ended()


async def test_a_head_that_does_not_arrive_is_given_up(door: Door) -> None:
    connection = await door.connect()
    await connection.send(b"GET /healthz HT")
    await eventually(lambda: [one for one in door.served if one._begun_at])
    door.sweep(after=LIMITS.head_seconds + 1)
    assert (await connection.answer()).status == 408
    assert await connection.ended()


async def test_an_idle_connection_is_closed(door: Door) -> None:
    connection = await door.connect()
    await connection.send(request("GET", "/healthz/ping"))
    assert (await connection.answer()).body == b"ok"
    await eventually(lambda: all(one._task is None for one in door.served))
    door.sweep(after=LIMITS.idle_seconds - 1)
    await connection.send(request("GET", "/healthz/ping"))
    assert (await connection.answer()).body == b"ok"
    await eventually(lambda: all(one._task is None for one in door.served))
    door.sweep(after=LIMITS.idle_seconds + 1)
    assert await connection.ended()


async def test_pipelined_requests_are_answered_in_order_and_in_bounds(door: Door) -> None:
    connection = await door.connect()
    count = 4 * LIMITS.pipelined
    await connection.send(b"".join(request("GET", f"/healthz{path}") for path in ("/ping", "/none") * (count // 2)))
    for _ in range(count // 2):
        assert (await connection.answer()).status == 200
        assert (await connection.answer()).status == 404


async def test_a_client_that_does_not_read_is_cut(api: Door, kubelet: Kubelet) -> None:
    (kubelet.settings.system_logs / "large").write_bytes(b"x" * (32 << 20))
    connection = await api.connect()
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await connection.send(request("GET", "/logs/large"))
    await eventually(lambda: [one for one in api.served if one._resume is not None])
    api.sweep(after=LIMITS.stall_seconds + 1)
    await eventually(lambda: not api.served)


async def test_paths_are_decoded_before_routes_and_rights(api: Door) -> None:
    connection = await api.connect()
    await connection.send(request("GET", "/health%7A/ping") + request("GET", "/logs/a%20b"))
    assert (await connection.answer()).body == b"ok"
    assert (await connection.answer()).body == b"logged\n"


async def test_a_fault_in_a_handler_is_a_500(api: Door, kubelet: Kubelet) -> None:
    def fault() -> str:
        raise RuntimeError("check")

    kubelet.checks["fault"] = fault
    connection = await api.connect()
    await connection.send(request("GET", "/healthz/fault"))
    answer = await connection.answer()
    assert (answer.status, answer.body) == (500, b"Internal error occurred: see the server's log\n")
    assert await connection.ended()
