"""One decision: which node a pod goes to. Synchronous and without I/O; chance comes as an argument."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np

from tiphys.scheduler.causes import ALLOWED, Causes, with_objections
from tiphys.scheduler.columns import Bools, Floats
from tiphys.scheduler.explain import Diagnosis, diagnose
from tiphys.scheduler.neighbours import Neighbours
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.vectors import VectorCache, Vectors

KNOWN_NEIGHBOURS = 256


class Opinion(NamedTuple):
    """What all filters and scores say about a pod."""

    causes: Causes
    candidates: Bools
    scores: Floats
    """Meaningful for the candidates."""


class Cycle:
    """Decides on a snapshot, and remembers per template what can be used again."""

    def __init__(self, cluster: Snapshot, *, rng: random.Random) -> None:
        self.cluster = cluster
        self._rng = rng
        self._vectors = VectorCache()
        self._neighbours: dict[tuple[bytes, bytes], Neighbours] = {}

    def place(self, info: PodInfo) -> str | Diagnosis:
        """The name of the best node, any of the best by chance, or why there is none."""
        opinion = self.ask(info)
        if not opinion.candidates.any():
            return diagnose(info, self.cluster, opinion.causes)
        scores = np.where(opinion.candidates, opinion.scores, -np.inf)
        best = np.flatnonzero(scores == scores.max())
        row = int(best[self._rng.randrange(len(best))])
        return self.cluster.names[row]

    def ask(self, info: PodInfo) -> Opinion:
        """What filters and scores say about a pod as things are."""
        vectors = self._vectors.of(info.template, self.cluster)
        neighbours = self._neighbours_of(info)
        causes = self._causes(vectors, neighbours)
        candidates: Bools = causes == ALLOWED
        scores = vectors.scores(candidates)
        if candidates.any():
            more = neighbours.scores(self.cluster, candidates)
            if more is not None:
                scores = scores + more
        return Opinion(causes, candidates, scores)

    def explain(self, info: PodInfo) -> Diagnosis:
        """What each node that cannot take the pod has against it, whether or not another can."""
        return diagnose(info, self.cluster, self.ask(info).causes)

    def _causes(self, vectors: Vectors, neighbours: Neighbours) -> Causes:
        verdicts = neighbours.verdicts(self.cluster)
        return vectors.causes if verdicts is None else with_objections(vectors.causes, verdicts)

    def _neighbours_of(self, info: PodInfo) -> Neighbours:
        ident = (info.template.key, info.social.key)
        known = self._neighbours.pop(ident, None) or Neighbours(info.template, info.social)
        if len(self._neighbours) >= KNOWN_NEIGHBOURS:
            del self._neighbours[next(iter(self._neighbours))]
        self._neighbours[ident] = known
        known.refresh(self.cluster)
        return known
