"""Settings of hollow nodes: those that options set, and with them the facts that the composition root adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from tiphys.node.settings import HEARTBEAT, KubeletOptions
from tiphys.settings.option import Option

KUBELET = KubeletOptions()


class HollowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Number and size of the hollow nodes of one process, and the behavior of their pods."""

    count: Annotated[int, Option("--hollow-nodes", "Number of hollow nodes.", minimum=1, maximum=100_000)] = 1
    cpu: Annotated[str, Option("--hollow-cpu", "CPU of each hollow node.", metavar="QUANTITY")] = "32"
    memory: Annotated[str, Option("--hollow-memory", "Memory of each hollow node.", metavar="QUANTITY")] = "256Gi"
    zones: Annotated[
        int, Option("--hollow-zones", "Number of zones that hollow nodes are spread over.", default="0, no zones", minimum=0)
    ] = 0
    """Zones are in the label `topology.kubernetes.io/zone`."""
    rules: Annotated[
        Path | None,
        Option("--hollow-rules", "Rules for the behavior of pods on hollow nodes (kind HollowRules).", metavar="FILE", default="none"),
    ] = None

    @property
    def node_names(self) -> list[str]:
        """Names of the nodes."""
        return [f"hollow-{number}" for number in range(self.count)]


class HollowSettings(HollowOptions, frozen=True, kw_only=True):
    """All settings of the hollow nodes of one process."""

    max_pods: int = KUBELET.max_pods
    labels: Mapping[str, str] = {}
    """Labels of all nodes, besides those that every node has."""
    taints: tuple[str, ...] = ()
    """`key=value:Effect` for nodes that register for the first time."""
    local_storage: bool = False
    """True if the nodes have the driver of local volumes."""
    lease_seconds: int = KUBELET.lease_seconds
    heartbeat: float = HEARTBEAT
    status_report: float = KUBELET.status_report
    """Seconds after which an unchanged status is written all the same."""
