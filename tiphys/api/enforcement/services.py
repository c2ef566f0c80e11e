"""Services."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Section, enforced, informational, refused, warned

_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_NO_BALANCER = "this cluster has no load balancer of its own"
_NO_IPV6 = "not configured on this cluster"

SERVICES = Section(
    title="Services",
    kind="Service",
    entries=(
        *enforced(core.ServiceSpec, "selector publishNotReadyAddresses", "controllers.endpoints.backends"),
        *enforced(core.ServiceSpec, "clusterIP clusterIPs", "apiserver.allocate", "proxy.plan"),
        *enforced(core.ServiceSpec, "type", "proxy.plan", "apiserver.allocate", case="ClusterIP, NodePort, ExternalName"),
        *warned(
            core.ServiceSpec, "type", f"{_NO_BALANCER}, the Service stays pending until something else gives it an address",
            {"type": "LoadBalancer"},
            case="LoadBalancer", when=lambda spec: spec.type == "LoadBalancer" and spec.loadBalancerClass is None,
        ),
        *enforced(core.ServiceSpec, "externalIPs loadBalancerSourceRanges", "proxy.plan"),
        *enforced(core.ServiceSpec, "sessionAffinity externalTrafficPolicy internalTrafficPolicy", "proxy.plan"),
        *enforced(core.ServiceSpec, "externalName", "dns.zone"),
        *enforced(core.ServiceSpec, "allocateLoadBalancerNodePorts", "apiserver.allocate"),
        *informational(core.ServiceSpec, "loadBalancerClass", "For whatever makes load balancers."),
        *warned(core.ServiceSpec, "loadBalancerIP", f"{_NO_BALANCER}, it has no effect", {"loadBalancerIP": "192.0.2.1"}),
        *enforced(core.ServiceSpec, "healthCheckNodePort", "proxy.health", "apiserver.allocate"),
        *enforced(core.ServiceSpec, "trafficDistribution", "controllers.endpoints.hints", "proxy.topology"),
        *enforced(core.Service, "metadata.annotations", "controllers.endpoints.balance", "proxy.topology", keys=_TOPOLOGY_MODE),
        *enforced(core.ServiceSpec, "ipFamilies", "controllers.endpoints.backends", case="IPv4"),
        *enforced(core.ServiceSpec, "ipFamilyPolicy", "api.helpers.service_families", case="SingleStack, PreferDualStack"),
        *refused(core.ServiceSpec, "ipFamilies", _NO_IPV6, {"ipFamilies": ["IPv6"]}, case="IPv6"),
        *refused(
            core.ServiceSpec, "ipFamilyPolicy", "this cluster is not configured for dual-stack services",
            {"ipFamilyPolicy": "RequireDualStack"}, case="RequireDualStack",
        ),
        *enforced(core.ServicePort, "name port protocol nodePort", "proxy.plan"),
        *enforced(core.ServicePort, "targetPort", "controllers.endpoints.backends"),
        *informational(core.ServicePort, "appProtocol", "Copied to the endpoints, for programs that read them."),
        *enforced(core.ClientIPConfig, "timeoutSeconds", "proxy.plan"),
    ),
)  # fmt: skip
