"""Settings of horizontal pod autoscaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tiphys.settings.loop import LoopSettings
from tiphys.settings.option import Option


def _duration(flag: str, text: str) -> Option:
    return Option(f"--horizontal-pod-autoscaler-{flag}", text, metavar="DURATION", is_duration=True, minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalingSettings(LoopSettings):
    """Periods in seconds, and the tolerance as a share."""

    sync_period: Annotated[float, _duration("sync-period", "Time between two looks at an autoscaler's metrics.")] = 15.0
    downscale_stabilization: Annotated[
        float, _duration("downscale-stabilization", "Time for which the highest recommendation holds before replicas go.")
    ] = 300.0
    """Autoscalers whose behavior has a window of its own follow that."""
    cpu_initialization_period: Annotated[
        float, _duration("cpu-initialization-period", "Time after the start of a pod in which its CPU counts only while it is ready.")
    ] = 300.0
    initial_readiness_delay: Annotated[
        float,
        _duration("initial-readiness-delay", "Time after the start of a pod in which becoming unready counts as never having been ready."),
    ] = 30.0
    tolerance: Annotated[
        float,
        Option("--horizontal-pod-autoscaler-tolerance", "Share of its target by which a metric may differ from it without scaling."),
    ] = 0.1
