"""WebSocket channels on one side, SPDY streams of the runtime on the other: one task reads each side and writes the other.

Back-pressure follows from that: a side that does not read stops the task that writes to it, which stops reading the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.aio.duplex import Activity, Duplex, race
from tiphys.node.serve.streaming.goodbye import say_goodbye
from tiphys.node.serve.streaming.outbox import Outbox
from tiphys.wire import spdy
from tiphys.wire.channels import ChannelClosed, ChannelData, ChannelReader, ChannelWriter
from tiphys.wire.errors import ProtocolError
from tiphys.wire.websocket import CLOSE_NORMAL, CLOSE_PROTOCOL_ERROR, Closed, MessagePiece, PingReceived, WebSocket

log = logging.getLogger(__name__)

STREAM_CREATION_TIMEOUT = 30.0
"""Seconds the runtime has to accept the streams, upstream's default."""
HEARTBEAT = 10.0
"""Seconds between unasked pongs while stdin is stuck."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One SPDY stream to open, the channel whose data goes into it, and the channel its data comes out on."""

    headers: tuple[tuple[str, str], ...]
    input: int | None = None
    output: int | None = None


class ChannelBridge:
    """One session. Subclasses say what the streams mean; `run` serves until one side is done and leaves closing to the caller."""

    def __init__(self, client: Duplex, runtime: Duplex, protocol: str, specs: Sequence[StreamSpec], *, idle_timeout: float) -> None:
        self.protocol = protocol
        self._client = client
        self._runtime = runtime
        self._specs = specs
        self._activity = Activity(idle_timeout)
        self._websocket = WebSocket()
        self._channel_reader = ChannelReader(protocol)
        self._channel_writer = ChannelWriter(protocol, self._websocket)
        self._spdy = spdy.SpdyConnection(client=True)
        self._inputs: dict[int, int] = {}  # channel -> stream
        self._outputs: dict[int, int] = {}  # stream -> channel, while the runtime may still send
        self._unanswered: set[int] = set()
        self._ready = asyncio.Event()
        self._stuck = False
        self._problem: str | None = None
        self._close_code = CLOSE_NORMAL
        self._to_client = Outbox(client)
        self._to_runtime = Outbox(runtime)

    # What subclasses decide.

    def greeting(self) -> list[tuple[int, bytes]]:
        """Channel messages that tell the client that everything is in place."""
        return []

    async def on_output(self, channel: int, data: bytes) -> None:
        """Data from the runtime for a channel."""
        await self.send(channel, data)

    def farewell(self, problem: str | None) -> list[tuple[int, bytes]]:
        """Last messages before the close frame; `problem` says what went wrong on the runtime's side, if anything."""
        return []

    async def on_input_end(self, stream: int) -> None:
        """The client has no more input for a stream."""
        await self._send_runtime(self._spdy.end(stream))

    def contenders(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the tasks that run beside the pumps, and end the session when they end."""
        return ()

    async def send(self, channel: int, data: bytes) -> None:
        """One message to the client; waits while the client does not read."""
        await self._client.write(self._channel_writer.data(channel, data))
        self._activity.touch()

    # The session.

    async def run(self) -> None:
        """Serve the session. Raises OSError when the client's connection breaks: then there is nobody to tell."""
        await self._open_streams()
        await self._serve()
        last = b"".join(self._channel_writer.data(channel, data) for channel, data in self.farewell(self._problem))
        await say_goodbye(self._client, self._websocket, last, code=self._close_code)

    async def _open_streams(self) -> None:
        wire = b""
        for spec in self._specs:
            stream, syn = self._spdy.open_stream(spec.headers)
            self._unanswered.add(stream)
            if spec.input is not None:
                self._inputs[spec.input] = stream
            if spec.output is not None:
                self._outputs[stream] = spec.output
            wire += syn
        await self._send_runtime(wire)

    async def _serve(self) -> None:
        """Until the first part ends."""
        try:
            await race(
                self._pump_client(),
                self._pump_runtime(),
                self._watch_idle(),
                self._watch_creation(),
                self._heartbeat(),
                self._to_client.run(),
                self._to_runtime.run(),
                *self.contenders(),
            )
        except ProtocolError as exc:
            log.info("client broke the streaming protocol", extra={"error": str(exc)})
            self._problem, self._close_code = str(exc), CLOSE_PROTOCOL_ERROR

    async def _watch_idle(self) -> None:
        await self._activity.wait_idle()
        self._problem = "the session was idle for too long"

    async def _watch_creation(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_CREATION_TIMEOUT):
                await self._ready.wait()
            await asyncio.Event().wait()
        self._problem = "timed out waiting for the container runtime to accept the streams"

    async def _heartbeat(self) -> None:
        """While the container does not take stdin, the client is not read and its pings go unanswered; clients give up after a minute.

        A pong that nobody asked for is allowed (RFC 6455, 5.5.3) and counts for them.
        """
        while True:
            await asyncio.sleep(HEARTBEAT)
            if self._stuck:
                self._to_client.post(self._websocket.pong())

    # Client to runtime.

    async def _pump_client(self) -> None:
        await self._ready.wait()
        while data := await self._client.read():
            for event in self._websocket.receive(data):
                if isinstance(event, PingReceived):
                    self._to_client.post(event.reply)
                elif isinstance(event, Closed):
                    await self._client.write(event.reply)
                    return
                elif isinstance(event, MessagePiece):
                    await self._on_piece(event)

    async def _on_piece(self, piece: MessagePiece) -> None:
        for event in self._channel_reader.feed(piece):
            stream = self._inputs.get(event.channel)
            if stream is None:
                continue  # a channel this session does not have
            if isinstance(event, ChannelData):
                await self._send_runtime(self._spdy.data(stream, event.data))
            elif isinstance(event, ChannelClosed):
                await self.on_input_end(stream)

    async def _send_runtime(self, wire: bytes) -> None:
        """Write; a runtime that takes nothing more is no error here, since its last output and the status may still be to come."""
        self._activity.touch()
        self._stuck = True
        try:
            with contextlib.suppress(OSError):
                await self._runtime.write(wire)
        finally:
            self._stuck = False
        self._activity.touch()

    # Runtime to client.

    async def _pump_runtime(self) -> None:
        async with contextlib.aclosing(self._runtime_events()) as events:
            async for event in events:
                if isinstance(event, spdy.WentAway):
                    break
                if isinstance(event, spdy.StreamReset) and event.stream_id in self._unanswered:
                    self._problem = "the container runtime refused a stream"
                    return
                await self._on_runtime(event)
                if self._ready.is_set() and not self._outputs:
                    return
        if self._outputs and self._problem is None:
            self._problem = "the connection to the container runtime was lost"

    async def _runtime_events(self) -> AsyncGenerator[spdy.Event, None]:
        """Until the runtime's end; a broken connection or protocol is one, with the problem noted."""
        while True:
            try:
                if not (data := await self._runtime.read()):
                    return
                events = list(self._spdy.receive(data))
            except (OSError, ProtocolError) as exc:
                self._problem = f"the connection to the container runtime broke: {exc}"
                return
            for event in events:
                yield event

    async def _on_runtime(self, event: spdy.Event) -> None:
        if isinstance(event, spdy.DataReceived):
            channel = self._outputs.get(event.stream_id)
            if channel is not None:
                await self.on_output(channel, event.data)
        elif isinstance(event, spdy.StreamEnded | spdy.StreamReset):
            self._outputs.pop(event.stream_id, None)
        elif isinstance(event, spdy.StreamReplied):
            await self._on_reply(event.stream_id)
        elif isinstance(event, spdy.ReplyDue):
            self._to_runtime.post(event.data)

    async def _on_reply(self, stream: int) -> None:
        self._unanswered.discard(stream)
        if not self._unanswered:
            for channel, data in self.greeting():
                await self.send(channel, data)
            self._ready.set()
