"""Transport over HTTPS, on aiohttp."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from tiphys.aio.certificates import CertificateFiles
from tiphys.aio.clock import Clock, LoopClock, monotonic
from tiphys.client.credentials import Credentials
from tiphys.client.tls import Pem, client_context
from tiphys.obs import metrics
from tiphys.wire.http import Request, Response

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
IDLE_SECONDS = 60.0
"""Time for which an unused connection is kept open."""

# A peer that vanished silently is noticed after 30 seconds, also by a watch that only listens.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
REQUESTS = metrics.counter("rest_client_requests_total", "Requests to the API server, by code.", "code", "method", "host")
REQUEST_SECONDS = metrics.histogram(
    "rest_client_request_duration_seconds", "Time of requests to the API server, in seconds.", "verb", "host",
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60),
)  # fmt: skip
_PATH_SAFE = "/:@!$&'()*+,;=~"


class HttpTransport:
    """Connections to one API server, kept alive between requests. Belongs to the event loop of its first request.

    `ca`, `cert` and `key` are PEM data (bytes) or file names; files that change are read again, as is `token_file`. `timeout` is how
    many seconds an answer may keep silent (watches and followed logs may forever).
    """

    def __init__(
        self,
        server: str,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        token: str = "",
        *,
        token_file: str | Path | None = None,
        insecure: bool = False,
        server_name: str = "",
        timeout: float = ANSWER_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not the URL of a server: {server!r}")
        self.server = server.rstrip("/")
        self._host = parts.netloc
        self._context: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._context = client_context(ca=ca, cert=cert, key=key, insecure=insecure)
        files = None
        if self._context is not None and any(isinstance(pem, str | Path) for pem in (ca, cert)):
            files = CertificateFiles(self._context, cert=_path(cert), key=_path(key), ca=None if insecure else _path(ca))
        self._server_name = server_name or None
        self._credentials = Credentials(token=token, token_file=token_file, files=files, clock=clock or LoopClock())
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(self, request: Request) -> Response:
        """Send a request; a watch or a followed log comes back as a stream. Raises ConnectionError when there is no answer."""
        started = monotonic()
        code = "<error>"
        try:
            response = await self._send(request)
            code = str(response.status)
            return response
        finally:
            REQUESTS.labels(code, request.method, self._host).inc()
            REQUEST_SECONDS.labels(request.method, self._host).observe(monotonic() - started)

    async def _send(self, request: Request) -> Response:
        streaming = _wants_stream(request)
        headers = {**request.headers, **await self._credentials.headers()}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=None if streaming else self._timeout)
        try:
            answer = await self._open().request(
                request.method,
                self._url(request),
                headers=headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=timeout,
                server_hostname=self._server_name,
            )
            names = {name.lower(): value for name, value in answer.headers.items()}
            if streaming and answer.status < 400:
                return Response(status=answer.status, headers=names, stream=_stream(answer))
            async with answer:
                return Response(status=answer.status, headers=names, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionError(f"{request.method} {self.server}{request.path}: {_reason(error)}") from error

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConnectionError("the transport is closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS, ssl=self._context or False, socket_factory=_socket)
            # Compressing costs more than it saves on the networks of a cluster.
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"accept-encoding": "identity"}, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _url(self, request: Request) -> URL:
        path = quote(request.path, safe=_PATH_SAFE)
        query = "?" + urlencode(list(request.query)) if request.query else ""
        return URL(f"{self.server}{path}{query}", encoded=True)


def _path(pem: Pem | None) -> Path | None:
    return Path(pem) if isinstance(pem, str | Path) else None


def _wants_stream(request: Request) -> bool:
    return request.method == "GET" and any(name in ("watch", "follow") and value in ("true", "1") for name, value in request.query)


async def _stream(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConnectionError(f"the stream broke: {_reason(error)}") from error
    finally:
        # Closing gives up the connection of a stream that was left early; one that was read to its end is back in the pool already.
        answer.close()


def _socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    for level, option, value in _KEEPALIVE:
        sock.setsockopt(level, option, value)
    return sock


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
