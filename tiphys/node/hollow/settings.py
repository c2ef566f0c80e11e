"""Settings of hollow nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class HollowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Number, names and size of the hollow nodes of one process, and what their pods do."""

    count: int = 1
    """Number of nodes."""
    prefix: str = "hollow-"
    """Beginning of the nodes' names, before their number."""
    cpu: str = "32"
    memory: str = "256Gi"
    max_pods: int = 110
    zones: int = 0
    """Number of zones that the nodes are spread over (label `topology.kubernetes.io/zone`); 0 for no zones."""
    labels: Mapping[str, str] = {}
    """Labels of all nodes, besides those that every node has."""
    taints: tuple[str, ...] = ()
    """`key=value:Effect` for nodes that register for the first time."""
    rules: Path | None = None
    """File of rules for the behavior of pods (kind HollowRules)."""
    lease_seconds: int = 40
    heartbeat: float = 10.0
    """Seconds between two renewals of a node's Lease."""
    status_report: float = 300.0
    """Seconds after which an unchanged status is written all the same."""
