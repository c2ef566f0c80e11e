"""A small HTTP server on llhttp, with or without TLS: requests in, responses or a taken-over connection out, as the kubelet needs it.

Callers may show a client certificate; who must is for the handler to say, from `request.peer`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import parse_qsl, unquote

import httptools

from tiphys.aio.duplex import take_over
from tiphys.aio.tasks import TaskSet
from tiphys.wire.http import PeerIdentity, Request, Response

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

MAX_BODY = 1 << 20
MAX_HEADERS = 64 * 1024
IDLE = 120.0
"""Seconds that a connection may stay open without a request."""

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    301: "Moved Permanently",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
}


class HttpServer:
    """Listens, with TLS where there is a context, and gives each request to `handler`."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None) -> None:
        self.handler = handler
        self._context = context
        self._server: asyncio.Server | None = None
        self.tasks = TaskSet()
        self.connections: set[_Connection] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, ssl=self._context, backlog=256)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()
        await self.tasks.close()
        if self._server is not None:
            await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One client's connection; requests are answered one after the other."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = PeerIdentity()
        self._headers: dict[str, str] = {}
        self._size = 0
        self._url = b""
        self._body = bytearray()
        self._upgraded: bytes | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._requests: list[tuple[Request, bool]] = []
        self._idle: asyncio.TimerHandle | None = None

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._peer = _peer(self._transport)
        self._server.connections.add(self)
        self._rest()

    def data_received(self, data: bytes) -> None:
        if self._idle is not None:
            self._idle.cancel()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded = data[upgrade.args[0] :]
        except (httptools.HttpParserError, ValueError, UnicodeDecodeError):
            self._write_head(400, {"content-length": "0", "connection": "close"})
            self.abort(gently=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._writable.set()
        self._server.connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self, *, gently: bool = False) -> None:
        if self._transport is not None:
            if gently:
                self._transport.close()
            else:
                self._transport.abort()

    def _rest(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(IDLE, self.abort)

    # -- httptools

    def on_message_begin(self) -> None:
        self._headers, self._size, self._url = {}, 0, b""
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        if self._size > MAX_HEADERS:
            raise ValueError("headers too large")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > MAX_BODY:
            raise ValueError("body too large")

    def on_message_complete(self) -> None:
        path, _, query = self._url.partition(b"?")
        request = Request(
            method=self._parser.get_method().decode(),
            path=unquote(path.decode("latin-1")),
            query=parse_qsl(query.decode("latin-1"), keep_blank_values=True),
            headers=self._headers,
            body=bytes(self._body),
            peer=self._peer,
        )
        self._requests.append((request, self._parser.should_keep_alive()))
        if self._task is None:
            self._task = self._server.tasks.spawn(self._answer_all(), name=f"kubelet {request.method} {request.path}")

    # -- answers

    async def _answer_all(self) -> None:
        try:
            while self._requests:
                request, keep = self._requests.pop(0)
                if not await self._answer(request, keep):
                    return
            self._rest()
        except OSError:
            self.abort()
        finally:
            self._task = None

    async def _answer(self, request: Request, keep: bool) -> bool:
        """Answer one request; whether the connection can take another."""
        try:
            response = await self._server.handler(request)
        except Exception:
            log.exception("kubelet request failed", extra={"path": request.path})
            response = Response(status=500, body=b"internal error\n")
        if response.upgrade is not None:
            assert self._transport is not None
            self._server.connections.discard(self)
            self._task = None  # the connection outlives this protocol's idea of it
            duplex = take_over(self._transport, unread=self._upgraded or b"")
            await response.upgrade(duplex)
            return False
        headers = dict(response.headers)
        if not keep:
            headers["connection"] = "close"
        if response.stream is None:
            headers["content-length"] = str(len(response.body))
            self._write_head(response.status, headers)
            await self._write(response.body)
        else:
            headers["transfer-encoding"] = "chunked"
            self._write_head(response.status, headers)
            async with contextlib.aclosing(response.stream) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    if chunk:
                        await self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self._write(b"0\r\n\r\n")
        if not keep:
            self.abort(gently=True)
        return keep

    def _write_head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}", *(f"{name}: {value}" for name, value in headers.items())]
        if self._transport is not None:
            self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    async def _write(self, data: bytes) -> None:
        if self._closed.is_set() or self._transport is None:
            raise ConnectionResetError("the client has gone")
        if data:
            self._transport.write(data)
        await self._writable.wait()


def _peer(transport: asyncio.Transport) -> PeerIdentity:
    certificate = transport.get_extra_info("peercert") or {}
    name, organizations = "", []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                organizations.append(value)
    address = transport.get_extra_info("peername") or ("",)
    return PeerIdentity(common_name=name, organizations=tuple(organizations), address=str(address[0]))


def server_context(cert: str, key: str, client_ca: str) -> ssl.SSLContext:
    """TLS with the server's certificate; clients may show one signed by `client_ca`. Raises OSError and ssl.SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
