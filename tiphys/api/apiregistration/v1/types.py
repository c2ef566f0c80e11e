"""Aggregated API servers, apiregistration/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ServiceReference(Struct):
    namespace: str = ""
    name: str = ""
    port: int | None = None


class APIServiceSpec(Struct):
    service: ServiceReference | None = None
    group: str = ""
    version: str = ""
    insecureSkipTLSVerify: bool = False
    caBundle: Annotated[bytes, Atomic()] = b""
    groupPriorityMinimum: int = always(int)
    versionPriority: int = always(int)


class APIServiceCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class APIServiceStatus(Struct):
    conditions: Annotated[list[APIServiceCondition], MapList("type"), Patch("merge", "type")] = []


class APIService(KubeObject):
    apiVersion: str = constant("apiregistration.k8s.io/v1")
    kind: str = constant("APIService")
    spec: APIServiceSpec = always(APIServiceSpec)
    status: APIServiceStatus = always(APIServiceStatus)
