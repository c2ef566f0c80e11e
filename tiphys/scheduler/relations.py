"""Counts of related pods, kept up to date: groups that constraints refer to, and terms that pods carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from tiphys.scheduler.defaults import DefaultSpreads
from tiphys.scheduler.social import NO_TERMS, Group, Social, Term, Terms
from tiphys.scheduler.tally import Tallies, Tally

Manner = Literal["near", "far", "rather_near", "rather_far"]
KNOWN_SOCIALS = 4096


class Placed(NamedTuple):
    """Pod in a row, with its relations."""

    row: int
    social: Social
    terminating: bool


class Carrier(msgspec.Struct, eq=False):
    """Locations of the pods that carry certain terms."""

    terms: Terms
    tally: Tally
    pods: int = 0


class Bond(NamedTuple):
    """Term of placed pods that matches a pod to be placed."""

    manner: Manner
    term: Term
    tally: Tally
    """Tally of the pods that carry it."""


class _Counted(NamedTuple):
    """Tallies that count a kind of pod, of those up to a number. The Social is kept, so that its id stays its own."""

    social: Social
    newest: int
    tallies: tuple[Tally, ...]


class Relations:
    """See the module. `placed` yields all counted pods, for a count that starts."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.defaults = DefaultSpreads()
        self._tallies = Tallies()
        self._carriers: dict[Terms, Carrier] = {}
        self._bonds: dict[bytes, tuple[Bond, ...]] = {}
        self._known: dict[tuple[int, bool], _Counted] = {}

    @property
    def has_carriers(self) -> bool:
        """True if any pod has terms that others must respect."""
        return bool(self._carriers)

    def put_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Record the labels of a namespace, or its removal (None)."""
        before = self.namespaces.get(name)
        if labels is None:
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = labels
        if (before or {}) != (labels or {}):
            # Rare, and any group with a namespace selector may be another now.
            self._tallies.clear()
            self._bonds.clear()

    def count(self, placed: Placed, change: int) -> None:
        """Count pods that entered a row (or left it)."""
        row, social, terminating = placed
        for tally in self._counting(social, terminating):
            tally.change(row, change)
        if social.terms != NO_TERMS:
            self._carry(social.terms, row, change)

    def _counting(self, social: Social, terminating: bool) -> tuple[Tally, ...]:
        """Return the tallies that count such pods. Only those that came since the last time are asked."""
        ident, newest = (id(social), terminating), self._tallies.newest
        known = self._known.get(ident)
        if known is not None and known.newest == newest:
            return known.tallies
        before, tallies = (known.newest, known.tallies) if known is not None else (0, ())
        more = [tally for tally in self._tallies.since(before) if tally.counts_pod(social, terminating)]
        tallies = (*filter(self._tallies.has, tallies), *more)
        if len(self._known) >= KNOWN_SOCIALS:
            self._known.clear()
        self._known[ident] = _Counted(social, newest, tallies)
        return tallies

    def _carry(self, terms: Terms, row: int, change: int) -> None:
        carrier = self._carriers.get(terms)
        if carrier is None:
            carrier = self._carriers[terms] = Carrier(terms, Tally(self.rows, lambda social, terminating: False))
            self._bonds.clear()
        carrier.tally.change(row, change)
        carrier.pods += change
        if carrier.pods == 0:
            del self._carriers[terms]
            self._bonds.clear()

    def grow(self, rows: int) -> None:
        """Make room for more rows."""
        self.rows = rows
        for tally in self._all():
            tally.grow(rows)

    def labels_changed(self) -> None:
        """Update for changed labels of nodes."""
        for tally in self._all():
            tally.labels_changed()

    def _all(self) -> Iterable[Tally]:
        yield from self._tallies
        for carrier in self._carriers.values():
            yield carrier.tally

    def spread_tally(self, group: Group, placed: Iterable[Placed]) -> Tally:
        """Return the tally of a group for spreading: without pods being deleted, and empty for the empty selector."""

        def counts(social: Social, terminating: bool) -> bool:
            return not terminating and not group.selector.empty and group.has(social, self.namespaces)

        return self._tallies.of(("spread", group), lambda: self._counted(Tally(self.rows, counts), placed))

    def group_tally(self, groups: tuple[Group, ...], placed: Iterable[Placed]) -> Tally:
        """Return the tally of pods that are in all of the groups."""

        def counts(social: Social, terminating: bool) -> bool:
            return all(group.has(social, self.namespaces) for group in groups)

        return self._tallies.of(("group", groups), lambda: self._counted(Tally(self.rows, counts), placed))

    def _counted(self, tally: Tally, placed: Iterable[Placed]) -> Tally:
        verdicts: dict[tuple[int, bool], bool] = {}
        for row, social, terminating in placed:
            ident = (id(social), terminating)
            counts = verdicts.get(ident)
            if counts is None:
                counts = verdicts[ident] = tally.counts_pod(social, terminating)
            if counts:
                tally.counts[row] += 1
        return tally

    def bonds(self, social: Social) -> tuple[Bond, ...]:
        """Return the terms of placed pods that match such a pod."""
        if not self._carriers:
            return ()
        bonds = self._bonds.get(social.key)
        if bonds is None:
            if len(self._bonds) >= KNOWN_SOCIALS:
                self._bonds.clear()
            bonds = self._bonds[social.key] = tuple(self._work_out(social))
        return bonds

    def _work_out(self, social: Social) -> Iterable[Bond]:
        for carrier in self._carriers.values():
            manners: tuple[tuple[Manner, tuple[Term, ...]], ...] = (
                ("near", carrier.terms.near),
                ("far", carrier.terms.far),
                ("rather_near", carrier.terms.rather_near),
                ("rather_far", carrier.terms.rather_far),
            )
            for manner, terms in manners:
                for term in terms:
                    if term.group.has(social, self.namespaces):
                        yield Bond(manner, term, carrier.tally)
