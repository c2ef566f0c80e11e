"""Rows whose labels meet what volumes, classes and drivers ask of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.api.well_known import REGION, ZONE
from tiphys.scheduler.columns import ABSENT, Bools, Rows
from tiphys.scheduler.filters.node_affinity import requirement_rows
from tiphys.scheduler.snapshot import Snapshot

BETA_ZONE, BETA_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
NEW_NAMES = {BETA_ZONE: ZONE, BETA_REGION: REGION}
TOPOLOGY_LABELS = (BETA_ZONE, BETA_REGION, ZONE, REGION)
BETWEEN_ZONES = "__"
"""Separator of several zones in a volume's label."""

Topology = tuple[str, frozenset[str]]
"""Label of a volume, and the values of which a node must have one."""


def everywhere(cluster: Snapshot, rows: Rows) -> Bools:
    """Return all rows."""
    return np.ones_like(cluster.alive[rows])


def volume_rows(volume: core.PersistentVolume, cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows from which a volume can be reached. Only labels count, as in `matches_node` of the API's helpers."""
    required = volume.spec.nodeAffinity.required if volume.spec.nodeAffinity is not None else None
    result = everywhere(cluster, rows)
    if required is None:
        return result
    result[:] = False
    for term in required.nodeSelectorTerms:
        if term.matchExpressions or term.matchFields:
            matched = everywhere(cluster, rows)
            for requirement in term.matchExpressions:
                matched &= requirement_rows(requirement, cluster, rows)
            result |= matched
    return result


def allowed_rows(terms: Sequence[core.TopologySelectorTerm], cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows in which a class allows volumes (`allowedTopologies`)."""
    result = everywhere(cluster, rows)
    if not terms:
        return result
    result[:] = False
    for term in terms:
        if term.matchLabelExpressions:
            matched = everywhere(cluster, rows)
            for one in term.matchLabelExpressions:
                matched &= cluster.label(one.key).any_of(rows, one.values)
            result |= matched
    return result


def selected_rows(selectors: Iterable[meta.LabelSelector], cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows that any of the selectors selects."""
    result = everywhere(cluster, rows)
    result[:] = False
    single: dict[str, list[str]] = {}
    for selector in selectors:
        if len(selector.matchLabels) == 1 and not selector.matchExpressions:
            # A driver of local disks has one of these for each node: they are looked up together.
            for label, value in selector.matchLabels.items():
                single.setdefault(label, []).append(value)
            continue
        matched = everywhere(cluster, rows)
        for label, value in selector.matchLabels.items():
            matched &= cluster.label(label).any_of(rows, [value])
        for one in selector.matchExpressions:
            matched &= requirement_rows(core.NodeSelectorRequirement(key=one.key, operator=one.operator, values=one.values), cluster, rows)
        result |= matched
    for label, values in single.items():
        result |= cluster.label(label).any_of(rows, values)
    return result


def topologies(volume: core.PersistentVolume) -> list[Topology]:
    """Return the zones and regions that a volume's labels name; a label that makes no sense is ignored."""
    result = []
    for label in TOPOLOGY_LABELS:
        if label in volume.metadata.labels:
            values = [value.strip() for value in volume.metadata.labels[label].split(BETWEEN_ZONES)]
            if all(values):
                result.append((label, frozenset(values)))
    return result


def zone_rows(labels: Iterable[Topology], cluster: Snapshot, rows: Rows) -> Bools:
    """Return the rows in zones and regions that volumes name, and those that are in no zone or region at all."""
    placed = everywhere(cluster, rows)
    placed[:] = False
    for label in TOPOLOGY_LABELS:
        placed |= np.not_equal(cluster.label(label).codes[rows], ABSENT)
    result = everywhere(cluster, rows)
    for label, values in labels:
        column = cluster.label(label)
        matched = column.any_of(rows, sorted(values))
        if label in NEW_NAMES:
            # Nodes may have the new name of a label that the volume has under the old one.
            absent = np.equal(column.codes[rows], ABSENT)
            matched |= absent & cluster.label(NEW_NAMES[label]).any_of(rows, sorted(values))
        result &= matched
    return result | ~placed
