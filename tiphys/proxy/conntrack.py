"""Connection tracking entries that outlive a change of the plan.

The kernel translates a connection as it began. TCP ends by itself when its endpoint goes, but a UDP client that keeps its port would send
to the old place for as long as it sends. So these entries are removed and the client's next packet is looked up again.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from tiphys.proxy import netlink
from tiphys.proxy.plan import Endpoint, Frontend

SUBSYSTEM = 1 << 8
GET, DELETE = SUBSYSTEM | 1, SUBSYSTEM | 2
TUPLE_ORIG, TUPLE_REPLY, ZONE, FILTER = 1, 2, 18, 25
TUPLE_IP, TUPLE_PROTO = 1, 2
V4_SRC, V4_DST = 1, 2
PROTO_NUM, PROTO_SRC, PROTO_DST = 1, 2, 3
FILTER_ORIG, FILTER_REPLY = 1, 2
FILTER_BY_PROTOCOL = 1 << 3
UDP = 17
FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)


class Entry(NamedTuple):
    """UDP flow: the address that the client used, and the endpoint that answers."""

    addressed: Endpoint
    answered_by: Endpoint
    tuple: bytes
    """Original direction as the kernel encoded it, by which an entry is removed."""
    zone: bytes = b""


def is_stale(
    entry: Entry,
    known: Mapping[Frontend, frozenset[Endpoint]],
    *,
    services: IPv4Network,
    dns: str,
    is_local: Callable[[str], bool],
) -> bool:
    """Return whether a flow goes to an endpoint that the plan does not contain. `known` has every UDP frontend, also removed ones."""
    address, port = entry.addressed
    endpoints = known.get(Frontend(address, "udp", port))
    if endpoints is None:
        endpoints = known.get(Frontend("", "udp", port))
        if endpoints is not None and not (entry.answered_by != entry.addressed or is_local(address)):
            return False  # Somebody else's server with the same port.
    if endpoints is None:
        return address != dns and IPv4Address(address) in services
    return entry.answered_by not in endpoints


def parse(body: bytes) -> Entry | None:
    """Decode an entry of the kernel; None if it is not UDP over IPv4."""
    if body[0] != socket.AF_INET:
        return None
    top = netlink.attributes(body[4:])
    original, reply = netlink.attributes(top.get(TUPLE_ORIG, b"")), netlink.attributes(top.get(TUPLE_REPLY, b""))
    protocol = netlink.attributes(original.get(TUPLE_PROTO, b""))
    if protocol.get(PROTO_NUM) != bytes((UDP,)):
        return None
    addressed = _end(original, V4_DST, PROTO_DST)
    answered_by = _end(reply, V4_SRC, PROTO_SRC)
    return Entry(addressed, answered_by, top[TUPLE_ORIG], top.get(ZONE, b""))


def _end(direction: Mapping[int, bytes], address: int, port: int) -> Endpoint:
    addresses, ports = netlink.attributes(direction[TUPLE_IP]), netlink.attributes(direction[TUPLE_PROTO])
    return Endpoint(socket.inet_ntoa(addresses[address]), int.from_bytes(ports[port], "big"))


def forget_stale(known: Mapping[Frontend, frozenset[Endpoint]], *, services: str, dns: str) -> int:
    """Remove the flows that go to endpoints not in the plan; returns their number. Raises OSError. Blocks: call it in a thread."""
    network = IPv4Network(services)
    locality: dict[str, bool] = {}

    def is_local(address: str) -> bool:
        if address not in locality:
            locality[address] = _is_local(address)
        return locality[address]

    with netlink.connect(netlink.NETLINK_NETFILTER) as link:
        stale = [entry for entry in _udp(link) if is_stale(entry, known, services=network, dns=dns, is_local=is_local)]
        removed = 0
        for entry in stale:
            body = FAMILY + netlink.attribute(TUPLE_ORIG | netlink.NESTED, entry.tuple)
            if entry.zone:
                body += netlink.attribute(ZONE, entry.zone)
            try:
                list(netlink.exchange(link, DELETE, netlink.NLM_F_ACK, body))
                removed += 1
            except OSError as error:
                if error.errno != errno.ENOENT:  # It ended meanwhile.
                    raise
        return removed


def _udp(link: socket.socket) -> Iterator[Entry]:
    """Return all UDP flows; the kernel filters out the others where it can (5.8 and later)."""
    protocol = netlink.nested(TUPLE_PROTO, netlink.attribute(PROTO_NUM, bytes((UDP,))))
    udp_filter = netlink.nested(
        FILTER,
        netlink.attribute(FILTER_ORIG, struct.pack("=I", FILTER_BY_PROTOCOL)),
        netlink.attribute(FILTER_REPLY, struct.pack("=I", 0)),
    )
    body = FAMILY + netlink.nested(TUPLE_ORIG, protocol) + udp_filter
    for answer in netlink.exchange(link, GET, netlink.NLM_F_DUMP, body):
        entry = parse(answer)
        if entry is not None:
            yield entry


def _is_local(address: str) -> bool:
    """Return whether an address belongs to this machine: only such an address can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
