"""Defaults of Services and of the objects that carry their endpoints."""

from __future__ import annotations

from tiphys.api.core.v1 import ClientIPConfig, Endpoints, Service, ServiceSpec, SessionAffinityConfig
from tiphys.api.discovery.v1 import EndpointSlice

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


def default_endpoints(endpoints: Endpoints) -> None:
    for subset in endpoints.subsets:
        for port in subset.ports:
            port.protocol = port.protocol or "TCP"


def default_endpoint_slice(endpoint_slice: EndpointSlice) -> None:
    for port in endpoint_slice.ports or []:
        if port.name is None:
            port.name = ""
        if port.protocol is None:
            port.protocol = "TCP"
