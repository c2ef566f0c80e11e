"""Filters and scores about other pods: spreading, affinity and anti-affinity.

Unlike the others they look at domains of nodes, so placing one pod can change the answer for many rows; what they rest on are tallies,
which a placed pod changes in one place. "Pod Topology Spread Constraints" and "Inter-pod affinity and anti-affinity".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tiphys.api.well_known import HOSTNAME
from tiphys.scheduler.columns import ABSENT, Bools, Codes, Floats, Ints
from tiphys.scheduler.filters.node_affinity import NodeAffinity
from tiphys.scheduler.filters.taints import TaintToleration
from tiphys.scheduler.scores.scale import MAX
from tiphys.scheduler.settings import DEFAULTS, Profile
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.social import NO_TERMS, Social, Spread, Term
from tiphys.scheduler.tally import Tally
from tiphys.scheduler.template import Template

SPREAD, AFFINITY = "PodTopologySpread", "InterPodAffinity"


class Verdicts(NamedTuple):
    """Rows in which other pods allow the pod to run, one mask per check, in the order of the checks."""

    labeled: Bools
    """The node has the labels that required spreading needs."""
    spread: Bools
    near: Bools
    far: Bools
    tolerated: Bools
    """No placed pod rejects this one."""


class _Area(NamedTuple):
    """Area in which a spread constraint counts pods."""

    codes: Codes
    values: int
    has_key: Bools
    included: Bools
    """Rows whose pods count."""
    is_whole: bool
    """True if these are all rows with the label, so that the tally's own domains apply."""
    present: Ints
    """Codes of the existing domains."""


class Neighbors:
    """Verdicts and scores about other pods, for pods of one template and one Social. Values that depend only on nodes are cached."""

    def __init__(self, template: Template, social: Social, profile: Profile = DEFAULTS.profile) -> None:
        self.template = template
        self._profile = profile
        self._spreads, self._bonds = (name not in profile.disabled_filters for name in (SPREAD, AFFINITY))
        self.social = social
        self._areas: dict[tuple[str, bool, bool, tuple[str, ...]], _Area] = {}
        self._affinity: Bools | None = None
        self._taints: Bools | None = None
        self._nodes_seen = -1

    def refresh(self, cluster: Snapshot) -> None:
        """Update for changes of nodes."""
        if self._nodes_seen != cluster.node_log.position:
            self._nodes_seen = cluster.node_log.position
            self._areas.clear()
            self._affinity = self._taints = None

    # ---- filters ----------------------------------------------------------------------------------------------------------------------

    def verdicts(self, cluster: Snapshot) -> Verdicts | None:
        """Return the rows in which the pod may run; None when no other pod restricts it."""
        must_spread = self.social.must_spread if self._spreads else ()
        terms = self.social.terms if self._bonds else NO_TERMS
        bonds = [bond for bond in cluster.relations.bonds(self.social) if bond.manner == "far"] if self._bonds else []
        if not must_spread and not terms.near and not terms.far and not bonds:
            return None
        everywhere: Bools = np.ones(cluster.capacity, dtype=np.bool_)
        labeled, spread = self._must_spread(cluster) if must_spread else (everywhere, everywhere)
        near = self._near(cluster, terms.near) if terms.near else everywhere
        far = everywhere
        for term in terms.far:
            far = far & _is_empty(cluster, cluster.group_tally((term.group,)), term.key)
        tolerated = everywhere
        for bond in bonds:
            tolerated = tolerated & _is_empty(cluster, bond.tally, bond.term.key)
        return Verdicts(labeled, spread, near, far, tolerated)

    def _must_spread(self, cluster: Snapshot) -> tuple[Bools, Bools]:
        spreads = self.social.must_spread
        keys = tuple(spread.key for spread in spreads)
        labeled: Bools = np.ones(cluster.capacity, dtype=np.bool_)
        right: Bools = np.ones(cluster.capacity, dtype=np.bool_)
        for spread in spreads:
            area = self._area(cluster, spread, keys)
            counts = self._counts(cluster, spread, area)
            least = int(counts[area.present].min()) if len(area.present) >= max(spread.min_domains, 1) else 0
            itself = spread.group.selector.matches(self.social.labels)
            fine = np.append(counts + itself - least <= spread.max_skew, True).take(area.codes)
            # The first constraint that fails gives the reason, so a label that is missing later does not count any more.
            labeled &= area.has_key | ~right
            right &= fine
        return labeled, right

    def _near(self, cluster: Snapshot, terms: tuple[Term, ...]) -> Bools:
        tally = cluster.group_tally(tuple(term.group for term in terms))
        has_keys: Bools = np.ones(cluster.capacity, dtype=np.bool_)
        has_pods: Bools = np.ones(cluster.capacity, dtype=np.bool_)
        anywhere = False
        for term in terms:
            column = cluster.label(term.key)
            domains = tally.domains(term.key, column.codes, len(column.values))
            anywhere = anywhere or bool(domains.counts.any())
            has_keys &= column.codes != ABSENT
            has_pods &= ~domains.is_empty()
        if not anywhere and all(term.group.has(self.social, cluster.relations.namespaces) for term in terms):
            # The first of a group that wants to be together has nobody to be near to.
            return has_keys
        return has_keys & has_pods

    # ---- scores -----------------------------------------------------------------------------------------------------------------------

    def scores(self, cluster: Snapshot, candidates: Bools) -> Floats | None:
        """Return the weighted sum of the scores; None when no pod has preferences."""
        social, weights = self.social, self._profile.weights
        spreads = cluster.relations.defaults.of(social) if social.by_default else social.rather_spread
        total: Floats | None = None
        if spreads and weights.PodTopologySpread:
            total = weights.PodTopologySpread * self._rather_spread(cluster, spreads, candidates, need_labels=not social.by_default)
        raw = self._attraction(cluster) if weights.InterPodAffinity else None
        if raw is not None:
            affinity = weights.InterPodAffinity * _between(raw, candidates)
            total = affinity if total is None else total + affinity
        return total

    def _rather_spread(self, cluster: Snapshot, spreads: tuple[Spread, ...], candidates: Bools, *, need_labels: bool) -> Floats:
        keys = tuple(spread.key for spread in spreads) if need_labels else ()
        scored = candidates
        for key in keys:
            scored = scored & (cluster.label(key).codes != ABSENT)
        sums = np.zeros(cluster.capacity)
        for spread in spreads:
            area = self._area(cluster, spread, keys)
            if spread.key == HOSTNAME:
                counts, domains = cluster.spread_tally(spread.group).counts, int(scored.sum())
            else:
                counts = np.append(self._counts(cluster, spread, area), 0).take(area.codes)
                domains = _distinct(area.codes[scored], area.values)
            # Many domains hold few pods each; the logarithm keeps them from going under beside a label with few values.
            shares = counts * math.log(domains + 2) + (spread.max_skew - 1)
            sums += shares if area.has_key.all() else np.where(area.has_key, shares, 0.0)
        raw = np.floor(sums + 0.5)
        of_scored = raw[scored]
        if not len(of_scored):
            return np.zeros(cluster.capacity)
        least, most = int(of_scored.min()), int(of_scored.max())
        if most == 0:
            return np.where(scored, float(MAX), 0.0)
        # Whole numbers all of them, far below the size from which on their quotients would be rounded before they are floored.
        return np.where(scored, np.floor(MAX * (most + least - raw) / most), 0.0)

    def _attraction(self, cluster: Snapshot) -> Ints | None:
        terms = self.social.terms
        total: Ints | None = None
        weighted: list[tuple[Tally, Term, int]] = []
        for sign, preferences in ((1, terms.rather_near), (-1, terms.rather_far)):
            weighted += [(cluster.group_tally((term.group,)), term, sign * term.weight) for term in preferences]
        for bond in cluster.relations.bonds(self.social):
            if bond.manner == "near":
                weighted.append((bond.tally, bond.term, self._profile.hard_affinity_weight))
            elif bond.manner != "far":
                weighted.append((bond.tally, bond.term, bond.term.weight if bond.manner == "rather_near" else -bond.term.weight))
        for tally, term, weight in weighted:
            column = cluster.label(term.key)
            more = weight * tally.domains(term.key, column.codes, len(column.values)).per_row()
            total = more if total is None else total + more
        return total

    # ---- where spreading counts -------------------------------------------------------------------------------------------------------

    def _area(self, cluster: Snapshot, spread: Spread, keys: tuple[str, ...]) -> _Area:
        ident = (spread.key, spread.honors_affinity, spread.honors_taints, keys)
        area = self._areas.get(ident)
        if area is None:
            area = self._areas[ident] = self._work_out(cluster, spread, keys)
        return area

    def _work_out(self, cluster: Snapshot, spread: Spread, keys: tuple[str, ...]) -> _Area:
        column = cluster.label(spread.key)
        codes = column.codes
        has_key: Bools = codes != ABSENT
        included = has_key.copy()
        for key in keys:
            included &= cluster.label(key).codes != ABSENT
        if spread.honors_affinity:
            if self._affinity is None:
                self._affinity = NodeAffinity().allowed(self.template, cluster, cluster.all_rows)
            included &= self._affinity
        if spread.honors_taints:
            if self._taints is None:
                self._taints = TaintToleration().allowed(self.template, cluster, cluster.all_rows)
            included &= self._taints
        present: Ints = np.flatnonzero(np.bincount(codes[included], minlength=1))
        return _Area(codes, len(column.values), has_key, included, bool(np.array_equal(included, has_key)), present)

    def _counts(self, cluster: Snapshot, spread: Spread, area: _Area) -> Ints:
        tally = cluster.spread_tally(spread.group)
        if area.is_whole:
            return tally.domains(spread.key, area.codes, area.values).counts
        return tally.among(area.codes, area.values, area.included)


def _is_empty(cluster: Snapshot, tally: Tally, key: str) -> Bools:
    column = cluster.label(key)
    return tally.domains(key, column.codes, len(column.values)).is_empty()


def _distinct(codes: Codes, values: int) -> int:
    """Return the number of distinct values; a missing value counts as one."""
    seen = np.zeros(values + 1, dtype=np.bool_)
    seen[codes] = True
    return int(seen.sum())


def _between(raw: Ints, candidates: Bools) -> Floats:
    """Scale to 0 for the lowest of the candidates and 100 for the highest."""
    of_candidates = raw[candidates]
    least, most = int(of_candidates.min()), int(of_candidates.max())
    if most == least:
        return np.zeros(len(raw))
    result: Floats = np.trunc(MAX * ((raw - least) / (most - least)))
    return result
