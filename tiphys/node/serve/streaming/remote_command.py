"""Exec and attach for WebSocket clients ("Transition from SPDY to WebSockets", KEP-4006): channels become streams of the runtime."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tiphys.aio.duplex import Duplex
from tiphys.api.machinery.errors import BadRequest, Forbidden, InternalError
from tiphys.node.serve.streaming.answers import switch_to_websocket
from tiphys.node.serve.streaming.bridge import ChannelBridge, StreamSpec
from tiphys.node.serve.streaming.runtime import connect_runtime
from tiphys.wire import channels
from tiphys.wire.errors import ProtocolError
from tiphys.wire.negotiate import (
    REMOTE_COMMAND_WEBSOCKET,
    STATUS_ON_ERROR_CHANNEL,
    choose,
    websocket_accept,
    websocket_protocols,
)

MAX_STATUS = 1 << 20
"""Bytes of the Status on the error stream; more is cut off."""


@dataclass(frozen=True, slots=True)
class CommandStreams:
    """Streams of a session. The CRI request named the same, and the runtime waits for exactly these."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    def specs(self) -> list[StreamSpec]:
        """The streams to open. With a terminal there is no stderr, and sizes have a stream of their own."""
        candidates: list[tuple[bool, str, int | None, int | None]] = [
            (True, "error", None, channels.ERROR),
            (self.stdin, "stdin", channels.STDIN, None),
            (self.stdout, "stdout", None, channels.STDOUT),
            (self.stderr and not self.tty, "stderr", None, channels.STDERR),
            (self.tty, "resize", channels.RESIZE, None),
        ]
        return [StreamSpec((("streamType", kind),), input=source, output=sink) for is_open, kind, source, sink in candidates if is_open]

    def lowest_output(self) -> int:
        """The channel that announces the session to the client."""
        if self.stdout:
            return channels.STDOUT
        return channels.STDERR if self.stderr and not self.tty else channels.ERROR


class CommandBridge(ChannelBridge):
    """An exec or attach session. The runtime's Status is kept until all output is through and then passed on as it came."""

    def __init__(self, client: Duplex, runtime: Duplex, protocol: str, streams: CommandStreams, *, idle_timeout: float) -> None:
        super().__init__(client, runtime, protocol, streams.specs(), idle_timeout=idle_timeout)
        self._streams = streams
        self._status = b""

    def greeting(self) -> list[tuple[int, bytes]]:
        return [(self._streams.lowest_output(), b"")]

    async def on_output(self, channel: int, data: bytes) -> None:
        if channel == channels.ERROR:
            self._status = (self._status + data)[:MAX_STATUS]
        else:
            await self.send(channel, data)

    def farewell(self, problem: str | None) -> list[tuple[int, bytes]]:
        status = self._status
        if not status:
            error = InternalError(f"Internal error occurred: {problem or 'the container runtime sent no status'}")
            status = msgspec.json.encode(error.status())
        if self.protocol not in STATUS_ON_ERROR_CHANNEL:
            status = _message_of(status)
        return [(channels.ERROR, status)] if status else []


def _message_of(status: bytes) -> bytes:
    """Return what versions before 4 send: nothing on success, otherwise the message alone."""
    try:
        decoded = msgspec.json.decode(status, type=dict)
    except msgspec.DecodeError:
        return status
    return b"" if decoded.get("status") == "Success" else str(decoded.get("message", "")).encode()


def negotiate_command(headers: list[tuple[str, str]]) -> tuple[str, str]:
    """The accept token and the version for a WebSocket request. Raises BadRequest and Forbidden."""
    offered = websocket_protocols(headers)
    protocol = choose(offered, REMOTE_COMMAND_WEBSOCKET)
    if protocol is None:
        supported = [name for name in REMOTE_COMMAND_WEBSOCKET if name]
        raise Forbidden(f"requested protocol(s) are not supported: {offered}; supports {supported}")
    try:
        return websocket_accept(headers), protocol
    except ProtocolError as exc:
        raise BadRequest(str(exc)) from exc


async def serve_websocket_command(
    client: Duplex, headers: list[tuple[str, str]], *, runtime_url: str, streams: CommandStreams, idle_timeout: float
) -> None:
    """One session, from the handshake to the close frame. Raises StatusError and UpgradeRefused before the 101, OSError after it."""
    accept, protocol = negotiate_command(headers)
    runtime = await connect_runtime(runtime_url, [channels.V4])
    try:
        await switch_to_websocket(client, accept, protocol)
        await CommandBridge(client, runtime.duplex, protocol, streams, idle_timeout=idle_timeout).run()
    finally:
        runtime.duplex.close()
