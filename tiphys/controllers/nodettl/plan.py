"""Seconds for which kubelets may keep Secrets and ConfigMaps without a look at the server, by the size of the cluster. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Cluster size, and its time to live."""

    least: int
    """Number of nodes below which the cluster counts as smaller. Sizes overlap, so that nodes that come and go change nothing."""
    most: int | None
    """Number of nodes above which it counts as larger; None for no limit."""
    seconds: int


SIZES = (Size(0, 100, 0), Size(90, 500, 15), Size(450, 1000, 30), Size(900, 2000, 60), Size(1800, None, 300))


def next_size(size: int, nodes: int) -> int:
    """Return the size (an index of SIZES) of a cluster that was of `size` before."""
    while (most := SIZES[size].most) is not None and nodes > most:
        size += 1
    while nodes < SIZES[size].least:
        size -= 1
    return size
