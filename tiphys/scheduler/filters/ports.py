"""Filter of nodes whose host ports are already taken by other pods."""

from __future__ import annotations

import numpy as np

from tiphys.scheduler.columns import Bools, Rows
from tiphys.scheduler.resources import HostPort, conflict
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template


class NodePorts:
    name = "NodePorts"
    depends_on_pods = True

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools:
        free = np.ones(cluster.capacity, dtype=np.bool_)
        for port in template.ports:
            for row, addresses in cluster.ports.get((port.protocol, port.port), {}).items():
                if any(conflict(port, HostPort(ip, port.protocol, port.port)) for ip in addresses):
                    free[row] = False
        return free[rows]

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]:
        return ["node(s) didn't have free ports for the requested pod ports"]

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        return False
