"""The list of filters, cheapest first, in upstream's order: the first that rejects a node gives the reason."""

from __future__ import annotations

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
