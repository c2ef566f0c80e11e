"""Priority classes, scheduling/v1."""

from __future__ import annotations

from tiphys.api.machinery.base import always, constant
from tiphys.api.meta.v1.meta import KubeObject


class PriorityClass(KubeObject):
    """A name for a priority."""

    apiVersion: str = constant("scheduling.k8s.io/v1")
    kind: str = constant("PriorityClass")
    value: int = always(int)
    """The priority, at most 1000000000. Higher goes first. It cannot be changed."""
    globalDefault: bool = False
    """True if pods that name no class get this one."""
    description: str = ""
    """Description of the intended use."""
    preemptionPolicy: str | None = None
    """Preemption of other pods by its pods: `PreemptLowerPriority` (default) or `Never`. It cannot be changed."""
