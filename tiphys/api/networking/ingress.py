"""Ingress: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.errors import FieldError, invalid, not_supported, required
from tiphys.api.machinery.names import dns_label_messages, dns_subdomain_messages, port_name_messages, port_number, wildcard_dns_subdomain
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.networking import GROUP
from tiphys.api.networking import v1 as networking
from tiphys.api.networking.shared import validate_reference
from tiphys.api.networking.v1 import HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressTLS
from tiphys.api.rules.addresses import legacy_ip, parse_ip
from tiphys.api.rules.basics import Errors, dns_subdomain, text

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
"""Annotation with the class of ingresses before `ingressClassName`."""

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDINGS = ("/..", "/.")


def validate_ingress(ingress: Ingress) -> Errors:
    """Return the mistakes in an ingress ("Ingress")."""
    errors: Errors = []
    spec = ingress.spec
    if not spec.rules and spec.defaultBackend is None:
        errors.append(invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if spec.defaultBackend is not None:
        _backend(errors, "spec.defaultBackend", spec.defaultBackend)
    for index, rule in enumerate(spec.rules):
        _rule(errors, f"spec.rules[{index}]", rule)
    for index, tls in enumerate(spec.tls):
        _tls(errors, f"spec.tls[{index}]", tls)
    if spec.ingressClassName is not None:
        text(errors, "spec.ingressClassName", spec.ingressClassName, dns_subdomain_messages(spec.ingressClassName))
    return errors


def validate_new_ingress(ingress: Ingress) -> Errors:
    """The old and the new way to name the class agree."""
    errors: Errors = []
    old, name = ingress.metadata.annotations.get(CLASS_ANNOTATION), ingress.spec.ingressClassName
    if old is not None and name is not None and old != name:
        errors.append(invalid(f"annotations.{CLASS_ANNOTATION}", old, "must match `ingressClassName` when both are specified"))
    return errors


def validate_ingress_status(ingress: Ingress) -> Errors:
    """Return the mistakes in the addresses of a status."""
    errors: Errors = []
    for index, entry in enumerate(ingress.status.loadBalancer.ingress):
        path = f"status.loadBalancer.ingress[{index}]"
        if entry.ip:
            legacy_ip(errors, f"{path}.ip", entry.ip)
        if entry.hostname:
            dns_subdomain(errors, f"{path}.hostname", entry.hostname)
            _no_address(errors, f"{path}.hostname", entry.hostname)
    return errors


def _no_address(errors: Errors, path: str, host: str) -> None:
    if parse_ip(host) is not None:
        errors.append(invalid(path, host, "must be a DNS name, not an IP address"))


def _host(errors: Errors, path: str, host: str) -> None:
    """A name, or all names of a domain."""
    if "*" not in host:
        text(errors, path, host, dns_subdomain_messages(host))
    elif message := wildcard_dns_subdomain(host):
        errors.append(invalid(path, host, message))


def _rule(errors: Errors, path: str, rule: IngressRule) -> None:
    if rule.host:
        _no_address(errors, f"{path}.host", rule.host)
        _host(errors, f"{path}.host", rule.host)
    if rule.http is None:
        return
    if not rule.http.paths:
        errors.append(required(f"{path}.http.paths"))
    for index, item in enumerate(rule.http.paths):
        _path(errors, f"{path}.http.paths[{index}]", item)


def _path(errors: Errors, path: str, item: HTTPIngressPath) -> None:
    if item.pathType is None:
        errors.append(required(f"{path}.pathType", "pathType must be specified"))
        return
    if item.pathType not in _PATH_TYPES:
        errors.append(not_supported(f"{path}.pathType", item.pathType, _PATH_TYPES))
    else:
        exact = item.pathType != "ImplementationSpecific"
        if (exact or item.path) and not item.path.startswith("/"):
            errors.append(invalid(f"{path}.path", item.path, "must be an absolute path"))
        if exact:
            for sequence in _BAD_SEQUENCES:
                if sequence in item.path:
                    errors.append(invalid(f"{path}.path", item.path, f"must not contain '{sequence}'"))
            for ending in _BAD_ENDINGS:
                if item.path.endswith(ending):
                    errors.append(invalid(f"{path}.path", item.path, f"cannot end with '{ending}'"))
    _backend(errors, f"{path}.backend", item.backend)


def _backend(errors: Errors, path: str, backend: IngressBackend) -> None:
    service = backend.service
    if service is not None and backend.resource is not None:
        errors.append(invalid(path, "", "cannot set both resource and service backends"))
    elif backend.resource is not None:
        validate_reference(errors, f"{path}.resource", backend.resource)
    elif service is not None:
        if not service.name:
            errors.append(required(f"{path}.service.name"))
        else:
            text(errors, f"{path}.service.name", service.name, dns_label_messages(service.name))
        port = service.port
        if port.name and port.number:
            errors.append(invalid(path, "", "cannot set both port name & port number"))
        elif port.name:
            text(errors, f"{path}.service.port.name", port.name, port_name_messages(port.name))
        elif port.number:
            if message := port_number(port.number):
                errors.append(invalid(f"{path}.service.port.number", port.number, message))
        else:
            errors.append(required(path, "port name or number is required"))
    else:
        errors.append(invalid(path, "", "resource or service backend is required"))


def _tls(errors: Errors, path: str, tls: IngressTLS) -> None:
    for index, host in enumerate(tls.hosts):
        _host(errors, f"{path}.hosts[{index}]", host)
    if tls.secretName:
        text(errors, f"{path}.secretName", tls.secretName, dns_subdomain_messages(tls.secretName))


class IngressRules(Rules[Ingress]):
    validate = staticmethod(validate_ingress)
    validate_create = staticmethod(validate_new_ingress)

    def validate_status_update(self, new: Ingress, old: Ingress) -> list[FieldError]:
        return validate_ingress_status(new)

    def warnings(self, obj: Ingress, old: Ingress | None) -> list[str]:
        annotation = CLASS_ANNOTATION
        if old is not None or annotation not in obj.metadata.annotations or obj.spec.ingressClassName is not None:
            return []
        return [f"annotation \"{annotation}\" is deprecated, please use 'spec.ingressClassName' instead"]


_ADDRESS_WIDTH = 16
_HOSTS_SHOWN = 3


def _hosts(ingress: Ingress) -> str:
    rules = ingress.spec.rules
    named = [rule.host for rule in rules if rule.host]
    if not named:
        return "*"
    shown = ",".join(named[:_HOSTS_SHOWN])
    # Rules that follow the third host count, with a host of their own or without.
    last = [index for index, rule in enumerate(rules) if rule.host][:_HOSTS_SHOWN][-1]
    more = len(named) >= _HOSTS_SHOWN and last + 1 < len(rules)
    return f"{shown} + {len(rules) - _HOSTS_SHOWN} more..." if more else shown


def _address(ingress: Ingress) -> str:
    addresses = ",".join(sorted({entry.ip or entry.hostname for entry in ingress.status.loadBalancer.ingress} - {""}))
    return f"{addresses[: _ADDRESS_WIDTH - 3]}..." if len(addresses) > _ADDRESS_WIDTH else addresses


COLUMNS = (
    NAME,
    Column("Class", cell(lambda obj: NONE if obj.spec.ingressClassName is None else obj.spec.ingressClassName), description="Its class."),
    Column("Hosts", cell(_hosts), description="The hosts that it is for."),
    Column("Address", cell(_address), description="Where it can be reached."),
    Column("Ports", cell(lambda obj: "80, 443" if obj.spec.tls else "80"), description="Its ports: 443 as well if it has certificates."),
    AGE,
)

INGRESSES: Kind[networking.Ingress] = Kind(
    type=networking.Ingress,
    plural="ingresses",
    rules=IngressRules(),
    columns=COLUMNS,
    group=GROUP,
    short_names=("ing",),
    subresources=(STATUS,),
)
