"""Frames of SPDY/3.1 to and from bytes, as far as Kubernetes streaming uses them (draft-mbelshe-httpbis-spdy-00, section 2.6).

DATA frames are passed on piece by piece as they arrive, so their size needs no limit; control frames are collected and limited.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy_headers import HeaderCompressor, HeaderDecompressor, Headers

MAX_CONTROL_FRAME = 64 * 1024
"""Bytes of one control frame's payload."""
MAX_DATA_FRAME = 2**24 - 1

_VERSION = 3
_CONTROL = 0x8000
_FLAG_FIN = 0x01
_FLAG_UNIDIRECTIONAL = 0x02

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9

RST_PROTOCOL_ERROR, RST_INVALID_STREAM, RST_REFUSED_STREAM, RST_CANCEL = 1, 2, 3, 5


@dataclass(frozen=True, slots=True)
class SynStream:
    stream_id: int
    headers: Headers
    fin: bool = False
    unidirectional: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SynReply:
    stream_id: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    """A HEADERS frame."""

    stream_id: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ping:
    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    stream_id: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    """A DATA frame or a piece of one; `fin` is set only on the last piece."""

    stream_id: int
    data: bytes
    fin: bool = False


Frame = SynStream | SynReply | MoreHeaders | RstStream | Settings | Ping | GoAway | WindowUpdate | Data


class FrameWriter:
    """Frames to bytes. Stateful: header blocks must reach the wire in the order in which they were encoded here."""

    def __init__(self) -> None:
        self._compressor = HeaderCompressor()

    def syn_stream(self, stream_id: int, headers: Iterable[tuple[str, str]], *, fin: bool = False) -> bytes:
        fixed = struct.pack("!IIH", stream_id, 0, 0)
        return _control(SYN_STREAM, fixed + self._compressor.compress(headers), _FLAG_FIN if fin else 0)

    def syn_reply(self, stream_id: int, headers: Iterable[tuple[str, str]] = (), *, fin: bool = False) -> bytes:
        return _control(SYN_REPLY, struct.pack("!I", stream_id) + self._compressor.compress(headers), _FLAG_FIN if fin else 0)

    def more_headers(self, stream_id: int, headers: Iterable[tuple[str, str]], *, fin: bool = False) -> bytes:
        return _control(HEADERS, struct.pack("!I", stream_id) + self._compressor.compress(headers), _FLAG_FIN if fin else 0)

    def data(self, stream_id: int, data: bytes, *, fin: bool = False) -> bytes:
        """One DATA frame. Raises ValueError beyond MAX_DATA_FRAME bytes."""
        if len(data) > MAX_DATA_FRAME:
            raise ValueError(f"a SPDY frame holds at most {MAX_DATA_FRAME} bytes")
        return struct.pack("!II", stream_id, (_FLAG_FIN if fin else 0) << 24 | len(data)) + data

    def rst_stream(self, stream_id: int, status: int = RST_CANCEL) -> bytes:
        return _control(RST_STREAM, struct.pack("!II", stream_id, status))

    def settings(self, values: Iterable[tuple[int, int]]) -> bytes:
        items = [struct.pack("!II", key, value) for key, value in values]
        return _control(SETTINGS, struct.pack("!I", len(items)) + b"".join(items))

    def ping(self, ping_id: int) -> bytes:
        return _control(PING, struct.pack("!I", ping_id))

    def goaway(self, last_stream_id: int = 0, status: int = 0) -> bytes:
        return _control(GOAWAY, struct.pack("!II", last_stream_id, status))

    def window_update(self, stream_id: int, delta: int) -> bytes:
        return _control(WINDOW_UPDATE, struct.pack("!II", stream_id, delta))


def _control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack("!HHI", _CONTROL | _VERSION, kind, flags << 24 | len(payload)) + payload


class FrameReader:
    """Bytes to frames, in any slicing."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._decompressor = HeaderDecompressor()
        # The DATA frame being received: its stream, the bytes still to come, and whether it ends the stream.
        self._data: tuple[int, int, bool] | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames completed by these bytes. Raises ProtocolError when they cannot be SPDY/3; the reader is of no use after that."""
        self._buffer += data
        while True:
            frame = self._next_data() if self._data is not None else self._next_frame()
            if frame is None:
                return
            yield frame

    def _next_frame(self) -> Frame | None:
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if not first >> 31:
                return self._start_data(first, flags, length)
            if first >> 16 & 0x7FFF != _VERSION:
                raise ProtocolError(f"SPDY version {first >> 16 & 0x7FFF} instead of {_VERSION}")
            if length > MAX_CONTROL_FRAME:
                raise ProtocolError(f"SPDY control frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                return None
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            # Control frames of unknown types are to be ignored, says the specification.
            if (parse := _PARSERS.get(first & 0xFFFF)) is not None:
                return self._parse(parse, payload, flags)
        return None

    def _parse(self, parse: Callable[[bytes, int, HeaderDecompressor], Frame], payload: bytes, flags: int) -> Frame:
        try:
            return parse(payload, flags, self._decompressor)
        except struct.error as exc:
            raise ProtocolError("SPDY control frame of a wrong length") from exc

    def _start_data(self, stream_id: int, flags: int, length: int) -> Frame | None:
        if stream_id == 0:
            raise ProtocolError("SPDY data for stream 0")
        del self._buffer[:8]
        self._data = (stream_id, length, bool(flags & _FLAG_FIN))
        return self._next_data()

    def _next_data(self) -> Frame | None:
        assert self._data is not None
        stream_id, missing, fin = self._data
        if missing and not self._buffer:
            return None
        piece = bytes(self._buffer[:missing])
        del self._buffer[:missing]
        missing -= len(piece)
        self._data = (stream_id, missing, fin) if missing else None
        return Data(stream_id, piece, fin and not missing)


def _stream_id(value: int) -> int:
    stream_id = value & 0x7FFFFFFF
    if stream_id == 0:
        raise ProtocolError("SPDY stream 0 does not exist")
    return stream_id


def _syn_stream(payload: bytes, flags: int, decompressor: HeaderDecompressor) -> Frame:
    stream_id, _associated, priority, _slot = struct.unpack_from("!IIBB", payload)
    headers = decompressor.decompress(payload[10:])
    return SynStream(_stream_id(stream_id), headers, bool(flags & _FLAG_FIN), bool(flags & _FLAG_UNIDIRECTIONAL), priority >> 5)


def _syn_reply(payload: bytes, flags: int, decompressor: HeaderDecompressor) -> Frame:
    (stream_id,) = struct.unpack_from("!I", payload)
    return SynReply(_stream_id(stream_id), decompressor.decompress(payload[4:]), bool(flags & _FLAG_FIN))


def _headers(payload: bytes, flags: int, decompressor: HeaderDecompressor) -> Frame:
    (stream_id,) = struct.unpack_from("!I", payload)
    return MoreHeaders(_stream_id(stream_id), decompressor.decompress(payload[4:]), bool(flags & _FLAG_FIN))


def _rst_stream(payload: bytes, _flags: int, _decompressor: HeaderDecompressor) -> Frame:
    stream_id, status = struct.unpack("!II", payload)
    return RstStream(_stream_id(stream_id), status)


def _settings(payload: bytes, _flags: int, _decompressor: HeaderDecompressor) -> Frame:
    (count,) = struct.unpack_from("!I", payload)
    if len(payload) != 4 + 8 * count:
        raise ProtocolError("SPDY SETTINGS frame with a wrong count")
    words = struct.unpack_from(f"!{2 * count}I", payload, 4)
    return Settings(tuple((key & 0xFFFFFF, value) for key, value in zip(words[::2], words[1::2], strict=True)))


def _ping(payload: bytes, _flags: int, _decompressor: HeaderDecompressor) -> Frame:
    return Ping(struct.unpack("!I", payload)[0])


def _goaway(payload: bytes, _flags: int, _decompressor: HeaderDecompressor) -> Frame:
    last, status = struct.unpack("!II", payload)
    return GoAway(last & 0x7FFFFFFF, status)


def _window_update(payload: bytes, _flags: int, _decompressor: HeaderDecompressor) -> Frame:
    stream_id, delta = struct.unpack("!II", payload)
    return WindowUpdate(stream_id & 0x7FFFFFFF, delta & 0x7FFFFFFF)


_PARSERS: dict[int, Callable[[bytes, int, HeaderDecompressor], Frame]] = {
    SYN_STREAM: _syn_stream,
    SYN_REPLY: _syn_reply,
    RST_STREAM: _rst_stream,
    SETTINGS: _settings,
    PING: _ping,
    GOAWAY: _goaway,
    HEADERS: _headers,
    WINDOW_UPDATE: _window_update,
}
