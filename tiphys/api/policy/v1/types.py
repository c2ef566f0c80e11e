"""Disruption budgets and evictions, policy/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import IntOrString, MapList, Patch, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import Condition, KubeObject, LabelSelector
from tiphys.api.meta.v1.options import DeleteOptions


class Eviction(KubeObject):
    """Asks a pod to leave, as far as disruption budgets allow it."""

    apiVersion: str = constant("policy/v1")
    kind: str = constant("Eviction")
    deleteOptions: DeleteOptions | None = None
    """Options of the deletion."""


class PodDisruptionBudgetStatus(Struct):
    """Disruptions that are allowed now, and the counts of pods that they follow from."""

    observedGeneration: int = 0
    """The metadata.generation that the status is about."""
    disruptedPods: dict[str, Time] = {}
    """Pods whose eviction was granted and has not been seen yet, with the time."""
    disruptionsAllowed: int = always(int)
    """Number of pods that may be evicted now."""
    currentHealthy: int = always(int)
    """Number of healthy pods."""
    desiredHealthy: int = always(int)
    """Minimum number of healthy pods."""
    expectedPods: int = always(int)
    """Number of pods that the budget counts."""
    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""


class PodDisruptionBudgetSpec(Struct):
    """Pods of a budget, and the disruptions that they tolerate."""

    minAvailable: IntOrString | None = None
    """Minimum of available pods, as a number or a percentage. Not together with maxUnavailable."""
    selector: Annotated[LabelSelector | None, Patch("replace")] = None
    """The pods it is about; none if absent, all of the namespace if empty."""
    maxUnavailable: IntOrString | None = None
    """Maximum of unavailable pods, as a number or a percentage."""
    unhealthyPodEvictionPolicy: str | None = None
    """Policy for the eviction of pods that are not ready: `IfHealthyBudget` (default) if the others suffice, or `AlwaysAllow`."""


class PodDisruptionBudget(KubeObject):
    """Limits how many pods leave on purpose at the same time."""

    apiVersion: str = constant("policy/v1")
    kind: str = constant("PodDisruptionBudget")
    spec: PodDisruptionBudgetSpec = always(PodDisruptionBudgetSpec)
    """Desired limits of disruption."""
    status: PodDisruptionBudgetStatus = always(PodDisruptionBudgetStatus)
    """Disruptions that are allowed now."""
