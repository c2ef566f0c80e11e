"""Tables of the networking group."""

from __future__ import annotations

from tiphys.api.columns.base import AGE, NAME, NONE, cell, format_selector
from tiphys.api.machinery.scheme import Column
from tiphys.api.networking.v1 import Ingress, IngressClass, IPAddress
from tiphys.api.well_known import DEFAULT_INGRESS_CLASS

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
    found = ",".join(sorted({entry.ip or entry.hostname for entry in ingress.status.loadBalancer.ingress} - {""}))
    return f"{found[: _ADDRESS_WIDTH - 3]}..." if len(found) > _ADDRESS_WIDTH else found


INGRESSES = (
    NAME,
    Column("Class", cell(lambda obj: NONE if obj.spec.ingressClassName is None else obj.spec.ingressClassName), description="Its class."),
    Column("Hosts", cell(_hosts), description="The hosts that it is for."),
    Column("Address", cell(_address), description="Where it can be reached."),
    Column("Ports", cell(lambda obj: "80, 443" if obj.spec.tls else "80"), description="Its ports: 443 as well if it has certificates."),
    AGE,
)


def _class_name(value: IngressClass) -> str:
    default = value.metadata.annotations.get(DEFAULT_INGRESS_CLASS) == "true"
    return f"{value.metadata.name} (default)" if default else value.metadata.name


def _parameters(value: IngressClass) -> str:
    parameters = value.spec.parameters
    if parameters is None:
        return NONE
    kind = parameters.kind if parameters.apiGroup is None else f"{parameters.kind}.{parameters.apiGroup}"
    return f"{kind}/{parameters.name}"


INGRESS_CLASSES = (
    Column("Name", cell(_class_name), format="name", description=NAME.description),
    Column("Controller", cell(lambda obj: obj.spec.controller), description="Who handles ingresses of the class."),
    Column("Parameters", cell(_parameters), description="The object with its settings."),
    AGE,
)

NETWORK_POLICIES = (
    NAME,
    Column("Pod-Selector", cell(lambda obj: format_selector(obj.spec.podSelector)), description="The pods that it is about."),
    AGE,
)


def _parent(value: IPAddress) -> str:
    parent = value.spec.parentRef
    if parent is None:
        return NONE
    resource = f"{parent.resource}.{parent.group}" if parent.group else parent.resource
    return "/".join(part for part in (resource.lower(), parent.namespace, parent.name) if part)


IP_ADDRESSES = (NAME, Column("ParentRef", cell(_parent), description="The object that has the address."), AGE)

SERVICE_CIDRS = (NAME, Column("CIDRs", cell(lambda obj: ",".join(obj.spec.cidrs)), description="The ranges."), AGE)
