"""Fields that a Service keeps when it changes, and those that it gives up ("Service": type, clusterIP, nodePort).

Users and tools send Services back without the addresses and ports that the cluster allocated; those are carried over. When the type
changes, fields that the new type does not have are dropped, unless the user changed them as well, which is a mistake to be told.
"""

from __future__ import annotations

from tiphys.api.core.v1 import LoadBalancerStatus, Service, ServiceSpec


def has_cluster_ip(spec: ServiceSpec) -> bool:
    return spec.type != "ExternalName"


def has_node_ports(spec: ServiceSpec) -> bool:
    return spec.type in ("NodePort", "LoadBalancer")


def is_exposed(spec: ServiceSpec) -> bool:
    """True if the Service can be reached from outside the cluster."""
    return has_node_ports(spec) or (spec.type == "ClusterIP" and bool(spec.externalIPs))


def needs_health_check(spec: ServiceSpec) -> bool:
    return spec.type == "LoadBalancer" and spec.externalTrafficPolicy == "Local"


def carry_over(new: Service, old: Service) -> None:
    """Copy allocations of `old` to `new` where it has none, then drop those that its type lacks."""
    _keep_allocated(new.spec, old.spec)
    _synchronize(new.spec, old.spec)
    _drop_by_type(new.spec, old.spec)
    if new.spec.type != "LoadBalancer":
        new.status.loadBalancer = LoadBalancerStatus()


def _keep_allocated(new: ServiceSpec, old: ServiceSpec) -> None:
    if has_cluster_ip(new) and has_cluster_ip(old):
        new.clusterIP = new.clusterIP or old.clusterIP
        if new.clusterIP == old.clusterIP and not new.clusterIPs:
            new.clusterIPs = list(old.clusterIPs)
    if has_node_ports(new) and has_node_ports(old):
        before = {(port.protocol, port.port): port.nodePort for port in old.ports}
        used = {(port.protocol, port.nodePort) for port in new.ports if port.nodePort}
        for port in new.ports:
            node_port = before.get((port.protocol, port.port), 0)
            if not port.nodePort and node_port and (port.protocol, node_port) not in used:
                port.nodePort = node_port
                used.add((port.protocol, node_port))
    if needs_health_check(new) and needs_health_check(old) and not new.healthCheckNodePort:
        new.healthCheckNodePort = old.healthCheckNodePort


def _synchronize(new: ServiceSpec, old: ServiceSpec) -> None:
    """clusterIP and the first of clusterIPs say the same; a change of either one is a change of both."""
    if new.clusterIP == old.clusterIP and new.clusterIPs != old.clusterIPs:
        if new.clusterIPs and not new.clusterIP:
            new.clusterIP = new.clusterIPs[0]
    elif new.clusterIP != old.clusterIP and new.clusterIPs == old.clusterIPs:
        new.clusterIPs = [new.clusterIP, *new.clusterIPs[1:]] if new.clusterIP else []


def _drop_by_type(new: ServiceSpec, old: ServiceSpec) -> None:
    if has_cluster_ip(old) and not has_cluster_ip(new):
        if (new.clusterIP, new.clusterIPs) == (old.clusterIP, old.clusterIPs):
            new.clusterIP, new.clusterIPs = "", []
        if new.ipFamilies == old.ipFamilies:
            new.ipFamilies = []
        if new.ipFamilyPolicy == old.ipFamilyPolicy:
            new.ipFamilyPolicy = None
    if has_node_ports(old) and not has_node_ports(new) and _node_ports(new) <= _node_ports(old):
        for port in new.ports:
            port.nodePort = 0
    if needs_health_check(old) and not needs_health_check(new) and new.healthCheckNodePort == old.healthCheckNodePort:
        new.healthCheckNodePort = 0
    if old.type == "LoadBalancer" and new.type != "LoadBalancer":
        if new.allocateLoadBalancerNodePorts == old.allocateLoadBalancerNodePorts:
            new.allocateLoadBalancerNodePorts = None
        if new.loadBalancerClass == old.loadBalancerClass:
            new.loadBalancerClass = None
    if is_exposed(old) and not is_exposed(new) and new.externalTrafficPolicy == old.externalTrafficPolicy:
        new.externalTrafficPolicy = ""


def _node_ports(spec: ServiceSpec) -> set[int]:
    return {port.nodePort for port in spec.ports}
