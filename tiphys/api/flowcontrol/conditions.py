"""Conditions of flow schemas and priority levels."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.flowcontrol.v1 import FlowSchemaCondition, PriorityLevelConfigurationCondition
from tiphys.api.machinery.errors import duplicate, required
from tiphys.api.rules.basics import Errors

NOT_NEGATIVE = "must be a non-negative integer"


def validate_conditions(conditions: Sequence[FlowSchemaCondition | PriorityLevelConfigurationCondition]) -> Errors:
    """Return conditions without a type, or with one that is there already."""
    errors: Errors = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        path = f"status.conditions[{index}].type"
        if condition.type in seen:
            errors.append(duplicate(path, condition.type))
        seen.add(condition.type)
        if not condition.type:
            errors.append(required(path))
    return errors
