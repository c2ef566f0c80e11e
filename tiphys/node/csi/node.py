"""Composition of a node's drivers: their volumes, and what the API shows of them.

csi = CsiNode(root, "n1", client, informers, clock)
csi.plugin                        # for the manager of volumes
await csi.drivers.add(name, driver)   # a driver of this process
PluginWatcher(registry, {PLUGIN_TYPE: csi.drivers}, clock=clock)   # takes those behind sockets into use
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client.client import Client
from tiphys.node.csi.allocatable import AllocatableUpdater
from tiphys.node.csi.cluster import CsiCluster
from tiphys.node.csi.drivers import CsiDrivers
from tiphys.node.csi.node_info import NodeInfo
from tiphys.node.csi.plugin import CsiPlugin
from tiphys.runtime.informer import InformerFactory


class CsiNode:
    """Drivers of one node below the kubelet's directory `root`."""

    def __init__(
        self,
        root: Path,
        node: str,
        client: Client,
        informers: InformerFactory,
        clock: Clock,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self.info = NodeInfo(client, clock, node, rng=rng)
        self.cluster = CsiCluster(client, informers, clock, node)
        self.drivers = CsiDrivers(self.info, clock, rng=rng)
        self.updater = AllocatableUpdater(self.cluster, self.drivers, clock)
        self.drivers.on_change = self.updater.look
        self.plugin = CsiPlugin(root, self.cluster, self.drivers, self.updater)

    async def run(self) -> None:
        """Keep the CSINode until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.info.ensure(), name="CSINode")
            group.create_task(self.updater.run(), name="volume limits")
