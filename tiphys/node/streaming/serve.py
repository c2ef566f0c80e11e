"""The three entries: choose by the client's upgrade, answer refusals, close at the end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tiphys.aio.duplex import Duplex, splice
from tiphys.api.errors import BadRequest, StatusError
from tiphys.node.streaming.answers import refuse, relay_refusal, switch_to_spdy
from tiphys.node.streaming.port_forward import serve_websocket_port_forward
from tiphys.node.streaming.remote_command import CommandStreams, serve_websocket_command
from tiphys.node.streaming.runtime import UpgradeRefused, connect_runtime
from tiphys.node.streaming.screened_duplex import ScreenedDuplex
from tiphys.wire.errors import ProtocolError
from tiphys.wire.headers import HeaderPairs, pairs
from tiphys.wire.negotiate import Upgrade, spdy_protocols, upgrade_kind

log = logging.getLogger(__name__)

IDLE_TIMEOUT = 4 * 3600.0
"""Seconds without any data after which a session ends: the kubelet's default for streaming connections."""

RequestHeaders = HeaderPairs | Mapping[str, str]


async def serve_exec(
    client: Duplex,
    request_headers: RequestHeaders,
    *,
    runtime_url: str,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
    idle_timeout: float = IDLE_TIMEOUT,
) -> None:
    """Serve one exec session at the URL that CRI `Exec` returned; returns when it is over and the connection closed.

    The flags must be those of the CRI request, since the runtime waits for exactly these streams (with `tty`, CRI wants `stderr` false;
    it is ignored here). Broken connections and refusals are answered or logged, never raised.
    """
    streams = CommandStreams(stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)

    async def websocket(headers: list[tuple[str, str]]) -> None:
        await serve_websocket_command(client, headers, runtime_url=runtime_url, streams=streams, idle_timeout=idle_timeout)

    await _serve(client, pairs(request_headers), websocket, runtime_url=runtime_url, idle_timeout=idle_timeout)


serve_attach = serve_exec
"""Attach is the same conversation, at the URL of CRI `Attach`."""


async def serve_port_forward(
    client: Duplex, request_headers: RequestHeaders, *, runtime_url: str, ports: Sequence[int] = (), idle_timeout: float = IDLE_TIMEOUT
) -> None:
    """Serve one port-forward session at the URL of CRI `PortForward`. `ports` are those of the query, which only clients of the older
    WebSocket form send (the others name the port per stream)."""

    async def websocket(headers: list[tuple[str, str]]) -> None:
        await serve_websocket_port_forward(client, headers, runtime_url=runtime_url, ports=ports, idle_timeout=idle_timeout)

    await _serve(client, pairs(request_headers), websocket, runtime_url=runtime_url, idle_timeout=idle_timeout)


async def _serve(
    client: Duplex,
    headers: list[tuple[str, str]],
    websocket: Callable[[list[tuple[str, str]]], Awaitable[None]],
    *,
    runtime_url: str,
    idle_timeout: float,
) -> None:
    try:
        try:
            kind = upgrade_kind(headers)
            if kind is Upgrade.WEBSOCKET:
                await websocket(headers)
            elif kind is Upgrade.SPDY:
                await _serve_spdy(client, headers, runtime_url=runtime_url, idle_timeout=idle_timeout)
            else:
                raise BadRequest("Upgrade request required")
        except UpgradeRefused as exc:
            await relay_refusal(client, exc.answer)
        except StatusError as exc:
            await refuse(client, exc)
    except OSError as exc:
        log.debug("streaming connection broke", extra={"error": str(exc)})
    finally:
        client.close()


async def _serve_spdy(client: Duplex, headers: list[tuple[str, str]], *, runtime_url: str, idle_timeout: float) -> None:
    """SPDY clients open the streams themselves; their frames are checked on the way."""
    runtime = await connect_runtime(runtime_url, spdy_protocols(headers))
    try:
        await switch_to_spdy(client, runtime.protocol)
        await splice(ScreenedDuplex(client), runtime.duplex, idle_timeout=idle_timeout)
    except ProtocolError as exc:
        log.info("client broke the streaming protocol", extra={"error": str(exc)})
    finally:
        runtime.duplex.close()
