"""Cached results of filters and scores for a template, one vector over all rows, updated row by row.

A pod that was placed changes one row; the next pod of the template recomputes only that row. When many rows
changed since the template was last asked for, all of them are computed at once.
"""

from __future__ import annotations

import numpy as np

from tiphys.scheduler.causes import ALLOWED, NO_NODE, Causes
from tiphys.scheduler.columns import Bools, Floats, Ints, Rows
from tiphys.scheduler.filters.order import enabled
from tiphys.scheduler.scores.preferences import image_locality, preferred_affinity, soft_taints
from tiphys.scheduler.scores.resources import balanced_allocation, least_allocated
from tiphys.scheduler.scores.scale import normalized
from tiphys.scheduler.settings import DEFAULTS, Profile
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template

MANY = 8
"""Inverse of the share of changed rows above which all rows are computed again."""


class Vectors:
    """Vectors of one template; call `refresh` before reading."""

    def __init__(self, template: Template, profile: Profile = DEFAULTS.profile) -> None:
        self.template = template
        self._weights = profile.weights
        self._filters = enabled(profile.disabled_filters)
        self.causes: Causes = np.zeros(0, dtype=np.int8)
        """First cause of rejection per row."""
        self._node_causes: Causes = np.zeros(0, dtype=np.int8)
        self._resource_scores: Floats = np.zeros(0)
        self._preferred: Ints | None = None
        self._soft_taints: Ints = np.zeros(0, dtype=np.int64)
        self._has_soft_taints = False
        self._images: Floats = np.zeros(0)
        """Weighted scores of the images."""
        self._images_version = -1
        self._nodes_read = -1
        self._pods_read = -1

    def refresh(self, cluster: Snapshot) -> None:
        """Update for changes since the last time."""
        nodes, pods = cluster.node_log, cluster.pod_log
        changed_nodes = nodes.since(self._nodes_read) if len(self.causes) == cluster.capacity else None
        changed_pods = pods.since(self._pods_read)
        if changed_nodes is None or changed_pods is None or len(changed_nodes) * MANY > len(cluster):
            self._renew(cluster)
        else:
            if changed_nodes:
                self._nodes(cluster, np.unique(np.array(changed_nodes, dtype=np.int64)))
            if changed_nodes or changed_pods:
                rows = np.unique(np.array(changed_nodes + changed_pods, dtype=np.int64))
                self._pods(cluster, rows if len(rows) * MANY <= len(cluster) else cluster.all_rows)
        self._nodes_read, self._pods_read = nodes.position, pods.position
        if self._images_version != cluster.images_version:
            self._images = self._weights.ImageLocality * image_locality(self.template, cluster)
            self._images_version = cluster.images_version

    def scores(self, candidates: Bools) -> Floats:
        """Return the weighted sum of all scores; meaningful for the candidates."""
        total = self._resource_scores + self._images
        if self._preferred is not None:
            total += self._weights.NodeAffinity * normalized(self._preferred, candidates)
        if self._has_soft_taints:
            total += self._weights.TaintToleration * normalized(self._soft_taints, candidates, reverse=True)
        return total

    def _renew(self, cluster: Snapshot) -> None:
        rows = cluster.capacity
        self.causes = np.zeros(rows, dtype=np.int8)
        self._node_causes = np.zeros(rows, dtype=np.int8)
        self._resource_scores = np.zeros(rows)
        self._soft_taints = np.zeros(rows, dtype=np.int64)
        self._preferred = np.zeros(rows, dtype=np.int64) if self.template.preferred else None
        self._images_version = -1
        self._nodes(cluster, cluster.all_rows)
        self._pods(cluster, cluster.all_rows)

    def _nodes(self, cluster: Snapshot, rows: Rows) -> None:
        causes = np.where(cluster.alive[rows], ALLOWED, NO_NODE).astype(np.int8)
        for number, rule in self._filters:
            if not rule.depends_on_pods:
                causes[(causes == ALLOWED) & ~rule.allowed(self.template, cluster, rows)] = number
        self._node_causes[rows] = causes
        if self._preferred is not None:
            self._preferred[rows] = preferred_affinity(self.template, cluster, rows)
        self._soft_taints[rows] = soft_taints(self.template, cluster, rows)
        self._has_soft_taints = bool(self._soft_taints.any())

    def _pods(self, cluster: Snapshot, rows: Rows) -> None:
        causes = self._node_causes[rows].copy()
        for number, rule in self._filters:
            if rule.depends_on_pods:
                causes[(causes == ALLOWED) & ~rule.allowed(self.template, cluster, rows)] = number
        self.causes[rows] = causes
        weights = self._weights
        self._resource_scores[rows] = weights.NodeResourcesFit * least_allocated(
            self.template, cluster, rows
        ) + weights.NodeResourcesBalancedAllocation * balanced_allocation(self.template, cluster, rows)


class VectorCache:
    """Vectors by template, for the most recently used templates."""

    def __init__(self, profile: Profile = DEFAULTS.profile, limit: int = 64) -> None:
        self._profile = profile
        self._limit = limit
        self._known: dict[bytes, Vectors] = {}

    def of(self, template: Template, cluster: Snapshot) -> Vectors:
        """Return the vectors of a template, up to date."""
        vectors = self._known.pop(template.key, None) or Vectors(template, self._profile)
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[template.key] = vectors
        vectors.refresh(cluster)
        return vectors
