"""ServiceCIDR: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core.uncounted import Uncounted
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import invalid, required
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.networking import GROUP
from tiphys.api.networking import v1 as networking
from tiphys.api.networking.v1 import ServiceCIDR
from tiphys.api.rules.addresses import canonical_cidr, family_of
from tiphys.api.rules.basics import IMMUTABLE, Errors, immutable


def validate_service_cidr(value: ServiceCIDR) -> Errors:
    """Return the mistakes in the ranges: one, or one of each family ("Extend Service IP Ranges")."""
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
            message = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            errors.append(invalid(path, cidrs, message))
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


class ServiceCIDRRules(Uncounted[ServiceCIDR]):
    resets = METADATA_STAYS

    validate = staticmethod(validate_service_cidr)
    validate_update = staticmethod(validate_service_cidr_update)


COLUMNS = (NAME, Column("CIDRs", cell(lambda obj: ",".join(obj.spec.cidrs)), description="The ranges."), AGE)

SERVICE_CIDRS: Kind[networking.ServiceCIDR] = Kind(
    type=networking.ServiceCIDR,
    plural="servicecidrs",
    rules=ServiceCIDRRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
)
