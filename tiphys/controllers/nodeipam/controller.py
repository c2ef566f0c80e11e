"""Node IPAM: assigns every node its part of the cluster's pod range."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.controllers.nodeipam.settings import NodeIpamSettings
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole

FULL_PAUSE = 60.0
"""Seconds until another attempt after the range was exhausted."""

Network = Any


def free_range(cluster: Network, mask: int, used: Iterable[str]) -> str | None:
    """Return the lowest subrange with a prefix of `mask` bits that overlaps none in use; None when there is none. Pure."""
    taken = [ip_network(text) for text in used]
    taken = [network for network in taken if network.version == cluster.version]
    equal = {network for network in taken if network.prefixlen == mask}
    others = [network for network in taken if network.prefixlen != mask]
    for candidate in cluster.subnets(new_prefix=mask):
        if candidate not in equal and not any(candidate.overlaps(other) for other in others):
            return str(candidate)
    return None


class NodeIpamController:
    """Assigns pod ranges. Keys are nodes. Raises ValueError when range and mask do not fit."""

    declaration = Declaration(
        name="node-ipam",
        kind=core.Node,
        roles=("node-controller",),
        reads=(Whole(core.Node),),
        settings=NodeIpamSettings,
    )

    def __init__(self, settings: NodeIpamSettings) -> None:
        self._cluster, self._mask = ip_network(settings.cluster_cidr), settings.node_mask
        if not self._cluster.prefixlen <= self._mask <= self._cluster.max_prefixlen:
            raise ValueError(f"a node's part of {settings.cluster_cidr} cannot have a prefix of {self._mask} bits")
        self._assigned: dict[str, str] = {}
        """Ranges that were assigned but may not show in the cache yet."""

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._nodes = ctx.read(core.Node)
        ctx.watch(self._nodes, when=lambda old, new: new is None or not new.spec.podCIDR)

    async def reconcile(self, key: Key) -> Result:
        node = self._nodes.get(key)
        if node is None or node.spec.podCIDR:
            self._assigned.pop(key.name, None)
            return DONE
        mine = self._assigned.get(key.name) or self._pick()
        if mine is None:
            self._ctx.recorder.event(node, "Normal", "CIDRNotAvailable", f"Node {key.name} status is now: CIDRNotAvailable")
            return Result(FULL_PAUSE)
        # Nothing is awaited between picking and noting, so two workers never pick the same.
        self._assigned[key.name] = mine
        body = {"metadata": {"uid": node.metadata.uid}, "spec": {"podCIDR": mine, "podCIDRs": [mine]}}
        try:
            await self._ctx.client.patch(core.Node, key.name, body=body)
        except BaseException:
            del self._assigned[key.name]
            raise
        return DONE

    def _pick(self) -> str | None:
        used = {cidr for node in self._nodes.list() for cidr in (node.spec.podCIDRs or [node.spec.podCIDR]) if cidr}
        return free_range(self._cluster, self._mask, used | set(self._assigned.values()))
