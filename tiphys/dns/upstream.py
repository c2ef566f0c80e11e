"""Names outside the cluster: questions passed on to the machine's own name servers."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import cast

QUERY_SECONDS = 2.0
MAX_IN_FLIGHT = 512


class NoUpstream(Exception):
    """No name server answers, or none is configured."""


def read_servers(resolv_conf: Path, *, exclude: frozenset[str]) -> list[str]:
    """The name servers in a resolv.conf, less those that would ask us back."""
    try:
        lines = resolv_conf.read_text(errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    found = [parts[1] for parts in words if len(parts) > 1 and parts[0] == "nameserver"]
    return [server for server in dict.fromkeys(found) if server not in exclude]


class _Exchange(asyncio.DatagramProtocol):
    """One question to one server; the answer must carry the question's id."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        cast(asyncio.DatagramTransport, transport).sendto(self._query)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if data[:2] == self._query[:2] and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


class Upstream:
    """Passes questions on, bounded in number and time."""

    def __init__(self, servers: list[str], *, port: int = 53) -> None:
        self._servers = servers
        self._port = port
        self._gate = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def ask(self, query: bytes, *, tcp: bool) -> bytes:
        """The answer's bytes; raises NoUpstream."""
        async with self._gate:
            for server in self._servers:
                try:
                    async with asyncio.timeout(QUERY_SECONDS):
                        return await (self._tcp(server, query) if tcp else self._udp(server, query))
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    continue
        raise NoUpstream("no name server of this machine answers")

    async def _udp(self, server: str, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(query), remote_addr=(server, self._port))
        try:
            return await exchange.answer
        finally:
            transport.close()

    async def _tcp(self, server: str, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()
