"""Settings of node IPAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.network import NETWORK
from tiphys.settings.option import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIpamSettings(LoopSettings):
    """Range of all pods, and the part of it that a node gets."""

    cluster_cidr: str = NETWORK.pod_range
    """Pod range of the cluster. Empty: nodes bring their own."""
    node_mask: Annotated[
        int, Option("--node-cidr-mask-size", "Prefix length of a node's part of the pod range.", metavar="BITS", minimum=1, maximum=32)
    ] = 24
    allocate: Annotated[bool, Option("--allocate-node-cidrs", "Assign each node its part of the pod range.")] = True

    @property
    def enabled(self) -> bool:
        return self.allocate and bool(self.cluster_cidr)
