from __future__ import annotations

import random

import dns.edns
import dns.flags
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.dns import message as m
from tiphys.dns.message import Answer, NotAQuestion, parse, record, respond, wire_name

LABEL = st.binary(min_size=1, max_size=20)


@given(st.lists(LABEL, max_size=8), st.sampled_from(["A", "AAAA", "SRV", "HTTPS", "ANY"]), st.booleans())
def test_questions_are_read_as_dnspython_writes_them(labels: list[bytes], kind: str, edns: bool) -> None:
    name = dns.name.Name([*labels, b""])
    asked = dns.message.make_query(name, kind, payload=1400 if edns else None)
    query = parse(asked.to_wire())
    assert (query.id, query.kind, query.klass, query.problem) == (asked.id, int(asked.question[0].rdtype), 1, 0)
    assert query.edns is edns
    assert query.size == (1400 if edns else 512)
    plain = ".".join(label.decode("latin-1").replace(".", "\\.") for label in labels).lower()
    assert query.name == (plain or ".")
    assert dns.message.from_wire(respond(query, Answer(), limit=512)).question == asked.question


@given(st.binary(max_size=120))
def test_rubbish_is_an_error_or_no_question(data: bytes) -> None:
    try:
        query = parse(data)
    except NotAQuestion:
        return
    assert respond(query, Answer(query.problem), limit=512)[:2] == data[:2]


def test_mutated_questions_are_answered_or_left() -> None:
    rng = random.Random(1)
    good = dns.message.make_query("web.default.svc.cluster.local", "A", use_edns=0, payload=900).to_wire()
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            query = parse(bytes(data[: rng.randrange(len(data) + 1)]))
        except NotAQuestion:
            continue
        assert len(respond(query, Answer(query.problem), limit=512)) <= 512


def test_answers_are_not_answered() -> None:
    response = dns.message.make_response(dns.message.make_query("a.b", "A"))
    with pytest.raises(NotAQuestion):
        parse(response.to_wire())


def with_count(data: bytes, at: int, count: int) -> bytes:
    return data[:at] + count.to_bytes(2, "big") + data[at + 2 :]


def test_refuses_malformed_messages() -> None:
    good = dns.message.make_query("a.b", "A").to_wire()
    pointer = good[:12] + b"\xc0\x0c\x00\x01\x00\x01"
    long = good[:12] + (b"\x3f" + b"x" * 63) * 4 + b"\0\0\x01\0\x01"
    update = bytes((*good[:2], 0x28, *good[3:]))
    for data, code in (
        (with_count(good, 4, 2), m.FORMERR),
        (with_count(good, 4, 0), m.FORMERR),
        (with_count(good, 6, 1), m.FORMERR),
        (with_count(good, 10, 1), m.FORMERR),
        (with_count(good, 10, 9), m.FORMERR),
        (pointer, m.FORMERR),
        (long, m.FORMERR),
        (good[:-1], m.FORMERR),
        (update, m.NOTIMP),
        (dns.message.make_query("a.b", "A", use_edns=1).to_wire(), m.BADVERS),
    ):
        query = parse(data)
        assert query.problem == code
        assert dns.message.from_wire(respond(query, Answer(code, authoritative=False), limit=512)).rcode() == code


def test_the_clients_spelling_and_flags_come_back() -> None:
    asked = dns.message.make_query("WeB.deFault.svc.CLUSTER.local", "A", flags=dns.flags.RD | dns.flags.CD)
    query = parse(asked.to_wire())
    assert query.name == "web.default.svc.cluster.local"
    data = respond(query, Answer(records=(record(m.THE_QUESTION, m.A, 5, bytes(4)),)), limit=512)
    assert b"\x03WeB\x07deFault\x03svc\x07CLUSTER\x05local" in data
    response = dns.message.from_wire(data)
    assert response.answer[0].name.to_text() == "WeB.deFault.svc.CLUSTER.local."
    assert response.flags & (dns.flags.RD | dns.flags.RA | dns.flags.CD | dns.flags.AA | dns.flags.QR) == response.flags
    assert not dns.message.from_wire(respond(query, Answer(authoritative=False), limit=512)).flags & dns.flags.AA
    assert (
        not dns.message.from_wire(respond(parse(dns.message.make_query("a", "A", flags=0).to_wire()), Answer(), limit=512)).flags
        & dns.flags.RD
    )


@given(st.integers(0, 60), st.integers(60, 900), st.booleans())
def test_truncates_responses(count: int, limit: int, edns: bool) -> None:
    query = parse(dns.message.make_query("a.b", "A", use_edns=0 if edns else None).to_wire())
    records = tuple(record(m.THE_QUESTION, m.A, 5, bytes((10, 0, 0, n))) for n in range(count))
    data = respond(query, Answer(records=records), limit=limit)
    assert len(data) <= limit
    response = dns.message.from_wire(data)
    got = len(response.answer[0]) if response.answer else 0
    assert bool(response.flags & dns.flags.TC) == (got < count)
    assert got == count or len(data) + 16 > limit
    assert (response.edns >= 0) == edns


def test_records_turn_but_aliases_stay_in_front() -> None:
    query = parse(dns.message.make_query("a.b", "A").to_wire())
    alias = record(m.THE_QUESTION, m.CNAME, 5, wire_name("c.d"))
    records = tuple(record(wire_name("c.d"), m.A, 5, bytes((10, 0, 0, n))) for n in range(3))
    orders = set()
    for turn in range(3):
        response = dns.message.from_wire(respond(query, Answer(records=(alias, *records), pinned=1), limit=512, turn=turn))
        assert response.answer[0].rdtype == m.CNAME
        orders.add(response.answer[1][0].to_text())
    assert orders == {"10.0.0.0", "10.0.0.1", "10.0.0.2"}


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 60] * 5), "snowman.☃"])
def test_rejects_invalid_names(name: str) -> None:
    with pytest.raises(ValueError):
        wire_name(name)
