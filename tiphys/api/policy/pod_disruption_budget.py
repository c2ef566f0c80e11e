"""PodDisruptionBudget: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, invalid, not_supported
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.policy import v1 as policy
from tiphys.api.policy.v1 import PodDisruptionBudget
from tiphys.api.rules.basics import Errors, at_most_100_percent, int_or_percent, label_selector, non_negative
from tiphys.api.rules.conditions import conditions


def validate_budget(budget: PodDisruptionBudget) -> Errors:
    """Return the mistakes in a budget ("Specifying a Disruption Budget for your Application")."""
    errors: Errors = []
    spec = budget.spec
    if spec.minAvailable is not None and spec.maxUnavailable is not None:
        errors.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name, value in (("minAvailable", spec.minAvailable), ("maxUnavailable", spec.maxUnavailable)):
        int_or_percent(errors, f"spec.{name}", value)
        at_most_100_percent(errors, f"spec.{name}", value)
    label_selector(errors, "spec.selector", spec.selector)
    policy = spec.unhealthyPodEvictionPolicy
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        errors.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget")))
    return errors


def validate_budget_status(budget: PodDisruptionBudget) -> Errors:
    """Return the mistakes in the counts and conditions of a status."""
    errors: Errors = []
    conditions(errors, "status.conditions", budget.status.conditions)
    for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        non_negative(errors, f"status.{name}", getattr(budget.status, name))
    return errors


class PodDisruptionBudgetRules(Rules[PodDisruptionBudget]):
    names_finalizers = False
    needs_version = True

    validate_name = staticmethod(path_segment)
    validate = staticmethod(validate_budget)

    def validate_status_update(self, new: PodDisruptionBudget, old: PodDisruptionBudget) -> list[FieldError]:
        return validate_budget_status(new)


def _or_not(value: int | str | None) -> str:
    return "N/A" if value is None else str(value)


COLUMNS = (
    NAME,
    Column("Min Available", cell(lambda obj: _or_not(obj.spec.minAvailable)), description="How many pods must stay available."),
    Column("Max Unavailable", cell(lambda obj: _or_not(obj.spec.maxUnavailable)), description="How many pods may be unavailable."),
    Column(
        "Allowed Disruptions", cell(lambda obj: obj.status.disruptionsAllowed), type="integer", description="How many may be evicted now."
    ),
    AGE,
)

POD_DISRUPTION_BUDGETS: Kind[policy.PodDisruptionBudget] = Kind(
    type=policy.PodDisruptionBudget,
    plural="poddisruptionbudgets",
    rules=PodDisruptionBudgetRules(),
    columns=COLUMNS,
    group="policy",
    short_names=("pdb",),
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (POD_DISRUPTION_BUDGETS,)
