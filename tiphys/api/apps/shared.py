"""Rules that the workloads of `apps` share."""

from __future__ import annotations

from tiphys.api.apps.v1 import (
    DaemonSetStatus,
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    StatefulSetStatus,
)
from tiphys.api.core.internal import internal
from tiphys.api.core.workloads import at_most_replicas, workload_template
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.names import percent
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, immutable, label_selector, non_negative


def validate_replica_spec(errors: Errors, spec: DeploymentSpec | ReplicaSetSpec) -> None:
    """Replicas, selector and template, and that the selector selects the template's pods."""
    non_negative(errors, "spec.replicas", spec.replicas)
    selector_required(errors, "spec.selector", spec.selector)
    try:
        selector = from_label_selector(spec.selector)
    except SelectorError:
        errors.append(invalid("spec.selector", spec.selector, "invalid label selector"))
        return
    if not selector.empty and not selector.matches(spec.template.metadata.labels):
        message = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", internal(spec.template.metadata.labels), message))
    workload_template(errors, "spec.template", spec.template)


def selector_required(errors: Errors, path: str, selector: LabelSelector | None) -> None:
    """A selector that says something."""
    if selector is None:
        errors.append(required(path))
        return
    label_selector(errors, path, selector)
    if not selector.matchLabels and not selector.matchExpressions:
        errors.append(invalid(path, selector, "empty selector is invalid for deployment"))


def validate_selector_update(new: Deployment | ReplicaSet, old: Deployment | ReplicaSet) -> Errors:
    """A selector never changes: the pods it selected would be orphans."""
    errors: Errors = []
    immutable(errors, "spec.selector", new.spec.selector, old.spec.selector)
    return errors


def validate_ready_counts(errors: Errors, status: DeploymentStatus | ReplicaSetStatus) -> None:
    """Available pods are ready, and ready pods are replicas."""
    at_most_replicas(errors, status, ("readyReplicas", "availableReplicas"))
    if status.availableReplicas > status.readyReplicas:
        errors.append(invalid("status.availableReplicas", status.availableReplicas, "cannot be greater than readyReplicas"))


def validate_collision_count(errors: Errors, new: StatefulSetStatus | DaemonSetStatus, old: StatefulSetStatus | DaemonSetStatus) -> None:
    """The count of hash collisions only grows."""
    if (new.collisionCount or 0) < (old.collisionCount or 0):
        errors.append(invalid("status.collisionCount", new.collisionCount or 0, "cannot be decremented"))


def is_nonzero(value: int | str | None) -> bool:
    """True if it is a number or a percentage other than 0."""
    if isinstance(value, str):
        return not percent(value) and int(value[:-1]) != 0
    return bool(value)
