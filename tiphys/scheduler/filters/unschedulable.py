"""Filter of cordoned nodes, which accept only pods that tolerate it ("Manual Node administration")."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.helpers.taints import tolerates
from tiphys.api.well_known import UNSCHEDULABLE
from tiphys.scheduler.columns import Bools, Rows
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template

TAINT = core.Taint(key=UNSCHEDULABLE, effect="NoSchedule")


class NodeUnschedulable:
    name = "NodeUnschedulable"
    depends_on_pods = False

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools:
        tolerated = any(tolerates(one, TAINT) for one in template.tolerations)
        return cluster.alive[rows].copy() if tolerated else ~cluster.unschedulable[rows]

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]:
        return ["node(s) were unschedulable"]

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        return True
