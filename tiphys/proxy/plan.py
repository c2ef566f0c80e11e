"""From Services and EndpointSlices to what the kernel must do, as data. Pure.

    Service port --> Frontend (where packets are addressed to) --> endpoints (where they go), in turn

Which endpoints count follows "Virtual IPs and Service Proxies": ready ones; if there is none, those that are terminating but still serve;
with a Local policy only those of this node.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery

SERVICE_NAME = "kubernetes.io/service-name"
API_SERVICE = ("default", "kubernetes")
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


class Endpoint(NamedTuple):
    """Where packets go."""

    address: str
    port: int


class ServicePort(NamedTuple):
    """One port of one Service, with the endpoints that answer it."""

    name: str
    """`namespace/service:port`, for people who read the rules."""
    protocol: str
    cluster: tuple[Endpoint, ...]
    """Endpoints for traffic from inside the cluster."""
    external: tuple[Endpoint, ...]
    """Endpoints for traffic from outside: node ports, load balancers, external addresses."""
    affinity: int = 0
    """Seconds for which a client stays with its endpoint, 0 for none."""
    preserve_source: bool = False
    """Whether outside traffic keeps its source address (externalTrafficPolicy: Local)."""

    def chain(self, *, external: bool = False) -> str:
        """The name of the port's chain: stable, short and unique."""
        digest = hashlib.sha256(f"{self.name}/{self.protocol}".encode()).hexdigest()[:12]
        return f"{'ext' if external else 'svc'}-{digest}"


class Frontend(NamedTuple):
    """An address, or "" for any address of this node (a node port), and a port."""

    address: str
    protocol: str
    port: int


class Plan(NamedTuple):
    """All the kernel must know."""

    frontends: Mapping[Frontend, tuple[ServicePort, bool]]
    """What is addressed, and which set of endpoints answers (True: the external one)."""
    hairpins: frozenset[str]
    """Endpoint addresses: a pod that reaches itself through a Service must see another source than itself."""


def plan(
    services: Iterable[core.Service],
    slices: Iterable[discovery.EndpointSlice],
    *,
    node: str,
    skip: frozenset[str] = frozenset(),
    local_api: Endpoint | None = None,
) -> Plan:
    """The plan for a node.

    Addresses in `skip` are answered by the node itself (cluster DNS). `local_api` stands in for the endpoints of the API server's Service.
    """
    by_service: dict[tuple[str, str], list[discovery.EndpointSlice]] = defaultdict(list)
    for piece in slices:
        if piece.addressType == "IPv4":
            by_service[piece.metadata.namespace, piece.metadata.labels.get(SERVICE_NAME, "")].append(piece)
    frontends: dict[Frontend, tuple[ServicePort, bool]] = {}
    hairpins: set[str] = set()
    for service in sorted(services, key=lambda s: (s.metadata.namespace, s.metadata.name)):
        if service.spec.type == "ExternalName":
            continue
        key = (service.metadata.namespace, service.metadata.name)
        for port in service.spec.ports:
            planned = _service_port(service, port, by_service.get(key, ()), node)
            if local_api is not None and key == API_SERVICE:
                planned = planned._replace(cluster=(local_api,), external=(local_api,))
            hairpins.update(endpoint.address for endpoint in (*planned.cluster, *planned.external))
            for frontend, external in _frontends(service, port):
                if frontend.address not in skip:
                    frontends.setdefault(frontend, (planned, external))
    return Plan(frontends, frozenset(hairpins))


def _frontends(service: core.Service, port: core.ServicePort) -> Iterable[tuple[Frontend, bool]]:
    spec = service.spec
    protocol = PROTOCOLS.get(port.protocol or "TCP", "tcp")
    if spec.clusterIP and spec.clusterIP != "None":
        yield Frontend(spec.clusterIP, protocol, port.port), False
    for address in spec.externalIPs:
        yield Frontend(address, protocol, port.port), True
    for ingress in service.status.loadBalancer.ingress:
        if ingress.ip:
            yield Frontend(ingress.ip, protocol, port.port), True
    if port.nodePort:
        yield Frontend("", protocol, port.nodePort), True


def _service_port(service: core.Service, port: core.ServicePort, slices: Iterable[discovery.EndpointSlice], node: str) -> ServicePort:
    spec = service.spec
    ready: list[tuple[Endpoint, bool]] = []
    terminating: list[tuple[Endpoint, bool]] = []
    for piece in slices:
        numbers = [p.port for p in piece.ports if (p.name or "") == port.name and (p.protocol or "TCP") == (port.protocol or "TCP")]
        number = numbers[0] if numbers else None
        if number is None:
            continue
        for endpoint in piece.endpoints:
            conditions = endpoint.conditions
            local = endpoint.nodeName == node
            if conditions.ready is not False:
                ready += [(Endpoint(address, number), local) for address in endpoint.addresses]
            elif conditions.terminating and conditions.serving is not False:
                terminating += [(Endpoint(address, number), local) for address in endpoint.addresses]
    affinity = 0
    if spec.sessionAffinity == "ClientIP":
        config = spec.sessionAffinityConfig
        affinity = (config.clientIP.timeoutSeconds if config and config.clientIP else None) or 10800
    keep_local = spec.externalTrafficPolicy == "Local"
    return ServicePort(
        name=f"{service.metadata.namespace}/{service.metadata.name}:{port.name or port.port}",
        protocol=PROTOCOLS.get(port.protocol or "TCP", "tcp"),
        cluster=_choose(ready, terminating, only_local=spec.internalTrafficPolicy == "Local"),
        external=_choose(ready, terminating, only_local=keep_local),
        affinity=affinity,
        preserve_source=keep_local,
    )


def _choose(ready: list[tuple[Endpoint, bool]], terminating: list[tuple[Endpoint, bool]], *, only_local: bool) -> tuple[Endpoint, ...]:
    for candidates in (ready, terminating):
        chosen = {endpoint for endpoint, local in candidates if local or not only_local}
        if chosen:
            return tuple(sorted(chosen))
    return ()
