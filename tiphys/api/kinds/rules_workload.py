"""The rules of stateful sets, daemon sets and replication controllers."""

from __future__ import annotations

from tiphys.api.apps.v1 import DaemonSet, StatefulSet
from tiphys.api.core.v1 import ReplicationController
from tiphys.api.defaults.workload import default_daemon_set, default_replication_controller, default_stateful_set
from tiphys.api.kinds.rules_pod import workload_warnings
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import dns_label
from tiphys.api.machinery.scheme import Rules
from tiphys.api.validation import sets
from tiphys.api.validation.pod_warnings import template_warnings

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""Annotation: how often the template of a DaemonSet has changed. It was a field of older versions, and clients still read it."""


class StatefulSetRules(Rules[StatefulSet]):
    def default(self, obj: StatefulSet) -> None:
        default_stateful_set(obj)

    def prepare_create(self, obj: StatefulSet) -> None:
        rolling = obj.spec.updateStrategy.rollingUpdate
        if rolling is not None:
            rolling.maxUnavailable = None  # Off in this version ("MaxUnavailableStatefulSet").

    def prepare_update(self, new: StatefulSet, old: StatefulSet) -> None:
        before, after = old.spec.updateStrategy.rollingUpdate, new.spec.updateStrategy.rollingUpdate
        if after is not None and (before is None or before.maxUnavailable is None):
            after.maxUnavailable = None

    def validate(self, obj: StatefulSet) -> list[FieldError]:
        return sets.validate_stateful_set(obj)

    def validate_create(self, obj: StatefulSet) -> list[FieldError]:
        return sets.validate_stateful_set_create(obj)

    def validate_update(self, new: StatefulSet, old: StatefulSet) -> list[FieldError]:
        return sets.validate_stateful_set_update(new, old)

    def validate_status_update(self, new: StatefulSet, old: StatefulSet) -> list[FieldError]:
        return sets.validate_stateful_set_status(new.status, old.status)

    def validate_name(self, name: str) -> str:
        return dns_label(name)

    def warnings(self, obj: StatefulSet, old: StatefulSet | None) -> list[str]:
        said = template_warnings("spec.template", obj.spec.template) if old is None or obj.spec != old.spec else []
        if (obj.spec.revisionHistoryLimit or 0) < 0:
            said.append("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
        return said


class DaemonSetRules(Rules[DaemonSet]):
    def default(self, obj: DaemonSet) -> None:
        default_daemon_set(obj)
        obj.metadata.annotations.setdefault(TEMPLATE_GENERATION, "0")  # The field of older versions, which its author owns.

    def prepare_create(self, obj: DaemonSet) -> None:
        said = obj.metadata.annotations.get(TEMPLATE_GENERATION, "")
        if not (said.isascii() and said.isdigit() and int(said) > 0):
            obj.metadata.annotations[TEMPLATE_GENERATION] = "1"

    def prepare_update(self, new: DaemonSet, old: DaemonSet) -> None:
        count = int(old.metadata.annotations.get(TEMPLATE_GENERATION, "1"))
        changed = new.spec.template != old.spec.template
        new.metadata.annotations[TEMPLATE_GENERATION] = str(count + changed)

    def prepare_status_update(self, new: DaemonSet, old: DaemonSet) -> None:
        if TEMPLATE_GENERATION in old.metadata.annotations:
            new.metadata.annotations[TEMPLATE_GENERATION] = old.metadata.annotations[TEMPLATE_GENERATION]

    def validate(self, obj: DaemonSet) -> list[FieldError]:
        return sets.validate_daemon_set(obj)

    def warnings(self, obj: DaemonSet, old: DaemonSet | None) -> list[str]:
        changed = old is None or obj.spec.template != old.spec.template
        return template_warnings("spec.template", obj.spec.template) if changed else []

    def validate_update(self, new: DaemonSet, old: DaemonSet) -> list[FieldError]:
        return sets.validate_daemon_set_update(new, old)

    def validate_status_update(self, new: DaemonSet, old: DaemonSet) -> list[FieldError]:
        return sets.validate_daemon_set_status(new.status, old.status)


class ReplicationControllerRules(Rules[ReplicationController]):
    orphans_dependents = True
    judges_prefix = False

    def default(self, obj: ReplicationController) -> None:
        default_replication_controller(obj)

    def validate(self, obj: ReplicationController) -> list[FieldError]:
        return sets.validate_replication_controller(obj)

    def validate_status_update(self, new: ReplicationController, old: ReplicationController) -> list[FieldError]:
        return sets.validate_replication_controller_status(new.status)

    def warnings(self, obj: ReplicationController, old: ReplicationController | None) -> list[str]:
        changed = old is not None and obj.spec != old.spec
        return workload_warnings(obj.metadata.name, obj.spec.template, new=old is None, changed=changed)
