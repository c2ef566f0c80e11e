"""Cluster DNS on every node: answers for the cluster's domain from memory, and passes everything else on.

It listens on the cluster's DNS address, which is an address of this machine's own, so no question crosses a network or a translation.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dns.exception
import dns.message
import dns.rcode

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.client.client import Client
from tiphys.dns.answer import UDP_LIMIT, answer, failure
from tiphys.dns.upstream import NoUpstream, Upstream, read_servers
from tiphys.dns.zone import SERVICE_NAME, Key, Zone, names_of
from tiphys.runtime.informer import InformerFactory

log = logging.getLogger(__name__)

BIND_RETRY = 0.1
TCP_IDLE = 10.0
MAX_ALIASES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """Where to listen, and for which domain."""

    address: str
    port: int = 53
    domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        known = self._server.answer_now(data)
        if isinstance(known, bytes):
            self._transport.sendto(known, addr)
        elif known is not None:
            self._server.tasks.spawn(self._later(data, known, addr), name="dns-forward")

    async def _later(self, data: bytes, query: dns.message.Message, addr: tuple[str | object, int]) -> None:
        self._transport.sendto(await self._server.forward(data, query, tcp=False), addr)


class DnsServer:
    """Run it; it follows Services and EndpointSlices by itself."""

    def __init__(self, settings: DnsSettings, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._informers = InformerFactory(client, clock=clock, rng=rng)
        self._services = self._informers.of(core.Service)
        self._slices = self._informers.of(discovery.EndpointSlice)
        self._by_service: dict[Key, dict[str, discovery.EndpointSlice]] = defaultdict(dict)
        self._turn = 0
        self.zone = Zone(settings.domain)
        self.tasks = TaskSet()
        servers = read_servers(settings.resolv_conf, exclude=frozenset((settings.address,)))
        self._upstream = Upstream(servers)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Listen and answer until cancelled."""
        self._services.subscribe(self._service_changed)
        self._slices.subscribe(self._slice_changed)
        self._informers.start()
        loop = asyncio.get_running_loop()
        settings = self._settings
        try:
            await self._informers.wait_synced()
            udp, tcp = await self._listen(loop, settings)
            log.info("cluster DNS answers", extra={"address": settings.address, "domain": settings.domain})
            self.ready.set()
            try:
                await loop.create_future()
            finally:
                udp.close()
                tcp.close()
        finally:
            await self.tasks.close()
            await self._informers.stop()

    async def _listen(self, loop: asyncio.AbstractEventLoop, settings: DnsSettings) -> tuple[asyncio.BaseTransport, asyncio.Server]:
        """Bind both sockets; the service proxy adds the address to this machine, perhaps a moment later."""
        while True:
            try:
                udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(settings.address, settings.port))
            except OSError as error:
                log.debug("the DNS address is not there yet", extra={"error": str(error)})
                await self._clock.sleep(BIND_RETRY)
                continue
            tcp = await asyncio.start_server(self._serve_tcp, settings.address, settings.port)
            return udp, tcp

    # --- the zone ---

    def _service_changed(self, old: core.Service | None, new: core.Service | None) -> None:
        service = new or old
        assert service is not None
        self._refresh(Key(service.metadata.namespace, service.metadata.name))

    def _slice_changed(self, old: discovery.EndpointSlice | None, new: discovery.EndpointSlice | None) -> None:
        for piece, there in ((old, False), (new, True)):
            if piece is None:
                continue
            key = Key(piece.metadata.namespace, piece.metadata.labels.get(SERVICE_NAME, ""))
            if there:
                self._by_service[key][piece.metadata.name] = piece
            else:
                self._by_service[key].pop(piece.metadata.name, None)
            self._refresh(key)

    def _refresh(self, key: Key) -> None:
        from tiphys.runtime.key import Key as ObjectKey

        service = self._services.get(ObjectKey(key.namespace, key.service))
        pieces = self._by_service.get(key, {})
        self.zone.put(key, {} if service is None else names_of(service, pieces.values()))

    # --- answering ---

    def answer_now(self, data: bytes, *, limit: int = UDP_LIMIT) -> bytes | dns.message.Message | None:
        """The answer's bytes if this server knows it, the parsed question if it must be passed on, None for what is no question."""
        try:
            query = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return None
        self._turn += 1
        response = answer(self.zone, query, self._turn)
        if response is None or self._aliased(response):
            return query
        return self._encode(response, max(limit, query.payload if query.edns >= 0 else 0))

    @staticmethod
    def _aliased(response: dns.message.Message) -> bool:
        """Whether the answer is an alias whose target must be looked up elsewhere."""
        return bool(response.answer) and response.answer[0].rdtype == dns.rdatatype.CNAME

    @staticmethod
    def _encode(response: dns.message.Message, limit: int) -> bytes:
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            response.answer, response.additional = [], []
            response.flags |= dns.flags.TC
            return response.to_wire()

    async def forward(self, data: bytes, query: dns.message.Message, *, tcp: bool) -> bytes:
        """Ask the machine's name servers; an alias of ours is resolved and put before their answer."""
        own = answer(self.zone, query)
        try:
            if own is None:
                return await self._upstream.ask(data, tcp=tcp)
            return self._encode(await self._resolve_alias(own, query, tcp=tcp), 65535 if tcp else UDP_LIMIT)
        except NoUpstream:
            return (own or failure(query, dns.rcode.SERVFAIL)).to_wire()

    async def _resolve_alias(self, own: dns.message.Message, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
        for _ in range(MAX_ALIASES):
            target = own.answer[-1][0].target
            asked = dns.message.make_query(target, query.question[0].rdtype)
            found = answer(self.zone, asked)
            if found is None:
                found = dns.message.from_wire(await self._upstream.ask(asked.to_wire(), tcp=tcp))
            own.answer += found.answer
            if not self._aliased(found):
                break
        return own

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                known = self.answer_now(data, limit=65535)
                if known is None:
                    return
                response = known if isinstance(known, bytes) else await self.forward(data, known, tcp=True)
                writer.write(struct.pack("!H", len(response)) + response)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
