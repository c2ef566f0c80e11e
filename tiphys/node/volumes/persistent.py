"""The persistent volumes of a node's pods: mounting, unmounting and sharing them, on the plugins of `plugin.py`.

The records (`records.py`) are the state. Work on volumes with one unique name is done one after the other and never broken off
(`exclusive.py`); a kubelet that is killed meanwhile finds a record of what it had begun, and repeats or undoes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.client.client import Client
from tiphys.node.metrics import families
from tiphys.node.volumes import legacy
from tiphys.node.volumes.exclusive import Exclusive
from tiphys.node.volumes.expansion import Expander, Tell
from tiphys.node.volumes.in_use import VolumesInUse
from tiphys.node.volumes.local import HostPathPlugin, LocalPlugin
from tiphys.node.volumes.mounter import Key, VolumeMounter, step
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import AttachLimitError, MountRecord, UnsupportedError, VolumePlugin, VolumeSpec
from tiphys.node.volumes.records import VolumeRecords
from tiphys.node.volumes.resolve import UnresolvedError, resolve
from tiphys.runtime.informer import Informer

log = logging.getLogger(__name__)

PATIENCE = 123.0
"""Seconds after which a pod that still waits for volumes says so: upstream's two minutes and three seconds."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 122.0
"""Seconds between attempts to mount a volume: doubled each time."""


class PersistentVolumes:
    """The volumes of plugins, below the kubelet's directory `root`. `tell` records events."""

    def __init__(self, root: Path, node: str, client: Client, clock: Clock, nodes: Informer[core.Node], tell: Tell) -> None:
        self.root = root
        self.client = client
        self.clock = clock
        self.tell = tell
        self.records = VolumeRecords(root)
        self.plugins: list[VolumePlugin] = [LocalPlugin(root, self.records), HostPathPlugin()]
        """Every kind of storage that the node knows; the composition adds others before it starts."""
        self.in_use = VolumesInUse(node, client, nodes, self._names_in_use)
        self.mounter = VolumeMounter(root, self.records, Expander(client, clock.now, tell, node), self.in_use.node, tell)
        self._underway: dict[str, set[str]] = {}
        """Unique names of the volumes that are being mounted, by the uid of the pod."""
        self._desired: dict[str, set[str]] = {}
        """Unique names of the volumes that pods are to have, by the uid of the pod."""
        self._tasks = TaskSet()
        self.patience, self.first_pause = PATIENCE, FIRST_PAUSE
        self.exclusive = Exclusive()
        self._pauses: dict[Key, tuple[float, float]] = {}

    # -- queries

    def takes(self, volume: core.Volume) -> bool:
        """Return whether an entry of a pod's `spec.volumes` is mounted here rather than by the node itself."""
        if volume.persistentVolumeClaim is not None or volume.ephemeral is not None or volume.csi is not None:
            return True
        spec = VolumeSpec(pod=core.Pod(), volume=volume)
        return legacy.is_legacy(volume) or any(plugin.takes(spec) for plugin in self.plugins)

    def plugin(self, name: str) -> VolumePlugin:
        """Return a plugin by name. Raises VolumeError."""
        for plugin in self.plugins:
            if plugin.name == name:
                return plugin
        raise VolumeError(f"no volume plugin matched name: {name}")

    def mounted(self) -> Iterator[tuple[MountRecord, VolumePlugin]]:
        """Yield what is mounted, with its plugin."""
        for entry in self.records.mounts():
            if self.records.is_done(entry):
                for plugin in self.plugins:
                    if plugin.name == entry.record.plugin:
                        yield entry.record, plugin

    def groups(self, uid: str) -> list[int]:
        """Return the groups that a pod's containers get because of its volumes."""
        return sorted({entry.record.group for entry in self.records.mounts_of(uid) if entry.record.group is not None})

    # -- mounting

    async def set_up(self, pod: core.Pod, volumes: Sequence[core.Volume]) -> dict[str, Path]:
        """Mount the volumes of a pod; returns the path of each by name, for block volumes that of the device.

        Tries for as long as upstream does. Raises VolumeError, after an event for each attempt that failed.
        """
        await self.records.load()
        uid = pod.metadata.uid
        missing = [volume for volume in volumes if not self.records.is_done(self.records.mount(uid, volume.name))]
        if missing:
            await self._mount_all(pod, missing)
        return {volume.name: self._path(uid, volume.name) for volume in volumes}

    def _path(self, uid: str, name: str) -> Path:
        entry = self.records.mount(uid, name)
        if entry is None:
            raise VolumeError(f'volume "{name}" is not mounted')
        record = entry.record
        return PodPaths(self.root, uid).device(record.plugin, record.name) if record.block else Path(record.path)

    async def _mount_all(self, pod: core.Pod, volumes: Sequence[core.Volume]) -> None:
        results = await asyncio.gather(*(self._resolve(pod, volume) for volume in volumes), return_exceptions=True)
        failures = {volume.name: result for volume, result in zip(volumes, results, strict=True) if isinstance(result, VolumeError)}
        ready = [result for result in results if isinstance(result, tuple)]
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, VolumeError):
                raise result
        waiting = {spec.volume.name for spec, _ in ready}
        unattached: set[str] = set()
        tasks = [
            asyncio.get_running_loop().create_task(self._mount(spec, plugin, waiting, unattached, once=bool(failures)))
            for spec, plugin in ready
        ]
        try:
            async with asyncio.timeout(self.patience):
                # Where something else is missing, each of these has one attempt: the pod is looked at again soon.
                outcomes = await asyncio.gather(*tasks, return_exceptions=bool(failures))
            if not failures:
                return
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, VolumeError):
                    raise outcome
            reason = "; ".join(str(failure) for failure in failures.values())
        except TimeoutError:
            reason = "context deadline exceeded"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        full = await self._is_full([one for one in ready if one[0].volume.name in unattached])
        unmounted = _listed({*waiting, *failures})
        summary = f"unmounted volumes={unmounted}, unattached volumes={_listed(unattached)}, failed to process volumes={_listed(failures)}"
        settled = all(not isinstance(failure, UnresolvedError) for failure in failures.values())
        raise (AttachLimitError if full else VolumeError if settled else UnresolvedError)(
            f"Unable to attach or mount volumes: {summary}: {reason}"
        )

    async def _is_full(self, unattached: Iterable[tuple[VolumeSpec, VolumePlugin]]) -> bool:
        """Return whether one of the volumes waits in vain, because the node has as many as it takes."""
        for spec, plugin in unattached:
            try:
                if await plugin.lacks_room(spec):
                    return True
            except VolumeError as error:
                log.info("limit of volumes not checked", extra={"volume": spec.name, "error": str(error)})
        return False

    async def _resolve(self, pod: core.Pod, volume: core.Volume) -> tuple[VolumeSpec, VolumePlugin]:
        spec = await resolve(self.client, pod, volume)
        for plugin in self.plugins:
            if plugin.takes(spec):
                return spec, plugin
        raise UnsupportedError(legacy.advice(volume, spec.pv))

    async def _mount(self, spec: VolumeSpec, plugin: VolumePlugin, waiting: set[str], unattached: set[str], *, once: bool) -> None:
        """Mount one volume, with ever longer pauses between the attempts."""
        key = (spec.pod.metadata.uid, spec.volume.name)
        started = self.clock.monotonic()
        while True:
            if not once and (pause := self._pauses.get(key)) is not None:
                await self.clock.sleep(pause[1] - self.clock.monotonic())
            try:
                await self._attempt(spec, plugin, unattached)
            except VolumeError as error:
                self._fail(spec, error)
                if once:
                    raise
            else:
                self._pauses.pop(key, None)
                waiting.discard(spec.volume.name)
                families.VOLUME_TOTAL_SECONDS.labels(plugin.name, "overall_volume_mount").observe(self.clock.monotonic() - started)
                return

    async def _attempt(self, spec: VolumeSpec, plugin: VolumePlugin, unattached: set[str]) -> None:
        unique_name = plugin.unique_name(spec)
        uid = spec.pod.metadata.uid
        self._desired.setdefault(uid, set()).add(unique_name)
        device_path = await self._attached(spec, plugin, unique_name, unattached)

        async def work() -> None:
            names = self._underway.setdefault(uid, set())
            names.add(unique_name)
            try:
                with self._measured(plugin.name, "map_volume" if spec.block else "volume_mount"):
                    await self.mounter.mount(spec, plugin, unique_name, device_path)
            finally:
                names.discard(unique_name)
                if not names:
                    self._underway.pop(uid, None)

        await self.exclusive.run(unique_name, work)

    def _names_in_use(self) -> set[str]:
        """Return the unique names of the mounted volumes that the Node's status shows as in use: those that controllers attach."""
        plugins = {plugin.name: plugin for plugin in self.plugins}
        attached = [entry.record for entry in self.records.devices() if entry.record.attachable]
        return {one.unique_name for one in attached if one.plugin not in plugins or plugins[one.plugin].needs_attachment(one)}

    @contextmanager
    def _measured(self, plugin: str, operation: str) -> Iterator[None]:
        began, failed = self.clock.monotonic(), True
        try:
            yield
            failed = False
        finally:
            families.storage_operation(plugin, operation, self.clock.monotonic() - began, failed=failed)

    def _fail(self, spec: VolumeSpec, error: VolumeError) -> None:
        key = (spec.pod.metadata.uid, spec.volume.name)
        delay = min(self._pauses[key][0] * 2, LONGEST_PAUSE) if key in self._pauses else self.first_pause
        self._pauses[key] = (delay, self.clock.monotonic() + delay)
        self.tell(spec.pod, "Warning", "FailedMapVolume" if spec.block else "FailedMount", str(error))

    async def _attached(self, spec: VolumeSpec, plugin: VolumePlugin, unique_name: str, unattached: set[str]) -> str | None:
        """Wait until a volume may be mounted; returns the path of its device, None for a volume that needs no attaching."""
        with step(spec, "WaitForAttach"):
            if not await plugin.needs_attach(spec):
                # It may have needed that before: nobody detaches what the node still names.
                self.in_use.release(spec.pod.metadata.uid, unique_name)
                return None
            unattached.add(spec.volume.name)
            self.in_use.desire(unique_name, spec.pod.metadata.uid)
            device_path = await self.in_use.wait_attached(unique_name)
            unattached.discard(spec.volume.name)
            return await plugin.wait_attached(spec, device_path)

    # -- unmounting

    async def tear_down(self, uid: str) -> None:
        """Unmount all volumes of a pod. Harmless when there are none. Raises VolumeError when one resists, after all were tried.

        What the node has mounted for them goes in the background, once no other pod uses it.
        """
        await self.records.load()
        # What was begun for the pod goes on although nobody waits for it: it may be about to mount something.
        for unique_name in list(self._underway.get(uid, ())):
            await self.exclusive.run(unique_name, _nothing)
        entries = self.records.mounts_of(uid)
        results = await asyncio.gather(*(self._unmount(entry.record) for entry in entries), return_exceptions=True)
        for key in [key for key in self._pauses if key[0] == uid]:
            del self._pauses[key]
        self.in_use.release(uid)
        self._desired.pop(uid, None)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for entry in self.records.devices():
            if not self.records.users(entry.record.unique_name):
                self._tasks.spawn(self._release(entry.record.unique_name), name=f"release volume {entry.record.name}")

    async def _unmount(self, record: MountRecord) -> None:
        plugin = self.plugin(record.plugin)

        async def work() -> None:
            with self._measured(record.plugin, "unmap_volume" if record.block else "volume_unmount"):
                await self.mounter.unmount(plugin, record)

        await self.exclusive.run(record.unique_name, work)

    async def release_idle(self) -> None:
        """Unmount from the node what no pod uses (any more): a kubelet may have been killed before it got to that."""
        await self.records.load()
        idle = [entry.record.unique_name for entry in self.records.devices() if not self.records.users(entry.record.unique_name)]
        await asyncio.gather(*(self._release(name) for name in idle))

    async def _release(self, unique_name: str) -> None:
        async def work() -> None:
            entry = self.records.device(unique_name)
            if entry is None or self.records.users(unique_name):
                return
            if self.in_use.is_desired(unique_name) or any(unique_name in names for names in self._desired.values()):
                return  # A failed attempt is repeated, not undone, for as long as a pod needs the volume.
            with self._measured(entry.record.plugin, "unmap_device" if entry.record.block else "unmount_device"):
                await self.mounter.release(self.plugin(entry.record.plugin), entry)
            if entry.record.attachable:
                self.in_use.hurry()

        try:
            await self.exclusive.run(unique_name, work)
        except VolumeError as error:
            log.warning("volume not unmounted from the node", extra={"volume": unique_name, "error": str(error)})

    # -- the end

    async def close(self) -> None:
        """Break off what is under way; the next kubelet goes on with it."""
        await self._tasks.close()
        await self.exclusive.close()


async def _nothing() -> None:
    """Work that only waits for its turn."""


def _listed(names: Iterable[str]) -> str:
    return f"[{' '.join(sorted(names))}]"
