"""Drivers by name, as they register and go; the slices of one that has gone are deleted after a while ("Dynamic Resource Allocation")."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.node.dra.driver import VERSIONS, Driver
from tiphys.node.plugins.registration import PluginError
from tiphys.node.plugins.watcher import Plugin

log = logging.getLogger(__name__)

PLUGIN_TYPE = "DRAPlugin"
GRACE = 30.0
"""Seconds after which the slices of a driver that has gone are deleted: it may be replaced by a newer one."""

WipeSlices = Callable[[str], Awaitable[None]]
"""Function that deletes the slices of a driver on this node."""


class Drivers:
    """Handler of plugins of the type `DRAPlugin`. Of several sockets of one driver the one that registered last counts."""

    def __init__(self, clock: Clock, wipe: WipeSlices) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called when a driver has registered."""
        self._clock = clock
        self._wipe = wipe
        self._drivers: dict[str, list[Driver]] = {}
        self._wipes: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskSet()

    def get(self, name: str) -> Driver | None:
        """Return a driver, or None if it is not registered."""
        drivers = self._drivers.get(name)
        return drivers[-1] if drivers else None

    def validate(self, plugin: Plugin) -> None:
        if not any(version in plugin.versions for version in VERSIONS):
            raise PluginError(f"none of the versions [{' '.join(plugin.versions)}] is supported: {', '.join(VERSIONS)}")

    async def register(self, plugin: Plugin) -> None:
        if (wipe := self._wipes.pop(plugin.name, None)) is not None:
            wipe.cancel()
        self._drivers.setdefault(plugin.name, []).append(Driver(plugin.name, Path(plugin.endpoint), plugin.versions))
        self.on_change()

    async def deregister(self, plugin: Plugin) -> None:
        drivers = self._drivers.get(plugin.name, [])
        driver = next((one for one in drivers if str(one.socket) == plugin.endpoint), None)
        if driver is None:
            return
        drivers.remove(driver)
        await driver.close()
        if not drivers:
            del self._drivers[plugin.name]
            self._wipes[plugin.name] = self._tasks.spawn(self._wipe_later(plugin.name), name=f"slices of {plugin.name}")

    async def close(self) -> None:
        """Drop all connections and what was to be deleted."""
        await self._tasks.close()
        for driver in [one for drivers in self._drivers.values() for one in drivers]:
            await driver.close()

    async def _wipe_later(self, name: str) -> None:
        await self._clock.sleep(GRACE)
        try:
            await self._wipe(name)
        except Exception as error:
            log.warning("slices of a driver not deleted", extra={"driver": name, "error": str(error)})
        else:
            log.info("slices of a driver deleted", extra={"driver": name})
