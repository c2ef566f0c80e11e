"""Scores of the pod's preferences: preferred node affinity, soft taints, images present on the node."""

from __future__ import annotations

import numpy as np

from tiphys.scheduler.columns import Floats, Ints, Rows
from tiphys.scheduler.filters.node_affinity import term_rows
from tiphys.scheduler.filters.taints import TaintSet, as_taints
from tiphys.scheduler.matching import SOFT_EFFECT, untolerated
from tiphys.scheduler.scores.scale import MAX
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template

MEGABYTE = 1024 * 1024
LEAST_IMAGE = 23 * MEGABYTE
"""Size below which images are ignored."""
MOST_PER_CONTAINER = 1000 * MEGABYTE


def preferred_affinity(template: Template, cluster: Snapshot, rows: Rows) -> Ints:
    """Return the sum of the weights of the preferred terms that a node meets (raw)."""
    total: Ints = np.zeros(len(cluster.alive[rows]), dtype=np.int64)
    for preference in template.preferred:
        if preference.weight:
            total += preference.weight * term_rows(preference.preference, cluster, rows)
    return total


def soft_taints(template: Template, cluster: Snapshot, rows: Rows) -> Ints:
    """Count the PreferNoSchedule taints of a node that the pod does not tolerate (raw, fewer is better)."""
    relevant = [one for one in template.tolerations if one.effect in ("", SOFT_EFFECT)]

    def count(taints: TaintSet) -> int:
        return len(untolerated(as_taints(taints), relevant, (SOFT_EFFECT,)))

    result: Ints = cluster.taints.pick(rows, count, np.int64, 0)
    return result


def image_locality(template: Template, cluster: Snapshot) -> Floats:
    """Return the share of the pod's images that a node has, by size; images on few nodes count less, lest those nodes get every pod."""
    total = np.zeros(cluster.capacity, dtype=np.int64)
    nodes = max(len(cluster), 1)
    for image in template.images:
        sizes = cluster.image_rows.get(image, {})
        spread = len(sizes) / nodes
        for row, size in sizes.items():
            total[row] += int(size * spread)
    most = MOST_PER_CONTAINER * max(template.containers, 1)
    result: Floats = (MAX * (np.clip(total, LEAST_IMAGE, most) - LEAST_IMAGE) // (most - LEAST_IMAGE)).astype(np.float64)
    return result
