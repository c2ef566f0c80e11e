"""The device manager: plugins by resource, and the devices that containers own ("Device Plugins", KEP-3573, KEP-4680).

It is an assigner (`tiphys.node.resources`), the handler of plugins of the type `DevicePlugin` (`tiphys.node.plugins`), and the source of
the node's extended resources.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.core.pods.resources import is_extended
from tiphys.api.helpers.resources import amounts, pod_limits
from tiphys.node.devices import checkpoint
from tiphys.node.devices.assignments import Assignment, Assignments, Entry
from tiphys.node.devices.choice import choose, hints, is_aligned
from tiphys.node.devices.device import Device, DeviceError, by_node, grant_of
from tiphys.node.devices.endpoint import Endpoint, PluginCallError
from tiphys.node.devices.resource import Resource
from tiphys.node.plugins.registration import PluginError
from tiphys.node.plugins.watcher import Plugin
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources.assigner import Grant, Hint, Nodes, Refused

log = logging.getLogger(__name__)

PLUGIN_TYPE = "DevicePlugin"
VERSION = "v1beta1"
REASON = "UnexpectedAdmissionError"
PAUSE = 0.1
"""Seconds between two lists of one plugin."""
SILENCE = BackoffPolicy(first=1.0, cap=120.0)
"""Delays between attempts to hear from a plugin that did not answer Allocate."""


class DeviceManager:
    """Devices of one node. `machine` has the NUMA nodes; `directory` is that of the checkpoint and of the plugins' sockets."""

    name = "device"

    def __init__(self, directory: Path, clock: Clock, *, machine: Nodes = frozenset((0,)), rng: random.Random | None = None) -> None:
        self.directory = directory
        self.on_change: Callable[[], None] = lambda: None
        """Called when the numbers of devices may have changed."""
        self.on_health: Callable[[Collection[str]], None] = lambda uids: None
        """Called with the pods whose devices have another health."""
        self.assignments = Assignments()
        self.resources: dict[str, Resource] = {}
        self._machine = machine
        self._clock = clock
        self._rng = rng or random.Random()
        self._gone: set[str] = set()
        """Resources that the node goes on to show as 0."""
        self._silences: dict[str, Backoff] = {}
        self._allocating = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._is_loaded = False
        self._saved = b""
        self._tasks = TaskSet()

    # -- plugins

    def validate(self, plugin: Plugin) -> None:
        if VERSION not in plugin.versions:
            raise PluginError(f"manager version, {VERSION}, is not among plugin supported versions [{' '.join(plugin.versions)}]")
        if not is_extended(plugin.name):
            raise PluginError(f'invalid name of device plugin socket: the ResourceName "{plugin.name}" is invalid')

    async def register(self, plugin: Plugin) -> None:
        try:
            await self.connect(plugin.name, Path(plugin.endpoint))
        except PluginCallError as error:
            raise PluginError(str(error)) from error

    async def deregister(self, plugin: Plugin) -> None:
        resource = self.resources.get(plugin.name)
        if resource is not None and resource.endpoint is not None and str(resource.endpoint.socket) == plugin.endpoint:
            await self._end(resource, resource.endpoint, "its socket is gone")

    async def connect(self, name: str, socket: Path) -> None:
        """Take the plugin behind a socket into use for a resource. Raises PluginCallError."""
        await self._load()
        endpoint = Endpoint(name, socket)
        try:
            await endpoint.open()
        except BaseException:
            await endpoint.close()
            raise
        resource = self.resources.setdefault(name, Resource(name, now=self._clock.monotonic()))
        before = resource.endpoint
        resource.attach(endpoint)
        self._gone.discard(name)
        self._silences.pop(name, None)
        log.info("device plugin connected", extra={"resource": name, "socket": str(socket)})
        self._tasks.spawn(self._follow(resource, endpoint), name=f"devices of {name}")
        if before is not None:
            await before.close()

    async def _follow(self, resource: Resource, endpoint: Endpoint) -> None:
        why = "it ended the stream of devices"
        try:
            async for devices in endpoint.watch():
                if resource.endpoint is not endpoint:
                    break
                await self._list(resource, devices)
                # A plugin that never stops talking must not keep the node and its disk busy.
                await self._clock.sleep(PAUSE)
        except PluginCallError as error:
            why = str(error)
        await self._end(resource, endpoint, why)

    async def _list(self, resource: Resource, devices: Mapping[str, Device]) -> None:
        before = {ident: resource.health(ident) for ident in {*resource.listed, *devices}}
        resource.list(devices)
        log.info("devices listed", extra={"resource": resource.name, "devices": len(devices), "healthy": len(resource.healthy())})
        self._tell(resource, [ident for ident, health in before.items() if resource.health(ident) != health])
        await self._save_or_log()

    async def _end(self, resource: Resource, endpoint: Endpoint, why: str) -> None:
        if resource.endpoint is endpoint and resource.is_connected:
            log.warning("device plugin has ended", extra={"resource": resource.name, "reason": why})
            resource.stop(self._clock.monotonic())
            self._tell(resource, resource.listed)
        await endpoint.close()

    def _tell(self, resource: Resource, ids: Iterable[str]) -> None:
        uids = self.assignments.owners(resource.name, set(ids))
        if uids:
            self.on_health(uids)
        self.on_change()

    async def _await_answer(self, resource: Resource, endpoint: Endpoint) -> None:
        """Take nothing from a plugin that did not answer until it does."""
        backoff = self._silences.setdefault(resource.name, Backoff(SILENCE, self._rng))
        while resource.endpoint is endpoint and resource.is_connected:
            await self._clock.sleep(backoff.next())
            try:
                await endpoint.ask_options()
            except PluginCallError as error:
                log.warning("device plugin does not answer", extra={"resource": resource.name, "error": str(error)})
                continue
            if resource.endpoint is endpoint:
                resource.is_silent = False
                self._tell(resource, resource.listed)
            return

    # -- the node

    def capacity(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return capacity and allocatable by resource, as the Node shows them."""
        now = self._clock.monotonic()
        for name in [name for name, resource in self.resources.items() if resource.is_expired(now)]:
            del self.resources[name]
            self._gone.add(name)
            log.info("resource given up", extra={"resource": name})
            self._tasks.spawn(self._save_or_log(), name="checkpoint of devices")
        zero = dict.fromkeys(self._gone, "0")
        capacity = {name: str(len(resource.listed)) for name, resource in self.resources.items()}
        return {**zero, **capacity}, {**zero, **{name: str(len(one.healthy())) for name, one in self.resources.items()}}

    def names(self) -> set[str]:
        """Return the resources that plugins serve, or have served for a container."""
        return self.resources.keys() | {entry.resource for entry in self.assignments}

    def health(self, uid: str, container: str) -> list[core.ResourceStatus]:
        """Return the health of the devices that a container owns, for its status."""
        return [self._status(name, assignment.ids) for name, assignment in sorted(self.assignments.of(uid, container).items())]

    def _status(self, name: str, ids: Collection[str]) -> core.ResourceStatus:
        resource = self.resources.get(name) or Resource(name, now=self._clock.monotonic())
        healths = [(ident, *resource.health(ident)) for ident in sorted(ids)]
        shown = [core.ResourceHealth(resourceID=ident, health=health, message=message or None) for ident, health, message in healths]
        return core.ResourceStatus(name=name, resources=shown)

    # -- containers

    async def start(self, live: Collection[str]) -> None:
        await self._load()
        for uid in self.assignments.uids() - set(live):
            self.assignments.release(uid)
        await self._save_or_log()

    async def _load(self) -> None:
        """Read the checkpoint, once and before anything else: the first plugin may come before the first pod, and its list is saved."""
        async with self._saving:
            if self._is_loaded:
                return
            self._is_loaded = True
            path = self.directory / checkpoint.NAME
            try:
                self.assignments, registered = checkpoint.decode(await asyncio.to_thread(path.read_bytes))
            except FileNotFoundError:
                return
            except (OSError, checkpoint.CorruptCheckpoint) as error:
                log.error("devices of containers not read", extra={"path": str(path), "error": str(error)})
                return
            for name in registered:
                self.resources.setdefault(name, Resource(name, now=self._clock.monotonic()))
        self.on_change()

    def hints(self, pod: core.Pod, container: AnyContainer) -> Mapping[str, list[Hint]]:
        result = {}
        for name, count in self._requests(pod, container).items():
            resource, owned = self.resources.get(name), self.assignments.of(pod.metadata.uid, container.name).get(name)
            if resource is None or not is_aligned(resource.listed):
                continue
            if owned is not None:
                result[name] = self._hints(resource, count, owned.ids, owned.ids)
            else:
                fixed = self.assignments.reusable(pod, container, name)
                result[name] = self._hints(resource, count, self._free(resource) | fixed, fixed)
        return result

    def pod_hints(self, pod: core.Pod) -> Mapping[str, list[Hint]]:
        result = {}
        for name, count in pod_limits(pod).items():
            resource = self.resources.get(name)
            if resource is None or not is_aligned(resource.listed):
                continue
            containers = (*pod.spec.initContainers, *pod.spec.containers)
            owned = [self.assignments.of(pod.metadata.uid, container.name).get(name) for container in containers]
            ids = frozenset[str]().union(*(one.ids for one in owned if one is not None))
            result[name] = self._hints(resource, count, ids or self._free(resource), ids)
        return result

    def _hints(self, resource: Resource, count: int, free: Collection[str], fixed: Collection[str]) -> list[Hint]:
        if len(free) < count:
            return []
        return list(hints(count, resource.listed, free=free, fixed=fixed, machine=self._machine))

    def _free(self, resource: Resource) -> set[str]:
        return resource.healthy() - self.assignments.used(resource.name)

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        try:
            await self._allocate_all(pod, container, nodes)
        except (DeviceError, PluginCallError, OSError) as error:
            raise Refused(REASON, f"Allocate failed due to {error}, which is unexpected") from error
        return self._grant(pod, container)

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        """Return what a container gets, after its plugins know that it is about to start; what is missing is allocated now."""
        try:
            if self._requests(pod, container).keys() - self.assignments.of(pod.metadata.uid, container.name).keys():
                await self._allocate_all(pod, container, None)
            await self._pre_start(pod, container)
        except (DeviceError, PluginCallError, OSError) as error:
            raise Refused(REASON, str(error)) from error
        return self._grant(pod, container)

    async def release(self, uid: str) -> None:
        if self.assignments.release(uid):
            await self._save_or_log()

    def _grant(self, pod: core.Pod, container: AnyContainer) -> Grant:
        owned = self.assignments.of(pod.metadata.uid, container.name)
        return grant_of(assignment.response() for _, assignment in sorted(owned.items()))

    def _requests(self, pod: core.Pod, container: AnyContainer) -> dict[str, int]:
        """Return the numbers of devices that a container has to get from plugins; claims may serve others of its extended resources."""
        if isinstance(container, core.EphemeralContainer):
            return {}
        claim = pod.status.extendedResourceClaimStatus
        claimed = {one.resourceName for one in claim.requestMappings if one.containerName == container.name} if claim is not None else set()
        known = self.names()
        limits = amounts(container.resources.limits).items()
        return {name: count for name, count in limits if name in known and name not in claimed and count > 0}

    async def _allocate_all(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> None:
        async with self._allocating:
            changed = False
            for name, count in self._requests(pod, container).items():
                changed |= await self._allocate(pod, container, name, count, nodes)
            if changed:
                await self._save()

    async def _allocate(self, pod: core.Pod, container: AnyContainer, name: str, count: int, nodes: Nodes | None) -> bool:
        """Give a container devices of one resource; False if it has them already. Raises DeviceError, PluginCallError."""
        owned = self.assignments.of(pod.metadata.uid, container.name).get(name)
        if owned is not None:
            if len(owned.ids) != count:
                who = f'pod "{pod.metadata.uid}" container "{container.name}"'
                raise DeviceError(f'{who} changed request for resource "{name}" from {len(owned.ids)} to {count}')
            return False
        resource = self.resources.get(name)
        if resource is None:
            raise DeviceError(f"cannot allocate unregistered device {name}")
        reusable = self.assignments.reusable(pod, container, name)
        devices = resource.devices()
        choice = choose(name, count, devices, used=self.assignments.used(name), reusable=reusable, nodes=nodes)
        endpoint = resource.endpoint
        assert endpoint is not None, "a resource with healthy devices has a plugin"
        preferred: list[str] = []
        if choice.is_open and endpoint.has_preferences:
            preferred = await self._preferred(resource, endpoint, (*choice.taken, *choice.pool), choice.taken, count)
        ids = choice.finish(preferred)
        answer = await self._answered(resource, endpoint, ids)
        assignment = Assignment(by_node(ids, devices), answer)
        self.assignments.add(Entry(pod.metadata.uid, container.name, name, assignment))
        return True

    async def _preferred(
        self, resource: Resource, endpoint: Endpoint, available: Collection[str], required: Collection[str], count: int
    ) -> list[str]:
        try:
            return await endpoint.preferred(available, required, count)
        except PluginCallError as error:
            log.warning("device plugin has no preference", extra={"resource": resource.name, "error": str(error)})
            return []

    async def _answered(self, resource: Resource, endpoint: Endpoint, ids: Collection[str]) -> bytes:
        """Return the plugin's answer to Allocate. Raises DeviceError, PluginCallError."""
        try:
            response = await endpoint.allocate(ids)
        except PluginCallError as error:
            if error.is_silence and resource.endpoint is endpoint:
                resource.is_silent = True
                self._tell(resource, resource.listed)
                self._tasks.spawn(self._await_answer(resource, endpoint), name=f"silence of {resource.name}")
            raise
        self._silences.pop(resource.name, None)
        return response.SerializeToString(deterministic=True)

    async def _pre_start(self, pod: core.Pod, container: AnyContainer) -> None:
        for name, assignment in self.assignments.of(pod.metadata.uid, container.name).items():
            resource = self.resources.get(name)
            endpoint = resource.endpoint if resource is not None else None
            if endpoint is None or not endpoint.pre_start_required:
                continue
            try:
                await endpoint.pre_start(assignment.ids)
            except PluginCallError as error:
                raise DeviceError(f"device plugin PreStartContainer rpc failed with err: {error}") from error

    # -- the checkpoint

    async def _save(self) -> None:
        """Write the checkpoint if it differs. Raises OSError."""
        async with self._saving:
            content = checkpoint.encode(self.assignments, {name: resource.healthy() for name, resource in self.resources.items()})
            if content != self._saved:
                await asyncio.to_thread(checkpoint.write, self.directory / checkpoint.NAME, content)
                self._saved = content

    async def _save_or_log(self) -> None:
        try:
            await self._save()
        except OSError as error:
            log.error("devices of containers not written", extra={"error": str(error)})

    async def close(self) -> None:
        """Give up all plugins; what containers own stays."""
        await self._tasks.close()
        for resource in self.resources.values():
            if resource.endpoint is not None:
                await resource.endpoint.close()
