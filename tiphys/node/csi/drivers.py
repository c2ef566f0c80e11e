"""Drivers of a node by name: those behind a socket, which register as plugins, and those of this process.

A driver is in use from its registration to its end. Its description of the node (NodeGetInfo) is written to the CSINode and the Node
before the plugin hears that it is registered, so a pod that is scheduled by that finds the driver.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.csi.client import CsiClient
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.csi.node_info import DriverInfo, NodeInfo, NodeInfoError, UnreachableError
from tiphys.node.csi.service import DriverService
from tiphys.node.csi.versions import highest_supported
from tiphys.node.plugins.registration import PluginError
from tiphys.node.plugins.watcher import Plugin
from tiphys.node.volumes.payload import VolumeError

log = logging.getLogger(__name__)

PLUGIN_TYPE = "CSIPlugin"
RETRY = BackoffPolicy(first=0.1, cap=10.0)


class CsiDrivers:
    """Registry of the drivers of a node. As a `PluginHandler` it takes those behind sockets."""

    def __init__(self, info: NodeInfo, clock: Clock, *, rng: random.Random | None = None) -> None:
        self._info = info
        self._clock = clock
        self._rng = rng or random.Random()
        self.on_change: Callable[[], None] = lambda: None
        """Called when a driver came or went."""
        self._services: dict[str, DriverService] = {}
        self._endpoints: dict[str, tuple[str, tuple[int, ...]]] = {}
        """Endpoint and version of each driver behind a socket."""

    @property
    def names(self) -> list[str]:
        """The drivers in use."""
        return sorted(self._services)

    def get(self, name: str) -> DriverService:
        """Return a driver. Raises VolumeError when it is not registered, which may be a question of time."""
        service = self._services.get(name)
        if service is None:
            raise VolumeError(f"driver name {name} not found in the list of registered CSI drivers")
        return service

    # -- drivers of this process

    async def add(self, name: str, driver: Driver) -> None:
        """Take a driver of this process into use; returns once the API shows it. It stays until the process ends."""
        # A plugin may have taken the name before; the end of its socket must not end this driver.
        await self._drop(name)
        service = self._services[name] = DriverService(name, driver)
        backoff = Backoff(RETRY, self._rng)
        while True:
            try:
                await self._info.install(await self._describe(service))
                self.on_change()
                return
            except (CsiError, NodeInfoError) as error:
                log.warning("driver not shown in the API yet", extra={"driver": name, "error": str(error)})
                await self._clock.sleep(backoff.next())

    # -- drivers behind a socket

    def validate(self, plugin: Plugin) -> None:
        try:
            self._version("ValidatePlugin", plugin)
        except PluginError as error:
            raise PluginError(f"validation failed for CSI Driver {plugin.name} at endpoint {plugin.endpoint}: {error}") from error

    async def register(self, plugin: Plugin) -> None:
        version = self._version("RegisterPlugin", plugin)
        await self._drop(plugin.name)
        service = self._services[plugin.name] = DriverService(plugin.name, CsiClient(plugin.endpoint))
        self._endpoints[plugin.name] = (plugin.endpoint, version)
        try:
            await self._install(await self._describe(service))
        except (CsiError, NodeInfoError) as error:
            await self.deregister(plugin)
            raise PluginError(str(error)) from error
        self.on_change()

    async def _install(self, info: DriverInfo) -> None:
        """Show a driver in the API, however long there is none: meanwhile it can unmount what a former kubelet left."""
        backoff = Backoff(RETRY, self._rng)
        while True:
            try:
                return await self._info.install(info)
            except UnreachableError as error:
                log.warning("driver not shown in the API yet", extra={"driver": info.name, "error": str(error)})
                await self._clock.sleep(backoff.next())

    async def deregister(self, plugin: Plugin) -> None:
        if self._endpoints.get(plugin.name, ("",))[0] != plugin.endpoint:
            # Another socket has taken the name over.
            return
        await self._drop(plugin.name)
        self.on_change()
        try:
            await self._info.uninstall(plugin.name)
        except NodeInfoError as error:
            log.error("driver not removed from the API", extra={"driver": plugin.name, "error": str(error)})

    async def refresh(self, name: str) -> None:
        """Ask a driver again how many volumes the node takes, and write it to the CSINode. Raises CsiError, NodeInfoError, VolumeError."""
        await self._info.update(await self._describe(self.get(name)))

    async def close(self) -> None:
        """Give up all connections; the API goes on showing the drivers."""
        for name in self.names:
            await self._drop(name)

    async def _drop(self, name: str) -> None:
        self._endpoints.pop(name, None)
        service = self._services.pop(name, None)
        if service is not None:
            await service.retire()

    async def _describe(self, service: DriverService) -> DriverInfo:
        answer = await service.call("NodeGetInfo", pb.NodeGetInfoRequest(), pb.NodeGetInfoResponse)
        if answer.max_volumes_per_node < 0:
            log.error("driver with an invalid limit of volumes", extra={"driver": service.name, "limit": answer.max_volumes_per_node})
        return DriverInfo(
            name=service.name,
            node_id=answer.node_id,
            topology=dict(answer.accessible_topology.segments),
            max_volumes=max(answer.max_volumes_per_node, 0),
        )

    def _version(self, caller: str, plugin: Plugin) -> tuple[int, ...]:
        failed = f'kubernetes.io/csi: {caller} for CSI driver "{plugin.name}" failed.'
        if not plugin.versions:
            raise PluginError(f"{failed} Plugin returned an empty list for supported versions")
        try:
            version = highest_supported(plugin.versions)
        except ValueError as error:
            listed = " ".join(f'"{one}"' for one in plugin.versions)
            raise PluginError(f"{failed} None of the versions specified [{listed}] are supported. err={error}") from None
        if plugin.name in self._services:
            _, present = self._endpoints.get(plugin.name, ("", version))
            if present >= version:
                shown = ".".join(map(str, present))
                raise PluginError(
                    f'{failed} Another driver with the same name is already registered with a higher supported version: "{shown}"'
                )
        return version
