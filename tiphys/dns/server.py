"""Cluster DNS on every node: answers for the cluster's domain from memory, and forwards everything else.

It listens on the cluster's DNS address, which is an address of this machine's own, so no question crosses a network or a translation.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import socket
import struct
from collections.abc import Iterable
from typing import cast

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.well_known import SERVICE_NAME
from tiphys.client.client import Client
from tiphys.dns.alias import follow
from tiphys.dns.answer import Answers, Lookup
from tiphys.dns.askers import Askers
from tiphys.dns.message import MAX_TCP, SERVFAIL, Answer, NotAQuestion, Query, parse, respond, udp_limit
from tiphys.dns.settings import DnsSettings
from tiphys.dns.upstream import NoUpstream, Resolvers, Upstream
from tiphys.dns.zone import Zone, names_of
from tiphys.runtime.informer import InformerFactory
from tiphys.runtime.key import Key

log = logging.getLogger(__name__)

TCP_IDLE = 10.0
MAX_CONNECTIONS = 256
MAX_FORWARDS = 2048
UDP_BUFFER = 1 << 20
BY_SERVICE = "service"
IP_FREEBIND = 15
"""Linux option: bind an address before it exists. The service proxy adds ours, perhaps a moment later."""
FAILURE = Answer(SERVFAIL, authoritative=False)


class DnsError(Exception):
    """The server cannot listen; the message says how to fix it."""


def _service_of(piece: discovery.EndpointSlice) -> Iterable[str]:
    return (f"{piece.metadata.namespace}/{piece.metadata.labels.get(SERVICE_NAME, '')}",)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if not self._server.askers.allow(str(addr[0])):
            return
        try:
            query = parse(data)
        except NotAQuestion:
            return
        response = self._server.answer_now(query, limit=udp_limit(query))
        if response is not None:
            self._transport.sendto(response, addr)
        elif self._server.is_full:
            self._transport.sendto(respond(query, FAILURE, limit=udp_limit(query)), addr)
        else:
            self._server.tasks.spawn(self._later(data, query, addr), name="dns-forward")

    def error_received(self, exc: Exception) -> None:
        """Ignore that a client is gone."""

    async def _later(self, data: bytes, query: Query, addr: tuple[str | object, int]) -> None:
        self._transport.sendto(await self._server.answer_later(data, query, tcp=False), addr)


class DnsServer:
    """Run it; it follows Services and EndpointSlices by itself."""

    def __init__(self, settings: DnsSettings, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._informers = InformerFactory(client, clock=clock, rng=rng)
        self._services = self._informers.of(core.Service)
        self._slices = self._informers.of(discovery.EndpointSlice)
        self._slices.add_index(BY_SERVICE, _service_of)
        self._turn = 0
        self._connections = 0
        self.tasks = TaskSet()
        self.zone = Zone(settings.domain, settings.address, settings.ranges)
        self._answers = Answers(self.zone)
        self.askers = Askers(settings.ranges)
        resolvers = Resolvers(settings.resolv_conf, exclude=frozenset((settings.address,)))
        self._upstream = Upstream(resolvers, rng=rng, port=settings.upstream_port)
        self.ready = asyncio.Event()
        """Set once the cluster's names are known; until then questions about them fail, and others are forwarded."""

    async def run(self) -> None:
        """Listen and answer until cancelled; raises DnsError when the port is taken."""
        settings = self._settings
        self._services.subscribe(self._service_changed)
        self._slices.subscribe(self._slice_changed)
        self._informers.start()
        loop = asyncio.get_running_loop()
        try:
            udp_socket, tcp_socket = self._bind()
            udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp_socket)
            tcp = await asyncio.start_server(self._accept, sock=tcp_socket)
            try:
                await self._informers.wait_synced()
                self.ready.set()
                log.info("cluster DNS is ready", extra={"address": settings.address, "domain": settings.domain})
                await loop.create_future()
            finally:
                udp.close()
                tcp.close()
        finally:
            await self.tasks.close()
            await self._informers.stop()

    def _bind(self) -> tuple[socket.socket, socket.socket]:
        """Bind both sockets, UDP first."""
        sockets: list[socket.socket] = []
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                one = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                sockets.append(one)
                one.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
                if kind == socket.SOCK_STREAM:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                else:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
                one.bind((self._settings.address, self._settings.port))
        except OSError as error:
            for one in sockets:
                one.close()
            why = f"{error.strerror}"
            if error.errno == errno.EADDRINUSE:
                why = "another server has the port on every address; bind that one to its own addresses"
            raise DnsError(f"cluster DNS cannot listen on {self._settings.address}:{self._settings.port}: {why}") from error
        return sockets[0], sockets[1]

    # --- the zone ---

    def _service_changed(self, old: core.Service | None, new: core.Service | None) -> None:
        service = new or old
        if service is not None:
            self._refresh(Key.of(service))

    def _slice_changed(self, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        pieces = [piece for piece in (old, new) if piece is not None]
        for key in dict.fromkeys(Key(p.metadata.namespace, p.metadata.labels.get(SERVICE_NAME, "")) for p in pieces):
            self._refresh(key)

    def _refresh(self, key: Key) -> None:
        service = self._services.get(key)
        self.zone.put(key, {} if service is None else names_of(service, self._slices.by_index(BY_SERVICE, str(key))))

    # --- answering ---

    @property
    def is_full(self) -> bool:
        """True if so many questions are being forwarded that another would only wait."""
        return len(self.tasks) >= MAX_FORWARDS

    def answer_now(self, query: Query, *, limit: int) -> bytes | None:
        """Return the response if this server knows it, None if it must ask upstream."""
        self._turn += 1
        lookup = self._answers.find(query)
        if lookup is None or lookup.elsewhere:
            return None
        if not self.ready.is_set() and lookup.answer.authoritative:
            lookup = Lookup(FAILURE)
        return respond(query, lookup.answer, limit=limit, turn=self._turn)

    async def answer_later(self, data: bytes, query: Query, *, tcp: bool) -> bytes:
        """Ask the machine's name servers; an alias of the cluster is followed and prepended to their answer."""
        lookup = self._answers.find(query)
        limit = MAX_TCP if tcp else udp_limit(query)
        try:
            if lookup is None:
                return await self._upstream.ask(data, tcp=tcp)
            answer = await follow(self._upstream, lookup, query)
        except NoUpstream:
            answer = lookup.answer._replace(code=SERVFAIL) if lookup else FAILURE
        return respond(query, answer, limit=limit)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None or not self.askers.allow(peer[0]) or self._connections >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        # Ours, so that it ends with the server.
        self.tasks.spawn(self._serve_tcp(reader, writer), name="dns-tcp")

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                query = parse(data)
                response = self.answer_now(query, limit=MAX_TCP)
                if response is None:
                    response = await self.answer_later(data, query, tcp=True)
                async with asyncio.timeout(TCP_IDLE):
                    writer.write(struct.pack("!H", len(response)) + response)
                    await writer.drain()
        except (NotAQuestion, TimeoutError, OSError, asyncio.IncompleteReadError):
            return
        finally:
            self._connections -= 1
            writer.close()
