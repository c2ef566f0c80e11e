"""Requests that the server passes on to kubelets, pods and Services: whole answers, streams, tunnels and upstreams that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.integration.apiserver.api import PODS, Api, pod
from tiphys.aio.duplex import StreamDuplex, open_duplex
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.apiserver.kubelet import MAX_HEAD, forward
from tiphys.node.settings import default_address
from tiphys.wire.http import Response

Upstream = Callable[..., Awaitable[Response]]


@pytest.fixture
async def ask() -> AsyncIterator[Upstream]:
    """Asks an upstream that sends `answer` once it has the request's head, and then echoes; `said` gets the request."""
    said: list[bytes] = []
    servers: list[asyncio.Server] = []

    async def asking(answer: bytes, *, upgrade: bool = False, body: bytes = b"") -> Response:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            said.append(await reader.readuntil(b"\r\n\r\n"))
            if body:
                said.append(await reader.readexactly(len(body)))
            writer.write(answer)
            if upgrade:
                while data := await reader.read(1000):
                    writer.write(data.upper())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        headers = [("X-Who", "me"), *([("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")] if upgrade else [])]
        response = await forward(
            "127.0.0.1", port, "POST", "/logs?a=b", context=None, headers=headers, body=body, upgrade=upgrade, who="the upstream"
        )
        assert said[0].startswith(b"POST /logs?a=b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Who: me\r\n" % port)
        return response

    yield asking
    for server in servers:
        server.close()


async def everything(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([part async for part in response.stream])


async def test_an_answer_comes_with_its_headers_but_not_those_of_the_connection(ask: Upstream) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n6\r\n found\r\n0\r\n\r\n"
    response = await ask(answer, body=b"why")
    assert (response.status, dict(response.headers)) == (404, {"Content-Type": "text/plain"})
    assert await everything(response) == b"not found"


async def test_an_answer_without_length_ends_with_the_connection(ask: Upstream) -> None:
    assert await everything(await ask(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000)) == b"x" * 500_000


async def test_an_upgrade_becomes_a_tunnel(ask: Upstream) -> None:
    response = await ask(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nfirst ", upgrade=True)
    accepted: asyncio.Queue[StreamDuplex] = asyncio.Queue()

    class Accepted(StreamDuplex):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            accepted.put_nowait(self)

    server = await asyncio.get_running_loop().create_server(Accepted, "127.0.0.1", 0)
    client = await open_duplex(*server.sockets[0].getsockname())
    assert response.upgrade is not None
    tunnel = asyncio.ensure_future(response.upgrade(await accepted.get()))
    await client.write(b"second")
    client.write_eof()
    got = b""
    while data := await client.read():
        got += data
    head, _, rest = got.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1"
    assert rest == b"first SECOND"
    client.close()
    await tunnel
    server.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * (MAX_HEAD + 1)])
async def test_an_upstream_that_does_not_speak_http_is_unavailable(ask: Upstream, answer: bytes) -> None:
    with pytest.raises(ServiceUnavailable, match="the upstream at"):
        await ask(answer)


@pytest.mark.parametrize("rest", [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])
async def test_an_answer_that_breaks_off_is_no_whole_answer(ask: Upstream, rest: bytes) -> None:
    response = await ask(b"HTTP/1.1 200 OK\r\n" + rest)
    with pytest.raises(ConnectionError):
        await everything(response)


async def test_a_proxied_page_without_a_path_is_found_behind_a_slash(api: Api) -> None:
    await api.post(PODS, pod("web", node="one"))
    await api.patch(f"{PODS}/web/status", {"status": {"podIP": default_address()}})
    for method in ("GET", "HEAD"):
        moved = await api.send(method, f"{PODS}/web:9/proxy?a=b%26c")
        assert (moved.status, moved.headers["Location"]) == (301, f"{PODS}/web:9/proxy/?a=b%26c")
    # Nobody listens there, which shows that other requests go on.
    assert (await api.get(f"{PODS}/web:9/proxy/")).reason == "ServiceUnavailable"
    assert (await api.post(f"{PODS}/web:9/proxy", {})).reason == "ServiceUnavailable"
