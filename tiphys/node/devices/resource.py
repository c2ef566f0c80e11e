"""Present state of one resource: its plugin, its devices, and how many of them the node shows. Pure but for the endpoint it holds.

A plugin that ends leaves its resource behind: capacity stays for a grace period with nothing allocatable, so that a plugin which is only
updated does not make the node forget what it has ("Device plugin implementation").
"""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.node.devices.device import Device
from tiphys.node.devices.endpoint import Endpoint

GRACE = 300.0
"""Seconds for which a resource without a plugin is kept, upstream's."""


class Resource:
    """A resource of device plugins. Times are monotonic seconds."""

    def __init__(self, name: str, *, now: float) -> None:
        self.name = name
        self.endpoint: Endpoint | None = None
        """The plugin, also after its end; None before the first registration since the start of the kubelet."""
        self.listed: Mapping[str, Device] = {}
        """Devices as the plugin listed them last."""
        self._stopped: float | None = now
        self._is_current = False
        self.is_silent = False
        """True while the plugin owes an answer: nothing is taken from it until it speaks again."""

    def attach(self, endpoint: Endpoint) -> None:
        """Put a plugin that has registered into the place of the one before, whose devices stay until the new one lists its own.

        They stay healthy only if the one before had not ended.
        """
        self._is_current = self._is_current and self.is_connected
        self.endpoint, self._stopped, self.is_silent = endpoint, None, False

    def list(self, devices: Mapping[str, Device]) -> None:
        """Take over the plugin's list of its devices."""
        self.listed, self._is_current = devices, True

    def stop(self, now: float) -> None:
        """Note that the plugin has ended."""
        self._stopped = now

    @property
    def is_connected(self) -> bool:
        return self._stopped is None

    def is_expired(self, now: float) -> bool:
        """True if the plugin has been away for longer than the grace period."""
        return self._stopped is not None and now - self._stopped > GRACE

    def devices(self) -> dict[str, Device]:
        """Return the devices; those of a plugin that is away or silent are not healthy."""
        if self.is_connected and self._is_current and not self.is_silent:
            return dict(self.listed)
        return {ident: Device("Unhealthy", device.nodes) for ident, device in self.listed.items()}

    def healthy(self) -> set[str]:
        return {ident for ident, device in self.devices().items() if device.is_healthy}

    def health(self, ident: str) -> tuple[str, str]:
        """Return the health of a device as pods show it, with a sentence where there is more to say (KEP-4680)."""
        if not self.is_connected:
            return "Unknown", "the device plugin is not registered"
        if self.is_silent:
            return "Unknown", "the device plugin does not answer"
        if not self._is_current:
            return "Unknown", "the device plugin has not listed its devices yet"
        device = self.listed.get(ident)
        if device is None:
            return "Unknown", "the device plugin does not list the device"
        return ("Healthy", "") if device.is_healthy else ("Unhealthy", "")
