"""Composition of a node's drivers: their registration, their volumes, and what the API shows of them.

csi = CsiNode(root, "n1", client, informers, clock)
csi.plugin                        # for the manager of volumes
await csi.drivers.add(name, driver)   # a driver of this process
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.client.client import Client
from tiphys.node.csi.allocatable import AllocatableUpdater
from tiphys.node.csi.cluster import CsiCluster
from tiphys.node.csi.drivers import PLUGIN_TYPE, CsiDrivers
from tiphys.node.csi.node_info import NodeInfo
from tiphys.node.csi.plugin import CsiPlugin
from tiphys.node.csi.plugins import PluginHandler, PluginWatcher
from tiphys.runtime.informer import InformerFactory


class CsiNode:
    """Drivers of one node below the kubelet's directory `root`. `handlers` are for other types of plugins."""

    def __init__(
        self,
        root: Path,
        node: str,
        client: Client,
        informers: InformerFactory,
        clock: Clock,
        *,
        rng: random.Random | None = None,
        handlers: Mapping[str, PluginHandler] | None = None,
    ) -> None:
        self.info = NodeInfo(client, clock, node, rng=rng)
        self.cluster = CsiCluster(client, informers, clock, node)
        self.drivers = CsiDrivers(self.info, clock, rng=rng)
        self.updater = AllocatableUpdater(self.cluster, self.drivers, clock)
        self.drivers.on_change = self.updater.look
        self.plugin = CsiPlugin(root, self.cluster, self.drivers, self.updater)
        self.watcher = PluginWatcher(self.plugin.paths.registry, {PLUGIN_TYPE: self.drivers, **(handlers or {})}, clock=clock, rng=rng)

    async def run(self) -> None:
        """Keep the CSINode, register what introduces itself, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.info.ensure(), name="CSINode")
                group.create_task(self.watcher.run(), name="plugins")
                group.create_task(self.updater.run(), name="volume limits")
        finally:
            await self.drivers.close()
