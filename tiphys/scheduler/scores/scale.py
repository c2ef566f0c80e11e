"""Scaling of raw counts to 0..100, by the largest count among the candidates."""

from __future__ import annotations

import numpy as np

from tiphys.scheduler.columns import Bools, Floats, Ints

MAX = 100


def normalized(raw: Ints, candidates: Bools, *, reverse: bool = False) -> Floats:
    """Scale each count to its share of the largest among the candidates; with `reverse`, low counts score high."""
    highest = int(raw[candidates].max(initial=0))
    if highest == 0:
        return np.full(len(raw), MAX if reverse else 0, dtype=np.float64)
    share = raw * MAX // highest
    return (MAX - share if reverse else share).astype(np.float64)
