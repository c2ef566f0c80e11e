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
from tiphys.api.core.workloads import not_more_than_all, template
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, immutable, label_selector, non_negative


def replicated(errors: Errors, spec: DeploymentSpec | ReplicaSetSpec) -> None:
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


def selector_kept(new: Deployment | ReplicaSet, old: Deployment | ReplicaSet) -> Errors:
    """A selector never changes: the pods it selected would be orphans."""
    errors: Errors = []
    immutable(errors, "spec.selector", new.spec.selector, old.spec.selector)
    return errors


def ready_and_available(errors: Errors, status: DeploymentStatus | ReplicaSetStatus) -> None:
    not_more_than_all(errors, status, ("readyReplicas", "availableReplicas"))
    if status.availableReplicas > status.readyReplicas:
        errors.append(invalid("status.availableReplicas", status.availableReplicas, "cannot be greater than readyReplicas"))


def collisions(errors: Errors, new: StatefulSetStatus | DaemonSetStatus, old: StatefulSetStatus | DaemonSetStatus) -> None:
    if (new.collisionCount or 0) < (old.collisionCount or 0):
        errors.append(invalid("status.collisionCount", new.collisionCount or 0, "cannot be decremented"))
