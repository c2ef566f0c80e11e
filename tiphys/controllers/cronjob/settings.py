"""Settings of the CronJob loop."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.settings.loop import LoopSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJobSettings(LoopSettings):
    """Settings of the CronJob loop."""

    time_zone: str = ""
    """Time zone of schedules that name none, such as `Europe/Berlin`; empty for the machine's (`TZ`, /etc/localtime)."""
