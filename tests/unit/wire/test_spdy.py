import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire import spdy
from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy_frames import FrameWriter


def both() -> tuple[spdy.SpdyConnection, spdy.SpdyConnection]:
    return spdy.SpdyConnection(client=True), spdy.SpdyConnection(client=False)


def opened() -> tuple[spdy.SpdyConnection, spdy.SpdyConnection, int]:
    client, server = both()
    stream, syn = client.open_stream([("streamType", "stdin")])
    list(server.receive(syn))
    list(client.receive(server.reply(stream)))
    return client, server, stream


def test_stream_life_with_half_close_both_ways() -> None:
    client, server = both()
    stream, syn = client.open_stream([("streamType", "stdin"), ("port", "80")])
    (event,) = server.receive(syn)
    assert isinstance(event, spdy.StreamOpened)
    assert (event.stream_id, event.header("streamType"), event.header("PORT"), event.header("no")) == (1, "stdin", "80", None)
    assert list(client.receive(server.reply(stream))) == [spdy.StreamReplied(1)]
    wire = client.data(stream, b"in") + client.end(stream)
    assert list(server.receive(wire)) == [spdy.DataReceived(1, b"in"), spdy.StreamEnded(1)]
    assert not client.is_writable(stream)
    assert server.is_writable(stream)
    assert client.data(stream, b"late") == client.end(stream) == b""
    assert list(client.receive(server.data(stream, b"out", fin=True))) == [spdy.DataReceived(1, b"out"), spdy.StreamEnded(1)]
    assert client.open_streams == server.open_streams == 0


def test_ids_are_odd_for_clients_and_even_for_servers() -> None:
    client, server = both()
    assert [client.open_stream([])[0] for _ in range(3)] == [1, 3, 5]
    assert [server.open_stream([])[0] for _ in range(3)] == [2, 4, 6]


def test_reset_ends_both_sides_and_late_data_is_dropped() -> None:
    client, server, stream = opened()
    late = client.data(stream, b"late")
    wire = server.reset(stream)
    assert list(server.receive(late)) == []
    assert list(client.receive(wire)) == [spdy.StreamReset(stream, 5)]
    assert client.data(stream, b"x") == client.reset(stream) == b""


def test_data_is_cut_into_pieces_and_fin_is_on_the_last() -> None:
    client, server, stream = opened()
    payload = bytes(range(256)) * 512
    events = list(server.receive(client.data(stream, payload, fin=True)))
    assert b"".join(event.data for event in events if isinstance(event, spdy.DataReceived)) == payload
    assert events[-1] == spdy.StreamEnded(stream)
    assert client.data(stream, b"") == b""


def test_pings_of_the_peer_are_echoed_and_own_ones_recognized() -> None:
    client, server = both()
    (reply,) = server.receive(client.ping())
    assert isinstance(reply, spdy.ReplyDue)
    assert list(client.receive(reply.data)) == [spdy.PongReceived(1)]


def test_goaway() -> None:
    client, server = both()
    assert list(client.receive(server.goaway())) == [spdy.WentAway(0)]


def test_settings_and_window_updates_mean_nothing() -> None:
    client, _ = both()
    writer = FrameWriter()
    assert list(client.receive(writer.settings([(4, 100)]) + writer.window_update(0, 5))) == []


def test_streams_are_limited() -> None:
    client, server = spdy.SpdyConnection(client=True), spdy.SpdyConnection(client=False, max_streams=2)
    syns = [client.open_stream([])[1] for _ in range(3)]
    events = list(server.receive(b"".join(syns)))
    assert [type(event) for event in events] == [spdy.StreamOpened, spdy.StreamOpened, spdy.ReplyDue]
    assert isinstance(events[2], spdy.ReplyDue)
    assert list(client.receive(events[2].data)) == [spdy.StreamReset(5, 3)]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(lambda w: w.syn_stream(2, []), id="even id from a client"),
        pytest.param(lambda w: w.syn_stream(3, []) + w.syn_stream(1, []), id="ids going back"),
        pytest.param(lambda w: w.data(1, b"x"), id="data for a stream that never was"),
        pytest.param(lambda w: w.syn_reply(1), id="reply to a stream that never was"),
        pytest.param(lambda w: w.syn_stream(1, []) + w.syn_reply(1), id="reply by the opener"),
    ],
)
def test_broken_sequences_are_refused(wire: Callable[[FrameWriter], bytes]) -> None:
    server = spdy.SpdyConnection(client=False)
    with pytest.raises(ProtocolError):
        list(server.receive(wire(FrameWriter())))


@given(st.binary(max_size=300), st.booleans())
def test_garbage_raises_only_protocol_errors(garbage: bytes, client: bool) -> None:
    connection = spdy.SpdyConnection(client=client)
    with contextlib.suppress(ProtocolError):
        list(connection.receive(garbage))


@dataclass
class Seen:
    """Actions of one side on a stream, and events that the other saw."""

    data: bytes = b""
    ended: bool = False
    reset: bool = False


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["open", "data", "end", "reset", "ping"]), st.integers(0, 5), st.binary(max_size=50)), max_size=40
)


@given(ACTIONS, st.integers(1, 64))
def test_server_sees_exactly_what_the_client_did(actions: list[tuple[str, int, bytes]], step: int) -> None:
    client, server = both()
    wire = b""
    want: dict[int, Seen] = {}
    streams: list[int] = []
    for kind, which, data in actions:
        stream = streams[which % len(streams)] if streams else None
        if kind == "open" or stream is None:
            stream, syn = client.open_stream([("streamtype", "data")])
            streams.append(stream)
            want[stream] = Seen()
            wire += syn
        elif kind == "data":
            if client.is_writable(stream):
                want[stream].data += data
            wire += client.data(stream, data)
        elif kind == "end":
            want[stream].ended |= client.is_writable(stream)
            wire += client.end(stream)
        elif kind == "reset":
            want[stream].reset = True
            wire += client.reset(stream)
        else:
            wire += client.ping()
    got: dict[int, Seen] = {}
    for start in range(0, len(wire), step):
        for event in server.receive(wire[start : start + step]):
            match event:
                case spdy.StreamOpened(stream):
                    got[stream] = Seen()
                case spdy.DataReceived(stream, data):
                    got[stream].data += data
                case spdy.StreamEnded(stream):
                    got[stream].ended = True
                case spdy.StreamReset(stream):
                    got[stream].reset = True
    assert got == want
