from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.proxy import netlink
from tiphys.proxy.conntrack import Entry, is_stale, parse
from tiphys.proxy.plan import Endpoint, Frontend

OLD, NEW = Endpoint("10.42.0.5", 53), Endpoint("10.42.0.6", 53)
NODE = "192.0.2.2"
KNOWN = {
    Frontend("10.43.0.20", "udp", 53): frozenset((NEW,)),
    Frontend("", "udp", 30053): frozenset((NEW,)),
    Frontend("10.43.0.30", "udp", 53): frozenset(),
}


@pytest.mark.parametrize(
    ("addressed", "answered_by", "stale"),
    [
        (Endpoint("10.43.0.20", 53), NEW, False),
        (Endpoint("10.43.0.20", 53), OLD, True),
        (Endpoint("10.43.0.30", 53), OLD, True),  # no endpoints any more
        (Endpoint("10.43.0.40", 53), OLD, True),  # a Service that is no more
        (Endpoint("10.43.0.10", 53), Endpoint("10.43.0.10", 53), False),  # DNS
        (Endpoint(NODE, 30053), NEW, False),
        (Endpoint(NODE, 30053), OLD, True),
        (Endpoint(NODE, 30053), Endpoint(NODE, 30053), True),  # from before the Service was there
        (Endpoint("203.0.113.1", 30053), Endpoint("203.0.113.1", 30053), False),  # somebody else's server
        (Endpoint(NODE, 123), Endpoint(NODE, 123), False),
        (Endpoint("10.42.0.5", 53), OLD, False),  # straight to a pod
    ],
)
def test_removes_stale_flows_only(addressed: Endpoint, answered_by: Endpoint, stale: bool) -> None:
    entry = Entry(addressed, answered_by, b"")
    services = IPv4Network("10.43.0.0/16")
    assert is_stale(entry, KNOWN, services=services, dns="10.43.0.10", is_local=lambda address: address == NODE) is stale


def direction(kind: int, source: Endpoint, target: Endpoint, protocol: int = 17) -> bytes:
    return netlink.nested(
        kind,
        netlink.nested(1, netlink.attribute(1, socket.inet_aton(source.address)), netlink.attribute(2, socket.inet_aton(target.address))),
        netlink.nested(
            2,
            netlink.attribute(1, bytes((protocol,))),
            netlink.attribute(2, struct.pack("!H", source.port)),
            netlink.attribute(3, struct.pack("!H", target.port)),
        ),
    )


def test_an_entry_is_read_as_the_kernel_writes_it() -> None:
    client, service = Endpoint("10.42.0.9", 4444), Endpoint("10.43.0.20", 53)
    original = direction(1, client, service)
    body = bytes((socket.AF_INET, 0, 0, 0)) + original + direction(2, OLD, client)
    assert parse(body) == Entry(service, OLD, original[4:])
    tcp = bytes((socket.AF_INET, 0, 0, 0)) + direction(1, client, service, 6) + direction(2, OLD, client, 6)
    assert parse(tcp) is None
    assert parse(bytes((socket.AF_INET6,)) + body[1:]) is None


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_survive_the_way(values: dict[int, bytes]) -> None:
    assert netlink.attributes(b"".join(netlink.attribute(kind, data) for kind, data in values.items())) == values


@given(st.binary(max_size=200))
def test_rubbish_in_a_datagram_ends(data: bytes) -> None:
    for message in netlink.messages(data):
        netlink.attributes(message.body)
