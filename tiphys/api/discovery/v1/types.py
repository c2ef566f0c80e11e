"""EndpointSlices, discovery/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, SetList, Struct, always, constant
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.meta.v1.meta import KubeObject


class EndpointConditions(Struct):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForNode(Struct):
    name: str = always(str)


class ForZone(Struct):
    name: str = always(str)


class EndpointHints(Struct):
    forZones: Annotated[list[ForZone], Atomic()] = []
    forNodes: Annotated[list[ForNode], Atomic()] = []


class Endpoint(Struct):
    addresses: Annotated[list[str], SetList()] = always(list)
    conditions: EndpointConditions = always(EndpointConditions)
    hostname: str | None = None
    targetRef: ObjectReference | None = None
    deprecatedTopology: dict[str, str] = {}
    nodeName: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class EndpointPort(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    appProtocol: str | None = None


class EndpointSlice(KubeObject):
    apiVersion: str = constant("discovery.k8s.io/v1")
    kind: str = constant("EndpointSlice")
    addressType: str = always(str)
    endpoints: Annotated[list[Endpoint], Atomic()] = always(list)
    ports: Annotated[list[EndpointPort], Atomic()] = always(list)
