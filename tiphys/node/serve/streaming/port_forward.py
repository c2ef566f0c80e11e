"""Port-forward for WebSocket clients: SPDY inside messages (KEP-4006), or, for older clients, two channels per port."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.aio.duplex import Activity, Duplex, race
from tiphys.api.machinery.errors import BadRequest, Forbidden
from tiphys.node.serve.streaming.answers import switch_to_websocket
from tiphys.node.serve.streaming.bridge import ChannelBridge, StreamSpec
from tiphys.node.serve.streaming.goodbye import say_goodbye
from tiphys.node.serve.streaming.outbox import Outbox
from tiphys.node.serve.streaming.runtime import connect_runtime
from tiphys.wire.errors import ProtocolError
from tiphys.wire.negotiate import (
    PORT_FORWARD,
    PORT_FORWARD_CHANNELS,
    PORT_FORWARD_TUNNEL,
    choose,
    websocket_accept,
    websocket_protocols,
)
from tiphys.wire.spdy_screen import SpdyScreen
from tiphys.wire.websocket import CLOSE_NORMAL, CLOSE_PROTOCOL_ERROR, Closed, MessagePiece, PingReceived, WebSocket


class SpdyTunnel:
    """SPDY bytes in WebSocket messages on the client's side, plain at the runtime's. Message boundaries mean nothing."""

    def __init__(self, client: Duplex, runtime: Duplex, *, idle_timeout: float) -> None:
        self._client = client
        self._runtime = runtime
        self._websocket = WebSocket()
        self._screen = SpdyScreen()
        self._activity = Activity(idle_timeout)
        self._replies = Outbox(client)

    async def run(self) -> None:
        """Until either side ends. Raises OSError."""
        code = CLOSE_NORMAL
        try:
            await race(self._pump_client(), self._pump_runtime(), self._activity.wait_idle(), self._replies.run())
        except ProtocolError:
            code = CLOSE_PROTOCOL_ERROR
        await say_goodbye(self._client, self._websocket, code=code)

    async def _pump_client(self) -> None:
        while data := await self._client.read():
            for event in self._websocket.receive(data):
                if isinstance(event, MessagePiece):
                    if event.is_text:
                        raise ProtocolError("SPDY is tunneled in binary messages")
                    self._activity.touch()
                    if frames := self._screen.feed(event.data):
                        await self._runtime.write(frames)
                elif isinstance(event, PingReceived):
                    self._replies.post(event.reply)
                elif isinstance(event, Closed):
                    await self._client.write(event.reply)
                    return

    async def _pump_runtime(self) -> None:
        while data := await self._runtime.read():
            self._screen.answered(data)
            await self._client.write(self._websocket.message(data))
            self._activity.touch()


class PortBridge(ChannelBridge):
    """Channels 2i (data) and 2i+1 (error) for the i-th port; each begins with the port in two bytes, little-endian."""

    def __init__(self, client: Duplex, runtime: Duplex, protocol: str, ports: Sequence[int], *, idle_timeout: float) -> None:
        super().__init__(client, runtime, protocol, _port_specs(ports), idle_timeout=idle_timeout)
        self._ports = ports

    def greeting(self) -> list[tuple[int, bytes]]:
        return [(2 * i + side, port.to_bytes(2, "little")) for i, port in enumerate(self._ports) for side in (0, 1)]


def _port_specs(ports: Sequence[int]) -> list[StreamSpec]:
    specs = []
    for i, port in enumerate(ports):
        common = (("port", str(port)), ("requestID", str(i)))
        specs.append(StreamSpec((("streamType", "error"), *common), output=2 * i + 1))
        specs.append(StreamSpec((("streamType", "data"), *common), input=2 * i, output=2 * i))
    return specs


async def serve_websocket_port_forward(
    client: Duplex, headers: list[tuple[str, str]], *, runtime_url: str, ports: Sequence[int], idle_timeout: float
) -> None:
    """One session. Raises StatusError and UpgradeRefused before the 101, OSError after it."""
    offered = websocket_protocols(headers)
    protocol = choose(offered, (PORT_FORWARD_TUNNEL, *PORT_FORWARD_CHANNELS))
    if protocol is None:
        supported = [PORT_FORWARD_TUNNEL, *(name for name in PORT_FORWARD_CHANNELS if name)]
        raise Forbidden(f"requested protocol(s) are not supported: {offered}; supports {supported}")
    try:
        accept = websocket_accept(headers)
    except ProtocolError as exc:
        raise BadRequest(str(exc)) from exc
    if protocol != PORT_FORWARD_TUNNEL and not ports:
        raise BadRequest('query parameter "ports" is required')
    runtime = await connect_runtime(runtime_url, [PORT_FORWARD])
    try:
        await switch_to_websocket(client, accept, protocol)
        if protocol == PORT_FORWARD_TUNNEL:
            await SpdyTunnel(client, runtime.duplex, idle_timeout=idle_timeout).run()
        else:
            await PortBridge(client, runtime.duplex, protocol, ports, idle_timeout=idle_timeout).run()
    finally:
        runtime.duplex.close()
