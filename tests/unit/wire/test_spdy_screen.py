import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy_dictionary import SPDY_DICTIONARY
from tiphys.wire.spdy_frames import Data, Frame, FrameReader, FrameWriter, GoAway, Ping, RstStream, SynStream
from tiphys.wire.spdy_screen import SpdyScreen

HEADERS = (("streamtype", "data"), ("port", "80"))


def control(kind: int, payload: bytes) -> bytes:
    return struct.pack("!HHI", 0x8003, kind, len(payload)) + payload


def syn_with_block(block: bytes) -> bytes:
    packer = zlib.compressobj(zdict=SPDY_DICTIONARY)
    return control(1, struct.pack("!IIH", 1, 0, 0) + packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH))


def read(wire: bytes) -> list[Frame]:
    return list(FrameReader().feed(wire))


def test_streams_pass() -> None:
    writer = FrameWriter()
    wire = writer.syn_stream(1, HEADERS) + writer.data(1, b"abc") + writer.data(1, b"", fin=True) + writer.ping(1) + writer.goaway()
    screen = SpdyScreen()
    passed = b"".join(screen.feed(wire[place : place + 1]) for place in range(len(wire)))
    frames = read(passed)
    assert frames[0] == SynStream(1, HEADERS)
    assert b"".join(frame.data for frame in frames if isinstance(frame, Data)) == b"abc"
    assert frames[-3:] == [Data(1, b"", fin=True), Ping(1), GoAway(0, 0)]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(control(4, struct.pack("!I", 0xFFFFFFFF)), id="settings with a count beyond its length"),
        pytest.param(control(4, struct.pack("!III", 0, 1, 1)), id="settings with bytes left over"),
        pytest.param(struct.pack("!HHI", 0x8003, 4, 0xFFFFFF), id="control frame of 16 MiB"),
        pytest.param(syn_with_block(struct.pack("!I", 0xFFFFFFFF)), id="header block with an enormous count"),
        pytest.param(syn_with_block(struct.pack("!II", 1, 0xFFFFFFFF)), id="header name with an enormous length"),
        pytest.param(syn_with_block(struct.pack("!II", 1, 1 << 24) + bytes(1 << 24)), id="header block that grows"),
        pytest.param(FrameWriter().syn_stream(2, HEADERS), id="stream of the other side"),
        pytest.param(FrameWriter().data(1, b"a"), id="data without a stream"),
        pytest.param(FrameWriter().rst_stream(1), id="reset of no stream"),
    ],
)
def test_rejects_what_breaks_the_runtime(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        SpdyScreen().feed(wire)


def test_drops_frames_without_meaning() -> None:
    writer = FrameWriter()
    wire = writer.settings([(4, 100)]) + writer.window_update(0, 1) + control(5, b"") + control(10, b"x")
    assert SpdyScreen().feed(wire) == b""


def test_limits_open_streams() -> None:
    screen, writer = SpdyScreen(max_streams=2), FrameWriter()
    screen.feed(writer.syn_stream(1, HEADERS) + writer.syn_stream(3, HEADERS) + writer.rst_stream(1))
    screen.feed(writer.syn_stream(5, HEADERS))
    with pytest.raises(ProtocolError, match="more than 2"):
        screen.feed(writer.syn_stream(7, HEADERS))


def test_streams_that_one_side_has_ended_stay_open() -> None:
    screen, client, runtime = SpdyScreen(max_streams=2), FrameWriter(), FrameWriter()
    screen.feed(client.syn_stream(1, HEADERS, fin=True) + client.syn_stream(3, HEADERS) + client.data(3, b"a", fin=True))
    with pytest.raises(ProtocolError, match="more than 2"):
        screen.feed(client.syn_stream(5, HEADERS, fin=True))

    screen, client = SpdyScreen(max_streams=2), FrameWriter()
    screen.feed(client.syn_stream(1, HEADERS) + client.syn_stream(3, HEADERS))
    screen.answered(runtime.syn_reply(1) + runtime.syn_reply(3, fin=True) + runtime.data(1, b"b", fin=True))
    with pytest.raises(ProtocolError, match="more than 2"):
        screen.feed(client.syn_stream(5, HEADERS))


ENDS: dict[str, Callable[[FrameWriter, int], bytes]] = {
    "data": lambda runtime, stream: runtime.syn_reply(stream) + runtime.data(stream, b"b") + runtime.data(stream, b"", fin=True),
    "reply": lambda runtime, stream: runtime.syn_reply(stream, fin=True),
    "headers": lambda runtime, stream: runtime.syn_reply(stream) + runtime.more_headers(stream, (), fin=True),
    "reset": lambda runtime, stream: runtime.rst_stream(stream),
}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_streams_are_gone_when_both_sides_have_ended_them(ends: Callable[[FrameWriter, int], bytes]) -> None:
    screen, client, runtime = SpdyScreen(max_streams=1), FrameWriter(), FrameWriter()
    for stream in range(1, 100, 2):
        screen.feed(client.syn_stream(stream, HEADERS, fin=stream % 4 == 1))
        answer = ends(runtime, stream)
        for place in range(len(answer)):
            screen.answered(answer[place : place + 1])
        screen.feed(client.data(stream, b"late", fin=True))


_FRAMES = st.builds(control, st.integers(0, 12), st.binary(max_size=40))
_GOOD = FrameWriter().syn_stream(1, HEADERS)


@given(st.lists(st.one_of(st.binary(max_size=60), _FRAMES, st.builds(FrameWriter().data, st.just(1), st.binary(max_size=20))), max_size=8))
def test_only_checked_frames_pass(pieces: list[bytes]) -> None:
    screen = SpdyScreen()
    passed = screen.feed(_GOOD)
    try:
        for piece in pieces:
            passed += screen.feed(piece)
    except ProtocolError:
        pass
    assert all(isinstance(frame, SynStream | Data | RstStream | Ping | GoAway) for frame in read(passed))
