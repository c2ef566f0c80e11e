"""Answers to questions about a zone. Pure; the caller forwards questions outside the zone.

Answers are kept encoded until the zone changes, so the common question costs a look-up.
"""

from __future__ import annotations

from typing import NamedTuple

from tiphys.dns import message as m
from tiphys.dns.message import THE_QUESTION, Answer, Query, record, wire_name
from tiphys.dns.zone import REVERSE, Name, Zone

TTL = 5
"""Seconds: names change with every rollout."""
NEGATIVE_TTL = 5
MAX_ALIASES = 8
MAX_KEPT = 8192
MAX_EXTRA = 16
"""Targets whose addresses are sent along with an SRV answer."""


class Lookup(NamedTuple):
    """Answer, and the target to continue with if an alias leads out of the cluster."""

    answer: Answer
    elsewhere: str = ""


class Answers:
    """Answers about a zone, cached."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._kept: dict[tuple[str, int], Lookup | None] = {}
        self._serial = zone.serial

    def find(self, query: Query) -> Lookup | None:
        """Return the answer to a question, or None when it is not about this zone."""
        if query.problem:
            return Lookup(Answer(query.problem, authoritative=False))
        if query.klass not in (m.IN, m.ANY_CLASS):
            return Lookup(Answer(m.REFUSED, authoritative=False))
        if self._serial != self.zone.serial or len(self._kept) > MAX_KEPT:
            self._kept.clear()
            self._serial = self.zone.serial
        key = (query.name, query.kind)
        try:
            return self._kept[key]
        except KeyError:
            lookup = self._kept[key] = _find(self.zone, query.name, query.kind)
            return lookup


def _find(zone: Zone, name: str, kind: int) -> Lookup | None:
    if name.endswith(REVERSE):
        return _reverse(zone, name, kind)
    if not zone.owns(name):
        return None
    if kind in (m.AXFR, m.AXFR - 1):
        return Lookup(Answer(m.REFUSED, authoritative=False))
    owner = THE_QUESTION
    aliases: list[bytes] = []
    for _ in range(MAX_ALIASES):
        known = zone.find(name)
        if known is None:
            return Lookup(Answer(m.NXDOMAIN, tuple(aliases), (_soa(zone, zone.domain),), pinned=len(aliases)))
        if not known.alias:
            records, extra = _records(zone, name, known, owner, kind)
            authority = () if records else (_soa(zone, zone.domain),)
            return Lookup(Answer(m.NOERROR, (*aliases, *records), authority, extra, pinned=len(aliases)))
        aliases.append(record(owner, m.CNAME, TTL, wire_name(known.alias)))
        so_far = Answer(m.NOERROR, tuple(aliases), pinned=len(aliases))
        if kind in (m.CNAME, m.ANY):
            return Lookup(so_far)
        if not zone.owns(known.alias):
            return Lookup(so_far, known.alias)
        name, owner = known.alias, wire_name(known.alias)
    return Lookup(Answer(m.SERVFAIL))


def _records(zone: Zone, name: str, known: Name, owner: bytes, kind: int) -> tuple[list[bytes], tuple[bytes, ...]]:
    """Return the records of the requested type, and the additional ones."""
    records: list[bytes] = []
    extra: list[bytes] = []
    if kind in (m.A, m.ANY):
        records += [record(owner, m.A, TTL, m.address_data(address)) for address in known.addresses]
    if kind in (m.TXT, m.ANY) and known.text:
        records.append(record(owner, m.TXT, TTL, m.text_data(known.text)))
    if kind in (m.SRV, m.ANY):
        for srv in known.services:
            target = f"{srv.target}.{zone.domain}"
            records.append(record(owner, m.SRV, TTL, m.srv_data(srv.port, target)))
            there = zone.find(target)
            if there is not None and len(extra) < MAX_EXTRA:
                extra += [record(wire_name(target), m.A, TTL, m.address_data(address)) for address in there.addresses]
    if name == zone.domain:
        if kind in (m.SOA, m.ANY):
            records.append(_soa(zone, zone.domain))
        if kind in (m.NS, m.ANY):
            records.append(record(owner, m.NS, TTL, wire_name(f"ns.dns.{zone.domain}")))
    return records, tuple(dict.fromkeys(extra))


def _soa(zone: Zone, owner: str) -> bytes:
    """Return the SOA record, which says how long an absence may be cached."""
    data = m.soa_data(f"ns.dns.{zone.domain}", f"hostmaster.{zone.domain}", zone.serial, NEGATIVE_TTL)
    return record(wire_name(owner), m.SOA, NEGATIVE_TTL, data)


def _reverse(zone: Zone, name: str, kind: int) -> Lookup | None:
    names = zone.reverse(".".join(reversed(name.removesuffix(REVERSE).split("."))))
    inside = zone.reverse_zone(name)
    if not names:
        # Questions about the cluster's own addresses are nobody else's business.
        return Lookup(Answer(m.NXDOMAIN, authority=(_soa(zone, inside),))) if inside else None
    if kind in (m.PTR, m.ANY):
        return Lookup(Answer(records=tuple(record(THE_QUESTION, m.PTR, TTL, wire_name(text)) for text in names)))
    return Lookup(Answer(authority=(_soa(zone, inside or name),)))
