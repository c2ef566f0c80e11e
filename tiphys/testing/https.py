"""A `MemoryApi` behind the HTTPS listener of API servers, for tests of transports: it asks for client certificates, and has its faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tiphys.apiserver.flowcontrol.work import is_long_running
from tiphys.http.server import Server, server_context
from tiphys.testing.certificates import Pair, issue
from tiphys.testing.memory_api import MemoryApi
from tiphys.wire.http import Request, Response

PIECE = 50
"""Bytes of a stream that are sent at once: readers must put lines together."""


@dataclass
class Listener:
    """A running listener: `requests` are what arrived, with the certificate's name in `peer`."""

    api: MemoryApi
    ca: Pair
    url: str
    requests: list[Request]


@asynccontextmanager
async def serve(api: MemoryApi, folder: Path) -> AsyncIterator[Listener]:
    """Serve on a free port of loopback until the end of the block; certificates are kept in `folder`."""
    ca = issue("ca")
    pair = issue("server", ca)
    for name, data in (("ca.crt", ca.cert_pem), ("server.crt", pair.cert_pem), ("server.key", pair.key_pem)):
        (folder / name).write_bytes(data)
    requests: list[Request] = []

    async def handle(request: Request) -> Response:
        requests.append(request)
        response = await api.faults.send(request, api.handle)
        return response if response.stream is None else msgspec.structs.replace(response, stream=_pieces(response.stream))

    files = (str(folder / name) for name in ("server.crt", "server.key", "ca.crt"))
    server = Server(handle, context=server_context(*files), is_long=is_long_running)
    port = await server.start("127.0.0.1", 0)
    try:
        yield Listener(api, ca, f"https://127.0.0.1:{port}", requests)
    finally:
        api.faults.end_watches()
        await server.stop(grace=0.1)


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in stream:
            for start in range(0, len(chunk), PIECE):
                yield chunk[start : start + PIECE]
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
