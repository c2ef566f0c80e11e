"""From a Service and its EndpointSlices to the translations that the kernel must do, as data. Pure.

    Frontend (where packets are addressed to) --> PortPlan --> Endpoint (where they go), in turn

Behavior follows "Virtual IPs and Service Proxies" and "Service Internal Traffic Policy": ready endpoints count; if there is none, those
that are terminating but still serve. With a Local policy only those of this node count; without one, hints may narrow the choice to
those near this node (`topology`). Services and slices with one of the labels `service.kubernetes.io/service-proxy-name` and
`service.kubernetes.io/headless` ("Well-Known Labels, Annotations and Taints") are left to others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Literal, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.cached import cached
from tiphys.proxy.topology import Audience, audience_of, near

SERVICE_PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"
API_SERVICE = ("default", "kubernetes")
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
DEFAULT_AFFINITY = 10800

Access = Literal["inside", "outside", "balancer"]
"""Path of a client: by the cluster IP; by a node port or an external IP; by the IP of a load balancer."""


class Endpoint(NamedTuple):
    """Destination of packets."""

    address: str
    port: int


class Frontend(NamedTuple):
    """Address that clients use: an IP, or "" for any address of this node (a node port), and a port."""

    address: str
    protocol: str
    port: int


class PortPlan(NamedTuple):
    """Port of a Service: the clients it admits, and its endpoints."""

    name: str
    """`namespace/service:port`, for people who read the rules."""
    protocol: str
    frontends: tuple[tuple[Frontend, Access], ...]
    everywhere: tuple[Endpoint, ...]
    """Endpoints in the whole cluster, or those that hints assign to this node."""
    here: tuple[Endpoint, ...]
    """Endpoints on this node."""
    inside_local: bool = False
    """True if clients inside the cluster reach endpoints of this node only (internalTrafficPolicy: Local)."""
    outside_local: bool = False
    """The same for clients outside; they keep their source address then (externalTrafficPolicy: Local)."""
    affinity: int = 0
    """Seconds for which a client stays with its endpoint, 0 for none."""
    sources: tuple[str, ...] = ()
    """Networks that may come through the load balancer; none means all."""
    others: tuple[Endpoint, ...] = ()
    """Endpoints that hints leave to other nodes: new connections avoid them, present UDP flows stay."""

    @property
    def digest(self) -> str:
        """Digest that names the port's chains: stable, short, unique."""
        return hashlib.sha256(f"{self.name}/{self.protocol}".encode()).hexdigest()[:12]

    @property
    def reachable(self) -> tuple[Endpoint, ...]:
        """Endpoints that new connections of some client on this node reach."""
        local = self.here if self.inside_local or self.outside_local else ()
        return tuple(dict.fromkeys((*self.everywhere, *local)))


class Context(NamedTuple):
    """Inputs of a plan besides the objects."""

    node: str
    zone: str = ""
    """Zone of the node; "" when it has none or is not known yet."""
    skip: frozenset[str] = frozenset()
    """Addresses that the node answers itself (cluster DNS)."""
    local_api: Endpoint | None = None
    """Stands in for the endpoints of the API server's Service."""


@cached(weight=1 << 20)
def is_ipv4(text: str) -> bool:
    """Return whether text is an IPv4 address. Nothing else ever reaches a rule, so nothing in an object can become a command."""
    try:
        IPv4Address(text)
    except (AddressValueError, ValueError):
        return False
    return True


def plan_service(service: core.Service, slices: Iterable[discovery.EndpointSlice], context: Context) -> tuple[PortPlan, ...]:
    """Return the plan for a Service on a node; empty when there is nothing to translate (headless, ExternalName, another proxy's)."""
    spec = service.spec
    if spec.type == "ExternalName" or is_left_alone(service.metadata.labels):
        return ()
    pieces = [piece for piece in slices if piece.addressType == "IPv4" and not is_left_alone(piece.metadata.labels)]
    plans = []
    for port in spec.ports:
        frontends = tuple((frontend, access) for frontend, access in _frontends(service, port) if frontend.address not in context.skip)
        if frontends:
            plans.append(_plan_port(service, port, pieces, frontends, context))
    return tuple(plans)


def is_left_alone(labels: Mapping[str, str]) -> bool:
    """Return whether another proxy, or none, handles an object. The value of the label does not matter, not even "" or "false"."""
    return SERVICE_PROXY_NAME in labels or HEADLESS in labels


def _frontends(service: core.Service, port: core.ServicePort) -> Iterable[tuple[Frontend, Access]]:
    spec = service.spec
    protocol = PROTOCOLS.get(port.protocol or "TCP", "tcp")
    if is_ipv4(spec.clusterIP):
        yield Frontend(spec.clusterIP, protocol, port.port), "inside"
    for address in spec.externalIPs:
        if is_ipv4(address):
            yield Frontend(address, protocol, port.port), "outside"
    if spec.type == "LoadBalancer":
        for ingress in service.status.loadBalancer.ingress:
            # A balancer in mode Proxy must see the traffic itself.
            if is_ipv4(ingress.ip) and ingress.ipMode != "Proxy":
                yield Frontend(ingress.ip, protocol, port.port), "balancer"
    if port.nodePort:
        yield Frontend("", protocol, port.nodePort), "outside"


def _plan_port(
    service: core.Service,
    port: core.ServicePort,
    slices: Iterable[discovery.EndpointSlice],
    frontends: tuple[tuple[Frontend, Access], ...],
    context: Context,
) -> PortPlan:
    spec = service.spec
    meta = service.metadata
    everywhere: tuple[Endpoint, ...]
    here: tuple[Endpoint, ...]
    others: tuple[Endpoint, ...] = ()
    if context.local_api is not None and (meta.namespace, meta.name) == API_SERVICE:
        everywhere = here = (context.local_api,)
    else:
        ready, leaving = _endpoints(port, slices, context.node)
        chosen = near([candidate.audience for candidate in ready], context.node, context.zone)
        everywhere = _choose([candidate for candidate, is_near in zip(ready, chosen, strict=True) if is_near], leaving)
        here = _choose([candidate for candidate in ready if candidate.local], [candidate for candidate in leaving if candidate.local])
        others = tuple(sorted({candidate.endpoint for candidate in ready} - {*everywhere}))
    affinity = 0
    if spec.sessionAffinity == "ClientIP":
        config = spec.sessionAffinityConfig
        affinity = (config.clientIP.timeoutSeconds if config and config.clientIP else None) or DEFAULT_AFFINITY
    return PortPlan(
        name=f"{meta.namespace}/{meta.name}:{port.name or port.port}",
        protocol=PROTOCOLS.get(port.protocol or "TCP", "tcp"),
        frontends=frontends,
        everywhere=everywhere,
        here=here,
        inside_local=spec.internalTrafficPolicy == "Local",
        outside_local=spec.externalTrafficPolicy == "Local",
        affinity=affinity,
        sources=_networks(spec.loadBalancerSourceRanges),
        others=others,
    )


class Candidate(NamedTuple):
    """Endpoint to choose from."""

    endpoint: Endpoint
    local: bool
    """True if it is on this node."""
    audience: Audience


def _endpoints(port: core.ServicePort, slices: Iterable[discovery.EndpointSlice], node: str) -> tuple[list[Candidate], list[Candidate]]:
    """Return the endpoints of a port that are ready, and those that are terminating but serve."""
    ready: list[Candidate] = []
    leaving: list[Candidate] = []
    for piece in slices:
        target = (port.name, port.protocol or "TCP")
        number = next((p.port for p in piece.ports or [] if (p.name or "", p.protocol or "TCP") == target), None)
        if number is None:
            continue
        for endpoint in piece.endpoints or []:
            conditions = endpoint.conditions
            if conditions.ready is not False:
                chosen = ready
            elif conditions.terminating and conditions.serving is not False:
                chosen = leaving
            else:
                continue
            local = endpoint.nodeName == node
            audience = audience_of(endpoint)
            chosen += [Candidate(Endpoint(address, number), local, audience) for address in endpoint.addresses if is_ipv4(address)]
    return ready, leaving


def _choose(ready: list[Candidate], leaving: list[Candidate]) -> tuple[Endpoint, ...]:
    return tuple(sorted({candidate.endpoint for candidate in ready or leaving}))


def _networks(texts: Iterable[str]) -> tuple[str, ...]:
    networks = set()
    for text in texts:
        try:
            networks.add(str(IPv4Network(text.strip(), strict=False)))
        except ValueError:
            continue
    return tuple(sorted(networks))
