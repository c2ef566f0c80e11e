"""One decision: which node a pod goes to. Synchronous and without I/O; chance comes as an argument."""

from __future__ import annotations

import random

import numpy as np

from tiphys.scheduler.explain import Diagnosis, diagnose
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.vectors import VectorCache


class Cycle:
    """Decides on a snapshot, and remembers per template what can be used again."""

    def __init__(self, cluster: Snapshot, *, rng: random.Random) -> None:
        self.cluster = cluster
        self._rng = rng
        self._vectors = VectorCache()

    def place(self, info: PodInfo) -> str | Diagnosis:
        """The name of the best node, any of the best by chance, or why there is none."""
        vectors = self._vectors.of(info.template, self.cluster)
        candidates = vectors.allowed
        if not candidates.any():
            return diagnose(info, self.cluster, vectors)
        scores = np.where(candidates, vectors.scores(candidates), -np.inf)
        best = np.flatnonzero(scores == scores.max())
        row = int(best[self._rng.randrange(len(best))])
        return self.cluster.names[row]
