"""The rules of the other groups."""

from __future__ import annotations

from types import MappingProxyType

from tiphys.api.apps.v1 import ControllerRevision, Deployment, ReplicaSet
from tiphys.api.coordination.v1 import Lease
from tiphys.api.defaults.other import default_binding, default_priority_class
from tiphys.api.defaults.service import default_endpoint_slice
from tiphys.api.defaults.workload import default_deployment, default_replica_set
from tiphys.api.discovery.v1 import EndpointSlice
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.kinds.rules_pod import workload_warnings
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import Rules
from tiphys.api.policy.v1 import PodDisruptionBudget
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from tiphys.api.rules.addresses import ip_warnings
from tiphys.api.scheduling.v1 import PriorityClass
from tiphys.api.validation import other, service, workload

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OWN_SLICES = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")


class DeploymentRules(Rules[Deployment]):
    resets = MappingProxyType({"": (("status",),), "status": (("spec",), ("metadata", "labels"))})

    def default(self, obj: Deployment) -> None:
        default_deployment(obj)

    def validate(self, obj: Deployment) -> list[FieldError]:
        return workload.validate_deployment(obj)

    def warnings(self, obj: Deployment, old: Deployment | None) -> list[str]:
        changed = old is not None and obj.spec != old.spec
        return workload_warnings(obj.metadata.name, obj.spec.template, new=old is None, changed=changed)

    def validate_update(self, new: Deployment, old: Deployment) -> list[FieldError]:
        return workload.selector_kept(new, old)

    def validate_status_update(self, new: Deployment, old: Deployment) -> list[FieldError]:
        return workload.validate_deployment_status(new.status, old.status)

    def prepare_status_update(self, new: Deployment, old: Deployment) -> None:
        new.metadata.labels = old.metadata.labels

    def spec_changed(self, new: Deployment, old: Deployment) -> bool:
        """Annotations count: they are copied to the replica sets."""
        return new.spec != old.spec or new.metadata.annotations != old.metadata.annotations


class ReplicaSetRules(Rules[ReplicaSet]):
    def default(self, obj: ReplicaSet) -> None:
        default_replica_set(obj)

    def validate(self, obj: ReplicaSet) -> list[FieldError]:
        return workload.validate_replica_set(obj)

    def warnings(self, obj: ReplicaSet, old: ReplicaSet | None) -> list[str]:
        changed = old is not None and obj.spec != old.spec
        return workload_warnings(obj.metadata.name, obj.spec.template, new=old is None, changed=changed)

    def validate_update(self, new: ReplicaSet, old: ReplicaSet) -> list[FieldError]:
        return workload.selector_kept(new, old)

    def validate_status_update(self, new: ReplicaSet, old: ReplicaSet) -> list[FieldError]:
        return workload.validate_replica_set_status(new.status)


class ControllerRevisionRules(Rules[ControllerRevision]):
    def validate(self, obj: ControllerRevision) -> list[FieldError]:
        return workload.validate_controller_revision(obj)

    def validate_update(self, new: ControllerRevision, old: ControllerRevision) -> list[FieldError]:
        return workload.revision_kept(new, old)


class EndpointSliceRules(Rules[EndpointSlice]):
    def default(self, obj: EndpointSlice) -> None:
        default_endpoint_slice(obj)

    def prepare_create(self, obj: EndpointSlice) -> None:
        obj.metadata.generation = 1
        self._forget_topology(obj)

    def prepare_update(self, new: EndpointSlice, old: EndpointSlice) -> None:
        if new.endpoints != old.endpoints:
            self._forget_topology(new)

    @staticmethod
    def _forget_topology(obj: EndpointSlice) -> None:
        """A field of former versions, which v1 shows but does not take."""
        for endpoint in obj.endpoints or []:
            endpoint.deprecatedTopology = {}

    def warnings(self, obj: EndpointSlice, old: EndpointSlice | None) -> list[str]:
        found = ["spec.addressType: FQDN endpoints are deprecated"] if old is None and obj.addressType == "FQDN" else []
        if obj.metadata.labels.get(MANAGED_BY) in _OWN_SLICES or obj.addressType == "FQDN":
            return found
        for index, endpoint in enumerate(obj.endpoints or []):
            for number, address in enumerate(endpoint.addresses):
                found += ip_warnings(f"endpoints[{index}].addresses[{number}]", address)
        return found

    def validate(self, obj: EndpointSlice) -> list[FieldError]:
        return service.validate_endpoint_slice(obj)

    def validate_update(self, new: EndpointSlice, old: EndpointSlice) -> list[FieldError]:
        return service.validate_endpoint_slice_update(new, old)

    def spec_changed(self, new: EndpointSlice, old: EndpointSlice) -> bool:
        return (new.endpoints, new.ports, new.addressType, new.metadata.labels) != (
            old.endpoints,
            old.ports,
            old.addressType,
            old.metadata.labels,
        )


class _Named:
    """Roles and bindings may have any name that a URL can hold."""

    def validate_name(self, name: str) -> str:
        return path_segment(name)


class RoleRules(_Named, Rules[Role]):
    create_on_update = True

    def validate(self, obj: Role) -> list[FieldError]:
        return other.validate_role(obj)


class ClusterRoleRules(_Named, Rules[ClusterRole]):
    create_on_update = True

    def validate(self, obj: ClusterRole) -> list[FieldError]:
        return other.validate_role(obj)


class RoleBindingRules(_Named, Rules[RoleBinding]):
    create_on_update = True

    def default(self, obj: RoleBinding) -> None:
        default_binding(obj)

    def validate(self, obj: RoleBinding) -> list[FieldError]:
        return other.validate_binding(obj)

    def validate_update(self, new: RoleBinding, old: RoleBinding) -> list[FieldError]:
        return other.validate_binding_update(new, old)


class ClusterRoleBindingRules(_Named, Rules[ClusterRoleBinding]):
    create_on_update = True

    def default(self, obj: ClusterRoleBinding) -> None:
        default_binding(obj)

    def validate(self, obj: ClusterRoleBinding) -> list[FieldError]:
        return other.validate_binding(obj)

    def validate_update(self, new: ClusterRoleBinding, old: ClusterRoleBinding) -> list[FieldError]:
        return other.validate_binding_update(new, old)


class LeaseRules(Uncounted[Lease]):
    names_finalizers = False
    create_on_update = True
    needs_version = True

    def prepare_create(self, obj: Lease) -> None:
        obj.spec.strategy = obj.spec.preferredHolder = None  # Off in this version ("CoordinatedLeaderElection").

    def prepare_update(self, new: Lease, old: Lease) -> None:
        if old.spec.strategy is None and old.spec.preferredHolder is None:
            self.prepare_create(new)

    def validate(self, obj: Lease) -> list[FieldError]:
        return other.validate_lease(obj)


class PodDisruptionBudgetRules(Rules[PodDisruptionBudget]):
    names_finalizers = False
    needs_version = True

    def validate_name(self, name: str) -> str:
        return path_segment(name)

    def validate(self, obj: PodDisruptionBudget) -> list[FieldError]:
        return other.validate_budget(obj)

    def validate_status_update(self, new: PodDisruptionBudget, old: PodDisruptionBudget) -> list[FieldError]:
        return other.validate_budget_status(new)


class PriorityClassRules(Rules[PriorityClass]):
    def default(self, obj: PriorityClass) -> None:
        default_priority_class(obj)

    def prepare_create(self, obj: PriorityClass) -> None:
        obj.metadata.generation = 1

    def validate(self, obj: PriorityClass) -> list[FieldError]:
        return other.validate_priority_class(obj)

    def validate_update(self, new: PriorityClass, old: PriorityClass) -> list[FieldError]:
        return other.validate_priority_class_update(new, old)
