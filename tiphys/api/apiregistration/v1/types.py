"""Aggregated API servers, apiregistration/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, MapList, Patch, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class ServiceReference(Struct):
    """A Service behind which the other server listens."""

    namespace: str = ""
    """The namespace of the Service."""
    name: str = ""
    """Its name."""
    port: int | None = None
    """Its port, 443 if absent."""


class APIServiceSpec(Struct):
    """Server of a group and version, and the order of both in discovery."""

    service: ServiceReference | None = None
    """The Service behind which the server listens; without one this server answers itself."""
    group: str = ""
    """The API group."""
    version: str = ""
    """The version; with the group it is the name of the APIService."""
    insecureSkipTLSVerify: bool = False
    """Whether the server's certificate is not checked."""
    caBundle: Annotated[bytes, Atomic()] = b""
    """PEM certificates that the server's certificate is checked against."""
    groupPriorityMinimum: int = always(int)
    """Where the group stands among all: higher ones first."""
    versionPriority: int = always(int)
    """Where the version stands in its group: higher ones first."""


class APIServiceCondition(Struct):
    """One aspect of how an APIService stands: `Available`."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """When the status last changed."""
    reason: str = ""
    """Why the condition is as it is, in one word."""
    message: str = ""
    """Why the condition is as it is, for people."""


class APIServiceStatus(Struct):
    """Observed state of an APIService."""

    conditions: Annotated[list[APIServiceCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""


class APIService(KubeObject):
    """A group and version of the API that another server answers for."""

    apiVersion: str = constant("apiregistration.k8s.io/v1")
    kind: str = constant("APIService")
    spec: APIServiceSpec = always(APIServiceSpec)
    """What is wanted."""
    status: APIServiceStatus = always(APIServiceStatus)
    """What was observed."""
