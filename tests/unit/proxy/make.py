"""Services and EndpointSlices in few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.proxy.plan import Context, PortPlan, plan_service

NODE = "n1"
CONTEXT = Context(NODE, skip=frozenset(("10.43.0.10",)))
READY = discovery.EndpointConditions(ready=True)
LEAVING = discovery.EndpointConditions(ready=False, serving=True, terminating=True)
GONE = discovery.EndpointConditions(ready=False, serving=False, terminating=True)


def port(number: int = 80, *, name: str = "http", protocol: str = "TCP", node_port: int = 0) -> core.ServicePort:
    return core.ServicePort(name=name, port=number, protocol=protocol, nodePort=node_port)


def service(name: str = "web", *, ip: str = "10.43.0.20", ports: Sequence[core.ServicePort] = (), **spec: Any) -> core.Service:
    filled = {"type": "ClusterIP", "ports": list(ports) or [port()], **spec}
    return core.Service(metadata=ObjectMeta(name=name, namespace="default"), spec=core.ServiceSpec(clusterIP=ip, **filled))


def piece(
    *addresses: str,
    name: str = "http",
    number: int | None = 8080,
    protocol: str | None = "TCP",
    node: str = NODE,
    conditions: discovery.EndpointConditions = READY,
    family: str = "IPv4",
    hostname: str | None = None,
    hints: discovery.EndpointHints | None = None,
) -> discovery.EndpointSlice:
    return discovery.EndpointSlice(
        metadata=ObjectMeta(name="x", namespace="default"),
        addressType=family,
        ports=[discovery.EndpointPort(name=name, port=number, protocol=protocol)],
        endpoints=[
            discovery.Endpoint(addresses=[a], nodeName=node, conditions=conditions, hostname=hostname, hints=hints) for a in addresses
        ],
    )


def hints(*, zones: Sequence[str] = (), nodes: Sequence[str] = ()) -> discovery.EndpointHints:
    return discovery.EndpointHints(
        forZones=[discovery.ForZone(name=name) for name in zones], forNodes=[discovery.ForNode(name=name) for name in nodes]
    )


def plan(service: core.Service, *pieces: discovery.EndpointSlice, context: Context = CONTEXT) -> tuple[PortPlan, ...]:
    return plan_service(service, pieces, context)


def only(service: core.Service, *pieces: discovery.EndpointSlice, context: Context = CONTEXT) -> PortPlan:
    (found,) = plan(service, *pieces, context=context)
    return found
