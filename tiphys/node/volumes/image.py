"""Volumes of the kind `image`: the files of an image, read-only and without execution (KEP-4639 "OCI Volume Source").

containerd mounts images as volumes only since 2.1. This works with all: each volume is a view of the image's topmost snapshot, mounted
below the pod's directory, where sub-paths work as they do for any volume.

    pods/<uid>/volumes/kubernetes.io~image/<volume>   made first, removed last: it says that there may be a mount and a view

A volume shows one image for the life of its pod, also when its container restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import AlreadyExists, CriError
from tiphys.node.runtime.snapshots import SnapshotMount, Snapshots
from tiphys.node.volumes import mounts
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError

_FLAGS = mounts.MS_RDONLY | mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
_PAGE = 4000
"""Bytes of options that mount(2) takes, with something to spare."""


class ImageVolumes:
    """The image volumes of a node's pods, below the kubelet's directory `root`. `socket` is containerd's, "" for another runtime."""

    def __init__(self, root: Path, cri: CriClient, clock: Clock, *, socket: str) -> None:
        self.root = root
        self.cri = cri
        self.clock = clock
        self.socket = socket
        self._snapshots: Snapshots | None = None
        self._underway: dict[tuple[str, str], asyncio.Task[Path]] = {}
        self._tasks = TaskSet(on_error=lambda *_: None)

    async def mount(self, uid: str, volume: str, image: str) -> Path:
        """Mount an image that is on the node, unless the volume is mounted; returns its directory. Raises VolumeError.

        A cancelled caller leaves the work to itself, and `tear_down` waits for it.
        """
        key = (uid, volume)
        task = self._underway.get(key)
        if task is None:
            task = self._underway[key] = self._tasks.spawn(self._mount(uid, volume, image), name=f"mount image volume {volume}")
            task.add_done_callback(lambda _: self._underway.pop(key, None))
        return await asyncio.shield(task)

    async def _mount(self, uid: str, volume: str, image: str) -> Path:
        target = self._target(uid, volume)
        try:
            if not await asyncio.to_thread(_prepare, target):
                return target
            shown = await self._view(_key(uid, volume), await self._top(image))
            await asyncio.to_thread(_mount, shown, target, self.root / "plugins" / "kubernetes.io~image" / "empty")
        except CriError as error:
            raise VolumeError(f"failed to mount image volume: {error.message or error.code}") from error
        except OSError as error:
            raise VolumeError(f"failed to mount image volume: {error.strerror or error}") from error
        return target

    async def tear_down(self, uid: str) -> None:
        """Unmount the image volumes of a pod. Harmless where there are none. Raises OSError, VolumeError."""
        if tasks := [task for key, task in self._underway.items() if key[0] == uid]:
            await asyncio.wait(tasks)
        folder = self._target(uid, "")
        for volume in await asyncio.to_thread(_entries, folder):
            await asyncio.to_thread(_unmount, folder / volume)
            try:
                await (await self._store()).remove(_key(uid, volume))
            except CriError as error:
                raise VolumeError(f'image volume "{volume}" not removed: {error.message or error.code}') from error
            await asyncio.to_thread(os.rmdir, folder / volume)

    async def close(self) -> None:
        """Break off what is under way; the next kubelet goes on with it."""
        await self._tasks.close()

    def _target(self, uid: str, volume: str) -> Path:
        return PodPaths(self.root, uid).persistent("kubernetes.io/image", volume)

    async def _store(self) -> Snapshots:
        if self._snapshots is None:
            if not self.socket:
                raise VolumeError("image volumes need containerd, which is not the runtime of this node")
            self._snapshots = Snapshots(self.socket, await self._snapshotter())
        return self._snapshots

    async def _snapshotter(self) -> str:
        info = (await self.cri.status(verbose=True)).info
        try:
            return str(msgspec.json.decode(info.get("config", ""))["containerd"]["snapshotter"])
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise VolumeError("the runtime does not tell which snapshotter it uses") from error

    async def _top(self, image: str) -> str:
        """Return the name of the snapshot with all layers of an image."""
        try:
            return str(msgspec.json.decode((await self.cri.image_details(image)).get("info", ""))["chainID"])
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise VolumeError(f"the runtime does not tell the layers of the image {image}") from error

    async def _view(self, key: str, top: str) -> SnapshotMount:
        store = await self._store()
        timestamp = self.clock.now().isoformat()
        try:
            return await store.view(key, top, timestamp=timestamp)
        except AlreadyExists:
            # Of an attempt that failed half-way, or from before a reboot: perhaps of another image.
            await store.remove(key)
            return await store.view(key, top, timestamp=timestamp)


def _key(uid: str, volume: str) -> str:
    return f"tiphys-volume-{uid}-{volume}"


def _prepare(target: Path) -> bool:
    """Make the directory; returns False if it is mounted."""
    if mounts.is_mount(target):
        return False
    target.mkdir(parents=True, exist_ok=True, mode=0o750)
    return True


def _entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def _unmount(target: Path) -> None:
    while mounts.is_mount(target):
        mounts.unmount(target)


def _mount(shown: SnapshotMount, target: Path, empty: Path) -> None:
    """Mount a snapshot so that nobody can write to it: the file system itself is read-only, whatever a runtime does with its mounts.

    overlayfs wants at least two layers, hence the empty directory; it has to stay.
    """
    empty.mkdir(parents=True, exist_ok=True, mode=0o755)
    lower = [option.removeprefix("lowerdir=") for option in shown.options if option.startswith("lowerdir=")]
    layers = [*(lower[0].split(":") if shown.kind == "overlay" and lower else [shown.source]), str(empty)]
    others = [option for option in shown.options if shown.kind == "overlay" and not option.startswith("lowerdir=") and option != "ro"]
    with _short_names(layers) as names:
        mounts.mount("overlay", target, "overlay", _FLAGS, ",".join([*others, f"lowerdir={':'.join(names)}"]))


@contextlib.contextmanager
def _short_names(layers: list[str]) -> Iterator[list[str]]:
    """Yield names of directories that fit into the options of mount(2), one page, also when there are many."""
    if len(":".join(layers)) <= _PAGE:
        yield layers
        return
    with tempfile.TemporaryDirectory(prefix="tph", dir="/run") as directory:
        names = [f"{directory}/{number}" for number in range(len(layers))]
        for name, layer in zip(names, layers, strict=True):
            os.symlink(layer, name)
        yield names
