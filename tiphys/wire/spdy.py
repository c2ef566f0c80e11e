"""A SPDY/3.1 connection without sockets: the streams of one connection, client or server, bytes in and events out.

What Kubernetes means by SPDY/3.1 is what its streaming servers do: streams are opened by the client, half-closed with FIN, aborted with
RST_STREAM; PING is echoed; GOAWAY ends the connection; SETTINGS and WINDOW_UPDATE are accepted and mean nothing. Nobody there sends
WINDOW_UPDATE, so windows must not be enforced: back-pressure is TCP's, by not reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy_frames import (
    RST_CANCEL,
    RST_REFUSED_STREAM,
    Data,
    Frame,
    FrameReader,
    FrameWriter,
    GoAway,
    MoreHeaders,
    Ping,
    RstStream,
    SynReply,
    SynStream,
)
from tiphys.wire.spdy_headers import Headers

MAX_STREAMS = 1000
"""Streams a peer may have open at once; more are refused."""

DATA_PIECE = 32 * 1024
"""Bytes per DATA frame that `data` makes: small enough that other streams get a turn."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened a stream; answer with `reply` before it may send data."""

    stream_id: int
    headers: Headers

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case."""
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass(frozen=True, slots=True)
class StreamReplied:
    """The peer accepted a stream opened here."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class DataReceived:
    stream_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer will send nothing more on this stream (FIN); this side still may."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The peer gave up the stream in both directions."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class ReplyDue:
    """Bytes the protocol wants sent back (a ping's echo, a refusal)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PongReceived:
    ping_id: int


@dataclass(frozen=True, slots=True)
class WentAway:
    """The peer is closing the connection and accepts no new streams."""

    status: int


Event = StreamOpened | StreamReplied | DataReceived | StreamEnded | StreamReset | ReplyDue | PongReceived | WentAway


@dataclass(slots=True)
class _Stream:
    local_open: bool = True
    remote_open: bool = True
    replied: bool = False


class SpdyConnection:
    """State of one connection. Methods that return bytes want them written in the order of the calls.

    Raises ProtocolError (from `receive`) when the peer breaks the protocol, KeyError when a method names a stream that is not open.
    """

    def __init__(self, *, client: bool, max_streams: int = MAX_STREAMS) -> None:
        self._writer = FrameWriter()
        self._reader = FrameReader()
        self._streams: dict[int, _Stream] = {}
        self._next_id = 1 if client else 2
        self._next_ping = 1 if client else 2
        self._last_peer_id = 0
        self._max_streams = max_streams

    @property
    def open_streams(self) -> int:
        """Streams that are not closed in both directions."""
        return len(self._streams)

    def is_writable(self, stream_id: int) -> bool:
        """Return whether data may still be sent on the stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.local_open

    # Sending.

    def open_stream(self, headers: Iterable[tuple[str, str]]) -> tuple[int, bytes]:
        """A new stream's id and its SYN_STREAM. Wait for StreamReplied before sending data: peers drop earlier data."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        self._streams[stream_id] = _Stream()
        return stream_id, self._writer.syn_stream(stream_id, headers)

    def reply(self, stream_id: int, headers: Iterable[tuple[str, str]] = ()) -> bytes:
        """Accept a stream of the peer."""
        self._streams[stream_id].replied = True
        return self._writer.syn_reply(stream_id, headers)

    def data(self, stream_id: int, data: bytes, *, fin: bool = False) -> bytes:
        """Data in frames of at most DATA_PIECE bytes; `fin` ends this side. Nothing for a stream that is not writable."""
        if not self.is_writable(stream_id):
            return b""
        pieces = [data[start : start + DATA_PIECE] for start in range(0, len(data), DATA_PIECE)] or [b""]
        if fin:
            self._streams[stream_id].local_open = False
            self._forget_if_closed(stream_id)
        elif not data:
            return b""
        last = len(pieces) - 1
        return b"".join(self._writer.data(stream_id, piece, fin=fin and index == last) for index, piece in enumerate(pieces))

    def end(self, stream_id: int) -> bytes:
        """Half-close: this side sends nothing more on the stream. Doing it twice is harmless."""
        return self.data(stream_id, b"", fin=True)

    def reset(self, stream_id: int, status: int = RST_CANCEL) -> bytes:
        """Give up a stream in both directions; nothing when it is closed already."""
        if self._streams.pop(stream_id, None) is None:
            return b""
        return self._writer.rst_stream(stream_id, status)

    def ping(self) -> bytes:
        ping_id, self._next_ping = self._next_ping, self._next_ping + 2
        return self._writer.ping(ping_id)

    def goaway(self, status: int = 0) -> bytes:
        return self._writer.goaway(self._last_peer_id, status)

    # Receiving.

    def receive(self, data: bytes) -> Iterator[Event]:
        """Return the events in the bytes, in order. Consume it whole before calling any other method that depends on the peer's state."""
        for frame in self._reader.feed(data):
            yield from self._handle(frame)

    def _handle(self, frame: Frame) -> Iterator[Event]:
        if isinstance(frame, Data):
            yield from self._on_data(frame)
        elif isinstance(frame, SynStream):
            yield from self._on_syn(frame)
        elif isinstance(frame, SynReply):
            yield from self._on_reply(frame)
        elif isinstance(frame, RstStream):
            if self._streams.pop(frame.stream_id, None) is not None:
                yield StreamReset(frame.stream_id, frame.status)
        elif isinstance(frame, MoreHeaders):
            if frame.fin:
                yield from self._remote_end(frame.stream_id)
        elif isinstance(frame, Ping):
            mine = frame.ping_id % 2 == self._next_ping % 2
            yield PongReceived(frame.ping_id) if mine else ReplyDue(self._writer.ping(frame.ping_id))
        elif isinstance(frame, GoAway):
            yield WentAway(frame.status)

    def _on_syn(self, frame: SynStream) -> Iterator[Event]:
        if frame.stream_id % 2 == self._next_id % 2 or frame.stream_id <= self._last_peer_id:
            raise ProtocolError(f"SPDY stream {frame.stream_id} must not be opened by the peer (again)")
        self._last_peer_id = frame.stream_id
        if len(self._streams) >= self._max_streams:
            yield ReplyDue(self._writer.rst_stream(frame.stream_id, RST_REFUSED_STREAM))
            return
        self._streams[frame.stream_id] = _Stream(local_open=not frame.unidirectional)
        yield StreamOpened(frame.stream_id, frame.headers)
        if frame.fin:
            yield from self._remote_end(frame.stream_id)

    def _on_reply(self, frame: SynReply) -> Iterator[Event]:
        stream = self._known(frame.stream_id)
        if stream is None:
            return
        if stream.replied or frame.stream_id % 2 != self._next_id % 2:
            raise ProtocolError(f"SPDY stream {frame.stream_id} was replied to twice, or by the side that opened it")
        stream.replied = True
        yield StreamReplied(frame.stream_id)
        if frame.fin:
            yield from self._remote_end(frame.stream_id)

    def _on_data(self, frame: Data) -> Iterator[Event]:
        stream = self._known(frame.stream_id)
        # Late data of a stream that was reset here, or written by a peer that had already ended it: both happen in practice.
        if stream is None or not stream.remote_open:
            return
        if frame.data:
            yield DataReceived(frame.stream_id, frame.data)
        if frame.fin:
            yield from self._remote_end(frame.stream_id)

    def _known(self, stream_id: int) -> _Stream | None:
        """The stream if open, None if it was; an error if it never was."""
        stream = self._streams.get(stream_id)
        if stream is None:
            ours = stream_id % 2 == self._next_id % 2
            if stream_id >= self._next_id if ours else stream_id > self._last_peer_id:
                raise ProtocolError(f"SPDY frame for stream {stream_id}, which was never opened")
        return stream

    def _remote_end(self, stream_id: int) -> Iterator[Event]:
        stream = self._streams.get(stream_id)
        if stream is None or not stream.remote_open:
            return
        stream.remote_open = False
        self._forget_if_closed(stream_id)
        yield StreamEnded(stream_id)

    def _forget_if_closed(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        if not stream.local_open and not stream.remote_open:
            del self._streams[stream_id]
