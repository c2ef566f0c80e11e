"""The same on the event loop the servers run on, with TLS toward the client as in a cluster."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
import uvloop

from tests.integration.aio.test_duplex import certificate
from tests.integration.node.serve.streaming.neighbors import FakeRuntime, Front, Session, WebSocketClient, listen, stop, upgrade_headers
from tiphys.aio.duplex import StreamDuplex, open_duplex, splice, take_over
from tiphys.testing.eventually import eventually
from tiphys.wire.channels import STDIN, STDOUT
from tiphys.wire.http_upgrade import AnswerReader, request_head

PAYLOAD = os.urandom(3 << 20)


async def cat(session: Session) -> None:
    await session.streams(4)
    while (data := await session.read("stdin")) is not None:
        await session.write("stdout", data)
    await session.exit()


class Tls(asyncio.Protocol):
    """An HTTP server's connection that hands itself over after the first packet, as ours do."""

    def __init__(self, serve: Callable[[StreamDuplex], Awaitable[None]]) -> None:
        self.serve = serve

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.pause_reading()
        self.task = asyncio.ensure_future(self.serve(take_over(self.transport, unread=data)))


async def exec_through_a_tunnel(pem: Path) -> dict[int, bytearray]:
    """client == TLS ==> tunnel (like the API server) ---> front (the kubelet) ---> runtime."""
    runtime = FakeRuntime()
    runtime.programs["main"] = cat
    runtime_server, runtime.port, runtime_tasks = await listen(runtime.handle)
    front = Front(runtime.url_of_main)
    front_server, front.port, front_tasks = await listen(front.handle)

    async def tunnel(duplex: StreamDuplex) -> None:
        await splice(duplex, await open_duplex("127.0.0.1", front.port))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.get_running_loop().create_server(lambda: Tls(tunnel), "localhost", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    duplex = await open_duplex("localhost", port, ssl=ssl.create_default_context(cafile=str(pem)))
    await duplex.write(request_head("GET", "/exec?stdin=1&stdout=1&stderr=1", [("Host", "x"), *upgrade_headers("v5.channel.k8s.io")]))
    answer, reader = None, AnswerReader()
    while answer is None:
        answer = reader.feed(await duplex.read())
    duplex.push_back(answer.rest)
    client = WebSocketClient(duplex, "v5.channel.k8s.io")

    async def send() -> None:
        for start in range(0, len(PAYLOAD), 50_000):
            await client.send(STDIN, PAYLOAD[start : start + 50_000])
        await client.half_close(STDIN)

    sender = asyncio.ensure_future(send())
    received = await client.until_end()
    await sender
    await eventually(lambda: front.finished == 1)
    server.close()
    await stop(front_server, front_tasks)
    await stop(runtime_server, runtime_tasks)
    return received


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_exec_through_tls_and_a_tunnel(tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    pem = certificate(tmp_path / "both.pem")
    with asyncio.Runner(loop_factory=factory) as runner:
        received = runner.run(asyncio.wait_for(exec_through_a_tunnel(pem), 60))
    assert received[STDOUT] == PAYLOAD
