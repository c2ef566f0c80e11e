"""Transport inside the server's process: requests are passed to the API server's chain as values, without sockets or TLS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from tiphys.wire.http import PeerIdentity, Request, Response

Handler = Callable[[Request], Awaitable[Response]]


class InProcessTransport:
    """Transport that calls `handler` as the client named by `peer`, with the same rights as a connection with such a certificate.

    `headers` (lower-case names) are added to each request, for identities that travel in headers.
    """

    def __init__(self, handler: Handler, *, peer: PeerIdentity | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._handler = handler
        self._peer = peer or PeerIdentity()
        self._headers = dict(headers or {})
        self._closed = False

    async def request(self, request: Request) -> Response:
        """Call the handler. The request is copied, so a handler may change it."""
        if self._closed:
            raise ConnectionError("the transport is closed")
        return await self._handler(msgspec.structs.replace(request, headers={**request.headers, **self._headers}, peer=self._peer))

    async def close(self) -> None:
        self._closed = True
