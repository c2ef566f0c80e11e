"""Removal of images that nobody uses ("Garbage Collection", image lifecycle). The choice is in `image_plan.py`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError
from tiphys.node.garbage import image_plan
from tiphys.node.garbage.disk import Progress, room
from tiphys.node.garbage.image_plan import Candidate, HeldImage, ImagePolicy, ImageUse
from tiphys.node.garbage.image_times import ImageTimes
from tiphys.node.metrics import families
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

Tell = Callable[[str, str], None]
"""Records a warning about the node: reason, message."""


class CollectionError(Exception):
    """Garbage collection did not do all that it should; the message says what is left."""


class ImageCollector:
    """The images of a node. `pods` are those that may still start containers."""

    def __init__(self, services: NodeServices, policy: ImagePolicy, pods: Callable[[], Iterable[core.Pod]], tell: Tell) -> None:
        self.services = services
        self.policy = policy
        self._pods = pods
        self._tell = tell
        self._times = ImageTimes(services.settings.root / "image_times.json")

    async def collect(self) -> None:
        """Remove images that are too old, then, on a disk beyond the high threshold, the longest unused. Raises CollectionError."""
        began = self.services.clock.now()
        try:
            free = await self._look()
            now = began.timestamp()
            old = image_plan.expired(free, self.policy, now)
            left = [one for one in free if one not in old] + await self._remove(old, "age")
            await self._make_room(left, now)
            await self._prune(began)
        except (CriError, OSError) as error:
            raise CollectionError(str(error)) from error

    async def reclaim(self, progress: Progress) -> int:
        """Remove unused images, whatever their age, until there is enough room; returns their number. Raises CriError, OSError."""
        began = self.services.clock.now()
        free = await self._look()
        left = await self._remove(free, "space", progress)
        await self._prune(began)
        return len(free) - len(left)

    async def _make_room(self, free: Sequence[Candidate], now: float) -> None:
        disk = await asyncio.to_thread(room, await image_path(self.services))
        if disk.capacity == 0:
            message = "invalid capacity 0 on image filesystem"
            self._tell("InvalidDiskCapacity", message)
            raise CollectionError(message)
        goal = image_plan.excess(disk.capacity, disk.available, self.policy)
        if not goal:
            return
        progress = await asyncio.to_thread(Progress, await image_path(self.services), goal)
        await self._remove(image_plan.removable(free, self.policy, now), "space", progress)
        freed = await asyncio.to_thread(progress.freed)
        if freed < goal:
            used = 100 - min(disk.available, disk.capacity) * 100 // disk.capacity
            message = (
                f"Insufficient free disk space on the node's image filesystem ({used}% of {disk.capacity} bytes used). Deleting unused "
                f"images freed {freed} of {goal} bytes: images in use, logs, volumes or other data fill the disk."
            )
            self._tell("FreeDiskSpaceFailed", message)
            raise CollectionError(message)

    async def _prune(self, began: datetime) -> None:
        """Forget with which logins images were pulled that are gone. Raises CriError."""
        refs = {one.id for one in await self.services.cri.list_images()}
        await self.services.images.records.prune(refs, began)

    # -- looking

    async def _look(self) -> list[Candidate]:
        """Record which images are used now; returns those that may go, in the order in which they go. Raises CriError."""
        services = self.services
        before = await asyncio.to_thread(self._times.read)
        pinned = await _sandbox_image(services.cri)
        images = [
            HeldImage(one.id, (*one.repo_tags, *one.repo_digests), one.size, one.pinned or pinned in one.repo_tags)
            for one in await services.cri.list_images()
        ]
        used = await self._used(images)
        times = image_plan.observe(images, used, before, services.clock.now().timestamp())
        await self._write(times)
        return image_plan.candidates(images, used, times)

    async def _write(self, times: dict[str, ImageUse]) -> None:
        try:
            await asyncio.to_thread(self._times.write, times)
        except OSError as error:
            # On a full disk above all: images go all the same.
            log.warning("use of images not recorded", extra={"error": str(error)})

    async def _used(self, images: Sequence[HeldImage]) -> set[str]:
        """Return the ids of the images of all containers, dead ones too, and of pods that may start some. Raises CriError."""
        containers = await self.services.cri.list_containers()
        references = {name for one in containers for name in (one.image_ref, one.image_id, one.image.image) if name}
        used = image_plan.used_ids(images, references)
        resolved: dict[str, str] = {}
        while missing := references_of(self._pods()) - resolved.keys():
            for name in missing:
                present = await self.services.cri.image_status(name)
                resolved[name] = present.id if present is not None else ""
        return used | set(resolved.values())

    # -- removing

    async def _remove(self, listed: Sequence[Candidate], reason: str, progress: Progress | None = None) -> list[Candidate]:
        """Remove images until there is enough room; returns those that are left. Raises CriError when the runtime does not answer."""
        left: list[Candidate] = []
        for place, one in enumerate(listed):
            if progress is not None and await asyncio.to_thread(progress.is_enough):
                return left + list(listed[place:])
            # Pods may have come since the list was made. No other task runs between this answer and the beginning of the removal, and
            # a pod that comes later waits for its end.
            if one.image.id in await self._used([one.image]):
                left.append(one)
                continue
            log.info("image is removed", extra={"image": one.image.id, "names": one.image.names, "reason": reason})
            try:
                await self.services.images.remove(one.image.id)
            except CriError as error:
                log.warning("image not removed", extra={"image": one.image.id, "error": str(error)})
                left.append(one)
                continue
            families.IMAGES_COLLECTED.labels(reason).inc()
            if progress is not None:
                progress.count(one.image.size)
        return left


def references_of(pods: Iterable[core.Pod]) -> set[str]:
    """Return the names of all images that these pods may need, those of image volumes too."""
    names = set()
    for pod in pods:
        spec = pod.spec
        names |= {one.image for one in (*spec.containers, *spec.initContainers)} | {one.image for one in spec.ephemeralContainers}
        names |= {volume.image.reference for volume in spec.volumes if volume.image is not None}
    return names - {""}


async def image_path(services: NodeServices) -> Path:
    """Return a path on the disk of the images; the kubelet's directory if the runtime does not tell. Raises CriError."""
    listed = (await services.cri.image_fs_info()).image_filesystems
    path = Path(listed[0].fs_id.mountpoint) if listed else services.settings.root
    return path if await asyncio.to_thread(path.exists) else services.settings.root


async def _sandbox_image(cri: CriClient) -> str:
    """Return the image of sandboxes, which every pod needs: containerd pins it since 1.7 only. Raises CriError."""
    info = (await cri.status(verbose=True)).info
    try:
        return str(msgspec.json.decode(info.get("config", "")).get("sandboxImage", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""
