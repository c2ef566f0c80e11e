"""Watches and logs as messages of a WebSocket, for clients that cannot read a response without end."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.integration.apiserver.api import CONFIGS, PODS, Api, config, pod
from tests.integration.apiserver.raw import DEADLINE, Raw, RawConnection, request
from tiphys.api.machinery.protobuf import watch_frame
from tiphys.apiserver.answers import websockets
from tiphys.wire.websocket import CLOSE_NORMAL, Closed, MessagePiece, PongReceived, WebSocket, WebSocketEvent

HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==")


class Messages:
    """The client's end of a WebSocket."""

    def __init__(self, connection: RawConnection) -> None:
        self.connection = connection
        self.websocket = WebSocket(client=True)
        self._events: list[WebSocketEvent] = []

    async def next(self) -> WebSocketEvent | None:
        """Return the next message, None when the connection has ended."""
        while not self._events:
            data = await asyncio.wait_for(self.connection.reader.read(1 << 16), DEADLINE)
            if not data:
                return None
            self._events += self.websocket.receive(data)
        return self._events.pop(0)

    async def event(self) -> tuple[str, str]:
        """Type and name of the object in the next message of a watch."""
        piece = await self.next()
        assert isinstance(piece, MessagePiece)
        assert (piece.is_text, piece.starts, piece.ends) == (True, True, True)
        said = json.loads(piece.data)
        return said["type"], said["object"]["metadata"]["name"]


async def opened(raw: Raw, target: str, *lines: str) -> tuple[Messages, dict[str, str]]:
    connection = await raw.connect()
    await connection.send(request("GET", target, *HANDSHAKE, *lines))
    status, headers = await connection.head()
    assert (status, dict(headers)["sec-websocket-accept"]) == (101, "C/0nmHhBztSRGR1CwL6Tf4ZjwpY=")
    return Messages(connection), dict(headers)


async def test_a_watch_sends_a_message_for_each_event(raw: Raw) -> None:
    api = Api(raw.server)
    await api.post(CONFIGS, config("a"))
    await api.post(CONFIGS, config("b"))
    messages, _ = await opened(raw, f"{CONFIGS}?watch=1")
    assert [await messages.event(), await messages.event()] == [("ADDED", "a"), ("ADDED", "b")]
    await api.delete(f"{CONFIGS}/a")
    assert await messages.event() == ("DELETED", "a")
    await messages.connection.send(messages.websocket.ping(b"there?"))
    assert await messages.next() == PongReceived(b"there?")
    await messages.connection.send(messages.websocket.close())
    answer = await messages.next()
    assert isinstance(answer, Closed)
    assert answer.code == CLOSE_NORMAL
    assert await messages.next() is None


async def test_a_watch_that_is_over_closes_the_websocket(raw: Raw) -> None:
    messages, _ = await opened(raw, f"{CONFIGS}?watch=1&timeoutSeconds=1&resourceVersion=1")
    answer = await messages.next()
    assert isinstance(answer, Closed)
    assert answer.code == CLOSE_NORMAL
    await messages.connection.send(answer.reply)
    assert await messages.next() is None


async def test_a_log_of_a_pod_without_a_node_is_empty(raw: Raw) -> None:
    await Api(raw.server).post(PODS, pod("a"))
    messages, headers = await opened(
        raw, f"{PODS}/a/log", "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.eA, binary.k8s.io"
    )
    assert headers["sec-websocket-protocol"] == "binary.k8s.io"
    assert isinstance(await messages.next(), Closed)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((*HANDSHAKE[:3], "Sec-WebSocket-Key: short"), "Sec-WebSocket-Key is not"),
        ((*HANDSHAKE, "Sec-WebSocket-Protocol: chat"), "unsupported protocol offered, client=['chat']"),
    ],
)
async def test_a_websocket_that_cannot_be_is_refused(raw: Raw, lines: tuple[str, ...], said: str) -> None:
    await Api(raw.server).post(PODS, pod("a"))
    connection = await raw.connect()
    await connection.send(request("GET", f"{PODS}/a/log", *lines))
    refused = await connection.answer()
    assert (refused.status, refused.reason) == (400, "BadRequest")
    assert refused.message.startswith(said)


def received(frames: bytes) -> list[WebSocketEvent]:
    return list(WebSocket(client=True).receive(frames))


def test_events_in_protobuf_come_without_their_lengths() -> None:
    events = [watch_frame("ADDED", b"one"), watch_frame("DELETED", b"x" * 70_000)]
    assert received(websockets.sized(WebSocket(), b"".join(events))) == [MessagePiece(event[4:], True, True) for event in events]


@pytest.mark.parametrize(
    ("protocol", "data", "is_text"), [("", b"\xff", False), ("binary.k8s.io", b"\xff", False), ("base64.binary.k8s.io", b"/w==", True)]
)
def test_logs_come_as_they_are_or_in_base64(protocol: str, data: bytes, is_text: bool) -> None:
    frames = websockets.log_frames(protocol)
    assert received(frames(WebSocket(), b"\xff")) == [MessagePiece(data, True, True, is_text)]
