"""The HTTP server under clean and dirty requests, with TLS, client certificates and limits of its owner."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiphys.daemon import pki
from tiphys.http.connection import Connection
from tiphys.http.limits import Limits
from tiphys.http.server import Server, server_context
from tiphys.testing.eventually import eventually
from tiphys.wire.http import Request, Response

CLOSE = b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class Handler:
    """Answers by path; /wait answers when the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0

    async def answer(self, request: Request) -> Response:
        self.begun += 1
        match request.path:
            case "/stream":
                return Response(stream=_chunks())
            case "/boom":
                raise RuntimeError("boom")
            case "/late-boom":
                await asyncio.sleep(0)
                raise ConnectionError("boom")
            case "/take":
                return Response(upgrade=_take)
            case "/wait":
                await self.gate.wait()
            case "/timeout":
                async with asyncio.timeout(60):
                    await asyncio.sleep(0)
        return Response(body=f"{request.method} {request.path} {list(request.query)} {request.peer.common_name}".encode())


async def _chunks() -> AsyncIterator[bytes]:
    yield b"one"
    yield b""
    yield b"two"


async def _take(connection: object) -> None:
    data = await connection.read()  # type: ignore[attr-defined]
    await connection.write(b"taken " + data)  # type: ignore[attr-defined]
    connection.close()  # type: ignore[attr-defined]


class Client:
    """Somebody with an administrator's certificate."""

    def __init__(self, handler: Handler, server: Server, port: int, context: ssl.SSLContext) -> None:
        self.handler, self.server, self.port, self.context = handler, server, port, context

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)

    async def say(self, data: bytes) -> bytes:
        """Everything the server sends until it closes."""
        reader, writer = await self.open()
        writer.write(data)
        got = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return got

    @property
    def served(self) -> list[Connection]:
        return [one for one in self.server.pool.connections if isinstance(one, Connection)]

    def sweep(self, after: float) -> None:
        """Sweep as the server does, with so many seconds gone by."""
        for connection in self.served:
            connection.sweep(time.monotonic() + after)


Serve = Callable[[Limits], AbstractAsyncContextManager[Client]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    made = pki.ensure(tmp_path, datetime.now(UTC), names=pki.Names(host="localhost"), nodes=["n"])
    serving, own = made.pair("kubelet-server"), made.pair("admin")

    @asynccontextmanager
    async def served(limits: Limits) -> AsyncIterator[Client]:
        handler = Handler()
        server = Server(handler.answer, context=server_context(str(serving.cert), str(serving.key), str(made.ca)), limits=limits)
        port = await server.start("127.0.0.1", 0)
        context = ssl.create_default_context(cafile=str(made.ca))
        context.load_cert_chain(own.cert, own.key)
        yield Client(handler, server, port, context)
        await server.stop(grace=0.0)

    return served


@pytest.fixture(params=[8, 0], ids=["at-once", "in-tasks"])
async def client(request: pytest.FixtureRequest, serve: Serve) -> AsyncIterator[Client]:
    async with serve(Limits(at_once=request.param)) as client:
        yield client


async def test_requests_on_one_connection(client: Client) -> None:
    first = b"GET /a%20b?x=1&y=&x=%2F HTTP/1.1\r\nHost: h\r\n\r\n"
    got = await client.say(first + b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert b"GET /a%20b [('x', '1'), ('y', ''), ('x', '/')] kubernetes-admin" in got
    assert got.endswith(b"POST /p [] kubernetes-admin")


async def test_streams_are_chunked(client: Client) -> None:
    assert (await client.say(b"GET /stream" + CLOSE)).endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


@pytest.mark.parametrize("path", [b"/boom", b"/late-boom"])
async def test_a_failing_handler_is_a_500(client: Client, path: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    got = await client.say(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert got.endswith(b"\r\n\r\nInternal error occurred: see the server's log\n")
    (record,) = caplog.records
    assert (record.message, record.path) == ("request failed", path.decode())  # type: ignore[attr-defined]


async def test_an_upgrade_takes_the_connection_with_what_was_sent_behind_it(client: Client) -> None:
    got = await client.say(b"GET /take HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw")
    assert got == b"taken raw"


async def test_handlers_may_need_a_task_from_their_first_step(serve: Serve) -> None:
    async with serve(Limits(at_once=0)) as client:
        assert (await client.say(b"GET /timeout" + CLOSE)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"nonsense\r\n\r\n", 400, b"the request is not valid HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 100 + b"\r\n\r\n", 431, b"the request headers are larger than 100 bytes"),
        (b"GET /" + b"x" * 50 + b" HTTP/1.1\r\n\r\n", 414, b"the URL is longer than 50 bytes"),
        (b"POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", 413, b"Request entity too large: limit is 10"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n", 413, b"Request entity too large: limit is 10"),
    ],
)
async def test_requests_beyond_the_servers_own_limits_are_refused(serve: Serve, data: bytes, status: int, message: bytes) -> None:
    async with serve(Limits(header_bytes=100, target_bytes=50, body_bytes=10)) as client:
        got = await client.say(data)
    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n" in got
    assert got.endswith(b"\r\n\r\n" + message + b"\n")


async def test_a_pipeline_is_not_read_further_than_its_limit(client: Client) -> None:
    client.server.pool.limits = Limits(pipelined=8, at_once=client.server.pool.limits.at_once)
    reader, writer = await client.open()
    for number in range(100):
        writer.write(b"GET /wait?n=%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
        await writer.drain()
    (served,) = await eventually(lambda: [one for one in client.served if one._paused_reading])
    assert client.handler.begun == 1
    client.handler.gate.set()
    for number in range(100):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 200 OK")
        expected = f"GET /wait [('n', '{number}')] kubernetes-admin".encode()
        assert await asyncio.wait_for(reader.readexactly(len(expected)), 10) == expected
    assert not served._paused_reading
    writer.close()


async def test_slow_and_idle_clients_are_cut(serve: Serve) -> None:
    async with serve(Limits(head_seconds=5.0, idle_seconds=100.0)) as client:
        slow_reader, slow = await client.open()
        idle_reader, idle = await client.open()
        slow.write(b"GET / HT")
        await eventually(lambda: len(client.served) == 2 and any(one._begun_at for one in client.served))
        client.sweep(4.0)
        assert len(client.served) == 2
        client.sweep(6.0)
        assert (await asyncio.wait_for(slow_reader.read(), 10)).startswith(b"HTTP/1.1 408 ")
        client.sweep(101.0)
        assert await asyncio.wait_for(idle_reader.read(), 10) == b""
        slow.close()
        idle.close()


async def test_without_authorities_no_certificate_is_asked_for(tmp_path: Path) -> None:
    keys = await asyncio.to_thread(pki.ensure, tmp_path, datetime.now(UTC), names=pki.Names(host="localhost"), nodes=["n"])
    pair = keys.pair("kubelet-server")
    assert server_context(str(pair.cert), str(pair.key)).verify_mode is ssl.CERT_NONE
