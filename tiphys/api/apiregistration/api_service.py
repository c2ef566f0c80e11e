"""APIService: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.apiregistration.v1 import APIService
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.helpers.api_services import AVAILABLE, available
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, invalid, not_supported, required
from tiphys.api.machinery.names import dns_1035_label_messages, path_segment, port_number
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, dns_subdomain, text

MAX_GROUP_PRIORITY, MAX_VERSION_PRIORITY = 20_000, 1_000


def validate_api_service(service: APIService) -> Errors:
    """Return the mistakes in an API service ("Kubernetes API Aggregation Layer")."""
    errors: Errors = []
    spec, name = service.spec, service.metadata.name
    expected = f"{spec.version}.{spec.group}"
    if name and name != expected and not path_segment(name):
        errors.append(invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{expected}"'))
    if spec.group:
        dns_subdomain(errors, "spec.group", spec.group)
    elif spec.version != "v1":
        errors.append(required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    text(errors, "spec.version", spec.version, dns_1035_label_messages(spec.version))
    for field, value, limit in (
        ("groupPriorityMinimum", spec.groupPriorityMinimum, MAX_GROUP_PRIORITY),
        ("versionPriority", spec.versionPriority, MAX_VERSION_PRIORITY),
    ):
        if not 0 < value <= limit:
            errors.append(invalid(f"spec.{field}", value, f"must be positive and less than {limit}"))
    _backend(errors, service)
    return errors


def _backend(errors: Errors, service: APIService) -> None:
    """Validate the server of the group version: this one, or a Service of the cluster."""
    spec = service.spec
    backend = spec.service
    if backend is None:
        if spec.caBundle:
            errors.append(invalid("spec.caBundle", f"{len(spec.caBundle)} bytes", "local APIServices may not have a caBundle"))
        if spec.insecureSkipTLSVerify:
            errors.append(invalid("spec.insecureSkipTLSVerify", True, "local APIServices may not have insecureSkipTLSVerify"))
        return
    if not backend.namespace:
        errors.append(required("spec.service.namespace"))
    if not backend.name:
        errors.append(required("spec.service.name"))
    if message := port_number(backend.port or 0):
        errors.append(invalid("spec.service.port", backend.port or 0, f"port is not valid: {message}"))
    if spec.insecureSkipTLSVerify and spec.caBundle:
        errors.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))


def validate_api_service_status(service: APIService) -> Errors:
    """Return the mistakes in the conditions of an API service."""
    return [
        not_supported(f"status.conditions[{index}].status", condition.status, ("True", "False", "Unknown"))
        for index, condition in enumerate(service.status.conditions)
        if condition.status not in ("True", "False", "Unknown")
    ]


HTTPS_PORT = 443


class APIServiceRules(Uncounted[APIService]):
    names_finalizers = False
    needs_version = True
    resets = METADATA_STAYS

    def default(self, obj: APIService) -> None:
        if obj.spec.service is not None and obj.spec.service.port is None:
            obj.spec.service.port = HTTPS_PORT

    def prepare_create(self, obj: APIService) -> None:
        if obj.spec.service is None:
            obj.status.conditions = [available(obj, obj.metadata.creationTimestamp)]

    validate_name = staticmethod(path_segment)
    validate = staticmethod(validate_api_service)

    def prepare_status_update(self, new: APIService, old: APIService) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: APIService, old: APIService) -> list[FieldError]:
        return validate_api_service_status(new)


def _service(service: APIService) -> str:
    backend = service.spec.service
    return "Local" if backend is None else f"{backend.namespace}/{backend.name}"


def _available(service: APIService) -> str:
    for condition in service.status.conditions:
        if condition.type == AVAILABLE:
            return f"{condition.status} ({condition.reason})" if condition.status != "True" and condition.reason else condition.status
    return "Unknown"


API_SERVICES: Kind[APIService] = Kind(
    type=APIService,
    plural="apiservices",
    rules=APIServiceRules(),
    columns=(
        NAME,
        Column("Service", cell(_service), description="The Service behind it, or Local."),
        Column("Available", cell(_available), description="Whether it is available."),
        AGE,
    ),
    group="apiregistration.k8s.io",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (API_SERVICES,)
