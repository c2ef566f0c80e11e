"""Ingress and network policies, networking/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, IntOrString, MapList, Patch, Struct, always, constant, field
from tiphys.api.core.v1.volume import TypedLocalObjectReference
from tiphys.api.meta.v1.meta import Condition, KubeObject, LabelSelector


class ServiceBackendPort(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    number: int = 0


class IngressServiceBackend(Struct):
    name: str = always(str)
    port: ServiceBackendPort = always(ServiceBackendPort)


class IngressBackend(Struct):
    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None


class HTTPIngressPath(Struct):
    path: str = ""
    pathType: str | None = None
    backend: IngressBackend = always(IngressBackend)


class HTTPIngressRuleValue(Struct):
    paths: Annotated[list[HTTPIngressPath], Atomic()] = always(list)


class ParentReference(Struct):
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


class IPAddressSpec(Struct):
    parentRef: ParentReference | None = None


class IPAddress(KubeObject):
    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("IPAddress")
    spec: IPAddressSpec = always(IPAddressSpec)


class IPBlock(Struct):
    cidr: str = always(str)
    except_: Annotated[list[str], Atomic()] = field(name="except", default_factory=list)


class IngressPortStatus(Struct):
    port: int = always(int)
    protocol: str = always(str)
    error: str | None = None


class IngressLoadBalancerIngress(Struct):
    ip: str = ""
    hostname: str = ""
    ports: Annotated[list[IngressPortStatus], Atomic()] = []


class IngressLoadBalancerStatus(Struct):
    ingress: Annotated[list[IngressLoadBalancerIngress], Atomic()] = []


class IngressStatus(Struct):
    loadBalancer: IngressLoadBalancerStatus = always(IngressLoadBalancerStatus)


class IngressTLS(Struct):
    hosts: Annotated[list[str], Atomic()] = []
    secretName: str = ""


class IngressRule(Struct):
    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressSpec(Struct):
    ingressClassName: str | None = None
    defaultBackend: IngressBackend | None = None
    tls: Annotated[list[IngressTLS], Atomic()] = []
    rules: Annotated[list[IngressRule], Atomic()] = []


class Ingress(KubeObject):
    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("Ingress")
    spec: IngressSpec = always(IngressSpec)
    status: IngressStatus = always(IngressStatus)


class IngressClassParametersReference(Struct):
    apiGroup: str | None = None
    kind: str = always(str)
    name: str = always(str)
    scope: str | None = None
    namespace: str | None = None


class IngressClassSpec(Struct):
    controller: str = ""
    parameters: IngressClassParametersReference | None = None


class IngressClass(KubeObject):
    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("IngressClass")
    spec: IngressClassSpec = always(IngressClassSpec)


class NetworkPolicyPort(Struct):
    protocol: str | None = None
    port: IntOrString | None = None
    endPort: int | None = None


class NetworkPolicyPeer(Struct):
    podSelector: LabelSelector | None = None
    namespaceSelector: LabelSelector | None = None
    ipBlock: IPBlock | None = None


class NetworkPolicyEgressRule(Struct):
    ports: Annotated[list[NetworkPolicyPort], Atomic()] = []
    to: Annotated[list[NetworkPolicyPeer], Atomic()] = []


class NetworkPolicyIngressRule(Struct):
    ports: Annotated[list[NetworkPolicyPort], Atomic()] = []
    from_: Annotated[list[NetworkPolicyPeer], Atomic()] = field(name="from", default_factory=list)


class NetworkPolicySpec(Struct):
    podSelector: LabelSelector = always(LabelSelector)
    ingress: Annotated[list[NetworkPolicyIngressRule], Atomic()] = []
    egress: Annotated[list[NetworkPolicyEgressRule], Atomic()] = []
    policyTypes: Annotated[list[str], Atomic()] = []


class NetworkPolicy(KubeObject):
    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("NetworkPolicy")
    spec: NetworkPolicySpec = always(NetworkPolicySpec)


class ServiceCIDRSpec(Struct):
    cidrs: Annotated[list[str], Atomic()] = []


class ServiceCIDRStatus(Struct):
    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []


class ServiceCIDR(KubeObject):
    apiVersion: str = constant("networking.k8s.io/v1")
    kind: str = constant("ServiceCIDR")
    spec: ServiceCIDRSpec = always(ServiceCIDRSpec)
    status: ServiceCIDRStatus = always(ServiceCIDRStatus)
