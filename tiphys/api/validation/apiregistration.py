"""Validation of API services ("Kubernetes API Aggregation Layer")."""

from __future__ import annotations

from tiphys.api.apiregistration.v1 import APIService
from tiphys.api.machinery.errors import invalid, not_supported, required
from tiphys.api.machinery.names import dns_1035_label_messages, path_segment, port_number
from tiphys.api.rules.basics import Errors, dns_subdomain, text

MAX_GROUP_PRIORITY, MAX_VERSION_PRIORITY = 20_000, 1_000


def validate(service: APIService) -> Errors:
    errors: Errors = []
    spec, name = service.spec, service.metadata.name
    wanted = f"{spec.version}.{spec.group}"
    if name and name != wanted and not path_segment(name):
        errors.append(invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{wanted}"'))
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
    """Where the requests go: to this server, or to a Service of the cluster."""
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
    if said := port_number(backend.port or 0):
        errors.append(invalid("spec.service.port", backend.port or 0, f"port is not valid: {said}"))
    if spec.insecureSkipTLSVerify and spec.caBundle:
        errors.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))


def validate_status(service: APIService) -> Errors:
    return [
        not_supported(f"status.conditions[{index}].status", condition.status, ("True", "False", "Unknown"))
        for index, condition in enumerate(service.status.conditions)
        if condition.status not in ("True", "False", "Unknown")
    ]
