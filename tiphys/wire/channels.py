"""The channels of a remote command inside WebSocket messages (sub-protocols `*.channel.k8s.io`).

The first byte of a message names a channel; with base64 the message is text and the channel a digit. Version 5 adds half-close: channel
255 followed by the channel that ends (KEP-4006, "Transition from SPDY to WebSockets").
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from tiphys.wire.errors import ProtocolError
from tiphys.wire.websocket import MessagePiece, WebSocket

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255

V1, V3, V4, V5 = "channel.k8s.io", "v3.channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io"
BASE64_V1, BASE64_V4 = "base64.channel.k8s.io", "v4.base64.channel.k8s.io"


@dataclass(frozen=True, slots=True)
class ChannelData:
    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The peer sends nothing more on the channel (version 5)."""

    channel: int


ChannelEvent = ChannelData | ChannelClosed


class ChannelReader:
    """Message pieces to channel data. Holds at most three bytes back (an unfinished base64 group)."""

    def __init__(self, protocol: str) -> None:
        self._base64 = protocol in (BASE64_V1, BASE64_V4)
        self._can_close = protocol == V5
        self._channel: int | None = None
        self._rest = b""
        self._closing: bytes | None = None

    def feed(self, piece: MessagePiece) -> Iterator[ChannelEvent]:
        """Return the messages in the piece; empty ones are ignored. Raises ProtocolError for broken base64 or a broken close."""
        data = piece.data
        if piece.starts:
            self._channel, self._rest, self._closing = None, b"", None
        if self._channel is None and data:
            self._channel, data = self._channel_of(data[0]), data[1:]
        if self._channel is None:
            return
        if self._channel == CLOSE and self._can_close:
            yield from self._close(data, ends=piece.ends)
        elif self._base64:
            yield from self._decode(data, ends=piece.ends)
        elif data:
            yield ChannelData(self._channel, data)

    def _channel_of(self, byte: int) -> int:
        if not self._base64:
            return byte
        if not 0x30 <= byte <= 0x39:
            raise ProtocolError("a base64 channel message starts with a digit")
        return byte - 0x30

    def _close(self, data: bytes, *, ends: bool) -> Iterator[ChannelEvent]:
        self._closing = (self._closing or b"") + data
        if len(self._closing) > 1 or (ends and not self._closing):
            raise ProtocolError("exactly one channel follows the close signal")
        if ends:
            yield ChannelClosed(self._closing[0])

    def _decode(self, data: bytes, *, ends: bool) -> Iterator[ChannelEvent]:
        assert self._channel is not None
        data = self._rest + data
        usable = len(data) if ends else len(data) - len(data) % 4
        self._rest = data[usable:]
        try:
            decoded = base64.b64decode(data[:usable], validate=True)
        except binascii.Error as exc:
            raise ProtocolError(f"channel message is not base64: {exc}") from exc
        if decoded:
            yield ChannelData(self._channel, decoded)


class ChannelWriter:
    """Channel data to WebSocket messages of one connection."""

    def __init__(self, protocol: str, websocket: WebSocket) -> None:
        self._base64 = protocol in (BASE64_V1, BASE64_V4)
        self._can_close = protocol == V5
        self._websocket = websocket

    def data(self, channel: int, data: bytes) -> bytes:
        """One message, also for empty data: that is how a server says that it is ready."""
        if self._base64:
            return self._websocket.text_message(f"{channel}{base64.b64encode(data).decode()}")
        return self._websocket.message(bytes((channel,)) + data)

    def close(self, channel: int) -> bytes:
        """The half-close signal; nothing for the versions that have none."""
        return self._websocket.message(bytes((CLOSE, channel))) if self._can_close else b""
