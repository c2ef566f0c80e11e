"""Service: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core import v1 as core
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig
from tiphys.api.enforcement import warn
from tiphys.api.helpers.services import carry_over, is_exposed, needs_health_check
from tiphys.api.machinery import names as names_rules
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell, format_labels
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import port_number
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import PROXY, STATUS, connect
from tiphys.api.rules import basics
from tiphys.api.rules.addresses import cidr_warnings, ip_warnings, legacy_cidr, legacy_ip, parse_cidr
from tiphys.api.rules.basics import PROTOCOLS, Errors, dns_label, dns_subdomain, endpoint_ip, ip, is_ip, label_name, labels, one_of

CLIENT_IP_SECONDS = 10800
"""How long a client sticks to its endpoint with `sessionAffinity: ClientIP`."""


def default_service(service: Service) -> None:
    """Everything but addresses, their families and node ports, which are allocated."""
    spec = service.spec
    spec.type = spec.type or "ClusterIP"
    _default_affinity(spec)
    for port in spec.ports:
        if not port.protocol:
            port.protocol = "TCP"
        if not port.targetPort:
            port.targetPort = port.port
    reachable = spec.type in ("NodePort", "LoadBalancer") or (spec.type == "ClusterIP" and spec.externalIPs)
    if reachable and not spec.externalTrafficPolicy:
        spec.externalTrafficPolicy = "Cluster"
    if spec.internalTrafficPolicy is None and spec.type in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.internalTrafficPolicy = "Cluster"
    if spec.type == "LoadBalancer":
        if spec.allocateLoadBalancerNodePorts is None:
            spec.allocateLoadBalancerNodePorts = True
        for ingress in service.status.loadBalancer.ingress:
            if ingress.ip and ingress.ipMode is None:
                ingress.ipMode = "VIP"


def _default_affinity(spec: ServiceSpec) -> None:
    spec.sessionAffinity = spec.sessionAffinity or "None"
    if spec.sessionAffinity == "None":
        spec.sessionAffinityConfig = None
    elif spec.sessionAffinity == "ClientIP":
        config = spec.sessionAffinityConfig
        if config is None or config.clientIP is None or config.clientIP.timeoutSeconds is None:
            spec.sessionAffinityConfig = SessionAffinityConfig(clientIP=ClientIPConfig(timeoutSeconds=CLIENT_IP_SECONDS))


def default_families(spec: ServiceSpec) -> None:
    """One family, IPv4, unless the user says otherwise ("IPv4/IPv6 dual-stack": Services).

    Comes with the addresses: upstream allocates both, so nobody owns them.
    """
    if spec.type == "ExternalName":
        return
    if spec.clusterIP and not spec.clusterIPs:
        spec.clusterIPs = [spec.clusterIP]
    if spec.clusterIP == "None" and not spec.selector:
        # Endpoints of a headless Service without a selector are written by hand and may be of any family.
        spec.ipFamilies = spec.ipFamilies or ["IPv4"]
        if len(spec.ipFamilies) == 1 and spec.ipFamilyPolicy != "SingleStack":
            spec.ipFamilies = [*spec.ipFamilies, "IPv6" if spec.ipFamilies[0] == "IPv4" else "IPv4"]
        if spec.ipFamilyPolicy is None:
            spec.ipFamilyPolicy = "RequireDualStack"
        return
    if not spec.ipFamilies:
        spec.ipFamilies = ["IPv6" if ":" in spec.clusterIP else "IPv4"]
    if spec.ipFamilyPolicy is None:
        spec.ipFamilyPolicy = "SingleStack"


EXTERNAL_NAME = "ExternalName"
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_TRAFFIC = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")

_RANGES = "spec.LoadBalancerSourceRanges"
"""Upstream's spelling of the path."""

_MAX_AFFINITY_SECONDS = 86400


def is_headless(spec: ServiceSpec) -> bool:
    """True if the Service has names but no address of its own."""
    return spec.clusterIP == "None" or spec.clusterIPs == ["None"]


def validate_service(service: Service) -> Errors:
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
    if message := port_number(item.port):
        errors.append(invalid(f"{path}.port", item.port, message))
    one_of(errors, f"{path}.protocol", item.protocol, PROTOCOLS)
    basics.port(errors, f"{path}.targetPort", item.targetPort)
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
            message = f"must be greater than 0 and less than {_MAX_AFFINITY_SECONDS}"
            errors.append(invalid(f"{path}.clientIP.timeoutSeconds", config.clientIP.timeoutSeconds, message))
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
        if family not in FAMILIES:
            errors.append(not_supported(f"spec.ipFamilies[{index}]", family, FAMILIES))
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
    families = [family_name(address) for address in spec.clusterIPs]
    if len(families) == 2 and families[0] == families[1]:
        errors.append(invalid("spec.clusterIPs", spec.clusterIPs, "may specify no more than one IP for each IP family"))
    for index, (address, family) in enumerate(zip(spec.clusterIPs, spec.ipFamilies, strict=False)):
        if family in FAMILIES and families[index] != family:
            message = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            errors.append(invalid(f"spec.clusterIPs[{index}]", address, message))


def family_name(address: str) -> str:
    """Name the family of an address as the API does."""
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


def validate_service_update(new: Service, old: Service) -> Errors:
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
        message = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        errors.append(invalid("spec.ipFamilyPolicy", new.ipFamilyPolicy, message))
    if theirs and new.ipFamilies[:1] != old.ipFamilies[:1] and old.ipFamilies:
        errors.append(invalid("spec.ipFamilies[0]", new.ipFamilies, "may not change once set"))


def validate_service_status(service: Service) -> Errors:
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


_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"


def service_warnings(service: Service) -> list[str]:
    """Sentences for `Warning` headers."""
    spec = service.spec
    external, headless = spec.type == EXTERNAL_NAME, spec.type == "ClusterIP" and is_headless(spec)
    warnings: list[str] = []
    if _HINTS in service.metadata.annotations:
        warnings.append(f"annotation {_HINTS} is deprecated, please use {_MODE} instead")
    if not external and not is_headless(spec):
        for index, address in enumerate(spec.clusterIPs):
            warnings += ip_warnings(f"spec.clusterIPs[{index}]", address)
    if headless:
        ignored = (
            ("loadBalancerIP", spec.loadBalancerIP),
            ("externalIPs", spec.externalIPs),
            ("SessionAffinity", spec.sessionAffinity != "None"),
        )
        warnings += [f"spec.{name} is ignored for headless services" for name, value in ignored if value]
    for index, address in enumerate(spec.externalIPs):
        warnings += ip_warnings(f"spec.externalIPs[{index}]", address)
    if spec.externalIPs and not headless and not external:
        warnings.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.loadBalancerIP:
        warnings += ip_warnings("spec.loadBalancerIP", spec.loadBalancerIP)
    for index, text in enumerate(spec.loadBalancerSourceRanges):
        warnings += cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", text)
    if external and spec.externalIPs:
        warnings.append(f'spec.externalIPs is ignored when spec.type is "{EXTERNAL_NAME}"')
    if not external and spec.externalName:
        warnings.append(f'spec.externalName is ignored when spec.type is not "{EXTERNAL_NAME}"')
    if spec.trafficDistribution == "PreferClose":
        warnings.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return warnings


class ServiceRules(Uncounted[Service]):
    create_on_update = True

    default = staticmethod(default_service)

    def prepare_create(self, obj: Service) -> None:
        default_families(obj.spec)

    def prepare_update(self, new: Service, old: Service) -> None:
        carry_over(new, old)
        default_families(new.spec)

    validate = staticmethod(validate_service)

    validate_create = staticmethod(validate_create)
    validate_update = staticmethod(validate_service_update)

    def validate_status_update(self, new: Service, old: Service) -> list[FieldError]:
        return validate_service_status(new)

    def warnings(self, obj: Service, old: Service | None) -> list[str]:
        warnings = service_warnings(obj)
        return warnings + warn.warnings("", obj) if old is None else warnings

    validate_name = staticmethod(names_rules.dns_label)


def _external_ip(service: Service) -> str:
    spec = service.spec
    if spec.type == "ExternalName":
        return spec.externalName
    if spec.type != "LoadBalancer":
        return ",".join(spec.externalIPs) or NONE
    ingress = sorted({entry.ip or entry.hostname for entry in service.status.loadBalancer.ingress})
    return ",".join(text for text in (*ingress, *spec.externalIPs) if text) or "<pending>"


def _port_cell(port: ServicePort) -> str:
    return f"{port.port}:{port.nodePort}/{port.protocol}" if port.nodePort else f"{port.port}/{port.protocol}"


COLUMNS = (
    NAME,
    Column("Type", cell(lambda obj: obj.spec.type), description="How the Service is exposed."),
    Column(
        "Cluster-IP", cell(lambda obj: obj.spec.clusterIPs[0] if obj.spec.clusterIPs else NONE), description="Its address in the cluster."
    ),
    Column("External-IP", cell(_external_ip), description="Its addresses outside the cluster."),
    Column("Port(s)", cell(lambda obj: ",".join(map(_port_cell, obj.spec.ports)) or NONE), description="Its ports, with node ports."),
    AGE,
    Column("Selector", cell(lambda obj: format_labels(obj.spec.selector)), priority=1, description="The labels of the pods behind it."),
)

SERVICES: Kind[core.Service] = Kind(
    type=core.Service,
    plural="services",
    rules=ServiceRules(),
    columns=COLUMNS,
    short_names=("svc",),
    categories=("all",),
    subresources=(connect("proxy", "ServiceProxyOptions", PROXY), STATUS),
    selectable={"spec.clusterIP": lambda service: service.spec.clusterIP, "spec.type": lambda service: service.spec.type},
    shown_when_deleted=True,
    takes_addresses=True,
)
