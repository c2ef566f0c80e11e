"""The three entries: choose by the client's upgrade, answer refusals, close at the end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tiphys.aio.duplex import Duplex
from tiphys.api.machinery.errors import BadRequest, StatusError
from tiphys.node.serve.streaming.answers import refuse, relay_refusal
from tiphys.node.serve.streaming.attach import Attached, serve_spdy_attach, serve_websocket_attach
from tiphys.node.serve.streaming.passthrough import serve_spdy
from tiphys.node.serve.streaming.port_forward import serve_websocket_port_forward
from tiphys.node.serve.streaming.remote_command import CommandStreams, serve_websocket_command
from tiphys.node.serve.streaming.runtime import UpgradeRefused
from tiphys.wire.headers import HeaderPairs, pairs
from tiphys.wire.negotiate import Upgrade, upgrade_kind

log = logging.getLogger(__name__)

IDLE_TIMEOUT = 4 * 3600.0
"""Seconds without any data after which a session ends: the kubelet's default for streaming connections."""

RequestHeaders = HeaderPairs | Mapping[str, str]


async def serve_exec(
    client: Duplex,
    request_headers: RequestHeaders,
    *,
    runtime_url: str,
    streams: CommandStreams,
    idle_timeout: float = IDLE_TIMEOUT,
) -> None:
    """Serve one exec session at the URL that CRI `Exec` returned; returns when it is over and the connection closed.

    The streams must be those of the CRI request, since the runtime waits for exactly these (with `tty`, CRI wants `stderr` false; it is
    ignored here). Broken connections and refusals are answered or logged, never raised.
    """

    async def websocket(headers: list[tuple[str, str]]) -> None:
        await serve_websocket_command(client, headers, runtime_url=runtime_url, streams=streams, idle_timeout=idle_timeout)

    async def over_spdy(headers: list[tuple[str, str]]) -> None:
        await serve_spdy(client, headers, runtime_url=runtime_url, idle_timeout=idle_timeout)

    await _serve(client, pairs(request_headers), websocket, over_spdy)


async def serve_attach(
    client: Duplex,
    request_headers: RequestHeaders,
    *,
    runtime_url: str,
    streams: CommandStreams,
    attached: Attached | None = None,
    idle_timeout: float = IDLE_TIMEOUT,
) -> None:
    """The same conversation at the URL of CRI `Attach`; with "" for a container that has ended, which is answered from its log."""
    if attached is None:
        await serve_exec(client, request_headers, runtime_url=runtime_url, streams=streams, idle_timeout=idle_timeout)
        return

    async def websocket(headers: list[tuple[str, str]]) -> None:
        await serve_websocket_attach(
            client, headers, runtime_url=runtime_url, streams=streams, attached=attached, idle_timeout=idle_timeout
        )

    async def over_spdy(headers: list[tuple[str, str]]) -> None:
        await serve_spdy_attach(client, headers, runtime_url=runtime_url, streams=streams, attached=attached, idle_timeout=idle_timeout)

    try:
        await _serve(client, pairs(request_headers), websocket, over_spdy)
    finally:
        attached.close()


async def serve_port_forward(
    client: Duplex, request_headers: RequestHeaders, *, runtime_url: str, ports: Sequence[int] = (), idle_timeout: float = IDLE_TIMEOUT
) -> None:
    """Serve one port-forward session at the URL of CRI `PortForward`. `ports` are those of the query, which only clients of the older
    WebSocket form send (the others name the port per stream)."""

    async def websocket(headers: list[tuple[str, str]]) -> None:
        await serve_websocket_port_forward(client, headers, runtime_url=runtime_url, ports=ports, idle_timeout=idle_timeout)

    async def over_spdy(headers: list[tuple[str, str]]) -> None:
        await serve_spdy(client, headers, runtime_url=runtime_url, idle_timeout=idle_timeout)

    await _serve(client, pairs(request_headers), websocket, over_spdy)


async def _serve(
    client: Duplex,
    headers: list[tuple[str, str]],
    websocket: Callable[[list[tuple[str, str]]], Awaitable[None]],
    over_spdy: Callable[[list[tuple[str, str]]], Awaitable[None]],
) -> None:
    try:
        try:
            kind = upgrade_kind(headers)
            if kind is Upgrade.WEBSOCKET:
                await websocket(headers)
            elif kind is Upgrade.SPDY:
                await over_spdy(headers)
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
