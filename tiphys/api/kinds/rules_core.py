"""The rules of the core group, pods apart."""

from __future__ import annotations

from typing import Generic, TypeVar

from tiphys.api.core.v1 import ConfigMap, Endpoints, Event, Namespace, Node, Secret, Service, ServiceAccount
from tiphys.api.defaults.other import NAMESPACE_NAME_LABEL, default_namespace, default_node, default_secret
from tiphys.api.defaults.service import default_endpoints, default_families, default_service
from tiphys.api.enforcement import warn
from tiphys.api.helpers.services import carry_over
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import dns_label, path_segment
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.machinery.scheme import Rules
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.validation import events, other, service
from tiphys.api.validation.service_warnings import service_warnings

ObjectT = TypeVar("ObjectT", bound=KubeObject)

NAMESPACE_FINALIZER = "kubernetes"


class Uncounted(Rules[ObjectT], Generic[ObjectT]):
    """Rules of kinds that have a spec but no generation."""

    counted = False

    def spec_changed(self, new: ObjectT, old: ObjectT) -> bool:
        return False


class ServiceRules(Uncounted[Service]):
    create_on_update = True

    def default(self, obj: Service) -> None:
        default_service(obj)

    def prepare_create(self, obj: Service) -> None:
        default_families(obj.spec)

    def prepare_update(self, new: Service, old: Service) -> None:
        carry_over(new, old)
        default_families(new.spec)

    def validate(self, obj: Service) -> list[FieldError]:
        return service.validate(obj)

    def validate_create(self, obj: Service) -> list[FieldError]:
        return service.validate_create(obj)

    def validate_update(self, new: Service, old: Service) -> list[FieldError]:
        return service.validate_update(new, old)

    def validate_status_update(self, new: Service, old: Service) -> list[FieldError]:
        return service.validate_status(new)

    def warnings(self, obj: Service, old: Service | None) -> list[str]:
        said = service_warnings(obj)
        return said + warn.warnings("", obj) if old is None else said

    def validate_name(self, name: str) -> str:
        return dns_label(name)


class EndpointsRules(Rules[Endpoints]):
    create_on_update = True

    def default(self, obj: Endpoints) -> None:
        default_endpoints(obj)

    def validate(self, obj: Endpoints) -> list[FieldError]:
        return service.validate_endpoints(obj)


class NodeRules(Uncounted[Node]):
    """Nodes come with their status when they register."""

    status_wins_on_create = True

    def default(self, obj: Node) -> None:
        default_node(obj)

    def prepare_create(self, obj: Node) -> None:
        obj.spec.configSource = None
        obj.status.config = None

    def prepare_status_update(self, new: Node, old: Node) -> None:
        canonicalize(new)
        default_node(new)

    def validate(self, obj: Node) -> list[FieldError]:
        return other.validate_node(obj)

    def validate_update(self, new: Node, old: Node) -> list[FieldError]:
        return other.validate_node_update(new, old)

    def validate_status_update(self, new: Node, old: Node) -> list[FieldError]:
        return [*other.validate_node(new), *other.validate_node_update(new, old)]


class NamespaceRules(Uncounted[Namespace]):
    """Namespaces stay until everything in them is gone, which the finalizer `kubernetes` in the spec stands for."""

    def default(self, obj: Namespace) -> None:
        default_namespace(obj)

    def prepare_create(self, obj: Namespace) -> None:
        obj.status.phase = "Active"
        if obj.metadata.name:
            obj.metadata.labels[NAMESPACE_NAME_LABEL] = obj.metadata.name
        if NAMESPACE_FINALIZER not in obj.spec.finalizers:
            obj.spec.finalizers = [*obj.spec.finalizers, NAMESPACE_FINALIZER]

    def prepare_update(self, new: Namespace, old: Namespace) -> None:
        new.spec.finalizers = old.spec.finalizers

    def prepare_status_update(self, new: Namespace, old: Namespace) -> None:
        new.status.phase = new.status.phase or "Active"

    def validate(self, obj: Namespace) -> list[FieldError]:
        return other.validate_namespace(obj)

    def validate_status_update(self, new: Namespace, old: Namespace) -> list[FieldError]:
        return other.validate_namespace_status(new)

    def validate_name(self, name: str) -> str:
        return dns_label(name)

    def is_held(self, obj: Namespace) -> bool:
        return bool(obj.metadata.finalizers or obj.spec.finalizers)

    def begin_deletion(self, obj: Namespace) -> None:
        obj.metadata.deletionGracePeriodSeconds = None
        obj.status.phase = "Terminating"


class ConfigMapRules(Rules[ConfigMap]):
    def validate(self, obj: ConfigMap) -> list[FieldError]:
        return other.validate_config_map(obj)

    def validate_update(self, new: ConfigMap, old: ConfigMap) -> list[FieldError]:
        return other.validate_config_map_update(new, old)


class SecretRules(Rules[Secret]):
    def default(self, obj: Secret) -> None:
        default_secret(obj)

    def validate(self, obj: Secret) -> list[FieldError]:
        return other.validate_secret(obj)

    def validate_update(self, new: Secret, old: Secret) -> list[FieldError]:
        return other.validate_secret_update(new, old)


class ServiceAccountRules(Rules[ServiceAccount]):
    def prepare_create(self, obj: ServiceAccount) -> None:
        for secret in obj.secrets:
            secret.kind = secret.namespace = secret.uid = secret.apiVersion = secret.resourceVersion = secret.fieldPath = ""

    def prepare_update(self, new: ServiceAccount, old: ServiceAccount) -> None:
        self.prepare_create(new)


class EventRules(Rules[Event]):
    names_finalizers = False
    collected = False
    create_on_update = True

    def validate_name(self, name: str) -> str:
        return path_segment(name)

    def validate(self, obj: Event) -> list[FieldError]:
        return events.validate_event(obj)
