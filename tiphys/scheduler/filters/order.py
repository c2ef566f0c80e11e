"""The one list of filters, cheapest first, in the order in which upstream lets them speak: the first that says no gives the reason."""

from __future__ import annotations

from tiphys.scheduler.filters import Filter
from tiphys.scheduler.filters.fit import NodeResourcesFit
from tiphys.scheduler.filters.node_affinity import NodeAffinity
from tiphys.scheduler.filters.ports import NodePorts
from tiphys.scheduler.filters.taints import TaintToleration
from tiphys.scheduler.filters.unschedulable import NodeUnschedulable

FILTERS: tuple[Filter, ...] = (NodeUnschedulable(), TaintToleration(), NodeAffinity(), NodePorts(), NodeResourcesFit())
