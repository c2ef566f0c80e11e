"""Disruption budgets: `policy`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import other as columns
from tiphys.api.kinds.rules_other import PodDisruptionBudgetRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.policy import v1 as policy

POD_DISRUPTION_BUDGETS: Kind[policy.PodDisruptionBudget] = Kind(
    type=policy.PodDisruptionBudget,
    plural="poddisruptionbudgets",
    rules=PodDisruptionBudgetRules(),
    columns=columns.BUDGETS,
    group="policy",
    short_names=("pdb",),
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (POD_DISRUPTION_BUDGETS,)
