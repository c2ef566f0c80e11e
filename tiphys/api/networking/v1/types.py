"""Ingress and network policies, networking/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.core.v1.volume import TypedLocalObjectReference
from tiphys.api.machinery.base import Atomic, IntOrString, MapList, Patch, Struct, always, constant, field
from tiphys.api.meta.v1.meta import Condition, KubeObject, LabelSelector


class ServiceBackendPort(Struct):
    """A port of a Service: by name or by number."""

    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    """Its name."""
    number: int = 0
    """Its number."""


class IngressServiceBackend(Struct):
    """A Service that requests go to."""

    name: str = always(str)
    """Its name."""
    port: ServiceBackendPort = always(ServiceBackendPort)
    """Its port."""


class IngressBackend(Struct):
    """Destination of requests: a Service or another object."""

    service: IngressServiceBackend | None = None
    """A Service."""
    resource: TypedLocalObjectReference | None = None
    """An object of the same namespace that the controller knows."""


class HTTPIngressPath(Struct):
    """Destination of requests for a path."""

    path: str = ""
    """The path, which begins with `/`."""
    pathType: str | None = None
    """`Exact`, `Prefix` by steps of the path, or `ImplementationSpecific`."""
    backend: IngressBackend = always(IngressBackend)
    """Where they go."""


class HTTPIngressRuleValue(Struct):
    """Destinations of requests for a host, by path."""

    paths: Annotated[list[HTTPIngressPath], Atomic()] = always(list)
    """By path."""


class ParentReference(Struct):
    """An object that holds an address."""

    group: str = ""
    """Its group."""
    resource: str = ""
    """Its resource."""
    namespace: str = ""
    """Its namespace."""
    name: str = ""
    """Its name."""


class IPAddressSpec(Struct):
    """Object that the address is allocated to."""

    parentRef: ParentReference | None = None
    """The object."""


class IPAddress(KubeObject):
    """An address that an object has taken; its name is the address."""

    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("IPAddress")
    spec: IPAddressSpec = always(IPAddressSpec)
    """What is wanted."""


class IPBlock(Struct):
    """A range of addresses."""

    cidr: str = always(str)
    """The range, such as `192.168.1.0/24`."""
    except_: Annotated[list[str], Atomic()] = field(name="except", default_factory=list)
    """Ranges inside it that do not count."""


class IngressPortStatus(Struct):
    """Observed state of a port of an Ingress."""

    port: int = always(int)
    """The port."""
    protocol: str = always(str)
    """`TCP`, `UDP` or `SCTP`."""
    error: str | None = None
    """What went wrong, in one word."""


class IngressLoadBalancerIngress(Struct):
    """A point at which an Ingress is reached."""

    ip: str = ""
    """Its address."""
    hostname: str = ""
    """Its name."""
    ports: Annotated[list[IngressPortStatus], Atomic()] = []
    """Its ports."""


class IngressLoadBalancerStatus(Struct):
    """Addresses at which an Ingress is reached."""

    ingress: Annotated[list[IngressLoadBalancerIngress], Atomic()] = []
    """The points."""


class IngressStatus(Struct):
    """Observed state of an Ingress."""

    loadBalancer: IngressLoadBalancerStatus = always(IngressLoadBalancerStatus)
    """The points at which it is reached."""


class IngressTLS(Struct):
    """A certificate for hosts."""

    hosts: Annotated[list[str], Atomic()] = []
    """The hosts."""
    secretName: str = ""
    """The Secret with certificate and key."""


class IngressRule(Struct):
    """Host, and the destinations of its requests."""

    host: str = ""
    """The host, `*.` in front for all names one step below; all hosts if empty."""
    http: HTTPIngressRuleValue | None = None
    """By path."""


class IngressSpec(Struct):
    """Rules, TLS and default backend of an Ingress."""

    ingressClassName: str | None = None
    """The class whose controller looks after it."""
    defaultBackend: IngressBackend | None = None
    """Where requests go that no rule fits."""
    tls: Annotated[list[IngressTLS], Atomic()] = []
    """Certificates by host."""
    rules: Annotated[list[IngressRule], Atomic()] = []
    """Where requests go, by host."""


class Ingress(KubeObject):
    """Leads HTTP from outside to Services."""

    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("Ingress")
    spec: IngressSpec = always(IngressSpec)
    """What is wanted."""
    status: IngressStatus = always(IngressStatus)
    """What was observed."""


class IngressClassParametersReference(Struct):
    """An object with settings of a controller."""

    apiGroup: str | None = None
    """Its group; empty for the core group."""
    kind: str = always(str)
    """Its kind."""
    name: str = always(str)
    """Its name."""
    scope: str | None = None
    """`Cluster` or `Namespace`."""
    namespace: str | None = None
    """Its namespace, with the second scope."""


class IngressClassSpec(Struct):
    """Controller of a class, and its parameters."""

    controller: str = ""
    """Its name, such as `example.com/ingress`."""
    parameters: IngressClassParametersReference | None = None
    """An object with its settings."""


class IngressClass(KubeObject):
    """A controller for Ingresses, with settings."""

    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("IngressClass")
    spec: IngressClassSpec = always(IngressClassSpec)
    """What is wanted."""


class NetworkPolicyPort(Struct):
    """Ports of a protocol."""

    protocol: str | None = None
    """`TCP`, `UDP` or `SCTP`; the first by default."""
    port: IntOrString | None = None
    """The port by number or name; all if absent."""
    endPort: int | None = None
    """The last port of a range that begins with `port`."""


class NetworkPolicyPeer(Struct):
    """The other end of a connection."""

    podSelector: LabelSelector | None = None
    """Pods, of the policy's namespace unless namespaces are selected too."""
    namespaceSelector: LabelSelector | None = None
    """Namespaces, whose pods are meant."""
    ipBlock: IPBlock | None = None
    """A range of addresses; alone."""


class NetworkPolicyEgressRule(Struct):
    """Connections that selected pods may open."""

    ports: Annotated[list[NetworkPolicyPort], Atomic()] = []
    """To these ports; any if empty."""
    to: Annotated[list[NetworkPolicyPeer], Atomic()] = []
    """To these peers; any if empty."""


class NetworkPolicyIngressRule(Struct):
    """Connections that selected pods take."""

    ports: Annotated[list[NetworkPolicyPort], Atomic()] = []
    """To these ports; any if empty."""
    from_: Annotated[list[NetworkPolicyPeer], Atomic()] = field(name="from", default_factory=list)
    """From these peers; any if empty."""


class NetworkPolicySpec(Struct):
    """The policy."""

    podSelector: LabelSelector = always(LabelSelector)
    """The pods that it is about; all of the namespace if empty."""
    ingress: Annotated[list[NetworkPolicyIngressRule], Atomic()] = []
    """Connections that they take; other ones are refused."""
    egress: Annotated[list[NetworkPolicyEgressRule], Atomic()] = []
    """Connections that they may open; other ones are refused."""
    policyTypes: Annotated[list[str], Atomic()] = []
    """`Ingress`, `Egress` or both: the directions in which it counts."""


class NetworkPolicy(KubeObject):
    """Traffic that selected pods may receive and send."""

    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("NetworkPolicy")
    spec: NetworkPolicySpec = always(NetworkPolicySpec)
    """What is wanted."""


class ServiceCIDRSpec(Struct):
    """The ranges."""

    cidrs: Annotated[list[str], Atomic()] = []
    """One range, or one of each IP family."""


class ServiceCIDRStatus(Struct):
    """Observed state of the ranges."""

    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""


class ServiceCIDR(KubeObject):
    """Ranges from which Services get their addresses."""

    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("ServiceCIDR")
    spec: ServiceCIDRSpec = always(ServiceCIDRSpec)
    """What is wanted."""
    status: ServiceCIDRStatus = always(ServiceCIDRStatus)
    """What was observed."""
