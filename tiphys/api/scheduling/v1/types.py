"""Priority classes, scheduling/v1."""

from __future__ import annotations

from tiphys.api.base import always, constant
from tiphys.api.meta.v1.meta import KubeObject


class PriorityClass(KubeObject):
    apiVersion: str = constant("scheduling.k8s.io/v1")
    kind: str = constant("PriorityClass")
    value: int = always(int)
    globalDefault: bool = False
    description: str = ""
    preemptionPolicy: str | None = None
