"""Scores of free resources: the emptier and the more evenly used a node, the better ("Scheduler Configuration")."""

from __future__ import annotations

import numpy as np

from tiphys.scheduler.columns import Bools, Floats, Ints, Rows
from tiphys.scheduler.resources import CPU, MEMORY
from tiphys.scheduler.scores.scale import MAX
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template


def least_allocated(template: Template, cluster: Snapshot, rows: Rows) -> Floats:
    """Return the average free share of CPU and memory with the pod on the node. Containers without requests count with defaults."""
    requests = template.requests
    score: Ints = np.zeros(len(cluster.alive[rows]), dtype=np.int64)
    counted: Ints = np.zeros_like(score)
    for which, (name, more) in enumerate(((CPU, requests.assumed_cpu), (MEMORY, requests.assumed_memory))):
        there = cluster.allocatable[rows, cluster.resource(name)]
        left = there - cluster.assumed[rows, which] - more
        score += np.maximum(left, 0) * MAX // np.maximum(there, 1)
        counted += there > 0
    result: Floats = (score // np.maximum(counted, 1)).astype(np.float64)
    return result


def balanced_allocation(template: Template, cluster: Snapshot, rows: Rows) -> Floats:
    """Return the effect of the pod on the balance between the used shares of CPU and memory: 50 (worse) to 100 (better).

    A pod that asks for neither leaves the balance as it is, so it gets 0 everywhere.
    """
    requests = template.requests.amounts
    if not requests.get(CPU) and not requests.get(MEMORY):
        return np.zeros(len(cluster.alive[rows]), dtype=np.float64)
    columns = [cluster.resource(CPU), cluster.resource(MEMORY)]
    there = np.stack([cluster.allocatable[rows, column] for column in columns])
    before = np.stack([cluster.used[rows, column] for column in columns])
    after = before + np.array([[requests.get(CPU, 0)], [requests.get(MEMORY, 0)]])
    both = np.all(there > 0, axis=0)
    gain = _balance(after, there, both) - _balance(before, there, both)
    half = MAX // 2
    # Division toward zero, of a number that is never negative.
    result: Floats = (half + (half + gain) // 2).astype(np.float64)
    return result


def _balance(used: Ints, there: Ints, both: Bools) -> Ints:
    share = np.minimum(used / np.maximum(there, 1), 1.0)
    # The deviation of two numbers is half their difference; of one it is nothing.
    deviation = np.where(both, np.abs(share[0] - share[1]) / 2, 0.0)
    result: Ints = ((1 - deviation) * float(MAX)).astype(np.int64)
    return result
