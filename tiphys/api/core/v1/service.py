"""The core group, v1: service."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, IntOrString, MapList, Patch, Struct, always, constant
from tiphys.api.meta.v1.meta import Condition, KubeObject


class ClientIPConfig(Struct):
    timeoutSeconds: int | None = None


class PortStatus(Struct):
    port: int = always(int)
    protocol: str = always(str)
    error: str | None = None


class LoadBalancerIngress(Struct):
    ip: str = ""
    hostname: str = ""
    ipMode: str | None = None
    ports: Annotated[list[PortStatus], Atomic()] = []


class LoadBalancerStatus(Struct):
    ingress: Annotated[list[LoadBalancerIngress], Atomic()] = []


class SessionAffinityConfig(Struct):
    clientIP: ClientIPConfig | None = None


class ServicePort(Struct):
    name: str = ""
    protocol: str = ""
    appProtocol: str | None = None
    port: int = always(int)
    targetPort: IntOrString | None = None
    nodePort: int = 0


class ServiceSpec(Struct):
    ports: Annotated[list[ServicePort], MapList("port", "protocol"), Patch("merge", "port")] = []
    selector: Annotated[dict[str, str], Atomic()] = {}
    clusterIP: str = ""
    clusterIPs: Annotated[list[str], Atomic()] = []
    type: str = ""
    externalIPs: Annotated[list[str], Atomic()] = []
    sessionAffinity: str = ""
    loadBalancerIP: str = ""
    loadBalancerSourceRanges: Annotated[list[str], Atomic()] = []
    externalName: str = ""
    externalTrafficPolicy: str = ""
    healthCheckNodePort: int = 0
    publishNotReadyAddresses: bool = False
    sessionAffinityConfig: SessionAffinityConfig | None = None
    ipFamilies: Annotated[list[str], Atomic()] = []
    ipFamilyPolicy: str | None = None
    allocateLoadBalancerNodePorts: bool | None = None
    loadBalancerClass: str | None = None
    internalTrafficPolicy: str | None = None
    trafficDistribution: str | None = None


class ServiceStatus(Struct):
    loadBalancer: LoadBalancerStatus = always(LoadBalancerStatus)
    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []


class Service(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Service")
    spec: ServiceSpec = always(ServiceSpec)
    status: ServiceStatus = always(ServiceStatus)
