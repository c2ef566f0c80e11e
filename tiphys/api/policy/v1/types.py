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
    """How it is deleted."""


class PodDisruptionBudgetStatus(Struct):
    """Disruptions that are allowed now, and the counts of pods that they follow from."""

    observedGeneration: int = 0
    """The metadata.generation that the status is about."""
    disruptedPods: dict[str, Time] = {}
    """Pods whose eviction was granted and has not been seen yet, with the time."""
    disruptionsAllowed: int = always(int)
    """How many pods may be evicted now."""
    currentHealthy: int = always(int)
    """How many pods are healthy."""
    desiredHealthy: int = always(int)
    """How many healthy pods there must be."""
    expectedPods: int = always(int)
    """How many pods the budget counts."""
    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""


class PodDisruptionBudgetSpec(Struct):
    """Pods of a budget, and the disruptions that they tolerate."""

    minAvailable: IntOrString | None = None
    """How many pods must stay, as a number or a percentage. Not together with maxUnavailable."""
    selector: Annotated[LabelSelector | None, Patch("replace")] = None
    """The pods it is about; none if absent, all of the namespace if empty."""
    maxUnavailable: IntOrString | None = None
    """How many pods may be missing, as a number or a percentage."""
    unhealthyPodEvictionPolicy: str | None = None
    """Whether pods that are not ready may go: `IfHealthyBudget` (default) if the others suffice, or `AlwaysAllow`."""


class PodDisruptionBudget(KubeObject):
    """Limits how many pods leave on purpose at the same time."""

    apiVersion: str = constant("policy/v1")
    kind: str = constant("PodDisruptionBudget")
    spec: PodDisruptionBudgetSpec = always(PodDisruptionBudgetSpec)
    """How much disruption there may be."""
    status: PodDisruptionBudgetStatus = always(PodDisruptionBudgetStatus)
    """How much there may be now."""
