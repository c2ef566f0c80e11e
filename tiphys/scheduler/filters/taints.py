"""Filter of nodes with taints that the pod does not tolerate ("Taints and Tolerations")."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.scheduler.columns import Bools, Rows
from tiphys.scheduler.matching import HARD_EFFECTS, untolerated
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import Template

TaintSet = tuple[tuple[str, str, str], ...]


def as_taints(taints: TaintSet) -> Iterable[core.Taint]:
    """Convert taints in the snapshot's form to API objects."""
    return (core.Taint(key=key, value=value, effect=effect) for key, value, effect in taints)


class TaintToleration:
    name = "TaintToleration"
    depends_on_pods = False

    def allowed(self, template: Template, cluster: Snapshot, rows: Rows) -> Bools:
        def verdict(taints: TaintSet) -> bool:
            return not untolerated(as_taints(taints), template.tolerations, HARD_EFFECTS)

        return cluster.taints.pick(rows, verdict, bool, False)

    def reasons(self, template: Template, cluster: Snapshot, row: int) -> list[str]:
        return ["node(s) had untolerated taint(s)"]

    def is_final(self, template: Template, cluster: Snapshot, row: int) -> bool:
        return True
