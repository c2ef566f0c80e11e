"""Endpoints: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell, first_three
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.names import port_number
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import PROTOCOLS, Errors, dns_label, dns_subdomain, endpoint_ip, label_name, one_of


def default_endpoints(endpoints: Endpoints) -> None:
    """Default the protocol of ports to TCP."""
    for subset in endpoints.subsets:
        for port in subset.ports:
            port.protocol = port.protocol or "TCP"


def validate_endpoints(endpoints: Endpoints) -> Errors:
    """Return the mistakes in endpoints."""
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
    if message := port_number(item.port):
        errors.append(invalid(f"{path}.port", item.port, message))
    one_of(errors, f"{path}.protocol", item.protocol, PROTOCOLS)
    if item.appProtocol is not None:
        label_name(errors, f"{path}.appProtocol", item.appProtocol)


class EndpointsRules(Rules[Endpoints]):
    create_on_update = True

    default = staticmethod(default_endpoints)
    validate = staticmethod(validate_endpoints)


def _endpoints(endpoints: Endpoints) -> str:
    addresses: list[str] = []
    for subset in endpoints.subsets:
        if not subset.ports:
            addresses += [address.ip for address in subset.addresses]
        for port in subset.ports:
            addresses += [f"[{a.ip}]:{port.port}" if ":" in a.ip else f"{a.ip}:{port.port}" for a in subset.addresses]
    if not endpoints.subsets:
        return NONE
    return first_three(addresses) if addresses else ""


COLUMNS = (NAME, Column("Endpoints", cell(_endpoints), description="Addresses and ports that are ready."), AGE)

ENDPOINTS: Kind[core.Endpoints] = Kind(
    type=core.Endpoints,
    plural="endpoints",
    rules=EndpointsRules(),
    columns=COLUMNS,
    short_names=("ep",),
    deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
