"""Filter of nodes with enough free resources for the pod's requests ("Resource Management for Pods and Containers")."""

from __future__ import annotations

from tiphys.scheduler.columns import Bools, Rows
from tiphys.scheduler.resources import CPU, EPHEMERAL, MEMORY, PODS
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template


class NodeResourcesFit:
    name = "NodeResourcesFit"
    depends_on_pods = True

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools:
        result = _fits(PODS, 1, cluster, rows)
        for name, request in template.requests.amounts.items():
            result &= _fits(name, request, cluster, rows)
        return result

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]:
        reasons = [] if self._has(PODS, 1, cluster, row) else ["Too many pods"]
        requests = template.requests.amounts
        first = [name for name in (CPU, MEMORY, EPHEMERAL) if name in requests]
        names = [*first, *(name for name in requests if name not in first)]
        return [*reasons, *(f"Insufficient {name}" for name in names if not self._has(name, requests[name], cluster, row))]

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        """Return whether the node has too little even when it is empty."""
        requests = template.requests.amounts
        return any(value > cluster.allocatable[row, cluster.resource(name)] for name, value in requests.items())

    def _has(self, name: str, request: int, cluster: Snapshot, row: int) -> bool:
        return bool(_fits(name, request, cluster, slice(row, row + 1))[0])


def _fits(name: str, request: int, cluster: Snapshot, rows: Rows) -> Bools:
    column = cluster.resource(name)
    result: Bools = cluster.used[rows, column] + request <= cluster.allocatable[rows, column]
    return result
