"""Bytes over TLS, for what a client library would never send."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.apiserver.api import Answer
from tiphys.apiserver.server import ApiServer

DEADLINE = 20.0


class RawConnection:
    """One connection: what is written goes out as it is, and responses are cut out of what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), DEADLINE)

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """The status and the header lines of the next response."""
        block = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        first, *lines = block.decode("latin-1").rstrip("\r\n").split("\r\n")
        protocol, code, _ = first.split(" ", 2)
        assert protocol == "HTTP/1.1"
        return int(code), [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    async def answer(self, *, body: bool = True) -> Answer:
        """The next whole response (`body` false: to a HEAD)."""
        code, pairs = await self.head()
        headers = dict(pairs)
        if not body or code == 100:
            data = b""
        elif headers.get("transfer-encoding") == "chunked":
            data = b"".join([chunk async for chunk in self.chunks()])
        elif "content-length" in headers:
            data = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), DEADLINE)
        else:
            data = await asyncio.wait_for(self.reader.read(), DEADLINE)
        return Answer(code, headers, data, [(name.title(), value) for name, value in pairs])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a body as they come, up to its regular end."""
        while True:
            size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), DEADLINE), 16)
            data = await asyncio.wait_for(self.reader.readexactly(size + 2), DEADLINE)
            assert data.endswith(b"\r\n")
            if not size:
                return
            yield data[:-2]

    async def ended(self) -> bool:
        """Return whether the server closes the connection, with nothing more on it."""
        try:
            return await asyncio.wait_for(self.reader.read(1), DEADLINE) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def close(self) -> None:
        self.writer.transport.abort()


class Raw:
    """Connections to a server."""

    def __init__(self, server: ApiServer, pki: Path) -> None:
        self.server = server
        self._pki = pki
        self._open: list[RawConnection] = []

    def context(self, *, identity: str = "admin") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._pki / "ca.crt"))
        if identity:
            context.load_cert_chain(str(self._pki / f"{identity}.crt"), str(self._pki / f"{identity}.key"))
        return context

    async def connect(self, *, identity: str = "admin") -> RawConnection:
        opened = await asyncio.open_connection("127.0.0.1", self.server.port, ssl=self.context(identity=identity), limit=64 << 20)
        connection = RawConnection(*opened)
        self._open.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._open:
            connection.close()


def request(method: str, target: str, *lines: str, body: bytes = b"") -> bytes:
    """A request's bytes; a body brings its Content-Length along."""
    head = [f"{method} {target} HTTP/1.1", "Host: server", *lines]
    if body:
        head += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
