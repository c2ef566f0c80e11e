from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire.errors import ProtocolError
from tiphys.wire.websocket import Closed, MessagePiece, PingReceived, PongReceived, WebSocket


def messages(events: Iterable[object]) -> list[bytes]:
    out, current = [], b""
    for event in events:
        if isinstance(event, MessagePiece):
            current = event.data if event.starts else current + event.data
            if event.ends:
                out.append(current)
    return out


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 50), st.booleans())
def test_round_trip_in_any_slicing(payloads: list[bytes], step: int, from_client: bool) -> None:
    sender, receiver = WebSocket(client=from_client), WebSocket(client=not from_client)
    wire = b"".join(sender.message(payload) for payload in payloads)
    events = [event for start in range(0, len(wire), step) for event in receiver.receive(wire[start : start + step])]
    assert messages(events) == payloads


@given(st.text(max_size=200), st.integers(1, 7))
def test_text_arrives_as_utf8(text: str, step: int) -> None:
    wire, receiver = WebSocket(client=True).text_message(text), WebSocket()
    events = [event for start in range(0, len(wire), step) for event in receiver.receive(wire[start : start + step])]
    assert messages(events) == [text.encode()]
    assert all(isinstance(event, MessagePiece) and event.is_text for event in events)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_raises_only_protocol_errors(garbage: bytes, client: bool) -> None:
    websocket = WebSocket(client=client)
    try:
        list(websocket.receive(garbage))
        list(websocket.receive(garbage))
    except ProtocolError:
        pass


def test_unmasked_frames_of_a_client_are_refused() -> None:
    with pytest.raises(ProtocolError, match="unmasked"):
        list(WebSocket().receive(WebSocket().message(b"x")))


def test_ping_has_its_pong() -> None:
    client, server = WebSocket(client=True), WebSocket()
    (event,) = server.receive(client.ping(b"42"))
    assert isinstance(event, PingReceived)
    assert list(client.receive(event.reply)) == [PongReceived(b"42")]
    assert list(client.receive(server.pong())) == [PongReceived(b"")]


def test_closing_handshake_and_silence_after_it() -> None:
    client, server = WebSocket(client=True), WebSocket()
    (event,) = server.receive(client.close(1000, "done"))
    assert isinstance(event, Closed)
    assert (event.code, event.reason) == (1000, "done")
    assert list(client.receive(event.reply)) == [Closed(1000, "done", b"")]
    assert not server.is_open
    assert server.message(b"late") == server.close() == b""
    assert list(server.receive(b"whatever")) == []


def test_messages_still_arrive_after_the_own_close() -> None:
    client, server = WebSocket(client=True), WebSocket()
    in_flight = client.message(b"late")
    server.close()
    assert messages(server.receive(in_flight)) == [b"late"]


def test_big_message_is_not_collected() -> None:
    client, server = WebSocket(client=True), WebSocket()
    wire = client.message(b"q" * (4 << 20))
    largest = 0
    for start in range(0, len(wire), 65536):
        for event in server.receive(wire[start : start + 65536]):
            assert isinstance(event, MessagePiece)
            largest = max(largest, len(event.data))
    assert 0 < largest <= 65536
