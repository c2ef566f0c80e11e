"""The door of the API server: listens, keeps the set of connections, sweeps out idle ones, and stops without cutting anybody short."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from tiphys.aio.clock import monotonic
from tiphys.apiserver.http.backlog import CHECK_SECONDS, Backlog
from tiphys.apiserver.http.connection import Connection
from tiphys.apiserver.http.peer import peer_identity
from tiphys.apiserver.http.turns import Turns
from tiphys.wire.http import PeerIdentity, Request, Response

SWEEP_SECONDS = 5.0
HANDSHAKE_SECONDS = 15.0
RESPONSE_SECONDS = 60.0
"""How long a request may be answered, unless it is one that goes on for as long as its client likes."""
STREAM_SECONDS = 5.0
"""How long a stop waits for streams and handed-over connections, which end when their clients do."""
LAST_SECONDS = 0.1
"""How long a stop listens to idle connections: what their clients sent before they heard of it is still answered."""
MAX_CONNECTIONS = 20_000

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Server:
    """Listens and keeps the set of connections."""

    def __init__(
        self,
        handler: Handler,
        *,
        context: ssl.SSLContext | None,
        response_seconds: float = RESPONSE_SECONDS,
        is_long: Callable[[Request], bool] = lambda _: False,
        max_connections: int = MAX_CONNECTIONS,
        identify: Callable[[asyncio.BaseTransport], PeerIdentity] = peer_identity,
    ) -> None:
        self.handler = handler
        self.response_seconds = response_seconds
        self.is_long = is_long
        """Whether a request may take as long as it likes to be answered."""
        self.max_connections = max_connections
        self.identify = identify
        self.refused = 0
        """How many connections were cut because there were too many."""
        self.connections: set[Connection] = set()
        self.backlog = Backlog()
        self.stream_turns = Turns()
        self.answer_turns = Turns()
        self.draining = False
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._watchman: asyncio.Task[None] | None = None
        self._check: asyncio.Handle | None = None
        self._empty: asyncio.Future[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (useful with 0). Raises OSError when the address is taken."""
        self.loop = asyncio.get_running_loop()
        handshake = HANDSHAKE_SECONDS if self._context is not None else None
        self._server = await self.loop.create_server(
            lambda: Connection(self), host, port, ssl=self._context, backlog=1024, ssl_handshake_timeout=handshake
        )
        self._sweeper = self.loop.create_task(self._sweep(), name="http-sweeper")
        self._watchman = self.loop.create_task(self._watch_backlog(), name="http-backlog")
        return int(self._server.sockets[0].getsockname()[1])

    def spawn(self, serving: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends before the server does."""
        task = self.loop.create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = monotonic()
            for connection in tuple(self.connections):
                connection.sweep(now)

    async def _watch_backlog(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.backlog.check(monotonic())

    def check_backlog_soon(self) -> None:
        """Look at what is unread in this turn of the loop."""
        if self._check is None:
            self._check = self.loop.call_soon(self._check_backlog)

    def _check_backlog(self) -> None:
        self._check = None
        self.backlog.check(monotonic())

    async def stop(self, grace: float = 5.0) -> None:
        """Stop listening, let answers under way finish for `grace` seconds (streams for less), then cut the rest."""
        self.draining = True
        for task in (self._sweeper, self._watchman):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        await self._emptied(min(LAST_SECONDS, grace / 10))
        for connection in tuple(self.connections):
            connection.drain()
        streams = min(STREAM_SECONDS, grace)
        await self._emptied(streams)
        for connection in tuple(self.connections):
            if connection.is_stream:
                connection.abort()
        await self._emptied(grace - streams)
        for connection in tuple(self.connections):
            connection.abort()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._emptied(1.0)

    async def _emptied(self, timeout: float) -> None:
        """Wait until no connection is left, at most `timeout` seconds."""
        if self.connections:
            self._empty = self.loop.create_future()
            await asyncio.wait((self._empty,), timeout=timeout)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self.backlog.end(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)


def server_context(certificate: str, key: str, *authorities: str) -> Any:
    """TLS for serving: our certificate, and clients' certificates checked against the authorities where they send one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    for authority in authorities:
        context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
