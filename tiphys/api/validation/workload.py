"""Validation of workloads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tiphys.api.apps.v1 import (
    ControllerRevision,
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
)
from tiphys.api.core.v1 import PodTemplate, PodTemplateSpec
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import percent
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, at_most_100_percent, immutable, int_or_percent, label_selector, non_negative
from tiphys.api.validation import pod
from tiphys.api.validation.internal import internal


def validate_deployment(deployment: Deployment) -> Errors:
    errors: Errors = []
    spec = deployment.spec
    _replicated(errors, spec)
    _strategy(errors, "spec.strategy", spec.strategy)
    non_negative(errors, "spec.minReadySeconds", spec.minReadySeconds)
    non_negative(errors, "spec.revisionHistoryLimit", spec.revisionHistoryLimit)
    if spec.progressDeadlineSeconds is not None:
        non_negative(errors, "spec.progressDeadlineSeconds", spec.progressDeadlineSeconds)
        if spec.progressDeadlineSeconds <= spec.minReadySeconds:
            said = "must be greater than minReadySeconds"
            errors.append(invalid("spec.progressDeadlineSeconds", spec.progressDeadlineSeconds, said))
    return errors


def validate_replica_set(replica_set: ReplicaSet) -> Errors:
    errors: Errors = []
    _replicated(errors, replica_set.spec)
    non_negative(errors, "spec.minReadySeconds", replica_set.spec.minReadySeconds)
    return errors


def _replicated(errors: Errors, spec: DeploymentSpec | ReplicaSetSpec) -> None:
    """Replicas, selector and template, and that the selector selects the template's pods."""
    non_negative(errors, "spec.replicas", spec.replicas)
    selector_required(errors, "spec.selector", spec.selector)
    try:
        selector = from_label_selector(spec.selector)
    except SelectorError:
        errors.append(invalid("spec.selector", spec.selector, "invalid label selector"))
        return
    if not selector.empty and not selector.matches(spec.template.metadata.labels):
        said = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", internal(spec.template.metadata.labels), said))
    template(errors, "spec.template", spec.template)


def selector_required(errors: Errors, path: str, selector: LabelSelector | None) -> None:
    """A selector that says something."""
    if selector is None:
        errors.append(required(path))
        return
    label_selector(errors, path, selector)
    if not selector.matchLabels and not selector.matchExpressions:
        errors.append(invalid(path, selector, "empty selector is invalid for deployment"))


def template(errors: Errors, path: str, value: PodTemplateSpec) -> None:
    """The template of pods that are to run for ever."""
    pod.template(errors, path, value)
    runs_for_ever(errors, path, value, "ReplicaSet")


def runs_for_ever(errors: Errors, path: str, value: PodTemplateSpec, kind: str) -> None:
    """Pods of this kind of workload are always restarted and have no deadline."""
    if value.spec.restartPolicy != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", value.spec.restartPolicy, ("Always",)))
    if value.spec.activeDeadlineSeconds is not None:
        errors.append(forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"))


def _strategy(errors: Errors, path: str, strategy: DeploymentStrategy) -> None:
    rolling = strategy.rollingUpdate
    if strategy.type == "Recreate":
        if rolling is not None:
            said = "may not be specified when strategy `type` is 'Recreate'"
            errors.append(forbidden(f"{path}.rollingUpdate", said))
    elif strategy.type != "RollingUpdate":
        errors.append(not_supported(path, strategy, ("Recreate", "RollingUpdate")))
    elif rolling is None:
        errors.append(required(f"{path}.rollingUpdate", "this should be defaulted and never be nil"))
    else:
        path = f"{path}.rollingUpdate"
        int_or_percent(errors, f"{path}.maxUnavailable", rolling.maxUnavailable)
        int_or_percent(errors, f"{path}.maxSurge", rolling.maxSurge)
        if _is_zero(rolling.maxUnavailable) and _is_zero(rolling.maxSurge):
            said = "may not be 0 when `maxSurge` is 0"
            errors.append(invalid(f"{path}.maxUnavailable", rolling.maxUnavailable, said))
        at_most_100_percent(errors, f"{path}.maxUnavailable", rolling.maxUnavailable)


def _is_zero(value: int | str | None) -> bool:
    if isinstance(value, str):
        return not percent(value) and int(value[:-1]) == 0
    return not value


def selector_kept(new: Deployment | ReplicaSet, old: Deployment | ReplicaSet) -> Errors:
    """A selector never changes: the pods it selected would be orphans."""
    errors: Errors = []
    immutable(errors, "spec.selector", new.spec.selector, old.spec.selector)
    return errors


def validate_deployment_status(new: DeploymentStatus, old: DeploymentStatus) -> Errors:
    errors: Errors = []
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    for name in ("observedGeneration", *counts, "terminatingReplicas", "collisionCount"):
        non_negative(errors, f"status.{name}", getattr(new, name))
    not_more_than_all(errors, new, ("updatedReplicas",))
    _ready_and_available(errors, new)
    if (new.collisionCount or 0) < (old.collisionCount or 0):
        errors.append(invalid("status.collisionCount", new.collisionCount or 0, "cannot be decremented"))
    return errors


def validate_replica_set_status(status: ReplicaSetStatus) -> Errors:
    errors: Errors = []
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    for name in (*counts, "observedGeneration", "terminatingReplicas"):
        non_negative(errors, f"status.{name}", getattr(status, name))
    not_more_than_all(errors, status, ("fullyLabeledReplicas",))
    _ready_and_available(errors, status)
    return errors


def _ready_and_available(errors: Errors, status: DeploymentStatus | ReplicaSetStatus) -> None:
    not_more_than_all(errors, status, ("readyReplicas", "availableReplicas"))
    if status.availableReplicas > status.readyReplicas:
        errors.append(invalid("status.availableReplicas", status.availableReplicas, "cannot be greater than readyReplicas"))


class _Counted(Protocol):
    replicas: int


def not_more_than_all(errors: Errors, status: _Counted, names: Iterable[str]) -> None:
    """Each of the counts is of pods that `replicas` counts too."""
    for name in names:
        count: int = getattr(status, name)
        if count > status.replicas:
            errors.append(invalid(f"status.{name}", count, "cannot be greater than status.replicas"))


def validate_pod_template(value: PodTemplate) -> Errors:
    errors: Errors = []
    pod.template(errors, "template", value.template)
    return errors


def validate_controller_revision(value: ControllerRevision) -> Errors:
    errors: Errors = []
    non_negative(errors, "revision", value.revision)
    if not value.data:
        errors.append(required("data", "data is mandatory"))
    elif not isinstance(value.data, dict):
        errors.append(required("data", "data must be a valid JSON object"))
    return errors


def revision_kept(new: ControllerRevision, old: ControllerRevision) -> Errors:
    errors: Errors = []
    immutable(errors, "data", new.data, old.data)
    return errors
