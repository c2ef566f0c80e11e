import asyncio

from tests.integration.node.serve.streaming.neighbors import Connect, FakeRuntime, Front, Session
from tiphys.aio.duplex import StreamDuplex
from tiphys.testing.eventually import eventually
from tiphys.wire import spdy

ALL = "/exec?stdin=1&stdout=1&stderr=1"


async def cat(session: Session) -> None:
    await session.streams(3)
    while (data := await session.read("stdin")) is not None:
        await session.write("stdout", data)
    await session.exit()


async def collect(duplex: StreamDuplex, connection: spdy.SpdyConnection) -> dict[int, bytes]:
    out: dict[int, bytes] = {}
    while data := await duplex.read():
        for event in connection.receive(data):
            if isinstance(event, spdy.DataReceived):
                out[event.stream_id] = out.get(event.stream_id, b"") + event.data
    return out


async def open_streams(duplex: StreamDuplex, connection: spdy.SpdyConnection, *kinds: str) -> list[int]:
    streams = []
    for kind in kinds:
        stream, wire = connection.open_stream([("streamType", kind)])
        streams.append(stream)
        await duplex.write(wire)
    replied = 0
    while replied < len(kinds):
        replied += sum(isinstance(event, spdy.StreamReplied) for event in connection.receive(await duplex.read()))
    return streams


async def test_bytes_pass_and_the_version_is_the_runtimes(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = cat
    duplex, connection = await connect.spdy(ALL, "v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io")
    assert runtime.protocols == ["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io"]
    error, stdin, stdout = await open_streams(duplex, connection, "error", "stdin", "stdout")
    payload = b"0123456789" * 50_000
    sender = asyncio.ensure_future(duplex.write(connection.data(stdin, payload, fin=True)))
    out = await collect(duplex, connection)
    await sender
    assert out == {stdout: payload, error: b'{"metadata":{},"status":"Success"}'}
    duplex.close()
    await eventually(lambda: front.finished == 1)


async def test_client_that_leaves_ends_the_session(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = cat
    duplex, connection = await connect.spdy(ALL, "v4.channel.k8s.io")
    await open_streams(duplex, connection, "error", "stdin", "stdout")
    duplex.close()
    await eventually(lambda: front.finished == 1)


async def test_idle_sessions_end(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    front.idle_timeout = 0.05
    runtime.programs["main"] = cat
    duplex, _ = await connect.spdy(ALL, "v4.channel.k8s.io")
    assert await duplex.read() == b""
    await eventually(lambda: front.finished == 1)


async def test_frame_that_the_runtime_cannot_take_ends_the_session(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = cat
    duplex, _ = await connect.spdy(ALL, "v4.channel.k8s.io")
    # SETTINGS that announces 2^32 - 1 entries and has none.
    await duplex.write(bytes.fromhex("80030004 00000004 ffffffff"))
    assert await duplex.read() == b""
    await eventually(lambda: front.finished == 1)
