"""DNS messages as far as this server needs them: questions in, records out (RFC 1035, EDNS of RFC 6891). Pure: bytes to values and back.

dnspython reads any message; this reads the ordinary one, a single question with perhaps an OPT record, at a tenth of the cost.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, AXFR, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 252, 255
IN, ANY_CLASS = 1, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
RESPONSE, AUTHORITATIVE, TRUNCATED, RECURSION_WANTED, RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
OPCODE_MASK, CHECKING_DISABLED = 0x7800, 0x0010
HEADER = struct.Struct("!HHHHHH")
PLAIN_UDP = 512
OUR_UDP = 1232
"""Maximum size of datagrams we accept, and that we send to clients without EDNS: it fits every link."""
MAX_UDP = 4096
MAX_TCP = 65535
MAX_EXTRA = 8
_KIND = struct.Struct("!HH")
_OPT = struct.Struct("!HHBBHH")
_FIXED = struct.Struct("!HHIH")
THE_QUESTION = b"\xc0\x0c"
"""An owner that is the name asked for: a pointer to it, so that its spelling is the client's."""


class NotAQuestion(Exception):
    """Message that gets no answer: too short, or itself an answer (answering those makes servers talk forever)."""


class Query(NamedTuple):
    """Question. A malformed one carries the code to refuse it with."""

    id: int
    flags: int
    name: str
    """In lower case, without the final dot; "." for the root. A dot within a label is spelled `\\.`."""
    kind: int
    klass: int
    question: bytes
    """Question section as received: clients compare its spelling."""
    edns: bool = False
    size: int = PLAIN_UDP
    """Maximum size of datagrams that the client accepts."""
    problem: int = NOERROR


def parse(data: bytes) -> Query:
    """Read a question; raises NotAQuestion."""
    if len(data) < HEADER.size:
        raise NotAQuestion
    ident, flags, questions, answers, authorities, extras = HEADER.unpack_from(data)
    if flags & RESPONSE:
        raise NotAQuestion
    bad = Query(ident, flags, ".", 0, 0, b"", problem=FORMERR)
    if flags & OPCODE_MASK:
        return bad._replace(problem=NOTIMP)
    if questions != 1 or answers or authorities or extras > MAX_EXTRA:
        return bad
    labels: list[bytes] = []
    at = HEADER.size
    try:
        while length := data[at]:
            if length > 63:
                return bad
            labels.append(data[at + 1 : at + 1 + length])
            at += 1 + length
        end = at + 5
        kind, klass = _KIND.unpack_from(data, at + 1)
    except (IndexError, struct.error):
        return bad
    if at - HEADER.size > 254:
        return bad
    name = b".".join(labels)
    if name.count(b".") != max(len(labels) - 1, 0):
        name = b".".join(label.replace(b".", b"\\.") for label in labels)
    query = Query(ident, flags, name.decode("latin-1").lower() or ".", kind, klass, data[HEADER.size : end])
    return _read_extras(query, data, end, extras) if extras else query


def _read_extras(query: Query, data: bytes, at: int, count: int) -> Query:
    """Look for the OPT record among the records after the question."""
    try:
        for _ in range(count):
            named = data[at] != 0
            at = _skip_name(data, at)
            kind, size, _, version, _, length = _OPT.unpack_from(data, at)
            if kind == OPT:
                if named or query.edns:
                    return query._replace(problem=FORMERR)
                query = query._replace(edns=True, size=max(size, PLAIN_UDP), problem=BADVERS if version else NOERROR)
            at += _OPT.size + length
            if at > len(data):
                return query._replace(problem=FORMERR)
    except (IndexError, struct.error):
        return query._replace(problem=FORMERR)
    return query


def _skip_name(data: bytes, at: int) -> int:
    while length := data[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise IndexError
        at += 1 + length
    return at + 1


class Answer(NamedTuple):
    """Answer as encoded records; it serves every client with the same question."""

    code: int = NOERROR
    records: tuple[bytes, ...] = ()
    authority: tuple[bytes, ...] = ()
    extra: tuple[bytes, ...] = ()
    pinned: int = 0
    """Number of records that must stay in front (aliases); the others may be rotated."""
    authoritative: bool = True


def respond(query: Query, answer: Answer, *, limit: int, turn: int = 0) -> bytes:
    """Encode the response, within the limit. Records that do not fit are left out and the answer is marked truncated, so that clients ask
    over TCP; some make do with the records they have. `turn` rotates the records, so that clients spread.
    """
    records: Sequence[bytes] = answer.records
    if len(records) - answer.pinned > 1:
        fixed, moving = records[: answer.pinned], records[answer.pinned :]
        shift = turn % len(moving)
        records = (*fixed, *moving[shift:], *moving[:shift])
    authority, extra = answer.authority, answer.extra
    flags = RESPONSE | RECURSION_AVAILABLE | (query.flags & (OPCODE_MASK | RECURSION_WANTED | CHECKING_DISABLED)) | (answer.code & 15)
    if answer.authoritative:
        flags |= AUTHORITATIVE
    opt = b""
    if query.edns:
        opt = b"\0" + _OPT.pack(OPT, OUR_UDP, answer.code >> 4, 0, 0, 0)
    room = limit - HEADER.size - len(query.question) - len(opt)
    if sum(map(len, records)) + sum(map(len, authority)) + sum(map(len, extra)) > room:
        kept, room = _fitting(records, room)
        if len(kept) < len(records):
            flags |= TRUNCATED
        records = kept
        authority, room = _fitting(authority, room)
        extra, room = _fitting(extra, room)
    counts = (1 if query.question else 0, len(records), len(authority), len(extra) + (1 if opt else 0))
    return b"".join((HEADER.pack(query.id, flags, *counts), query.question, *records, *authority, *extra, opt))


def _fitting(records: Sequence[bytes], room: int) -> tuple[tuple[bytes, ...], int]:
    kept = []
    for record in records:
        if len(record) > room:
            break
        kept.append(record)
        room -= len(record)
    return tuple(kept), room


def udp_limit(query: Query) -> int:
    """Return the maximum size of a datagram to this client."""
    return min(query.size, MAX_UDP)


def record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    """Return a resource record of class IN; `owner` is a name in wire form or THE_QUESTION."""
    return owner + _FIXED.pack(kind, IN, ttl, len(data)) + data


def wire_name(text: str) -> bytes:
    """Encode a name in wire form, uncompressed; raises ValueError for an invalid name."""
    text = text.rstrip(".")
    parts = [part.encode("latin-1") for part in text.split(".")] if text else []
    if any(not 0 < len(part) < 64 for part in parts) or sum(len(part) + 1 for part in parts) > 254:
        raise ValueError(f"{text!r} is not a domain name")
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def address_data(address: str) -> bytes:
    """Return the data of an A record."""
    return bytes(map(int, address.split(".")))


def srv_data(port: int, target: str) -> bytes:
    """Return the data of an SRV record; all targets are alike."""
    return struct.pack("!HHH", 0, 100, port) + wire_name(target)


def text_data(text: str) -> bytes:
    """Return the data of a TXT record of one string."""
    data = text.encode()
    return bytes((len(data),)) + data


def soa_data(primary: str, mailbox: str, serial: int, negative_ttl: int) -> bytes:
    """Return the data of an SOA record."""
    return wire_name(primary) + wire_name(mailbox) + struct.pack("!IIIII", serial, 7200, 1800, 86400, negative_ttl)
