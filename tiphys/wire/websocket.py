"""WebSocket messages without sockets (RFC 6455), on wsproto: both roles, no extensions, messages passed on piece by piece.

A message is never collected here, so its size needs no limit: users get every piece with marks for the message's start and end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from tiphys.wire.errors import ProtocolError

CLOSE_NORMAL = 1000
CLOSE_PROTOCOL_ERROR = 1002
CLOSE_INTERNAL_ERROR = 1011


@dataclass(frozen=True, slots=True)
class MessagePiece:
    """Some bytes of a message (text as UTF-8). `starts` and `ends` are both true for a message that came in one piece."""

    data: bytes
    starts: bool
    ends: bool
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class PingReceived:
    """`reply` is the pong to send."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class PongReceived:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer closed. `reply` answers its close frame; empty when ours went first."""

    code: int
    reason: str
    reply: bytes


WebSocketEvent = MessagePiece | PingReceived | PongReceived | Closed


class WebSocket:
    """One connection after its handshake. What is sent after a close is dropped, so that two tasks need not agree on who saw it first."""

    def __init__(self, *, client: bool = False) -> None:
        self._connection = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)
        self._in_message = False

    @property
    def is_open(self) -> bool:
        """Return whether neither side has sent a close frame."""
        return self._connection.state is ConnectionState.OPEN

    def message(self, data: bytes) -> bytes:
        """A binary message."""
        return self._send(BytesMessage(data=data))

    def text_message(self, text: str) -> bytes:
        return self._send(TextMessage(data=text))

    def ping(self, payload: bytes = b"") -> bytes:
        return self._send(Ping(payload=payload))

    def pong(self, payload: bytes = b"") -> bytes:
        """A pong nobody asked for: a one-way heartbeat (RFC 6455, 5.5.3)."""
        return self._send(Pong(payload=payload))

    def close(self, code: int = CLOSE_NORMAL, reason: str = "") -> bytes:
        return self._send(CloseConnection(code=code, reason=reason))

    def _send(self, event: Event) -> bytes:
        return self._connection.send(event) if self.is_open else b""

    def receive(self, data: bytes) -> Iterator[WebSocketEvent]:
        """Return the events in the bytes, in order. Raises ProtocolError; the peer should then get `close(CLOSE_PROTOCOL_ERROR)`."""
        if self._connection.state in (ConnectionState.CLOSED, ConnectionState.REMOTE_CLOSING):
            return
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                yield from self._translate(event)
        except (RemoteProtocolError, LocalProtocolError) as exc:
            raise ProtocolError(f"WebSocket: {exc}") from exc

    def _translate(self, event: Event) -> Iterator[WebSocketEvent]:
        if isinstance(event, BytesMessage | TextMessage):
            starts, self._in_message = not self._in_message, not event.message_finished
            is_text = isinstance(event, TextMessage)
            raw = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
            yield MessagePiece(raw, starts, event.message_finished, is_text)
        elif isinstance(event, Ping):
            yield PingReceived(self._send(event.response()))
        elif isinstance(event, Pong):
            yield PongReceived(bytes(event.payload))
        elif isinstance(event, CloseConnection):
            yield self._on_close(event)

    def _on_close(self, event: CloseConnection) -> Closed:
        # wsproto reports a frame it could not parse as a close too, but without having moved to a closing state.
        state = self._connection.state
        if state is ConnectionState.OPEN or state is ConnectionState.LOCAL_CLOSING:
            raise ProtocolError(f"WebSocket: {event.reason}")
        reply = b"" if state is ConnectionState.CLOSED else self._connection.send(event.response())
        return Closed(event.code, event.reason or "", reply)
