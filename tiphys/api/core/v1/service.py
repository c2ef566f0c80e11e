"""The core group, v1: service."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, IntOrString, MapList, Patch, Struct, always, constant
from tiphys.api.meta.v1.meta import Condition, KubeObject


class ClientIPConfig(Struct):
    """Session affinity by client address."""

    timeoutSeconds: int | None = None
    """Seconds of silence after which a client may get another endpoint: 1 to 86400, 10800 by default."""


class PortStatus(Struct):
    """Observed state of a port of a load balancer."""

    port: int = always(int)
    """The port."""
    protocol: str = always(str)
    """`TCP`, `UDP` or `SCTP`."""
    error: str | None = None
    """Error of the port, if any."""


class LoadBalancerIngress(Struct):
    """One way in through a load balancer."""

    ip: str = ""
    """Its address, if it has one."""
    hostname: str = ""
    """Its name, if it is reached by name."""
    ipMode: str | None = None
    """`VIP` when packets arrive with the balancer's address (default), `Proxy` when they arrive with that of the node or pod."""
    ports: Annotated[list[PortStatus], Atomic()] = []
    """Observed state of its ports."""


class LoadBalancerStatus(Struct):
    """The ways in through a load balancer."""

    ingress: Annotated[list[LoadBalancerIngress], Atomic()] = []
    """Addresses and names of the balancer."""


class SessionAffinityConfig(Struct):
    """Details of session affinity."""

    clientIP: ClientIPConfig | None = None
    """Details of affinity by client address."""


class ServicePort(Struct):
    """A port of a Service."""

    name: str = ""
    """A DNS label, needed and unique when there are several ports."""
    protocol: str = ""
    """`TCP` (default), `UDP` or `SCTP`."""
    appProtocol: str | None = None
    """Application protocol of the port, such as `http` or `kubernetes.io/h2c`: a hint for those who route it."""
    port: int = always(int)
    """The port that clients connect to, 1 to 65535."""
    targetPort: IntOrString | None = None
    """The port of the pods, by number or by the name of a container port. The same as port by default."""
    nodePort: int = 0
    """The port of every node that leads here, for types NodePort and LoadBalancer. Chosen by the cluster if 0."""


class ServiceSpec(Struct):
    """Ports of a Service, the pods behind it and its addresses."""

    ports: Annotated[list[ServicePort], MapList("port", "protocol"), Patch("merge", "port")] = []
    """Its ports. A headless Service may do without."""
    selector: Annotated[dict[str, str], Atomic()] = {}
    """Labels of the pods behind it. Without a selector somebody else writes its endpoints."""
    clusterIP: str = ""
    """Its address in the cluster, chosen by the cluster if empty. `None` makes it headless: its name leads to the pods themselves. It
    cannot be changed."""
    clusterIPs: Annotated[list[str], Atomic()] = []
    """Its addresses, at most one per family; the first is clusterIP."""
    type: str = ""
    """`ClusterIP` (default: inside the cluster), `NodePort` (on every node), `LoadBalancer` (through a balancer) or `ExternalName` (an
    alias)."""
    externalIPs: Annotated[list[str], Atomic()] = []
    """Further addresses, routed to nodes by somebody else, on which nodes accept its traffic."""
    sessionAffinity: str = ""
    """`None` (default), or `ClientIP` to send each client to the same pod."""
    loadBalancerIP: str = ""
    """The address asked of the load balancer; few providers heed it."""
    loadBalancerSourceRanges: Annotated[list[str], Atomic()] = []
    """Address ranges that may use the load balancer; all if empty."""
    externalName: str = ""
    """External name of the Service, with type ExternalName."""
    externalTrafficPolicy: str = ""
    """Routing of traffic from outside: `Cluster` (default) spreads it over all endpoints, `Local` keeps it on the node and keeps
    the client's address."""
    healthCheckNodePort: int = 0
    """The port on which nodes tell the load balancer whether they have endpoints, with `Local`. Cannot be changed."""
    publishNotReadyAddresses: bool = False
    """True if pods that are not ready are published too. False by default."""
    sessionAffinityConfig: SessionAffinityConfig | None = None
    """Details of session affinity."""
    ipFamilies: Annotated[list[str], Atomic()] = []
    """Families of its addresses, such as `IPv4`; chosen by the cluster if empty. The first cannot be changed."""
    ipFamilyPolicy: str | None = None
    """Policy for address families: `SingleStack` (default), `PreferDualStack` or `RequireDualStack`."""
    allocateLoadBalancerNodePorts: bool | None = None
    """True if a LoadBalancer Service also gets node ports. True by default."""
    loadBalancerClass: str | None = None
    """Class of the load balancer; the cluster's default if absent. Cannot be changed."""
    internalTrafficPolicy: str | None = None
    """Routing of traffic from pods: `Cluster` (default) uses all endpoints, `Local` only those on the same node."""
    trafficDistribution: str | None = None
    """A preference among endpoints: `PreferSameZone`, `PreferSameNode`, or `PreferClose`, the old name of the first."""


class ServiceStatus(Struct):
    """Observed state of a Service."""

    loadBalancer: LoadBalancerStatus = always(LoadBalancerStatus)
    """The ways in through its load balancer."""
    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of its state, one of each type."""


class Service(KubeObject):
    """A stable address and name for a changing set of pods."""

    apiVersion: str = constant("v1")
    kind: str = constant("Service")
    spec: ServiceSpec = always(ServiceSpec)
    """Desired state of the Service."""
    status: ServiceStatus = always(ServiceStatus)
    """Observed state of the Service."""
