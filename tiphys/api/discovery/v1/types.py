"""EndpointSlices, discovery/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.machinery.base import Atomic, SetList, Struct, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class EndpointConditions(Struct):
    """The state of an endpoint."""

    ready: bool | None = None
    """Whether it may get new traffic. Absent counts as true."""
    serving: bool | None = None
    """Whether it can answer, even while it ends. Absent counts as ready."""
    terminating: bool | None = None
    """Whether it is ending. Absent counts as false."""


class ForNode(Struct):
    """A node."""

    name: str = always(str)
    """Its name."""


class ForZone(Struct):
    """A zone."""

    name: str = always(str)
    """Its name."""


class EndpointHints(Struct):
    """Zones and nodes whose clients should use an endpoint."""

    forZones: Annotated[list[ForZone], Atomic()] = []
    """Zones whose clients should; 8 at most."""
    forNodes: Annotated[list[ForNode], Atomic()] = []
    """Nodes whose clients should; 8 at most."""


class Endpoint(Struct):
    """One place behind a Service."""

    addresses: Annotated[list[str], SetList()] = always(list)
    """Its addresses, which mean the same; clients use the first."""
    conditions: EndpointConditions = always(EndpointConditions)
    """Its state."""
    hostname: str | None = None
    """Its name below that of a headless Service."""
    targetRef: ObjectReference | None = None
    """The object behind it, usually a pod."""
    deprecatedTopology: dict[str, str] = {}
    """No longer used."""
    nodeName: str | None = None
    """The node it is on."""
    zone: str | None = None
    """The zone it is in."""
    hints: EndpointHints | None = None
    """Who should use it."""


class EndpointPort(Struct):
    """A port of all endpoints of a slice."""

    __map_type__: ClassVar[str] = "atomic"
    name: str | None = None
    """The name of the Service's port; unique in the slice."""
    protocol: str | None = None
    """`TCP` (default), `UDP` or `SCTP`."""
    port: int | None = None
    """The port; all ports if absent."""
    appProtocol: str | None = None
    """What is spoken on the port."""


class EndpointSlice(KubeObject):
    """A part of the places behind a Service, which the label kubernetes.io/service-name names."""

    apiVersion: str = constant("discovery.k8s.io/v1")
    kind: str = constant("EndpointSlice")
    addressType: str = always(str)
    """`IPv4`, `IPv6` or `FQDN`. It cannot be changed."""
    endpoints: Annotated[list[Endpoint], Atomic()] | None = null()
    """The places, 1000 at most."""
    ports: Annotated[list[EndpointPort], Atomic()] | None = null()
    """The ports of all of them."""
