"""Keeping the number of volumes that a node takes up to date, for drivers whose CSIDriver says how often.

"CSI Driver: nodeAllocatableUpdatePeriodSeconds" (KEP-4876 "Mutable CSINode Allocatable Property").
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.storage import v1 as storage
from tiphys.csi.errors import CsiError
from tiphys.node.csi.cluster import CsiCluster
from tiphys.node.csi.drivers import CsiDrivers
from tiphys.node.csi.node_info import NodeInfoError
from tiphys.node.volumes.payload import VolumeError
from tiphys.runtime.key import Key

log = logging.getLogger(__name__)


class AllocatableUpdater:
    """Asks drivers again after the period of each. Idle without a driver that has one."""

    def __init__(self, cluster: CsiCluster, drivers: CsiDrivers, clock: Clock) -> None:
        self._cluster = cluster
        self._drivers = drivers
        self._clock = clock
        self._changed = asyncio.Event()

    def look(self) -> None:
        """Drivers came or went."""
        self._changed.set()

    async def run(self) -> None:
        """Update until cancelled."""
        await self._first_driver()
        self._cluster.drivers.subscribe(self._on_driver)
        due: dict[str, tuple[int, float]] = {}
        async with TaskSet() as tasks:
            while True:
                self._changed.clear()
                now = self._clock.monotonic()
                due = next_due(due, self._periods(), now)
                for name in [name for name, (_, time) in due.items() if time <= now]:
                    tasks.spawn(self.refresh(name), name=f"volume limit of {name}")
                    due[name] = (due[name][0], now + due[name][0])
                wait = min((time - now for _, time in due.values()), default=None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._changed.wait()

    async def refresh(self, name: str) -> None:
        """Ask one driver now."""
        try:
            await self._drivers.refresh(name)
        except (CsiError, NodeInfoError, VolumeError) as error:
            log.warning("volume limit not updated", extra={"driver": name, "error": str(error)})

    async def _first_driver(self) -> None:
        while not self._drivers.names:
            await self._changed.wait()
            self._changed.clear()

    def _periods(self) -> dict[str, int]:
        objects = {name: self._cluster.drivers.get(Key("", name)) for name in self._drivers.names}
        periods = {name: one.spec.nodeAllocatableUpdatePeriodSeconds for name, one in objects.items() if one is not None}
        return {name: period for name, period in periods.items() if period}

    def _on_driver(self, old: storage.CSIDriver | None, new: storage.CSIDriver | None) -> None:
        self._changed.set()


def next_due(due: Mapping[str, tuple[int, float]], periods: Mapping[str, int], now: float) -> dict[str, tuple[int, float]]:
    """Return the period of each driver and when it is asked next; a changed period begins anew. Pure."""
    kept = {name: entry for name, entry in due.items() if periods.get(name) == entry[0]}
    return {name: kept.get(name, (period, now + period)) for name, period in periods.items()}
