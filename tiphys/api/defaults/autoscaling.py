"""Defaults of horizontal pod autoscalers."""

from __future__ import annotations

from tiphys.api.autoscaling import v2
from tiphys.api.autoscaling.conversion import DEFAULT_CPU_UTILIZATION, cpu_metric

PERIOD_SECONDS = 15


def default_autoscaler(obj: v2.HorizontalPodAutoscaler) -> None:
    """One replica at least, the use of the CPU as the target, and all of a behaviour that is given in part."""
    spec = obj.spec
    if spec.minReplicas is None:
        spec.minReplicas = 1
    if not spec.metrics:
        spec.metrics = [cpu_metric(DEFAULT_CPU_UTILIZATION)]
    if spec.behavior is not None:
        spec.behavior.scaleUp = spec.behavior.scaleUp or v2.HPAScalingRules()
        spec.behavior.scaleDown = spec.behavior.scaleDown or v2.HPAScalingRules()
        _complete(spec.behavior.scaleUp, 0, [_policy("Pods", 4), _policy("Percent", 100)])
        _complete(spec.behavior.scaleDown, None, [_policy("Percent", 100)])


def _policy(type_: str, value: int) -> v2.HPAScalingPolicy:
    return v2.HPAScalingPolicy(type=type_, value=value, periodSeconds=PERIOD_SECONDS)


def _complete(rules: v2.HPAScalingRules, window: int | None, policies: list[v2.HPAScalingPolicy]) -> None:
    if rules.selectPolicy is None:
        rules.selectPolicy = "Max"
    if rules.stabilizationWindowSeconds is None:
        rules.stabilizationWindowSeconds = window
    if not rules.policies:
        rules.policies = policies
