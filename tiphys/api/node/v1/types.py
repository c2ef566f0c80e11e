"""Runtime classes, node/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Quantity, Struct, always, constant
from tiphys.api.core.v1.scheduling import Toleration
from tiphys.api.meta.v1.meta import KubeObject


class Overhead(Struct):
    podFixed: dict[str, Quantity] = {}


class Scheduling(Struct):
    nodeSelector: Annotated[dict[str, str], Atomic()] = {}
    tolerations: Annotated[list[Toleration], Atomic()] = []


class RuntimeClass(KubeObject):
    apiVersion: str = constant("node.k8s.io/v1")
    kind: str = constant("RuntimeClass")
    handler: str = always(str)
    overhead: Overhead | None = None
    scheduling: Scheduling | None = None
