"""Upkeep of mounted volumes: expansion while pods use them, content that drivers renew, and what no pod uses any more.

A node may only read the claims that its pods use, one by one, so each claim is looked at once a minute, and every two seconds while its
expansion is under way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import StatusError
from tiphys.node.volumes import expansion
from tiphys.node.volumes.mounter import Key
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.persistent import PersistentVolumes
from tiphys.node.volumes.plugin import BusyError, MountRecord, UnsupportedError, VolumePlugin, VolumeSpec
from tiphys.node.volumes.records import MountEntry
from tiphys.node.volumes.resolve import resolve

log = logging.getLogger(__name__)

PERIOD = 60.0
SOON = 2.0


class VolumeUpkeep:
    """Looks after what is mounted. `pods` gives a pod while its volumes are in use."""

    def __init__(self, volumes: PersistentVolumes, pods: Callable[[str], core.Pod | None], clock: Clock, *, period: float = PERIOD) -> None:
        self.volumes = volumes
        self.pods = pods
        self.clock = clock
        self.period = period
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._hopeless: dict[Key, int] = {}
        """Sizes that a volume cannot have while this pod uses it."""
        self._busy: set[Key] = set()
        self._tasks = TaskSet()

    async def run(self) -> None:
        """Work until cancelled."""
        await self.volumes.records.load()
        swept = self.clock.monotonic()
        try:
            while True:
                self.look()
                if self.clock.monotonic() - swept >= self.period:
                    swept = self.clock.monotonic()
                    self._tasks.spawn(self.volumes.release_idle(), name="release idle volumes")
                await self.clock.sleep(min(SOON, self.period))
        finally:
            await self._tasks.close()

    def look(self) -> None:
        """Begin with every volume that is due."""
        now = self.clock.monotonic()
        present = {(entry.record.uid, entry.record.volume): entry for entry in self.volumes.records.mounts()}
        for memory in (self._due, self._failures, self._hopeless):
            for key in memory.keys() - present.keys():
                del memory[key]
        for key, entry in present.items():
            if self.volumes.records.is_done(entry) and key not in self._busy and self._due.setdefault(key, now) <= now:
                self._busy.add(key)
                self._due[key] = now + self.period
                self._tasks.spawn(self._keep(key, entry), name=f"keep volume {entry.record.name}")

    async def _keep(self, key: Key, entry: MountEntry) -> None:
        record = entry.record
        try:
            pod = self.pods(record.uid)
            volume = next((one for one in pod.spec.volumes if one.name == record.volume), None) if pod is not None else None
            if pod is None or volume is None:
                return
            plugin = self.volumes.plugin(record.plugin)
            spec = self.volumes.mounter.specs.get(key)
            if spec is None:
                spec = self.volumes.mounter.specs[key] = await resolve(self.volumes.client, pod, volume)
            if await plugin.requires_remount(spec):
                await self._remount(await resolve(self.volumes.client, pod, volume), plugin, entry)
            if spec.claim is not None and not spec.read_only:
                await self._expand(key, pod, volume, spec, plugin, entry)
            self._failures.pop(key, None)
        except (VolumeError, StatusError, ConnectionError, TimeoutError) as error:
            self._failures[key] = failures = self._failures.get(key, 0) + 1
            self._due[key] = self.clock.monotonic() + min(self.period, SOON * 2**failures)
            log.info("volume not looked after", extra={"volume": record.name, "error": str(error)})
        finally:
            self._busy.discard(key)

    async def _remount(self, spec: VolumeSpec, plugin: VolumePlugin, entry: MountEntry) -> None:
        async def work() -> None:
            if self._is_mounted(entry.record):
                await plugin.remount(spec, entry.record, self.volumes.mounter.device_of(entry))

        try:
            await self.volumes.exclusive.run(entry.record.unique_name, work)
        except VolumeError as error:
            message = f'MountVolume.SetUp failed for volume "{spec.name}" : {error}'
            self.volumes.tell(spec.pod, "Warning", "FailedMount", message)
            raise

    def _is_mounted(self, record: MountRecord) -> bool:
        present = self.volumes.records.mount(record.uid, record.volume)
        return present is not None and present.record == record and self.volumes.records.is_done(present)

    # -- expansion

    async def _expand(
        self, key: Key, pod: core.Pod, volume: core.Volume, spec: VolumeSpec, plugin: VolumePlugin, entry: MountEntry
    ) -> None:
        assert spec.claim is not None
        assert spec.pv is not None
        meta = spec.claim.metadata
        claim = await self.volumes.client.get(core.PersistentVolumeClaim, meta.name, meta.namespace)
        sizes = self.volumes.mounter.sizes
        here = sizes.setdefault(key, expansion.size_of(claim.status.capacity))
        if not expansion.is_unsettled(claim, here):
            return
        self._due[key] = self.clock.monotonic() + min(SOON, self.period)
        fresh = await resolve(self.volumes.client, pod, volume)
        assert fresh.claim is not None
        assert fresh.pv is not None
        size = expansion.size_of(fresh.pv.spec.capacity)
        if not expansion.is_due(fresh.claim, fresh.pv, here) or self._hopeless.get(key) == size:
            if expansion.is_finished(fresh.claim, size) and size > here:
                # The controller did it all.
                sizes[key] = size
            return

        async def work() -> None:
            if self._is_mounted(entry.record):
                await self.volumes.mounter.expander.expand(plugin, fresh, entry.record, self.volumes.mounter.device_of(entry))

        try:
            await self.volumes.exclusive.run(entry.record.unique_name, work)
        except VolumeError as error:
            if isinstance(error, BusyError | UnsupportedError):
                self._hopeless[key] = size
            message = f'NodeExpandVolume.NodeExpandVolume failed for volume "{fresh.name}" : {error}'
            self.volumes.tell(pod, "Warning", "VolumeResizeFailed", message)
            raise
        sizes[key] = size
        self.volumes.mounter.specs[key] = fresh
