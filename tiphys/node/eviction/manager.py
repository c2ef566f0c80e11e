"""The loop that evicts pods from this node: those that use more local storage than their limits allow, and others when the node runs short.

Signals are read every ten seconds, every second near a threshold. Before a pod dies for a disk, what nobody uses goes from it. One pod is
evicted at a time, and the next look waits until it is gone ("Node-pressure Eviction").
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from tiphys.api.core import v1 as core
from tiphys.node.cri.errors import CriError
from tiphys.node.eviction.largest import Largest, largest
from tiphys.node.eviction.limits import LimitEvictions
from tiphys.node.eviction.pod_use import UseMeter
from tiphys.node.eviction.pressure import Levels, Pressure, advance, is_near, shortfall
from tiphys.node.eviction.ranking import Uses, eviction_message, grace_of_eviction, ranked
from tiphys.node.eviction.reclaim import Disk, Reclaimer
from tiphys.node.eviction.signals import SignalMeter
from tiphys.node.eviction.thresholds import CONDITIONS, Threshold
from tiphys.node.host import machine
from tiphys.node.metrics import families
from tiphys.node.pod.preemption import is_critical
from tiphys.node.pod.worker import PodWorker
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

REASON = "Evicted"
PERIOD = 10.0
"""Seconds between looks at the node: upstream's."""
NEAR_PERIOD = 1.0
"""Seconds between looks while some signal is near its threshold."""
RETRY = 10.0
"""Seconds between attempts to make room for the same threshold when there is nobody to evict."""
SEARCH = 60.0
"""Seconds for which the largest directories are remembered."""
CLEANUP = 30.0
"""Seconds for which an evicted pod is waited for."""
POLL = 0.5


class EvictionManager:
    """Evicts pods among those that `serving` names, and reports the node's conditions of pressure in `services.pressure`."""

    def __init__(self, services: NodeServices, serving: Callable[[], Iterable[PodWorker]], *, reclaimer: Reclaimer | None = None) -> None:
        settings = services.settings
        self.services = services
        self.reclaimer = reclaimer
        self.hurry: Callable[[], None] = lambda: None
        """Called when the node's conditions have changed."""
        self.thresholds = machine.thresholds(settings)
        self.signals = SignalMeter(settings.root, settings.cgroup_parent, services.machine.memory)
        self.pressure = Pressure()
        self.limits = LimitEvictions(services, serving)
        self._uses = UseMeter(services)
        self._serving = serving
        self._retry_at = 0.0
        self._search: tuple[float, str] = (float("-inf"), "")

    async def run(self) -> None:
        """Look at the pods with limits and at the node, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.limits.run(), name="limits of local storage")
            if self.thresholds:
                group.create_task(self._relieve(), name="pressure on the node")

    async def begin(self) -> None:
        """Look at the node once, before its conditions are shown, and evict nobody."""
        if self.thresholds:
            self._advance(await asyncio.to_thread(self.signals.levels))

    async def _relieve(self) -> None:
        clock = self.services.clock
        while True:
            levels: Levels = {}
            try:
                levels = await self._levels()
                self._advance(levels)
                if await self._act(levels):
                    continue
            except Exception:
                log.exception("pressure on the node was not dealt with")
            await clock.sleep(NEAR_PERIOD if is_near(self.thresholds, levels) else PERIOD)

    async def _levels(self) -> Levels:
        if self.signals.images is None:
            try:
                disks = await self.services.cri.image_fs_info()
            except CriError as error:
                log.debug("the disk of images is unknown", extra={"error": str(error)})
            else:
                self.signals.use_images(next((one.fs_id.mountpoint for one in disks.image_filesystems), ""))
        return await asyncio.to_thread(self.signals.levels)

    def _advance(self, levels: Levels) -> None:
        now, before = self.services.clock.monotonic(), self.pressure.conditions
        transition = self.services.settings.eviction_transition
        self.pressure = advance(self.pressure, self.thresholds, levels, now=now, transition=transition)
        self.services.pressure.conditions = self.pressure.conditions
        if self.pressure.conditions != before:
            self.hurry()

    # -- making room

    async def _act(self, levels: Levels) -> bool:
        """Make room for the most urgent threshold; True if a pod was evicted, so that the next look is due at once."""
        clock = self.services.clock
        if not self.pressure.acting or clock.monotonic() < self._retry_at:
            return False
        threshold, looked = self.pressure.acting[0], clock.monotonic()
        await self._announce(threshold)
        if await self._reclaim(threshold, levels):
            return False
        workers = {worker.uid: worker for worker in self._serving() if worker.pod is not None}
        pods = [worker.pod for worker in workers.values() if worker.pod is not None]
        uses = await self._uses.measure(threshold.signal, pods, image_disk=await asyncio.to_thread(lambda: self.signals.has_image_disk))
        for pod in ranked(threshold.resource, pods, uses):
            worker = workers[pod.metadata.uid]
            if not worker.is_serving:
                continue  # Measuring takes a while, in which it may have ended.
            if is_critical(pod):
                log.error("a critical pod is not evicted", extra={"pod": worker.who, "signal": threshold.signal})
                continue
            families.EVICTION_AGE.labels(threshold.signal).observe(clock.monotonic() - looked)
            await self._evict(worker, pod, threshold, levels, uses)
            return True
        log.warning("there is no pod to evict", extra={"signal": threshold.signal})
        self._retry_at = clock.monotonic() + RETRY
        return False

    async def _announce(self, threshold: Threshold) -> None:
        log.warning("attempting to reclaim", extra={"resource": threshold.resource, "signal": threshold.signal})
        message = f"Attempting to reclaim {threshold.resource}"
        if CONDITIONS[threshold.resource] == "DiskPressure":
            details = await self._fill(threshold)
            message += f". Largest directories: {details}" if details else ""
        self.services.tell_of_node("Warning", "EvictionThresholdMet", message)

    async def _fill(self, threshold: Threshold) -> str:
        """Return the directories that fill the disk of a threshold."""
        now = self.services.clock.monotonic()
        if now - self._search[0] >= SEARCH:
            places = await asyncio.to_thread(_search, self.signals, _disk(threshold))
            self._search = (self.services.clock.monotonic(), str(places))
        return self._search[1]

    async def _reclaim(self, threshold: Threshold, levels: Levels) -> bool:
        """Delete from a disk what nobody uses; True if that was enough for all of its thresholds."""
        if self.reclaimer is None or CONDITIONS[threshold.resource] != "DiskPressure":
            return False
        # Nobody can say how many inodes go with how many bytes: everything unused goes then.
        want = shortfall(threshold, levels) if threshold.resource != "inodes" else levels[threshold.signal].capacity << 20
        freed = await self.reclaimer.reclaim(_disk(threshold), want)
        if freed.summary:
            self.services.tell_of_node("Normal", "ReclaimedDiskSpace", f"Deleted what was not in use: {freed.summary}")
        self._advance(await self._levels())
        return not any(CONDITIONS[one.resource] == "DiskPressure" for one in self.pressure.acting)

    async def _evict(self, worker: PodWorker, pod: core.Pod, threshold: Threshold, levels: Levels, uses: Uses) -> None:
        message = eviction_message(threshold, pod, uses.get(worker.uid), levels)
        grace = grace_of_eviction(threshold, pod, self.services.settings.eviction_max_grace)
        log.warning("pod is evicted", extra={"pod": worker.who, "signal": threshold.signal, "text": message})
        self.services.tell(pod, "", "Warning", REASON, message)
        worker.give_up(REASON, message, grace=grace, disruption=message)
        families.EVICTIONS.labels(threshold.signal).inc()
        until = self.services.clock.monotonic() + max(CLEANUP, grace)
        while worker.life.state in ("syncing", "terminating") and self.services.clock.monotonic() < until:
            await self.services.clock.sleep(POLL)


def _disk(threshold: Threshold) -> Disk:
    return "imagefs" if threshold.signal.startswith("imagefs.") else "nodefs"


def _search(signals: SignalMeter, disk: Disk) -> Largest:
    place = signals.images if disk == "imagefs" and signals.images is not None else signals.home
    return largest(machine.mount_point(place))
