"""Use of volumes, measured in the background: whoever reads it never waits, and a file system that hangs keeps nobody else.

Each volume is measured every minute. One whose measurement does not end in time shows no figures, and is measured again only when the old
measurement has ended. Directories are measured by threads of their own, which nothing else waits for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.aio.threads import in_own_thread
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import MountRecord, VolumePlugin, VolumeStats

PERIOD = 60.0
LIMIT = 30.0
"""Seconds that a measurement may take."""
_THREADS = 32
_AT_ONCE = 16


class Measured(msgspec.Struct, frozen=True):
    """The figures of a pod's volume and when they were taken."""

    record: MountRecord
    stats: VolumeStats
    at: datetime


class VolumeMeter:
    """The latest figures of all mounted volumes. `sources` gives the mounts and their plugins, `abnormal` is called for damaged volumes."""

    def __init__(
        self,
        clock: Clock,
        sources: Callable[[], Iterable[tuple[MountRecord, VolumePlugin]]],
        abnormal: Callable[[MountRecord, str], None],
        *,
        period: float = PERIOD,
    ) -> None:
        self._clock = clock
        self._sources = sources
        self._abnormal = abnormal
        self._period = period
        self._latest: dict[tuple[str, str], Measured] = {}
        self._pending: set[tuple[str, str]] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks = TaskSet()

    def latest(self) -> list[Measured]:
        """Return the latest figures of what is mounted now."""
        present = {(record.uid, record.volume) for record, _ in self._sources()}
        return [measured for key, measured in self._latest.items() if key in present]

    async def run(self) -> None:
        """Measure until cancelled."""
        try:
            while True:
                self.look()
                await self._clock.sleep(self._period)
        finally:
            await self._tasks.close()

    def look(self) -> None:
        """Begin to measure every volume that is not being measured already."""
        sources = list(self._sources())
        keys = {(record.uid, record.volume) for record, _ in sources}
        self._latest = {key: one for key, one in self._latest.items() if key in keys}
        for record, plugin in sources:
            key = (record.uid, record.volume)
            if key not in self._pending:
                self._pending.add(key)
                self._tasks.spawn(self._measure(key, record, plugin), name=f"measure {record.name}")

    async def _measure(self, key: tuple[str, str], record: MountRecord, plugin: VolumePlugin) -> None:
        try:
            async with self._slots, asyncio.timeout(LIMIT):
                stats = await plugin.stats(record)
            if stats is not None:
                self._latest[key] = Measured(record, stats, self._clock.now())
                if stats.abnormal:
                    self._abnormal(record, stats.message)
        except (VolumeError, OSError):
            # A volume that is being unmounted, a driver that is away, a file system that hangs (TimeoutError): the next look tells.
            self._latest.pop(key, None)
        finally:
            self._pending.discard(key)


async def measure_directory(path: str) -> VolumeStats:
    """Measure the file system at a path. Raises OSError, and VolumeError while an earlier measurement of the path still hangs.

    May be cancelled, which leaves a hanging thread to itself.
    """
    if path in _busy:
        raise VolumeError(f"{path} is still being measured")
    if len(_busy) >= _THREADS:
        raise VolumeError("too many file systems hang")
    _busy.add(path)
    info = await in_own_thread(lambda: _statvfs(path), name="volume stats")
    unit = info.f_frsize
    return VolumeStats(
        capacity=info.f_blocks * unit,
        available=info.f_bavail * unit,
        used=(info.f_blocks - info.f_bfree) * unit,
        inodes=info.f_files,
        inodes_free=info.f_ffree,
        inodes_used=info.f_files - info.f_ffree,
    )


_busy: set[str] = set()
"""Paths that a thread is measuring."""


def _statvfs(path: str) -> os.statvfs_result:
    try:
        return os.statvfs(path)
    finally:
        _busy.discard(path)
