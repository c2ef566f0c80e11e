"""From a DNS question to its answer, on a zone. Pure: messages in, messages out; the caller forwards what the zone does not own."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tiphys.dns.zone import Name, Srv, Zone

TTL = 5
"""Seconds: names change with every rollout."""
NEGATIVE_TTL = 5
UDP_LIMIT = 512
REVERSE = ".in-addr.arpa"


def answer(zone: Zone, query: dns.message.Message, rng_turn: int = 0) -> dns.message.Message | None:
    """The response, or None when the question is not about this zone. `rng_turn` rotates addresses, so that clients spread."""
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.NOTIMP)
        return response
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    if name.endswith(REVERSE):
        return _reverse(zone, query, name)
    if not zone.owns(name):
        return None
    response = _authoritative(query)
    found = zone.find(name)
    if found is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
        _add_soa(response, zone)
        return response
    if found.alias:
        _add(response.answer, question.name, dns.rdatatype.CNAME, [found.alias + "."])
        return response
    if not _fill(response, zone, question, found, rng_turn):
        _add_soa(response, zone)
    return response


def _authoritative(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    return response


def _fill(response: dns.message.Message, zone: Zone, question: dns.rrset.RRset, found: Name, turn: int) -> bool:
    """Add the records of the type asked for; whether there were any."""
    kind = question.rdtype
    if kind in (dns.rdatatype.A, dns.rdatatype.ANY) and found.addresses:
        shift = turn % len(found.addresses)
        _add(response.answer, question.name, dns.rdatatype.A, [*found.addresses[shift:], *found.addresses[:shift]])
        return True
    if kind in (dns.rdatatype.SRV, dns.rdatatype.ANY) and found.services:
        _add(response.answer, question.name, dns.rdatatype.SRV, [_srv(zone, srv) for srv in found.services])
        for srv in found.services:
            target = zone.find(f"{srv.target}.{zone.domain}")
            if target is not None and target.addresses:
                owner = dns.name.from_text(f"{srv.target}.{zone.domain}.")
                _add(response.additional, owner, dns.rdatatype.A, list(target.addresses))
        return True
    return False


def _srv(zone: Zone, srv: Srv) -> str:
    return f"0 100 {srv.port} {srv.target}.{zone.domain}."


def _add(section: list[dns.rrset.RRset], owner: dns.name.Name, kind: dns.rdatatype.RdataType, texts: list[str]) -> None:
    section.append(dns.rrset.from_text_list(owner, TTL, dns.rdataclass.IN, kind, texts))


def _add_soa(response: dns.message.Message, zone: Zone) -> None:
    """Tells how long the absence may be remembered."""
    text = f"ns.dns.{zone.domain}. hostmaster.{zone.domain}. {zone.serial} 7200 1800 86400 {NEGATIVE_TTL}"
    owner = dns.name.from_text(zone.domain + ".")
    response.authority.append(dns.rrset.from_text(owner, NEGATIVE_TTL, dns.rdataclass.IN, dns.rdatatype.SOA, text))


def _reverse(zone: Zone, query: dns.message.Message, name: str) -> dns.message.Message | None:
    address = ".".join(reversed(name[: -len(REVERSE)].split(".")))
    names = zone.reverse(address)
    if not names:
        return None
    response = _authoritative(query)
    if query.question[0].rdtype in (dns.rdatatype.PTR, dns.rdatatype.ANY):
        _add(response.answer, query.question[0].name, dns.rdatatype.PTR, [text + "." for text in names])
    return response


def failure(query: dns.message.Message, code: dns.rcode.Rcode = dns.rcode.SERVFAIL) -> dns.message.Message:
    """A response that only says what went wrong."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(code)
    return response
