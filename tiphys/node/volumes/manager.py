"""Manager of a pod's volumes: creates them, keeps their files up to date, and removes them.

Everything a pod owns on the node is below `<root>/pods/<uid>`; other files survive the pod (hostPath). Secrets and tokens live on
a tmpfs, never on a disk. All file work runs in threads.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.aio.threads import in_own_thread
from tiphys.api.core import v1 as core
from tiphys.api.machinery import quantity
from tiphys.api.machinery.errors import StatusError
from tiphys.node.container.env import expand, files_of
from tiphys.node.container.env_file import EnvFileError, read_inside
from tiphys.node.container.fields import Identity
from tiphys.node.host.cgroups import pod_limits
from tiphys.node.host.huge_pages import HugePagesError, page_size
from tiphys.node.objects import ObjectCache, ObjectKey, Unreachable
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.tokens import TokenCache
from tiphys.node.volumes import atomic, mounts
from tiphys.node.volumes.empty_dir import empty_dir
from tiphys.node.volumes.host_path import host_path
from tiphys.node.volumes.image import ImageVolumes
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import Contents, Payload, TokenKey, VolumeError, is_written, payload, sources_of
from tiphys.node.volumes.persistent import PersistentVolumes
from tiphys.node.volumes.subpath import expose
from tiphys.node.volumes.tree import remove_tree

log = logging.getLogger(__name__)

R = TypeVar("R")


def followed(pod: core.Pod, env: tuple[set[str], set[str]]) -> set[ObjectKey]:
    """All config maps and secrets a pod needs: for its volumes, its environment (`env`) and its image pulls."""
    config_maps, secrets, _ = sources_of(pod)
    namespace = pod.metadata.namespace
    pulls = {reference.name for reference in pod.spec.imagePullSecrets}
    keys: set[ObjectKey] = {(core.ConfigMap, namespace, name) for name in config_maps | env[0]}
    return keys | {(core.Secret, namespace, name) for name in secrets | env[1] | pulls}


class VolumeManager:
    """The volumes of all pods of a node, below `root`. Those that are not of the node itself are up to `persistent`.

    Those of images are mounted by whoever has the image, through `images`.
    """

    def __init__(
        self, root: Path, objects: ObjectCache, tokens: TokenCache, clock: Clock, persistent: PersistentVolumes, images: ImageVolumes
    ) -> None:
        self.root = root
        self.images = images
        self.persistent = persistent
        self.objects = objects
        self.tokens = tokens
        self.clock = clock
        self._busy: dict[str, asyncio.Future[Any]] = {}

    def paths(self, uid: str) -> PodPaths:
        return PodPaths(self.root, uid)

    async def set_up(self, pod: core.Pod, identity: Identity) -> dict[str, Path]:
        """Make every volume of a pod but those of images, or find it made; returns the path of each by name. Raises VolumeError."""
        volumes = [volume for volume in used_volumes(pod) if volume.image is None]
        persistent = [volume for volume in volumes if self.persistent.takes(volume)]
        own = [volume for volume in volumes if volume not in persistent]
        if not persistent:
            return await self._make(pod, own, identity)
        # Side by side: a disk takes seconds to be attached.
        mounting = asyncio.get_running_loop().create_task(self.persistent.set_up(pod, persistent))
        try:
            return {**await self._make(pod, own, identity), **await mounting}
        finally:
            await cancel_and_wait(mounting)

    async def _make(self, pod: core.Pod, volumes: list[core.Volume], identity: Identity) -> dict[str, Path]:
        contents = await self._contents(pod, volumes, identity)
        return await self._in_thread(pod.metadata.uid, self._set_up, pod, volumes, contents)

    async def refresh(self, pod: core.Pod, identity: Identity) -> bool:
        """Bring the written volumes of a running pod up to date; True when files changed. Raises VolumeError."""
        volumes = [volume for volume in pod.spec.volumes if is_written(volume)]
        if not volumes:
            return False
        contents = await self._contents(pod, volumes, identity)
        return await self._in_thread(pod.metadata.uid, self._refresh, pod, volumes, contents)

    async def mount_paths(
        self, pod: core.Pod, container: AnyContainer, volumes: Mapping[str, Path], env: Mapping[str, str]
    ) -> list[str | None]:
        """The host's path for each of a container's mounts, sub-paths included. Raises VolumeError."""
        return await self._in_thread(pod.metadata.uid, self._mount_paths, pod, container, volumes, env)

    async def env_files(self, pod: core.Pod, container: AnyContainer, volumes: Mapping[str, Path]) -> dict[tuple[str, str], str | None]:
        """The files that a container's environment is made from, by volume and path. Raises VolumeError."""
        files = files_of(container)
        return await self._in_thread(pod.metadata.uid, _read_files, files, volumes) if files else {}

    async def tear_down(self, uid: str) -> None:
        """Unmount and remove everything of a pod. Harmless when there is nothing. Raises OSError and VolumeError when something resists.

        Sub-paths go first, since they keep their volumes busy, and the pod's directory last, when nothing is mounted in it.
        """
        self.tokens.forget(uid)
        await self._in_thread(uid, _unmount_below, self.paths(uid).sub_paths)
        await self.images.tear_down(uid)
        await self.persistent.tear_down(uid)
        await self._in_thread(uid, self._tear_down, uid)

    def left_over(self) -> set[str]:
        """Uids of pods that have a directory."""
        pods = self.root / "pods"
        return {entry.name for entry in pods.iterdir()} if pods.is_dir() else set()

    async def _in_thread(self, uid: str, work: Callable[..., R], *arguments: Any) -> R:
        """Work on one pod's files at a time. The thread of a cancelled caller runs on, and the next caller waits for it."""
        while (before := self._busy.get(uid)) is not None:
            await asyncio.wait((before,))
            if self._busy.get(uid) is before:
                del self._busy[uid]
        # A sub-path on a server that hangs holds the thread of one pod, not those that all others wait for.
        future = in_own_thread(lambda: work(*arguments), name=f"volumes of {uid}")
        self._busy[uid] = future

        def done(ended: asyncio.Future[R]) -> None:
            if self._busy.get(uid) is ended:
                del self._busy[uid]
            if not ended.cancelled():
                ended.exception()

        future.add_done_callback(done)
        return await asyncio.shield(future)

    # -- sources of the files

    async def _contents(self, pod: core.Pod, volumes: list[core.Volume], identity: Identity) -> Contents:
        if not any(is_written(volume) for volume in volumes):
            return Contents(identity=identity)
        config_maps, secrets, keys = sources_of(pod)
        namespace = pod.metadata.namespace
        try:
            found_maps = {name: await self.objects.get(core.ConfigMap, namespace, name) for name in config_maps}
            found_secrets = {name: await self.objects.get(core.Secret, namespace, name) for name in secrets}
            tokens: dict[TokenKey, str] = {key: await self.tokens.get(pod, key) for key in keys}
        except Unreachable as error:
            raise VolumeError(str(error)) from error
        except (StatusError, ConnectionError, TimeoutError) as error:
            raise VolumeError(f"failed to fetch token: {error}") from error
        return Contents(found_maps, found_secrets, tokens, identity)

    # -- in threads

    def _set_up(self, pod: core.Pod, volumes: list[core.Volume], contents: Contents) -> dict[str, Path]:
        paths = self.paths(pod.metadata.uid)
        paths.base.mkdir(parents=True, exist_ok=True, mode=0o750)
        result: dict[str, Path] = {}
        for volume in volumes:
            try:
                result[volume.name] = self._one(pod, volume, paths, contents)
            except VolumeError as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
            except OSError as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume.name}" : {error.strerror or error}') from error
        return result

    def _one(self, pod: core.Pod, volume: core.Volume, paths: PodPaths, contents: Contents) -> Path:
        group = pod.spec.securityContext.fsGroup if pod.spec.securityContext is not None else None
        if volume.hostPath is not None:
            return host_path(volume.hostPath.path, volume.hostPath.type or "")
        target = paths.volume(volume)
        if volume.emptyDir is not None or _is_empty_dir(volume):
            source = volume.emptyDir or core.EmptyDirVolumeSource()
            try:
                page = page_size(pod, source.medium) if source.medium.startswith("HugePages") else 0
            except HugePagesError as error:
                raise VolumeError(str(error)) from error
            return empty_dir(target, source, group, memory_size(pod, source, contents.identity), page)
        if is_written(volume):
            files = payload(pod, volume, contents)
            self._write(target, volume, files, group)
            return target
        raise VolumeError("this kind of volume is not supported by this node")

    def _refresh(self, pod: core.Pod, volumes: list[core.Volume], contents: Contents) -> bool:
        group = pod.spec.securityContext.fsGroup if pod.spec.securityContext is not None else None
        paths = self.paths(pod.metadata.uid)
        changed = False
        for volume in volumes:
            target = paths.volume(volume)
            if not target.is_dir():
                continue
            try:
                changed |= self._write(target, volume, payload(pod, volume, contents), group)
            except OSError as error:
                raise VolumeError(f'failed to update volume "{volume.name}": {error.strerror or error}') from error
        return changed

    def _write(self, target: Path, volume: core.Volume, files: Payload, group: int | None) -> bool:
        fresh = not target.exists()
        target.mkdir(parents=True, exist_ok=True)
        secret = volume.secret is not None or (
            volume.projected is not None and any(one.serviceAccountToken or one.secret for one in volume.projected.sources)
        )
        if secret and not mounts.is_mount(target):
            mounts.tmpfs(target)
            fresh = True
        elif fresh:
            target.chmod(0o777)
        if fresh and group is not None:
            atomic.give_to_group(target, group, write=False)
        return atomic.write(target, files, self.clock.now(), group=group)

    def _mount_paths(self, pod: core.Pod, container: AnyContainer, volumes: Mapping[str, Path], env: Mapping[str, str]) -> list[str | None]:
        paths = self.paths(pod.metadata.uid)
        result: list[str | None] = []
        for place, mount in enumerate(container.volumeMounts):
            volume = volumes.get(mount.name)
            if volume is None:
                raise VolumeError(f'volume "{mount.name}" is not mounted')
            sub_path = expand(mount.subPathExpr, env) if mount.subPathExpr else mount.subPath
            if not sub_path:
                result.append(str(volume))
                continue
            result.append(str(expose(volume, sub_path, paths.sub_path(mount.name, container.name, place))))
        return result

    def _tear_down(self, uid: str) -> None:
        base = self.paths(uid).base
        if not base.exists():
            return
        _unmount_below(base)
        if left := mounts.mounts_below(base):
            raise OSError(errno.EBUSY, f"still mounted: {', '.join(left)}")
        remove_tree(base)


def _unmount_below(directory: Path) -> None:
    # Most pods have no sub-paths: nothing is to be read for those.
    for point in mounts.mounts_below(directory) if directory.exists() else ():
        mounts.unmount(point)


def _read_files(files: set[tuple[str, str]], volumes: Mapping[str, Path]) -> dict[tuple[str, str], str | None]:
    try:
        return {(name, path): read_inside(volumes[name], path) for name, path in files if name in volumes}
    except (EnvFileError, OSError) as error:
        raise VolumeError(f"couldn't parse env file: {error}") from error


def used_volumes(pod: core.Pod) -> list[core.Volume]:
    """The volumes that a container has use for. The others need not be there ("Volumes")."""
    used = {mount.name for container in _containers(pod) for mount in container.volumeMounts}
    used |= {device.name for container in _containers(pod) for device in container.volumeDevices}
    return [volume for volume in pod.spec.volumes if volume.name in used]


def _containers(pod: core.Pod) -> tuple[AnyContainer, ...]:
    return (*pod.spec.containers, *pod.spec.initContainers, *pod.spec.ephemeralContainers)


def _is_empty_dir(volume: core.Volume) -> bool:
    """A volume without any source is an emptyDir."""
    return all(getattr(volume, field) is None for field in volume.__struct_fields__ if field != "name")


def memory_size(pod: core.Pod, source: core.EmptyDirVolumeSource, identity: Identity) -> int | None:
    """Bytes that an emptyDir in memory may hold: the least of its size limit, the pod's memory limit and the node's allocatable memory.

    See "Volumes" (emptyDir) and KEP-1967 "Size memory backed volumes".
    """
    limits = (
        quantity.whole(source.sizeLimit) if source.sizeLimit else None,
        pod_limits(pod).memory,
        quantity.whole(identity.allocatable.get("memory", "0")),
    )
    return min((limit for limit in limits if limit), default=None)
