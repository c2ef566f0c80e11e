from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.unit.dns.make import DOMAIN, ask, piece, put, service, texts
from tiphys.dns import message as m
from tiphys.dns.answer import Answers
from tiphys.dns.message import parse
from tiphys.dns.zone import Zone

RANGES = ("10.42.0.0/16", "10.43.0.0/16")


@pytest.fixture
def answers() -> Answers:
    zone = Zone(DOMAIN, "10.43.0.10", RANGES)
    put(zone, service(), [piece(("10.42.0.9", ""))])
    put(zone, service("db", ip="None"), [piece(("10.42.0.5", "db-0"), ("10.42.0.6", "db-1"))])
    put(zone, service("out", ip="", type="ExternalName", externalName="www.example.org"))
    put(zone, service("inner", ip="", type="ExternalName", externalName="db.default.svc.cluster.local"))
    put(zone, service("broken", ip="", type="ExternalName", externalName="nothing.default.svc.cluster.local"))
    put(zone, service("loop", ip="", type="ExternalName", externalName="pool.default.svc.cluster.local"))
    put(zone, service("pool", ip="", type="ExternalName", externalName="loop.default.svc.cluster.local"))
    return Answers(zone)


def has_soa(response: dns.message.Message) -> bool:
    return [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]


def test_addresses(answers: Answers) -> None:
    response = ask(answers, "web.default.svc.cluster.local.")
    assert texts(response) == ["10.43.0.20"]
    assert response.answer[0].ttl == 5
    assert response.flags & dns.flags.AA
    assert response.flags & dns.flags.RA
    assert not response.authority
    assert texts(ask(answers, "DB.Default.SVC.Cluster.Local.")) == ["10.42.0.5", "10.42.0.6"]
    assert texts(ask(answers, "db-1.db.default.svc.cluster.local.")) == ["10.42.0.6"]
    assert texts(ask(answers, "10-42-0-9.web.default.svc.cluster.local.")) == ["10.42.0.9"]
    assert texts(ask(answers, "10-42-7-7.default.pod.cluster.local.")) == ["10.42.7.7"]
    assert texts(ask(answers, "ns.dns.cluster.local.")) == ["10.43.0.10"]


def test_a_name_without_the_type_asked_for_is_not_denied(answers: Answers) -> None:
    """A client that asks for IPv6 as well must not conclude that the name does not exist."""
    for name, kind in (
        ("web.default.svc.cluster.local.", "AAAA"),
        ("web.default.svc.cluster.local.", "SRV"),
        ("default.svc.cluster.local.", "A"),
        ("10-42-0-9.default.pod.cluster.local.", "AAAA"),
        ("20.0.43.10.in-addr.arpa.", "A"),
    ):
        response = ask(answers, name, kind)
        assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
        assert has_soa(response)


def test_unknown_names_are_denied_for_a_moment(answers: Answers) -> None:
    """The search path of a pod makes most questions of this kind."""
    for name in ("web.default.svc.cluster.local.default.svc.cluster.local.", "www.example.org.svc.cluster.local.", "x.cluster.local."):
        response = ask(answers, name)
        assert (response.rcode(), response.answer) == (dns.rcode.NXDOMAIN, [])
        assert has_soa(response)
        assert response.authority[0].ttl == response.authority[0][0].minimum == 5


def test_ports(answers: Answers) -> None:
    response = ask(answers, "_http._tcp.web.default.svc.cluster.local.", "SRV")
    assert texts(response, "SRV") == ["0 100 80 web.default.svc.cluster.local."]
    assert [rrset[0].to_text() for rrset in response.additional] == ["10.43.0.20"]
    response = ask(answers, "_http._tcp.db.default.svc.cluster.local.", "SRV")
    assert texts(response, "SRV") == [f"0 100 8080 db-{n}.db.default.svc.cluster.local." for n in (0, 1)]
    assert sorted((rrset.name.to_text(), rrset[0].to_text()) for rrset in response.additional) == [
        ("db-0.db.default.svc.cluster.local.", "10.42.0.5"),
        ("db-1.db.default.svc.cluster.local.", "10.42.0.6"),
    ]


def test_back_from_an_address(answers: Answers) -> None:
    assert texts(ask(answers, "20.0.43.10.in-addr.arpa.", "PTR"), "PTR") == ["web.default.svc.cluster.local."]
    assert texts(ask(answers, "6.0.42.10.in-addr.arpa.", "PTR"), "PTR") == ["db-1.db.default.svc.cluster.local."]
    unknown = ask(answers, "77.0.42.10.in-addr.arpa.", "PTR")
    assert unknown.rcode() == dns.rcode.NXDOMAIN
    assert unknown.authority[0].name.to_text() == "42.10.in-addr.arpa."


def test_aliases_within_the_cluster_are_followed(answers: Answers) -> None:
    response = ask(answers, "inner.default.svc.cluster.local.")
    assert texts(response, "CNAME") == ["db.default.svc.cluster.local."]
    assert texts(response) == ["10.42.0.5", "10.42.0.6"]
    assert texts(ask(answers, "inner.default.svc.cluster.local.", "CNAME"), "CNAME") == ["db.default.svc.cluster.local."]
    broken = ask(answers, "broken.default.svc.cluster.local.")
    assert (broken.rcode(), len(broken.answer)) == (dns.rcode.NXDOMAIN, 1)
    assert ask(answers, "loop.default.svc.cluster.local.").rcode() == dns.rcode.SERVFAIL


def test_an_alias_out_of_the_cluster_is_for_others_to_finish(answers: Answers) -> None:
    found = answers.find(parse(dns.message.make_query("out.default.svc.cluster.local.", "AAAA").to_wire()))
    assert found is not None
    assert found.elsewhere == "www.example.org"
    assert texts(ask(answers, "out.default.svc.cluster.local.", "CNAME"), "CNAME") == ["www.example.org."]
    found = answers.find(parse(dns.message.make_query("out.default.svc.cluster.local.", "CNAME").to_wire()))
    assert found is not None
    assert found.elsewhere == ""


def test_the_top_of_the_zone(answers: Answers) -> None:
    assert texts(ask(answers, "cluster.local.", "NS"), "NS") == ["ns.dns.cluster.local."]
    assert len(texts(ask(answers, "cluster.local.", "SOA"), "SOA")) == 1
    assert texts(ask(answers, "dns-version.cluster.local.", "TXT"), "TXT") == ['"1.1.0"']
    assert has_soa(ask(answers, "cluster.local.", "A"))


def test_leaves_foreign_names_to_upstream(answers: Answers) -> None:
    for name, kind in (
        ("www.example.org.", "A"),
        ("local.", "A"),
        (".", "NS"),
        ("1.0.168.192.in-addr.arpa.", "PTR"),
        ("xcluster.local.", "A"),
    ):
        assert answers.find(parse(dns.message.make_query(name, kind).to_wire())) is None


def test_refuses_questions(answers: Answers) -> None:
    assert ask(answers, "cluster.local.", "AXFR").rcode() == dns.rcode.REFUSED
    chaos = dns.message.make_query("version.bind.", "TXT", rdclass="CH")
    found = answers.find(parse(chaos.to_wire()))
    assert found is not None
    assert found.answer.code == m.REFUSED


def test_a_change_shows_at_once(answers: Answers) -> None:
    assert ask(answers, "new.default.svc.cluster.local.").rcode() == dns.rcode.NXDOMAIN
    put(answers.zone, service("new", ip="10.43.0.77"))
    assert texts(ask(answers, "new.default.svc.cluster.local.")) == ["10.43.0.77"]
    put(answers.zone, service("new", ip="10.43.0.78"))
    assert texts(ask(answers, "new.default.svc.cluster.local.")) == ["10.43.0.78"]


def test_cache_is_bounded(answers: Answers) -> None:
    query = parse(dns.message.make_query("x.cluster.local.", "A").to_wire())
    for number in range(20000):
        answers.find(query._replace(name=f"x{number}.cluster.local"))
    assert len(answers._kept) < 10000


def test_many_addresses_are_cut_for_those_who_take_little(answers: Answers) -> None:
    put(answers.zone, service("big", ip="None"), [piece(*((f"10.42.1.{n}", "") for n in range(1, 101)))])
    small = ask(answers, "big.default.svc.cluster.local.")
    assert small.flags & dns.flags.TC
    assert 25 < len(texts(small)) < 30
    assert len(texts(ask(answers, "big.default.svc.cluster.local.", use_edns=0, payload=4096))) == 100
    assert len(texts(ask(answers, "big.default.svc.cluster.local.", limit=65535))) == 100
