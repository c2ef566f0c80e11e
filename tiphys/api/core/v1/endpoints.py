"""The core group, v1: endpoints."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.machinery.base import Atomic, Struct, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class EndpointAddress(Struct):
    """An address behind a Service."""

    __map_type__: ClassVar[str] = "atomic"
    ip: str = always(str)
    """The address: no loopback or link-local one."""
    hostname: str = ""
    """The name of this endpoint below that of a headless Service."""
    nodeName: str | None = None
    """The node it is on."""
    targetRef: ObjectReference | None = None
    """The object behind it, usually a pod."""


class EndpointPort(Struct):
    """A port behind a Service."""

    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    """The name of the Service's port, needed when there are several."""
    port: int = always(int)
    """The port."""
    protocol: str = ""
    """`TCP` (default), `UDP` or `SCTP`."""
    appProtocol: str | None = None
    """Application protocol of the port."""


class EndpointSubset(Struct):
    """Addresses that have the same ports: each address stands with each port."""

    addresses: Annotated[list[EndpointAddress], Atomic()] = []
    """Addresses that are ready."""
    notReadyAddresses: Annotated[list[EndpointAddress], Atomic()] = []
    """Addresses that are not ready."""
    ports: Annotated[list[EndpointPort], Atomic()] = []
    """The ports."""


class Endpoints(KubeObject):
    """The addresses behind a Service of the same name. EndpointSlices hold the same and grow better."""

    apiVersion: str = constant("v1")
    kind: str = constant("Endpoints")
    subsets: Annotated[list[EndpointSubset], Atomic()] = []
    """Sets of addresses and ports."""
