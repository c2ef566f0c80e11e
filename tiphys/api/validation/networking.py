"""Validation of ingresses, their classes, network policies, Service address ranges and the addresses taken from them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tiphys.api.core.v1 import TypedLocalObjectReference
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required, too_long
from tiphys.api.machinery.names import (
    dns_label_messages,
    dns_subdomain_messages,
    path_segment,
    port_name_messages,
    port_number,
    wildcard_dns_subdomain,
)
from tiphys.api.networking.v1 import (
    HTTPIngressPath,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressClassParametersReference,
    IngressRule,
    IngressTLS,
    IPAddress,
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    ServiceCIDR,
)
from tiphys.api.rules.addresses import canonical_cidr, family_of, legacy_cidr, legacy_ip, parse_cidr, parse_ip
from tiphys.api.rules.basics import IMMUTABLE, PROTOCOLS, Errors, dns_label, dns_subdomain, immutable, label_selector, text

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
"""How ingresses named their class before `ingressClassName`."""
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDINGS = ("/..", "/.")
_MAX_CONTROLLER = 250
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_http_path = re.compile(_HTTP_PATH).fullmatch
_POLICY_TYPES = ("Ingress", "Egress")


# ---- ingresses -------------------------------------------------------------------------------------------------------------------------


def validate_ingress(ingress: Ingress) -> Errors:
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
    elif said := wildcard_dns_subdomain(host):
        errors.append(invalid(path, host, said))


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
        _reference(errors, f"{path}.resource", backend.resource)
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
            if said := port_number(port.number):
                errors.append(invalid(f"{path}.service.port.number", port.number, said))
        else:
            errors.append(required(path, "port name or number is required"))
    else:
        errors.append(invalid(path, "", "resource or service backend is required"))


def _tls(errors: Errors, path: str, tls: IngressTLS) -> None:
    for index, host in enumerate(tls.hosts):
        _host(errors, f"{path}.hosts[{index}]", host)
    if tls.secretName:
        text(errors, f"{path}.secretName", tls.secretName, dns_subdomain_messages(tls.secretName))


def _reference(errors: Errors, path: str, reference: TypedLocalObjectReference | IngressClassParametersReference) -> None:
    if reference.apiGroup is not None:
        text(errors, f"{path}.apiGroup", reference.apiGroup, dns_subdomain_messages(reference.apiGroup))
    for name in ("kind", "name"):
        _segment(errors, f"{path}.{name}", getattr(reference, name))


def _segment(errors: Errors, path: str, value: str) -> None:
    """A required name that may stand in a URL."""
    if not value:
        errors.append(required(path))
    elif said := path_segment(value):
        errors.append(invalid(path, value, said))


# ---- classes ---------------------------------------------------------------------------------------------------------------------------


def validate_ingress_class(value: IngressClass) -> Errors:
    errors: Errors = []
    controller = value.spec.controller
    if len(controller) > _MAX_CONTROLLER:
        errors.append(too_long("spec.controller", _MAX_CONTROLLER))
    _prefixed_path(errors, "spec.controller", controller)
    if value.spec.parameters is not None:
        _parameters(errors, "spec.parameters", value.spec.parameters)
    return errors


def validate_ingress_class_update(new: IngressClass, old: IngressClass) -> Errors:
    errors: Errors = []
    immutable(errors, "spec.controller", new.spec.controller, old.spec.controller)
    return errors


def _prefixed_path(errors: Errors, path: str, value: str) -> None:
    """A domain and a path: who handles the class."""
    if not value:
        errors.append(required(path))
        return
    host, _, rest = value.partition("/")
    if not host or not rest:
        errors.append(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        return
    text(errors, path, host, dns_subdomain_messages(host))
    if not _http_path(rest):
        errors.append(invalid(path, rest, f"Invalid path (regex used for validation is '{_HTTP_PATH}')"))


def _parameters(errors: Errors, path: str, value: IngressClassParametersReference) -> None:
    _reference(errors, path, value)
    if value.scope is None:
        errors.append(required(f"{path}.scope"))
    elif value.scope not in ("Cluster", "Namespace"):
        errors.append(not_supported(f"{path}.scope", value.scope, ("Cluster", "Namespace")))
    elif value.scope == "Cluster":
        if value.namespace is not None:
            errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    elif value.namespace is None:
        errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    else:
        dns_label(errors, f"{path}.namespace", value.namespace)


# ---- network policies ------------------------------------------------------------------------------------------------------------------


def policy_peers(policy: NetworkPolicy) -> Iterator[tuple[str, NetworkPolicyPeer]]:
    """Every peer that a policy names, with its path."""
    for index, rule in enumerate(policy.spec.ingress):
        for number, peer in enumerate(rule.from_):
            yield f"spec.ingress[{index}].from[{number}]", peer
    for index, way_out in enumerate(policy.spec.egress):
        for number, peer in enumerate(way_out.to):
            yield f"spec.egress[{index}].to[{number}]", peer


def validate_network_policy(policy: NetworkPolicy) -> Errors:
    errors: Errors = []
    spec = policy.spec
    label_selector(errors, "spec.podSelector", spec.podSelector)
    for name in ("ingress", "egress"):
        for index, rule in enumerate(getattr(spec, name)):
            for number, port in enumerate(rule.ports):
                _policy_port(errors, f"spec.{name}[{index}].ports[{number}]", port)
    for path, peer in policy_peers(policy):
        _peer(errors, path, peer)
    if len(spec.policyTypes) > len(_POLICY_TYPES):
        errors.append(invalid("spec.policyTypes", spec.policyTypes, "may not specify more than two policyTypes"))
        return errors
    for index, name in enumerate(spec.policyTypes):
        if name not in _POLICY_TYPES:
            errors.append(not_supported(f"spec.policyTypes[{index}]", name, _POLICY_TYPES))
    return errors


def _policy_port(errors: Errors, path: str, item: NetworkPolicyPort) -> None:
    if item.protocol is not None and item.protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", item.protocol, ("TCP", "UDP", "SCTP")))
    port, end = item.port, item.endPort
    if port is None:
        if end is not None:
            errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified"))
    elif isinstance(port, str):
        if end is not None:
            errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        text(errors, f"{path}.port", port, port_name_messages(port))
    else:
        if said := port_number(port):
            errors.append(invalid(f"{path}.port", port, said))
        if end is not None:
            if end < port:
                errors.append(invalid(f"{path}.endPort", port, "must be greater than or equal to `port`"))
            if said := port_number(end):
                errors.append(invalid(f"{path}.endPort", end, said))


def _peer(errors: Errors, path: str, peer: NetworkPolicyPeer) -> None:
    label_selector(errors, f"{path}.podSelector", peer.podSelector)
    label_selector(errors, f"{path}.namespaceSelector", peer.namespaceSelector)
    selects = peer.podSelector is not None or peer.namespaceSelector is not None
    if peer.ipBlock is not None:
        _block(errors, f"{path}.ipBlock", peer.ipBlock)
        if selects:
            errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
    elif not selects:
        errors.append(required(path, "must specify a peer"))


def _block(errors: Errors, path: str, block: IPBlock) -> None:
    if not block.cidr:
        errors.append(required(f"{path}.cidr"))
        return
    legacy_cidr(errors, f"{path}.cidr", block.cidr)
    whole = parse_cidr(block.cidr)
    for index, part in enumerate(block.except_):
        here = f"{path}.except[{index}]"
        legacy_cidr(errors, here, part)
        hole = parse_cidr(part)
        if whole is None or hole is None:
            continue
        if whole.version != hole.version or hole.network_address not in whole or whole.prefixlen >= hole.prefixlen:
            errors.append(invalid(here, part, "must be a strict subset of `cidr`"))


# ---- addresses of Services -------------------------------------------------------------------------------------------------------------


def validate_ip_address(value: IPAddress) -> Errors:
    errors: Errors = []
    parent = value.spec.parentRef
    if parent is None:
        errors.append(required("spec.parentRef"))
        return errors
    if parent.group:
        text(errors, "spec.parentRef.group", parent.group, dns_subdomain_messages(parent.group))
    _segment(errors, "spec.parentRef.resource", parent.resource)
    _segment(errors, "spec.parentRef.name", parent.name)
    if parent.namespace:
        _segment(errors, "spec.parentRef.namespace", parent.namespace)
    return errors


def validate_ip_address_update(new: IPAddress, old: IPAddress) -> Errors:
    errors: Errors = []
    immutable(errors, "spec.parentRef", new.spec.parentRef, old.spec.parentRef)
    return errors


def validate_service_cidr(value: ServiceCIDR) -> Errors:
    errors: Errors = []
    path, cidrs = "spec.cidrs", value.spec.cidrs
    if not cidrs:
        errors.append(required(path, "at least one CIDR required"))
    elif len(cidrs) > 2:
        errors.append(invalid(path, value.spec, "may only hold up to 2 values"))
    else:
        for index, cidr in enumerate(cidrs):
            canonical_cidr(errors, f"{path}[{index}]", cidr)
        families = [family_of(cidr) for cidr in cidrs]
        if len(families) == 2 and families[0] == families[1] != "":
            said = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            errors.append(invalid(path, cidrs, said))
    return errors


def validate_service_cidr_update(new: ServiceCIDR, old: ServiceCIDR) -> Errors:
    """A range never changes; one of the other family may join it."""
    errors: Errors = []
    path, now, before = "spec.cidrs", new.spec.cidrs, old.spec.cidrs
    if len(now) != len(before) and (len(before), len(now)) != (1, 2):
        errors.append(invalid(path, now, IMMUTABLE))
        return errors
    for index, cidr in enumerate(before):
        immutable(errors, f"{path}[{index}]", now[index], cidr)
    return errors
