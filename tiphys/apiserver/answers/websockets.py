"""Answers that stream, sent as the messages of a WebSocket to clients that asked for one: watches and logs.

Browsers cannot read a response without end, but they can read messages. The client sends nothing but its end.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tiphys.aio.duplex import Duplex, race
from tiphys.api.machinery.errors import BadRequest
from tiphys.apiserver.auth.authenticate import WEBSOCKET_TOKEN
from tiphys.wire.errors import ProtocolError
from tiphys.wire.headers import pairs
from tiphys.wire.http import Response
from tiphys.wire.http_upgrade import response_head
from tiphys.wire.negotiate import Upgrade, choose, upgrade_kind, websocket_accept, websocket_protocols
from tiphys.wire.websocket import CLOSE_INTERNAL_ERROR, CLOSE_NORMAL, CLOSE_PROTOCOL_ERROR, Closed, PingReceived, WebSocket

GOODBYE_SECONDS = 1.0
"""Seconds that the client has to read the last messages and answer the close frame."""
BINARY, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"
LOG_PROTOCOLS = ("", BINARY, BASE64)
LENGTH_BYTES = 4

Frames = Callable[[WebSocket, bytes], bytes]
"""The messages that carry a piece of the stream."""


class Grant(NamedTuple):
    """A request for a WebSocket that can be granted."""

    accept: str
    protocol: str

    def answer(self, response: Response, frames: Frames) -> Response:
        """The response's body, streamed or whole, in messages."""
        head = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", self.accept)]
        if self.protocol:
            head.append(("Sec-WebSocket-Protocol", self.protocol))
        stream = response.stream if response.stream is not None else _whole(response.body)

        async def take(connection: Any) -> None:
            websocket = WebSocket()
            try:
                await connection.write(response_head(101, head))
                await race(_send(connection, websocket, stream, frames), _listen(connection, websocket))
            except OSError:
                return
            finally:
                await _end(stream)

        return Response(101, upgrade=take)


def upgrade_of(headers: Mapping[str, str], protocols: Sequence[str] = ()) -> Grant | None:
    """Return the WebSocket upgrade that these headers request; None for an ordinary request.

    `protocols` are those that messages can be in, all if there are none. Raises BadRequest for a request that cannot be granted.
    """
    if "upgrade" not in headers:
        return None
    listed = pairs(headers)
    if upgrade_kind(listed) is not Upgrade.WEBSOCKET:
        return None
    offered = [name for name in websocket_protocols(listed) if not name.startswith(WEBSOCKET_TOKEN)]
    protocol = choose(offered, protocols) if protocols else ""
    if protocol is None:
        raise BadRequest(f"unsupported protocol offered, client={offered} supported={list(protocols)}")
    try:
        return Grant(websocket_accept(listed), protocol)
    except ProtocolError as error:
        raise BadRequest(str(error)) from error


def lines(websocket: WebSocket, piece: bytes) -> bytes:
    """Each event, a line of JSON, as a text message."""
    return b"".join(websocket.text_message(line.decode()) for line in piece.splitlines())


def sized(websocket: WebSocket, piece: bytes) -> bytes:
    """Each event of protobuf without its length prefix, which only streams of bytes need."""
    return b"".join(websocket.message(frame) for frame in _cut(piece))


def _cut(piece: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(piece):
        end = at + LENGTH_BYTES + int.from_bytes(piece[at : at + LENGTH_BYTES])
        yield piece[at + LENGTH_BYTES : end]
        at = end


def log_frames(protocol: str) -> Frames:
    """Plain bytes in binary messages, or in text messages of base64."""
    return _base64 if protocol == BASE64 else WebSocket.message


def _base64(websocket: WebSocket, piece: bytes) -> bytes:
    return websocket.text_message(base64.b64encode(piece).decode())


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


async def _send(connection: Duplex, websocket: WebSocket, stream: AsyncIterator[bytes], frames: Frames) -> None:
    code = CLOSE_NORMAL
    try:
        async for piece in stream:
            await connection.write(frames(websocket, piece))
    except ConnectionError:
        code = CLOSE_INTERNAL_ERROR  # Where the stream came from broke off.
    await connection.write(websocket.close(code))
    # The client's own close frame ends the other half of the race; a socket closed before would take unread messages with it.
    await asyncio.sleep(GOODBYE_SECONDS)


async def _listen(connection: Duplex, websocket: WebSocket) -> None:
    with contextlib.suppress(ProtocolError):
        while data := await connection.read():
            for event in websocket.receive(data):
                if isinstance(event, PingReceived):
                    await connection.write(event.reply)
                elif isinstance(event, Closed):
                    await connection.write(event.reply)
                    return
        return
    await connection.write(websocket.close(CLOSE_PROTOCOL_ERROR))


async def _end(stream: AsyncIterator[bytes]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
