"""IPAddress: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core.uncounted import Uncounted
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.errors import required
from tiphys.api.machinery.names import dns_subdomain_messages
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.networking import GROUP
from tiphys.api.networking import v1 as networking
from tiphys.api.networking.shared import required_segment
from tiphys.api.networking.v1 import IPAddress
from tiphys.api.rules.addresses import canonical_ip_messages
from tiphys.api.rules.basics import Errors, immutable, text


def validate_ip_address(value: IPAddress) -> Errors:
    """Return the mistakes in the parent of an address ("Extend Service IP Ranges")."""
    errors: Errors = []
    parent = value.spec.parentRef
    if parent is None:
        errors.append(required("spec.parentRef"))
        return errors
    if parent.group:
        text(errors, "spec.parentRef.group", parent.group, dns_subdomain_messages(parent.group))
    required_segment(errors, "spec.parentRef.resource", parent.resource)
    required_segment(errors, "spec.parentRef.name", parent.name)
    if parent.namespace:
        required_segment(errors, "spec.parentRef.namespace", parent.namespace)
    return errors


def validate_ip_address_update(new: IPAddress, old: IPAddress) -> Errors:
    """Refuse changes of the parent."""
    errors: Errors = []
    immutable(errors, "spec.parentRef", new.spec.parentRef, old.spec.parentRef)
    return errors


class IPAddressRules(Uncounted[IPAddress]):
    validate = staticmethod(validate_ip_address)
    validate_update = staticmethod(validate_ip_address_update)

    def validate_name(self, name: str) -> str:
        return "; ".join(canonical_ip_messages(name))


def _parent(value: IPAddress) -> str:
    parent = value.spec.parentRef
    if parent is None:
        return NONE
    resource = f"{parent.resource}.{parent.group}" if parent.group else parent.resource
    return "/".join(part for part in (resource.lower(), parent.namespace, parent.name) if part)


COLUMNS = (NAME, Column("ParentRef", cell(_parent), description="The object that has the address."), AGE)

IP_ADDRESSES: Kind[networking.IPAddress] = Kind(
    type=networking.IPAddress,
    plural="ipaddresses",
    rules=IPAddressRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    short_names=("ip",),
)
