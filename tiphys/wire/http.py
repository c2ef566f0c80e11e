"""An HTTP exchange as values: the interface of the API server's chain and of client transports.

The same two values travel over TLS and in-process, so a controller inside the server meets the same semantics as a client outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

REPEATED = "\n"
"""Stands between the values of a header that a front proxy repeated; those that others repeat are joined with commas."""


class PeerIdentity(msgspec.Struct, frozen=True):
    """Caller as the transport knows it, before authentication: the verified client certificate's subject, and the address."""

    common_name: str = ""
    organizations: tuple[str, ...] = ()
    address: str = ""
    certificate_sha256: str = ""
    expires: float = 0.0
    """End of the client's certificate, in seconds since the epoch; 0 without one."""
    proxy_name: str = ""
    """The common name of a certificate of the front proxies' authority."""


class Request(msgspec.Struct):
    """One request. Header names are lower case; `query` keeps the order and repetition of the URL."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    peer: PeerIdentity = msgspec.field(default_factory=PeerIdentity)
    connection: Any = None
    """The transport's handle for taking the connection over (an upgrade), where there is one: see `Upgrade`."""

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default


class Upgrade(Protocol):
    """A response that takes over the raw connection: called with it once the server has nothing more to read or write as HTTP."""

    async def __call__(self, connection: Any) -> None: ...


class Response(msgspec.Struct):
    """One response: a whole `body`, or a `stream` of chunks that ends when the iterator does, or an `upgrade`.

    The consumer of a stream closes it in the end with `aclose`, where it has one, also when nothing was read from it.
    """

    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    upgrade: Upgrade | None = None
    repeated: Sequence[tuple[str, str]] = ()
    """Headers whose name may come several times, each on a line of its own, such as `Warning`."""
    sent: Callable[[], None] | None = None
    """Called when the whole answer has gone out, never will, or waits for a reader that is slow; calls after the first have no effect."""


class Transport(Protocol):
    """Carries a request to an API server and brings the response; raises ConnectionError when it cannot."""

    async def request(self, request: Request) -> Response:
        """Send and wait for the response; a streaming response is returned as soon as its head is there."""
        ...

    async def close(self) -> None: ...
