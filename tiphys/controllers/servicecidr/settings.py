"""Settings of the controller of Service IP ranges."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.settings.loop import LoopSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCIDRSettings(LoopSettings):
    """Delays of the removal of unused ranges."""

    grace: float = 10.0
    """Seconds after which every API server has observed the change."""
