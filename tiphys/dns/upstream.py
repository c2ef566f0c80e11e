"""Resolution of names outside the cluster: questions are forwarded to the machine's own name servers.

The same question asked twice at the same time is passed on once. That saves work, and it ends loops: if the machine's name server asks us
in its turn, its question is the one that waits already, so no further packet is sent and all fail together after a moment.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import cast

QUERY_SECONDS = 2.0
MAX_IN_FLIGHT = 512
MAX_SERVERS = 3
HEADER = 12
RESPONSE_BIT, TRUNCATED_BIT = 0x80, 0x02


class NoUpstream(Exception):
    """No name server answers, or none is configured, or too many questions are in flight."""


def parse_servers(text: str, *, exclude: frozenset[str]) -> list[str]:
    """Return the name servers in a resolv.conf, without those that would ask us back."""
    words = [line.split() for line in text.splitlines()]
    servers = [parts[1] for parts in words if len(parts) > 1 and parts[0] == "nameserver"]
    return [server for server in dict.fromkeys(servers) if server not in exclude][:MAX_SERVERS]


class Resolvers:
    """The machine's name servers, read again when the file changes; the one that answered last is asked first."""

    def __init__(self, path: Path, *, exclude: frozenset[str]) -> None:
        self._path = path
        self._exclude = exclude
        self._stamp: tuple[int, int] | None = None
        self._servers: list[str] = []

    def servers(self) -> Sequence[str]:
        """Name servers in the order in which to ask them."""
        try:
            state = os.stat(self._path)
            stamp = (state.st_mtime_ns, state.st_ino)
            if stamp != self._stamp:
                self._servers = parse_servers(self._path.read_text(errors="replace"), exclude=self._exclude)
                self._stamp = stamp
        except OSError:
            self._servers, self._stamp = [], None
        return self._servers

    def failed(self, server: str) -> None:
        """Move a server to the end of that order."""
        if server in self._servers:
            self._servers = [*(other for other in self._servers if other != server), server]


class _Exchange(asyncio.DatagramProtocol):
    """Exchange of one question with one server."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        cast(asyncio.DatagramTransport, transport).sendto(self._query)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if answers(self._query, data) and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


def question_end(data: bytes) -> int:
    """Return the end of the question section of a message with one question; raises IndexError for a malformed one."""
    at = HEADER
    while length := data[at]:
        at += 1 + length
    if at + 5 > len(data):
        raise IndexError
    return at + 5


def answers(query: bytes, data: bytes) -> bool:
    """Return whether a message answers a query: its id matches, and its question unless it has none (a refusal)."""
    if len(data) < HEADER or data[:2] != query[:2] or not data[2] & RESPONSE_BIT:
        return False
    end = question_end(query)
    return data[4:6] == b"\0\0" or data[HEADER:end].lower() == query[HEADER:end].lower()


def is_truncated(data: bytes) -> bool:
    """Return whether an answer should be asked for again over TCP."""
    return bool(data[2] & TRUNCATED_BIT)


class Upstream:
    """Forwarder of questions, bounded in number and time. `port` is the name servers'."""

    def __init__(self, resolvers: Resolvers, *, rng: random.Random, port: int = 53) -> None:
        self._resolvers = resolvers
        self._port = port
        self._rng = rng
        self._under_way: dict[tuple[bool, bytes], asyncio.Future[bytes]] = {}

    async def ask(self, query: bytes, *, tcp: bool) -> bytes:
        """Return the answer's bytes for a well-formed query, with the query's own id and spelling; raises NoUpstream."""
        end = question_end(query)
        key = (tcp, query[2:HEADER] + query[HEADER:end].lower() + query[end:])
        waiting = self._under_way.get(key)
        if waiting is None:
            answer = await self._lead(key, query, tcp=tcp)
        else:
            answer = await asyncio.shield(waiting)
        if answer[4:6] == b"\0\0":
            return query[:2] + answer[2:]
        return query[:2] + answer[2:HEADER] + query[HEADER:end] + answer[end:]

    async def _lead(self, key: tuple[bool, bytes], query: bytes, *, tcp: bool) -> bytes:
        if len(self._under_way) >= MAX_IN_FLIGHT:
            raise NoUpstream("too many questions are in flight")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # Nobody else may be waiting when it fails.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._under_way[key] = future
        try:
            answer = await self._try_all(query, tcp=tcp)
        except BaseException as error:
            failure = error if isinstance(error, NoUpstream) else NoUpstream("gave up")
            future.set_exception(failure)
            raise
        else:
            future.set_result(answer)
            return answer
        finally:
            del self._under_way[key]

    async def _try_all(self, query: bytes, *, tcp: bool) -> bytes:
        # The client knows its own id; the forwarded question carries one that it does not know.
        own = struct.pack("!H", self._rng.getrandbits(16)) + query[2:]
        for server in tuple(self._resolvers.servers()):
            try:
                async with asyncio.timeout(QUERY_SECONDS):
                    return await (self._tcp(server, own) if tcp else self._udp(server, own))
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                self._resolvers.failed(server)
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
            answer = await reader.readexactly(length)
        finally:
            writer.close()
        if not answers(query, answer):
            raise OSError(f"{server} answered something else")
        return answer
