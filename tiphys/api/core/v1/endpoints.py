"""The core group, v1: endpoints."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, Struct, always, constant
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.meta.v1.meta import KubeObject


class EndpointAddress(Struct):
    __map_type__: ClassVar[str] = "atomic"
    ip: str = always(str)
    hostname: str = ""
    nodeName: str | None = None
    targetRef: ObjectReference | None = None


class EndpointPort(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    port: int = always(int)
    protocol: str = ""
    appProtocol: str | None = None


class EndpointSubset(Struct):
    addresses: Annotated[list[EndpointAddress], Atomic()] = []
    notReadyAddresses: Annotated[list[EndpointAddress], Atomic()] = []
    ports: Annotated[list[EndpointPort], Atomic()] = []


class Endpoints(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Endpoints")
    subsets: Annotated[list[EndpointSubset], Atomic()] = []
