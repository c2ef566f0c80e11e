"""The list of filters, cheapest first, in upstream's order: the first that rejects a node gives the reason."""

from __future__ import annotations

from collections.abc import Collection

from tiphys.scheduler.filters import Filter
from tiphys.scheduler.filters.fit import NodeResourcesFit
from tiphys.scheduler.filters.node_affinity import NamedNodes, NodeAffinity
from tiphys.scheduler.filters.ports import NodePorts
from tiphys.scheduler.filters.taints import TaintToleration
from tiphys.scheduler.filters.unschedulable import NodeUnschedulable

FILTERS: tuple[Filter, ...] = (
    NamedNodes(),
    NodeUnschedulable(),
    TaintToleration(),
    NodeAffinity(),
    NodePorts(),
    NodeResourcesFit(),
)


def enabled(disabled: Collection[str]) -> tuple[tuple[int, Filter], ...]:
    """Return the filters that are not disabled, each with its number, which counts from 1 over all filters."""
    return tuple((number, rule) for number, rule in enumerate(FILTERS, 1) if rule.name not in disabled)
