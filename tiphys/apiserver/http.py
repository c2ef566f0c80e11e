"""HTTP/1.1 over TLS, with what a web framework does not give: the client's certificate and the raw connection after an upgrade.

llhttp (httptools) parses; this module keeps the limits (header size, body size, idle and slow clients), answers one request at a time per
connection in order, writes whole or chunked responses under back-pressure, and hands over upgraded connections.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl

import httptools
import msgspec

from tiphys.aio.duplex import take_over
from tiphys.api.meta.v1 import Status
from tiphys.wire.http import PeerIdentity, Request, Response

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 64 << 10
MAX_TARGET_BYTES = 64 << 10
MAX_BODY_BYTES = 3 << 20
IDLE_SECONDS = 180.0
SLOW_SECONDS = 30.0
MAX_PIPELINED = 64
JOIN_BELOW = 64 << 10

Handler = Callable[[Request], Awaitable[Response]]
_REASONS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def peer_identity(transport: asyncio.BaseTransport) -> PeerIdentity:
    """The subject of the client's verified certificate, if it sent one, and its address."""
    address = transport.get_extra_info("peername")
    host = str(address[0]) if address else ""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return PeerIdentity(address=host)
    pairs = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in pairs if key == "commonName"]
    return PeerIdentity(
        common_name=names[0] if names else "",
        organizations=tuple(value for key, value in pairs if key == "organizationName"),
        address=host,
    )


def _failure(status: int, reason: str, message: str) -> Response:
    said = Status(status="Failure", message=message, reason=reason, code=status)
    body = msgspec.json.encode(said)
    return Response(status, {"Content-Type": "application/json"}, body)


class Connection(asyncio.Protocol):
    """One client connection: parses, queues, answers in order."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._resume: asyncio.Future[None] | None = None
        self._handed_over = False
        self._upgrading = False
        self._leftover = b""
        self._refused = False
        self._paused_reading = False
        self.active_at = time.monotonic()
        self.reading = False
        self._begin()

    # --- transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = peer_identity(transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.forget(self)
        self.resume_writing()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._resume = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._resume is not None and not self._resume.done():
            self._resume.set_result(None)
        self._resume = None

    async def _write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client closed the connection")
        self._transport.write(data)
        if self._resume is not None:
            await self._resume

    def data_received(self, data: bytes) -> None:
        if self._upgrading:
            self._leftover += data
            return
        if self._refused:
            return
        self.active_at = time.monotonic()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrading = True
            self._leftover = data[upgrade.args[0] :]
        except (httptools.HttpParserError, ValueError):
            self._refuse(_failure(400, "BadRequest", "the request is not valid HTTP/1.1"))

    # --- parser callbacks ---

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_message_begin(self) -> None:
        self.reading = True

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > MAX_TARGET_BYTES:
            self._refuse(_failure(414, "RequestURITooLong", "the URL is too long"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(_failure(431, "BadRequest", f"the request headers are larger than {MAX_HEADER_BYTES} bytes"))
            return
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known},{text}"

    def on_headers_complete(self) -> None:
        length = self._headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            self._too_large()
        elif self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._too_large()
        else:
            self._body.append(body)

    def _too_large(self) -> None:
        self._refuse(_failure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY_BYTES}"))

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self.reading = False
        path, _, query = self._target.partition(b"?")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(
            method=self._parser.get_method().decode(),
            path=path.decode("latin-1"),
            query=parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else (),
            headers=self._headers,
            body=body,
            peer=self._peer,
            connection=self,
        )
        self._queue.append((request, self._parser.should_keep_alive()))
        self._begin()
        if self._task is None:
            self._task = self._server.loop.create_task(self._serve())
        elif len(self._queue) > MAX_PIPELINED and not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()

    def _refuse(self, response: Response) -> None:
        """Answer a request that is not worth reading to its end, and close."""
        if not self._refused:
            self._refused = True
            self._queue.append((Request("GET", "", connection=response), False))
            if self._task is None:
                self._task = self._server.loop.create_task(self._serve())

    # --- answering ---

    async def _serve(self) -> None:
        try:
            while self._queue:
                request, keep_alive = self._queue.popleft()
                refused = isinstance(request.connection, Response)
                response = request.connection if refused else await self._server.handler(request)
                if response.upgrade is not None:
                    await self._hand_over(response)
                    return
                keep_alive = keep_alive and not self._server.draining and "upgrade" not in request.headers
                await self._answer(request, response, keep_alive)
                if not keep_alive:
                    self._transport.close()
                    return
                if self._paused_reading and len(self._queue) < MAX_PIPELINED // 2:
                    self._paused_reading = False
                    self._transport.resume_reading()
        except ConnectionError:
            self._transport.abort()
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        except Exception:
            log.exception("connection failed", extra={"peer": self._peer.address})
            self._transport.abort()
        finally:
            self._task = None
            self.active_at = time.monotonic()

    async def _answer(self, request: Request, response: Response, keep_alive: bool) -> None:
        head = [_REASONS.get(response.status) or f"HTTP/1.1 {response.status} Status\r\n".encode()]
        head += [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in response.headers.items()]
        if not keep_alive:
            head.append(b"Connection: close\r\n")
        if response.stream is not None:
            await self._answer_stream(request, response, head)
            return
        body = response.body
        head.append(b"Content-Length: %d\r\n\r\n" % len(body))
        if request.method == "HEAD":
            body = b""
        if len(body) < JOIN_BELOW:
            head.append(body)
            await self._write(b"".join(head))
        else:
            self._transport.write(b"".join(head))
            await self._write(body)

    async def _answer_stream(self, request: Request, response: Response, head: list[bytes]) -> None:
        stream = response.stream
        assert stream is not None
        try:
            head.append(b"Transfer-Encoding: chunked\r\n\r\n")
            await self._write(b"".join(head))
            async for part in stream:
                if part:
                    await self._write(b"%x\r\n%b\r\n" % (len(part), part))
            await self._write(b"0\r\n\r\n")
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _hand_over(self, response: Response) -> None:
        assert response.upgrade is not None
        self._handed_over = True
        duplex = take_over(self._transport, unread=self._leftover)
        try:
            await response.upgrade(duplex)
        finally:
            duplex.close()
            self._server.forget(self)

    # --- limits ---

    def sweep(self, now: float) -> None:
        """Close a connection that is idle, or that takes too long to send a request."""
        if self._task is None and not self._handed_over and now - self.active_at > (SLOW_SECONDS if self.reading else IDLE_SECONDS):
            self._transport.abort()

    def drain(self) -> None:
        """Close at once if no request is being answered."""
        if self._task is None:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class Server:
    """Listens and keeps the set of connections."""

    def __init__(self, handler: Handler, *, context: ssl.SSLContext | None) -> None:
        self.handler = handler
        self.connections: set[Connection] = set()
        self.draining = False
        self._context = context
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._empty: asyncio.Future[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (useful with 0). Raises OSError when the address is taken."""
        self.loop = asyncio.get_running_loop()
        self._server = await self.loop.create_server(lambda: Connection(self), host, port, ssl=self._context, backlog=1024)
        self._sweeper = self.loop.create_task(self._sweep(), name="http-sweeper")
        return int(self._server.sockets[0].getsockname()[1])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(10.0)
            now = time.monotonic()
            for connection in tuple(self.connections):
                connection.sweep(now)

    async def stop(self, grace: float = 5.0) -> None:
        """Stop listening, let answers under way finish for `grace` seconds, then cut the rest."""
        self.draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.drain()
        await self._emptied(grace)
        for connection in tuple(self.connections):
            connection.abort()
        await self._emptied(1.0)

    async def _emptied(self, timeout: float) -> None:
        """Wait until no connection is left, at most `timeout` seconds."""
        if self.connections:
            self._empty = self.loop.create_future()
            await asyncio.wait((self._empty,), timeout=timeout)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)


def server_context(certificate: str, key: str, client_ca: str) -> Any:
    """TLS for serving: our certificate, and clients' certificates checked against `client_ca` where they send one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
