"""Attach sessions that begin with the container's log, so that the output of a command that ends at once arrives whole and once.

The runtime's stream begins somewhere in the output and does not say where; the log has everything, but only whole lines. Hence the log is
what the client gets, until a line stands unfinished (a prompt): from there on the runtime's stream is passed on as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.duplex import Duplex, race
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta import v1 as meta
from tiphys.node.container.attach_log import AttachLog
from tiphys.node.container.logs import LogEntry
from tiphys.node.serve.streaming.answers import switch_to_spdy, switch_to_websocket
from tiphys.node.serve.streaming.bridge import STREAM_CREATION_TIMEOUT
from tiphys.node.serve.streaming.goodbye import GOODBYE_TIMEOUT, say_goodbye
from tiphys.node.serve.streaming.passthrough import serve_spdy
from tiphys.node.serve.streaming.remote_command import CommandBridge, CommandStreams, negotiate_command
from tiphys.node.serve.streaming.runtime import connect_runtime
from tiphys.wire import channels, spdy
from tiphys.wire.channels import ChannelWriter
from tiphys.wire.negotiate import REMOTE_COMMAND_SPDY, STATUS_ON_ERROR_CHANNEL, choose, spdy_protocols
from tiphys.wire.websocket import WebSocket

FIRST_POLL = 0.02
SLOWEST_POLL = 0.4
SETTLE = 0.1
"""Seconds without output after which an unfinished line is shown."""
LAST_WORDS = 2.0
"""Seconds after a container's end for its log to be closed, and for the runtime to end the session by itself."""
LONGEST_TAIL = 8192
"""Bytes of an unfinished line; the runtime writes longer ones to the log in parts."""
SUCCESS = msgspec.json.encode(meta.Status(status="Success"))
_CHANNELS = {"stdout": channels.STDOUT, "stderr": channels.STDERR}


@dataclass(frozen=True, slots=True)
class Attached:
    """The container of an attach session."""

    log: AttachLog | None
    """Beginning of its output for this client; None when it begins with new output."""
    running: Callable[[], bool]
    clock: Clock
    to_end: bool
    """True if the session lasts as long as the container, also when the client's input has ended."""

    async def read(self) -> list[LogEntry]:
        return await asyncio.to_thread(self.log.read) if self.log is not None else []

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    async def rest(self, streams: CommandStreams) -> AsyncIterator[tuple[int, bytes]]:
        """The output of a container that has ended, by channel."""
        await self.closed()
        while entries := await self.read():
            for output in by_channel(entries, streams):
                yield output

    async def closed(self) -> None:
        """Wait until the log of a container that has ended is whole."""
        until = self.clock.monotonic() + LAST_WORDS
        while self.log is not None and await asyncio.to_thread(self.log.is_written) and self.clock.monotonic() < until:
            await self.clock.sleep(FIRST_POLL)


class AttachBridge(CommandBridge):
    """A WebSocket client's session. It ends with the container, or as the runtime ends it."""

    def __init__(
        self, client: Duplex, runtime: Duplex, protocol: str, streams: CommandStreams, attached: Attached, *, idle_timeout: float
    ) -> None:
        super().__init__(client, runtime, protocol, streams, idle_timeout=idle_timeout)
        self._attached = attached
        self._tails: dict[int, bytes] = {}
        self._heard = asyncio.Event()
        self._reading = asyncio.Lock()
        self._direct = attached.log is None

    async def on_output(self, channel: int, data: bytes) -> None:
        if self._direct or channel == channels.ERROR:
            await super().on_output(channel, data)
            return
        _, newline, tail = data.rpartition(b"\n")
        self._tails[channel] = (tail if newline else self._tails.get(channel, b"") + data)[: LONGEST_TAIL + 1]
        self._heard.set()

    async def on_input_end(self, stream: int) -> None:
        # containerd ends a terminal's output with its input.
        if not (self._streams.tty and self._attached.to_end):
            await super().on_input_end(stream)

    async def _pump_runtime(self) -> None:
        await super()._pump_runtime()
        if self._direct or not self._ready.is_set():
            return
        if self._attached.to_end or not self._attached.running():
            await asyncio.Event().wait()  # the log ends the session
        await self._pass_log()

    def contenders(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (self._watch_container(),)

    async def _watch_container(self) -> None:
        """Until the container has ended and its log is whole, or the runtime fails to end the session."""
        await self._ready.wait()
        await self._follow_log()
        if self._direct:
            await ended(self._attached)
        # How the container ended is for its status to say; the runtime may have refused because it had.
        self._status, self._problem = SUCCESS, None

    async def _follow_log(self) -> None:
        """Until the container has ended and its log is whole, or the runtime's stream has taken over."""
        poll, quiet = FIRST_POLL, 0.0
        while not self._direct:
            alive = self._attached.running()
            if not alive:
                await self._attached.closed()
            if await self._pass_log() or self._heard.is_set():
                poll, quiet = FIRST_POLL, 0.0
                self._heard.clear()
            elif not alive:
                return
            elif quiet >= SETTLE and self._tail_is_short():
                await self._go_direct()
                return
            await self._pause(poll)
            quiet += poll
            poll = min(poll * 1.6, SLOWEST_POLL)

    async def _pause(self, seconds: float) -> None:
        if any(self._tails.values()):
            await self._attached.clock.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()

    def _tail_is_short(self) -> bool:
        return any(self._tails.values()) and max(map(len, self._tails.values())) <= LONGEST_TAIL

    async def _pass_log(self) -> bool:
        """Send new lines of the log; False when there are none."""
        is_at_end = False
        async with self._reading:
            while entries := await self._attached.read():
                is_at_end = True
                for channel, data in by_channel(entries, self._streams):
                    await self.send(channel, data)
        return is_at_end

    async def _go_direct(self) -> None:
        """Show the unfinished lines, and from now on the runtime's output. No other output may come between."""
        self._direct = True
        wire = b"".join(self._channel_writer.data(channel, tail) for channel, tail in self._tails.items() if tail)
        self._tails.clear()
        await self._client.write(wire)


async def ended(attached: Attached) -> None:
    """Wait until the container has been over for so long that the runtime should have ended the session.

    containerd 1.6 leaves a session open that began when the container's output had just ended.
    """
    while attached.running():
        await attached.clock.sleep(SLOWEST_POLL)
    await attached.clock.sleep(LAST_WORDS)


def by_channel(entries: list[LogEntry], streams: CommandStreams) -> list[tuple[int, bytes]]:
    """The entries that the session wants, neighbors of one stream together."""
    attached = {channels.STDOUT: streams.stdout, channels.STDERR: streams.stderr and not streams.tty}
    output: list[tuple[int, bytes]] = []
    for entry in entries:
        channel = _CHANNELS.get(entry.stream, 0)
        if not attached.get(channel):
            continue
        if output and output[-1][0] == channel:
            output[-1] = (channel, output[-1][1] + entry.text)
        else:
            output.append((channel, entry.text))
    return output


async def serve_websocket_attach(
    client: Duplex, headers: list[tuple[str, str]], *, runtime_url: str, streams: CommandStreams, attached: Attached, idle_timeout: float
) -> None:
    """One session with a container that runs, or has ended since (then `runtime_url` may be empty). Raises as `serve_websocket_command`."""
    accept, protocol = negotiate_command(headers)
    if not runtime_url:
        await switch_to_websocket(client, accept, protocol)
        await _tell_log(client, protocol, streams, attached)
        return
    runtime = await connect_runtime(runtime_url, [channels.V4])
    try:
        await switch_to_websocket(client, accept, protocol)
        await AttachBridge(client, runtime.duplex, protocol, streams, attached, idle_timeout=idle_timeout).run()
    finally:
        runtime.duplex.close()


async def _tell_log(client: Duplex, protocol: str, streams: CommandStreams, attached: Attached) -> None:
    websocket = WebSocket()
    writer = ChannelWriter(protocol, websocket)
    await client.write(writer.data(streams.lowest_output(), b""))
    async for channel, data in attached.rest(streams):
        await client.write(writer.data(channel, data))
    last = writer.data(channels.ERROR, SUCCESS) if protocol in STATUS_ON_ERROR_CHANNEL else b""
    await say_goodbye(client, websocket, last)


async def serve_spdy_attach(
    client: Duplex, headers: list[tuple[str, str]], *, runtime_url: str, streams: CommandStreams, attached: Attached, idle_timeout: float
) -> None:
    """The same for a SPDY client, which gets the runtime's bytes unchanged while the container runs."""
    if runtime_url:
        await race(serve_spdy(client, headers, runtime_url=runtime_url, idle_timeout=idle_timeout), ended(attached))
        return
    offered = spdy_protocols(headers)
    protocol = choose(offered, REMOTE_COMMAND_SPDY)
    if protocol is None:
        raise Forbidden(f"requested protocol(s) are not supported: {offered}; supports {list(REMOTE_COMMAND_SPDY)}")
    await switch_to_spdy(client, protocol)
    connection = spdy.SpdyConnection(client=False)
    async with asyncio.timeout(STREAM_CREATION_TIMEOUT):
        opened = await _accept(client, connection, len(streams.specs()))
    async for channel, data in attached.rest(streams):
        if (stream := opened.get(channel)) is not None:
            await client.write(connection.data(stream, data))
    status = SUCCESS if protocol == channels.V4 else b""
    last = connection.data(opened[channels.ERROR], status) if channels.ERROR in opened else b""
    await client.write(last + b"".join(connection.end(stream) for stream in opened.values()))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_TIMEOUT):
            while await client.read():
                pass


async def _accept(client: Duplex, connection: spdy.SpdyConnection, count: int) -> dict[int, int]:
    """Accept the client's streams; those that are there for output, by channel. Raises OSError when the client leaves."""
    kinds = {"error": channels.ERROR, **_CHANNELS}
    opened: dict[int, int] = {}
    while count:
        if not (data := await client.read()):
            raise ConnectionResetError("client left")
        for event in connection.receive(data):
            if isinstance(event, spdy.StreamOpened):
                count -= 1
                await client.write(connection.reply(event.stream_id))
                if (channel := kinds.get(event.header("streamtype") or "")) is not None:
                    opened[channel] = event.stream_id
            elif isinstance(event, spdy.ReplyDue):
                await client.write(event.data)
    return opened
