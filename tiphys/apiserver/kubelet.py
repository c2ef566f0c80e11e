"""Connections of the API server to kubelets: for logs, exec, attach, port-forward and the node proxy.

Requests go over TLS with the server's kubelet client certificate to the node's internal address. Plain requests are answered as streams;
upgrades become a raw tunnel, so whatever protocol the client and the kubelet agree on passes unchanged.

A node's status is what its clients wrote: an address of this machine's loopback or link is refused (`targets`), since the certificate would
open whatever listens there. Kubelets on this machine that have no other address are known by the server's own settings (`local`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tiphys.aio.duplex import Duplex, open_duplex, splice
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound, ServiceUnavailable
from tiphys.apiserver import targets
from tiphys.wire.errors import ProtocolError
from tiphys.wire.http import Response
from tiphys.wire.http_upgrade import AnswerParser, request_head, response_head

CONNECT_SECONDS = 10.0
HEAD_SECONDS = 60.0
KUBELET_PORT = 10250
MAX_PAGE = 32 << 20
"""Bytes of an answer that are read into memory at most."""
MAX_HEAD = 256 << 10
"""Bytes that an upstream, which may be any pod, can make us keep before its answer begins."""
_HOP_BY_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"))


def node_address(node: core.Node) -> tuple[str, int]:
    """Return the address of the node's kubelet: the usual port, unless the node names another. Raises ServiceUnavailable without any."""
    addresses = {address.type: address.address for address in node.status.addresses}
    host = addresses.get("InternalIP") or addresses.get("ExternalIP") or addresses.get("Hostname")
    port = node.status.daemonEndpoints.kubeletEndpoint.Port
    if not host:
        raise ServiceUnavailable(f'node "{node.metadata.name}" has not reported the address of its kubelet yet')
    return host, port if port > 0 else KUBELET_PORT


class KubeletConnector:
    """Opens requests to kubelets."""

    def __init__(
        self,
        find_node: Callable[[str], core.Node | None],
        context: ssl.SSLContext | None,
        *,
        unverified: ssl.SSLContext | None = None,
        local: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self._find_node = find_node
        self._context = context
        self._unverified = unverified or context
        """For callers that do not care whether it is the kubelet that answers."""
        self._local = local or {}
        """Addresses of kubelets of this machine, by node, for nodes whose status has no address beyond loopback."""

    async def location(self, node_name: str) -> tuple[str, int]:
        """The address and port of a node's kubelet; raises NotFound, ServiceUnavailable, AddressNotAllowed."""
        node = self._find_node(node_name)
        if node is None:
            raise NotFound.object("nodes", node_name)
        host, port = node_address(node)
        local = self._local.get(node_name)
        if local is not None and not targets.is_proxyable(host):
            return local
        return await targets.proxyable(host), port

    async def request(
        self,
        node_name: str,
        method: str,
        target: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        upgrade: bool = False,
        verify: bool = True,
    ) -> Response:
        """Send to the kubelet of a node. `target` is path and query; `verify` says whether the kubelet's certificate must be the cluster's.

        The response streams, or (with `upgrade`) takes the connection over.
        """
        host, port = await self.location(node_name)
        return await forward(
            host,
            port,
            method,
            target,
            context=self._context if verify else self._unverified,
            headers=headers,
            body=body,
            upgrade=upgrade,
            who=f'the kubelet of node "{node_name}"',
        )

    async def resource_metrics(self, node_name: str) -> bytes:
        """Return the page `/metrics/resource` of a node's kubelet; raises also ConnectionError."""
        response = await self.request(node_name, "GET", "/metrics/resource")
        return await read_answer(response, node_name)


async def read_answer(response: Response, node_name: str) -> bytes:
    """Return the whole body of a kubelet's answer. Raises ServiceUnavailable unless it is a success of a bearable size."""
    stream, parts, size = response.stream, [], 0
    assert isinstance(stream, _Body)
    try:
        if response.status != 200:
            raise ServiceUnavailable(f'the kubelet of node "{node_name}" answers {response.status}')
        async for part in stream:
            parts.append(part)
            size += len(part)
            if size > MAX_PAGE:
                raise ServiceUnavailable(f'the kubelet of node "{node_name}" answers with more than {MAX_PAGE} bytes')
    finally:
        await stream.aclose()
    return b"".join(parts)


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
    head = [("Host", f"{host}:{port}"), *headers]
    if not upgrade:
        head.append(("Connection", "close"))
    if body:
        head.append(("Content-Length", str(len(body))))
    parser = AnswerParser()
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            await upstream.write(request_head(method, target, head) + body)
            await _read_head(upstream, parser)
    except (OSError, TimeoutError, ProtocolError) as exc:
        upstream.close()
        raise ServiceUnavailable(f"{who} at {host}:{port} does not answer: {exc or 'timed out'}") from exc
    if parser.status == 101:
        upstream.push_back(parser.rest)
        return _tunnel(parser, upstream)
    passed = {name.title(): value for name, value in parser.headers if name not in _HOP_BY_HOP}
    return Response(parser.status, passed, stream=_Body(parser, upstream, framed=method != "HEAD" and _is_framed(parser)))


async def _read_head(upstream: Duplex, parser: AnswerParser) -> None:
    size = 0
    while not parser.head_done:
        data = await upstream.read()
        size += len(data)
        if not data:
            raise ConnectionError("the connection ended before an answer")
        parser.feed(data)
        if size > MAX_HEAD and not parser.head_done:
            raise ProtocolError(f"its answer begins with more than {MAX_HEAD} bytes of headers")


def _is_framed(parser: AnswerParser) -> bool:
    """Return whether the answer says where it ends; else it ends with the connection."""
    return any(name in ("content-length", "transfer-encoding") for name, _ in parser.headers)


class _Body:
    """The rest of an answer as it comes. Closing it closes the connection to the upstream, also when nothing was read."""

    def __init__(self, parser: AnswerParser, upstream: Duplex, *, framed: bool) -> None:
        self._parser = parser
        self._framed = framed
        self._upstream = upstream

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        parser = self._parser
        while not parser.body:
            data = b"" if parser.done else await self._upstream.read()
            if not data:
                self._upstream.close()
                if self._framed and not parser.done:
                    raise ConnectionError("the answer broke off")
                raise StopAsyncIteration
            try:
                parser.feed(data)
            except ProtocolError as exc:
                self._upstream.close()
                raise ConnectionError(str(exc)) from exc
        parts, parser.body = parser.body, []
        return b"".join(parts)

    async def aclose(self) -> None:
        self._upstream.close()


def _tunnel(parser: AnswerParser, upstream: Duplex) -> Response:
    async def take(connection: Any) -> None:
        try:
            await connection.write(response_head(101, [(name.title(), value) for name, value in parser.headers]))
            await splice(connection, upstream)
        finally:
            upstream.close()

    return Response(101, upgrade=take)
