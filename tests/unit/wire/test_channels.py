import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire import channels
from tiphys.wire.channels import ChannelClosed, ChannelData, ChannelReader, ChannelWriter
from tiphys.wire.errors import ProtocolError
from tiphys.wire.websocket import MessagePiece, WebSocket

PROTOCOLS = [channels.V5, channels.V4, channels.V3, channels.V1, channels.BASE64_V1, channels.BASE64_V4, ""]


def read(protocol: str, wire: bytes, step: int = 1 << 20) -> list[channels.ChannelEvent]:
    websocket, reader = WebSocket(), ChannelReader(protocol)
    out: list[channels.ChannelEvent] = []
    for start in range(0, len(wire), step):
        for piece in websocket.receive(wire[start : start + step]):
            assert isinstance(piece, MessagePiece)
            out += reader.feed(piece)
    return out


@given(
    st.sampled_from(PROTOCOLS), st.lists(st.tuples(st.integers(0, 4), st.binary(min_size=1, max_size=100)), max_size=6), st.integers(1, 60)
)
def test_round_trip_in_any_slicing(protocol: str, messages: list[tuple[int, bytes]], step: int) -> None:
    writer = ChannelWriter(protocol, WebSocket(client=True))
    got: dict[int, bytes] = {}
    for event in read(protocol, b"".join(writer.data(channel, data) for channel, data in messages), step):
        assert isinstance(event, ChannelData)
        got[event.channel] = got.get(event.channel, b"") + event.data
    want: dict[int, bytes] = {}
    for channel, data in messages:
        want[channel] = want.get(channel, b"") + data
    assert got == want


@pytest.mark.parametrize("step", [1, 100])
def test_half_close_exists_in_version_five_only(step: int) -> None:
    writer = ChannelWriter(channels.V5, WebSocket(client=True))
    assert read(channels.V5, writer.close(channels.STDIN), step) == [ChannelClosed(0)]
    assert ChannelWriter(channels.V4, WebSocket(client=True)).close(0) == b""
    assert read(channels.V4, WebSocket(client=True).message(b"\xff\x00")) == [ChannelData(255, b"\x00")]


@pytest.mark.parametrize("message", [b"\xff", b"\xff\x00\x01"])
def test_broken_half_close_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(channels.V5, WebSocket(client=True).message(message))


@pytest.mark.parametrize("message", ["xZm9v", "0Zm9", "0Z$9v"])
def test_broken_base64_is_refused(message: str) -> None:
    with pytest.raises(ProtocolError):
        read(channels.BASE64_V4, WebSocket(client=True).text_message(message))


def test_wire_form() -> None:
    assert WebSocket(client=False).message(b"\x01hi") == ChannelWriter(channels.V5, WebSocket()).data(1, b"hi")
    assert WebSocket(client=False).text_message("1aGk=") == ChannelWriter(channels.BASE64_V4, WebSocket()).data(1, b"hi")


def test_empty_messages_mean_nothing() -> None:
    assert read(channels.V5, WebSocket(client=True).message(b"") + WebSocket(client=True).message(b"\x00")) == []


@given(st.sampled_from(PROTOCOLS), st.lists(st.builds(MessagePiece, st.binary(max_size=20), st.booleans(), st.booleans()), max_size=8))
def test_odd_pieces_raise_only_protocol_errors(protocol: str, pieces: list[MessagePiece]) -> None:
    reader = ChannelReader(protocol)
    try:
        for piece in pieces:
            list(reader.feed(piece))
    except ProtocolError:
        pass
