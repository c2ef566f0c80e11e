"""The small HTTPS server under clean and dirty requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiphys.daemon import pki
from tiphys.node.serve.http_server import HttpServer, server_context
from tiphys.wire.http import Request, Response


async def answer(request: Request) -> Response:
    if request.path == "/stream":

        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            yield b""
            yield b"two"

        return Response(stream=chunks())
    if request.path == "/boom":
        raise RuntimeError("boom")
    if request.path == "/take":

        async def take(connection: object) -> None:
            data = await connection.read()  # type: ignore[attr-defined]
            await connection.write(b"taken " + data)  # type: ignore[attr-defined]
            connection.close()  # type: ignore[attr-defined]

        return Response(upgrade=take)
    return Response(body=f"{request.method} {request.path} {list(request.query)} {request.peer.common_name}".encode())


class Client:
    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.port, self.context = port, context

    async def say(self, data: bytes) -> bytes:
        """Everything the server sends until it closes (or is silent after a whole answer)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        writer.write(data)
        got = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return got


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    made = await asyncio.to_thread(pki.ensure, tmp_path, datetime.now(UTC), names=pki.Names(host="localhost"), nodes=["n"])
    serving, own = made.pair("kubelet-server"), made.pair("admin")
    server = HttpServer(answer, server_context(str(serving.cert), str(serving.key), str(made.ca)))
    await server.start("127.0.0.1", 0)
    context = ssl.create_default_context(cafile=str(made.ca))
    context.load_cert_chain(own.cert, own.key)
    yield Client(server.port, context)
    await server.close()


async def test_requests_on_one_connection(client: Client) -> None:
    first = b"GET /a%20b?x=1&y=&x=%2F HTTP/1.1\r\nHost: h\r\n\r\n"
    got = await client.say(first + b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert b"GET /a b [('x', '1'), ('y', ''), ('x', '/')] kubernetes-admin" in got
    assert got.endswith(b"POST /p [] kubernetes-admin")


async def test_streams_are_chunked(client: Client) -> None:
    got = await client.say(b"GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert got.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_a_failing_handler_is_a_500(client: Client) -> None:
    assert b"500 Internal Server Error" in await client.say(b"GET /boom HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")


async def test_an_upgrade_takes_the_connection_with_what_was_sent_behind_it(client: Client) -> None:
    got = await client.say(b"GET /take HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw")
    assert got == b"taken raw"


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n"])
async def test_malformed_requests_are_refused(client: Client, data: bytes) -> None:
    assert (await client.say(data)).startswith(b"HTTP/1.1 400")
