"""An HTTP server: listens, sweeps out connections beyond their limits, and stops without cutting anybody short."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from tiphys.http.backlog import CHECK_SECONDS
from tiphys.http.connection import Connection
from tiphys.http.limits import Limits
from tiphys.http.peer import peer_identity
from tiphys.http.pool import Handler, Identify, Pool, Refuse, plain_refusal
from tiphys.wire.http import Request

SWEEP_SECONDS = 5.0
HANDSHAKE_SECONDS = 15.0
STREAM_SECONDS = 5.0
"""Seconds that a stop waits for streams and handed-over connections, which end when their clients do."""
LAST_SECONDS = 0.1
"""Seconds that a stop listens to idle connections: requests sent before their clients noticed are still answered."""


class Server:
    """Listens, with TLS where there is a context, and gives each request to `handler`."""

    def __init__(
        self,
        handler: Handler,
        *,
        context: ssl.SSLContext | None,
        limits: Limits | None = None,
        is_long: Callable[[Request], bool] = lambda _: False,
        identify: Identify = peer_identity,
        refuse: Refuse = plain_refusal,
    ) -> None:
        self.pool = Pool(handler, limits=limits or Limits(), is_long=is_long, identify=identify, refuse=refuse)
        self._context = context
        self._server: asyncio.Server | None = None
        self._watchers: tuple[asyncio.Task[None], ...] = ()

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (useful with 0). Raises OSError when the address is taken."""
        pool = self.pool
        pool.loop = loop = asyncio.get_running_loop()
        handshake = HANDSHAKE_SECONDS if self._context is not None else None
        self._server = await loop.create_server(
            lambda: Connection(pool), host, port, ssl=self._context, backlog=1024, ssl_handshake_timeout=handshake
        )
        self._watchers = (
            loop.create_task(_sweep(pool), name="http-sweeper"),
            loop.create_task(_watch_backlog(pool), name="http-backlog"),
        )
        return int(self._server.sockets[0].getsockname()[1])

    def drain(self) -> None:
        """From now on let connections end with the answer under way."""
        self.pool.draining = True

    async def stop(self, grace: float = 5.0) -> None:
        """Stop listening, let answers under way finish for `grace` seconds (streams for less), then cut the rest."""
        self.drain()
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        pool = self.pool
        await pool.emptied(min(LAST_SECONDS, grace / 10))
        for connection in tuple(pool.connections):
            connection.drain()
        streams = min(STREAM_SECONDS, grace)
        await pool.emptied(streams)
        for connection in tuple(pool.connections):
            if connection.is_stream:
                connection.abort()
        await pool.emptied(grace - streams)
        for connection in tuple(pool.connections):
            connection.abort()
        await pool.end_tasks()
        await pool.emptied(1.0)


async def _sweep(pool: Pool) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        pool.sweep()


async def _watch_backlog(pool: Pool) -> None:
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        pool.check_backlog()


def server_context(certificate: str, key: str, *authorities: str) -> ssl.SSLContext:
    """TLS for serving: our certificate, and clients' certificates checked against the authorities, if any, where they send one.

    Raises OSError and ssl.SSLError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    for authority in authorities:
        context.load_verify_locations(authority)
    if authorities:
        context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
