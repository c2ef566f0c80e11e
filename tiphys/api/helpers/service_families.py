"""Address families of Services in a cluster whose Services have IPv4 addresses alone ("IPv4/IPv6 dual-stack")."""

from __future__ import annotations

from tiphys.api.core.v1 import ServiceSpec
from tiphys.api.machinery.errors import FieldError, invalid

FAMILY = "IPv4"
_ONE = "must be 'RequireDualStack' or 'PreferDualStack' when multiple"


def family_errors(spec: ServiceSpec, old: ServiceSpec | None) -> list[FieldError]:
    """Wishes for families that this cluster does not have; none in what was so before.

    Endpoints of a headless Service without a selector are written by hand and may be of any family.
    """
    if old is not None and _wishes(spec) == _wishes(old):
        return []
    if spec.type == "ExternalName" or (spec.clusterIP == "None" and not spec.selector):
        return []
    policy = spec.ipFamilyPolicy
    errors = [
        invalid("spec.ipFamilyPolicy", policy, f"{_ONE} {what} are specified")
        for listed, what in ((spec.clusterIPs, "cluster IPs"), (spec.ipFamilies, "IP families"))
        if policy == "SingleStack" and len(listed) == 2
    ]
    if errors:
        return errors
    if policy == "RequireDualStack":
        errors.append(invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services"))
    for index, family in enumerate(spec.ipFamilies):
        if family == FAMILY:
            continue
        if index < len(spec.clusterIPs) and ":" in spec.clusterIPs[index]:
            # A client that chose an address usually left out families.
            errors.append(invalid(f"spec.clusterIPs[{index}]", spec.clusterIPs, f"{family} is not configured on this cluster"))
        else:
            errors.append(invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    return errors


def _wishes(spec: ServiceSpec) -> tuple[list[str], list[str], str | None]:
    return spec.clusterIPs, spec.ipFamilies, spec.ipFamilyPolicy
