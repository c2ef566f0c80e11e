"""Aliases that lead out of the cluster (ExternalName Services): the target is resolved elsewhere and appended to the alias."""

from __future__ import annotations

import struct

from tiphys.dns.answer import Lookup
from tiphys.dns.message import HEADER, IN, NOERROR, NXDOMAIN, RECURSION_WANTED, SERVFAIL, Answer, Query, record, wire_name
from tiphys.dns.upstream import NoUpstream, Upstream, is_truncated


async def follow(upstream: Upstream, lookup: Lookup, query: Query) -> Answer:
    """Return the complete answer; raises NoUpstream."""
    request = HEADER.pack(0, RECURSION_WANTED, 1, 0, 0, 0) + wire_name(lookup.elsewhere) + struct.pack("!HH", query.kind, IN)
    data = await upstream.ask(request, tcp=False)
    if is_truncated(data):
        data = await upstream.ask(request, tcp=True)
    code, records = _read(data)
    everything = (*lookup.answer.records, *records)
    return Answer(code, everything, pinned=len(everything))


def _read(data: bytes) -> tuple[int, list[bytes]]:
    """Decode the code and answer records of any message, with compression undone; dnspython is loaded only for this."""
    import dns.exception
    import dns.message

    try:
        read = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError) as error:
        raise NoUpstream(f"cannot decode an answer: {error}") from error
    code = int(read.rcode())
    records = [
        record(rrset.name.to_wire() or b"\0", int(rrset.rdtype), rrset.ttl, one.to_wire())
        for rrset in read.answer
        for one in rrset
        if int(rrset.rdclass) == IN
    ]
    return code if code in (NOERROR, NXDOMAIN) else SERVFAIL, records
