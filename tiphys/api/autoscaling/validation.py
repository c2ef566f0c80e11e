"""Horizontal pod autoscalers, in the form in which they are stored (autoscaling/v2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.api.autoscaling import v2
from tiphys.api.core.pods.resources import container_resource_messages
from tiphys.api.machinery import quantity
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import path_segment
from tiphys.api.rules.basics import Errors, dns_label, non_negative, text

MAX_PERIOD_SECONDS = 1800
MAX_STABILIZATION_SECONDS = 3600
SELECT_POLICIES = ("Disabled", "Max", "Min")
POLICY_TYPES = ("Percent", "Pods")

SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
"""Types of metrics and their fields."""

_BOTH = "may not set both a target raw value and a target utilization"
_EITHER = "must set either a target raw value or a target utilization"
HPA = v2.HorizontalPodAutoscaler


def validate_autoscaler(obj: HPA) -> Errors:
    """Return the mistakes in an autoscaler whatever it was before."""
    errors: Errors = []
    spec = obj.spec
    if spec.maxReplicas == 0:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif spec.maxReplicas < 0:
        errors.append(invalid("spec.maxReplicas", spec.maxReplicas, "must be greater than or equal to 1"))
    if spec.minReplicas is not None and spec.maxReplicas < spec.minReplicas:
        errors.append(invalid("spec.maxReplicas", spec.maxReplicas, "must be greater than or equal to `minReplicas`"))
    _reference(errors, "spec.scaleTargetRef", spec.scaleTargetRef)
    for index, metric in enumerate(spec.metrics):
        _metric(errors, f"spec.metrics[{index}]", metric)
    if spec.minReplicas == 0 and not any(metric.type in ("Object", "External") for metric in spec.metrics):
        errors.append(forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas"))
    if spec.behavior is not None:
        _rules(errors, "spec.behavior.scaleUp", spec.behavior.scaleUp)
        _rules(errors, "spec.behavior.scaleDown", spec.behavior.scaleDown)
    return errors


def validate_autoscaler_change(new: HPA, old: HPA | None) -> Errors:
    """Return mistakes that an old object may keep: fewer replicas than one, and references without a group."""
    errors: Errors = []
    lowest = 0 if old is not None and old.spec.minReplicas == 0 else 1
    if new.spec.minReplicas is not None and new.spec.minReplicas < lowest:
        errors.append(invalid("spec.minReplicas", new.spec.minReplicas, f"must be greater than or equal to {lowest}"))
    target = new.spec.scaleTargetRef
    if old is None or (old.spec.scaleTargetRef.apiVersion, old.spec.scaleTargetRef.kind) != (target.apiVersion, target.kind):
        _api_version(errors, "spec.scaleTargetRef", target, groupless=target.kind == "ReplicationController")
    before: Errors = []
    for metric in () if old is None else old.spec.metrics:
        if metric.type == "Object" and metric.object is not None:
            _api_version(before, "", metric.object.describedObject, groupless=True)
    if not before:
        for index, metric in enumerate(new.spec.metrics):
            if metric.object is not None:
                _api_version(errors, f"spec.metrics[{index}].object.describedObject", metric.object.describedObject, groupless=True)
    return errors


def validate_autoscaler_status(obj: HPA) -> Errors:
    """Return the mistakes in the counts of a status."""
    errors: Errors = []
    non_negative(errors, "status.currentReplicas", obj.status.currentReplicas)
    non_negative(errors, "status.desiredReplicas", obj.status.desiredReplicas)
    return errors


def _reference(errors: Errors, path: str, reference: v2.CrossVersionObjectReference) -> None:
    for name, value in (("kind", reference.kind), ("name", reference.name)):
        if not value:
            errors.append(required(f"{path}.{name}"))
        elif wrong := path_segment(value):
            errors.append(invalid(f"{path}.{name}", value, wrong))


def _api_version(errors: Errors, path: str, reference: v2.CrossVersionObjectReference, *, groupless: bool) -> None:
    version = reference.apiVersion
    if version.count("/") > 1:
        errors.append(invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    elif not groupless and not version.rpartition("/")[0]:
        errors.append(invalid(f"{path}.apiVersion", version, "apiVersion must specify API group"))


def _metric(errors: Errors, path: str, metric: v2.MetricSpec) -> None:
    if not metric.type:
        errors.append(required(f"{path}.type", "must specify a metric source type"))
    expected = SOURCES.get(metric.type)
    if expected is None:
        errors.append(not_supported(f"{path}.type", metric.type, sorted(SOURCES)))
    held = [name for name in ("object", "external", "pods", "resource", "containerResource") if getattr(metric, name) is not None]
    if held:
        _SOURCE_RULES[held[0]](errors, f"{path}.{held[0]}", getattr(metric, held[0]))
    if expected is None:
        errors.append(not_supported(f"{path}.type", metric.type, sorted(SOURCES)))
    elif expected not in held:
        errors.append(required(f"{path}.{expected}", "must populate information for the given metric source"))
    if len(held) != 1:
        errors += [forbidden(f"{path}.{name}", "must populate the given metric source only") for name in held if name != expected]


def _object(errors: Errors, path: str, source: v2.ObjectMetricSource) -> None:
    _reference(errors, f"{path}.describedObject", source.describedObject)
    _identifier(errors, f"{path}.metric", source.metric)
    _target(errors, f"{path}.target", source.target)
    if source.target.value is None and source.target.averageValue is None:
        errors.append(required(f"{path}.target.averageValue", "must set either a target value or averageValue"))


def _external(errors: Errors, path: str, source: v2.ExternalMetricSource) -> None:
    _identifier(errors, f"{path}.metric", source.metric)
    _target(errors, f"{path}.target", source.target)
    both = "a target value for metric {} a per-pod target"
    if source.target.value is None and source.target.averageValue is None:
        errors.append(required(f"{path}.target.averageValue", f"must set either {both.format('or')}"))
    if source.target.value is not None and source.target.averageValue is not None:
        errors.append(forbidden(f"{path}.target.value", f"may not set both {both.format('and')}"))


def _pods(errors: Errors, path: str, source: v2.PodsMetricSource) -> None:
    _identifier(errors, f"{path}.metric", source.metric)
    _target(errors, f"{path}.target", source.target)
    if source.target.averageValue is None:
        errors.append(required(f"{path}.target.averageValue", "must specify a positive target averageValue"))


def _resource(errors: Errors, path: str, source: v2.ResourceMetricSource) -> None:
    if not source.name:
        errors.append(required(f"{path}.name", "must specify a resource name"))
    _use(errors, f"{path}.target", source.target)


def _container_resource(errors: Errors, path: str, source: v2.ContainerResourceMetricSource) -> None:
    if not source.name:
        errors.append(required(f"{path}.name", "must specify a resource name"))
    else:
        text(errors, f"{path}.name", source.name, container_resource_messages(source.name))
    if not source.container:
        errors.append(required(f"{path}.container", "must specify a container"))
    else:
        dns_label(errors, f"{path}.container", source.container)
    _use(errors, f"{path}.target", source.target)


_SOURCE_RULES: dict[str, Callable[[Errors, str, Any], None]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _use(errors: Errors, path: str, target: v2.MetricTarget) -> None:
    _target(errors, path, target)
    if target.averageUtilization is None and target.averageValue is None:
        errors.append(required(f"{path}.averageUtilization", _EITHER))
    if target.averageUtilization is not None and target.averageValue is not None:
        errors.append(forbidden(f"{path}.averageValue", _BOTH))


def _target(errors: Errors, path: str, target: v2.MetricTarget) -> None:
    if not target.type:
        errors.append(required(f"{path}.type", "must specify a metric target type"))
    if target.type not in ("Utilization", "Value", "AverageValue"):
        errors.append(invalid(f"{path}.type", target.type, "must be either Utilization, Value, or AverageValue"))
    _positive(errors, f"{path}.value", target.value)
    _positive(errors, f"{path}.averageValue", target.averageValue)
    if target.averageUtilization is not None and target.averageUtilization < 1:
        errors.append(invalid(f"{path}.averageUtilization", target.averageUtilization, "must be greater than 0"))


def _positive(errors: Errors, path: str, value: Quantity | None) -> None:
    if value is not None and quantity.parse(value) <= 0:
        errors.append(invalid(path, value, "must be positive"))


def _identifier(errors: Errors, path: str, metric: v2.MetricIdentifier) -> None:
    if not metric.name:
        errors.append(required(f"{path}.name", "must specify a metric name"))
    elif wrong := path_segment(metric.name):
        errors.append(invalid(f"{path}.name", metric.name, wrong))


def _rules(errors: Errors, path: str, rules: v2.HPAScalingRules | None) -> None:
    if rules is None:
        return
    window = rules.stabilizationWindowSeconds
    if window is not None and window < 0:
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"))
    if window is not None and window > MAX_STABILIZATION_SECONDS:
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, f"must be less than or equal to {MAX_STABILIZATION_SECONDS}"))
    if rules.selectPolicy is not None and rules.selectPolicy not in SELECT_POLICIES:
        errors.append(not_supported(f"{path}.selectPolicy", rules.selectPolicy, SELECT_POLICIES))
    if not rules.policies:
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.policies):
        _policy(errors, f"{path}.policies[{index}]", policy)
    if rules.tolerance is not None and quantity.parse(rules.tolerance) < 0:
        errors.append(invalid(f"{path}.tolerance", rules.tolerance, "must be greater than or equal to 0"))


def _policy(errors: Errors, path: str, policy: v2.HPAScalingPolicy) -> None:
    if policy.type not in POLICY_TYPES:
        errors.append(not_supported(f"{path}.type", policy.type, POLICY_TYPES))
    if policy.value <= 0:
        errors.append(invalid(f"{path}.value", policy.value, "must be greater than zero"))
    if policy.periodSeconds <= 0:
        errors.append(invalid(f"{path}.periodSeconds", policy.periodSeconds, "must be greater than zero"))
    if policy.periodSeconds > MAX_PERIOD_SECONDS:
        errors.append(invalid(f"{path}.periodSeconds", policy.periodSeconds, f"must be less than or equal to {MAX_PERIOD_SECONDS}"))
