"""Settings of horizontal pod autoscaling, under the names of kube-controller-manager's options."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.runtime import LoopSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalingSettings(LoopSettings):
    """Periods in seconds, and the tolerance as a share."""

    sync_period: float = 15.0
    """Time between two looks at an autoscaler's metrics."""
    downscale_stabilization: float = 300.0
    """Time for which the highest recommendation holds before replicas go, unless the autoscaler's behavior says otherwise."""
    cpu_initialization_period: float = 300.0
    """Time after the start of a pod in which its CPU counts only while it is ready."""
    initial_readiness_delay: float = 30.0
    """Time after the start of a pod in which becoming unready counts as never having been ready."""
    tolerance: float = 0.1
    """Distance of a metric from its target, as a share of it, at which nothing is done."""
