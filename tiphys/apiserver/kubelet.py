"""How the API server reaches kubelets: for logs, exec, attach, port-forward and the node proxy.

Requests go over TLS with the server's kubelet client certificate to the node's internal address. Plain requests are answered as streams;
upgrades become a raw tunnel, so whatever protocol the client and the kubelet agree on passes unchanged.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import httptools

from tiphys.aio.duplex import Duplex, open_duplex, splice
from tiphys.api.core import v1 as core
from tiphys.api.errors import NotFound, ServiceUnavailable
from tiphys.wire.http import Response

CONNECT_SECONDS = 10.0
HEAD_SECONDS = 60.0
_HOP_BY_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"))


class _ResponseParser:
    """Collects the head of a response and the body as it comes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.head_done = False
        self.done = False
        self.upgraded = False
        self.leftover = b""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgraded = True
            self.leftover = data[upgrade.args[0] :]
        except httptools.HttpParserError as exc:
            raise ConnectionError(f"not a valid HTTP answer: {exc}") from exc

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.done = True


def node_address(node: core.Node) -> tuple[str, int]:
    """Where the node's kubelet listens; raises ServiceUnavailable when the node has not said."""
    addresses = {address.type: address.address for address in node.status.addresses}
    host = addresses.get("InternalIP") or addresses.get("ExternalIP") or addresses.get("Hostname")
    port = node.status.daemonEndpoints.kubeletEndpoint.Port
    if not host or not port:
        raise ServiceUnavailable(f'node "{node.metadata.name}" has not reported the address of its kubelet yet')
    return host, port


class KubeletConnector:
    """Opens requests to kubelets."""

    def __init__(self, find_node: Callable[[str], core.Node | None], context: ssl.SSLContext | None) -> None:
        self._find_node = find_node
        self._context = context

    async def request(
        self, node_name: str, method: str, target: str, *, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", upgrade: bool = False
    ) -> Response:
        """Send to the kubelet of a node. `target` is path and query.

        The response streams, or (with `upgrade`) takes the connection over.
        """
        node = self._find_node(node_name)
        if node is None:
            raise NotFound.object("nodes", node_name)
        host, port = node_address(node)
        return await forward(
            host,
            port,
            method,
            target,
            context=self._context,
            headers=headers,
            body=body,
            upgrade=upgrade,
            who=f'the kubelet of node "{node_name}"',
        )


async def forward(
    host: str,
    port: int,
    method: str,
    target: str,
    *,
    context: ssl.SSLContext | None,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    upgrade: bool,
    who: str,
) -> Response:
    """One HTTP/1.1 request to an upstream, answered as a stream or as a tunnel; raises ServiceUnavailable when it cannot be reached."""
    await asyncio.sleep(0)  # A request that has not waited yet is not a task, and `asyncio.timeout` needs one.
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            upstream = await open_duplex(host, port, ssl=context)
    except (OSError, TimeoutError) as exc:
        raise ServiceUnavailable(f"cannot reach {who} at {host}:{port}: {exc or 'timed out'}") from exc
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}:{port}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not upgrade:
        lines.append("Connection: close")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    parser = _ResponseParser()
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            await upstream.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            while not parser.head_done:
                data = await upstream.read()
                if not data:
                    raise ConnectionError("the connection ended before an answer")
                parser.feed(data)
    except (OSError, TimeoutError) as exc:
        upstream.close()
        raise ServiceUnavailable(f"{who} at {host}:{port} does not answer: {exc or 'timed out'}") from exc
    if parser.status == 101:
        upstream.push_back(parser.leftover)
        return _tunnel(parser, upstream)
    passed = {name.title(): value for name, value in parser.headers.items() if name not in _HOP_BY_HOP}
    return Response(parser.status, passed, stream=_Body(parser, upstream))


class _Body:
    """The rest of an answer as it comes. Closing it closes the connection to the upstream, also when nothing was read."""

    def __init__(self, parser: _ResponseParser, upstream: Duplex) -> None:
        self._parser = parser
        self._upstream = upstream

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        parser = self._parser
        while not parser.body:
            data = b"" if parser.done else await self._upstream.read()
            if not data:
                self._upstream.close()
                raise StopAsyncIteration
            parser.feed(data)
        parts, parser.body = parser.body, []
        return b"".join(parts)

    async def aclose(self) -> None:
        self._upstream.close()


def _tunnel(parser: _ResponseParser, upstream: Duplex) -> Response:
    async def take(connection: Any) -> None:
        try:
            head = "".join(f"{name.title()}: {value}\r\n" for name, value in parser.headers.items())
            await connection.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n".encode("latin-1"))
            await splice(connection, upstream)
        finally:
            upstream.close()

    return Response(101, upgrade=take)
