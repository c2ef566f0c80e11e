"""ReplicationController: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.internal import internal
from tiphys.api.core.pods import validation
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.kind import workload_warnings
from tiphys.api.core.v1 import Container, ReplicationController, ReplicationControllerStatus
from tiphys.api.core.workloads import REPLICAS, always_restarted, at_most_replicas, images_of, names_of
from tiphys.api.machinery.columns import cell, format_labels
from tiphys.api.machinery.errors import FieldError, invalid, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.subresources import SCALE, STATUS
from tiphys.api.rules.basics import Errors, non_negative


def default_replication_controller(controller: ReplicationController) -> None:
    """Default labels and selector to the labels of the template."""
    spec, template = controller.spec, controller.spec.template
    if template is not None:
        default_pod_spec(template.spec)
        if template.metadata.labels:
            spec.selector = spec.selector or dict(template.metadata.labels)
            controller.metadata.labels = controller.metadata.labels or dict(template.metadata.labels)
    if spec.replicas is None:
        spec.replicas = 1


def validate_replication_controller(controller: ReplicationController) -> Errors:
    """Return the mistakes in a replication controller ("ReplicationController")."""
    errors: Errors = []
    spec = controller.spec
    non_negative(errors, "spec.minReadySeconds", spec.minReadySeconds)
    if not spec.selector:
        errors.append(required("spec.selector"))
    non_negative(errors, "spec.replicas", spec.replicas)
    if spec.template is None:
        errors.append(required("spec.template"))
        return errors
    labels = spec.template.metadata.labels
    if not spec.selector.items() <= labels.items():
        errors.append(invalid("spec.template.metadata.labels", internal(labels), "`selector` does not match template `labels`"))
    validation.template(errors, "spec.template", spec.template)
    always_restarted(errors, "spec.template", spec.template, "ReplicationController")
    return errors


def validate_replication_controller_status(status: ReplicationControllerStatus) -> Errors:
    """Return the mistakes in the counts of a status."""
    errors: Errors = []
    for name in ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"):
        non_negative(errors, f"status.{name}", getattr(status, name))
    at_most_replicas(errors, status, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))
    if status.availableReplicas > status.readyReplicas:
        errors.append(invalid("status.availableReplicas", status.availableReplicas, "cannot be greater than readyReplicas"))
    return errors


class ReplicationControllerRules(Rules[ReplicationController]):
    orphans_dependents = True
    judges_prefix = False

    default = staticmethod(default_replication_controller)
    validate = staticmethod(validate_replication_controller)

    def validate_status_update(self, new: ReplicationController, old: ReplicationController) -> list[FieldError]:
        return validate_replication_controller_status(new.status)

    def warnings(self, obj: ReplicationController, old: ReplicationController | None) -> list[str]:
        changed = old is not None and obj.spec != old.spec
        return workload_warnings(obj.metadata.name, obj.spec.template, new=old is None, changed=changed)


def _containers(controller: ReplicationController) -> list[Container]:
    return controller.spec.template.spec.containers if controller.spec.template is not None else []


COLUMNS = (
    *REPLICAS,
    Column("Containers", cell(lambda obj: names_of(_containers(obj))), priority=1, description="Names of the containers."),
    Column("Images", cell(lambda obj: images_of(_containers(obj))), priority=1, description="Images of the containers."),
    Column("Selector", cell(lambda obj: format_labels(obj.spec.selector)), priority=1, description="The labels of its pods."),
)

REPLICATION_CONTROLLERS: Kind[core.ReplicationController] = Kind(
    type=core.ReplicationController,
    plural="replicationcontrollers",
    rules=ReplicationControllerRules(),
    columns=COLUMNS,
    short_names=("rc",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    selectable={"status.replicas": lambda controller: str(controller.status.replicas)},
)
