"""Validation of Services and of the objects that carry their endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core.v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Service, ServicePort, ServiceSpec
from tiphys.api.discovery import v1 as discovery
from tiphys.api.helpers.services import is_exposed, needs_health_check
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import (
    dns_label_messages,
    dns_subdomain_messages,
    label_value_messages,
    port_number,
    qualified_name_messages,
)
from tiphys.api.rules.addresses import canonical_ip_messages, legacy_cidr, legacy_ip, parse_cidr
from tiphys.api.rules.basics import (
    PROTOCOLS,
    Errors,
    dns_label,
    dns_subdomain,
    endpoint_ip,
    immutable,
    ip,
    is_ip,
    label_name,
    labels,
    one_of,
    port,
    text,
    unique,
)

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_TRAFFIC = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_RANGES = "spec.LoadBalancerSourceRanges"
"""Upstream's spelling of the path."""
_MAX_AFFINITY_SECONDS = 86400
_MAX_ENDPOINTS, _MAX_ADDRESSES, _MAX_PORTS, _MAX_HINTS = 1000, 100, 20000, 8


def is_headless(spec: ServiceSpec) -> bool:
    """Whether the Service has names but no address of its own."""
    return spec.clusterIP == "None" or spec.clusterIPs == ["None"]


def validate(service: Service) -> Errors:
    """Everything wrong with a Service, allocated or not yet."""
    errors: Errors = []
    spec = service.spec
    headless = is_headless(spec)
    if not spec.ports and not headless and spec.type != "ExternalName":
        errors.append(required("spec.ports"))
    if headless and spec.type in ("LoadBalancer", "NodePort"):
        errors.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec.type} services"))
    if spec.type == "ExternalName":
        _external_name(errors, spec)
    _ports(errors, spec)
    labels(errors, "spec.selector", spec.selector)
    _affinity(errors, spec)
    if spec.type != "ExternalName":
        _addresses(errors, spec)
    for index, address in enumerate(spec.externalIPs):
        path = f"spec.externalIPs[{index}]"
        if is_ip(address):
            endpoint_ip(errors, path, address)
        else:
            legacy_ip(errors, path, address)
    one_of(errors, "spec.type", spec.type, TYPES)
    _load_balancer(errors, spec)
    _traffic(errors, spec)
    return errors


def _external_name(errors: Errors, spec: ServiceSpec) -> None:
    """A CNAME and nothing that belongs to an address."""
    for name in ("clusterIPs", "ipFamilies"):
        if getattr(spec, name):
            errors.append(forbidden(f"spec.{name}", "may not be set for ExternalName services"))
    if spec.ipFamilyPolicy is not None:
        errors.append(forbidden("spec.ipFamilyPolicy", "may not be set for ExternalName services"))
    name = spec.externalName.removesuffix(".")
    if name:
        dns_subdomain(errors, "spec.externalName", name)
    else:
        errors.append(required("spec.externalName"))


def _ports(errors: Errors, spec: ServiceSpec) -> None:
    names: set[str] = set()
    node_ports: set[tuple[str, int]] = set()
    seen: set[tuple[str, int]] = set()
    for index, item in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        _port(errors, path, item, names, named=len(spec.ports) > 1)
        if item.nodePort:
            if spec.type == "ClusterIP":
                errors.append(forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'"))
            if (item.protocol, item.nodePort) in node_ports:
                errors.append(duplicate(f"{path}.nodePort", item.nodePort))
            node_ports.add((item.protocol, item.nodePort))
        if (item.protocol, item.port) in seen:
            errors.append(duplicate(path, {"port": item.port, "protocol": item.protocol}))
        seen.add((item.protocol, item.port))


def _port(errors: Errors, path: str, item: ServicePort, names: set[str], *, named: bool) -> None:
    if item.name:
        dns_label(errors, f"{path}.name", item.name)
        if item.name in names:
            errors.append(duplicate(f"{path}.name", item.name))
        names.add(item.name)
    elif named:
        errors.append(required(f"{path}.name"))
    if said := port_number(item.port):
        errors.append(invalid(f"{path}.port", item.port, said))
    one_of(errors, f"{path}.protocol", item.protocol, PROTOCOLS)
    port(errors, f"{path}.targetPort", item.targetPort)
    if item.appProtocol is not None:
        label_name(errors, f"{path}.appProtocol", item.appProtocol)


def _affinity(errors: Errors, spec: ServiceSpec) -> None:
    one_of(errors, "spec.sessionAffinity", spec.sessionAffinity, ("ClientIP", "None"))
    config = spec.sessionAffinityConfig
    if spec.sessionAffinity == "ClientIP":
        path = "spec.sessionAffinityConfig"
        if config is None:
            errors.append(required(path, "when session affinity type is ClientIP"))
        elif config.clientIP is None:
            errors.append(required(f"{path}.clientIP", "when session affinity type is ClientIP"))
        elif config.clientIP.timeoutSeconds is None:
            errors.append(required(f"{path}.clientIP.timeoutSeconds", "when session affinity type is ClientIP"))
        elif not 0 < config.clientIP.timeoutSeconds <= _MAX_AFFINITY_SECONDS:
            said = f"must be greater than 0 and less than {_MAX_AFFINITY_SECONDS}"
            errors.append(invalid(f"{path}.clientIP.timeoutSeconds", config.clientIP.timeoutSeconds, said))
    elif spec.sessionAffinity == "None" and config is not None:
        errors.append(forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None"))


def _addresses(errors: Errors, spec: ServiceSpec) -> None:
    """Addresses, families and policy agree."""
    addresses = spec.clusterIPs
    if spec.clusterIP:
        if not addresses:
            errors.append(required("spec.clusterIPs"))
        elif addresses[0] != spec.clusterIP:
            errors.append(invalid("spec.clusterIPs", addresses, "first value must match `clusterIP`"))
    elif addresses:
        errors.append(invalid("spec.clusterIPs", addresses, "must be empty when `clusterIP` is not specified"))
    for index, family in enumerate(spec.ipFamilies):
        if family not in _FAMILIES:
            errors.append(not_supported(f"spec.ipFamilies[{index}]", family, _FAMILIES))
        if family in spec.ipFamilies[:index]:
            errors.append(duplicate(f"spec.ipFamilies[{index}]", family))
    if spec.ipFamilyPolicy is not None and spec.ipFamilyPolicy not in _POLICIES:
        errors.append(not_supported("spec.ipFamilyPolicy", spec.ipFamilyPolicy, _POLICIES))
    before = len(errors)
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                errors.append(invalid("spec.clusterIPs", addresses, "'None' must be the first and only value"))
            continue
        legacy_ip(errors, f"spec.clusterIPs[{index}]", address)
    if len(addresses) > 2:
        errors.append(invalid("spec.clusterIPs", addresses, "may only hold up to 2 values"))
    if len(errors) == before and not is_headless(spec):
        _families_match(errors, spec)


def _families_match(errors: Errors, spec: ServiceSpec) -> None:
    families = [_family(address) for address in spec.clusterIPs]
    if len(families) == 2 and families[0] == families[1]:
        errors.append(invalid("spec.clusterIPs", spec.clusterIPs, "may specify no more than one IP for each IP family"))
    for index, (address, family) in enumerate(zip(spec.clusterIPs, spec.ipFamilies, strict=False)):
        if family in _FAMILIES and families[index] != family:
            said = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            errors.append(invalid(f"spec.clusterIPs[{index}]", address, said))


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _load_balancer(errors: Errors, spec: ServiceSpec) -> None:
    balanced = spec.type == "LoadBalancer"
    if spec.loadBalancerSourceRanges and not balanced:
        errors.append(forbidden(_RANGES, "may only be used when `type` is 'LoadBalancer'"))
    for index, source in enumerate(spec.loadBalancerSourceRanges):
        if parse_cidr(source.strip()) is None:
            legacy_cidr(errors, f"{_RANGES}[{index}]", source.strip())
    if spec.allocateLoadBalancerNodePorts is not None and not balanced:
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'"))
    if spec.loadBalancerClass is not None:
        if not balanced:
            errors.append(forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"))
        else:
            label_name(errors, "spec.loadBalancerClass", spec.loadBalancerClass)


def _traffic(errors: Errors, spec: ServiceSpec) -> None:
    policy = spec.externalTrafficPolicy
    if not is_exposed(spec):
        if policy:
            errors.append(invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services"))
    else:
        one_of(errors, "spec.externalTrafficPolicy", policy, _TRAFFIC)
    health = spec.healthCheckNodePort
    if health and not needs_health_check(spec):  # The allocator judges the number of those that do.
        message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(invalid("spec.healthCheckNodePort", health, message))
    inside = spec.internalTrafficPolicy
    if inside is None:
        if spec.type in ("NodePort", "LoadBalancer", "ClusterIP"):
            errors.append(required("spec.internalTrafficPolicy"))
    elif inside not in _TRAFFIC:
        errors.append(not_supported("spec.internalTrafficPolicy", inside, _TRAFFIC))
    if spec.trafficDistribution is not None and spec.trafficDistribution not in _DISTRIBUTIONS:
        errors.append(not_supported("spec.trafficDistribution", spec.trafficDistribution, _DISTRIBUTIONS))


def validate_create(service: Service) -> Errors:
    """Spellings that may stay where they are already (KEP-4858 "IP/CIDR validation improvements")."""
    errors: Errors = []
    _strict_ranges(errors, service.spec.loadBalancerSourceRanges, ())
    return errors


def _strict_ranges(errors: Errors, sources: Sequence[str], known: Sequence[str]) -> None:
    for index, source in enumerate(sources):
        if source not in known and parse_cidr(source.strip()) is not None:
            legacy_cidr(errors, f"{_RANGES}[{index}]", source.strip())


def validate_update(new: Service, old: Service) -> Errors:
    """An address, once given, stays, unless the Service becomes or was an ExternalName."""
    errors: Errors = []
    _strict_ranges(errors, new.spec.loadBalancerSourceRanges, old.spec.loadBalancerSourceRanges)
    if "ExternalName" not in (new.spec.type, old.spec.type) and not (is_headless(new.spec) and is_headless(old.spec)):
        _addresses_kept(errors, new.spec, old.spec)
    if new.spec.type == old.spec.type == "LoadBalancer" and new.spec.loadBalancerClass != old.spec.loadBalancerClass:
        errors.append(invalid("spec.loadBalancerClass", new.spec.loadBalancerClass, "may not change once set"))
    before, after = old.spec.healthCheckNodePort, new.spec.healthCheckNodePort
    if needs_health_check(new.spec) and needs_health_check(old.spec) and before and before != after:
        errors.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return errors


def _addresses_kept(errors: Errors, new: ServiceSpec, old: ServiceSpec) -> None:
    mine, theirs = new.clusterIPs, old.clusterIPs
    if theirs and not mine:
        errors.append(invalid("spec.clusterIPs[0]", mine, "primary clusterIP can not be unset"))
    for index, (address, before) in enumerate(zip(mine, theirs, strict=False)):
        if address != before:
            errors.append(invalid(f"spec.clusterIPs[{index}]", mine, "may not change once set"))
    if len(theirs) > len(mine) == 1 and new.ipFamilyPolicy != "SingleStack":
        said = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        errors.append(invalid("spec.ipFamilyPolicy", new.ipFamilyPolicy, said))
    if theirs and new.ipFamilies[:1] != old.ipFamilies[:1] and old.ipFamilies:
        errors.append(invalid("spec.ipFamilies[0]", new.ipFamilies, "may not change once set"))


def validate_status(service: Service) -> Errors:
    """The load balancer's side."""
    errors: Errors = []
    for index, ingress in enumerate(service.status.loadBalancer.ingress):
        path = f"status.loadBalancer.ingress[{index}]"
        if ingress.ip:
            ip(errors, f"{path}.ip", ingress.ip)
        if ingress.hostname:
            dns_subdomain(errors, f"{path}.hostname", ingress.hostname)
            if is_ip(ingress.hostname):
                errors.append(invalid(f"{path}.hostname", ingress.hostname, "must be a DNS name, not an IP address"))
    return errors


# ---- endpoints -------------------------------------------------------------------------------------------------------------------------


def validate_endpoints(endpoints: Endpoints) -> Errors:
    errors: Errors = []
    for index, subset in enumerate(endpoints.subsets):
        _subset(errors, f"subsets[{index}]", subset)
    return errors


def _subset(errors: Errors, path: str, subset: EndpointSubset) -> None:
    if not subset.addresses and not subset.notReadyAddresses:
        errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
    for name in ("addresses", "notReadyAddresses"):
        addresses: list[EndpointAddress] = getattr(subset, name)
        for index, address in enumerate(addresses):
            here = f"{path}.{name}[{index}]"
            endpoint_ip(errors, f"{here}.ip", address.ip)
            if address.hostname:
                dns_label(errors, f"{here}.hostname", address.hostname)
            if address.nodeName is not None:
                dns_subdomain(errors, f"{here}.nodeName", address.nodeName)
    for index, item in enumerate(subset.ports):
        _endpoint_port(errors, f"{path}.ports[{index}]", item, named=len(subset.ports) > 1)


def _endpoint_port(errors: Errors, path: str, item: EndpointPort, *, named: bool) -> None:
    if item.name:
        dns_label(errors, f"{path}.name", item.name)
    elif named:
        errors.append(required(f"{path}.name"))
    if said := port_number(item.port):
        errors.append(invalid(f"{path}.port", item.port, said))
    one_of(errors, f"{path}.protocol", item.protocol, PROTOCOLS)
    if item.appProtocol is not None:
        label_name(errors, f"{path}.appProtocol", item.appProtocol)


def validate_endpoint_slice(value: discovery.EndpointSlice) -> Errors:
    errors: Errors = []
    one_of(errors, "addressType", value.addressType, ("FQDN", "IPv4", "IPv6"))
    endpoints, ports = value.endpoints or [], value.ports or []
    if len(endpoints) > _MAX_ENDPOINTS:
        errors.append(_too_many("endpoints", len(endpoints), _MAX_ENDPOINTS))
    for index, endpoint in enumerate(endpoints):
        _slice_endpoint(errors, f"endpoints[{index}]", endpoint, value.addressType)
    if len(ports) > _MAX_PORTS:
        errors.append(_too_many("ports", len(ports), _MAX_PORTS))
    _slice_ports(errors, ports)
    return errors


def _slice_endpoint(errors: Errors, path: str, endpoint: discovery.Endpoint, family: str) -> None:
    if not endpoint.addresses:
        errors.append(required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(endpoint.addresses) > _MAX_ADDRESSES:
        errors.append(_too_many(f"{path}.addresses", len(endpoint.addresses), _MAX_ADDRESSES))
    for index, address in enumerate(endpoint.addresses):
        here = f"{path}.addresses[{index}]"
        if family == "FQDN":
            _domain(errors, here, address)
        elif family not in _FAMILIES:
            continue
        elif not is_ip(address):
            text(errors, here, address, canonical_ip_messages(address))
        elif _family(address) != family:
            errors.append(invalid(f"{path}.addresses", address, f"must be an {family} address"))
        else:
            if family == "IPv6":
                text(errors, here, address, canonical_ip_messages(address))
            endpoint_ip(errors, here, address)
    if endpoint.nodeName is not None:
        dns_subdomain(errors, f"{path}.nodeName", endpoint.nodeName)
    for key, entry in endpoint.deprecatedTopology.items():
        text(errors, f"{path}.deprecatedTopology", key, qualified_name_messages(key))
        text(errors, f"{path}.deprecatedTopology", entry, label_value_messages(entry))
    if endpoint.hostname is not None and dns_label_messages(endpoint.hostname):
        dns_label(errors, f"{path}.hostname", endpoint.hostname)
    if endpoint.hints is not None:
        _hints(errors, f"{path}.hints", endpoint.hints)


def _domain(errors: Errors, path: str, name: str) -> None:
    """A full domain name, with or without the last dot."""
    if not name:
        errors.append(required(path))
        return
    name = name.removesuffix(".")
    if wrong := dns_subdomain_messages(name):
        errors.append(invalid(path, name, ",".join(wrong)))
    elif "." not in name:
        errors.append(invalid(path, name, "should be a domain with at least two segments separated by dots"))
    else:
        long = next((label for label in name.split(".") if dns_label_messages(label)), None)
        if long is not None:
            errors.append(invalid(path, long, ",".join(dns_label_messages(long))))


def _hints(errors: Errors, path: str, hints: discovery.EndpointHints) -> None:
    """The zones and nodes whose clients should use an endpoint."""
    for field, rule in (("forZones", label_value_messages), ("forNodes", dns_subdomain_messages)):
        places: list[discovery.ForZone | discovery.ForNode] = getattr(hints, field)
        if len(places) > _MAX_HINTS:
            errors.append(_too_many(f"{path}.{field}", len(places), _MAX_HINTS))
            return
        seen: set[str] = set()
        for index, place in enumerate(places):
            here = f"{path}.{field}[{index}].name"
            unique(errors, here, place.name, seen)
            text(errors, here, place.name, rule(place.name))


def _slice_ports(errors: Errors, ports: Sequence[discovery.EndpointPort]) -> None:
    names: set[str] = set()
    for index, item in enumerate(ports):
        path = f"ports[{index}]"
        name = item.name or ""
        if name and dns_label_messages(name):
            dns_label(errors, f"{path}.name", name)
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
        if item.protocol not in PROTOCOLS:
            errors.append(not_supported(f"{path}.protocol", item.protocol or "", PROTOCOLS))
        if item.appProtocol is not None:
            label_name(errors, f"{path}.appProtocol", item.appProtocol)


def _too_many(path: str, actual: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", path, f"must have at most {limit} items", actual)


def validate_endpoint_slice_update(new: discovery.EndpointSlice, old: discovery.EndpointSlice) -> Errors:
    errors: Errors = []
    immutable(errors, "addressType", new.addressType, old.addressType)
    return errors
