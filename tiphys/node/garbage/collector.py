"""The loops of garbage collection, and the order in which things go when a disk is full.

`Kubelet.garbage` is a `tiphys.node.eviction.reclaim.Reclaimer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.node.cri.errors import CriError
from tiphys.node.eviction.reclaim import Disk, Reclaimed
from tiphys.node.garbage import kept_logs
from tiphys.node.garbage.dead import DeadCollector
from tiphys.node.garbage.dead_plan import DeadPolicy
from tiphys.node.garbage.disk import Progress, room
from tiphys.node.garbage.image_plan import ImagePolicy
from tiphys.node.garbage.images import CollectionError, ImageCollector, image_path
from tiphys.node.garbage.orphans import OrphanCollector
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.worker import PodWorker
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

CONTAINER_PERIOD = 60.0
"""Seconds between looks at dead containers: upstream's."""
ORPHAN_PERIOD = 60.0
"""Seconds between looks for orphans."""
IMAGE_PERIOD = 300.0
"""Seconds between looks at images: upstream's."""

Step = tuple[str, Callable[[Progress], Awaitable[int]]]


class GarbageCollector:
    """Removes what nobody needs. `workers` are those of all pods; `begun` is set once they are all there."""

    def __init__(self, services: NodeServices, workers: Callable[[], Iterable[PodWorker]], begun: asyncio.Event) -> None:
        settings = services.settings
        self.services = services
        self._workers = workers
        self._lock = asyncio.Lock()
        images = ImagePolicy(settings.image_min_age, settings.image_max_age, settings.image_gc_high, settings.image_gc_low)
        dead = DeadPolicy(settings.dead_container_min_age, settings.dead_containers_per_container, settings.dead_containers)
        self.images = ImageCollector(services, images, self._starting, self._tell)
        self.dead = DeadCollector(services, dead, self._pods)
        self.orphans = OrphanCollector(services, lambda: {worker.uid for worker in workers()})
        self._begun = begun
        self._failed_before = False

    async def run(self) -> None:
        """Collect garbage until cancelled."""
        await self._begun.wait()
        try:
            await self._collect()
        finally:
            await self.orphans.close()

    async def _collect(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(ORPHAN_PERIOD, self.collect_orphans, at_once=True), name="orphans")
            group.create_task(self._every(CONTAINER_PERIOD, self.collect_containers), name="dead containers")
            group.create_task(self._every(CONTAINER_PERIOD, self.tidy_logs), name="logs of deleted pods")
            group.create_task(self._every(IMAGE_PERIOD, self.collect_images), name="images")

    async def collect_containers(self) -> None:
        """Remove dead containers beyond the limits; a failure becomes an event."""
        async with self._lock:
            try:
                await self.dead.collect()
            except CriError as error:
                log.warning("dead containers not removed", extra={"error": str(error)})
                self._tell("ContainerGCFailed", str(error))

    async def collect_images(self) -> None:
        """Remove images by age and by the use of the disk; a second failure in a row becomes an event."""
        async with self._lock:
            try:
                await self.images.collect()
            except CollectionError as error:
                log.warning("images not collected", extra={"error": str(error)})
                # The first failure is often a runtime that has just started.
                if self._failed_before:
                    self._tell("ImageGCFailed", str(error))
                self._failed_before = True
            else:
                self._failed_before = False

    async def collect_orphans(self) -> None:
        """Remove what pods left that nobody knows any more."""
        try:
            await self.orphans.look()
        except (CriError, OSError) as error:
            log.warning("no complete look for orphans", extra={"error": str(error)})

    async def tidy_logs(self) -> None:
        """Compress the logs of deleted pods, and remove what is too old or too much."""
        async with self._lock:
            try:
                await asyncio.to_thread(kept_logs.tidy, self.services.settings, self.services.clock.now())
            except OSError as error:
                log.warning("logs of deleted pods not tidied", extra={"error": str(error)})

    async def reclaim(self, disk: Disk, want: int) -> Reclaimed:
        """Free at least so many bytes on the disk, if that many are unused, whatever their age. One failure does not stop the rest."""
        async with self._lock:
            path, steps = await self._steps(disk)
            progress = await asyncio.to_thread(Progress, path, want)
            parts: list[str] = []
            for name, step in steps:
                if await asyncio.to_thread(progress.is_enough):
                    break
                try:
                    count = await step(progress)
                except (CriError, OSError) as error:
                    log.warning("room not made", extra={"what": name, "error": str(error)})
                    continue
                if count:
                    parts.append(_counted(count, name))
            freed = await asyncio.to_thread(progress.freed)
            result = Reclaimed(freed, ", ".join(parts))
            log.info("room made on a disk", extra={"disk": disk, "bytes": result.bytes, "summary": result.summary})
            return result

    async def _steps(self, disk: Disk) -> tuple[Path, list[Step]]:
        """Return a path on the disk and what frees room there, what is missed least first."""
        settings = self.services.settings
        try:
            images = await image_path(self.services)
        except CriError as error:
            log.warning("the disk of images is unknown", extra={"error": str(error)})
            images = settings.root
        path = images if disk == "imagefs" else settings.root
        steps: list[tuple[Path, Step]] = [
            (settings.logs, ("log of deleted pods", self._reclaim_kept)),
            (images, ("dead container", self.dead.reclaim)),
            (images, ("image", self.images.reclaim)),
            (settings.logs, ("rotated log", self._reclaim_rotated)),
        ]
        devices = await asyncio.to_thread(lambda: {one: room(one).device for one in (path, images, settings.logs)})
        return path, [step for place, step in steps if devices[place] == devices[path]]

    async def _reclaim_kept(self, progress: Progress) -> int:
        return await asyncio.to_thread(kept_logs.reclaim, self.services.settings.logs, progress)

    async def _reclaim_rotated(self, progress: Progress) -> int:
        return await asyncio.to_thread(kept_logs.reclaim_rotated, self.services.settings.logs, progress)

    # -- the pods

    def _starting(self) -> list[core.Pod]:
        return [worker.pod for worker in self._workers() if worker.pod is not None and worker.life.state == "syncing"]

    def _pods(self) -> list[tuple[Observed, bool]]:
        """Return the pods whose containers are not being stopped or removed by their workers."""
        states = ("syncing", "terminated")
        listed = [worker for worker in self._workers() if worker.pod is not None and worker.life.state in states]
        return [(worker.seen, worker.life.state == "terminated") for worker in listed]

    def _tell(self, reason: str, message: str) -> None:
        name = self.services.settings.name
        # Upstream's kubelet gives the name for the uid in events about its node, and `kubectl describe node` looks for that.
        node = core.ObjectReference(apiVersion="v1", kind="Node", name=name, uid=name)
        self.services.recorder.event(node, "Warning", reason, message)

    async def _every(self, period: float, work: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        if at_once:
            await work()
        while True:
            await self.services.clock.sleep(period)
            await work()


def _counted(count: int, name: str) -> str:
    """Return a number with its noun, of which the first word is counted: "2 logs of deleted pods"."""
    head, of, rest = name.partition(" of ")
    return f"{count} {head}{'' if count == 1 else 's'}{of}{rest}"
