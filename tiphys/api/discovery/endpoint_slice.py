"""EndpointSlice: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiphys.api.core.service import FAMILIES, family_name
from tiphys.api.discovery import v1 as discovery
from tiphys.api.discovery.v1 import EndpointSlice
from tiphys.api.machinery.columns import AGE, NAME, cell, first_three
from tiphys.api.machinery.errors import FieldError, duplicate, invalid, not_supported, required
from tiphys.api.machinery.names import dns_label_messages, dns_subdomain_messages, label_value_messages, qualified_name_messages
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.addresses import canonical_ip_messages, ip_warnings
from tiphys.api.rules.basics import (
    PROTOCOLS,
    Errors,
    dns_label,
    dns_subdomain,
    endpoint_ip,
    immutable,
    is_ip,
    label_name,
    one_of,
    text,
    unique,
)


def default_endpoint_slice(endpoint_slice: EndpointSlice) -> None:
    """Default the name of ports to "" and the protocol to TCP."""
    for port in endpoint_slice.ports or []:
        if port.name is None:
            port.name = ""
        if port.protocol is None:
            port.protocol = "TCP"


_MAX_ENDPOINTS, _MAX_ADDRESSES, _MAX_PORTS, _MAX_HINTS = 1000, 100, 20000, 8


def validate_endpoint_slice(value: discovery.EndpointSlice) -> Errors:
    """Return the mistakes in a slice ("EndpointSlices")."""
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
        elif family not in FAMILIES:
            continue
        elif not is_ip(address):
            text(errors, here, address, canonical_ip_messages(address))
        elif family_name(address) != family:
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
    """Refuse changes of the address type."""
    errors: Errors = []
    immutable(errors, "addressType", new.addressType, old.addressType)
    return errors


MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OWN_SLICES = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")


class EndpointSliceRules(Rules[EndpointSlice]):
    default = staticmethod(default_endpoint_slice)

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
        warnings = ["spec.addressType: FQDN endpoints are deprecated"] if old is None and obj.addressType == "FQDN" else []
        if obj.metadata.labels.get(MANAGED_BY) in _OWN_SLICES or obj.addressType == "FQDN":
            return warnings
        for index, endpoint in enumerate(obj.endpoints or []):
            for number, address in enumerate(endpoint.addresses):
                warnings += ip_warnings(f"endpoints[{index}].addresses[{number}]", address)
        return warnings

    validate = staticmethod(validate_endpoint_slice)
    validate_update = staticmethod(validate_endpoint_slice_update)

    def spec_changed(self, new: EndpointSlice, old: EndpointSlice) -> bool:
        return (new.endpoints, new.ports, new.addressType, new.metadata.labels) != (
            old.endpoints,
            old.ports,
            old.addressType,
            old.metadata.labels,
        )


def _ports_cell(value: EndpointSlice) -> str:
    return (
        first_three([str(port.port) if port.port is not None else port.name or "*" for port in value.ports]) if value.ports else "<unset>"
    )


def _endpoints_cell(value: EndpointSlice) -> str:
    addresses = [address for endpoint in value.endpoints or [] for address in endpoint.addresses]
    return first_three(addresses) if addresses else "<unset>"


COLUMNS = (
    NAME,
    Column("AddressType", cell(lambda obj: obj.addressType), description="IPv4, IPv6 or FQDN."),
    Column("Ports", cell(_ports_cell), description="The ports of all endpoints."),
    Column("Endpoints", cell(_endpoints_cell), description="The addresses."),
    AGE,
)

ENDPOINT_SLICES: Kind[discovery.EndpointSlice] = Kind(
    type=discovery.EndpointSlice,
    plural="endpointslices",
    rules=EndpointSliceRules(),
    columns=COLUMNS,
    group="discovery.k8s.io",
)

KINDS: tuple[Kind[Any], ...] = (ENDPOINT_SLICES,)
