"""Deployment: defaults, validation, columns and registration."""

from __future__ import annotations

from types import MappingProxyType

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.shared import validate_ready_counts, validate_replica_spec, validate_selector_update
from tiphys.api.apps.v1 import Deployment, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.kind import workload_warnings
from tiphys.api.core.workloads import TEMPLATE, at_most_replicas
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import percent
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.subresources import SCALE, STATUS
from tiphys.api.rules.basics import Errors, at_most_100_percent, int_or_percent, non_negative


def default_deployment(deployment: Deployment) -> None:
    """Run one replica, roll by 25%, keep ten revisions and give up after ten minutes ("Deployments")."""
    spec = deployment.spec
    default_pod_spec(spec.template.spec)
    if spec.replicas is None:
        spec.replicas = 1
    strategy = spec.strategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rollingUpdate = strategy.rollingUpdate or RollingUpdateDeployment()
        if rolling.maxUnavailable is None:
            rolling.maxUnavailable = "25%"
        if rolling.maxSurge is None:
            rolling.maxSurge = "25%"
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10
    if spec.progressDeadlineSeconds is None:
        spec.progressDeadlineSeconds = 600


def validate_deployment(deployment: Deployment) -> Errors:
    """Return the mistakes in a deployment ("Deployments: Writing a Deployment Spec")."""
    errors: Errors = []
    spec = deployment.spec
    validate_replica_spec(errors, spec)
    _strategy(errors, "spec.strategy", spec.strategy)
    non_negative(errors, "spec.minReadySeconds", spec.minReadySeconds)
    non_negative(errors, "spec.revisionHistoryLimit", spec.revisionHistoryLimit)
    if spec.progressDeadlineSeconds is not None:
        non_negative(errors, "spec.progressDeadlineSeconds", spec.progressDeadlineSeconds)
        if spec.progressDeadlineSeconds <= spec.minReadySeconds:
            message = "must be greater than minReadySeconds"
            errors.append(invalid("spec.progressDeadlineSeconds", spec.progressDeadlineSeconds, message))
    return errors


def _strategy(errors: Errors, path: str, strategy: DeploymentStrategy) -> None:
    rolling = strategy.rollingUpdate
    if strategy.type == "Recreate":
        if rolling is not None:
            message = "may not be specified when strategy `type` is 'Recreate'"
            errors.append(forbidden(f"{path}.rollingUpdate", message))
    elif strategy.type != "RollingUpdate":
        errors.append(not_supported(path, strategy, ("Recreate", "RollingUpdate")))
    elif rolling is None:
        errors.append(required(f"{path}.rollingUpdate", "this should be defaulted and never be nil"))
    else:
        path = f"{path}.rollingUpdate"
        int_or_percent(errors, f"{path}.maxUnavailable", rolling.maxUnavailable)
        int_or_percent(errors, f"{path}.maxSurge", rolling.maxSurge)
        if _is_zero(rolling.maxUnavailable) and _is_zero(rolling.maxSurge):
            message = "may not be 0 when `maxSurge` is 0"
            errors.append(invalid(f"{path}.maxUnavailable", rolling.maxUnavailable, message))
        at_most_100_percent(errors, f"{path}.maxUnavailable", rolling.maxUnavailable)


def _is_zero(value: int | str | None) -> bool:
    if isinstance(value, str):
        return not percent(value) and int(value[:-1]) == 0
    return not value


def validate_deployment_status(new: DeploymentStatus, old: DeploymentStatus) -> Errors:
    """Return the mistakes in the counts of a status."""
    errors: Errors = []
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    for name in ("observedGeneration", *counts, "terminatingReplicas", "collisionCount"):
        non_negative(errors, f"status.{name}", getattr(new, name))
    at_most_replicas(errors, new, ("updatedReplicas",))
    validate_ready_counts(errors, new)
    if (new.collisionCount or 0) < (old.collisionCount or 0):
        errors.append(invalid("status.collisionCount", new.collisionCount or 0, "cannot be decremented"))
    return errors


class DeploymentRules(Rules[Deployment]):
    resets = MappingProxyType({"": (("status",),), "status": (("spec",), ("metadata", "labels"))})

    default = staticmethod(default_deployment)
    validate = staticmethod(validate_deployment)

    def warnings(self, obj: Deployment, old: Deployment | None) -> list[str]:
        changed = old is not None and obj.spec != old.spec
        return workload_warnings(obj.metadata.name, obj.spec.template, new=old is None, changed=changed)

    validate_update = staticmethod(validate_selector_update)

    def validate_status_update(self, new: Deployment, old: Deployment) -> list[FieldError]:
        return validate_deployment_status(new.status, old.status)

    def prepare_status_update(self, new: Deployment, old: Deployment) -> None:
        new.metadata.labels = old.metadata.labels

    def spec_changed(self, new: Deployment, old: Deployment) -> bool:
        """Annotations count: they are copied to the replica sets."""
        return new.spec != old.spec or new.metadata.annotations != old.metadata.annotations


COLUMNS = (
    NAME,
    Column("Ready", cell(lambda obj: f"{obj.status.readyReplicas}/{obj.spec.replicas or 0}"), description="Ready pods, of how many."),
    Column("Up-to-date", cell(lambda obj: obj.status.updatedReplicas), description="Pods of the current template."),
    Column("Available", cell(lambda obj: obj.status.availableReplicas), description="Pods that have been ready long enough."),
    AGE,
    *TEMPLATE,
)

DEPLOYMENTS: Kind[apps.Deployment] = Kind(
    type=apps.Deployment,
    plural="deployments",
    rules=DeploymentRules(),
    columns=COLUMNS,
    group="apps",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)
