"""Evictions of pods because of taints, with their times ("Taints and Tolerations"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from tiphys.api.core import v1 as core
from tiphys.api.helpers.taints import tolerates
from tiphys.api.machinery.durations import later


def evicting(node: core.Node) -> list[core.Taint]:
    """Return the taints that send running pods away."""
    return [taint for taint in node.spec.taints if taint.effect == "NoExecute"]


def leave_at(taints: Sequence[core.Taint], tolerations: Iterable[core.Toleration], since: Sequence[datetime]) -> datetime | None:
    """Return the moment at which a pod with these tolerations must go; None when it may stay. `since` says from when each taint counts.

    A taint that nothing tolerates counts at once. Of several tolerations for one taint the shortest period holds, and a toleration
    without a period only helps when no other has one.
    """
    tolerations = list(tolerations)
    moments = []
    for taint, start in zip(taints, since, strict=True):
        covering = [toleration for toleration in tolerations if tolerates(toleration, taint)]
        if not covering:
            return min(since)
        periods = [toleration.tolerationSeconds for toleration in covering if toleration.tolerationSeconds is not None]
        if periods:
            moments.append(later(start, max(min(periods), 0)))
    return min(moments, default=None)
