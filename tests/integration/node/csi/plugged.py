"""The drivers of a node together with the registration of plugins, as a kubelet runs them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.node.csi.drivers import PLUGIN_TYPE
from tiphys.node.csi.node import CsiNode
from tiphys.node.plugins.watcher import PluginHandler, PluginWatcher


@asynccontextmanager
async def plugged(node: CsiNode, root: Path, **handlers: PluginHandler) -> AsyncIterator[PluginWatcher]:
    """Run both for the length of the block."""
    watcher = PluginWatcher(root / "plugins_registry", {PLUGIN_TYPE: node.drivers, **handlers}, clock=LoopClock(), rng=random.Random(1))
    tasks = [asyncio.create_task(node.run()), asyncio.create_task(watcher.run())]
    try:
        yield watcher
    finally:
        for task in tasks:
            await cancel_and_wait(task)
        await node.drivers.close()
