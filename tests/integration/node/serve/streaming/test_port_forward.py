import struct

from tests.integration.node.serve.streaming.neighbors import Connect, FakeRuntime, Front, Session
from tiphys.testing.eventually import eventually
from tiphys.wire import spdy
from tiphys.wire.websocket import Closed, MessagePiece, WebSocket

PATH = "/portforward"


async def shout(session: Session) -> None:
    """Forwards to a service that answers in capitals, for every request; ends with the connection."""
    await session.streams(2)
    request = next(request for _, request in session.ids)
    while (data := await session.read("data", request)) is not None:
        await session.write("data", data.upper(), request)
    await session.end("data", request)
    await session.end("error", request)
    await session.duplex.read()


async def test_spdy_in_websocket_messages(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = shout
    client = await connect.websocket(PATH, "SPDY/3.1+portforward.k8s.io")
    assert runtime.protocols == ["portforward.k8s.io"]
    duplex, websocket, connection = client.duplex, WebSocket(client=True), spdy.SpdyConnection(client=True)
    common = [("port", "80"), ("requestID", "0")]
    error, syn_error = connection.open_stream([("streamType", "error"), *common])
    data, syn_data = connection.open_stream([("streamType", "data"), *common])
    wire = syn_error + connection.end(error) + syn_data
    await duplex.write(websocket.message(wire[:7]) + websocket.message(wire[7:]))
    events: list[spdy.Event] = []

    async def until(event: spdy.Event) -> None:
        while event not in events:
            received = await duplex.read()
            assert received
            for message in websocket.receive(received):
                assert isinstance(message, MessagePiece)
                events.extend(connection.receive(message.data))

    await until(spdy.StreamReplied(data))
    await duplex.write(websocket.message(connection.data(data, b"hello", fin=True)))
    await until(spdy.StreamEnded(data))
    assert spdy.DataReceived(data, b"HELLO") in events
    await duplex.write(websocket.close())
    closed = [event for event in websocket.receive(await duplex.read()) if isinstance(event, Closed)]
    assert [event.code for event in closed] == [1000]
    await eventually(lambda: front.finished == 1)


async def test_text_in_the_tunnel_is_refused(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = shout
    client = await connect.websocket(PATH, "SPDY/3.1+portforward.k8s.io")
    await client.duplex.write(client.websocket.text_message("hi"))
    await client.until_end()
    assert client.closed == 1002


async def test_two_channels_per_port(runtime: FakeRuntime, connect: Connect, front: Front) -> None:
    runtime.programs["main"] = shout
    client = await connect.websocket(PATH + "?ports=8080", "v4.channel.k8s.io")
    port = struct.pack("<H", 8080)
    await client.until(1, port)
    await client.send(0, b"hello")
    await client.until(0, port + b"HELLO")
    client.duplex.close()
    await eventually(lambda: front.finished == 1)


async def test_error_channel_says_why(runtime: FakeRuntime, connect: Connect) -> None:
    async def program(session: Session) -> None:
        await session.streams(2)
        await session.write("error", b"connection refused", "0")
        await session.end("error", "0")
        await session.end("data", "0")

    runtime.programs["main"] = program
    client = await connect.websocket(PATH + "?ports=8080", "v4.channel.k8s.io")
    received = await client.until_end()
    assert received == {0: struct.pack("<H", 8080), 1: struct.pack("<H", 8080) + b"connection refused"}
    assert client.closed == 1000


async def test_ports_are_required_without_a_tunnel(connect: Connect) -> None:
    headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    headers += [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "v4.channel.k8s.io")]
    _, answer = await connect.raw(PATH, headers)
    assert answer.status == 400
