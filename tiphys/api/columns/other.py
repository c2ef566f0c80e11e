"""Tables of endpoint slices, bindings, leases, budgets and priorities."""

from __future__ import annotations

from tiphys.api.columns.base import AGE, NAME, cell, first_three
from tiphys.api.discovery.v1 import EndpointSlice
from tiphys.api.machinery.scheme import Column
from tiphys.api.rbac.v1 import ClusterRoleBinding, RoleBinding


def _slice_ports(value: EndpointSlice) -> str:
    return (
        first_three([str(port.port) if port.port is not None else port.name or "*" for port in value.ports]) if value.ports else "<unset>"
    )


def _slice_endpoints(value: EndpointSlice) -> str:
    addresses = [address for endpoint in value.endpoints or [] for address in endpoint.addresses]
    return first_three(addresses) if addresses else "<unset>"


ENDPOINT_SLICES = (
    NAME,
    Column("AddressType", cell(lambda obj: obj.addressType), description="IPv4, IPv6 or FQDN."),
    Column("Ports", cell(_slice_ports), description="The ports of all endpoints."),
    Column("Endpoints", cell(_slice_endpoints), description="The addresses."),
    AGE,
)


def _subjects(binding: RoleBinding | ClusterRoleBinding, kind: str) -> str:
    found = [subject for subject in binding.subjects if subject.kind == kind]
    if kind == "ServiceAccount":
        return ", ".join(f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name for subject in found)
    return ", ".join(subject.name for subject in found)


BINDINGS = (
    NAME,
    Column("Role", cell(lambda obj: f"{obj.roleRef.kind}/{obj.roleRef.name}"), description="The role that is granted."),
    AGE,
    Column("Users", cell(lambda obj: _subjects(obj, "User")), priority=1, description="The users it is granted to."),
    Column("Groups", cell(lambda obj: _subjects(obj, "Group")), priority=1, description="The groups it is granted to."),
    Column("ServiceAccounts", cell(lambda obj: _subjects(obj, "ServiceAccount")), priority=1, description="The accounts it is granted to."),
)

LEASES = (NAME, Column("Holder", cell(lambda obj: obj.spec.holderIdentity or ""), description="Who holds the lease."), AGE)


def _or_not(value: int | str | None) -> str:
    return "N/A" if value is None else str(value)


BUDGETS = (
    NAME,
    Column("Min Available", cell(lambda obj: _or_not(obj.spec.minAvailable)), description="How many pods must stay available."),
    Column("Max Unavailable", cell(lambda obj: _or_not(obj.spec.maxUnavailable)), description="How many pods may be unavailable."),
    Column(
        "Allowed Disruptions", cell(lambda obj: obj.status.disruptionsAllowed), type="integer", description="How many may be evicted now."
    ),
    AGE,
)

PRIORITY_CLASSES = (
    NAME,
    Column("Value", cell(lambda obj: obj.value), type="integer", description="The priority of its pods."),
    Column("Global-Default", cell(lambda obj: obj.globalDefault), type="boolean", description="Whether pods get it by default."),
    AGE,
    Column("PreemptionPolicy", cell(lambda obj: obj.preemptionPolicy or ""), description="Whether its pods drive others out."),
)
