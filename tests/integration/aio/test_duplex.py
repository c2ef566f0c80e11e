import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.node.serve.streaming.neighbors import listen, stop
from tiphys.aio.duplex import Activity, StreamDuplex, open_duplex, race, splice, take_over
from tiphys.testing.eventually import eventually

Pair = tuple[StreamDuplex, StreamDuplex]
Pairs = Callable[[], Awaitable[Pair]]


@pytest.fixture
async def pairs() -> AsyncIterator[Pairs]:
    """Makes connected pairs; closes all of them."""
    made: list[StreamDuplex] = []
    servers: list[tuple[asyncio.Server, set[asyncio.Task[None]]]] = []

    async def pair() -> Pair:
        accepted: asyncio.Queue[StreamDuplex] = asyncio.Queue()
        server, port, tasks = await listen(accepted.put)
        servers.append((server, tasks))
        near = await open_duplex("127.0.0.1", port)
        far = await accepted.get()
        made.extend((near, far))
        return near, far

    yield pair
    for duplex in made:
        duplex.close()
    for server, tasks in servers:
        await stop(server, tasks)


def abort(duplex: StreamDuplex) -> None:
    """Lose the connection without a word."""
    assert duplex._transport is not None
    duplex._transport.abort()


async def read_all(duplex: StreamDuplex) -> bytes:
    out = bytearray()
    while data := await duplex.read():
        out += data
    return bytes(out)


async def test_half_close_leaves_the_other_direction_open(pairs: Pairs) -> None:
    a, b = await pairs()
    await a.write(b"question")
    a.write_eof()
    a.write_eof()
    assert await read_all(b) == b"question"
    await b.write(b"answer")
    b.close()
    assert await read_all(a) == b"answer"


async def test_reader_that_does_not_read_stops_the_writer(pairs: Pairs) -> None:
    a, b = await pairs()
    sent = 0

    async def send() -> None:
        nonlocal sent
        for _ in range(1000):
            await a.write(b"x" * 65536)
            sent += 1

    sender = asyncio.ensure_future(send())
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.1)
    assert sent < 1000
    assert len(b._received) < 1 << 20
    got = 0
    while got < 1000 * 65536:
        got += len(await b.read())
    await sender


async def test_writing_to_a_closed_connection_is_an_error(pairs: Pairs) -> None:
    a, b = await pairs()
    a.close()
    with pytest.raises(ConnectionResetError):
        await a.write(b"x")
    assert await read_all(b) == b""


async def test_received_data_outlives_a_lost_connection(pairs: Pairs) -> None:
    a, b = await pairs()
    await b.write(b"last words")
    await asyncio.sleep(0.05)
    a.connection_lost(OSError("gone"))
    assert await a.read() == b"last words"
    with pytest.raises(OSError, match="gone"):
        await a.read()


async def test_splice_passes_both_ways_and_half_closes(pairs: Pairs) -> None:
    (client, left), (right, server) = await pairs(), await pairs()
    splicing = asyncio.ensure_future(splice(left, right))
    await client.write(b"q" * 500_000)
    client.write_eof()
    assert await read_all(server) == b"q" * 500_000
    await server.write(b"a" * 500_000)
    server.close()
    assert await read_all(client) == b"a" * 500_000
    await splicing


async def test_splice_ends_when_a_side_vanishes(pairs: Pairs) -> None:
    (client, left), (right, server) = await pairs(), await pairs()
    splicing = asyncio.ensure_future(splice(left, right, linger=0.05))
    abort(client)
    assert await read_all(server) == b""
    await splicing  # although the server has not closed


async def test_splice_delivers_what_a_broken_server_said_before(pairs: Pairs) -> None:
    """And takes what the client still sends meanwhile, so that closing does not reset the client's connection."""
    (client, left), (right, server) = await pairs(), await pairs()
    splicing = asyncio.ensure_future(splice(left, right))
    await server.write(b"exit code 3")
    await eventually(lambda: client._received)
    abort(server)
    await client.write(b"stdin" * 1_000_000)
    client.close()
    assert await read_all(client) == b"exit code 3"
    await splicing


async def test_splice_ends_idle_connections(pairs: Pairs) -> None:
    (client, left), (right, server) = await pairs(), await pairs()
    splicing = asyncio.ensure_future(splice(left, right, idle_timeout=0.05))
    assert await read_all(client) == await read_all(server) == b""
    await splicing


async def test_cancelled_splice_closes_both_sides(pairs: Pairs) -> None:
    (client, left), (right, server) = await pairs(), await pairs()
    splicing = asyncio.ensure_future(splice(left, right))
    await asyncio.sleep(0)
    splicing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await splicing
    assert await read_all(client) == await read_all(server) == b""


async def test_take_over_keeps_what_was_received(pairs: Pairs) -> None:
    class Http(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)

        def data_received(self, data: bytes) -> None:
            self.transport.pause_reading()
            upgraded.set_result(take_over(self.transport, unread=data.partition(b"\r\n\r\n")[2]))

    loop = asyncio.get_running_loop()
    upgraded = loop.create_future()
    server = await loop.create_server(Http, "127.0.0.1", 0)
    client = await open_duplex(*server.sockets[0].getsockname())
    await client.write(b"GET / HTTP/1.1\r\n\r\nfirst")
    duplex = await upgraded
    assert await duplex.read() == b"first"
    await client.write(b"second")
    assert await duplex.read() == b"second"
    await duplex.write(b"third")
    assert await client.read() == b"third"
    duplex.close()
    client.close()
    server.close()


async def test_take_over_of_a_connection_that_is_gone_is_at_its_end() -> None:
    """A reader must not wait for an end that was told to the protocol before."""

    class Http(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            gone.set_result(self.transport)

    loop = asyncio.get_running_loop()
    gone = loop.create_future()
    server = await loop.create_server(Http, "127.0.0.1", 0)
    client = await open_duplex(*server.sockets[0].getsockname())
    client.close()
    duplex = take_over(await gone)
    assert await asyncio.wait_for(duplex.read(), 10) == b""
    with pytest.raises(ConnectionResetError):
        await duplex.write(b"late")
    duplex.close()
    server.close()


def certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start.replace(year=2090))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + pem)
    return path


@pytest.fixture
async def tls_pair(tmp_path: Path) -> AsyncIterator[Pair]:
    pem = certificate(tmp_path / "both.pem")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pem)
    accepted: asyncio.Queue[StreamDuplex] = asyncio.Queue()

    class Accepted(StreamDuplex):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            accepted.put_nowait(self)

    server = await asyncio.get_running_loop().create_server(Accepted, "localhost", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    near = await open_duplex("localhost", port, ssl=ssl.create_default_context(cafile=str(pem)))
    far = await accepted.get()
    yield near, far
    near.close()
    far.close()
    server.close()


async def test_tls_has_no_half_close(tls_pair: Pair) -> None:
    near, far = tls_pair
    near.write_eof()
    await near.write(b"bye")
    near.close()
    assert await read_all(far) == b"bye"
    assert not far.can_half_close


async def test_splice_ends_when_a_tls_client_leaves(tls_pair: Pair, pairs: Pairs) -> None:
    client, left = tls_pair
    right, server = await pairs()
    splicing = asyncio.ensure_future(splice(left, right))
    await client.write(b"last")
    client.close()
    assert await read_all(server) == b"last"
    await splicing


async def test_splice_waits_for_a_tls_client_to_close_after_the_servers_end(tls_pair: Pair, pairs: Pairs) -> None:
    client, left = tls_pair
    right, server = await pairs()
    splicing = asyncio.ensure_future(splice(left, right))
    await server.write(b"z" * 3_000_000)
    server.close()
    got = 0
    while got < 3_000_000:
        got += len(await client.read())
    assert not splicing.done()
    client.close()
    await splicing


@pytest.mark.looptime
async def test_activity_counts_from_the_last_touch(looptime: Any) -> None:
    activity = Activity(100)
    waiting = asyncio.ensure_future(activity.wait_idle())
    await asyncio.sleep(60)
    activity.touch()
    await waiting
    assert looptime == 160


@pytest.mark.looptime
async def test_activity_without_a_limit_waits_until_there_is_one(looptime: Any) -> None:
    activity = Activity(None)
    waiting = asyncio.ensure_future(activity.wait_idle())
    await asyncio.sleep(1000)
    activity.touch()
    activity.tighten(5)
    await waiting
    assert looptime == 1005


async def test_race_awaits_the_losers_and_raises_the_winners_error() -> None:
    ended = []

    async def loser() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def winner() -> None:
        await asyncio.sleep(0)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        await race(loser(), winner())
    assert ended == [True]
