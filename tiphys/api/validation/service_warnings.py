"""What a Service is warned of: fields that its type ignores, odd addresses, and what is going to be dropped."""

from __future__ import annotations

from tiphys.api.core.v1 import Service
from tiphys.api.rules.addresses import cidr_warnings, ip_warnings
from tiphys.api.validation.service import is_headless

EXTERNAL_NAME = "ExternalName"
_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"


def service_warnings(service: Service) -> list[str]:
    """Sentences for `Warning` headers."""
    spec = service.spec
    external, headless = spec.type == EXTERNAL_NAME, spec.type == "ClusterIP" and is_headless(spec)
    found: list[str] = []
    if _HINTS in service.metadata.annotations:
        found.append(f"annotation {_HINTS} is deprecated, please use {_MODE} instead")
    if not external and not is_headless(spec):
        for index, address in enumerate(spec.clusterIPs):
            found += ip_warnings(f"spec.clusterIPs[{index}]", address)
    if headless:
        ignored = (
            ("loadBalancerIP", spec.loadBalancerIP),
            ("externalIPs", spec.externalIPs),
            ("SessionAffinity", spec.sessionAffinity != "None"),
        )
        found += [f"spec.{name} is ignored for headless services" for name, value in ignored if value]
    for index, address in enumerate(spec.externalIPs):
        found += ip_warnings(f"spec.externalIPs[{index}]", address)
    if spec.externalIPs and not headless and not external:
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.loadBalancerIP:
        found += ip_warnings("spec.loadBalancerIP", spec.loadBalancerIP)
    for index, text in enumerate(spec.loadBalancerSourceRanges):
        found += cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", text)
    if external and spec.externalIPs:
        found.append(f'spec.externalIPs is ignored when spec.type is "{EXTERNAL_NAME}"')
    if not external and spec.externalName:
        found.append(f'spec.externalName is ignored when spec.type is not "{EXTERNAL_NAME}"')
    if spec.trafficDistribution == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found
