"""The core group, v1: namespace."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class NamespaceSpec(Struct):
    finalizers: Annotated[list[str], Atomic()] = []


class NamespaceCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class NamespaceStatus(Struct):
    phase: str = ""
    conditions: Annotated[list[NamespaceCondition], MapList("type"), Patch("merge", "type")] = []


class Namespace(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Namespace")
    spec: NamespaceSpec = always(NamespaceSpec)
    status: NamespaceStatus = always(NamespaceStatus)
