"""What people are told about a Service that is allowed but probably not what they mean. Words and order are upstream's."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.api.core.v1 import Service
from tiphys.api.validation.addresses import cidr_warnings, ip_warnings

_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"


def service_warnings(service: Service) -> list[str]:
    """Warnings about a Service, new or changed."""
    return list(_warnings(service))


def _warnings(service: Service) -> Iterator[str]:
    spec = service.spec
    headless = spec.type == "ClusterIP" and spec.clusterIP == "None"
    if _HINTS in service.metadata.annotations:
        yield f"annotation {_HINTS} is deprecated, please use {_MODE} instead"
    if spec.clusterIP not in ("", "None"):
        for index, address in enumerate(spec.clusterIPs):
            yield from ip_warnings(f"spec.clusterIPs[{index}]", address)
    if headless:
        if spec.loadBalancerIP:
            yield "spec.loadBalancerIP is ignored for headless services"
        if spec.externalIPs:
            yield "spec.externalIPs is ignored for headless services"
        if spec.sessionAffinity != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    for index, address in enumerate(spec.externalIPs):
        yield from ip_warnings(f"spec.externalIPs[{index}]", address)
    if spec.externalIPs and not headless and spec.type != "ExternalName":
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if spec.loadBalancerIP:
        yield from ip_warnings("spec.loadBalancerIP", spec.loadBalancerIP)
    for index, source in enumerate(spec.loadBalancerSourceRanges):
        yield from cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", source)
    if spec.type == "ExternalName" and spec.externalIPs:
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if spec.type != "ExternalName" and spec.externalName:
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.trafficDistribution == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
