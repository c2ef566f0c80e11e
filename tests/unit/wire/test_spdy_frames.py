import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire import spdy_frames as f
from tiphys.wire.errors import ProtocolError

IDS = st.integers(1, 2**31 - 1)
WORDS = st.integers(0, 2**31 - 1)
HEADERS = st.dictionaries(st.sampled_from(["streamtype", "port", "requestid", "x"]), st.text("abc0123", max_size=20), max_size=4).map(
    lambda d: tuple(d.items())
)
FRAMES = st.one_of(
    st.builds(f.SynStream, IDS, HEADERS, st.booleans()),
    st.builds(f.SynReply, IDS, HEADERS, st.booleans()),
    st.builds(f.MoreHeaders, IDS, HEADERS, st.booleans()),
    st.builds(f.RstStream, IDS, WORDS),
    st.builds(f.Settings, st.lists(st.tuples(st.integers(0, 2**24 - 1), WORDS), max_size=4).map(tuple)),
    st.builds(f.Ping, WORDS),
    st.builds(f.GoAway, WORDS, WORDS),
    st.builds(f.WindowUpdate, WORDS, WORDS),
    st.builds(f.Data, IDS, st.binary(max_size=100), st.booleans()),
)


def encode(writer: f.FrameWriter, frame: f.Frame) -> bytes:
    match frame:
        case f.SynStream(stream_id, headers, fin):
            return writer.syn_stream(stream_id, headers, fin=fin)
        case f.SynReply(stream_id, headers, fin):
            return writer.syn_reply(stream_id, headers, fin=fin)
        case f.MoreHeaders(stream_id, headers, fin):
            return writer.more_headers(stream_id, headers, fin=fin)
        case f.RstStream(stream_id, status):
            return writer.rst_stream(stream_id, status)
        case f.Settings(values):
            return writer.settings(values)
        case f.Ping(ping_id):
            return writer.ping(ping_id)
        case f.GoAway(last, status):
            return writer.goaway(last, status)
        case f.WindowUpdate(stream_id, delta):
            return writer.window_update(stream_id, delta)
        case f.Data(stream_id, data, fin):
            return writer.data(stream_id, data, fin=fin)


def joined(frames: list[f.Frame]) -> list[f.Frame]:
    """With the pieces of one DATA frame put together again (pieces of an unfinished one have no fin)."""
    out: list[f.Frame] = []
    for frame in frames:
        last = out[-1] if out else None
        if isinstance(frame, f.Data) and isinstance(last, f.Data) and last.stream_id == frame.stream_id and not last.fin:
            out[-1] = f.Data(frame.stream_id, last.data + frame.data, frame.fin)
        else:
            out.append(frame)
    return out


@given(st.lists(FRAMES, max_size=10), st.integers(1, 40))
def test_round_trip_in_any_slicing(frames: list[f.Frame], step: int) -> None:
    writer, reader = f.FrameWriter(), f.FrameReader()
    wire = b"".join(encode(writer, frame) for frame in frames)
    got = [frame for start in range(0, len(wire), step) for frame in reader.feed(wire[start : start + step])]
    assert joined(got) == joined(frames)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_garbage_raises_only_protocol_errors(garbage: bytes, step: int) -> None:
    reader = f.FrameReader()
    try:
        for start in range(0, len(garbage), step):
            list(reader.feed(garbage[start : start + step]))
    except ProtocolError:
        pass


@given(st.sampled_from([1, 2, 3, 4, 6, 7, 8, 9]), st.integers(0, 255), st.binary(max_size=60))
def test_garbage_inside_known_frames_raises_only_protocol_errors(kind: int, flags: int, payload: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        list(f.FrameReader().feed(struct.pack("!HHI", 0x8003, kind, flags << 24 | len(payload)) + payload))


@given(FRAMES.filter(lambda frame: not isinstance(frame, f.Data)), st.data())
def test_truncated_control_frames_wait_or_fail(frame: f.Frame, data: st.DataObject) -> None:
    wire = encode(f.FrameWriter(), frame)
    cut = data.draw(st.integers(0, len(wire) - 1))
    assert list(f.FrameReader().feed(wire[:cut])) == []


def test_big_data_frame_is_passed_on_without_collecting_it() -> None:
    reader = f.FrameReader()
    assert list(reader.feed(struct.pack("!II", 5, 1 << 24 | 0xFFFFFF))) == []
    left = 0xFFFFFF
    while left:
        piece = b"z" * min(left, 1 << 20)
        left -= len(piece)
        assert list(reader.feed(piece)) == [f.Data(5, piece, left == 0)]
        assert len(reader._buffer) == 0


def test_big_control_frame_is_refused_before_it_arrives() -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        list(f.FrameReader().feed(struct.pack("!HHI", 0x8003, f.SETTINGS, f.MAX_CONTROL_FRAME + 1)))


def test_other_versions_are_refused_and_unknown_types_skipped() -> None:
    with pytest.raises(ProtocolError, match="version 2"):
        list(f.FrameReader().feed(struct.pack("!HHI", 0x8002, f.PING, 4)))
    unknown = struct.pack("!HHI", 0x8003, 4711, 3) + b"abc"
    assert list(f.FrameReader().feed(unknown * 5000 + f.FrameWriter().ping(1))) == [f.Ping(1)]


def test_empty_data_frame_with_fin_is_a_frame() -> None:
    assert list(f.FrameReader().feed(f.FrameWriter().data(3, b"", fin=True))) == [f.Data(3, b"", True)]


def test_layout_matches_the_specification() -> None:
    assert f.FrameWriter().ping(7) == bytes.fromhex("80030006 00000004 00000007")
    assert f.FrameWriter().data(1, b"hi", fin=True) == bytes.fromhex("00000001 01000002") + b"hi"
    assert f.FrameWriter().rst_stream(3) == bytes.fromhex("80030003 00000008 00000003 00000005")
    assert f.FrameWriter().goaway(9) == bytes.fromhex("80030007 00000008 00000009 00000000")
