"""Number of pods of a PodDisruptionBudget that may be evicted now ("Specifying a Disruption Budget for your Application"). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery.base import time
from tiphys.api.machinery.durations import later
from tiphys.api.meta.v1 import Condition
from tiphys.api.policy import v1 as policy
from tiphys.controllers.shared.scaled import scaled
from tiphys.controllers.shared.selecting import shown
from tiphys.controllers.shared.slim import SlimPod

EVICTION_SECONDS = 120.0
"""Time after which a granted eviction that has not happened no longer counts."""
ALLOWED = "DisruptionAllowed"


def needs_scale(budget: policy.PodDisruptionBudget) -> bool:
    """Return whether the budget depends on the desired number of pods, rather than on the present number."""
    spec = budget.spec
    return spec.maxUnavailable is not None or isinstance(spec.minAvailable, str)


def targets(budget: policy.PodDisruptionBudget, pods: Sequence[SlimPod], scale: int | None) -> tuple[int, int]:
    """Return expectedPods and desiredHealthy; `scale` is the owners' desired number of pods, where it is needed."""
    spec = budget.spec
    expected = scale if scale is not None and needs_scale(budget) else len(pods)
    if spec.maxUnavailable is not None:
        return expected, max(expected - scaled(spec.maxUnavailable, expected, up=True), 0)
    return expected, scaled(spec.minAvailable, expected, up=True)


class Grants(NamedTuple):
    """Granted evictions of pods that are not terminating yet."""

    pending: dict[str, datetime]
    """Times of the grants that hold, by pod."""
    after: float | None
    """Seconds until the next of them expires."""
    expired: list[SlimPod]
    """Pods that stayed."""


def grants(budget: policy.PodDisruptionBudget, pods: Sequence[SlimPod], now: datetime) -> Grants:
    """Sort the evictions that a budget has granted."""
    result = Grants({}, None, [])
    waits = []
    for pod in pods:
        granted = budget.status.disruptedPods.get(pod.metadata.name)
        if granted is None or pod.metadata.deletionTimestamp is not None:
            continue
        left = (later(granted, EVICTION_SECONDS) - now).total_seconds()
        if left > 0:
            result.pending[pod.metadata.name] = granted
            waits.append(left)
        else:
            result.expired.append(pod)
    return result._replace(after=min(waits, default=None))


def status(
    budget: policy.PodDisruptionBudget, pods: Sequence[SlimPod], scale: int | None, granted: Mapping[str, datetime], now: datetime
) -> policy.PodDisruptionBudgetStatus:
    """Return the status of a budget for these pods."""
    expected, desired = targets(budget, pods, scale)
    healthy = sum(is_ready(pod) and pod.metadata.deletionTimestamp is None and pod.metadata.name not in granted for pod in pods)
    allowed = max(healthy - desired, 0) if expected > 0 else 0
    generation = budget.metadata.generation
    return policy.PodDisruptionBudgetStatus(
        observedGeneration=generation,
        disruptedPods=dict(granted),
        disruptionsAllowed=allowed,
        currentHealthy=healthy,
        desiredHealthy=desired,
        expectedPods=expected,
        conditions=_conditions(budget, *(("True", "SufficientPods") if allowed else ("False", "InsufficientPods")), "", now),
    )


def failed(budget: policy.PodDisruptionBudget, message: str, now: datetime) -> policy.PodDisruptionBudgetStatus:
    """Return the status of a budget that cannot be computed: no evictions allowed."""
    before = budget.status
    return policy.PodDisruptionBudgetStatus(
        observedGeneration=budget.metadata.generation,
        disruptedPods=before.disruptedPods,
        disruptionsAllowed=0,
        currentHealthy=before.currentHealthy,
        desiredHealthy=before.desiredHealthy,
        expectedPods=before.expectedPods,
        conditions=_conditions(budget, "False", "SyncFailed", message, now),
    )


def unmanaged(budget: policy.PodDisruptionBudget) -> str:
    """Return the message of an event about pods without an owner, which a budget that depends on owners cannot count."""
    return (
        f"Pods selected by this PodDisruptionBudget (selector: {shown(budget.spec.selector)}) were found to be unmanaged. As a result, the "
        "status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
        '".spec.minAvailable" field of the PDB to an integer value.'
    )


def several(pod: SlimPod, budgets: Iterable[str]) -> str:
    """Return the message of an event about a pod that several budgets, of these names, select."""
    which = f'Pod "{pod.metadata.namespace}"/"{pod.metadata.name}"'
    return f"{which} matches multiple PodDisruptionBudgets: {', '.join(sorted(budgets))}. Evictions of it are refused."


def _conditions(budget: policy.PodDisruptionBudget, value: str, reason: str, message: str, now: datetime) -> list[Condition]:
    known = next((one for one in budget.status.conditions if one.type == ALLOWED), None)
    since = known.lastTransitionTime if known is not None and known.status == value else time(now)
    condition = Condition(
        type=ALLOWED,
        status=value,
        observedGeneration=budget.metadata.generation,
        lastTransitionTime=since,
        reason=reason,
        message=message,
    )
    return [*(one for one in budget.status.conditions if one.type != ALLOWED), condition]
