"""ReplicaSet: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.shared import validate_ready_counts, validate_replica_spec, validate_selector_update
from tiphys.api.apps.v1 import ReplicaSet, ReplicaSetStatus
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.kind import workload_warnings
from tiphys.api.core.workloads import REPLICAS, TEMPLATE, at_most_replicas
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import Kind, Rules
from tiphys.api.machinery.subresources import SCALE, STATUS
from tiphys.api.rules.basics import Errors, non_negative


def default_replica_set(replica_set: ReplicaSet) -> None:
    """Run one replica ("ReplicaSet")."""
    default_pod_spec(replica_set.spec.template.spec)
    if replica_set.spec.replicas is None:
        replica_set.spec.replicas = 1


def validate_replica_set(replica_set: ReplicaSet) -> Errors:
    """Return the mistakes in a replica set ("ReplicaSet: Writing a ReplicaSet manifest")."""
    errors: Errors = []
    validate_replica_spec(errors, replica_set.spec)
    non_negative(errors, "spec.minReadySeconds", replica_set.spec.minReadySeconds)
    return errors


def validate_replica_set_status(status: ReplicaSetStatus) -> Errors:
    """Return the mistakes in the counts of a status."""
    errors: Errors = []
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    for name in (*counts, "observedGeneration", "terminatingReplicas"):
        non_negative(errors, f"status.{name}", getattr(status, name))
    at_most_replicas(errors, status, ("fullyLabeledReplicas",))
    validate_ready_counts(errors, status)
    return errors


class ReplicaSetRules(Rules[ReplicaSet]):
    default = staticmethod(default_replica_set)
    validate = staticmethod(validate_replica_set)

    def warnings(self, obj: ReplicaSet, old: ReplicaSet | None) -> list[str]:
        changed = old is not None and obj.spec != old.spec
        return workload_warnings(obj.metadata.name, obj.spec.template, new=old is None, changed=changed)

    validate_update = staticmethod(validate_selector_update)

    def validate_status_update(self, new: ReplicaSet, old: ReplicaSet) -> list[FieldError]:
        return validate_replica_set_status(new.status)


COLUMNS = (*REPLICAS, *TEMPLATE)

REPLICA_SETS: Kind[apps.ReplicaSet] = Kind(
    type=apps.ReplicaSet,
    plural="replicasets",
    rules=ReplicaSetRules(),
    columns=COLUMNS,
    group="apps",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, STATUS),
    selectable={"status.replicas": lambda replica_set: str(replica_set.status.replicas)},
)
