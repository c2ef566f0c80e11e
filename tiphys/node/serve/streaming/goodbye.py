"""Ending a WebSocket so that the client has read everything before the connection goes."""

from __future__ import annotations

import asyncio
import contextlib

from tiphys.aio.duplex import Duplex
from tiphys.wire.errors import ProtocolError
from tiphys.wire.websocket import CLOSE_NORMAL, Closed, WebSocket

GOODBYE_TIMEOUT = 1.0
"""Seconds the client has to take the last messages and answer the close frame."""


async def say_goodbye(client: Duplex, websocket: WebSocket, last: bytes = b"", *, code: int = CLOSE_NORMAL) -> None:
    """Send `last` and the close frame, then wait for the client's; nothing when the WebSocket is closing already.

    Data that the client still sends is read and dropped: a socket closed with unread data is reset, and the reset would destroy what the
    client has not read yet. Raises OSError.
    """
    if not websocket.is_open:
        return
    with contextlib.suppress(TimeoutError, ProtocolError):
        async with asyncio.timeout(GOODBYE_TIMEOUT):
            await client.write(last + websocket.close(code))
            while data := await client.read():
                if any(isinstance(event, Closed) for event in websocket.receive(data)):
                    return
