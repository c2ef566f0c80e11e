"""Screen between SPDY clients and the container runtime: frames are read, checked, and written anew.

The runtime's parser trusts lengths and counts inside frames: a SETTINGS frame, or a header block, that announces 2^32 entries makes it
allocate them. Nothing of the client's bytes reaches it but the contents of streams, so no form of a frame has to be foreseen here.
"""

from __future__ import annotations

from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy import MAX_STREAMS
from tiphys.wire.spdy_frames import Data, Frame, FrameReader, FrameWriter, GoAway, MoreHeaders, Ping, RstStream, SynReply, SynStream

_CLIENT, _RUNTIME = 1, 2
"""The sides that may still send on a stream."""


class SpdyScreen:
    """One connection's bytes from the client to the runtime; `answered` is shown the other direction.

    A stream counts as open until both sides have ended it, or one has reset it: so long the runtime keeps it.
    SETTINGS, WINDOW_UPDATE and unknown control frames mean nothing in Kubernetes streaming and are dropped. DATA frames are cut to the size
    of what was read, so the runtime's buffers stay small.
    """

    def __init__(self, *, max_streams: int = 2 * MAX_STREAMS) -> None:
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._answers = FrameReader()
        self._open: dict[int, int] = {}  # stream -> who may still send
        self._last = 0
        self._max_streams = max_streams

    def feed(self, data: bytes) -> bytes:
        """The frames completed by these bytes, safe to pass on. Raises ProtocolError; nothing may be passed on after that."""
        return b"".join(self._pass(frame) for frame in self._reader.feed(data))

    def answered(self, data: bytes) -> None:
        """Note the runtime's frames to the client, which are passed on unchanged. Raises ProtocolError."""
        for frame in self._answers.feed(data):
            if isinstance(frame, RstStream):
                self._open.pop(frame.stream_id, None)
            elif isinstance(frame, Data | SynReply | MoreHeaders) and frame.fin:
                self._end(frame.stream_id, _RUNTIME)

    def _end(self, stream_id: int, side: int) -> None:
        if left := self._open.pop(stream_id, 0) & ~side:
            self._open[stream_id] = left

    def _pass(self, frame: Frame) -> bytes:
        if isinstance(frame, Data):
            return self._data(frame.stream_id, frame.data, fin=frame.fin)
        if isinstance(frame, SynStream):
            return self._syn(frame)
        if isinstance(frame, RstStream):
            self._known(frame.stream_id)
            self._open.pop(frame.stream_id, None)
            return self._writer.rst_stream(frame.stream_id, frame.status)
        if isinstance(frame, MoreHeaders):
            # Only the end of the stream counts: nobody reads late headers, and the runtime would wait until somebody does.
            return self._data(frame.stream_id, b"", fin=frame.fin)
        if isinstance(frame, Ping):
            return self._writer.ping(frame.ping_id)
        if isinstance(frame, GoAway):
            return self._writer.goaway(frame.last_stream_id, frame.status)
        return b""

    def _syn(self, frame: SynStream) -> bytes:
        if frame.stream_id % 2 == 0 or frame.stream_id <= self._last:
            raise ProtocolError(f"SPDY stream {frame.stream_id} must not be opened by the client (again)")
        if len(self._open) >= self._max_streams:
            raise ProtocolError(f"more than {self._max_streams} SPDY streams at once")
        self._last = frame.stream_id
        self._open[frame.stream_id] = _RUNTIME if frame.fin else _CLIENT | _RUNTIME
        return self._writer.syn_stream(frame.stream_id, frame.headers, fin=frame.fin)

    def _data(self, stream_id: int, data: bytes, *, fin: bool) -> bytes:
        self._known(stream_id)
        if not self._open.get(stream_id, 0) & _CLIENT or not (data or fin):
            return b""
        if fin:
            self._end(stream_id, _CLIENT)
        return self._writer.data(stream_id, data, fin=fin)

    def _known(self, stream_id: int) -> None:
        if stream_id % 2 == 0 or stream_id > self._last:
            raise ProtocolError(f"SPDY frame for stream {stream_id}, which was never opened")
