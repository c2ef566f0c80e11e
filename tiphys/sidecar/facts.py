"""Name and capabilities of a driver, and waiting until it says that it is ready."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tiphys.aio.clock import Clock
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Unimplemented
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

RETRY_SECONDS = 1.0
"""Pause between questions to a driver that is not ready, as in upstream's sidecars."""


class DriverFacts(NamedTuple):
    """Name and capabilities of a driver ("Container Storage Interface (CSI)", identity and controller services)."""

    name: str
    version: str = ""
    services: frozenset[str] = frozenset()
    """Names of `PluginCapability.Service.Type`."""
    verbs: frozenset[str] = frozenset()
    """Names of `ControllerServiceCapability.RPC.Type`; empty without a controller."""
    expansion: str = ""
    """ONLINE, OFFLINE, or empty if the driver says neither."""

    def offers(self, verb: str) -> bool:
        """Return whether the controller has a capability, such as CREATE_DELETE_VOLUME."""
        return verb in self.verbs

    @property
    def has_topology(self) -> bool:
        """True if not every node can reach every volume."""
        return "VOLUME_ACCESSIBILITY_CONSTRAINTS" in self.services


async def learn(driver: Driver, *, clock: Clock) -> DriverFacts:
    """Return the facts of a driver, once it says that it is ready; it may take forever. Raises nothing but cancellation."""
    while True:
        try:
            if await is_ready(driver):
                return await _facts(driver)
            log.info("the driver is not ready")
        except CsiError as error:
            log.warning("the driver does not answer", extra={"error": str(error)})
        await clock.sleep(RETRY_SECONDS)


async def is_ready(driver: Driver) -> bool:
    """Return whether a driver says that it is ready; one without an opinion is. Raises CsiError."""
    try:
        answer = await driver.Probe(pb.ProbeRequest())
    except Unimplemented:
        return True
    return answer.ready.value if answer.HasField("ready") else True


async def _facts(driver: Driver) -> DriverFacts:
    info = await driver.GetPluginInfo(pb.GetPluginInfoRequest())
    plugin = await driver.GetPluginCapabilities(pb.GetPluginCapabilitiesRequest())
    services = frozenset(_names(pb.PluginCapability.Service.Type, (one.service.type for one in plugin.capabilities)))
    expansions = _names(pb.PluginCapability.VolumeExpansion.Type, (one.volume_expansion.type for one in plugin.capabilities))
    verbs: frozenset[str] = frozenset()
    if "CONTROLLER_SERVICE" in services:
        controller = await driver.ControllerGetCapabilities(pb.ControllerGetCapabilitiesRequest())
        verbs = frozenset(_names(pb.ControllerServiceCapability.RPC.Type, (one.rpc.type for one in controller.capabilities)))
    if not info.name:
        raise CsiError("the driver has no name", verb="GetPluginInfo")
    return DriverFacts(info.name, info.vendor_version, services, verbs, next(iter(expansions), ""))


def _names(enumeration: Any, numbers: Iterable[int]) -> list[str]:
    """Return the names of numbers, without those that are unknown here (a newer driver) or say nothing."""
    known = {number: name for name, number in enumeration.items()}
    return [known[number] for number in numbers if number in known and number]
