"""Disruption budgets and evictions, policy/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import IntOrString, MapList, Patch, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import Condition, KubeObject, LabelSelector
from tiphys.api.meta.v1.options import DeleteOptions


class Eviction(KubeObject):
    apiVersion: str = constant("policy/v1")
    kind: str = constant("Eviction")
    deleteOptions: DeleteOptions | None = None


class PodDisruptionBudgetStatus(Struct):
    observedGeneration: int = 0
    disruptedPods: dict[str, Time] = {}
    disruptionsAllowed: int = always(int)
    currentHealthy: int = always(int)
    desiredHealthy: int = always(int)
    expectedPods: int = always(int)
    conditions: Annotated[list[Condition], MapList("type"), Patch("merge", "type")] = []


class PodDisruptionBudgetSpec(Struct):
    minAvailable: IntOrString | None = None
    selector: Annotated[LabelSelector | None, Patch("replace")] = None
    maxUnavailable: IntOrString | None = None
    unhealthyPodEvictionPolicy: str | None = None


class PodDisruptionBudget(KubeObject):
    apiVersion: str = constant("policy/v1")
    kind: str = constant("PodDisruptionBudget")
    spec: PodDisruptionBudgetSpec = always(PodDisruptionBudgetSpec)
    status: PodDisruptionBudgetStatus = always(PodDisruptionBudgetStatus)
